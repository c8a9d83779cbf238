/* From ADC readings to frames of 187 samples of 5 µV, with the lead-off pins and the clock.
 *
 * The AD8232's output swings around mid-rail; what the electrodes saw is its deviation from there
 * divided by the front end's gain.
 */
#ifndef ECG_SIGNAL_H
#define ECG_SIGNAL_H

#include "ecg_types.h"

typedef struct {
    int32_t mid_rail_uv; /* of the AD8232's REFOUT at the ADC */
    int32_t gain;        /* from the electrodes to the ADC: 1100 on the common AD8232 boards */
    int32_t lowest_uv;   /* at or below, and at or above: clipped */
    int32_t highest_uv;
} ecg_front_end_t;

/* Steps of 5 µV at the electrodes, rounded to the nearest, never the invalid sample. */
int16_t ecg_steps_of(const ecg_front_end_t *front_end, int32_t adc_uv, bool *clipped);

/* One frame in the making. */
typedef struct {
    int16_t steps[ECG_SAMPLES_PER_FRAME];
    uint32_t filled;
    uint8_t flags;
    uint64_t first_us;
} ecg_frame_builder_t;

/* What was read at one tick of the sampling timer. */
typedef struct {
    uint64_t device_time_us;
    int32_t adc_uv;
    bool valid; /* false: the reading was late or failed */
    bool lead_off_positive;
    bool lead_off_negative;
} ecg_reading_t;

void ecg_frame_builder_clear(ecg_frame_builder_t *builder);

/* True when the frame is full; the next reading begins another one. */
bool ecg_frame_builder_push(ecg_frame_builder_t *builder, const ecg_front_end_t *front_end,
                            const ecg_reading_t *reading);

/* The rate that the sensor's clock really gives, as a mean over the last 64 to 128 frames. */
typedef struct {
    uint64_t from_us;
    uint64_t half_us;
    uint32_t frames;
    uint32_t rate_mhz; /* millihertz; 0 until two frames were seen */
} ecg_sample_clock_t;

/* Tells when sample 0 of the next frame was taken. Clear it where samples were left out. */
void ecg_sample_clock_push(ecg_sample_clock_t *clock, uint64_t first_us);
void ecg_sample_clock_clear(ecg_sample_clock_t *clock);

#endif
