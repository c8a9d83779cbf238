#include "board_sampling.h"

#include "board_pins.h"
#include "driver/gpio.h"
#include "driver/gptimer.h"
#include "esp_adc/adc_cali.h"
#include "esp_adc/adc_cali_scheme.h"
#include "esp_adc/adc_oneshot.h"
#include "esp_timer.h"
#include "freertos/task.h"

#define TIMER_HZ 8000000u
#define READINGS_PER_SAMPLE 4 /* averaged: it halves the ADC's own noise */
#define UV_PER_MV 1000
#define BATTERY_DIVIDER 2

static adc_oneshot_unit_handle_t adc;
static adc_cali_handle_t calibration;
static gptimer_handle_t timer;
static TaskHandle_t sampler;

static bool on_tick(gptimer_handle_t which, const gptimer_alarm_event_data_t *event, void *context)
{
    BaseType_t woken = pdFALSE;
    (void)which;
    (void)event;
    (void)context;
    vTaskNotifyGiveFromISR(sampler, &woken);
    return woken == pdTRUE;
}

static bool create_calibration(void)
{
#if ADC_CALI_SCHEME_CURVE_FITTING_SUPPORTED
    const adc_cali_curve_fitting_config_t config = {.unit_id = ADC_UNIT_1,
                                                    .chan = BOARD_ECG_CHANNEL,
                                                    .atten = ADC_ATTEN_DB_12,
                                                    .bitwidth = ADC_BITWIDTH_DEFAULT};
    return adc_cali_create_scheme_curve_fitting(&config, &calibration) == ESP_OK;
#else
    const adc_cali_line_fitting_config_t config = {
        .unit_id = ADC_UNIT_1, .atten = ADC_ATTEN_DB_12, .bitwidth = ADC_BITWIDTH_DEFAULT};
    return adc_cali_create_scheme_line_fitting(&config, &calibration) == ESP_OK;
#endif
}

static bool start_adc(void)
{
    const adc_oneshot_unit_init_cfg_t unit = {.unit_id = ADC_UNIT_1};
    const adc_oneshot_chan_cfg_t channel = {ADC_ATTEN_DB_12, ADC_BITWIDTH_DEFAULT};
    return (adc_oneshot_new_unit(&unit, &adc) == ESP_OK) &&
           (adc_oneshot_config_channel(adc, BOARD_ECG_CHANNEL, &channel) == ESP_OK) &&
           (adc_oneshot_config_channel(adc, BOARD_BATTERY_CHANNEL, &channel) == ESP_OK) &&
           create_calibration();
}

static bool start_pins(void)
{
    const gpio_config_t leads = {
        .pin_bit_mask = (1ull << BOARD_LEAD_OFF_POSITIVE) | (1ull << BOARD_LEAD_OFF_NEGATIVE),
        .mode = GPIO_MODE_INPUT,
        .pull_down_en = GPIO_PULLDOWN_DISABLE,
    };
    return gpio_config(&leads) == ESP_OK;
}

static bool start_timer(uint16_t rate_hz)
{
    const gptimer_config_t config = {.clk_src = GPTIMER_CLK_SRC_DEFAULT,
                                     .direction = GPTIMER_COUNT_UP,
                                     .resolution_hz = TIMER_HZ};
    const gptimer_alarm_config_t alarm = {
        .alarm_count = (TIMER_HZ + (rate_hz / 2u)) / rate_hz,
        .flags = {.auto_reload_on_alarm = 1u},
    };
    const gptimer_event_callbacks_t callbacks = {.on_alarm = on_tick};
    if (timer != NULL) { /* another rate */
        return gptimer_set_alarm_action(timer, &alarm) == ESP_OK;
    }
    return (gptimer_new_timer(&config, &timer) == ESP_OK) &&
           (gptimer_set_alarm_action(timer, &alarm) == ESP_OK) &&
           (gptimer_register_event_callbacks(timer, &callbacks, NULL) == ESP_OK) &&
           (gptimer_enable(timer) == ESP_OK) && (gptimer_start(timer) == ESP_OK);
}

bool board_sampling_start(board_sampling_t *sampling, uint16_t rate_hz)
{
    *sampling = (board_sampling_t){.period_us = 1000000u / rate_hz};
    sampler = xTaskGetCurrentTaskHandle();
    if ((adc == NULL) && !(start_pins() && start_adc())) {
        return false;
    }
    return start_timer(rate_hz);
}

void board_sampling_wait(board_sampling_t *sampling)
{
    sampling->due += ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
}

static bool read_microvolts(adc_channel_t channel, int32_t *microvolts)
{
    int32_t sum_mv = 0;
    for (int at = 0; at < READINGS_PER_SAMPLE; at++) {
        int raw = 0;
        int millivolts = 0;
        if ((adc_oneshot_read(adc, channel, &raw) != ESP_OK) ||
            (adc_cali_raw_to_voltage(calibration, raw, &millivolts) != ESP_OK)) {
            return false;
        }
        sum_mv += millivolts;
    }
    *microvolts = (sum_mv * UV_PER_MV) / READINGS_PER_SAMPLE;
    return true;
}

bool board_sampling_next(board_sampling_t *sampling, ecg_reading_t *reading)
{
    if (sampling->due == 0u) {
        return false;
    }
    sampling->due--;
    const uint64_t late_us = (uint64_t)sampling->due * sampling->period_us;
    *reading = (ecg_reading_t){.device_time_us = (uint64_t)esp_timer_get_time() - late_us};
    if (sampling->due > 0u) {
        sampling->missed++;
        return true;
    }
    reading->valid = read_microvolts(BOARD_ECG_CHANNEL, &reading->adc_uv);
    reading->lead_off_positive = gpio_get_level(BOARD_LEAD_OFF_POSITIVE) != 0;
    reading->lead_off_negative = gpio_get_level(BOARD_LEAD_OFF_NEGATIVE) != 0;
    return true;
}

bool board_sampling_leads_are_off(void)
{
    return (gpio_get_level(BOARD_LEAD_OFF_POSITIVE) != 0) ||
           (gpio_get_level(BOARD_LEAD_OFF_NEGATIVE) != 0);
}

int board_battery_millivolts(void)
{
    int32_t microvolts = 0;
    const bool read = read_microvolts(BOARD_BATTERY_CHANNEL, &microvolts);
    return read ? (int)((microvolts * BATTERY_DIVIDER) / UV_PER_MV) : 0;
}
