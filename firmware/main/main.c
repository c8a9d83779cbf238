/* The sensor, put together: one task samples, one task talks, NimBLE's own task listens. */
#include <string.h>

#include "board_pins.h"
#include "board_power.h"
#include "board_radio.h"
#include "board_sampling.h"
#include "board_storage.h"
#include "board_update.h"
#include "driver/gpio.h"
#include "esp_log.h"
#include "esp_system.h"
#include "esp_task_wdt.h"
#include "esp_timer.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "update_signer.h"

#define SAMPLE_RATE_HZ 250u
#define TALK_EACH_MS 10u /* NimBLE does not tell when a buffer is free again */
#define STATUS_EACH_MS 2000u
#define PAIRING_WINDOW_MS 120000u
#define RESET_HOLD_MS 10000u
#define RESTART_AFTER_MS 1500u /* the answer to an update finish goes out before */
#define STACK_BYTES 8192u
#define SAMPLING_PRIORITY 20u
#define TALKING_PRIORITY 10u
#define FLASH_SLOTS_MOST 4096u /* a partition of 2 MB */
#define PREPARE_MOST_SECTORS 64u

static const char tag[] = "ecg";
/* The common AD8232 board: gain 1100 around half of 3.3 V. */
static const ecg_front_end_t front_end = {1650000, 1100, 150000, 3100000};

static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, FLASH_SLOTS_MOST)];
static ecg_flash_t flash;
static ecg_flash_ring_t ring;
static bool has_flash;
static ecg_outbox_t outbox;
static ecg_sensor_t sensor;
static ecg_link_t radio_link;
static ecg_pairing_t pairing;
static ecg_identity_t identity;
static ecg_slot_t slot;
static ecg_update_t update;
static uint8_t secret[BOARD_SECRET_BYTES];
static board_battery_t battery = {ECG_BATTERY_UNKNOWN};

static SemaphoreHandle_t mutex;
static StaticSemaphore_t mutex_buffer;
static TaskHandle_t talker;
static StaticTask_t talker_buffer;
static StaticTask_t sampler_buffer;
static StackType_t talker_stack[STACK_BYTES];
static StackType_t sampler_stack[STACK_BYTES];

static uint32_t now_ms(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

static void lock(void)
{
    (void)xSemaphoreTakeRecursive(mutex, portMAX_DELAY);
}

static void unlock(void)
{
    (void)xSemaphoreGiveRecursive(mutex);
}

static void wake_talker(void)
{
    (void)xTaskNotifyGive(talker);
}

static bool draw(void *context, uint8_t *out, size_t length)
{
    (void)context;
    return ecg_random(out, length) == ECG_OK;
}

static const ecg_board_t board = {NULL, draw, board_storage_keep_pending,
                                  board_storage_adopt_pending};

/* A sensor that can't trust its storage blinks and does nothing else: it never makes new keys. */
static void halt(const char *reason)
{
    ESP_LOGE(tag, "halted: %s\n", reason);
    if (board_update_is_on_trial()) {
        board_update_go_back();
    }
    for (;;) {
        (void)gpio_set_level(BOARD_LED, 1u);
        vTaskDelay(pdMS_TO_TICKS(100));
        (void)gpio_set_level(BOARD_LED, 0u);
        vTaskDelay(pdMS_TO_TICKS(900));
    }
}

/* --- pairing --------------------------------------------------------------------------------- */

static void confirm_pairing(const uint8_t *message, size_t length)
{
    if (ecg_pairing_confirm(&pairing, message, length) == ECG_OK) {
        sensor.identity.provisioned = board_storage_set_provisioned();
        sensor.pairing_window = false;
    }
}

static void respond_to_pairing(const uint8_t *message, size_t length)
{
    uint8_t ephemeral[ECG_X25519_BYTES];
    uint8_t second[ECG_PAIRING_SECOND_BYTES];
    uint8_t key[ECG_PAIRING_KEY_BYTES];
    if ((ecg_random(ephemeral, sizeof ephemeral) == ECG_OK) &&
        (ecg_pairing_respond(&pairing, message, length, ephemeral, sensor.identity.root_key, second,
                             key) == ECG_OK)) {
        (void)ecg_link_queue(&radio_link, ECG_ON_PROVISION, second, sizeof second);
        (void)ecg_link_queue(&radio_link, ECG_ON_PROVISION, key, sizeof key);
    }
    ecg_wipe(ephemeral, sizeof ephemeral);
}

static void on_pairing(const uint8_t *message, size_t length)
{
    if (!sensor.pairing_window) {
        return;
    }
    if (length == ECG_PAIRING_STORED_BYTES) {
        confirm_pairing(message, length);
    } else {
        respond_to_pairing(message, length);
    }
}

static void open_pairing_window(void)
{
    ecg_pairing_open(&pairing, sensor.identity.device_id, secret);
    sensor.pairing_window = true;
}

static const board_radio_owner_t radio_owner = {wake_talker, on_pairing, lock, unlock};

/* --- the button -------------------------------------------------------------------------------- */

/* A short press opens the pairing window; ten seconds reset the sensor to its factory state. */
static void watch_button(uint32_t at_ms)
{
    static uint32_t pressed_ms;
    static uint32_t window_ms;
    static bool was_pressed;
    const bool pressed = gpio_get_level(BOARD_BUTTON) == 0;
    if (pressed && !was_pressed) {
        pressed_ms = at_ms;
    }
    if (pressed && ((at_ms - pressed_ms) >= RESET_HOLD_MS)) {
        (void)board_storage_forget_all();
        esp_restart();
    }
    if (!pressed && was_pressed) {
        window_ms = at_ms;
        open_pairing_window();
    }
    was_pressed = pressed;
    if (sensor.identity.provisioned && sensor.pairing_window &&
        ((at_ms - window_ms) >= PAIRING_WINDOW_MS)) {
        ecg_pairing_close(&pairing);
        sensor.pairing_window = false;
    }
}

static void show_led(uint32_t at_ms)
{
    const bool identifies = (at_ms - sensor.identify_from_ms) < sensor.identify_ms;
    const bool lit = (identifies || sensor.pairing_window) && ((at_ms % 500u) < 250u);
    (void)gpio_set_level(BOARD_LED, lit ? 1u : 0u);
}

/* --- updates ------------------------------------------------------------------------------------- */

static void take_updates(const ecg_release_t *running)
{
    static uint8_t record[ECG_UPDATE_RECORD_BYTES];
    if (board_update_open(&slot)) {
        const bool kept = board_storage_load_update(record);
        ecg_update_init(&update, &slot, update_signer, running, board_update_is_on_trial(),
                        kept ? record : NULL);
        ecg_sensor_take_updates(&sensor, &update);
    }
}

static void restart(void (*how)(void))
{
    (void)ecg_outbox_flush(&outbox);
    how();
}

/* New firmware stays once the gateway has acknowledged a frame of it. */
static void watch_update(uint32_t at_ms)
{
    static uint32_t not_due_ms;
    const ecg_trial_t trial = ecg_update_try(&update, ecg_sensor_is_heard(&sensor), at_ms);
    if (trial == ECG_TRIAL_PASSED) {
        board_update_confirm();
    } else if (trial == ECG_TRIAL_FAILED) {
        restart(board_update_go_back);
        update.on_trial = false; /* there was nothing to go back to */
    } else {
        /* over, or not yet */
    }
    ecg_update_work(&update);
    if (!ecg_update_restarts(&update)) {
        not_due_ms = at_ms;
    } else if ((at_ms - not_due_ms) >= RESTART_AFTER_MS) {
        restart(esp_restart);
    } else {
        /* the answer goes out */
    }
}

/* --- talking ------------------------------------------------------------------------------------- */

static void talk(uint32_t at_ms)
{
    static ecg_session_id_t told;
    static uint32_t told_ms;
    if (ecg_sensor_must_drop(&sensor, at_ms)) {
        board_radio_drop();
    }
    const bool silent = !sensor.sampling && ((at_ms - told_ms) >= STATUS_EACH_MS);
    if (silent || !ecg_same_session(&told, &sensor.running.id)) {
        told = sensor.running.id;
        told_ms = at_ms;
        board_radio_notify_status();
    }
    ecg_link_pump(&radio_link, at_ms);
    watch_update(at_ms);
    watch_button(at_ms);
    show_led(at_ms);
}

static void run_talker(void *argument)
{
    (void)argument;
    (void)esp_task_wdt_add(NULL);
    for (;;) {
        (void)ulTaskNotifyTake(pdTRUE, pdMS_TO_TICKS(TALK_EACH_MS));
        lock();
        talk(now_ms());
        unlock();
        (void)esp_task_wdt_reset();
    }
}

/* --- sampling -------------------------------------------------------------------------------------- */

static void seal(const ecg_frame_builder_t *builder, ecg_sample_clock_t *clock)
{
    ecg_sample_clock_push(clock, builder->first_us);
    lock();
    sensor.measured_rate_mhz = clock->rate_mhz;
    if (sensor.sampling) {
        (void)ecg_sensor_sampled(&sensor, builder->steps, builder->flags, builder->first_us);
    }
    board_battery_update(&battery, board_battery_millivolts());
    sensor.battery_percent = battery.percent;
    unlock();
    wake_talker();
}

/* With the leads off for long, what RAM holds goes to flash, and the sensor sleeps. */
static void sleep_if_idle(const ecg_frame_builder_t *builder)
{
    static uint32_t leads_on_ms;
    const uint8_t off = ECG_FLAG_LEAD_OFF_POSITIVE | ECG_FLAG_LEAD_OFF_NEGATIVE;
    if ((builder->flags & off) == 0u) {
        leads_on_ms = now_ms();
    }
    const uint32_t off_ms = now_ms() - leads_on_ms;
    if (off_ms < BOARD_SLEEP_AFTER_LEAD_OFF_MS) {
        return;
    }
    lock();
    (void)ecg_outbox_flush(&outbox);
    const uint32_t in_ram = has_flash ? 0u : outbox.held;
    if (board_may_sleep(off_ms, in_ram)) {
        board_sleep();
    }
    unlock();
}

static void run_sampler(void *argument)
{
    board_sampling_t sampling;
    ecg_frame_builder_t builder;
    ecg_sample_clock_t clock;
    ecg_reading_t reading;
    uint16_t rate_hz = 0u;
    (void)argument;
    (void)esp_task_wdt_add(NULL);
    for (;;) {
        if (rate_hz != sensor.running.sample_rate_hz) {
            rate_hz = sensor.running.sample_rate_hz;
            ecg_frame_builder_clear(&builder);
            ecg_sample_clock_clear(&clock);
            if (!board_sampling_start(&sampling, rate_hz)) {
                halt("the ADC or its timer does not start");
            }
        }
        board_sampling_wait(&sampling);
        while (board_sampling_next(&sampling, &reading)) {
            if (ecg_frame_builder_push(&builder, &front_end, &reading)) {
                seal(&builder, &clock);
                sleep_if_idle(&builder);
            }
        }
        (void)esp_task_wdt_reset();
    }
}

/* --- start ------------------------------------------------------------------------------------------- */

static void set_up_pins(void)
{
    const gpio_config_t led = {.pin_bit_mask = 1ull << BOARD_LED, .mode = GPIO_MODE_OUTPUT};
    const gpio_config_t button = {.pin_bit_mask = 1ull << BOARD_BUTTON,
                                  .mode = GPIO_MODE_INPUT,
                                  .pull_up_en = GPIO_PULLUP_ENABLE};
    const gpio_config_t leads = {.pin_bit_mask = (1ull << BOARD_LEAD_OFF_POSITIVE) |
                                                 (1ull << BOARD_LEAD_OFF_NEGATIVE),
                                 .mode = GPIO_MODE_INPUT};
    (void)gpio_config(&led);
    (void)gpio_config(&button);
    (void)gpio_config(&leads);
}

static bool open_outbox(void)
{
    has_flash = board_storage_open_flash(&flash) &&
                (flash.sectors <= (FLASH_SLOTS_MOST / ECG_FLASH_SLOTS_PER_SECTOR)) &&
                (ecg_flash_ring_open(&ring, &flash) == ECG_OK);
    if (ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, has_flash ? &ring : NULL, map) !=
        ECG_OK) {
        return false;
    }
    for (unsigned at = 0u; has_flash && (at < PREPARE_MOST_SECTORS); at++) {
        if (!ecg_flash_ring_prepare(&ring, ecg_outbox_flash_floor(&outbox))) {
            break;
        }
    }
    return true;
}

/* The label's text, once: with it `ecg-gateway label` prints the QR code. Never the root key. */
static void print_label(void)
{
    ESP_LOGI(tag, "label: ECG-%08lX ", (unsigned long)identity.device_id);
    for (size_t at = 0u; at < sizeof secret; at++) {
        ESP_LOGI(tag, "%02x", secret[at]);
    }
    ESP_LOGI(tag, "\n");
}

static void make_identity(void)
{
    while (!board_radio_is_on()) {
        vTaskDelay(pdMS_TO_TICKS(20));
    }
    if (board_storage_create(&identity, secret) != BOARD_KEPT) {
        halt("NVS takes no new identity");
    }
    print_label();
    esp_restart(); /* under the new name */
}

void app_main(void);

void app_main(void)
{
    const ecg_release_t running = board_update_running();
    set_up_pins();
    if (board_woke_to_look() && board_sampling_leads_are_off()) {
        board_sleep();
    }
    mutex = xSemaphoreCreateRecursiveMutexStatic(&mutex_buffer);
    memcpy(identity.version, running.version, sizeof identity.version);
    if (ecg_crypto_start() != ECG_OK) {
        halt("PSA Crypto does not start");
    }
    const board_storage_t stored = board_storage_load(&identity, secret);
    if (stored == BOARD_FAILED) {
        halt("NVS can't be read; its keys are not replaced in silence");
    }
    ecg_link_init(&radio_link, &board_radio_port, &sensor);
    if (!open_outbox() || !board_radio_start(&radio_link, &radio_owner, identity.device_id)) {
        halt("outbox or radio does not start");
    }
    if (stored == BOARD_BLANK) {
        make_identity();
    }
    while (!board_radio_is_on()) { /* salts are random only with the radio on */
        vTaskDelay(pdMS_TO_TICKS(20));
    }
    lock();
    if (ecg_sensor_start(&sensor, &identity, &board, &outbox, SAMPLE_RATE_HZ) != ECG_OK) {
        halt("no session can begin");
    }
    take_updates(&running);
    if (!identity.provisioned) {
        open_pairing_window();
    }
    unlock();
    talker = xTaskCreateStatic(run_talker, "talk", STACK_BYTES, NULL, TALKING_PRIORITY,
                               talker_stack, &talker_buffer);
    (void)xTaskCreateStatic(run_sampler, "sample", STACK_BYTES, NULL, SAMPLING_PRIORITY,
                            sampler_stack, &sampler_buffer);
}
