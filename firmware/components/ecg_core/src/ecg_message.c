#include "ecg_message.h"

#include <string.h>

#include "ecg_bytes.h"

#define ASSOCIATED_BYTES 33u
#define ACKNOWLEDGEMENT_BYTES 26u
#define RANGE_BYTES 8u
#define HELD_BYTES 28u
#define LEAST_RESEND_S 5u
#define MOST_RESEND_S 60u
#define PROTOCOL_VERSION 1u

/* The argument of each command, in bytes, from ECG_START on. */
static const uint8_t argument_bytes[] = {
    0u, 0u, 2u, 8u, 1u, 32u, 0u, ECG_MANIFEST_BYTES, ECG_CHUNK_MOST_BYTES, 0u};

static void write_associated(const ecg_session_id_t *session, const uint8_t *sealed,
                             uint8_t out[ASSOCIATED_BYTES])
{
    memcpy(out, sealed, 9u); /* type and counter */
    ecg_put(&out[9], session->device_id, 4u);
    ecg_put(&out[13], session->boot_id, 4u);
    memcpy(&out[17], session->salt, ECG_SALT_BYTES);
}

static bool is_command(uint8_t type)
{
    return (type >= ECG_START) && (type <= ECG_UPDATE_FINISH);
}

static bool is_known(uint8_t type)
{
    return (type == ECG_ACKNOWLEDGEMENT) || is_command(type) || (type == ECG_ANSWER) ||
           (type == ECG_HELD_REPORT);
}

size_t ecg_message_seal(const ecg_key_t *key, const ecg_session_id_t *session,
                        const ecg_message_t *message, const uint8_t nonce[ECG_NONCE_BYTES],
                        uint8_t *sealed)
{
    uint8_t associated[ASSOCIATED_BYTES];
    sealed[0] = message->type;
    ecg_put(&sealed[1], message->counter, 8u);
    memcpy(&sealed[9], nonce, ECG_NONCE_BYTES);
    write_associated(session, sealed, associated);
    const ecg_result_t result = ecg_gcm_seal(
        key, nonce, (ecg_span_t){associated, sizeof associated},
        (ecg_span_t){message->payload, message->length}, &sealed[ECG_MESSAGE_HEAD_BYTES]);
    return (result == ECG_OK) ? (message->length + ECG_MESSAGE_ENVELOPE_BYTES) : 0u;
}

ecg_result_t ecg_message_open(const ecg_key_t *key, const ecg_session_id_t *session,
                              const uint8_t *sealed, size_t length, ecg_message_t *message)
{
    uint8_t associated[ASSOCIATED_BYTES];
    if ((length < ECG_MESSAGE_ENVELOPE_BYTES) || (length > ECG_MESSAGE_MOST_BYTES)) {
        return ECG_WRONG_SIZE;
    }
    if (!is_known(sealed[0])) {
        return ECG_UNKNOWN_TYPE;
    }
    write_associated(session, sealed, associated);
    message->type = sealed[0];
    message->counter = ecg_get(&sealed[1], 8u);
    message->length = length - ECG_MESSAGE_ENVELOPE_BYTES;
    return ecg_gcm_open(
        key, &sealed[9], (ecg_span_t){associated, sizeof associated},
        (ecg_span_t){&sealed[ECG_MESSAGE_HEAD_BYTES], length - ECG_MESSAGE_HEAD_BYTES},
        message->payload);
}

/* Ranges rise, apart from each other, above the next expected sequence. */
static bool are_legal(const ecg_acknowledgement_t *acknowledgement)
{
    uint64_t below = acknowledgement->next_expected;
    for (size_t at = 0u; at < acknowledgement->count; at++) {
        const ecg_range_t *range = &acknowledgement->ranges[at];
        if ((range->first <= below) || (range->last < range->first)) {
            return false;
        }
        below = (uint64_t)range->last + 1u;
    }
    return true;
}

ecg_result_t ecg_acknowledgement_read(const uint8_t *payload, size_t length,
                                      ecg_acknowledgement_t *acknowledgement)
{
    if (length < ACKNOWLEDGEMENT_BYTES) {
        return ECG_WRONG_SIZE;
    }
    const uint8_t count = payload[25];
    if (length != (ACKNOWLEDGEMENT_BYTES + ((size_t)count * RANGE_BYTES))) {
        return ECG_WRONG_SIZE;
    }
    acknowledgement->resend_after_s = payload[24];
    if ((count > ECG_MOST_RANGES) || (acknowledgement->resend_after_s < LEAST_RESEND_S) ||
        (acknowledgement->resend_after_s > MOST_RESEND_S)) {
        return ECG_ILLEGAL_CONTENT;
    }
    acknowledgement->boot_id = ecg_get32(payload);
    memcpy(acknowledgement->salt, &payload[4], ECG_SALT_BYTES);
    acknowledgement->next_expected = ecg_get32(&payload[20]);
    acknowledgement->count = count;
    for (size_t at = 0u; at < count; at++) {
        const uint8_t *range = &payload[ACKNOWLEDGEMENT_BYTES + (at * RANGE_BYTES)];
        acknowledgement->ranges[at] = (ecg_range_t){ecg_get32(range), ecg_get32(&range[4])};
    }
    return are_legal(acknowledgement) ? ECG_OK : ECG_ILLEGAL_CONTENT;
}

bool ecg_acknowledges(const ecg_acknowledgement_t *acknowledgement, uint32_t sequence)
{
    bool covered = sequence < acknowledgement->next_expected;
    for (size_t at = 0u; at < acknowledgement->count; at++) {
        const ecg_range_t *range = &acknowledgement->ranges[at];
        covered = covered || ((range->first <= sequence) && (sequence <= range->last));
    }
    return covered;
}

ecg_result_t ecg_command_check(const ecg_message_t *message)
{
    if (!is_command(message->type)) {
        return ECG_UNKNOWN_TYPE;
    }
    const size_t expected = argument_bytes[message->type - ECG_START];
    const bool shorter = (message->type == ECG_UPDATE_CHUNK) && (message->length < expected) &&
                         (message->length >= ECG_CHUNK_LEAST_BYTES);
    return (shorter || (message->length == expected)) ? ECG_OK : ECG_WRONG_SIZE;
}

size_t ecg_held_report_write(const ecg_held_t *rows, size_t count,
                             uint8_t payload[ECG_PAYLOAD_MOST_BYTES])
{
    uint8_t *out = &payload[1];
    payload[0] = (uint8_t)count;
    for (size_t at = 0u; at < count; at++) {
        ecg_put(out, rows[at].session.boot_id, 4u);
        memcpy(&out[4], rows[at].session.salt, ECG_SALT_BYTES);
        ecg_put(&out[20], rows[at].oldest, 4u);
        ecg_put(&out[24], rows[at].next, 4u);
        out += HELD_BYTES;
    }
    return 1u + (count * HELD_BYTES);
}

void ecg_status_write(const ecg_status_t *status, uint8_t out[ECG_STATUS_BYTES])
{
    out[0] = PROTOCOL_VERSION;
    memcpy(&out[1], status->version, 3u);
    ecg_put(&out[4], status->session.device_id, 4u);
    ecg_put(&out[8], status->session.boot_id, 4u);
    memcpy(&out[12], status->session.salt, ECG_SALT_BYTES);
    ecg_put(&out[28], status->measured_rate_mhz, 4u);
    out[32] = status->battery_percent;
    out[33] = status->flags;
}
