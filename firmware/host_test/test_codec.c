/* Frames, messages and pieces against the golden vectors that pytest reads too. */
#include "bench.h"

#include <string.h>

#include "ecg_bytes.h"
#include "ecg_pieces.h"

static ecg_session_id_t session;
static uint8_t root_key[ECG_ROOT_KEY_BYTES];
static ecg_session_keys_t keys;

static int derive(void **state)
{
    (void)state;
    vector_session(&session, root_key);
    return (int)ecg_session_keys_derive(root_key, &session, &keys);
}

static int forget(void **state)
{
    (void)state;
    ecg_session_keys_forget(&keys);
    return (psa_keys_alive() == 0u) ? 0 : 1;
}

static void frame_key_is_derived(void **state)
{
    (void)state;
    uint8_t expected[VECTOR_BYTES];
    uint8_t derived[36];
    assert_int_equal(ecg_derive(root_key, &session, ECG_LABEL_FRAME, derived, 36u), ECG_OK);
    assert_int_equal(vector("frame_key", expected), 32);
    assert_memory_equal(derived, expected, 32);
    assert_int_equal(vector("frame_nonce_fixed", expected), 4);
    assert_memory_equal(&derived[32], expected, 4);
    assert_memory_equal(keys.nonce_fixed, expected, 4);
}

static void frame_seals_to_the_golden_bytes(void **state)
{
    (void)state;
    uint8_t bytes[VECTOR_BYTES];
    int16_t steps[ECG_SAMPLES_PER_FRAME];
    uint8_t sealed[ECG_FRAME_BYTES];
    ecg_frame_header_t read;
    const ecg_frame_header_t header = {session, 0x01020304u, 5u, 123456789012u, 250u};
    assert_int_equal(vector("frame_samples", bytes), sizeof steps);
    for (size_t at = 0; at < ECG_SAMPLES_PER_FRAME; at++) {
        steps[at] = (int16_t)ecg_get16(&bytes[2u * at]);
    }
    assert_int_equal(ecg_frame_seal(&keys, &header, steps, sealed), ECG_OK);
    assert_int_equal(vector("frame", bytes), ECG_FRAME_BYTES);
    assert_memory_equal(sealed, bytes, ECG_FRAME_BYTES);
    assert_int_equal(ecg_frame_read_header(sealed, sizeof sealed, &read), ECG_OK);
    assert_true(ecg_same_session(&read.session, &session));
    assert_int_equal(read.sequence, header.sequence);
    assert_int_equal(read.flags, header.flags);
    assert_int_equal(read.device_time_us, header.device_time_us);
    assert_int_equal(read.sample_rate_hz, header.sample_rate_hz);
}

static void header_is_refused_in_order(void **state)
{
    (void)state;
    uint8_t frame[ECG_FRAME_BYTES];
    ecg_frame_header_t header;
    plain_frame(&session, 1u, frame);
    assert_int_equal(ecg_frame_read_header(frame, 433u, &header), ECG_WRONG_SIZE);
    frame[2] = 2u;
    assert_int_equal(ecg_frame_read_header(frame, 434u, &header), ECG_UNKNOWN_VERSION);
    frame[1] = 0u;
    assert_int_equal(ecg_frame_read_header(frame, 434u, &header), ECG_WRONG_MAGIC);
    frame[0] = 0u;
    assert_int_equal(ecg_frame_read_header(frame, 434u, &header), ECG_WRONG_MAGIC);
}

static void sessions_differ_in_each_part(void **state)
{
    (void)state;
    ecg_session_id_t other = session;
    assert_true(ecg_same_session(&session, &other));
    other.salt[15] ^= 1u;
    assert_false(ecg_same_session(&session, &other));
    other = session;
    other.boot_id++;
    assert_false(ecg_same_session(&session, &other));
    other = session;
    other.device_id++;
    assert_false(ecg_same_session(&session, &other));
}

static void four_rates_are_legal(void **state)
{
    (void)state;
    unsigned legal = 0;
    for (uint32_t rate = 0; rate < 1000; rate++) {
        legal += ecg_is_legal_rate(rate) ? 1u : 0u;
    }
    assert_int_equal(legal, 4);
    assert_true(ecg_is_legal_rate(125) && ecg_is_legal_rate(250) && ecg_is_legal_rate(360));
}

typedef struct {
    const char *name;
    uint8_t type;
    uint8_t counter;
    size_t length;
    uint8_t payload[64];
} golden_t;

static const golden_t messages[] = {
    {"start", ECG_START, 2, 0, {0}},
    {"stop", ECG_STOP, 3, 0, {0}},
    {"set_sample_rate", ECG_SET_SAMPLE_RATE, 4, 2, {250, 0}},
    {"identify", ECG_IDENTIFY, 6, 1, {10}},
    {"request_status", ECG_REQUEST_STATUS, 8, 0, {0}},
    {"answer_done", ECG_ANSWER, 2, 2, {ECG_START, ECG_DONE}},
    {"update_finish", ECG_UPDATE_FINISH, 11, 0, {0}},
    {"answer_update_refused",
     ECG_ANSWER,
     9,
     3,
     {ECG_UPDATE_BEGIN, ECG_UPDATE_REFUSED, ECG_UPDATE_OTHER_CHIP}},
    {"answer_counter_passed", ECG_ANSWER, 3, 10, {ECG_STOP, ECG_COUNTER_PASSED, 0x22, 0x11}},
};

static void sealed_messages_are_the_golden_ones(void **state)
{
    (void)state;
    uint8_t nonce[VECTOR_BYTES];
    uint8_t expected[VECTOR_BYTES];
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    assert_int_equal(vector("message_nonce", nonce), ECG_NONCE_BYTES);
    for (size_t at = 0; at < sizeof messages / sizeof messages[0]; at++) {
        const golden_t *golden = &messages[at];
        ecg_message_t message = {
            .type = golden->type, .counter = golden->counter, .length = golden->length};
        ecg_message_t opened;
        memcpy(message.payload, golden->payload, golden->length);
        const ecg_key_t *key = (golden->type < ECG_ANSWER) ? &keys.down : &keys.up;
        const size_t length = ecg_message_seal(key, &session, &message, nonce, sealed);
        assert_int_equal(length, vector(golden->name, expected));
        assert_memory_equal(sealed, expected, length);
        assert_int_equal(ecg_message_open(key, &session, sealed, length, &opened), ECG_OK);
        assert_int_equal(opened.counter, golden->counter);
        assert_int_equal(opened.length, golden->length);
        assert_memory_equal(opened.payload, golden->payload, golden->length);
    }
}

static void held_report_is_the_golden_one(void **state)
{
    (void)state;
    uint8_t nonce[VECTOR_BYTES];
    uint8_t expected[VECTOR_BYTES];
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    ecg_message_t message = {.type = ECG_HELD_REPORT};
    ecg_held_t rows[2] = {{.session = {.boot_id = 7}, .oldest = 90, .next = 260},
                          {.session = {.boot_id = 6}, .oldest = 5, .next = 5}};
    for (uint8_t at = 0; at < ECG_SALT_BYTES; at++) {
        rows[0].session.salt[at] = at;
    }
    message.length = ecg_held_report_write(rows, 2, message.payload);
    (void)vector("message_nonce", nonce);
    const size_t length = ecg_message_seal(&keys.up, &session, &message, nonce, sealed);
    assert_int_equal(length, vector("held_report", expected));
    assert_memory_equal(sealed, expected, length);
}

static void acknowledgement_is_read(void **state)
{
    (void)state;
    uint8_t sealed[VECTOR_BYTES];
    ecg_message_t message;
    ecg_acknowledgement_t read;
    const size_t length = vector("acknowledgement", sealed);
    assert_int_equal(ecg_message_open(&keys.down, &session, sealed, length, &message), ECG_OK);
    assert_int_equal(ecg_acknowledgement_read(message.payload, message.length, &read), ECG_OK);
    assert_int_equal(read.boot_id, 7);
    assert_int_equal(read.salt[15], 15);
    assert_int_equal(read.resend_after_s, 15);
    assert_int_equal(read.count, 2);
    for (uint32_t sequence = 0; sequence < 300; sequence++) {
        const bool expected = (sequence < 100) || (sequence >= 102 && sequence <= 105) ||
                              (sequence == 200);
        assert_int_equal(ecg_acknowledges(&read, sequence), expected);
    }
}

static ecg_result_t reading_of(uint32_t next, uint8_t resend, uint8_t count, size_t cut,
                               const ecg_range_t *ranges)
{
    uint8_t payload[ECG_PAYLOAD_MOST_BYTES] = {0};
    ecg_acknowledgement_t acknowledgement = acknowledgement_of(&session, next);
    ecg_acknowledgement_t read;
    acknowledgement.resend_after_s = resend;
    acknowledgement.count = count;
    if (count > ECG_MOST_RANGES) {
        payload[24] = resend;
        payload[25] = count;
        return ecg_acknowledgement_read(payload, 26u + (8u * (size_t)count), &read);
    }
    memcpy(acknowledgement.ranges, ranges, count * sizeof *ranges);
    const size_t length = acknowledgement_write(&acknowledgement, payload);
    return ecg_acknowledgement_read(payload, length - cut, &read);
}

static void illegal_acknowledgements_are_refused(void **state)
{
    (void)state;
    const ecg_range_t good[2] = {{12, 12}, {14, UINT32_MAX}};
    const ecg_range_t touches[1] = {{10, 12}};
    const ecg_range_t backward[1] = {{13, 12}};
    const ecg_range_t apart[2] = {{12, 12}, {13, 15}};
    const ecg_range_t after_end[2] = {{12, UINT32_MAX}, {14, 15}};
    assert_int_equal(reading_of(10, 5, 2, 0, good), ECG_OK);
    assert_int_equal(reading_of(10, 60, 0, 0, good), ECG_OK);
    assert_int_equal(reading_of(10, 4, 0, 0, good), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 61, 0, 0, good), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 5, 9, 0, good), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 5, 1, 0, touches), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 5, 1, 0, backward), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 5, 2, 0, apart), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 5, 2, 0, after_end), ECG_ILLEGAL_CONTENT);
    assert_int_equal(reading_of(10, 5, 2, 1, good), ECG_WRONG_SIZE);
    assert_int_equal(reading_of(10, 5, 0, 1, good), ECG_WRONG_SIZE);
}

static void messages_are_refused_in_order(void **state)
{
    (void)state;
    uint8_t sealed[VECTOR_BYTES] = {0};
    ecg_message_t message;
    const size_t length = vector("start", sealed);
    assert_int_equal(ecg_message_open(&keys.down, &session, sealed, 36, &message), ECG_WRONG_SIZE);
    assert_int_equal(ecg_message_open(&keys.down, &session, sealed, 294, &message),
                     ECG_WRONG_SIZE);
    assert_int_equal(ecg_message_open(&keys.up, &session, sealed, length, &message),
                     ECG_NOT_AUTHENTIC);
    for (size_t bit = 8; bit < 8u * length; bit++) { /* the type is told apart below */
        sealed[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        assert_int_equal(ecg_message_open(&keys.down, &session, sealed, length, &message),
                         ECG_NOT_AUTHENTIC);
        sealed[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
    }
    unsigned known = 0;
    for (unsigned type = 0; type < 256; type++) {
        sealed[0] = (uint8_t)type;
        known += (ecg_message_open(&keys.down, &session, sealed, length, &message) !=
                  ECG_UNKNOWN_TYPE)
                     ? 1u
                     : 0u;
    }
    assert_int_equal(known, 13);
}

static void commands_have_their_length(void **state)
{
    (void)state;
    static const size_t most[] = {0, 0, 2, 8, 1, 32, 0, 112, 244, 0};
    for (unsigned type = 0; type < 256; type++) {
        ecg_message_t message = {.type = (uint8_t)type};
        const bool command = (type >= ECG_START) && (type <= ECG_UPDATE_FINISH);
        for (message.length = 0; message.length < 256; message.length++) {
            ecg_result_t expected = ECG_UNKNOWN_TYPE;
            if (command) {
                const size_t longest = most[type - ECG_START];
                const size_t least = (type == ECG_UPDATE_CHUNK) ? 5u : longest;
                const bool fits = (least <= message.length) && (message.length <= longest);
                expected = fits ? ECG_OK : ECG_WRONG_SIZE;
            }
            assert_int_equal(ecg_command_check(&message), expected);
        }
    }
}

static void status_is_the_golden_one(void **state)
{
    (void)state;
    uint8_t expected[VECTOR_BYTES];
    uint8_t written[ECG_STATUS_BYTES];
    const ecg_status_t status = {{1, 2, 3}, session, 249987, 87,
                                 ECG_STATUS_PROVISIONED | ECG_STATUS_SAMPLING};
    ecg_status_write(&status, written);
    assert_int_equal(vector("status", expected), ECG_STATUS_BYTES);
    assert_memory_equal(written, expected, ECG_STATUS_BYTES);
}

static void pieces_are_the_golden_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t mtu;
        unsigned pieces;
    } cases[] = {{"frame_pieces_mtu_23", 23, 25},
                 {"frame_pieces_mtu_247", 247, 2},
                 {"frame_pieces_mtu_517", 517, 1}};
    uint8_t frame[VECTOR_BYTES];
    uint8_t expected[VECTOR_BYTES];
    uint8_t gathered[ECG_FRAME_BYTES];
    uint8_t piece[514];
    (void)vector("frame", frame);
    for (size_t at = 0; at < 3; at++) {
        ecg_cutter_t cutter;
        ecg_reassembler_t reassembler;
        unsigned pieces = 0;
        size_t place = 0;
        size_t whole = 0;
        ecg_reassembler_init(&reassembler, gathered, sizeof gathered);
        (void)vector(cases[at].name, expected);
        assert_true(ecg_cutter_start(&cutter, frame, ECG_FRAME_BYTES, cases[at].mtu - 3u, 4));
        for (size_t n = ecg_cutter_piece(&cutter, piece); n > 0;
             n = ecg_cutter_piece(&cutter, piece)) {
            assert_int_equal(whole, 0);
            assert_memory_equal(piece, &expected[place], n);
            whole = ecg_reassembler_push(&reassembler, piece, n, 0);
            place += n;
            pieces++;
            ecg_cutter_sent(&cutter);
        }
        assert_int_equal(pieces, cases[at].pieces);
        assert_int_equal(whole, ECG_FRAME_BYTES);
        assert_memory_equal(gathered, frame, ECG_FRAME_BYTES);
    }
}

static void what_does_not_fit_64_pieces_is_not_cut(void **state)
{
    (void)state;
    static const uint8_t message[200];
    ecg_cutter_t cutter;
    assert_true(ecg_cutter_start(&cutter, message, 64, 3, 0));
    assert_false(ecg_cutter_start(&cutter, message, 65, 3, 0));
    assert_false(ecg_cutter_start(&cutter, message, 0, 20, 0));
    assert_false(ecg_cutter_start(&cutter, message, 9, 2, 0));
}

static size_t push(ecg_reassembler_t *reassembler, unsigned prefix, uint32_t now_ms)
{
    uint8_t piece[5] = {(uint8_t)prefix, (uint8_t)(prefix >> 8), 1, 2, 3};
    return ecg_reassembler_push(reassembler, piece, sizeof piece, now_ms);
}

static void wrong_pieces_are_counted(void **state)
{
    (void)state;
    uint8_t gathered[7];
    ecg_reassembler_t reassembler;
    ecg_reassembler_init(&reassembler, gathered, sizeof gathered);
    assert_int_equal(ecg_reassembler_push(&reassembler, gathered, 2, 0), 0);
    assert_int_equal(reassembler.refused[ECG_PIECE_TOO_SHORT], 1);
    (void)push(&reassembler, 0x0101, 0); /* not the first */
    (void)push(&reassembler, 0x0001, 0); /* number 0, not marked first */
    (void)push(&reassembler, 0x8101, 0); /* marked first, number 1 */
    assert_int_equal(reassembler.refused[ECG_PIECE_NOT_EXPECTED], 3);
    (void)push(&reassembler, 0x8001, 0);
    (void)push(&reassembler, 0x0102, 0); /* another message's */
    assert_int_equal(reassembler.refused[ECG_PIECE_NOT_EXPECTED], 4);
    (void)push(&reassembler, 0x8001, 0);
    (void)push(&reassembler, 0x8002, 0);
    assert_int_equal(reassembler.refused[ECG_PIECE_INTERRUPTED], 1);
    assert_int_equal(push(&reassembler, 0x4102, 1000), 6);
    (void)push(&reassembler, 0x8001, 2000);
    assert_int_equal(push(&reassembler, 0x4101, 3001), 0);
    assert_int_equal(reassembler.refused[ECG_PIECE_TIMED_OUT], 1);
    (void)push(&reassembler, 0x8001, 4000);
    (void)push(&reassembler, 0x0101, 4000);
    (void)push(&reassembler, 0x4201, 4000); /* 9 bytes, where 7 fit */
    assert_int_equal(reassembler.refused[ECG_PIECE_TOO_LONG], 1);
    (void)push(&reassembler, 0x8001, 5000);
    ecg_reassembler_drop(&reassembler);
    assert_int_equal(push(&reassembler, 0xC001, 5000), 3);
}

static void hkdf_is_rfc_5869s_and_bounded(void **state)
{
    (void)state;
    /* RFC 5869, A.1 */
    static const uint8_t expected[42] = {
        0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36,
        0x2f, 0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56,
        0xec, 0xc4, 0xc5, 0xbf, 0x34, 0x00, 0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65};
    uint8_t secret[22];
    uint8_t salt[13];
    uint8_t info[10];
    uint8_t out[65];
    memset(secret, 0x0b, sizeof secret);
    for (uint8_t at = 0; at < 13; at++) {
        salt[at] = at;
        info[at % 10] = (uint8_t)(0xf0 + (at % 10));
    }
    assert_int_equal(ecg_hkdf(secret, 22, salt, 13, info, 10, out, 42), ECG_OK);
    assert_memory_equal(out, expected, 42);
    assert_int_equal(ecg_hkdf(secret, 22, salt, 13, info, 25, out, 42), ECG_CRYPTO_FAILED);
    assert_int_equal(ecg_hkdf(secret, 22, salt, 13, info, 10, out, 65), ECG_CRYPTO_FAILED);
}

static void every_failing_call_of_psa_is_told(void **state)
{
    (void)state;
    const unsigned before = psa_keys_alive();
    ecg_session_keys_t derived;
    unsigned call = 0;
    ecg_result_t result = ECG_CRYPTO_FAILED;
    while (result != ECG_OK) {
        call++;
        assert_true(call < 100);
        psa_fails_at(call);
        result = ecg_session_keys_derive(root_key, &session, &derived);
        assert_int_equal(result == ECG_OK, !psa_has_failed());
        if (result != ECG_OK) {
            assert_int_equal(psa_keys_alive(), before);
        }
    }
    assert_true(call > 15);
    ecg_session_keys_forget(&derived);
    uint8_t out[32];
    for (call = 1; call <= 4; call++) { /* setup, two updates, finish */
        psa_fails_at(call);
        assert_int_equal(ecg_sha256(out, 32, out, 32, out), ECG_CRYPTO_FAILED);
    }
    psa_fails_at(1);
    assert_int_equal(ecg_random(out, 32), ECG_CRYPTO_FAILED);
    assert_int_equal(ecg_random(out, 32), ECG_OK);
    psa_fails_at(0);
}

static void a_sealing_that_fails_gives_nothing(void **state)
{
    (void)state;
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    const ecg_message_t message = {.type = ECG_START};
    ecg_message_t opened;
    psa_fails_at(1);
    assert_int_equal(ecg_message_seal(&keys.up, &session, &message, root_key, sealed), 0);
    const size_t length = ecg_message_seal(&keys.up, &session, &message, root_key, sealed);
    psa_fails_at(1);
    assert_int_equal(ecg_message_open(&keys.up, &session, sealed, length, &opened),
                     ECG_CRYPTO_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_key_is_derived),
        cmocka_unit_test(frame_seals_to_the_golden_bytes),
        cmocka_unit_test(header_is_refused_in_order),
        cmocka_unit_test(sessions_differ_in_each_part),
        cmocka_unit_test(four_rates_are_legal),
        cmocka_unit_test(sealed_messages_are_the_golden_ones),
        cmocka_unit_test(held_report_is_the_golden_one),
        cmocka_unit_test(acknowledgement_is_read),
        cmocka_unit_test(illegal_acknowledgements_are_refused),
        cmocka_unit_test(messages_are_refused_in_order),
        cmocka_unit_test(commands_have_their_length),
        cmocka_unit_test(status_is_the_golden_one),
        cmocka_unit_test(pieces_are_the_golden_ones),
        cmocka_unit_test(what_does_not_fit_64_pieces_is_not_cut),
        cmocka_unit_test(wrong_pieces_are_counted),
        cmocka_unit_test(hkdf_is_rfc_5869s_and_bounded),
        cmocka_unit_test(every_failing_call_of_psa_is_told),
        cmocka_unit_test(a_sealing_that_fails_gives_nothing),
    };
    return ((ecg_crypto_start() == ECG_OK) ? 0 : 1) +
           cmocka_run_group_tests(tests, derive, forget);
}
