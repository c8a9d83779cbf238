/* What all parts of the core share: sizes of docs/protocol.md, results, and the name of a session. */
#ifndef ECG_TYPES_H
#define ECG_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECG_SAMPLES_PER_FRAME 187u
#define ECG_HEADER_BYTES 44u
#define ECG_TAG_BYTES 16u
#define ECG_FRAME_BYTES (ECG_HEADER_BYTES + (2u * ECG_SAMPLES_PER_FRAME) + ECG_TAG_BYTES)
#define ECG_SALT_BYTES 16u
#define ECG_ROOT_KEY_BYTES 32u
#define ECG_NONCE_BYTES 12u
#define ECG_INVALID_SAMPLE INT16_MIN

#define ECG_FLAG_LEAD_OFF_POSITIVE 0x01u
#define ECG_FLAG_LEAD_OFF_NEGATIVE 0x02u
#define ECG_FLAG_INVALID_SAMPLES 0x04u
#define ECG_FLAG_CLIPPED 0x08u

/* Why something was not done. The middle ones are the peer's fault, the last two our own. */
typedef enum {
    ECG_OK = 0,
    ECG_WRONG_SIZE,
    ECG_WRONG_MAGIC,
    ECG_UNKNOWN_VERSION,
    ECG_UNKNOWN_TYPE,
    ECG_NOT_AUTHENTIC,
    ECG_ILLEGAL_CONTENT,
    ECG_NOT_EXPECTED,
    ECG_CRYPTO_FAILED,
    ECG_STORAGE_FAILED,
    ECG_RESULTS
} ecg_result_t;

/* One unbroken run of a sensor between two starts. */
typedef struct {
    uint32_t device_id;
    uint32_t boot_id;
    uint8_t salt[ECG_SALT_BYTES];
} ecg_session_id_t;

bool ecg_same_session(const ecg_session_id_t *a, const ecg_session_id_t *b);
bool ecg_is_legal_rate(uint32_t rate_hz);

#endif
