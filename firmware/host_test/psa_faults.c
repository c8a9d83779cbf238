/* PSA Crypto that fails at a chosen call, put between core and library by the linker's --wrap. */
#include "bench.h"

static unsigned countdown;
static bool failed;
static unsigned alive;

void psa_fails_at(unsigned call)
{
    countdown = call;
    failed = false;
}

bool psa_has_failed(void)
{
    return failed;
}

unsigned psa_keys_alive(void)
{
    return alive;
}

static bool fails(void)
{
    if (countdown > 0u) {
        countdown--;
        failed = failed || (countdown == 0u);
        return countdown == 0u;
    }
    return false;
}

#define WRAPPED(call, parameters, arguments)                                                       \
    psa_status_t __real_##call parameters;                                                         \
    psa_status_t __wrap_##call parameters;                                                         \
    psa_status_t __wrap_##call parameters                                                          \
    {                                                                                              \
        return fails() ? PSA_ERROR_INSUFFICIENT_MEMORY : __real_##call arguments;                  \
    }

WRAPPED(psa_generate_random, (uint8_t *out, size_t size), (out, size))
WRAPPED(psa_mac_compute,
        (psa_key_id_t key, psa_algorithm_t alg, const uint8_t *in, size_t length, uint8_t *mac,
         size_t size, size_t *written),
        (key, alg, in, length, mac, size, written))
WRAPPED(psa_hash_setup, (psa_hash_operation_t * operation, psa_algorithm_t alg), (operation, alg))
WRAPPED(psa_hash_update, (psa_hash_operation_t * operation, const uint8_t *in, size_t length),
        (operation, in, length))
WRAPPED(psa_hash_finish,
        (psa_hash_operation_t * operation, uint8_t *hash, size_t size, size_t *length),
        (operation, hash, size, length))
WRAPPED(psa_export_public_key, (psa_key_id_t key, uint8_t *out, size_t size, size_t *length),
        (key, out, size, length))
WRAPPED(psa_raw_key_agreement,
        (psa_algorithm_t alg, psa_key_id_t key, const uint8_t *peer, size_t length, uint8_t *out,
         size_t size, size_t *written),
        (alg, key, peer, length, out, size, written))
WRAPPED(psa_verify_hash,
        (psa_key_id_t key, psa_algorithm_t alg, const uint8_t *hash, size_t length,
         const uint8_t *signature, size_t size),
        (key, alg, hash, length, signature, size))
WRAPPED(psa_aead_encrypt,
        (psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
         const uint8_t *ad, size_t ad_length, const uint8_t *in, size_t in_length, uint8_t *out,
         size_t size, size_t *written),
        (key, alg, nonce, nonce_length, ad, ad_length, in, in_length, out, size, written))
WRAPPED(psa_aead_decrypt,
        (psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
         const uint8_t *ad, size_t ad_length, const uint8_t *in, size_t in_length, uint8_t *out,
         size_t size, size_t *written),
        (key, alg, nonce, nonce_length, ad, ad_length, in, in_length, out, size, written))

psa_status_t __real_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *bytes,
                                   size_t length, psa_key_id_t *key);
psa_status_t __wrap_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *bytes,
                                   size_t length, psa_key_id_t *key);
psa_status_t __wrap_psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *bytes,
                                   size_t length, psa_key_id_t *key)
{
    if (fails()) {
        return PSA_ERROR_INSUFFICIENT_MEMORY;
    }
    const psa_status_t status = __real_psa_import_key(attributes, bytes, length, key);
    alive += (status == PSA_SUCCESS) ? 1u : 0u;
    return status;
}

psa_status_t __real_psa_destroy_key(psa_key_id_t key);
psa_status_t __wrap_psa_destroy_key(psa_key_id_t key);
psa_status_t __wrap_psa_destroy_key(psa_key_id_t key)
{
    alive -= (key != 0) ? 1u : 0u;
    return __real_psa_destroy_key(key);
}
