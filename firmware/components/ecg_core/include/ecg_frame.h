/* The frame on the air: 434 bytes, sealed with AES-256-GCM (docs/protocol.md, 1). */
#ifndef ECG_FRAME_H
#define ECG_FRAME_H

#include "ecg_keys.h"

typedef struct {
    ecg_session_id_t session;
    uint32_t sequence;
    uint8_t flags;
    uint64_t device_time_us; /* of sample 0 */
    uint16_t sample_rate_hz;
} ecg_frame_header_t;

/* Seals 187 samples of 5 µV; a caller does it once for each sequence of a session. */
ecg_result_t ecg_frame_seal(const ecg_session_keys_t *keys, const ecg_frame_header_t *header,
                            const int16_t steps[ECG_SAMPLES_PER_FRAME],
                            uint8_t sealed[ECG_FRAME_BYTES]);

/* The claims of a frame's header, after size, magic and version; nothing is authentic by that. */
ecg_result_t ecg_frame_read_header(const uint8_t *sealed, size_t length,
                                   ecg_frame_header_t *header);

#endif
