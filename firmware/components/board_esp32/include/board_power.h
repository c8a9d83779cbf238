/* Battery level, and when to sleep. */
#ifndef BOARD_POWER_H
#define BOARD_POWER_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_SLEEP_AFTER_LEAD_OFF_MS 600000u

/* A level that falls only, until the voltage has risen so far that a charger must be there. */
typedef struct {
    uint8_t percent; /* 255: not known yet */
} board_battery_t;

void board_battery_update(board_battery_t *battery, int millivolts);

/* After ten minutes without leads, and only when no frame would be lost by it. */
bool board_may_sleep(uint32_t leads_off_ms, uint32_t held_in_ram);

/* Sleeps, and wakes each five seconds to look at the leads. Does not come back. */
void board_sleep(void);

/* Is this a start that only had to look at the leads? */
bool board_woke_to_look(void);

#endif
