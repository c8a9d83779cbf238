/* Sealed messages between gateway and sensor, and the status in the clear (docs/protocol.md, 3-5). */
#ifndef ECG_MESSAGE_H
#define ECG_MESSAGE_H

#include "ecg_keys.h"

#define ECG_MESSAGE_HEAD_BYTES 21u
#define ECG_MESSAGE_ENVELOPE_BYTES (ECG_MESSAGE_HEAD_BYTES + ECG_TAG_BYTES)
#define ECG_PAYLOAD_MOST_BYTES 256u
#define ECG_MESSAGE_MOST_BYTES (ECG_MESSAGE_ENVELOPE_BYTES + ECG_PAYLOAD_MOST_BYTES)
#define ECG_MOST_RANGES 8u
#define ECG_MOST_HELD_SESSIONS 8u
#define ECG_STATUS_BYTES 34u
#define ECG_BATTERY_UNKNOWN 255u
#define ECG_MANIFEST_BYTES 112u
#define ECG_CHUNK_LEAST_BYTES 5u /* its offset and a byte of the image */
#define ECG_CHUNK_MOST_BYTES 244u

#define ECG_ACKNOWLEDGEMENT 0x01u
#define ECG_START 0x10u
#define ECG_STOP 0x11u
#define ECG_SET_SAMPLE_RATE 0x12u
#define ECG_SET_UNIX_TIME 0x13u
#define ECG_IDENTIFY 0x14u
#define ECG_ROTATE_KEY 0x15u
#define ECG_REQUEST_STATUS 0x16u
#define ECG_UPDATE_BEGIN 0x17u
#define ECG_UPDATE_CHUNK 0x18u
#define ECG_UPDATE_FINISH 0x19u
#define ECG_ANSWER 0x80u
#define ECG_HELD_REPORT 0x81u

typedef enum {
    ECG_DONE = 0,
    ECG_COUNTER_PASSED = 1,
    ECG_NOT_SUPPORTED = 2,
    ECG_BAD_ARGUMENT = 3,
    ECG_BUSY = 4,
    ECG_UPDATE_REFUSED = 5
} ecg_answer_code_t;

#define ECG_STATUS_PROVISIONED 0x04u
#define ECG_STATUS_PAIRING_WINDOW 0x08u
#define ECG_STATUS_SAMPLING 0x10u

typedef struct {
    uint8_t type;
    uint64_t counter;
    uint8_t payload[ECG_PAYLOAD_MOST_BYTES];
    size_t length; /* of the payload */
} ecg_message_t;

/* Seals under a random nonce of the caller; `sealed` has room for the envelope and the payload.
 * Gives the sealed length, 0 when PSA failed. */
size_t ecg_message_seal(const ecg_key_t *key, const ecg_session_id_t *session,
                        const ecg_message_t *message, const uint8_t nonce[ECG_NONCE_BYTES],
                        uint8_t *sealed);
ecg_result_t ecg_message_open(const ecg_key_t *key, const ecg_session_id_t *session,
                              const uint8_t *sealed, size_t length, ecg_message_t *message);

typedef struct {
    uint32_t first;
    uint32_t last;
} ecg_range_t;

/* What the gateway has committed of one session: all below `next_expected`, and the ranges. */
typedef struct {
    uint32_t boot_id;
    uint8_t salt[ECG_SALT_BYTES];
    uint32_t next_expected;
    uint8_t resend_after_s;
    uint8_t count;
    ecg_range_t ranges[ECG_MOST_RANGES];
} ecg_acknowledgement_t;

ecg_result_t ecg_acknowledgement_read(const uint8_t *payload, size_t length,
                                      ecg_acknowledgement_t *acknowledgement);
bool ecg_acknowledges(const ecg_acknowledgement_t *acknowledgement, uint32_t sequence);

/* Is it a command, and has its argument the right length? */
ecg_result_t ecg_command_check(const ecg_message_t *message);

/* The sensor holds nothing of this session below `oldest`, and has made none from `next` on. */
typedef struct {
    ecg_session_id_t session;
    uint32_t oldest;
    uint32_t next;
} ecg_held_t;

size_t ecg_held_report_write(const ecg_held_t *rows, size_t count,
                             uint8_t payload[ECG_PAYLOAD_MOST_BYTES]);

typedef struct {
    uint8_t version[3]; /* major, minor, patch */
    ecg_session_id_t session;
    uint32_t measured_rate_mhz; /* millihertz */
    uint8_t battery_percent;
    uint8_t flags;
} ecg_status_t;

void ecg_status_write(const ecg_status_t *status, uint8_t out[ECG_STATUS_BYTES]);

#endif
