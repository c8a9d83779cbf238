/* What goes out over a connection: back-pressure, lost links, every MTU. */
#include "bench.h"

#include <string.h>

#include "ecg_link.h"

static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, 0u)];
static ecg_outbox_t outbox;
static ecg_sensor_t sensor;
static ecg_identity_t identity;
static test_board_t state_of_board;
static ecg_board_t board;
static ecg_link_t ecg_link;

/* The central: it takes `room` values, then the queue is full; and it puts pieces together. */
static struct {
    unsigned room;
    bool gone;
    unsigned values;
    ecg_outlet_t last;
    size_t longest;
    unsigned messages[4];
    uint8_t control_types[4]; /* of the first messages on control */
    uint8_t gathered[4][ECG_FRAME_BYTES];
    ecg_reassembler_t reassemblers[4];
} central;

static ecg_send_result_t take_value(void *context, ecg_outlet_t outlet, const uint8_t *value,
                                    size_t length)
{
    (void)context;
    if (central.gone) {
        return ECG_LINK_GONE;
    }
    if (central.room == 0) {
        return ECG_RADIO_FULL;
    }
    central.room--;
    central.values++;
    central.last = outlet;
    central.longest = (length > central.longest) ? length : central.longest;
    if (ecg_reassembler_push(&central.reassemblers[outlet], value, length, 0) > 0) {
        if (outlet == ECG_ON_CONTROL) {
            central.control_types[central.messages[outlet] % 4u] = central.gathered[outlet][0];
        }
        central.messages[outlet]++;
    }
    return ECG_SENT;
}

static const ecg_radio_t radio = {NULL, take_value};

static int start(void **state)
{
    (void)state;
    memset(&central, 0, sizeof central);
    for (size_t at = 0; at < 4; at++) {
        ecg_reassembler_init(&central.reassemblers[at], central.gathered[at], ECG_FRAME_BYTES);
    }
    central.room = 1000;
    state_of_board = (test_board_t){0};
    board = board_of(&state_of_board);
    identity = (ecg_identity_t){.device_id = DEVICE_ID, .boot_id = 1};
    ecg_result_t result = ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, NULL, map);
    if (result == ECG_OK) {
        result = ecg_sensor_start(&sensor, &identity, &board, &outbox, 250);
    }
    ecg_link_init(&ecg_link, &radio, &sensor);
    return (int)result;
}

static int stop(void **state)
{
    (void)state;
    ecg_sensor_stop(&sensor);
    return 0;
}

static void connect_with(uint16_t mtu)
{
    ecg_link_connected(&ecg_link, 0);
    ecg_link_mtu(&ecg_link, mtu);
    ecg_link_subscribed(&ecg_link, ECG_ON_FRAMES, true);
}

static void sample(unsigned frames)
{
    const int16_t steps[ECG_SAMPLES_PER_FRAME] = {0};
    for (unsigned at = 0; at < frames; at++) {
        assert_int_equal(ecg_sensor_sampled(&sensor, steps, 0, 0), ECG_OK);
    }
}

/* Writes a sealed command as the gateway does, in pieces of `mtu`. */
static void order(ecg_inlet_t inlet, uint8_t type, uint64_t counter, size_t mtu)
{
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    uint8_t value[ECG_MOST_MTU];
    ecg_cutter_t cutter;
    const size_t size = gateway_seals(identity.root_key, &sensor.running.id, type, counter,
                                      NULL, 0, sealed);
    assert_true(ecg_cutter_start(&cutter, sealed, size, mtu - 3u, (uint8_t)counter));
    for (size_t n = ecg_cutter_piece(&cutter, value); n > 0; n = ecg_cutter_piece(&cutter, value)) {
        ecg_link_written(&ecg_link, inlet, value, n, 0);
        ecg_cutter_sent(&cutter);
    }
}

static void ask_for_status(uint64_t counter, size_t mtu)
{
    order(ECG_FROM_CONTROL, ECG_REQUEST_STATUS, counter, mtu);
}

static void frames_arrive_whole_at(uint16_t mtu, unsigned values)
{
    sample(2);
    connect_with(mtu);
    ecg_link_pump(&ecg_link, 100000);
    assert_int_equal(central.messages[ECG_ON_FRAMES], 2);
    assert_int_equal(central.values, 2 * values);
    assert_true(central.longest <= (size_t)mtu - 3u);
    assert_int_equal(sequence_of(central.gathered[ECG_ON_FRAMES]), 1);
}

static void frames_arrive_whole_at_mtu_23(void **state)
{
    (void)state;
    frames_arrive_whole_at(23, 25);
}

static void frames_arrive_whole_at_mtu_517(void **state)
{
    (void)state;
    frames_arrive_whole_at(517, 1);
}

static void an_mtu_out_of_range_is_brought_into_it(void **state)
{
    (void)state;
    ecg_link_mtu(&ecg_link, 9);
    assert_int_equal(ecg_link.mtu, ECG_LEAST_MTU);
    ecg_link_mtu(&ecg_link, 600);
    assert_int_equal(ecg_link.mtu, ECG_MOST_MTU);
    frames_arrive_whole_at(517, 1);
}

static void a_full_queue_keeps_the_piece_until_there_is_room(void **state)
{
    (void)state;
    sample(1);
    connect_with(23);
    central.room = 10;
    ecg_link_pump(&ecg_link, 100000);
    assert_int_equal(central.values, 10);
    ecg_link_pump(&ecg_link, 100001); /* still full: nothing is lost, nothing skipped */
    assert_int_equal(central.values, 10);
    central.room = 100;
    ecg_link_pump(&ecg_link, 100002);
    assert_int_equal(central.values, 25);
    assert_int_equal(central.messages[ECG_ON_FRAMES], 1);
    assert_int_equal(outbox.resent, 0);
}

static void a_link_lost_in_mid_frame_sends_the_frame_anew(void **state)
{
    (void)state;
    sample(1);
    connect_with(23);
    central.room = 10;
    ecg_link_pump(&ecg_link, 100000);
    central.gone = true;
    ecg_link_pump(&ecg_link, 100001);
    assert_false(sensor.connected);
    ecg_link_pump(&ecg_link, 100002);
    assert_int_equal(central.values, 10);
    central.gone = false;
    central.room = 100;
    ecg_reassembler_drop(&central.reassemblers[ECG_ON_FRAMES]);
    connect_with(247);
    ecg_link_pump(&ecg_link, 100003);
    assert_int_equal(central.messages[ECG_ON_FRAMES], 1);
    assert_int_equal(outbox.resent, 1);
}

static void frames_go_only_to_whom_has_subscribed_to_them(void **state)
{
    (void)state;
    sample(1);
    connect_with(517);
    ecg_link_subscribed(&ecg_link, ECG_ON_CONTROL, false); /* another's event changes nothing */
    assert_true(ecg_link.wants_frames);
    ecg_link_subscribed(&ecg_link, ECG_ON_FRAMES, false);
    ecg_link_pump(&ecg_link, 100000);
    assert_int_equal(central.values, 0);
    assert_int_equal(outbox.flight_count, 0);
}

static void replies_go_first_and_each_piece_waits_for_its_confirmation(void **state)
{
    (void)state;
    sample(3);
    connect_with(50);
    ask_for_status(1, 50);
    unsigned rounds = 0;
    while (central.messages[ECG_ON_CONTROL] < 2) { /* the answer and the held report */
        ecg_link_pump(&ecg_link, 100000);
        assert_int_equal(central.last, ECG_ON_CONTROL);
        ecg_link_pump(&ecg_link, 100000);
        rounds++;
        assert_int_equal(central.values, rounds);
        ecg_link_confirmed(&ecg_link);
    }
    assert_int_equal(central.control_types[0], ECG_ANSWER);
    assert_int_equal(central.control_types[1], ECG_HELD_REPORT);
    assert_int_equal(central.messages[ECG_ON_FRAMES], 0);
    ecg_link_pump(&ecg_link, 100000);
    assert_int_equal(central.messages[ECG_ON_FRAMES], 3);
}

static void acknowledgements_reach_the_sensor(void **state)
{
    (void)state;
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    uint8_t payload[ECG_PAYLOAD_MOST_BYTES];
    uint8_t value[ECG_MOST_MTU];
    ecg_cutter_t cutter;
    sample(2);
    connect_with(517);
    const ecg_acknowledgement_t acknowledgement = acknowledgement_of(&sensor.running.id, 2);
    const size_t length = acknowledgement_write(&acknowledgement, payload);
    const size_t size = gateway_seals(identity.root_key, &sensor.running.id, ECG_ACKNOWLEDGEMENT,
                                      1, payload, length, sealed);
    assert_true(ecg_cutter_start(&cutter, sealed, size, 514, 1));
    ecg_link_written(&ecg_link, ECG_FROM_ACKNOWLEDGE, value, ecg_cutter_piece(&cutter, value), 0);
    assert_int_equal(outbox.held, 0);
}

static void replies_beyond_the_queue_are_dropped_and_counted(void **state)
{
    (void)state;
    static const uint8_t message[ECG_MESSAGE_MOST_BYTES + 1u];
    assert_false(ecg_link_queue(&ecg_link, ECG_ON_CONTROL, message, 10)); /* no link */
    connect_with(517);
    assert_false(ecg_link_queue(&ecg_link, ECG_ON_CONTROL, message, 0));
    assert_false(ecg_link_queue(&ecg_link, ECG_ON_CONTROL, message, sizeof message));
    for (uint64_t counter = 1; counter <= ECG_MOST_QUEUED + 1u; counter++) {
        ask_for_status(counter, 517);
    }
    assert_int_equal(ecg_link.queue_count, ECG_MOST_QUEUED);
    assert_int_equal(ecg_link.replies_dropped, 3 + 2); /* one report and nine answers for eight */
    ecg_link_disconnected(&ecg_link);
    assert_int_equal(ecg_link.queue_count, 0);
}

static void pairing_messages_have_counters_of_their_own(void **state)
{
    (void)state;
    const uint8_t *message = NULL;
    uint8_t value[ECG_MOST_MTU];
    static const uint8_t first[ECG_PAIRING_FIRST_BYTES] = {1, 2, 3};
    ecg_cutter_t cutter;
    connect_with(517);
    assert_true(ecg_cutter_start(&cutter, first, sizeof first, 514, 0));
    const size_t size = ecg_cutter_piece(&cutter, value);
    assert_int_equal(ecg_link_provisioned(&ecg_link, value, size, 0, &message), sizeof first);
    assert_memory_equal(message, first, sizeof first);
    for (unsigned at = 0; at < 2; at++) {
        assert_true(ecg_link_queue(&ecg_link, ECG_ON_PROVISION, first, sizeof first));
        ecg_link_pump(&ecg_link, 0);
        ecg_link_confirmed(&ecg_link);
        assert_int_equal(central.reassemblers[ECG_ON_PROVISION].low_byte, at);
    }
    assert_int_equal(central.messages[ECG_ON_PROVISION], 2);
}

static void answers_go_out_where_their_commands_came_in(void **state)
{
    (void)state;
    connect_with(517);
    order(ECG_FROM_FIRMWARE, ECG_UPDATE_FINISH, 1, 517);
    for (unsigned at = 0; at < 2; at++) {
        ecg_link_pump(&ecg_link, 0);
        ecg_link_confirmed(&ecg_link);
    }
    assert_int_equal(central.messages[ECG_ON_FIRMWARE], 1);
    assert_int_equal(central.gathered[ECG_ON_FIRMWARE][0], ECG_ANSWER);
    assert_int_equal(central.messages[ECG_ON_CONTROL], 1);
    assert_int_equal(central.control_types[0], ECG_HELD_REPORT);
    ask_for_status(2, 517);
    ecg_link_pump(&ecg_link, 0);
    assert_int_equal(central.messages[ECG_ON_CONTROL], 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(frames_arrive_whole_at_mtu_23),
        TEST(frames_arrive_whole_at_mtu_517),
        TEST(an_mtu_out_of_range_is_brought_into_it),
        TEST(a_full_queue_keeps_the_piece_until_there_is_room),
        TEST(a_link_lost_in_mid_frame_sends_the_frame_anew),
        TEST(frames_go_only_to_whom_has_subscribed_to_them),
        TEST(replies_go_first_and_each_piece_waits_for_its_confirmation),
        TEST(acknowledgements_reach_the_sensor),
        TEST(replies_beyond_the_queue_are_dropped_and_counted),
        TEST(pairing_messages_have_counters_of_their_own),
        TEST(answers_go_out_where_their_commands_came_in),
    };
    return ((ecg_crypto_start() == ECG_OK) ? 0 : 1) + cmocka_run_group_tests(tests, NULL, NULL);
}
