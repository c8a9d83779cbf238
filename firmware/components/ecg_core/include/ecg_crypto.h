/* All cryptography of the core, as one-shot PSA Crypto calls: they exist in Mbed TLS 2.28, 3.6 and 4.
 *
 * A key lives inside PSA from import to forget. Each function gives ECG_OK or ECG_CRYPTO_FAILED,
 * and ecg_gcm_open also ECG_NOT_AUTHENTIC.
 */
#ifndef ECG_CRYPTO_H
#define ECG_CRYPTO_H

#include <psa/crypto.h>

#include "ecg_types.h"

#define ECG_HASH_BYTES 32u
#define ECG_X25519_BYTES 32u
#define ECG_P256_POINT_BYTES 65u /* 04 ‖ x ‖ y */
#define ECG_P256_SIGNATURE_BYTES 64u
#define ECG_HKDF_MOST_BYTES (2u * ECG_HASH_BYTES)
#define ECG_HKDF_MOST_INFO_BYTES 24u

typedef struct {
    psa_key_id_t id; /* 0: none */
} ecg_key_t;

ecg_result_t ecg_crypto_start(void);
ecg_result_t ecg_random(uint8_t *out, size_t length);

ecg_result_t ecg_hmac(const uint8_t *key, size_t key_length, const uint8_t *text, size_t length,
                      uint8_t out[ECG_HASH_BYTES]);

/* HKDF-SHA256 (RFC 5869) on HMAC, because ESP-IDF leaves HKDF out by default. */
ecg_result_t ecg_hkdf(const uint8_t *secret, size_t secret_length, const uint8_t *salt,
                      size_t salt_length, const uint8_t *info, size_t info_length, uint8_t *out,
                      size_t out_length);

/* SHA-256 of head ‖ tail; `out` may be `head`. */
ecg_result_t ecg_sha256(const uint8_t *head, size_t head_length, const uint8_t *tail,
                        size_t tail_length, uint8_t out[ECG_HASH_BYTES]);

/* SHA-256 in parts; an operation that has failed is over. */
ecg_result_t ecg_sha256_begin(psa_hash_operation_t *operation);
ecg_result_t ecg_sha256_add(psa_hash_operation_t *operation, const uint8_t *bytes, size_t length);
ecg_result_t ecg_sha256_end(psa_hash_operation_t *operation, uint8_t out[ECG_HASH_BYTES]);

/* ECDSA with P-256 of a SHA-256 (FIPS 186-4), r ‖ s; ECG_NOT_AUTHENTIC when another key signed, or
 * something else. No version of PSA that ESP-IDF brings has Ed25519. */
ecg_result_t ecg_p256_verify(const uint8_t point[ECG_P256_POINT_BYTES],
                             const uint8_t hash[ECG_HASH_BYTES],
                             const uint8_t signature[ECG_P256_SIGNATURE_BYTES]);

ecg_result_t ecg_key_import(const uint8_t bytes[32], ecg_key_t *key);
void ecg_key_forget(ecg_key_t *key);

typedef struct {
    const uint8_t *bytes;
    size_t length;
} ecg_span_t;

/* AES-256-GCM. `sealed` has room for the text and the tag; seal and open may work in place. */
ecg_result_t ecg_gcm_seal(const ecg_key_t *key, const uint8_t nonce[ECG_NONCE_BYTES],
                          ecg_span_t associated, ecg_span_t text, uint8_t *sealed);
ecg_result_t ecg_gcm_open(const ecg_key_t *key, const uint8_t nonce[ECG_NONCE_BYTES],
                          ecg_span_t associated, ecg_span_t sealed, uint8_t *text);

/* X25519 (RFC 7748) of a private key drawn by the caller; an all-zero result is refused. */
ecg_result_t ecg_x25519(const uint8_t private_key[ECG_X25519_BYTES],
                        const uint8_t peer[ECG_X25519_BYTES], uint8_t public_key[ECG_X25519_BYTES],
                        uint8_t shared[ECG_X25519_BYTES]);

/* Overwrites a secret; the compiler may not leave it out. */
void ecg_wipe(void *secret, size_t length);

#endif
