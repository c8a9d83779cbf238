#include "board_radio.h"

#include <string.h>

#include "esp_timer.h"
#include "host/ble_hs.h"
#include "nimble/nimble_port.h"
#include "nimble/nimble_port_freertos.h"
#include "services/gap/ble_svc_gap.h"
#include "services/gatt/ble_svc_gatt.h"

#define NO_CONNECTION 0xFFFFu
#define ADVERTISING_INTERVAL 160u /* × 0.625 ms = 100 ms */
#define LEAST_INTERVAL 12u        /* × 1.25 ms = 15 ms */
#define MOST_INTERVAL 24u         /* × 1.25 ms = 30 ms */
#define SUPERVISION_TIMEOUT 400u  /* × 10 ms = 4 s */
#define NAME_BYTES 8u

/* b1ec000n-7a4d-4c55-9f0e-5d1c3a2e9b70, from the last byte to the first */
#define UUID(n)                                                                                    \
    BLE_UUID128_INIT(0x70, 0x9b, 0x2e, 0x3a, 0x1c, 0x5d, 0x0e, 0x9f, 0x55, 0x4c, 0x4d, 0x7a, (n), \
                     0x00, 0xec, 0xb1)

static const ble_uuid128_t service_uuid = UUID(0x01);
static const ble_uuid128_t frames_uuid = UUID(0x02);
static const ble_uuid128_t acknowledge_uuid = UUID(0x03);
static const ble_uuid128_t control_uuid = UUID(0x04);
static const ble_uuid128_t status_uuid = UUID(0x05);
static const ble_uuid128_t provision_uuid = UUID(0x06);
static const ble_uuid128_t firmware_uuid = UUID(0x07);

static ecg_link_t *link_of_radio;
static const board_radio_owner_t *owner_of_radio;
static uint16_t connection = NO_CONNECTION;
static uint16_t frames_handle;
static uint16_t acknowledge_handle;
static uint16_t control_handle;
static uint16_t status_handle;
static uint16_t provision_handle;
static uint16_t firmware_handle;
static bool is_on;
static char name[NAME_BYTES + 1u];

static uint32_t now_ms(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

static ecg_inlet_t inlet_of(uint16_t handle)
{
    if (handle == firmware_handle) {
        return ECG_FROM_FIRMWARE;
    }
    return (handle == control_handle) ? ECG_FROM_CONTROL : ECG_FROM_ACKNOWLEDGE;
}

static uint16_t handle_of(ecg_outlet_t outlet)
{
    if (outlet == ECG_ON_FIRMWARE) {
        return firmware_handle;
    }
    return (outlet == ECG_ON_CONTROL) ? control_handle : provision_handle;
}

static void take_value(uint16_t handle, const uint8_t *value, size_t length)
{
    if (handle == provision_handle) {
        const uint8_t *message = NULL;
        const size_t whole =
            ecg_link_provisioned(link_of_radio, value, length, now_ms(), &message);
        if (whole > 0u) {
            owner_of_radio->on_pairing(message, whole);
        }
    } else {
        ecg_link_written(link_of_radio, inlet_of(handle), value, length,
                         (uint64_t)esp_timer_get_time());
    }
}

static int access(uint16_t conn_handle, uint16_t attr_handle, struct ble_gatt_access_ctxt *context,
                  void *argument)
{
    uint8_t value[ECG_MOST_MTU];
    uint16_t length = 0u;
    int result = 0;
    (void)conn_handle;
    (void)argument;
    owner_of_radio->lock();
    if (context->op == BLE_GATT_ACCESS_OP_READ_CHR) {
        ecg_sensor_status(link_of_radio->sensor, value);
        result = (os_mbuf_append(context->om, value, ECG_STATUS_BYTES) == 0)
                     ? 0
                     : BLE_ATT_ERR_INSUFFICIENT_RES;
    } else if (ble_hs_mbuf_to_flat(context->om, value, sizeof value, &length) != 0) {
        result = BLE_ATT_ERR_UNLIKELY;
    } else {
        take_value(attr_handle, value, length);
    }
    owner_of_radio->unlock();
    owner_of_radio->on_change();
    return result;
}

/* NimBLE finds the end of a table by an empty row. */
static const struct ble_gatt_chr_def characteristics[] = {
    {.uuid = &frames_uuid.u,
     .access_cb = access,
     .flags = BLE_GATT_CHR_F_NOTIFY,
     .val_handle = &frames_handle},
    {.uuid = &acknowledge_uuid.u,
     .access_cb = access,
     .flags = BLE_GATT_CHR_F_WRITE_NO_RSP,
     .val_handle = &acknowledge_handle},
    {.uuid = &control_uuid.u,
     .access_cb = access,
     .flags = BLE_GATT_CHR_F_WRITE | BLE_GATT_CHR_F_INDICATE,
     .val_handle = &control_handle},
    {.uuid = &status_uuid.u,
     .access_cb = access,
     .flags = BLE_GATT_CHR_F_READ | BLE_GATT_CHR_F_NOTIFY,
     .val_handle = &status_handle},
    {.uuid = &provision_uuid.u,
     .access_cb = access,
     .flags = BLE_GATT_CHR_F_WRITE | BLE_GATT_CHR_F_INDICATE,
     .val_handle = &provision_handle},
    {.uuid = &firmware_uuid.u,
     .access_cb = access,
     .flags = BLE_GATT_CHR_F_WRITE_NO_RSP | BLE_GATT_CHR_F_INDICATE,
     .val_handle = &firmware_handle},
    {.uuid = NULL},
};

static const struct ble_gatt_svc_def services[] = {
    {.type = BLE_GATT_SVC_TYPE_PRIMARY,
     .uuid = &service_uuid.u,
     .characteristics = characteristics},
    {.type = BLE_GATT_SVC_TYPE_END},
};

/* --- what goes out ------------------------------------------------------------------------------ */

static ecg_send_result_t send_value(void *context, ecg_outlet_t outlet, const uint8_t *value,
                                    size_t length)
{
    (void)context;
    int result = BLE_HS_ENOMEM;
    struct os_mbuf *buffer = ble_hs_mbuf_from_flat(value, (uint16_t)length);
    if (buffer == NULL) {
        return ECG_RADIO_FULL;
    }
    if (outlet == ECG_ON_FRAMES) { /* NimBLE takes the buffer, whatever comes of it */
        result = ble_gatts_notify_custom(connection, frames_handle, buffer);
    } else {
        result = ble_gatts_indicate_custom(connection, handle_of(outlet), buffer);
    }
    if (result == 0) {
        return ECG_SENT;
    }
    return (result == BLE_HS_ENOTCONN) ? ECG_LINK_GONE : ECG_RADIO_FULL;
}

const ecg_radio_t board_radio_port = {NULL, send_value};

/* A status that is longer than the MTU is cut, which is why the gateway reads it. */
void board_radio_notify_status(void)
{
    uint8_t status[ECG_STATUS_BYTES];
    const size_t most = (size_t)link_of_radio->mtu - ECG_ATT_HEADER_BYTES;
    ecg_sensor_status(link_of_radio->sensor, status);
    struct os_mbuf *buffer = ble_hs_mbuf_from_flat(
        status, (uint16_t)((most < sizeof status) ? most : sizeof status));
    if ((connection != NO_CONNECTION) && (buffer != NULL)) {
        (void)ble_gatts_notify_custom(connection, status_handle, buffer);
    }
}

void board_radio_drop(void)
{
    if (connection != NO_CONNECTION) {
        (void)ble_gap_terminate(connection, BLE_ERR_REM_USER_CONN_TERM);
    }
}

/* --- the connection ------------------------------------------------------------------------------ */

static int on_gap_event(struct ble_gap_event *event, void *argument);

static void advertise(void)
{
    const struct ble_gap_adv_params parameters = {.conn_mode = BLE_GAP_CONN_MODE_UND,
                                                  .disc_mode = BLE_GAP_DISC_MODE_GEN,
                                                  .itvl_min = ADVERTISING_INTERVAL,
                                                  .itvl_max = ADVERTISING_INTERVAL};
    const struct ble_hs_adv_fields fields = {
        .flags = BLE_HS_ADV_F_DISC_GEN | BLE_HS_ADV_F_BREDR_UNSUP,
        .uuids128 = &service_uuid,
        .num_uuids128 = 1u,
        .uuids128_is_complete = 1u,
        .name = (const uint8_t *)name,
        .name_len = NAME_BYTES,
        .name_is_complete = 1u,
    };
    (void)ble_gap_adv_set_fields(&fields);
    (void)ble_gap_adv_start(BLE_OWN_ADDR_PUBLIC, NULL, BLE_HS_FOREVER, &parameters, on_gap_event,
                            NULL);
}

static void on_connect(uint16_t handle)
{
    const struct ble_gap_upd_params wanted = {.itvl_min = LEAST_INTERVAL,
                                              .itvl_max = MOST_INTERVAL,
                                              .supervision_timeout = SUPERVISION_TIMEOUT};
    connection = handle;
    ecg_link_connected(link_of_radio, now_ms());
    (void)ble_gap_update_params(handle, &wanted);
#ifndef CONFIG_IDF_TARGET_ESP32 /* the classic chip has no 2M PHY */
    (void)ble_gap_set_prefered_le_phy(handle, BLE_GAP_LE_PHY_2M_MASK, BLE_GAP_LE_PHY_2M_MASK, 0u);
#endif
}

static void on_subscribe(uint16_t handle, bool notify)
{
    if (handle == frames_handle) {
        ecg_link_subscribed(link_of_radio, ECG_ON_FRAMES, notify);
    }
}

static void on_sent(int status, bool indication)
{
    if (indication && (status != 0)) { /* confirmed, or never: the next message may go */
        ecg_link_confirmed(link_of_radio);
    }
}

static int on_gap_event(struct ble_gap_event *event, void *argument)
{
    (void)argument;
    owner_of_radio->lock();
    switch (event->type) {
    case BLE_GAP_EVENT_CONNECT:
        if (event->connect.status == 0) {
            on_connect(event->connect.conn_handle);
        } else {
            advertise();
        }
        break;
    case BLE_GAP_EVENT_DISCONNECT:
        connection = NO_CONNECTION;
        ecg_link_disconnected(link_of_radio);
        advertise();
        break;
    case BLE_GAP_EVENT_MTU:
        ecg_link_mtu(link_of_radio, event->mtu.value);
        break;
    case BLE_GAP_EVENT_SUBSCRIBE:
        on_subscribe(event->subscribe.attr_handle, event->subscribe.cur_notify != 0u);
        break;
    case BLE_GAP_EVENT_NOTIFY_TX:
        on_sent(event->notify_tx.status, event->notify_tx.indication != 0u);
        break;
    default:
        break;
    }
    owner_of_radio->unlock();
    owner_of_radio->on_change();
    return 0;
}

static void on_sync(void)
{
    is_on = true;
    advertise();
}

static void run_host(void *argument)
{
    (void)argument;
    nimble_port_run();
}

static void write_name(uint32_t device_id)
{
    static const char digits[] = "0123456789ABCDEF";
    for (unsigned at = 0u; at < NAME_BYTES; at++) {
        name[at] = digits[(device_id >> (28u - (4u * at))) & 0xFu];
    }
}

bool board_radio_is_on(void)
{
    return is_on;
}

bool board_radio_start(ecg_link_t *link, const board_radio_owner_t *owner, uint32_t device_id)
{
    link_of_radio = link;
    owner_of_radio = owner;
    write_name(device_id);
    if (nimble_port_init() != ESP_OK) {
        return false;
    }
    ble_hs_cfg.sync_cb = on_sync;
    ble_hs_cfg.sm_io_cap = BLE_HS_IO_NO_INPUT_OUTPUT;
    ble_hs_cfg.sm_bonding = 1u;
    ble_hs_cfg.sm_sc = 1u; /* LE Secure Connections */
    ble_svc_gap_init();
    ble_svc_gatt_init();
    const bool ready = (ble_gatts_count_cfg(services) == 0) &&
                       (ble_gatts_add_svcs(services) == 0) &&
                       (ble_svc_gap_device_name_set(name) == 0) &&
                       (ble_att_set_preferred_mtu(ECG_MOST_MTU) == 0);
    if (ready) {
        nimble_port_freertos_init(run_host);
    }
    return ready;
}
