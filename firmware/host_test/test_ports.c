/* The ESP32 ports on fakes of ESP-IDF: a full queue, a link lost in mid-frame, any MTU, readings that
 * were missed, storage that fails. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "board_power.h"
#include "board_radio.h"
#include "board_sampling.h"
#include "board_storage.h"
#include "board_update.h"
#include "driver/gpio.h"
#include "driver/gptimer.h"
#include "ecg_bytes.h"
#include "esp_adc/adc_cali_scheme.h"
#include "esp_app_desc.h"
#include "esp_ota_ops.h"
#include "esp_partition.h"
#include "esp_sleep.h"
#include "esp_timer.h"
#include "freertos/task.h"
#include "host/ble_hs.h"
#include "nimble/nimble_port.h"
#include "nimble/nimble_port_freertos.h"
#include "nvs.h"
#include "nvs_flash.h"
#include "services/gap/ble_svc_gap.h"
#include "services/gatt/ble_svc_gatt.h"

/* --- NVS ---------------------------------------------------------------------------------------- */

typedef struct {
    char key[16];
    uint8_t value[ECG_UPDATE_RECORD_BYTES];
    size_t length;
} entry_t;

static entry_t entries[16];
static size_t entry_count;
static const char *failing_key; /* its reads and writes fail */
static unsigned commits;

static entry_t *find(const char *key)
{
    for (size_t at = 0; at < entry_count; at++) {
        if (strcmp(entries[at].key, key) == 0) {
            return &entries[at];
        }
    }
    return NULL;
}

static bool fails(const char *key)
{
    return (failing_key != NULL) && (strcmp(failing_key, key) == 0);
}

esp_err_t nvs_flash_init(void)
{
    return fails("flash") ? ESP_FAIL : ESP_OK;
}

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *handle)
{
    (void)name;
    (void)mode;
    *handle = 1;
    return fails("open") ? ESP_FAIL : ESP_OK;
}

esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *out, size_t *length)
{
    (void)handle;
    const entry_t *entry = find(key);
    if (fails(key)) {
        return ESP_FAIL;
    }
    if (entry == NULL) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    memcpy(out, entry->value, entry->length);
    *length = entry->length;
    return ESP_OK;
}

esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length)
{
    (void)handle;
    if (fails(key)) {
        return ESP_FAIL;
    }
    entry_t *entry = find(key);
    if (entry == NULL) {
        entry = &entries[entry_count];
        entry_count++;
        strncpy(entry->key, key, sizeof entry->key - 1u);
    }
    memcpy(entry->value, value, length);
    entry->length = length;
    return ESP_OK;
}

esp_err_t nvs_get_u32(nvs_handle_t handle, const char *key, uint32_t *out)
{
    size_t length = 4;
    return nvs_get_blob(handle, key, out, &length);
}

esp_err_t nvs_set_u32(nvs_handle_t handle, const char *key, uint32_t value)
{
    return nvs_set_blob(handle, key, &value, 4);
}

esp_err_t nvs_erase_key(nvs_handle_t handle, const char *key)
{
    (void)handle;
    entry_t *entry = find(key);
    if (entry == NULL) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    entry_count--;
    *entry = entries[entry_count];
    return ESP_OK;
}

esp_err_t nvs_erase_all(nvs_handle_t handle)
{
    (void)handle;
    entry_count = 0;
    return ESP_OK;
}

esp_err_t nvs_commit(nvs_handle_t handle)
{
    (void)handle;
    commits++;
    return fails("commit") ? ESP_FAIL : ESP_OK;
}

/* --- the partition ------------------------------------------------------------------------------ */

static test_flash_t chip;
static esp_partition_t partition = {0, 4 * ECG_FLASH_SECTOR_BYTES, ECG_FLASH_SECTOR_BYTES};
static bool has_partition;

static uint8_t app_bytes[2u * ECG_UPDATE_BLOCK_BYTES];
static esp_partition_t app_slot = {0, sizeof app_bytes, ECG_FLASH_SECTOR_BYTES};
static bool app_fails;

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type,
                                                esp_partition_subtype_t subtype, const char *label)
{
    (void)type;
    (void)subtype;
    return (has_partition && (strcmp(label, "outbox") == 0)) ? &partition : NULL;
}

esp_err_t esp_partition_read(const esp_partition_t *of, size_t at, void *out, size_t size)
{
    if (of == &app_slot) {
        memcpy(out, &app_bytes[at], size);
        return app_fails ? ESP_FAIL : ESP_OK;
    }
    const ecg_flash_t flash = flash_of(&chip, 4);
    return flash.read(&chip, (uint32_t)at, out, size) ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_partition_write(const esp_partition_t *of, size_t at, const void *bytes, size_t size)
{
    if (of == &app_slot) {
        memcpy(&app_bytes[at], bytes, size);
        return app_fails ? ESP_FAIL : ESP_OK;
    }
    const ecg_flash_t flash = flash_of(&chip, 4);
    return flash.program(&chip, (uint32_t)at, bytes, size) ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_partition_erase_range(const esp_partition_t *of, size_t at, size_t size)
{
    if (of == &app_slot) {
        assert_int_equal(at % ECG_UPDATE_BLOCK_BYTES, 0);
        assert_int_equal(size, ECG_UPDATE_BLOCK_BYTES);
        memset(&app_bytes[at], 0xFF, size);
        return app_fails ? ESP_FAIL : ESP_OK;
    }
    assert_int_equal(size, ECG_FLASH_SECTOR_BYTES);
    const ecg_flash_t flash = flash_of(&chip, 4);
    return flash.erase(&chip, (uint32_t)(at / size)) ? ESP_OK : ESP_FAIL;
}

/* --- the application's slots -------------------------------------------------------------------- */

static esp_partition_t running_slot;
static esp_app_desc_t description;
static bool has_app_slot;
static bool chip_accepts;
static const esp_partition_t *starts_from;
static esp_ota_img_states_t image_state;
static esp_err_t state_result;
static unsigned confirmed;
static unsigned gone_back;

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return &running_slot;
}

const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *start_from)
{
    assert_null(start_from);
    return has_app_slot ? &app_slot : NULL;
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *of)
{
    starts_from = of;
    return chip_accepts ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *of, esp_ota_img_states_t *state)
{
    assert_ptr_equal(of, &running_slot);
    *state = image_state;
    return state_result;
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void)
{
    confirmed++;
    return ESP_OK;
}

esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot(void)
{
    gone_back++;
    return ESP_FAIL; /* it returns only when there is nothing to go back to */
}

const esp_app_desc_t *esp_app_get_description(void)
{
    return &description;
}

/* --- clock, timer, ADC and pins ------------------------------------------------------------------- */

static int64_t now_us;
static uint32_t ticks;
static uint64_t alarm_count;
static gptimer_alarm_cb_t on_alarm;
static int adc_raw;
static bool adc_fails;
static bool levels[64];
static bool slept;
static esp_sleep_source_t wake_cause;

int64_t esp_timer_get_time(void)
{
    return now_us;
}

esp_err_t gptimer_new_timer(const gptimer_config_t *config, gptimer_handle_t *timer)
{
    assert_int_equal(config->resolution_hz, 8000000);
    *timer = (gptimer_handle_t)&ticks;
    return ESP_OK;
}

esp_err_t gptimer_set_alarm_action(gptimer_handle_t timer, const gptimer_alarm_config_t *config)
{
    (void)timer;
    assert_int_equal(config->flags.auto_reload_on_alarm, 1);
    alarm_count = config->alarm_count;
    return ESP_OK;
}

esp_err_t gptimer_register_event_callbacks(gptimer_handle_t timer,
                                           const gptimer_event_callbacks_t *callbacks, void *data)
{
    (void)timer;
    (void)data;
    on_alarm = callbacks->on_alarm;
    return ESP_OK;
}

esp_err_t gptimer_enable(gptimer_handle_t timer)
{
    (void)timer;
    return ESP_OK;
}

esp_err_t gptimer_start(gptimer_handle_t timer)
{
    (void)timer;
    return ESP_OK;
}

void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken)
{
    (void)task;
    ticks++;
    *woken = pdTRUE;
}

uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait)
{
    (void)clear;
    (void)wait;
    const uint32_t taken = ticks;
    ticks = 0;
    return taken;
}

TaskHandle_t xTaskGetCurrentTaskHandle(void)
{
    return NULL;
}

esp_err_t adc_oneshot_new_unit(const adc_oneshot_unit_init_cfg_t *config,
                               adc_oneshot_unit_handle_t *unit)
{
    assert_int_equal(config->unit_id, ADC_UNIT_1); /* ADC2 belongs to the radio */
    *unit = (adc_oneshot_unit_handle_t)&adc_raw;
    return ESP_OK;
}

esp_err_t adc_oneshot_config_channel(adc_oneshot_unit_handle_t unit, adc_channel_t channel,
                                     const adc_oneshot_chan_cfg_t *config)
{
    (void)unit;
    (void)channel;
    (void)config;
    return ESP_OK;
}

esp_err_t adc_oneshot_read(adc_oneshot_unit_handle_t unit, adc_channel_t channel, int *raw)
{
    (void)unit;
    (void)channel;
    *raw = adc_raw;
    return adc_fails ? ESP_FAIL : ESP_OK;
}

esp_err_t adc_cali_create_scheme_curve_fitting(const adc_cali_curve_fitting_config_t *config,
                                               adc_cali_handle_t *handle)
{
    (void)config;
    *handle = (adc_cali_handle_t)&adc_raw;
    return ESP_OK;
}

esp_err_t adc_cali_raw_to_voltage(adc_cali_handle_t handle, int raw, int *voltage)
{
    (void)handle;
    *voltage = raw;
    return ESP_OK;
}

esp_err_t gpio_config(const gpio_config_t *config)
{
    (void)config;
    return ESP_OK;
}

int gpio_get_level(gpio_num_t pin)
{
    return levels[pin] ? 1 : 0;
}

esp_sleep_source_t esp_sleep_get_wakeup_cause(void)
{
    return wake_cause;
}

esp_err_t esp_sleep_enable_timer_wakeup(uint64_t time_us)
{
    assert_int_equal(time_us, 5000000);
    return ESP_OK;
}

void esp_deep_sleep_start(void)
{
    slept = true;
}

/* --- NimBLE -------------------------------------------------------------------------------------- */

struct os_mbuf {
    uint8_t bytes[600];
    uint16_t length;
};

struct ble_hs_cfg ble_hs_cfg;
static const struct ble_gatt_svc_def *services;
static ble_gap_event_fn *on_event;
static unsigned buffers;    /* free */
static unsigned advertised;
static unsigned terminated;
static bool not_connected;
static unsigned values;
static size_t longest;
static uint16_t last_handle;
static uint8_t gathered[ECG_FRAME_BYTES];
static ecg_reassembler_t reassembler;
static unsigned frames;

struct os_mbuf *ble_hs_mbuf_from_flat(const void *bytes, uint16_t length)
{
    static struct os_mbuf buffer;
    if (buffers == 0) {
        return NULL;
    }
    buffers--;
    memcpy(buffer.bytes, bytes, length);
    buffer.length = length;
    return &buffer;
}

int ble_hs_mbuf_to_flat(const struct os_mbuf *om, void *flat, uint16_t most, uint16_t *copied)
{
    if (om->length > most) {
        return 1;
    }
    memcpy(flat, om->bytes, om->length);
    *copied = om->length;
    return 0;
}

int os_mbuf_append(struct os_mbuf *om, const void *bytes, uint16_t length)
{
    memcpy(&om->bytes[om->length], bytes, length);
    om->length = (uint16_t)(om->length + length);
    return 0;
}

static void tell_sent(uint16_t handle, bool indication, int status)
{
    struct ble_gap_event event = {.type = BLE_GAP_EVENT_NOTIFY_TX};
    event.notify_tx.status = status;
    event.notify_tx.attr_handle = handle;
    event.notify_tx.indication = indication ? 1u : 0u;
    (void)on_event(&event, NULL);
}

int ble_gatts_notify_custom(uint16_t conn, uint16_t handle, struct os_mbuf *om)
{
    assert_int_equal(conn, 7);
    if (not_connected) {
        return BLE_HS_ENOTCONN;
    }
    values++;
    last_handle = handle;
    longest = (om->length > longest) ? om->length : longest;
    frames += (ecg_reassembler_push(&reassembler, om->bytes, om->length, 0) > 0) ? 1u : 0u;
    tell_sent(handle, false, 0); /* from within the call, as NimBLE does */
    return 0;
}

int ble_gatts_indicate_custom(uint16_t conn, uint16_t handle, struct os_mbuf *om)
{
    (void)om;
    assert_int_equal(conn, 7);
    values++;
    last_handle = handle;
    tell_sent(handle, true, 0);
    return 0;
}

int ble_gatts_count_cfg(const struct ble_gatt_svc_def *table)
{
    (void)table;
    return 0;
}

int ble_gatts_add_svcs(const struct ble_gatt_svc_def *table)
{
    services = table;
    uint16_t handle = 10;
    for (const struct ble_gatt_chr_def *row = table->characteristics; row->uuid != NULL; row++) {
        *row->val_handle = handle;
        handle = (uint16_t)(handle + 3u);
    }
    return 0;
}

int ble_gap_adv_set_fields(const struct ble_hs_adv_fields *fields)
{
    /* flags 3 bytes, a 128-bit UUID 18, the name 2 + n: 31 are all that there is */
    assert_true(3u + 18u + 2u + fields->name_len <= 31u);
    assert_memory_equal(fields->name, "0000002A", 8);
    return 0;
}

int ble_gap_adv_start(uint8_t own, const ble_addr_t *direct, int32_t duration,
                      const struct ble_gap_adv_params *parameters, ble_gap_event_fn *callback,
                      void *argument)
{
    (void)own;
    (void)direct;
    (void)duration;
    (void)parameters;
    (void)argument;
    on_event = callback;
    advertised++;
    return 0;
}

int ble_gap_terminate(uint16_t conn, uint8_t reason)
{
    (void)reason;
    assert_int_equal(conn, 7);
    terminated++;
    return 0;
}

int ble_gap_update_params(uint16_t conn, const struct ble_gap_upd_params *wanted)
{
    (void)conn;
    assert_int_equal(wanted->itvl_min, 12); /* 15 ms */
    assert_int_equal(wanted->itvl_max, 24); /* 30 ms */
    assert_int_equal(wanted->supervision_timeout, 400);
    return 0;
}

int ble_gap_set_prefered_le_phy(uint16_t conn, uint8_t tx, uint8_t rx, uint16_t options)
{
    (void)conn;
    (void)options;
    assert_int_equal(tx & rx, BLE_GAP_LE_PHY_2M_MASK);
    return 0;
}

int ble_att_set_preferred_mtu(uint16_t mtu)
{
    assert_int_equal(mtu, 517);
    return 0;
}

int ble_svc_gap_device_name_set(const char *name)
{
    (void)name;
    return 0;
}

void ble_svc_gap_init(void)
{
}

void ble_svc_gatt_init(void)
{
}

esp_err_t nimble_port_init(void)
{
    return ESP_OK;
}

void nimble_port_run(void)
{
}

void nimble_port_freertos_init(void (*host_task)(void *))
{
    host_task(NULL);
}

/* --- the bench ------------------------------------------------------------------------------------ */

static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, 0u)];
static ecg_outbox_t outbox;
static ecg_sensor_t sensor;
static ecg_link_t radio_link;
static test_board_t state_of_board;
static ecg_board_t board;
static ecg_identity_t identity;
static unsigned depth;
static unsigned pairing_bytes;

static void lock(void)
{
    depth++;
}

static void unlock(void)
{
    assert_true(depth > 0);
    depth--;
}

static void changed(void)
{
}

static void paired(const uint8_t *message, size_t length)
{
    (void)message;
    pairing_bytes += (unsigned)length;
}

static const board_radio_owner_t owner = {changed, paired, lock, unlock};

static int start(void **state)
{
    (void)state;
    entry_count = 0;
    failing_key = NULL;
    has_partition = true;
    has_app_slot = chip_accepts = true;
    app_fails = false;
    starts_from = NULL;
    state_result = ESP_OK;
    confirmed = gone_back = 0;
    flash_init(&chip);
    now_us = 0;
    ticks = 0;
    adc_fails = false;
    memset(levels, 0, sizeof levels);
    buffers = 1000;
    not_connected = false;
    values = frames = advertised = terminated = pairing_bytes = 0;
    longest = 0;
    ecg_reassembler_init(&reassembler, gathered, sizeof gathered);
    state_of_board = (test_board_t){0};
    board = board_of(&state_of_board);
    identity = (ecg_identity_t){.device_id = DEVICE_ID, .boot_id = 1};
    ecg_link_init(&radio_link, &board_radio_port, &sensor);
    ecg_result_t result = ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, NULL, map);
    if (result == ECG_OK) {
        result = ecg_sensor_start(&sensor, &identity, &board, &outbox, 250);
    }
    return (int)result;
}

static void event_of(uint8_t type, uint16_t value);

static int stop(void **state)
{
    (void)state;
    if (on_event != NULL) {
        event_of(BLE_GAP_EVENT_DISCONNECT, 0);
    }
    ecg_sensor_stop(&sensor);
    return (int)depth;
}

static void on_air(void)
{
    assert_true(board_radio_start(&radio_link, &owner, DEVICE_ID));
    assert_true(ble_hs_cfg.sm_sc == 1u);
    ble_hs_cfg.sync_cb();
    assert_true(board_radio_is_on());
    assert_int_equal(advertised, 1);
}

static void event_of(uint8_t type, uint16_t value)
{
    struct ble_gap_event event = {.type = type};
    if (type == BLE_GAP_EVENT_CONNECT) {
        event.connect.conn_handle = 7;
    } else if (type == BLE_GAP_EVENT_MTU) {
        event.mtu.value = value;
    } else if (type == BLE_GAP_EVENT_SUBSCRIBE) {
        event.subscribe.attr_handle = value;
        event.subscribe.cur_notify = 1;
    }
    (void)on_event(&event, NULL);
}

static uint16_t handle_of(unsigned row)
{
    return *services->characteristics[row].val_handle;
}

static void connect_with(uint16_t mtu)
{
    event_of(BLE_GAP_EVENT_CONNECT, 0);
    event_of(BLE_GAP_EVENT_MTU, mtu);
    event_of(BLE_GAP_EVENT_SUBSCRIBE, handle_of(0));
}

static void sample(void)
{
    static const int16_t steps[ECG_SAMPLES_PER_FRAME];
    assert_int_equal(ecg_sensor_sampled(&sensor, steps, 0, 0), ECG_OK);
}

/* --- the radio ------------------------------------------------------------------------------------ */

static void frames_arrive_at(uint16_t mtu, unsigned pieces)
{
    on_air();
    sample();
    connect_with(mtu);
    ecg_link_pump(&radio_link, 1000);
    assert_int_equal(frames, 1);
    assert_int_equal(values, pieces);
    assert_true(longest <= (size_t)mtu - 3u);
    assert_int_equal(last_handle, handle_of(0));
}

static void a_frame_arrives_at_mtu_23(void **state)
{
    (void)state;
    frames_arrive_at(23, 25);
}

static void a_frame_arrives_at_mtu_517(void **state)
{
    (void)state;
    frames_arrive_at(517, 1);
}

static void without_buffers_the_piece_waits(void **state)
{
    (void)state;
    on_air();
    sample();
    connect_with(23);
    buffers = 9;
    ecg_link_pump(&radio_link, 1000);
    ecg_link_pump(&radio_link, 1010);
    assert_int_equal(values, 9);
    buffers = 100;
    ecg_link_pump(&radio_link, 1020);
    assert_int_equal(frames, 1);
    assert_int_equal(values, 25);
}

static void a_disconnect_in_mid_frame_sends_it_anew(void **state)
{
    (void)state;
    on_air();
    sample();
    connect_with(23);
    buffers = 9;
    ecg_link_pump(&radio_link, 1000);
    event_of(BLE_GAP_EVENT_DISCONNECT, 0);
    assert_int_equal(advertised, 2);
    ecg_reassembler_drop(&reassembler);
    buffers = 100;
    connect_with(247);
    ecg_link_pump(&radio_link, 2000);
    assert_int_equal(frames, 1);
    assert_int_equal(outbox.resent, 1);
}

static void a_link_that_went_before_its_event_is_gone(void **state)
{
    (void)state;
    on_air();
    sample();
    connect_with(23);
    not_connected = true;
    ecg_link_pump(&radio_link, 1000);
    assert_false(radio_link.connected);
}

static void another_subscription_changes_nothing_here(void **state)
{
    (void)state;
    on_air();
    event_of(BLE_GAP_EVENT_CONNECT, 0);
    event_of(BLE_GAP_EVENT_SUBSCRIBE, handle_of(3));
    assert_false(radio_link.wants_frames);
    event_of(BLE_GAP_EVENT_SUBSCRIBE, handle_of(0));
    assert_true(radio_link.wants_frames);
}

static int access(unsigned row, uint8_t op, struct os_mbuf *om)
{
    struct ble_gatt_access_ctxt context = {.op = op, .om = om};
    const struct ble_gatt_chr_def *chr = &services->characteristics[row];
    return chr->access_cb(7, *chr->val_handle, &context, NULL);
}

static void values_reach_the_sensor_and_the_status_is_read(void **state)
{
    (void)state;
    struct os_mbuf om = {.length = 0};
    uint8_t status[ECG_STATUS_BYTES];
    on_air();
    connect_with(517);
    assert_int_equal(access(3, BLE_GATT_ACCESS_OP_READ_CHR, &om), 0);
    ecg_sensor_status(&sensor, status);
    assert_int_equal(om.length, ECG_STATUS_BYTES);
    assert_memory_equal(om.bytes, status, ECG_STATUS_BYTES);
    ecg_put(om.bytes, 0xC001, 2); /* one whole piece of 58 bytes, of no known type */
    om.bytes[2] = 0x7F;
    om.length = 60;
    assert_int_equal(access(2, BLE_GATT_ACCESS_OP_WRITE_CHR, &om), 0);
    assert_int_equal(sensor.refused[ECG_UNKNOWN_TYPE], 1);
    assert_int_equal(access(1, BLE_GATT_ACCESS_OP_WRITE_CHR, &om), 0);
    assert_int_equal(sensor.refused[ECG_UNKNOWN_TYPE], 2);
    assert_int_equal(access(5, BLE_GATT_ACCESS_OP_WRITE_CHR, &om), 0);
    assert_int_equal(sensor.refused[ECG_UNKNOWN_TYPE], 3);
    assert_int_equal(access(4, BLE_GATT_ACCESS_OP_WRITE_CHR, &om), 0);
    assert_int_equal(pairing_bytes, 58);
    om.length = 599;
    assert_int_equal(access(4, BLE_GATT_ACCESS_OP_WRITE_CHR, &om), BLE_ATT_ERR_UNLIKELY);
}

static void indications_wait_for_their_confirmation(void **state)
{
    (void)state;
    static const uint8_t message[100];
    on_air();
    connect_with(60);
    assert_true(ecg_link_queue(&radio_link, ECG_ON_CONTROL, message, sizeof message));
    ecg_link_pump(&radio_link, 0);
    ecg_link_pump(&radio_link, 0);
    assert_int_equal(values, 1);
    tell_sent(handle_of(2), true, BLE_HS_EDONE);
    ecg_link_pump(&radio_link, 0);
    assert_int_equal(values, 2);
    assert_int_equal(last_handle, handle_of(2));
    tell_sent(handle_of(2), true, BLE_HS_EDONE);
    assert_true(ecg_link_queue(&radio_link, ECG_ON_FIRMWARE, message, 20));
    ecg_link_pump(&radio_link, 0);
    assert_int_equal(last_handle, handle_of(5));
}

static void status_is_cut_to_the_mtu_and_a_stranger_dropped(void **state)
{
    (void)state;
    on_air();
    board_radio_notify_status();
    board_radio_drop();
    assert_int_equal(values + terminated, 0);
    connect_with(23);
    board_radio_notify_status();
    assert_int_equal(longest, 20);
    event_of(BLE_GAP_EVENT_MTU, 517);
    board_radio_notify_status();
    assert_int_equal(longest, ECG_STATUS_BYTES);
    board_radio_drop();
    assert_int_equal(terminated, 1);
}

/* --- sampling --------------------------------------------------------------------------------------- */

static void every_tick_is_a_reading(void **state)
{
    (void)state;
    board_sampling_t sampling;
    ecg_reading_t reading;
    assert_true(board_sampling_start(&sampling, 360));
    assert_int_equal(alarm_count, 22222);
    assert_true(board_sampling_start(&sampling, 250));
    assert_int_equal(alarm_count, 32000);
    adc_raw = 1650;
    now_us = 4000;
    assert_true(on_alarm(NULL, NULL, NULL));
    board_sampling_wait(&sampling);
    assert_true(board_sampling_next(&sampling, &reading));
    assert_true(reading.valid);
    assert_int_equal(reading.adc_uv, 1650000);
    assert_int_equal(reading.device_time_us, 4000);
    assert_false(board_sampling_next(&sampling, &reading));
}

static void missed_ticks_become_invalid_readings(void **state)
{
    (void)state;
    board_sampling_t sampling;
    ecg_reading_t reading;
    assert_true(board_sampling_start(&sampling, 250));
    for (unsigned at = 0; at < 12; at++) { /* a sector of flash was erased meanwhile */
        (void)on_alarm(NULL, NULL, NULL);
    }
    now_us = 48000;
    board_sampling_wait(&sampling);
    for (unsigned at = 1; at <= 12; at++) {
        assert_true(board_sampling_next(&sampling, &reading));
        assert_int_equal(reading.valid, at == 12);
        assert_int_equal(reading.device_time_us, 4000u * at);
    }
    assert_false(board_sampling_next(&sampling, &reading));
    assert_int_equal(sampling.missed, 11);
}

static void a_failing_adc_gives_invalid_readings(void **state)
{
    (void)state;
    board_sampling_t sampling;
    ecg_reading_t reading;
    assert_true(board_sampling_start(&sampling, 250));
    adc_fails = true;
    (void)on_alarm(NULL, NULL, NULL);
    board_sampling_wait(&sampling);
    assert_true(board_sampling_next(&sampling, &reading));
    assert_false(reading.valid);
    assert_int_equal(board_battery_millivolts(), 0);
    adc_fails = false;
    adc_raw = 1950;
    assert_int_equal(board_battery_millivolts(), 3900);
}

static void lead_off_pins_are_told_apart(void **state)
{
    (void)state;
    board_sampling_t sampling;
    ecg_reading_t reading;
    assert_true(board_sampling_start(&sampling, 250));
    assert_false(board_sampling_leads_are_off());
    levels[4] = true; /* LO+ of the C3 */
    (void)on_alarm(NULL, NULL, NULL);
    board_sampling_wait(&sampling);
    assert_true(board_sampling_next(&sampling, &reading));
    assert_true(reading.lead_off_positive && !reading.lead_off_negative);
    levels[4] = false;
    levels[5] = true;
    assert_true(board_sampling_leads_are_off());
}

/* --- storage ---------------------------------------------------------------------------------------- */

static uint8_t secret[BOARD_SECRET_BYTES];

static void make(void)
{
    assert_int_equal(board_storage_load(&identity, secret), BOARD_BLANK);
    assert_int_equal(board_storage_create(&identity, secret), BOARD_KEPT);
}

static void an_identity_is_made_once_and_found_again(void **state)
{
    (void)state;
    make();
    ecg_identity_t again = {0};
    uint8_t same[BOARD_SECRET_BYTES];
    assert_int_equal(board_storage_load(&again, same), BOARD_KEPT);
    assert_int_equal(again.device_id, identity.device_id);
    assert_memory_equal(again.root_key, identity.root_key, 32);
    assert_memory_equal(same, secret, 32);
    assert_int_equal(again.boot_id, identity.boot_id + 1u);
    assert_false(again.provisioned);
    assert_true(board_storage_set_provisioned());
    assert_int_equal(board_storage_load(&again, same), BOARD_KEPT);
    assert_true(again.provisioned);
    assert_int_equal(again.boot_id, identity.boot_id + 2u);
    assert_true(board_storage_forget_all());
    assert_int_equal(board_storage_load(&again, same), BOARD_BLANK);
}

static void storage_that_fails_never_makes_new_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"flash",   "open", "device",      "root",
                                       "pending", "boots", "provisioned", "secret", "commit"};
    make();
    for (size_t at = 0; at < sizeof keys / sizeof keys[0]; at++) {
        ecg_identity_t again = {0};
        failing_key = keys[at];
        assert_int_equal(board_storage_load(&again, secret), BOARD_FAILED);
    }
    failing_key = NULL;
    entry_t *root = find("root");
    root->length = 31; /* cut off */
    assert_int_equal(board_storage_load(&identity, secret), BOARD_FAILED);
    (void)nvs_erase_key(0, "root"); /* lost: the sensor still has a name, and must not re-key */
    assert_int_equal(board_storage_load(&identity, secret), BOARD_FAILED);
}

static void an_identity_that_can_not_be_kept_does_not_count(void **state)
{
    (void)state;
    static const char *const keys[] = {"boots", "secret", "root", "device", "commit"};
    for (size_t at = 0; at < sizeof keys / sizeof keys[0]; at++) {
        entry_count = 0;
        failing_key = NULL;
        assert_int_equal(board_storage_load(&identity, secret), BOARD_BLANK);
        failing_key = keys[at];
        assert_int_equal(board_storage_create(&identity, secret), BOARD_FAILED);
    }
}

static void a_pending_key_is_kept_and_adopted(void **state)
{
    (void)state;
    uint8_t next[32];
    make();
    memset(next, 9, sizeof next);
    failing_key = "pending";
    assert_false(board_storage_keep_pending(NULL, next));
    failing_key = NULL;
    assert_false(board_storage_adopt_pending(NULL));
    assert_true(board_storage_keep_pending(NULL, next));
    assert_int_equal(board_storage_load(&identity, secret), BOARD_KEPT);
    assert_true(identity.has_pending_key);
    failing_key = "root";
    assert_false(board_storage_adopt_pending(NULL));
    failing_key = NULL;
    assert_true(board_storage_adopt_pending(NULL));
    assert_int_equal(board_storage_load(&identity, secret), BOARD_KEPT);
    assert_memory_equal(identity.root_key, next, 32);
    assert_false(identity.has_pending_key);
}

static void the_partition_is_a_flash_ring(void **state)
{
    (void)state;
    ecg_flash_t flash;
    ecg_flash_ring_t ring;
    uint8_t frame[ECG_FRAME_BYTES];
    const ecg_session_id_t session = session_of(1);
    assert_true(board_storage_open_flash(&flash));
    assert_int_equal(flash.sectors, 4);
    assert_int_equal(ecg_flash_ring_open(&ring, &flash), ECG_OK);
    for (uint32_t at = 0; at < 40; at++) {
        plain_frame(&session, at, frame);
        assert_int_equal(ecg_flash_ring_write(&ring, at, frame), ECG_OK);
    }
    assert_int_equal(ecg_flash_ring_read(&ring, 39, frame), ECG_OK);
    has_partition = false;
    assert_false(board_storage_open_flash(&flash));
}

/* --- updates ---------------------------------------------------------------------------------------- */

static void updates_go_into_the_other_slot(void **state)
{
    (void)state;
    ecg_slot_t slot;
    uint8_t bytes[32];
    uint8_t record[ECG_UPDATE_RECORD_BYTES] = {1, 2, 3};
    uint8_t kept[ECG_UPDATE_RECORD_BYTES];
    assert_true(board_update_open(&slot));
    assert_int_equal(slot.blocks, 2);
    assert_true(slot.erase(slot.context, 1));
    assert_true(slot.program(slot.context, ECG_UPDATE_BLOCK_BYTES + 64u, record, 32));
    assert_true(slot.read(slot.context, ECG_UPDATE_BLOCK_BYTES + 64u, bytes, 32));
    assert_memory_equal(bytes, record, 32);
    assert_false(board_storage_load_update(kept)); /* nothing yet */
    assert_true(slot.keep_record(slot.context, record));
    assert_true(board_storage_load_update(kept));
    assert_memory_equal(kept, record, sizeof record);
    assert_true(slot.start_from(slot.context));
    assert_ptr_equal(starts_from, &app_slot);
}

static void updates_that_fail_say_so(void **state)
{
    (void)state;
    ecg_slot_t slot;
    uint8_t record[ECG_UPDATE_RECORD_BYTES] = {0};
    has_app_slot = false;
    assert_false(board_update_open(&slot));
    has_app_slot = true;
    assert_true(board_update_open(&slot));
    app_fails = true;
    chip_accepts = false;
    failing_key = "update";
    assert_false(slot.erase(slot.context, 0));
    assert_false(slot.program(slot.context, 0, record, 16));
    assert_false(slot.read(slot.context, 0, record, 16));
    assert_false(slot.keep_record(slot.context, record));
    assert_false(slot.start_from(slot.context));
    failing_key = "commit";
    assert_false(slot.keep_record(slot.context, record));
    failing_key = NULL;
    assert_int_equal(nvs_set_blob(1, "update", record, 20), ESP_OK); /* of another firmware */
    assert_false(board_storage_load_update(record));
}

static void expect_version(const char *text, uint8_t major, uint8_t minor, uint8_t patch)
{
    memset(description.version, 0, sizeof description.version);
    memcpy(description.version, text, strlen(text));
    const ecg_release_t running = board_update_running();
    assert_int_equal(running.version[0], major);
    assert_int_equal(running.version[1], minor);
    assert_int_equal(running.version[2], patch);
    assert_int_equal(running.chip, 5);
    assert_int_equal(running.security_version, 3);
}

static void the_running_version_is_what_the_application_says(void **state)
{
    (void)state;
    description.secure_version = 3;
    expect_version("1.20.255", 1, 20, 255);
    expect_version("v2.3.4-dirty", 2, 3, 4);
    expect_version("7", 7, 0, 0);
    expect_version("", 0, 0, 0);
}

static void new_firmware_is_on_trial_until_it_is_confirmed(void **state)
{
    (void)state;
    image_state = ESP_OTA_IMG_PENDING_VERIFY;
    assert_true(board_update_is_on_trial());
    state_result = ESP_FAIL; /* as of an image that was flashed over USB */
    assert_false(board_update_is_on_trial());
    state_result = ESP_OK;
    image_state = ESP_OTA_IMG_VALID;
    assert_false(board_update_is_on_trial());
    board_update_confirm();
    assert_int_equal(confirmed, 1);
    board_update_go_back();
    assert_int_equal(gone_back, 1);
    assert_int_equal(confirmed, 2); /* nothing to go back to: it stays */
}

/* --- power ------------------------------------------------------------------------------------------- */

static void the_level_only_falls_until_it_is_charged(void **state)
{
    (void)state;
    board_battery_t battery = {255};
    board_battery_update(&battery, 0);
    assert_int_equal(battery.percent, 255);
    board_battery_update(&battery, 3810);
    assert_int_equal(battery.percent, 60);
    board_battery_update(&battery, 3860); /* a lighter load */
    assert_int_equal(battery.percent, 60);
    board_battery_update(&battery, 3760);
    assert_int_equal(battery.percent, 50);
    board_battery_update(&battery, 3100);
    assert_int_equal(battery.percent, 0);
    board_battery_update(&battery, 4300);
    assert_int_equal(battery.percent, 100);
}

static void it_sleeps_only_when_nothing_is_lost(void **state)
{
    (void)state;
    assert_false(board_may_sleep(BOARD_SLEEP_AFTER_LEAD_OFF_MS - 1, 0));
    assert_false(board_may_sleep(BOARD_SLEEP_AFTER_LEAD_OFF_MS, 1));
    assert_true(board_may_sleep(BOARD_SLEEP_AFTER_LEAD_OFF_MS, 0));
    board_sleep();
    assert_true(slept);
    assert_false(board_woke_to_look());
    wake_cause = ESP_SLEEP_WAKEUP_TIMER;
    assert_true(board_woke_to_look());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_frame_arrives_at_mtu_23),
        TEST(a_frame_arrives_at_mtu_517),
        TEST(without_buffers_the_piece_waits),
        TEST(a_disconnect_in_mid_frame_sends_it_anew),
        TEST(a_link_that_went_before_its_event_is_gone),
        TEST(another_subscription_changes_nothing_here),
        TEST(values_reach_the_sensor_and_the_status_is_read),
        TEST(indications_wait_for_their_confirmation),
        TEST(status_is_cut_to_the_mtu_and_a_stranger_dropped),
        TEST(every_tick_is_a_reading),
        TEST(missed_ticks_become_invalid_readings),
        TEST(a_failing_adc_gives_invalid_readings),
        TEST(lead_off_pins_are_told_apart),
        TEST(an_identity_is_made_once_and_found_again),
        TEST(storage_that_fails_never_makes_new_keys),
        TEST(an_identity_that_can_not_be_kept_does_not_count),
        TEST(a_pending_key_is_kept_and_adopted),
        TEST(the_partition_is_a_flash_ring),
        TEST(updates_go_into_the_other_slot),
        TEST(updates_that_fail_say_so),
        TEST(the_running_version_is_what_the_application_says),
        TEST(new_firmware_is_on_trial_until_it_is_confirmed),
        TEST(the_level_only_falls_until_it_is_charged),
        TEST(it_sleeps_only_when_nothing_is_lost),
    };
    return ((ecg_crypto_start() == ECG_OK) ? 0 : 1) + cmocka_run_group_tests(tests, NULL, NULL);
}
