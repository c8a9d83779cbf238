#include "ecg_crypto.h"

#include <string.h>

static ecg_result_t result_of(psa_status_t status)
{
    return (status == PSA_SUCCESS) ? ECG_OK : ECG_CRYPTO_FAILED;
}

static psa_status_t import(psa_key_type_t type, psa_algorithm_t algorithm, psa_key_usage_t usage,
                           const uint8_t *bytes, size_t length, psa_key_id_t *id)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, type);
    psa_set_key_algorithm(&attributes, algorithm);
    psa_set_key_usage_flags(&attributes, usage);
    return psa_import_key(&attributes, bytes, length, id);
}

ecg_result_t ecg_crypto_start(void)
{
    return result_of(psa_crypto_init());
}

ecg_result_t ecg_random(uint8_t *out, size_t length)
{
    return result_of(psa_generate_random(out, length));
}

ecg_result_t ecg_hmac(const uint8_t *key, size_t key_length, const uint8_t *text, size_t length,
                      uint8_t out[ECG_HASH_BYTES])
{
    const psa_algorithm_t algorithm = PSA_ALG_HMAC(PSA_ALG_SHA_256);
    psa_key_id_t id = 0;
    size_t written = 0u;
    psa_status_t status =
        import(PSA_KEY_TYPE_HMAC, algorithm, PSA_KEY_USAGE_SIGN_MESSAGE, key, key_length, &id);
    if (status == PSA_SUCCESS) {
        status = psa_mac_compute(id, algorithm, text, length, out, ECG_HASH_BYTES, &written);
        (void)psa_destroy_key(id);
    }
    return result_of(status);
}

ecg_result_t ecg_hkdf(const uint8_t *secret, size_t secret_length, const uint8_t *salt,
                      size_t salt_length, const uint8_t *info, size_t info_length, uint8_t *out,
                      size_t out_length)
{
    uint8_t extracted[ECG_HASH_BYTES];
    uint8_t block[ECG_HASH_BYTES + ECG_HKDF_MOST_INFO_BYTES + 1u];
    uint8_t expanded[ECG_HASH_BYTES];
    size_t done = 0u;
    if ((info_length > ECG_HKDF_MOST_INFO_BYTES) || (out_length > ECG_HKDF_MOST_BYTES)) {
        return ECG_CRYPTO_FAILED;
    }
    ecg_result_t result = ecg_hmac(salt, salt_length, secret, secret_length, extracted);
    for (uint8_t number = 1u; (result == ECG_OK) && (done < out_length); number++) {
        const size_t head = (number == 1u) ? 0u : ECG_HASH_BYTES;
        memcpy(block, expanded, head);
        memcpy(&block[head], info, info_length);
        block[head + info_length] = number;
        result = ecg_hmac(extracted, ECG_HASH_BYTES, block, head + info_length + 1u, expanded);
        const size_t left = out_length - done;
        const size_t part = (left < ECG_HASH_BYTES) ? left : ECG_HASH_BYTES;
        memcpy(&out[done], expanded, part);
        done += part;
    }
    ecg_wipe(extracted, sizeof extracted);
    ecg_wipe(block, sizeof block);
    ecg_wipe(expanded, sizeof expanded);
    return result;
}

ecg_result_t ecg_sha256(const uint8_t *head, size_t head_length, const uint8_t *tail,
                        size_t tail_length, uint8_t out[ECG_HASH_BYTES])
{
    psa_hash_operation_t operation = PSA_HASH_OPERATION_INIT;
    ecg_result_t result = ecg_sha256_begin(&operation);
    if (result == ECG_OK) {
        result = ecg_sha256_add(&operation, head, head_length);
    }
    if (result == ECG_OK) {
        result = ecg_sha256_add(&operation, tail, tail_length);
    }
    return (result == ECG_OK) ? ecg_sha256_end(&operation, out) : result;
}

static ecg_result_t hash_result(psa_hash_operation_t *operation, psa_status_t status)
{
    if (status != PSA_SUCCESS) {
        (void)psa_hash_abort(operation);
    }
    return result_of(status);
}

ecg_result_t ecg_sha256_begin(psa_hash_operation_t *operation)
{
    *operation = psa_hash_operation_init();
    return hash_result(operation, psa_hash_setup(operation, PSA_ALG_SHA_256));
}

ecg_result_t ecg_sha256_add(psa_hash_operation_t *operation, const uint8_t *bytes, size_t length)
{
    return hash_result(operation, psa_hash_update(operation, bytes, length));
}

ecg_result_t ecg_sha256_end(psa_hash_operation_t *operation, uint8_t out[ECG_HASH_BYTES])
{
    size_t written = 0u;
    return hash_result(operation, psa_hash_finish(operation, out, ECG_HASH_BYTES, &written));
}

ecg_result_t ecg_p256_verify(const uint8_t point[ECG_P256_POINT_BYTES],
                             const uint8_t hash[ECG_HASH_BYTES],
                             const uint8_t signature[ECG_P256_SIGNATURE_BYTES])
{
    const psa_algorithm_t algorithm = PSA_ALG_ECDSA(PSA_ALG_SHA_256);
    psa_key_id_t id = 0;
    psa_status_t status =
        import(PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1), algorithm,
               PSA_KEY_USAGE_VERIFY_HASH, point, ECG_P256_POINT_BYTES, &id);
    if (status == PSA_SUCCESS) {
        status = psa_verify_hash(id, algorithm, hash, ECG_HASH_BYTES, signature,
                                 ECG_P256_SIGNATURE_BYTES);
        (void)psa_destroy_key(id);
    }
    return (status == PSA_ERROR_INVALID_SIGNATURE) ? ECG_NOT_AUTHENTIC : result_of(status);
}

ecg_result_t ecg_key_import(const uint8_t bytes[32], ecg_key_t *key)
{
    const psa_key_usage_t usage = PSA_KEY_USAGE_ENCRYPT | PSA_KEY_USAGE_DECRYPT;
    return result_of(import(PSA_KEY_TYPE_AES, PSA_ALG_GCM, usage, bytes, 32u, &key->id));
}

void ecg_key_forget(ecg_key_t *key)
{
    (void)psa_destroy_key(key->id);
    key->id = 0;
}

ecg_result_t ecg_gcm_seal(const ecg_key_t *key, const uint8_t nonce[ECG_NONCE_BYTES],
                          ecg_span_t associated, ecg_span_t text, uint8_t *sealed)
{
    size_t written = 0u;
    return result_of(psa_aead_encrypt(key->id, PSA_ALG_GCM, nonce, ECG_NONCE_BYTES,
                                      associated.bytes, associated.length, text.bytes, text.length,
                                      sealed, text.length + ECG_TAG_BYTES, &written));
}

ecg_result_t ecg_gcm_open(const ecg_key_t *key, const uint8_t nonce[ECG_NONCE_BYTES],
                          ecg_span_t associated, ecg_span_t sealed, uint8_t *text)
{
    size_t written = 0u;
    const psa_status_t status = psa_aead_decrypt(
        key->id, PSA_ALG_GCM, nonce, ECG_NONCE_BYTES, associated.bytes, associated.length,
        sealed.bytes, sealed.length, text, sealed.length - ECG_TAG_BYTES, &written);
    return (status == PSA_ERROR_INVALID_SIGNATURE) ? ECG_NOT_AUTHENTIC : result_of(status);
}

ecg_result_t ecg_x25519(const uint8_t private_key[ECG_X25519_BYTES],
                        const uint8_t peer[ECG_X25519_BYTES], uint8_t public_key[ECG_X25519_BYTES],
                        uint8_t shared[ECG_X25519_BYTES])
{
    psa_key_id_t id = 0;
    size_t written = 0u;
    uint8_t any = 0u;
    psa_status_t status = import(PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_MONTGOMERY), PSA_ALG_ECDH,
                                 PSA_KEY_USAGE_DERIVE, private_key, ECG_X25519_BYTES, &id);
    if (status == PSA_SUCCESS) {
        status = psa_export_public_key(id, public_key, ECG_X25519_BYTES, &written);
    }
    if (status == PSA_SUCCESS) {
        status = psa_raw_key_agreement(PSA_ALG_ECDH, id, peer, ECG_X25519_BYTES, shared,
                                       ECG_X25519_BYTES, &written);
    }
    (void)psa_destroy_key(id);
    for (size_t at = 0u; (status == PSA_SUCCESS) && (at < ECG_X25519_BYTES); at++) {
        any |= shared[at];
    }
    return (any != 0u) ? ECG_OK : ECG_CRYPTO_FAILED; /* a low-order point gives zeros */
}

void ecg_wipe(void *secret, size_t length)
{
    volatile uint8_t *byte = secret;
    for (size_t at = 0u; at < length; at++) {
        byte[at] = 0u;
    }
}
