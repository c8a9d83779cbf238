/* The pairing handshake against a transcript that an independent Noise library made. */
#include "bench.h"

#include <string.h>

#include "ecg_pairing.h"

static uint8_t secret[VECTOR_BYTES];
static uint8_t ephemeral[VECTOR_BYTES];
static uint8_t root_key[VECTOR_BYTES];
static uint8_t first[VECTOR_BYTES];
static uint8_t stored[VECTOR_BYTES];
static uint8_t expected_second[VECTOR_BYTES];
static uint8_t expected_key[VECTOR_BYTES];
static uint8_t second[ECG_PAIRING_SECOND_BYTES];
static uint8_t key[ECG_PAIRING_KEY_BYTES];
static ecg_pairing_t pairing;

static int open_window(void **state)
{
    (void)state;
    (void)vector("pairing_secret", secret);
    (void)vector("pairing_sensor_ephemeral", ephemeral);
    (void)vector("pairing_root_key", root_key);
    (void)vector("pairing_first", first);
    (void)vector("pairing_second", expected_second);
    (void)vector("pairing_key", expected_key);
    (void)vector("pairing_stored", stored);
    ecg_pairing_open(&pairing, 42, secret);
    return 0;
}

static int close_window(void **state)
{
    (void)state;
    psa_fails_at(0);
    ecg_pairing_close(&pairing);
    return (psa_keys_alive() == 0u) ? 0 : 1;
}

static ecg_result_t respond_to(size_t length)
{
    return ecg_pairing_respond(&pairing, first, length, ephemeral, root_key, second, key);
}

static void the_transcript_is_the_golden_one(void **state)
{
    (void)state;
    assert_int_equal(respond_to(48), ECG_OK);
    assert_memory_equal(second, expected_second, sizeof second);
    assert_memory_equal(key, expected_key, sizeof key);
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_OK);
    assert_int_equal(pairing.state, ECG_PAIRING_LOCKED);
    assert_int_equal(respond_to(48), ECG_NOT_EXPECTED); /* the export is locked */
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_NOT_EXPECTED);
}

static void a_gateway_may_begin_anew(void **state)
{
    (void)state;
    assert_int_equal(respond_to(48), ECG_OK);
    assert_int_equal(respond_to(48), ECG_OK);
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_OK);
}

static void another_secret_or_device_gets_nothing(void **state)
{
    (void)state;
    memset(key, 0, sizeof key);
    secret[0] ^= 1u;
    ecg_pairing_open(&pairing, 42, secret);
    assert_int_equal(respond_to(48), ECG_NOT_AUTHENTIC);
    secret[0] ^= 1u;
    ecg_pairing_open(&pairing, 43, secret);
    assert_int_equal(respond_to(48), ECG_NOT_AUTHENTIC);
    for (size_t at = 0; at < sizeof key; at++) {
        assert_int_equal(key[at], 0);
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8u * 48u; bit++) {
        ecg_pairing_open(&pairing, 42, secret);
        first[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        assert_int_equal(respond_to(48), ECG_NOT_AUTHENTIC);
        first[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
    }
}

static void the_sixth_try_is_not_answered(void **state)
{
    (void)state;
    assert_int_equal(respond_to(47), ECG_WRONG_SIZE);
    assert_int_equal(respond_to(49), ECG_WRONG_SIZE);
    for (unsigned at = 0; at < 3; at++) {
        assert_int_equal(respond_to(0), ECG_WRONG_SIZE);
    }
    assert_int_equal(respond_to(48), ECG_NOT_EXPECTED);
}

static void a_false_confirmation_locks_nothing(void **state)
{
    (void)state;
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_NOT_EXPECTED);
    assert_int_equal(respond_to(48), ECG_OK);
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 16), ECG_WRONG_SIZE);
    assert_int_equal(respond_to(48), ECG_OK);
    stored[3] ^= 1u;
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_NOT_AUTHENTIC);
    assert_int_equal(pairing.state, ECG_PAIRING_WAITS);
    assert_int_equal(respond_to(48), ECG_OK);
    stored[0] ^= 1u;
    stored[3] ^= 1u;
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_NOT_AUTHENTIC);
    uint8_t other[VECTOR_BYTES];
    assert_int_equal(vector("pairing_not_stored", other), 17); /* sealed, and says something else */
    assert_int_equal(respond_to(48), ECG_OK);
    assert_int_equal(ecg_pairing_confirm(&pairing, other, 17), ECG_ILLEGAL_CONTENT);
}

static void every_failing_call_of_psa_is_told(void **state)
{
    (void)state;
    ecg_result_t result = ECG_CRYPTO_FAILED;
    unsigned call = 0;
    while (result != ECG_OK) {
        call++;
        assert_true(call < 200);
        ecg_pairing_open(&pairing, 42, secret);
        psa_fails_at(call);
        result = respond_to(48);
        assert_int_equal(result == ECG_OK, !psa_has_failed());
        assert_int_equal(psa_keys_alive(), (result == ECG_OK) ? 1 : 0);
    }
    assert_true(call > 50);
    psa_fails_at(1);
    assert_int_equal(ecg_pairing_confirm(&pairing, stored, 17), ECG_CRYPTO_FAILED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_window, close_window)
    const struct CMUnitTest tests[] = {
        TEST(the_transcript_is_the_golden_one),
        TEST(a_gateway_may_begin_anew),
        TEST(another_secret_or_device_gets_nothing),
        TEST(every_flipped_bit_is_refused),
        TEST(the_sixth_try_is_not_answered),
        TEST(a_false_confirmation_locks_nothing),
        TEST(every_failing_call_of_psa_is_told),
    };
    return ((ecg_crypto_start() == ECG_OK) ? 0 : 1) + cmocka_run_group_tests(tests, NULL, NULL);
}
