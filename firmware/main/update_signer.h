/* The public key of whoever signs releases; `python -m firmware.sign keygen` writes this file.
 * With zeros the sensor takes no update over the air. */
#ifndef UPDATE_SIGNER_H
#define UPDATE_SIGNER_H

#include "ecg_update.h"

static const uint8_t update_signer[ECG_P256_POINT_BYTES] = {0};

#endif
