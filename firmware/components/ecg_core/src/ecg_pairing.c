#include "ecg_pairing.h"

#include <string.h>

#include "ecg_bytes.h"

#define PROLOGUE_BYTES 12u

static const uint8_t protocol_name[ECG_HASH_BYTES] = {
    'N', 'o', 'i', 's', 'e', '_', 'N', 'N', 'p', 's', 'k', '0', '_', '2', '5', '5',
    '1', '9', '_', 'A', 'E', 'S', 'G', 'C', 'M', '_', 'S', 'H', 'A', '2', '5', '6',
};

/* Noise's SymmetricState and its CipherState. */
typedef struct {
    uint8_t hash[ECG_HASH_BYTES];
    uint8_t chaining_key[ECG_HASH_BYTES];
    uint8_t key[ECG_HASH_BYTES];
    uint64_t nonce;
} symmetric_t;

static ecg_result_t mix_hash(symmetric_t *state, const uint8_t *bytes, size_t length)
{
    return ecg_sha256(state->hash, ECG_HASH_BYTES, bytes, length, state->hash);
}

/* Noise's HKDF with two or three outputs: RFC 5869 without info, `outputs` × 32 bytes. */
static ecg_result_t noise_hkdf(const uint8_t chaining_key[ECG_HASH_BYTES], const uint8_t *secret,
                               size_t length, uint8_t *out, uint8_t outputs)
{
    uint8_t extracted[ECG_HASH_BYTES];
    uint8_t block[ECG_HASH_BYTES + 1u];
    ecg_result_t result = ecg_hmac(chaining_key, ECG_HASH_BYTES, secret, length, extracted);
    for (uint8_t number = 1u; (result == ECG_OK) && (number <= outputs); number++) {
        const size_t head = (number == 1u) ? 0u : ECG_HASH_BYTES;
        uint8_t *next = &out[(size_t)(number - 1u) * ECG_HASH_BYTES];
        memcpy(block, (number == 1u) ? next : (next - ECG_HASH_BYTES), head);
        block[head] = number;
        result = ecg_hmac(extracted, ECG_HASH_BYTES, block, head + 1u, next);
    }
    ecg_wipe(extracted, sizeof extracted);
    ecg_wipe(block, sizeof block);
    return result;
}

static ecg_result_t mix_key(symmetric_t *state, const uint8_t *secret)
{
    uint8_t out[2u * ECG_HASH_BYTES];
    const ecg_result_t result =
        noise_hkdf(state->chaining_key, secret, ECG_X25519_BYTES, out, 2u);
    memcpy(state->chaining_key, out, ECG_HASH_BYTES);
    memcpy(state->key, &out[ECG_HASH_BYTES], ECG_HASH_BYTES);
    state->nonce = 0u;
    ecg_wipe(out, sizeof out);
    return result;
}

static ecg_result_t mix_key_and_hash(symmetric_t *state, const uint8_t *secret)
{
    uint8_t out[3u * ECG_HASH_BYTES];
    ecg_result_t result = noise_hkdf(state->chaining_key, secret, 32u, out, 3u);
    memcpy(state->chaining_key, out, ECG_HASH_BYTES);
    memcpy(state->key, &out[2u * ECG_HASH_BYTES], ECG_HASH_BYTES);
    state->nonce = 0u;
    if (result == ECG_OK) {
        result = mix_hash(state, &out[ECG_HASH_BYTES], ECG_HASH_BYTES);
    }
    ecg_wipe(out, sizeof out);
    return result;
}

/* A public key of an NN pattern with a psk goes into the hash and into the key. */
static ecg_result_t mix_public_key(symmetric_t *state, const uint8_t *public_key)
{
    const ecg_result_t result = mix_hash(state, public_key, ECG_X25519_BYTES);
    return (result == ECG_OK) ? mix_key(state, public_key) : result;
}

/* 32 zero bits and the counter, big-endian (Noise, 12.3). */
static void write_nonce(uint64_t counter, uint8_t nonce[ECG_NONCE_BYTES])
{
    memset(nonce, 0, 4u);
    for (unsigned at = 0u; at < 8u; at++) {
        nonce[11u - at] = (uint8_t)(counter >> (8u * at));
    }
}

/* Seals or opens an empty payload: the tag alone, which goes into the hash. */
static ecg_result_t seal_empty(symmetric_t *state, uint8_t tag[ECG_TAG_BYTES])
{
    uint8_t nonce[ECG_NONCE_BYTES];
    ecg_key_t key = {0};
    write_nonce(state->nonce, nonce);
    ecg_result_t result = ecg_key_import(state->key, &key);
    if (result == ECG_OK) {
        result = ecg_gcm_seal(&key, nonce, (ecg_span_t){state->hash, ECG_HASH_BYTES},
                              (ecg_span_t){tag, 0u}, tag);
    }
    ecg_key_forget(&key);
    return (result == ECG_OK) ? mix_hash(state, tag, ECG_TAG_BYTES) : result;
}

static ecg_result_t open_empty(symmetric_t *state, const uint8_t tag[ECG_TAG_BYTES])
{
    uint8_t nonce[ECG_NONCE_BYTES];
    uint8_t nothing[1];
    ecg_key_t key = {0};
    write_nonce(state->nonce, nonce);
    ecg_result_t result = ecg_key_import(state->key, &key);
    if (result == ECG_OK) {
        result = ecg_gcm_open(&key, nonce, (ecg_span_t){state->hash, ECG_HASH_BYTES},
                              (ecg_span_t){tag, ECG_TAG_BYTES}, nothing);
    }
    ecg_key_forget(&key);
    return (result == ECG_OK) ? mix_hash(state, tag, ECG_TAG_BYTES) : result;
}

/* Prologue, then the gateway's psk, e and empty payload. */
static ecg_result_t read_first(const ecg_pairing_t *pairing, const uint8_t *first,
                               symmetric_t *state)
{
    uint8_t prologue[PROLOGUE_BYTES] = {'E', 'C', 'G', 'P', 'R', 'O', 'V', '1'};
    ecg_put(&prologue[8], pairing->device_id, 4u);
    memcpy(state->hash, protocol_name, ECG_HASH_BYTES);
    memcpy(state->chaining_key, protocol_name, ECG_HASH_BYTES);
    ecg_result_t result = mix_hash(state, prologue, sizeof prologue);
    if (result == ECG_OK) {
        result = mix_key_and_hash(state, pairing->secret);
    }
    if (result == ECG_OK) {
        result = mix_public_key(state, first);
    }
    return (result == ECG_OK) ? open_empty(state, &first[ECG_X25519_BYTES]) : result;
}

/* The sensor's e, ee and empty payload. */
static ecg_result_t write_second(symmetric_t *state, const uint8_t *peer,
                                 const uint8_t ephemeral[ECG_X25519_BYTES],
                                 uint8_t second[ECG_PAIRING_SECOND_BYTES])
{
    uint8_t shared[ECG_X25519_BYTES];
    ecg_result_t result = ecg_x25519(ephemeral, peer, second, shared);
    if (result == ECG_OK) {
        result = mix_public_key(state, second);
    }
    if (result == ECG_OK) {
        result = mix_key(state, shared);
    }
    ecg_wipe(shared, sizeof shared);
    return (result == ECG_OK) ? seal_empty(state, &second[ECG_X25519_BYTES]) : result;
}

/* Noise's Split: the first key is the initiator's; the root key goes out under the second. */
static ecg_result_t hand_over(ecg_pairing_t *pairing, const symmetric_t *state,
                              const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                              uint8_t sealed[ECG_PAIRING_KEY_BYTES])
{
    uint8_t out[2u * ECG_HASH_BYTES];
    uint8_t nonce[ECG_NONCE_BYTES];
    ecg_key_t to_gateway = {0};
    write_nonce(0u, nonce);
    ecg_result_t result = noise_hkdf(state->chaining_key, out, 0u, out, 2u);
    if (result == ECG_OK) {
        result = ecg_key_import(out, &pairing->from_gateway);
    }
    if (result == ECG_OK) {
        result = ecg_key_import(&out[ECG_HASH_BYTES], &to_gateway);
    }
    if (result == ECG_OK) {
        result = ecg_gcm_seal(&to_gateway, nonce, (ecg_span_t){nonce, 0u},
                              (ecg_span_t){root_key, ECG_ROOT_KEY_BYTES}, sealed);
    }
    ecg_key_forget(&to_gateway);
    ecg_wipe(out, sizeof out);
    return result;
}

void ecg_pairing_open(ecg_pairing_t *pairing, uint32_t device_id, const uint8_t secret[32])
{
    *pairing = (ecg_pairing_t){.device_id = device_id, .state = ECG_PAIRING_WAITS};
    memcpy(pairing->secret, secret, sizeof pairing->secret);
}

void ecg_pairing_close(ecg_pairing_t *pairing)
{
    ecg_key_forget(&pairing->from_gateway);
    ecg_wipe(pairing, sizeof *pairing);
    pairing->state = ECG_PAIRING_LOCKED;
}

static ecg_result_t judge(ecg_pairing_t *pairing, ecg_result_t result)
{
    if (result != ECG_OK) {
        ecg_key_forget(&pairing->from_gateway);
        pairing->failures++;
        pairing->state = (pairing->failures < ECG_PAIRING_MOST_FAILURES) ? ECG_PAIRING_WAITS
                                                                        : ECG_PAIRING_LOCKED;
    }
    return result;
}

ecg_result_t ecg_pairing_respond(ecg_pairing_t *pairing, const uint8_t *first, size_t length,
                                 const uint8_t ephemeral[ECG_X25519_BYTES],
                                 const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                 uint8_t second[ECG_PAIRING_SECOND_BYTES],
                                 uint8_t key[ECG_PAIRING_KEY_BYTES])
{
    symmetric_t state = {0};
    if (pairing->state == ECG_PAIRING_LOCKED) {
        return ECG_NOT_EXPECTED;
    }
    ecg_key_forget(&pairing->from_gateway);
    ecg_result_t result = (length == ECG_PAIRING_FIRST_BYTES) ? ECG_OK : ECG_WRONG_SIZE;
    if (result == ECG_OK) {
        result = read_first(pairing, first, &state);
    }
    if (result == ECG_OK) {
        result = write_second(&state, first, ephemeral, second);
    }
    if (result == ECG_OK) {
        result = hand_over(pairing, &state, root_key, key);
    }
    ecg_wipe(&state, sizeof state);
    pairing->state = ECG_PAIRING_ASKED;
    return judge(pairing, result);
}

ecg_result_t ecg_pairing_confirm(ecg_pairing_t *pairing, const uint8_t *message, size_t length)
{
    uint8_t nonce[ECG_NONCE_BYTES];
    uint8_t said[1];
    if (pairing->state != ECG_PAIRING_ASKED) {
        return ECG_NOT_EXPECTED;
    }
    if (length != ECG_PAIRING_STORED_BYTES) {
        return judge(pairing, ECG_WRONG_SIZE);
    }
    write_nonce(0u, nonce);
    ecg_result_t result = ecg_gcm_open(&pairing->from_gateway, nonce, (ecg_span_t){nonce, 0u},
                                       (ecg_span_t){message, length}, said);
    if ((result == ECG_OK) && (said[0] != ECG_PAIRING_STORED)) {
        result = ECG_ILLEGAL_CONTENT;
    }
    if (result == ECG_OK) {
        ecg_pairing_close(pairing);
    }
    return judge(pairing, result);
}
