/* The sensor's rules, with the time in the test's hand. */
#include "bench.h"

#include <string.h>

#include "ecg_bytes.h"
#include "ecg_rotation.h"

static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, 0u)];
static ecg_outbox_t outbox;
static ecg_sensor_t sensor;
static test_board_t state_of_board;
static ecg_board_t board;
static ecg_identity_t identity;
static uint64_t counter;
static ecg_reply_t replies[ECG_MOST_REPLIES];
static int16_t steps[ECG_SAMPLES_PER_FRAME];

static int start(void **state)
{
    (void)state;
    state_of_board = (test_board_t){0};
    board = board_of(&state_of_board);
    identity = (ecg_identity_t){
        .device_id = DEVICE_ID, .boot_id = 1, .version = {1, 2, 3}, .provisioned = true};
    memset(identity.root_key, 7, sizeof identity.root_key);
    counter = 0;
    if (ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, NULL, map) != ECG_OK) {
        return 1;
    }
    return (int)ecg_sensor_start(&sensor, &identity, &board, &outbox, 250);
}

static int stop(void **state)
{
    (void)state;
    psa_fails_at(0);
    ecg_sensor_stop(&sensor);
    return (psa_keys_alive() == 0u) ? 0 : 1;
}

static void sample(uint32_t frames, uint8_t flags)
{
    for (uint32_t at = 0; at < frames; at++) {
        assert_int_equal(ecg_sensor_sampled(&sensor, steps, flags, 0), ECG_OK);
    }
}

static size_t say_under(const uint8_t *root_key, uint8_t type, const uint8_t *payload,
                        size_t length, uint64_t with_counter)
{
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    const size_t size = gateway_seals(root_key, &sensor.running.id, type, with_counter, payload,
                                      length, sealed);
    return ecg_sensor_received(&sensor, sealed, size, 7000000u, replies);
}

static size_t say(uint8_t type, const uint8_t *payload, size_t length)
{
    counter++;
    return say_under(sensor.identity.root_key, type, payload, length, counter);
}

/* The answer's code; its body is in *answer from payload[2] on. */
static uint8_t order(uint8_t type, const uint8_t *argument, size_t length, ecg_message_t *answer)
{
    const ecg_session_id_t session = sensor.running.id;
    assert_true(say(type, argument, length) >= 1);
    assert_int_equal(gateway_opens(identity.root_key, &session, &replies[0], answer), ECG_OK);
    assert_int_equal(answer->type, ECG_ANSWER);
    assert_int_equal(answer->counter, counter);
    assert_int_equal(answer->payload[0], type);
    return answer->payload[1];
}

static size_t acknowledge(const ecg_session_id_t *session, uint32_t next)
{
    uint8_t payload[ECG_PAYLOAD_MOST_BYTES];
    const ecg_acknowledgement_t acknowledgement = acknowledgement_of(session, next);
    const size_t length = acknowledgement_write(&acknowledgement, payload);
    return say(ECG_ACKNOWLEDGEMENT, payload, length);
}

static void expect_row(const ecg_message_t *report, size_t row, const ecg_session_id_t *session,
                       uint32_t oldest, uint32_t next)
{
    const uint8_t *at = &report->payload[1 + (28 * row)];
    assert_int_equal(report->type, ECG_HELD_REPORT);
    assert_true(row < report->payload[0]);
    assert_int_equal(ecg_get32(at), session->boot_id);
    assert_memory_equal(&at[4], session->salt, ECG_SALT_BYTES);
    assert_int_equal(ecg_get32(&at[20]), oldest);
    assert_int_equal(ecg_get32(&at[24]), next);
}

static void open_report(const ecg_reply_t *reply, ecg_message_t *report)
{
    assert_int_equal(gateway_opens(sensor.identity.root_key, &sensor.running.id, reply, report),
                     ECG_OK);
}

static void the_first_valid_message_is_followed_by_what_is_held(void **state)
{
    (void)state;
    ecg_message_t report;
    sample(3, 0);
    ecg_sensor_connected(&sensor, 0);
    assert_int_equal(acknowledge(&sensor.running.id, 1), 1);
    open_report(&replies[0], &report);
    expect_row(&report, 0, &sensor.running.id, 1, 3);
    assert_int_equal(acknowledge(&sensor.running.id, 2), 0);
    assert_int_equal(outbox.held, 1);
}

static void a_frame_given_up_is_reported_unasked(void **state)
{
    (void)state;
    ecg_message_t message;
    ecg_sensor_connected(&sensor, 0);
    assert_int_equal(say(ECG_REQUEST_STATUS, NULL, 0), 2);
    sample(ECG_LEAST_RAM_FRAMES, 0);
    assert_int_equal(ecg_sensor_overdue_report(&sensor, &replies[0]), 0);
    sample(5, 0);
    assert_int_equal(ecg_sensor_overdue_report(&sensor, &replies[0]), 1);
    open_report(&replies[0], &message);
    expect_row(&message, 0, &sensor.running.id, 5, ECG_LEAST_RAM_FRAMES + 5);
    assert_int_equal(ecg_sensor_overdue_report(&sensor, &replies[0]), 0);
    ecg_sensor_disconnected(&sensor);
    sample(1, 0);
    assert_int_equal(ecg_sensor_overdue_report(&sensor, &replies[0]), 0);
}

static void an_older_boots_frames_are_told_and_forgotten_by_name(void **state)
{
    (void)state;
    ecg_message_t report;
    sample(2, 0);
    const ecg_session_id_t old = sensor.running.id;
    ecg_sensor_stop(&sensor);
    identity.boot_id = 2;
    assert_int_equal(ecg_sensor_start(&sensor, &identity, &board, &outbox, 250), ECG_OK);
    ecg_sensor_connected(&sensor, 0);
    assert_int_equal(say(ECG_REQUEST_STATUS, NULL, 0), 2);
    open_report(&replies[1], &report);
    assert_int_equal(report.payload[0], 2);
    expect_row(&report, 0, &old, 0, 2);
    expect_row(&report, 1, &sensor.running.id, 0, 0);
    (void)acknowledge(&old, 2);
    assert_int_equal(outbox.held, 0);
    ecg_sensor_disconnected(&sensor);
    ecg_sensor_connected(&sensor, 0);
    (void)say(ECG_REQUEST_STATUS, NULL, 0);
    open_report(&replies[1], &report);
    expect_row(&report, 0, &old, 2, 2); /* told once that nothing is left */
    ecg_sensor_disconnected(&sensor);
    ecg_sensor_connected(&sensor, 0);
    (void)say(ECG_REQUEST_STATUS, NULL, 0);
    open_report(&replies[1], &report);
    assert_int_equal(report.payload[0], 1);
}

static void a_session_in_two_runs_is_told_once(void **state)
{
    (void)state;
    uint8_t frame[ECG_FRAME_BYTES];
    ecg_message_t report;
    const ecg_session_id_t old = session_of(9);
    plain_frame(&old, 3, frame);
    ecg_outbox_add(&outbox, &old, 3, frame, false);
    ecg_outbox_add(&outbox, &old, 30, frame, false);
    ecg_sensor_stop(&sensor);
    assert_int_equal(ecg_sensor_start(&sensor, &identity, &board, &outbox, 250), ECG_OK);
    (void)say(ECG_REQUEST_STATUS, NULL, 0);
    open_report(&replies[1], &report);
    assert_int_equal(report.payload[0], 2);
    expect_row(&report, 0, &old, 3, 31);
}

static void at_most_eight_sessions_are_told_and_64_remembered(void **state)
{
    (void)state;
    ecg_message_t report;
    const ecg_session_id_t first = sensor.running.id;
    const uint8_t rate[2] = {125, 0};
    for (unsigned at = 0; at < ECG_MOST_ENDED + 1u; at++) {
        sample(1, 0);
        ecg_sensor_disconnected(&sensor);
        assert_int_equal(order(ECG_SET_SAMPLE_RATE, rate, 2, &report), ECG_DONE);
    }
    assert_int_equal(sensor.ended_count, ECG_MOST_ENDED);
    assert_false(ecg_same_session(&sensor.ended[0].session, &first));
    ecg_sensor_disconnected(&sensor);
    (void)say(ECG_REQUEST_STATUS, NULL, 0);
    open_report(&replies[1], &report);
    assert_int_equal(report.payload[0], 8);
    expect_row(&report, 7, &sensor.running.id, 0, 0);
}

static void a_passed_counter_is_answered_with_the_one_reached(void **state)
{
    (void)state;
    ecg_message_t answer;
    counter = 8;
    assert_int_equal(order(ECG_REQUEST_STATUS, NULL, 0, &answer), ECG_DONE);
    for (uint64_t passed = 0; passed < 9; passed += 4) {
        counter = passed;
        assert_int_equal(order(ECG_STOP, NULL, 0, &answer), ECG_COUNTER_PASSED);
        assert_int_equal(ecg_get(&answer.payload[2], 8), 9);
    }
    assert_true(sensor.sampling);
    counter = 9;
    assert_int_equal(order(ECG_STOP, NULL, 0, &answer), ECG_DONE);
    assert_false(sensor.sampling);
}

static void acknowledgements_may_repeat_a_counter(void **state)
{
    (void)state;
    sample(2, 0);
    (void)acknowledge(&sensor.running.id, 1);
    counter--;
    (void)acknowledge(&sensor.running.id, 2);
    assert_int_equal(outbox.held, 0);
}

static void commands_are_obeyed(void **state)
{
    (void)state;
    ecg_message_t answer;
    const ecg_session_id_t before = sensor.running.id;
    uint8_t status[ECG_STATUS_BYTES];
    uint8_t rate[2];
    uint8_t unix_us[8];
    const uint8_t seconds = 3;
    assert_int_equal(order(ECG_START, NULL, 0, &answer), ECG_DONE);
    assert_true(ecg_same_session(&sensor.running.id, &before));
    assert_int_equal(order(ECG_STOP, NULL, 0, &answer), ECG_DONE);
    ecg_sensor_status(&sensor, status);
    assert_int_equal(status[33], ECG_STATUS_PROVISIONED);
    assert_int_equal(order(ECG_START, NULL, 0, &answer), ECG_DONE);
    assert_false(ecg_same_session(&sensor.running.id, &before));
    assert_true(sensor.sampling);
    ecg_put(rate, 251, 2);
    assert_int_equal(order(ECG_SET_SAMPLE_RATE, rate, 2, &answer), ECG_BAD_ARGUMENT);
    ecg_put(rate, 500, 2);
    assert_int_equal(order(ECG_SET_SAMPLE_RATE, rate, 2, &answer), ECG_DONE);
    assert_int_equal(sensor.running.sample_rate_hz, 500);
    ecg_put(unix_us, 1000000000u, 8);
    assert_int_equal(order(ECG_SET_UNIX_TIME, unix_us, 8, &answer), ECG_DONE);
    assert_true(sensor.has_unix_time);
    assert_int_equal(sensor.unix_minus_device_us, 993000000);
    assert_int_equal(order(ECG_IDENTIFY, &seconds, 1, &answer), ECG_DONE);
    assert_int_equal(sensor.identify_from_ms, 7000);
    assert_int_equal(sensor.identify_ms, 3000);
    assert_int_equal(order(ECG_REQUEST_STATUS, NULL, 0, &answer), ECG_DONE);
    ecg_sensor_status(&sensor, status);
    assert_memory_equal(&answer.payload[2], status, ECG_STATUS_BYTES);
}

static void status_tells_rate_lead_off_and_pairing_window(void **state)
{
    (void)state;
    uint8_t status[ECG_STATUS_BYTES];
    sample(1, ECG_FLAG_LEAD_OFF_NEGATIVE | ECG_FLAG_CLIPPED);
    ecg_sensor_status(&sensor, status);
    assert_int_equal(ecg_get32(&status[28]), 250000);
    sensor.measured_rate_mhz = 249987;
    sensor.pairing_window = true;
    sensor.battery_percent = 87;
    sensor.identity.provisioned = false;
    ecg_sensor_status(&sensor, status);
    assert_int_equal(ecg_get32(&status[28]), 249987);
    assert_int_equal(status[32], 87);
    assert_int_equal(status[33], ECG_FLAG_LEAD_OFF_NEGATIVE | ECG_STATUS_PAIRING_WINDOW |
                                     ECG_STATUS_SAMPLING);
}

static void a_stranger_is_dropped_after_ten_seconds(void **state)
{
    (void)state;
    static const uint8_t noise[60];
    assert_false(ecg_sensor_must_drop(&sensor, 900000));
    ecg_sensor_connected(&sensor, 5000);
    assert_int_equal(ecg_sensor_received(&sensor, noise, 60, 6000000, replies), 0);
    assert_int_equal(sensor.refused[ECG_UNKNOWN_TYPE], 1);
    assert_false(ecg_sensor_must_drop(&sensor, 5000 + ECG_STRANGER_TIMEOUT_MS - 1));
    assert_true(ecg_sensor_must_drop(&sensor, 5000 + ECG_STRANGER_TIMEOUT_MS));
    sensor.pairing_window = true;
    assert_false(ecg_sensor_must_drop(&sensor, 900000));
    sensor.pairing_window = false;
    (void)say(ECG_REQUEST_STATUS, NULL, 0);
    assert_false(ecg_sensor_must_drop(&sensor, 900000));
}

static void what_is_sealed_but_wrong_is_counted(void **state)
{
    (void)state;
    static const uint8_t argument[3];
    assert_int_equal(say(ECG_START, argument, 3), 0);
    assert_int_equal(sensor.refused[ECG_WRONG_SIZE], 1);
    assert_int_equal(say(ECG_ANSWER, argument, 3), 0);
    assert_int_equal(sensor.refused[ECG_UNKNOWN_TYPE], 1);
    assert_int_equal(say(ECG_ACKNOWLEDGEMENT, argument, 3), 0);
    assert_int_equal(sensor.refused[ECG_WRONG_SIZE], 2);
    assert_false(sensor.trusted);
}

static void no_sequence_is_used_twice_even_when_sealing_fails(void **state)
{
    (void)state;
    psa_fails_at(1);
    assert_int_equal(ecg_sensor_sampled(&sensor, steps, 0, 0), ECG_CRYPTO_FAILED);
    sample(1, 0);
    assert_int_equal(outbox.held, 1);
    uint8_t frame[ECG_FRAME_BYTES];
    assert_true(ecg_outbox_read(&outbox, 0, frame));
    assert_int_equal(sequence_of(frame), 1);
}

static void a_session_ends_before_its_sequence_wraps(void **state)
{
    (void)state;
    const ecg_session_id_t before = sensor.running.id;
    sensor.running.next_sequence = UINT32_MAX - 1u;
    sample(1, 0);
    assert_true(ecg_same_session(&sensor.running.id, &before));
    state_of_board.random_fails = true;
    assert_int_equal(ecg_sensor_sampled(&sensor, steps, 0, 0), ECG_CRYPTO_FAILED);
    state_of_board.random_fails = false;
    sample(1, 0);
    assert_false(ecg_same_session(&sensor.running.id, &before));
    assert_int_equal(sensor.running.next_sequence, 1);
}

static void without_randomness_no_session_begins(void **state)
{
    (void)state;
    ecg_message_t answer;
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    const uint8_t rate[2] = {125, 0};
    const ecg_session_id_t before = sensor.running.id;
    (void)order(ECG_STOP, NULL, 0, &answer);
    state_of_board.random_fails = true;
    const size_t size =
        gateway_seals(identity.root_key, &before, ECG_SET_SAMPLE_RATE, 99, rate, 2, sealed);
    /* not even the nonce of an answer can be drawn */
    assert_int_equal(ecg_sensor_received(&sensor, sealed, size, 0, replies), 0);
    assert_true(ecg_same_session(&sensor.running.id, &before));
    assert_false(sensor.sampling);
    const size_t started =
        gateway_seals(identity.root_key, &before, ECG_START, 100, NULL, 0, sealed);
    (void)ecg_sensor_received(&sensor, sealed, started, 0, replies);
    assert_false(sensor.sampling);
    ecg_sensor_stop(&sensor);
    assert_int_equal(ecg_sensor_start(&sensor, &identity, &board, &outbox, 250),
                     ECG_CRYPTO_FAILED);
}

/* The gateway's half of a rotation, with the new key. */
static void rotate_as_gateway(const ecg_message_t *answer, const ecg_session_id_t *session,
                              uint8_t new_root[ECG_ROOT_KEY_BYTES])
{
    uint8_t private_key[32];
    uint8_t public_key[32];
    uint8_t secret[64];
    uint8_t info[19];
    memset(private_key, 0x33, sizeof private_key);
    assert_int_equal(ecg_x25519(private_key, &answer->payload[2], public_key, secret), ECG_OK);
    memcpy(&secret[32], identity.root_key, 32);
    memcpy(info, "ecg-root-v1", 11);
    ecg_put(&info[11], session->device_id, 4);
    ecg_put(&info[15], session->boot_id, 4);
    assert_int_equal(ecg_hkdf(secret, 64, session->salt, 16, info, 19, new_root, 32), ECG_OK);
}

static void gateways_public_key(uint8_t public_key[32])
{
    static const uint8_t base[32] = {9};
    uint8_t private_key[32];
    uint8_t shared[32];
    memset(private_key, 0x33, sizeof private_key);
    assert_int_equal(ecg_x25519(private_key, base, public_key, shared), ECG_OK);
}

static void begin_rotation(uint8_t new_root[ECG_ROOT_KEY_BYTES])
{
    uint8_t public_key[32];
    ecg_message_t answer;
    gateways_public_key(public_key);
    assert_int_equal(order(ECG_ROTATE_KEY, public_key, 32, &answer), ECG_DONE);
    assert_int_equal(answer.length, 34);
    rotate_as_gateway(&answer, &sensor.running.id, new_root);
}

static void a_rotated_key_serves_once_the_gateway_has_used_it(void **state)
{
    (void)state;
    uint8_t new_root[ECG_ROOT_KEY_BYTES];
    ecg_message_t answer;
    begin_rotation(new_root);
    assert_memory_equal(state_of_board.kept, new_root, 32);
    assert_int_equal(order(ECG_REQUEST_STATUS, NULL, 0, &answer), ECG_DONE); /* old one serves */
    assert_int_equal(state_of_board.adopted, 0);
    const ecg_session_id_t before = sensor.running.id;
    counter++;
    assert_int_equal(say_under(new_root, ECG_REQUEST_STATUS, NULL, 0, counter), 1);
    assert_int_equal(gateway_opens(new_root, &before, &replies[0], &answer), ECG_OK);
    assert_int_equal(state_of_board.adopted, 1);
    assert_false(ecg_same_session(&sensor.running.id, &before));
    assert_memory_equal(sensor.identity.root_key, new_root, 32);
    assert_false(sensor.identity.has_pending_key);
    sample(1, 0);
    assert_int_equal(say_under(identity.root_key, ECG_STOP, NULL, 0, 50), 0);
    assert_int_equal(sensor.refused[ECG_NOT_AUTHENTIC], 1);
}

static void a_new_rate_under_the_new_key_begins_one_session(void **state)
{
    (void)state;
    uint8_t new_root[ECG_ROOT_KEY_BYTES];
    const uint8_t rate[2] = {125, 0};
    begin_rotation(new_root);
    const uint32_t ended = sensor.ended_count;
    (void)say_under(new_root, ECG_SET_SAMPLE_RATE, rate, 2, 60);
    assert_int_equal(sensor.running.sample_rate_hz, 125);
    assert_int_equal(sensor.ended_count, ended + 1u);
}

static void a_rotation_that_cannot_be_kept_changes_nothing(void **state)
{
    (void)state;
    uint8_t new_root[ECG_ROOT_KEY_BYTES];
    uint8_t public_key[32] = {0};
    ecg_message_t answer;
    assert_int_equal(order(ECG_ROTATE_KEY, public_key, 32, &answer), ECG_BAD_ARGUMENT);
    gateways_public_key(public_key);
    state_of_board.keep_fails = true;
    assert_int_equal(order(ECG_ROTATE_KEY, public_key, 32, &answer), ECG_BUSY);
    assert_int_equal(answer.length, 2);
    assert_false(sensor.identity.has_pending_key);
    state_of_board.keep_fails = false;
    begin_rotation(new_root);
    state_of_board.adopt_fails = true; /* the storage fails: the old key goes on */
    const ecg_session_id_t before = sensor.running.id;
    assert_int_equal(say_under(new_root, ECG_REQUEST_STATUS, NULL, 0, 70), 0);
    assert_int_equal(sensor.refused[ECG_STORAGE_FAILED], 1);
    assert_true(ecg_same_session(&sensor.running.id, &before));
    assert_int_equal(order(ECG_REQUEST_STATUS, NULL, 0, &answer), ECG_DONE);
    state_of_board.adopt_fails = false;
    assert_int_equal(say_under(new_root, ECG_REQUEST_STATUS, NULL, 0, 71), 1);
}

static void no_failure_of_psa_changes_the_key_in_silence(void **state)
{
    (void)state;
    uint8_t new_root[ECG_ROOT_KEY_BYTES];
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    uint8_t public_key[32];
    ecg_message_t answer;
    gateways_public_key(public_key);
    for (unsigned call = 1; call <= 9; call++) { /* of opening, of X25519 and of HKDF */
        const size_t asked = gateway_seals(identity.root_key, &sensor.running.id, ECG_ROTATE_KEY,
                                           ++counter, public_key, 32, sealed);
        psa_fails_at(call);
        const size_t count = ecg_sensor_received(&sensor, sealed, asked, 0, replies);
        psa_fails_at(0);
        if (count > 0) {
            assert_int_equal(gateway_opens(identity.root_key, &sensor.running.id, &replies[0],
                                           &answer),
                             ECG_OK);
            assert_int_equal(answer.payload[1] == ECG_DONE, sensor.identity.has_pending_key);
        }
        assert_memory_equal(sensor.identity.root_key, identity.root_key, 32);
        sensor.identity.has_pending_key = false;
    }
    begin_rotation(new_root);
    const uint8_t old_salt = sensor.running.id.salt[0];
    for (unsigned call = 1; sensor.identity.has_pending_key; call++) {
        const size_t asked = gateway_seals(new_root, &sensor.running.id, ECG_REQUEST_STATUS,
                                           ++counter, NULL, 0, sealed);
        psa_fails_at(call);
        (void)ecg_sensor_received(&sensor, sealed, asked, 0, replies);
        psa_fails_at(0);
        if (sensor.identity.has_pending_key) {
            assert_int_equal(sensor.running.id.salt[0], old_salt);
            assert_memory_equal(sensor.identity.root_key, identity.root_key, 32);
        }
        assert_true(call < 100);
    }
    assert_memory_equal(sensor.identity.root_key, new_root, 32);
}

/* --- updates -------------------------------------------------------------------------------------- */

static bool slot_is_started;

static bool slot_erase(void *context, uint32_t block)
{
    (void)context;
    return block == 0u;
}

static bool slot_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    memcpy((uint8_t *)context + address, bytes, length);
    return true;
}

static bool slot_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    memcpy(out, (const uint8_t *)context + address, length);
    return true;
}

static bool slot_keep(void *context, const uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    (void)context;
    (void)record;
    return true;
}

static bool slot_start_from(void *context)
{
    (void)context;
    slot_is_started = true;
    return true;
}

static void a_sensor_without_a_slot_supports_no_update(void **state)
{
    (void)state;
    static const uint8_t manifest[ECG_CHUNK_MOST_BYTES + 1u];
    ecg_message_t answer;
    sensor.trusted = true;
    assert_int_equal(order(ECG_UPDATE_BEGIN, manifest, ECG_MANIFEST_BYTES, &answer),
                     ECG_NOT_SUPPORTED);
    assert_int_equal(order(ECG_UPDATE_CHUNK, manifest, 5, &answer), ECG_NOT_SUPPORTED);
    assert_int_equal(say(ECG_UPDATE_CHUNK, manifest, 4), 0);
    assert_int_equal(say(ECG_UPDATE_CHUNK, manifest, sizeof manifest), 0);
    assert_int_equal(sensor.refused[ECG_WRONG_SIZE], 2);
}

static void an_update_restarts_once_all_frames_are_acknowledged(void **state)
{
    (void)state;
    static uint8_t memory[1024];
    static const ecg_release_t release = {{1, 2, 3}, 5, 2};
    const ecg_slot_t slot = {memory,    1,         slot_erase,     slot_program,
                             slot_read, slot_keep, slot_start_from};
    uint8_t point[VECTOR_BYTES];
    uint8_t manifest[VECTOR_BYTES];
    uint8_t application[VECTOR_BYTES];
    uint8_t chunk[ECG_CHUNK_MOST_BYTES];
    ecg_update_t update;
    ecg_message_t answer;
    (void)vector("firmware_signer", point);
    (void)vector("firmware_manifest", manifest);
    const size_t size = vector("firmware_application", application);
    ecg_update_init(&update, &slot, point, &release, false, NULL);
    ecg_sensor_take_updates(&sensor, &update);
    sensor.trusted = true;
    sample(1, 0);
    assert_false(ecg_sensor_is_heard(&sensor));
    assert_int_equal(order(ECG_UPDATE_BEGIN, manifest, ECG_MANIFEST_BYTES, &answer), ECG_DONE);
    for (size_t at = 0; at < size; at += 240u) {
        const size_t part = ((size - at) < 240u) ? (size - at) : 240u;
        ecg_put(chunk, at, 4);
        memcpy(&chunk[4], &application[at], part);
        assert_int_equal(say(ECG_UPDATE_CHUNK, chunk, part + 4u), 0);
    }
    assert_int_equal(order(ECG_UPDATE_FINISH, NULL, 0, &answer), ECG_BUSY);
    ecg_update_work(&update);
    assert_int_equal(order(ECG_UPDATE_FINISH, NULL, 0, &answer), ECG_BUSY); /* RAM holds a frame */
    assert_false(slot_is_started);
    assert_int_equal(acknowledge(&sensor.running.id, 1), 0);
    assert_true(ecg_sensor_is_heard(&sensor));
    assert_int_equal(order(ECG_UPDATE_FINISH, NULL, 0, &answer), ECG_DONE);
    assert_true(slot_is_started);
    assert_memory_equal(memory, application, size);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(the_first_valid_message_is_followed_by_what_is_held),
        TEST(a_frame_given_up_is_reported_unasked),
        TEST(an_older_boots_frames_are_told_and_forgotten_by_name),
        TEST(a_session_in_two_runs_is_told_once),
        TEST(at_most_eight_sessions_are_told_and_64_remembered),
        TEST(a_passed_counter_is_answered_with_the_one_reached),
        TEST(acknowledgements_may_repeat_a_counter),
        TEST(commands_are_obeyed),
        TEST(status_tells_rate_lead_off_and_pairing_window),
        TEST(a_stranger_is_dropped_after_ten_seconds),
        TEST(what_is_sealed_but_wrong_is_counted),
        TEST(no_sequence_is_used_twice_even_when_sealing_fails),
        TEST(a_session_ends_before_its_sequence_wraps),
        TEST(without_randomness_no_session_begins),
        TEST(a_rotated_key_serves_once_the_gateway_has_used_it),
        TEST(a_new_rate_under_the_new_key_begins_one_session),
        TEST(a_rotation_that_cannot_be_kept_changes_nothing),
        TEST(no_failure_of_psa_changes_the_key_in_silence),
        TEST(a_sensor_without_a_slot_supports_no_update),
        TEST(an_update_restarts_once_all_frames_are_acknowledged),
    };
    return ((ecg_crypto_start() == ECG_OK) ? 0 : 1) + cmocka_run_group_tests(tests, NULL, NULL);
}
