#include "ecg_keys.h"

#include <string.h>

#include "ecg_bytes.h"

ecg_result_t ecg_derive(const uint8_t root_key[ECG_ROOT_KEY_BYTES], const ecg_session_id_t *session,
                        const char *label, uint8_t *out, size_t out_length)
{
    uint8_t info[ECG_HKDF_MOST_INFO_BYTES];
    const size_t length = strlen(label);
    memcpy(info, label, length);
    ecg_put(&info[length], session->device_id, 4u);
    ecg_put(&info[length + 4u], session->boot_id, 4u);
    return ecg_hkdf(root_key, ECG_ROOT_KEY_BYTES, session->salt, ECG_SALT_BYTES, info, length + 8u,
                    out, out_length);
}

ecg_result_t ecg_message_key_derive(const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                    const ecg_session_id_t *session, const char *label,
                                    ecg_key_t *key)
{
    uint8_t bytes[32];
    ecg_result_t result = ecg_derive(root_key, session, label, bytes, sizeof bytes);
    if (result == ECG_OK) {
        result = ecg_key_import(bytes, key);
    }
    ecg_wipe(bytes, sizeof bytes);
    return result;
}

ecg_result_t ecg_session_keys_derive(const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                     const ecg_session_id_t *session, ecg_session_keys_t *keys)
{
    uint8_t derived[32u + ECG_NONCE_FIXED_BYTES];
    *keys = (ecg_session_keys_t){0};
    ecg_result_t result = ecg_derive(root_key, session, ECG_LABEL_FRAME, derived, sizeof derived);
    if (result == ECG_OK) {
        memcpy(keys->nonce_fixed, &derived[32], ECG_NONCE_FIXED_BYTES);
        result = ecg_key_import(derived, &keys->frame);
    }
    ecg_wipe(derived, sizeof derived);
    if (result == ECG_OK) {
        result = ecg_message_key_derive(root_key, session, ECG_LABEL_DOWN, &keys->down);
    }
    if (result == ECG_OK) {
        result = ecg_message_key_derive(root_key, session, ECG_LABEL_UP, &keys->up);
    }
    if (result != ECG_OK) {
        ecg_session_keys_forget(keys);
    }
    return result;
}

void ecg_session_keys_forget(ecg_session_keys_t *keys)
{
    ecg_key_forget(&keys->frame);
    ecg_key_forget(&keys->down);
    ecg_key_forget(&keys->up);
}
