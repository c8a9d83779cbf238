#include "ecg_signal.h"

#include <string.h>

#define STEP_UV 5
#define HALF_WINDOW_FRAMES 64u
#define MOST_STEPS INT16_MAX

int16_t ecg_steps_of(const ecg_front_end_t *front_end, int32_t adc_uv, bool *clipped)
{
    const int32_t divisor = front_end->gain * STEP_UV;
    const int32_t deviation = adc_uv - front_end->mid_rail_uv;
    const int32_t half = divisor / 2;
    int32_t steps = (deviation + ((deviation < 0) ? -half : half)) / divisor;
    *clipped = (adc_uv <= front_end->lowest_uv) || (adc_uv >= front_end->highest_uv);
    if (steps > MOST_STEPS) {
        steps = MOST_STEPS;
        *clipped = true;
    }
    if (steps < -MOST_STEPS) {
        steps = -MOST_STEPS;
        *clipped = true;
    }
    return (int16_t)steps;
}

void ecg_frame_builder_clear(ecg_frame_builder_t *builder)
{
    builder->filled = 0u;
    builder->flags = 0u;
}

bool ecg_frame_builder_push(ecg_frame_builder_t *builder, const ecg_front_end_t *front_end,
                            const ecg_reading_t *reading)
{
    bool clipped = false;
    if (builder->filled == ECG_SAMPLES_PER_FRAME) {
        ecg_frame_builder_clear(builder);
    }
    if (builder->filled == 0u) {
        builder->first_us = reading->device_time_us;
    }
    uint32_t flags = builder->flags;
    int16_t steps = ECG_INVALID_SAMPLE;
    if (reading->valid) {
        steps = ecg_steps_of(front_end, reading->adc_uv, &clipped);
        flags |= reading->lead_off_positive ? ECG_FLAG_LEAD_OFF_POSITIVE : 0u;
        flags |= reading->lead_off_negative ? ECG_FLAG_LEAD_OFF_NEGATIVE : 0u;
        flags |= clipped ? ECG_FLAG_CLIPPED : 0u;
    } else {
        flags |= ECG_FLAG_INVALID_SAMPLES;
    }
    builder->flags = (uint8_t)flags;
    builder->steps[builder->filled] = steps;
    builder->filled++;
    return builder->filled == ECG_SAMPLES_PER_FRAME;
}

void ecg_sample_clock_clear(ecg_sample_clock_t *clock)
{
    memset(clock, 0, sizeof *clock);
}

void ecg_sample_clock_push(ecg_sample_clock_t *clock, uint64_t first_us)
{
    const uint64_t millihertz_us = 1000000000u * (uint64_t)ECG_SAMPLES_PER_FRAME;
    if (clock->frames == 0u) {
        clock->from_us = first_us;
    }
    if (clock->frames == HALF_WINDOW_FRAMES) {
        clock->half_us = first_us;
    }
    if (clock->frames == (2u * HALF_WINDOW_FRAMES)) {
        clock->from_us = clock->half_us;
        clock->half_us = first_us;
        clock->frames = HALF_WINDOW_FRAMES;
    }
    const uint64_t elapsed_us = first_us - clock->from_us;
    if (elapsed_us > 0u) {
        clock->rate_mhz = (uint32_t)(((clock->frames * millihertz_us) + (elapsed_us / 2u)) /
                                     elapsed_us);
    }
    clock->frames++;
}
