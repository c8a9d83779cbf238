/* The keys of one session: derived from the root key, and living in PSA until they are forgotten. */
#ifndef ECG_KEYS_H
#define ECG_KEYS_H

#include "ecg_crypto.h"

#define ECG_NONCE_FIXED_BYTES 4u

typedef struct {
    ecg_key_t frame;
    uint8_t nonce_fixed[ECG_NONCE_FIXED_BYTES];
    ecg_key_t down; /* gateway to sensor */
    ecg_key_t up;
} ecg_session_keys_t;

/* HKDF of the root key under the session's salt; `label` is the purpose, such as "ecg-up-v1". */
ecg_result_t ecg_derive(const uint8_t root_key[ECG_ROOT_KEY_BYTES], const ecg_session_id_t *session,
                        const char *label, uint8_t *out, size_t out_length);

ecg_result_t ecg_session_keys_derive(const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                     const ecg_session_id_t *session, ecg_session_keys_t *keys);
void ecg_session_keys_forget(ecg_session_keys_t *keys);

/* One key for sealed messages of a direction, from a root key that is not the session's own. */
ecg_result_t ecg_message_key_derive(const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                    const ecg_session_id_t *session, const char *label,
                                    ecg_key_t *key);

#define ECG_LABEL_FRAME "ecg-frame-v1"
#define ECG_LABEL_DOWN "ecg-down-v1"
#define ECG_LABEL_UP "ecg-up-v1"

#endif
