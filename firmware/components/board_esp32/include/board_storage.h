/* What the sensor keeps over a restart: who it is in NVS, and frames in the partition "outbox". */
#ifndef BOARD_STORAGE_H
#define BOARD_STORAGE_H

#include "ecg_flash_ring.h"
#include "ecg_sensor.h"

typedef enum {
    BOARD_KEPT,  /* read, and the boot is counted */
    BOARD_BLANK, /* nothing was ever written: board_storage_create makes an identity */
    BOARD_FAILED /* it can't be read or written: don't start, and never make new keys over it */
} board_storage_t;

#define BOARD_SECRET_BYTES 32u

/* Counts the boot durably before it is used. `secret` is the label's. */
board_storage_t board_storage_load(ecg_identity_t *identity, uint8_t secret[BOARD_SECRET_BYTES]);

/* Draws a new identity: only once the radio is on, since the random numbers are true only then. */
board_storage_t board_storage_create(ecg_identity_t *identity, uint8_t secret[BOARD_SECRET_BYTES]);

bool board_storage_set_provisioned(void);

/* How far an update is (ecg_slot_t); false when nothing was kept, or it can't be read. */
bool board_storage_keep_update(const uint8_t record[ECG_UPDATE_RECORD_BYTES]);
bool board_storage_load_update(uint8_t record[ECG_UPDATE_RECORD_BYTES]);
bool board_storage_forget_all(void); /* factory reset */

/* The ports of ecg_board_t and ecg_flash_t. */
bool board_storage_keep_pending(void *context, const uint8_t key[ECG_ROOT_KEY_BYTES]);
bool board_storage_adopt_pending(void *context);
bool board_storage_open_flash(ecg_flash_t *flash); /* false: no such partition */

#endif
