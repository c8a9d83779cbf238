#include "board_power.h"

#include <stddef.h>

#include "esp_sleep.h"

#define UNKNOWN 255u
#define CHARGER_RISE_PERCENT 10u
#define LOOK_EACH_US 5000000u

/* A lithium-polymer cell under a light load: millivolts of each tenth, from empty to full. */
static const int tenths_mv[] = {3300, 3550, 3640, 3690, 3720, 3760, 3810, 3870, 3950, 4050, 4180};
#define TENTHS (sizeof tenths_mv / sizeof tenths_mv[0])

static uint8_t percent_of(int millivolts)
{
    if (millivolts <= tenths_mv[0]) {
        return 0u;
    }
    for (size_t at = 1u; at < TENTHS; at++) {
        if (millivolts < tenths_mv[at]) {
            const int below = tenths_mv[at - 1u];
            const int part = (10 * (millivolts - below)) / (tenths_mv[at] - below);
            return (uint8_t)((10u * (at - 1u)) + (unsigned)part);
        }
    }
    return 100u;
}

void board_battery_update(board_battery_t *battery, int millivolts)
{
    if (millivolts <= 0) { /* it could not be read: what was known stays */
        return;
    }
    const uint8_t percent = percent_of(millivolts);
    const bool charged = percent >= (battery->percent + CHARGER_RISE_PERCENT);
    if ((battery->percent == UNKNOWN) || (percent < battery->percent) || charged) {
        battery->percent = percent;
    }
}

bool board_may_sleep(uint32_t leads_off_ms, uint32_t held_in_ram)
{
    return (leads_off_ms >= BOARD_SLEEP_AFTER_LEAD_OFF_MS) && (held_in_ram == 0u);
}

void board_sleep(void)
{
    (void)esp_sleep_enable_timer_wakeup(LOOK_EACH_US);
    esp_deep_sleep_start();
}

bool board_woke_to_look(void)
{
    return esp_sleep_get_wakeup_cause() == ESP_SLEEP_WAKEUP_TIMER;
}
