#include "ecg_rotation.h"

#include <string.h>

#include "ecg_bytes.h"

#define LABEL "ecg-root-v1"
#define LABEL_BYTES 11u

/* HKDF of the agreed secret and the old root key: whoever breaks one of them has nothing yet. */
static ecg_result_t derive_root(const uint8_t shared[ECG_X25519_BYTES],
                                const ecg_identity_t *identity, const ecg_session_id_t *session,
                                uint8_t root_key[ECG_ROOT_KEY_BYTES])
{
    uint8_t secret[ECG_X25519_BYTES + ECG_ROOT_KEY_BYTES];
    uint8_t info[LABEL_BYTES + 8u];
    memcpy(secret, shared, ECG_X25519_BYTES);
    memcpy(&secret[ECG_X25519_BYTES], identity->root_key, ECG_ROOT_KEY_BYTES);
    memcpy(info, LABEL, LABEL_BYTES);
    ecg_put(&info[LABEL_BYTES], session->device_id, 4u);
    ecg_put(&info[LABEL_BYTES + 4u], session->boot_id, 4u);
    const ecg_result_t result = ecg_hkdf(secret, sizeof secret, session->salt, ECG_SALT_BYTES, info,
                                         sizeof info, root_key, ECG_ROOT_KEY_BYTES);
    ecg_wipe(secret, sizeof secret);
    return result;
}

uint8_t ecg_rotation_begin(ecg_identity_t *identity, const ecg_session_id_t *session,
                           const ecg_board_t *board, const uint8_t peer[ECG_X25519_BYTES],
                           uint8_t public_key[ECG_X25519_BYTES])
{
    uint8_t private_key[ECG_X25519_BYTES];
    uint8_t shared[ECG_X25519_BYTES];
    uint8_t root_key[ECG_ROOT_KEY_BYTES];
    uint8_t code = ECG_BUSY;
    if (board->random(board->context, private_key, sizeof private_key)) {
        code = ECG_BAD_ARGUMENT;
        if ((ecg_x25519(private_key, peer, public_key, shared) == ECG_OK) &&
            (derive_root(shared, identity, session, root_key) == ECG_OK)) {
            const bool kept = board->keep_pending_key(board->context, root_key);
            code = kept ? ECG_DONE : ECG_BUSY;
        }
    }
    if (code == ECG_DONE) {
        memcpy(identity->pending_key, root_key, sizeof root_key);
        identity->has_pending_key = true;
    }
    ecg_wipe(private_key, sizeof private_key);
    ecg_wipe(shared, sizeof shared);
    ecg_wipe(root_key, sizeof root_key);
    return code;
}

ecg_result_t ecg_rotation_adopt(ecg_identity_t *identity, const ecg_board_t *board)
{
    if (!board->adopt_pending_key(board->context)) {
        return ECG_STORAGE_FAILED;
    }
    memcpy(identity->root_key, identity->pending_key, ECG_ROOT_KEY_BYTES);
    ecg_wipe(identity->pending_key, ECG_ROOT_KEY_BYTES);
    identity->has_pending_key = false;
    return ECG_OK;
}
