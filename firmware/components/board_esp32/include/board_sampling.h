/* Readings of the AD8232 at a steady rate: a gptimer ticks, and a task reads ADC1 in oneshot mode.
 *
 * The timer's interrupt only counts. What the task could not read in time, as while flash is erased,
 * becomes an invalid reading: the sample axis never slips.
 */
#ifndef BOARD_SAMPLING_H
#define BOARD_SAMPLING_H

#include "ecg_signal.h"

typedef struct {
    uint32_t period_us;
    uint32_t due;    /* readings, the last of them now and the others missed */
    uint32_t missed; /* so far */
} board_sampling_t;

/* Sets up pins, ADC and timer; the calling task is the one that the timer wakes. */
bool board_sampling_start(board_sampling_t *sampling, uint16_t rate_hz);

/* Waits for the timer; then each call of next gives one reading, until it gives false. */
void board_sampling_wait(board_sampling_t *sampling);
bool board_sampling_next(board_sampling_t *sampling, ecg_reading_t *reading);

bool board_sampling_leads_are_off(void);

/* Of the battery, behind its divider; 0 when it can't be read. */
int board_battery_millivolts(void);

#endif
