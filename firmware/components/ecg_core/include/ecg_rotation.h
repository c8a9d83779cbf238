/* A new root key from X25519 (docs/protocol.md, 6): pending until the gateway has used it. */
#ifndef ECG_ROTATION_H
#define ECG_ROTATION_H

#include "ecg_sensor.h"

/* Agrees on a new root key with the gateway's public key, and makes it durable as the pending one.
 * Gives an answer code: ECG_DONE, ECG_BAD_ARGUMENT for a low-order key, ECG_BUSY when the board
 * could not keep it; then nothing has changed. */
uint8_t ecg_rotation_begin(ecg_identity_t *identity, const ecg_session_id_t *session,
                           const ecg_board_t *board, const uint8_t peer[ECG_X25519_BYTES],
                           uint8_t public_key[ECG_X25519_BYTES]);

/* The pending key becomes the root key, durably; ECG_STORAGE_FAILED leaves both as they are. */
ecg_result_t ecg_rotation_adopt(ecg_identity_t *identity, const ecg_board_t *board);

#endif
