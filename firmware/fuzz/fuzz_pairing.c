/* The provision characteristic: any first message, and any confirmation. */
#include <stdlib.h>

#include "ecg_pairing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const uint8_t secret[32] = {1u};
    static const uint8_t ephemeral[ECG_X25519_BYTES] = {2u};
    static const uint8_t root_key[ECG_ROOT_KEY_BYTES] = {3u};
    uint8_t second[ECG_PAIRING_SECOND_BYTES];
    uint8_t key[ECG_PAIRING_KEY_BYTES];
    ecg_pairing_t pairing;
    if (ecg_crypto_start() != ECG_OK) {
        abort();
    }
    ecg_pairing_open(&pairing, 1u, secret);
    (void)ecg_pairing_respond(&pairing, bytes, length, ephemeral, root_key, second, key);
    pairing.state = ECG_PAIRING_ASKED;
    if (ecg_pairing_confirm(&pairing, bytes, length) == ECG_OK) {
        abort(); /* nobody could know the key */
    }
    ecg_pairing_close(&pairing);
    return 0;
}
