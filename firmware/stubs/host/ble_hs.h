/* ble_gatts.html, ble_gap.html, ble_att.html, ble_hs_return_codes.html of NimBLE's host */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define BLE_HS_ENOMEM 6
#define BLE_HS_ENOTCONN 7
#define BLE_HS_EDONE 14
#define BLE_HS_FOREVER INT32_MAX
#define BLE_ATT_ERR_INSUFFICIENT_RES 0x11
#define BLE_ATT_ERR_UNLIKELY 0x0e
#define BLE_UUID_TYPE_128 128
typedef struct {
    uint8_t type;
} ble_uuid_t;
typedef struct {
    ble_uuid_t u;
    uint8_t value[16];
} ble_uuid128_t;
#define BLE_UUID128_INIT(...) {.u = {.type = BLE_UUID_TYPE_128}, .value = {__VA_ARGS__}}
struct os_mbuf;
#define OS_MBUF_PKTLEN(om) os_mbuf_len(om)
uint16_t os_mbuf_len(const struct os_mbuf *om);
int os_mbuf_append(struct os_mbuf *om, const void *data, uint16_t len);
struct os_mbuf *ble_hs_mbuf_from_flat(const void *buf, uint16_t len);
int ble_hs_mbuf_to_flat(const struct os_mbuf *om, void *flat, uint16_t max_len,
                        uint16_t *out_copy_len);
#define BLE_GATT_ACCESS_OP_READ_CHR 0
#define BLE_GATT_ACCESS_OP_WRITE_CHR 1
struct ble_gatt_access_ctxt {
    uint8_t op;
    struct os_mbuf *om;
};
typedef int ble_gatt_access_fn(uint16_t conn_handle, uint16_t attr_handle,
                               struct ble_gatt_access_ctxt *ctxt, void *arg);
#define BLE_GATT_CHR_F_READ 0x0002u
#define BLE_GATT_CHR_F_WRITE_NO_RSP 0x0004u
#define BLE_GATT_CHR_F_WRITE 0x0008u
#define BLE_GATT_CHR_F_NOTIFY 0x0010u
#define BLE_GATT_CHR_F_INDICATE 0x0020u
struct ble_gatt_chr_def {
    const ble_uuid_t *uuid;
    ble_gatt_access_fn *access_cb;
    void *arg;
    uint32_t flags;
    uint16_t *val_handle;
};
#define BLE_GATT_SVC_TYPE_END 0
#define BLE_GATT_SVC_TYPE_PRIMARY 1
struct ble_gatt_svc_def {
    uint8_t type;
    const ble_uuid_t *uuid;
    const struct ble_gatt_chr_def *characteristics;
};
int ble_gatts_count_cfg(const struct ble_gatt_svc_def *defs);
int ble_gatts_add_svcs(const struct ble_gatt_svc_def *svcs);
int ble_gatts_notify_custom(uint16_t conn_handle, uint16_t att_handle, struct os_mbuf *om);
int ble_gatts_indicate_custom(uint16_t conn_handle, uint16_t att_handle, struct os_mbuf *om);
#define BLE_GAP_EVENT_CONNECT 0
#define BLE_GAP_EVENT_DISCONNECT 1
#define BLE_GAP_EVENT_ADV_COMPLETE 9
#define BLE_GAP_EVENT_NOTIFY_TX 13
#define BLE_GAP_EVENT_SUBSCRIBE 14
#define BLE_GAP_EVENT_MTU 15
struct ble_gap_event {
    uint8_t type;
    union {
        struct {
            int status;
            uint16_t conn_handle;
        } connect;
        struct {
            int reason;
        } disconnect;
        struct {
            int status;
            uint16_t conn_handle;
            uint16_t attr_handle;
            uint8_t indication : 1;
        } notify_tx;
        struct {
            uint16_t conn_handle;
            uint16_t attr_handle;
            uint8_t reason;
            uint8_t prev_notify : 1;
            uint8_t cur_notify : 1;
            uint8_t prev_indicate : 1;
            uint8_t cur_indicate : 1;
        } subscribe;
        struct {
            uint16_t conn_handle;
            uint16_t channel_id;
            uint16_t value;
        } mtu;
    };
};
typedef int ble_gap_event_fn(struct ble_gap_event *event, void *arg);
#define BLE_HS_ADV_F_DISC_GEN 0x02u
#define BLE_HS_ADV_F_BREDR_UNSUP 0x04u
#define BLE_GAP_CONN_MODE_UND 2
#define BLE_GAP_DISC_MODE_GEN 2
#define BLE_GAP_LE_PHY_2M_MASK 0x02u
#define BLE_OWN_ADDR_PUBLIC 0
typedef struct {
    uint8_t type;
    uint8_t val[6];
} ble_addr_t;
struct ble_hs_adv_fields {
    uint8_t flags;
    const ble_uuid128_t *uuids128;
    uint8_t num_uuids128;
    unsigned uuids128_is_complete : 1;
    const uint8_t *name;
    uint8_t name_len;
    unsigned name_is_complete : 1;
};
struct ble_gap_adv_params {
    uint8_t conn_mode;
    uint8_t disc_mode;
    uint16_t itvl_min;
    uint16_t itvl_max;
};
struct ble_gap_upd_params {
    uint16_t itvl_min;
    uint16_t itvl_max;
    uint16_t latency;
    uint16_t supervision_timeout;
    uint16_t min_ce_len;
    uint16_t max_ce_len;
};
int ble_gap_adv_set_fields(const struct ble_hs_adv_fields *fields);
int ble_gap_adv_start(uint8_t own_addr_type, const ble_addr_t *direct_addr, int32_t duration_ms,
                      const struct ble_gap_adv_params *adv_params, ble_gap_event_fn *cb,
                      void *cb_arg);
int ble_gap_terminate(uint16_t conn_handle, uint8_t hci_reason);
int ble_gap_update_params(uint16_t conn_handle, const struct ble_gap_upd_params *params);
int ble_gap_set_prefered_le_phy(uint16_t conn_handle, uint8_t tx_phys_mask, uint8_t rx_phys_mask,
                                uint16_t phy_opts);
int ble_att_set_preferred_mtu(uint16_t mtu);
#define BLE_ERR_REM_USER_CONN_TERM 0x13
#define BLE_HS_IO_NO_INPUT_OUTPUT 0x03
struct ble_hs_cfg {
    void (*sync_cb)(void);
    uint8_t sm_io_cap;
    unsigned sm_bonding : 1;
    unsigned sm_sc : 1;
};
extern struct ble_hs_cfg ble_hs_cfg;
