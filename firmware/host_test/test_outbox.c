/* What a sensor holds: nothing is forgotten unacknowledged, nothing lost stays lost. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define RATE_HZ 374u /* a frame each 500 ms */
#define SECTORS 8u
#define RAM ECG_LEAST_RAM_FRAMES

static uint8_t ram[RAM + 239u][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(RAM + 239u, SECTORS *ECG_FLASH_SLOTS_PER_SECTOR)];
static ecg_outbox_t outbox;
static test_flash_t chip;
static ecg_flash_t flash;
static ecg_flash_ring_t ring;
static ecg_session_id_t first_session;
static ecg_session_id_t later_session;

static void start(uint32_t ram_frames, bool with_flash)
{
    first_session = session_of(1);
    later_session = session_of(2);
    flash_init(&chip);
    flash = flash_of(&chip, SECTORS);
    assert_int_equal(ecg_flash_ring_open(&ring, &flash), ECG_OK);
    assert_int_equal(ecg_outbox_init(&outbox, ram, ram_frames, with_flash ? &ring : NULL, map),
                     ECG_OK);
}

static void restart(void)
{
    assert_int_equal(ecg_flash_ring_open(&ring, &flash), ECG_OK);
    assert_int_equal(ecg_outbox_init(&outbox, ram, RAM, &ring, map), ECG_OK);
}

static void add(const ecg_session_id_t *session, uint32_t from, uint32_t to, bool live)
{
    uint8_t frame[ECG_FRAME_BYTES];
    for (uint32_t sequence = from; sequence < to; sequence++) {
        plain_frame(session, sequence, frame);
        ecg_outbox_add(&outbox, session, sequence, frame, live);
    }
}

/* Takes all that goes now, and holds it against the sequences from..to. */
static void expect(uint32_t now_ms, uint32_t from, uint32_t to)
{
    uint8_t frame[ECG_FRAME_BYTES];
    for (uint32_t sequence = from; sequence < to; sequence++) {
        assert_true(ecg_outbox_take(&outbox, now_ms, RATE_HZ, frame));
        assert_int_equal(sequence_of(frame), sequence);
    }
    assert_false(ecg_outbox_take(&outbox, now_ms, RATE_HZ, frame));
}

static void take_all(uint32_t now_ms)
{
    uint8_t frame[ECG_FRAME_BYTES];
    while (ecg_outbox_take(&outbox, now_ms, RATE_HZ, frame)) {
        /* sent */
    }
}

static void acknowledge(const ecg_session_id_t *session, uint32_t next, uint32_t now_ms)
{
    const ecg_acknowledgement_t acknowledgement = acknowledgement_of(session, next);
    ecg_outbox_acknowledge(&outbox, DEVICE_ID, &acknowledgement, now_ms);
}

static void live_goes_first_and_the_backlog_oldest_first(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 20, false);
    add(&first_session, 20, 22, true);
    uint8_t frame[ECG_FRAME_BYTES];
    for (uint32_t sequence = 20; sequence < 22; sequence++) {
        assert_true(ecg_outbox_take(&outbox, 100000, RATE_HZ, frame));
        assert_int_equal(sequence_of(frame), sequence);
    }
    expect(100000, 0, ECG_BACKLOG_BURST_FRAMES);
}

static void the_backlog_goes_at_four_times_real_time(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 150, false);
    expect(100000, 0, 8);
    for (uint32_t tick = 1; tick <= 40; tick++) {
        expect(100000 + (tick * 250), 8 + (2 * (tick - 1)), 8 + (2 * tick));
        acknowledge(&first_session, 8 + (2 * tick), 100000 + (tick * 250));
    }
}

static void what_a_later_acknowledgement_passes_over_is_sent_again(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 5, true);
    take_all(100000);
    ecg_acknowledgement_t acknowledgement = acknowledgement_of(&first_session, 2);
    acknowledgement.count = 1;
    acknowledgement.ranges[0] = (ecg_range_t){3, 4};
    ecg_outbox_acknowledge(&outbox, DEVICE_ID, &acknowledgement, 100100);
    assert_int_equal(outbox.acknowledged, 4);
    expect(100200, 2, 3);
    assert_int_equal(outbox.resent, 1);
}

static void what_was_sent_after_the_acknowledged_one_is_under_way(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 5, true);
    take_all(100000);
    acknowledge(&first_session, 3, 100100);
    expect(100200, 0, 0);
}

static void without_news_all_is_sent_again_and_news_renew_the_patience(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 2, true);
    take_all(100000);
    expect(104999, 0, 0);
    acknowledge(&first_session, 1, 104999);
    acknowledge(&first_session, 1, 108000);
    expect(109998, 0, 0);
    expect(109999, 1, 2);
    ecg_acknowledgement_t longer = acknowledgement_of(&first_session, 0);
    longer.resend_after_s = 20;
    ecg_outbox_acknowledge(&outbox, DEVICE_ID, &longer, 110000);
    expect(129998, 0, 0);
    expect(129999, 1, 2);
}

static void another_sessions_news_hide_no_lost_last_frame(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 7, 8, true);
    add(&later_session, 0, 1, true);
    take_all(100000);
    acknowledge(&later_session, 1, 104000);
    expect(105000, 7, 8);
}

static void another_sensors_or_sessions_acknowledgement_forgets_nothing(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 3, true);
    const ecg_acknowledgement_t acknowledgement = acknowledgement_of(&first_session, 3);
    ecg_outbox_acknowledge(&outbox, DEVICE_ID + 1u, &acknowledgement, 1);
    acknowledge(&later_session, 3, 1);
    assert_int_equal(outbox.held, 3);
}

static void a_lost_link_makes_a_backlog_of_what_was_under_way(void **state)
{
    (void)state;
    start(RAM, false);
    add(&first_session, 0, 3, true);
    take_all(100000);
    add(&first_session, 3, 5, true);
    ecg_outbox_link_lost(&outbox);
    expect(101000, 0, 5);
    assert_int_equal(outbox.resent, 3);
}

static void at_most_a_window_is_under_way(void **state)
{
    (void)state;
    start(RAM + 239, false);
    add(&first_session, 0, ECG_WINDOW_FRAMES + 1, true);
    expect(100000, 0, ECG_WINDOW_FRAMES);
    acknowledge(&first_session, 1, 100100);
    expect(100200, ECG_WINDOW_FRAMES, ECG_WINDOW_FRAMES + 1);
}

static void full_ram_without_flash_gives_up_the_oldest_and_counts_it(void **state)
{
    (void)state;
    uint32_t oldest = 99;
    start(RAM, false);
    add(&first_session, 0, RAM + 2, true);
    assert_int_equal(outbox.held, RAM);
    assert_int_equal(outbox.overwritten, 2);
    assert_true(ecg_outbox_oldest(&outbox, &first_session, &oldest));
    assert_int_equal(oldest, 2);
    assert_false(ecg_outbox_oldest(&outbox, &later_session, &oldest));
    take_all(1);
    add(&first_session, RAM + 2, RAM + 4, true); /* gives up frames that are in flight */
    assert_int_equal(outbox.overwritten, 4);
    assert_int_equal(outbox.flight_count, RAM - 2);
    assert_int_equal(ecg_outbox_flush(&outbox), 0);
    assert_int_equal(outbox.held, RAM);
}

static void a_minute_is_the_least_ram(void **state)
{
    (void)state;
    assert_int_equal(ecg_outbox_init(&outbox, ram, RAM - 1, NULL, map), ECG_WRONG_SIZE);
}

static void what_leaves_the_ram_goes_to_flash_and_comes_back(void **state)
{
    (void)state;
    uint8_t frame[ECG_FRAME_BYTES];
    uint8_t expected[ECG_FRAME_BYTES];
    start(RAM, true);
    add(&first_session, 0, RAM + 40, false);
    assert_int_equal(outbox.held, RAM + 40);
    assert_int_equal(ring.head, 40);
    for (uint32_t age = 0; age < RAM + 40; age++) {
        plain_frame(&first_session, age, expected);
        assert_true(ecg_outbox_read(&outbox, age, frame));
        assert_memory_equal(frame, expected, ECG_FRAME_BYTES);
    }
    assert_false(ecg_outbox_read(&outbox, RAM + 40, frame));
    expect(100000, 0, 8);
    acknowledge(&first_session, 30, 100100);
    assert_false(ecg_outbox_read(&outbox, 29, frame));
    assert_int_equal(ecg_outbox_flash_floor(&outbox), 30);
    assert_int_equal(outbox.overwritten, 0);
}

static void flash_is_found_again_after_a_restart(void **state)
{
    (void)state;
    uint32_t oldest = 0;
    start(RAM, true);
    add(&first_session, 0, RAM + 20, false);
    acknowledge(&first_session, 5, 1);
    restart();
    assert_int_equal(outbox.held, 15);
    assert_true(ecg_outbox_oldest(&outbox, &first_session, &oldest));
    assert_int_equal(oldest, 5);
    add(&later_session, 0, 2, false);
    expect(100000, 5, 13);
}

static void a_restart_that_was_announced_loses_nothing(void **state)
{
    (void)state;
    start(RAM, true);
    add(&first_session, 0, 50, false);
    assert_int_equal(ecg_outbox_flush(&outbox), 0);
    restart();
    assert_int_equal(outbox.held, 50);
    add(&later_session, 0, 4, true);
    assert_int_equal(outbox.held, 54);
    acknowledge(&first_session, 50, 1);
    acknowledge(&later_session, 4, 1);
    assert_int_equal(outbox.held, 0);
    assert_int_equal(outbox.run_count, 0);
}

static void a_restart_is_survived_by_what_fits_into_flash(void **state)
{
    (void)state;
    const uint32_t slots = SECTORS * ECG_FLASH_SLOTS_PER_SECTOR;
    start(RAM, false);
    assert_true(ecg_outbox_survives_restart(&outbox));
    add(&first_session, 0, 1, false);
    assert_false(ecg_outbox_survives_restart(&outbox));
    start(RAM, true);
    uint32_t held = 0;
    while (ecg_outbox_survives_restart(&outbox)) {
        add(&first_session, held, held + 1, false);
        held++;
    }
    assert_in_range(held, slots / 2u, slots - ECG_FRAMES_BEFORE_RESTART);
    add(&first_session, held, held + ECG_FRAMES_BEFORE_RESTART - 1u, false);
    assert_int_equal(ecg_outbox_flush(&outbox), 0);
    assert_int_equal(outbox.held, held + ECG_FRAMES_BEFORE_RESTART - 1u);
}

static void a_full_flash_gives_up_a_sector_of_the_oldest(void **state)
{
    (void)state;
    const uint32_t slots = SECTORS * ECG_FLASH_SLOTS_PER_SECTOR;
    uint32_t oldest = 0;
    start(RAM, true);
    add(&first_session, 0, RAM + slots, false);
    assert_int_equal(outbox.overwritten, 0);
    assert_int_equal(outbox.held, RAM + slots);
    add(&first_session, RAM + slots, RAM + slots + 1, false);
    assert_int_equal(outbox.overwritten, ECG_FLASH_SLOTS_PER_SECTOR);
    assert_true(ecg_outbox_oldest(&outbox, &first_session, &oldest));
    assert_int_equal(oldest, ECG_FLASH_SLOTS_PER_SECTOR);
}

static void a_frame_that_is_never_taken_is_given_up_after_a_lap(void **state)
{
    (void)state;
    const uint32_t slots = SECTORS * ECG_FLASH_SLOTS_PER_SECTOR;
    start(RAM, true);
    add(&first_session, 0, RAM + 1, true); /* 0 goes to flash, and is never acknowledged */
    for (uint32_t at = RAM + 1; at < RAM + slots + 8; at++) {
        ecg_acknowledgement_t but_0 = acknowledgement_of(&first_session, 0);
        but_0.count = 1;
        but_0.ranges[0] = (ecg_range_t){1, at};
        assert_int_equal(outbox.overwritten, (at > RAM + slots) ? 1 : 0);
        add(&first_session, at, at + 1, true);
        ecg_outbox_acknowledge(&outbox, DEVICE_ID, &but_0, 1);
    }
    assert_int_equal(outbox.held, 0);
    add(&first_session, RAM + slots + 8, (2 * RAM) + slots + 10, false);
    assert_int_equal(ring.head, 4); /* flash goes on where it stopped */
}

static void failing_flash_is_counted_and_gives_frames_up(void **state)
{
    (void)state;
    start(RAM, true);
    add(&first_session, 0, RAM + 2, false);
    chip.program_fails = true;
    add(&first_session, RAM + 2, RAM + 3, false);
    assert_int_equal(outbox.overwritten, 1);
    assert_int_equal(outbox.storage_failures, 1);
    acknowledge(&first_session, 1, 1); /* it can't be marked as forgotten either */
    assert_int_equal(outbox.storage_failures, 2);
    chip.program_fails = false;
    chip.read_fails = true;
    uint8_t frame[ECG_FRAME_BYTES];
    assert_true(ecg_outbox_take(&outbox, 100000, RATE_HZ, frame)); /* the first from RAM */
    assert_int_equal(sequence_of(frame), 3);
    assert_int_equal(outbox.overwritten, 2);
}

static void the_65th_session_gives_up_the_first(void **state)
{
    (void)state;
    start(RAM, false);
    for (uint32_t boot = 1; boot <= ECG_MOST_RUNS; boot++) {
        const ecg_session_id_t session = session_of(boot);
        add(&session, 0, 2, false);
    }
    assert_int_equal(outbox.overwritten, 0);
    const ecg_session_id_t last = session_of(100);
    add(&last, 0, 1, false);
    assert_int_equal(outbox.overwritten, 2);
    assert_int_equal(outbox.run_count, ECG_MOST_RUNS);
}

/* A radio that loses what it likes, for a while: held and acknowledged are together all. */
static void any_order_of_events_loses_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        bool arrived[400] = {false};
        uint32_t made = 0;
        uint32_t next = 0;
        uint32_t now_ms = 100000;
        uint8_t frame[ECG_FRAME_BYTES];
        srand(seed);
        start(RAM, true);
        for (unsigned step = 0; (step < 4000) && ((made < 200) || (outbox.held > 0)); step++) {
            const int choice = (made < 200) ? (rand() % 6) : (2 + (rand() % 2));
            now_ms += (uint32_t)(rand() % 1500);
            if (choice <= 1) {
                add(&first_session, made, made + 1, choice == 0);
                made++;
            } else if (choice == 2) {
                while (ecg_outbox_take(&outbox, now_ms, RATE_HZ, frame)) {
                    const bool lost = (made < 200) && (rand() % 3 == 0);
                    arrived[sequence_of(frame)] = arrived[sequence_of(frame)] || !lost;
                }
            } else if (choice == 3) {
                while (arrived[next]) {
                    next++;
                }
                acknowledge(&first_session, next, now_ms);
                assert_int_equal(outbox.held, made - next);
            } else if (choice == 4 && rand() % 4 == 0) {
                ecg_outbox_link_lost(&outbox);
            }
        }
        assert_int_equal(outbox.held, 0);
        assert_int_equal(outbox.overwritten, 0);
        assert_int_equal(outbox.acknowledged, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_goes_first_and_the_backlog_oldest_first),
        cmocka_unit_test(the_backlog_goes_at_four_times_real_time),
        cmocka_unit_test(what_a_later_acknowledgement_passes_over_is_sent_again),
        cmocka_unit_test(what_was_sent_after_the_acknowledged_one_is_under_way),
        cmocka_unit_test(without_news_all_is_sent_again_and_news_renew_the_patience),
        cmocka_unit_test(another_sessions_news_hide_no_lost_last_frame),
        cmocka_unit_test(another_sensors_or_sessions_acknowledgement_forgets_nothing),
        cmocka_unit_test(a_lost_link_makes_a_backlog_of_what_was_under_way),
        cmocka_unit_test(at_most_a_window_is_under_way),
        cmocka_unit_test(full_ram_without_flash_gives_up_the_oldest_and_counts_it),
        cmocka_unit_test(a_minute_is_the_least_ram),
        cmocka_unit_test(what_leaves_the_ram_goes_to_flash_and_comes_back),
        cmocka_unit_test(flash_is_found_again_after_a_restart),
        cmocka_unit_test(a_restart_that_was_announced_loses_nothing),
        cmocka_unit_test(a_restart_is_survived_by_what_fits_into_flash),
        cmocka_unit_test(a_full_flash_gives_up_a_sector_of_the_oldest),
        cmocka_unit_test(a_frame_that_is_never_taken_is_given_up_after_a_lap),
        cmocka_unit_test(failing_flash_is_counted_and_gives_frames_up),
        cmocka_unit_test(the_65th_session_gives_up_the_first),
        cmocka_unit_test(any_order_of_events_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
