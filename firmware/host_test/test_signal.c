/* ADC readings to 5 µV steps, frames and the measured rate. */
#include "bench.h"

#include "ecg_signal.h"

/* A common AD8232 board on 3.3 V: gain 1100 around 1.65 V; the ADC reads 0.15 to 3.1 V well. */
static const ecg_front_end_t front_end = {1650000, 1100, 150000, 3100000};

static int16_t steps_of(int32_t adc_uv, bool *clipped)
{
    return ecg_steps_of(&front_end, adc_uv, clipped);
}

static void a_millivolt_is_200_steps(void **state)
{
    (void)state;
    bool clipped = true;
    assert_int_equal(steps_of(1650000, &clipped), 0);
    assert_int_equal(steps_of(1650000 + 1100000, &clipped), 200);
    assert_int_equal(steps_of(1650000 - 1100000, &clipped), -200);
    assert_false(clipped);
}

static void steps_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    bool clipped;
    assert_int_equal(steps_of(1650000 + 2749, &clipped), 0);
    assert_int_equal(steps_of(1650000 + 2750, &clipped), 1);
    assert_int_equal(steps_of(1650000 - 2749, &clipped), 0);
    assert_int_equal(steps_of(1650000 - 2750, &clipped), -1);
}

static void the_rails_are_clipped(void **state)
{
    (void)state;
    bool clipped = false;
    (void)steps_of(150001, &clipped);
    assert_false(clipped);
    (void)steps_of(150000, &clipped);
    assert_true(clipped);
    (void)steps_of(3099999, &clipped);
    assert_false(clipped);
    (void)steps_of(3100000, &clipped);
    assert_true(clipped);
}

static void no_reading_is_the_invalid_sample(void **state)
{
    (void)state;
    const ecg_front_end_t low_gain = {0, 1, INT32_MIN, INT32_MAX};
    bool clipped = false;
    assert_int_equal(ecg_steps_of(&low_gain, -200000, &clipped), -INT16_MAX);
    assert_true(clipped);
    assert_int_equal(ecg_steps_of(&low_gain, 200000, &clipped), INT16_MAX);
    assert_true(clipped);
    assert_int_equal(ecg_steps_of(&low_gain, 5 * INT16_MAX, &clipped), INT16_MAX);
    assert_false(clipped);
}

static ecg_reading_t reading_at(uint64_t device_time_us)
{
    return (ecg_reading_t){.device_time_us = device_time_us, .adc_uv = 1650000, .valid = true};
}

static bool push(ecg_frame_builder_t *builder, ecg_reading_t reading)
{
    return ecg_frame_builder_push(builder, &front_end, &reading);
}

static void a_frame_is_187_readings_and_the_time_of_the_first(void **state)
{
    (void)state;
    ecg_frame_builder_t builder;
    ecg_frame_builder_clear(&builder);
    for (unsigned round = 1; round <= 2; round++) {
        for (uint64_t at = 0; at < ECG_SAMPLES_PER_FRAME; at++) {
            assert_int_equal(push(&builder, reading_at((1000u * round) + at)),
                             at == ECG_SAMPLES_PER_FRAME - 1);
        }
        assert_int_equal(builder.first_us, 1000u * round);
        assert_int_equal(builder.flags, 0);
    }
}

static void flags_tell_what_any_sample_saw(void **state)
{
    (void)state;
    ecg_frame_builder_t builder;
    ecg_frame_builder_clear(&builder);
    ecg_reading_t reading = reading_at(0);
    reading.valid = false;
    reading.lead_off_positive = true; /* of a reading that failed nothing is believed */
    (void)push(&builder, reading);
    assert_int_equal(builder.steps[0], ECG_INVALID_SAMPLE);
    assert_int_equal(builder.flags, ECG_FLAG_INVALID_SAMPLES);
    reading.valid = true;
    (void)push(&builder, reading);
    reading = reading_at(0);
    reading.lead_off_negative = true;
    (void)push(&builder, reading);
    reading = reading_at(0);
    reading.adc_uv = 0;
    (void)push(&builder, reading);
    assert_int_equal(builder.flags, 15);
    ecg_frame_builder_clear(&builder);
    (void)push(&builder, reading_at(5));
    assert_int_equal(builder.flags, 0);
    assert_int_equal(builder.first_us, 5);
}

static void the_rate_is_measured_over_the_last_frames(void **state)
{
    (void)state;
    ecg_sample_clock_t clock;
    uint64_t first_us = 5000000;
    ecg_sample_clock_clear(&clock);
    ecg_sample_clock_push(&clock, first_us);
    assert_int_equal(clock.rate_mhz, 0);
    for (unsigned frame = 0; frame < 300; frame++) {
        first_us += 748039; /* 249.987 Hz */
        ecg_sample_clock_push(&clock, first_us);
        assert_int_equal(clock.rate_mhz, 249987);
    }
    for (unsigned frame = 0; frame < 200; frame++) {
        first_us += 747963; /* it has warmed up: 250.012 Hz */
        ecg_sample_clock_push(&clock, first_us);
    }
    assert_int_equal(clock.rate_mhz, 250012);
    ecg_sample_clock_clear(&clock);
    assert_int_equal(clock.rate_mhz, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_millivolt_is_200_steps),
        cmocka_unit_test(steps_are_rounded_to_the_nearest),
        cmocka_unit_test(the_rails_are_clipped),
        cmocka_unit_test(no_reading_is_the_invalid_sample),
        cmocka_unit_test(a_frame_is_187_readings_and_the_time_of_the_first),
        cmocka_unit_test(flags_tell_what_any_sample_saw),
        cmocka_unit_test(the_rate_is_measured_over_the_last_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
