#include "ecg_pieces.h"

#include <string.h>

#include "ecg_bytes.h"

#define FIRST 0x8000u
#define LAST 0x4000u
#define NUMBER_MASK 0x3Fu

static size_t part_bytes(const ecg_cutter_t *cutter)
{
    const size_t most = cutter->piece_bytes - ECG_PIECE_PREFIX_BYTES;
    const size_t left = cutter->length - cutter->at;
    return (left < most) ? left : most;
}

bool ecg_cutter_start(ecg_cutter_t *cutter, const uint8_t *message, size_t length,
                      size_t piece_bytes, uint8_t low_byte)
{
    *cutter = (ecg_cutter_t){message, length, 0u, piece_bytes, 0u, low_byte};
    if ((length == 0u) || (piece_bytes <= ECG_PIECE_PREFIX_BYTES) ||
        (length > (ECG_MOST_PIECES * (piece_bytes - ECG_PIECE_PREFIX_BYTES)))) {
        cutter->length = 0u;
    }
    return cutter->length != 0u;
}

size_t ecg_cutter_piece(const ecg_cutter_t *cutter, uint8_t *out)
{
    const size_t part = part_bytes(cutter);
    if (part == 0u) {
        return 0u;
    }
    uint32_t bits = ((uint32_t)cutter->number << 8) | cutter->low_byte;
    bits |= (cutter->number == 0u) ? FIRST : 0u;
    bits |= ((cutter->at + part) == cutter->length) ? LAST : 0u;
    ecg_put(out, bits, ECG_PIECE_PREFIX_BYTES);
    memcpy(&out[ECG_PIECE_PREFIX_BYTES], &cutter->message[cutter->at], part);
    return part + ECG_PIECE_PREFIX_BYTES;
}

void ecg_cutter_sent(ecg_cutter_t *cutter)
{
    cutter->at += part_bytes(cutter);
    cutter->number++;
}

void ecg_reassembler_init(ecg_reassembler_t *reassembler, uint8_t *gathered, size_t capacity)
{
    *reassembler = (ecg_reassembler_t){.gathered = gathered, .capacity = capacity};
}

void ecg_reassembler_drop(ecg_reassembler_t *reassembler)
{
    reassembler->length = 0u;
    reassembler->next_number = 0u;
}

static void refuse(ecg_reassembler_t *reassembler, ecg_piece_refusal_t reason)
{
    reassembler->refused[reason]++;
    ecg_reassembler_drop(reassembler);
}

static bool expects(ecg_reassembler_t *reassembler, uint16_t bits, uint32_t now_ms)
{
    const uint8_t number = (uint8_t)((bits >> 8) & NUMBER_MASK);
    const uint8_t low_byte = (uint8_t)(bits & 0xFFu);
    const bool first = (bits & FIRST) != 0u;
    if ((reassembler->next_number != 0u) &&
        ((now_ms - reassembler->last_piece_ms) > ECG_PIECE_TIMEOUT_MS)) {
        refuse(reassembler, ECG_PIECE_TIMED_OUT);
    }
    if (first) {
        if (reassembler->next_number != 0u) {
            refuse(reassembler, ECG_PIECE_INTERRUPTED);
        }
        reassembler->low_byte = low_byte;
    }
    if ((number != reassembler->next_number) || (low_byte != reassembler->low_byte) ||
        (first != (number == 0u))) {
        refuse(reassembler, ECG_PIECE_NOT_EXPECTED);
        return false;
    }
    return true;
}

size_t ecg_reassembler_push(ecg_reassembler_t *reassembler, const uint8_t *piece, size_t length,
                            uint32_t now_ms)
{
    if (length <= ECG_PIECE_PREFIX_BYTES) {
        refuse(reassembler, ECG_PIECE_TOO_SHORT);
        return 0u;
    }
    const uint16_t bits = ecg_get16(piece);
    const size_t part = length - ECG_PIECE_PREFIX_BYTES;
    if (!expects(reassembler, bits, now_ms)) {
        return 0u;
    }
    if (part > (reassembler->capacity - reassembler->length)) {
        refuse(reassembler, ECG_PIECE_TOO_LONG);
        return 0u;
    }
    memcpy(&reassembler->gathered[reassembler->length], &piece[ECG_PIECE_PREFIX_BYTES], part);
    reassembler->length += part;
    reassembler->next_number++;
    reassembler->last_piece_ms = now_ms;
    if ((bits & LAST) == 0u) {
        return 0u;
    }
    const size_t message = reassembler->length;
    ecg_reassembler_drop(reassembler);
    return message;
}
