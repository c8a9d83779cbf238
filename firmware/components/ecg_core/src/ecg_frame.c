#include "ecg_frame.h"

#include <string.h>

#include "ecg_bytes.h"

#define VERSION 1u

static void write_header(const ecg_frame_header_t *header, uint8_t out[ECG_HEADER_BYTES])
{
    out[0] = (uint8_t)'E';
    out[1] = (uint8_t)'C';
    out[2] = VERSION;
    out[3] = header->flags;
    ecg_put(&out[4], header->session.device_id, 4u);
    ecg_put(&out[8], header->session.boot_id, 4u);
    memcpy(&out[12], header->session.salt, ECG_SALT_BYTES);
    ecg_put(&out[28], header->sequence, 4u);
    ecg_put(&out[32], header->device_time_us, 8u);
    ecg_put(&out[40], header->sample_rate_hz, 2u);
    ecg_put(&out[42], ECG_SAMPLES_PER_FRAME, 2u);
}

/* The deterministic construction of NIST SP 800-38D, 8.2.1. */
static void write_nonce(const ecg_session_keys_t *keys, uint32_t sequence,
                        uint8_t nonce[ECG_NONCE_BYTES])
{
    memcpy(nonce, keys->nonce_fixed, ECG_NONCE_FIXED_BYTES);
    memset(&nonce[4], 0, 4u);
    for (unsigned at = 0u; at < 4u; at++) {
        nonce[11u - at] = (uint8_t)(sequence >> (8u * at));
    }
}

ecg_result_t ecg_frame_seal(const ecg_session_keys_t *keys, const ecg_frame_header_t *header,
                            const int16_t steps[ECG_SAMPLES_PER_FRAME],
                            uint8_t sealed[ECG_FRAME_BYTES])
{
    uint8_t nonce[ECG_NONCE_BYTES];
    uint8_t text[2u * ECG_SAMPLES_PER_FRAME];
    for (size_t at = 0u; at < ECG_SAMPLES_PER_FRAME; at++) {
        ecg_put(&text[2u * at], (uint16_t)steps[at], 2u);
    }
    write_header(header, sealed);
    write_nonce(keys, header->sequence, nonce);
    return ecg_gcm_seal(&keys->frame, nonce, (ecg_span_t){sealed, ECG_HEADER_BYTES},
                        (ecg_span_t){text, sizeof text}, &sealed[ECG_HEADER_BYTES]);
}

ecg_result_t ecg_frame_read_header(const uint8_t *sealed, size_t length, ecg_frame_header_t *header)
{
    if (length != ECG_FRAME_BYTES) {
        return ECG_WRONG_SIZE;
    }
    if ((sealed[0] != (uint8_t)'E') || (sealed[1] != (uint8_t)'C')) {
        return ECG_WRONG_MAGIC;
    }
    if (sealed[2] != VERSION) {
        return ECG_UNKNOWN_VERSION;
    }
    header->flags = sealed[3];
    header->session.device_id = ecg_get32(&sealed[4]);
    header->session.boot_id = ecg_get32(&sealed[8]);
    memcpy(header->session.salt, &sealed[12], ECG_SALT_BYTES);
    header->sequence = ecg_get32(&sealed[28]);
    header->device_time_us = ecg_get(&sealed[32], 8u);
    header->sample_rate_hz = ecg_get16(&sealed[40]);
    return ECG_OK;
}
