/* The pairing handshake, the sensor as responder of Noise_NNpsk0_25519_AESGCM_SHA256
 * (Noise Protocol Framework, revision 34; docs/protocol.md, 6).
 *
 * gateway: e          sensor: e, ee and, sealed, its root key          gateway: "stored", sealed
 */
#ifndef ECG_PAIRING_H
#define ECG_PAIRING_H

#include "ecg_crypto.h"

#define ECG_PAIRING_FIRST_BYTES (ECG_X25519_BYTES + ECG_TAG_BYTES)
#define ECG_PAIRING_SECOND_BYTES (ECG_X25519_BYTES + ECG_TAG_BYTES)
#define ECG_PAIRING_KEY_BYTES (ECG_ROOT_KEY_BYTES + ECG_TAG_BYTES)
#define ECG_PAIRING_STORED_BYTES (1u + ECG_TAG_BYTES)
#define ECG_PAIRING_STORED 0x01u
#define ECG_PAIRING_MOST_FAILURES 5u /* of one pairing window: a guesser gets no sixth try */

typedef enum {
    ECG_PAIRING_WAITS,  /* for the gateway's first message */
    ECG_PAIRING_ASKED,  /* the root key is out, and not yet confirmed */
    ECG_PAIRING_LOCKED, /* confirmed, or failed too often: nothing goes out any more */
} ecg_pairing_state_t;

typedef struct {
    uint32_t device_id;
    uint8_t secret[32]; /* of the label */
    ecg_pairing_state_t state;
    uint8_t failures;
    ecg_key_t from_gateway;
} ecg_pairing_t;

void ecg_pairing_open(ecg_pairing_t *pairing, uint32_t device_id, const uint8_t secret[32]);
void ecg_pairing_close(ecg_pairing_t *pairing);

/* Answers the gateway's first message: `second` and `key` go out, one after the other.
 * `ephemeral` are 32 fresh random bytes. A new first message starts anew. */
ecg_result_t ecg_pairing_respond(ecg_pairing_t *pairing, const uint8_t *first, size_t length,
                                 const uint8_t ephemeral[ECG_X25519_BYTES],
                                 const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                 uint8_t second[ECG_PAIRING_SECOND_BYTES],
                                 uint8_t key[ECG_PAIRING_KEY_BYTES]);

/* ECG_OK: the gateway has stored the root key durably, and the export is locked. */
ecg_result_t ecg_pairing_confirm(ecg_pairing_t *pairing, const uint8_t *message, size_t length);

#endif
