/* Messages cut into pieces that fit one GATT value, and put together again (docs/protocol.md, 2). */
#ifndef ECG_PIECES_H
#define ECG_PIECES_H

#include "ecg_types.h"

#define ECG_PIECE_PREFIX_BYTES 2u
#define ECG_MOST_PIECES 64u
#define ECG_PIECE_TIMEOUT_MS 1000u

/* One message on its way out. `message` stays the caller's until the cutter is done. */
typedef struct {
    const uint8_t *message;
    size_t length;
    size_t at;          /* of the next piece */
    size_t piece_bytes; /* ATT MTU - 3 */
    uint8_t number;
    uint8_t low_byte;
} ecg_cutter_t;

/* False when the message is empty or would need more than 64 pieces. */
bool ecg_cutter_start(ecg_cutter_t *cutter, const uint8_t *message, size_t length,
                      size_t piece_bytes, uint8_t low_byte);

/* Writes the next piece, again and again the same one until ecg_cutter_sent; 0 when done. */
size_t ecg_cutter_piece(const ecg_cutter_t *cutter, uint8_t *out);
void ecg_cutter_sent(ecg_cutter_t *cutter);

typedef enum {
    ECG_PIECE_TOO_SHORT,
    ECG_PIECE_NOT_EXPECTED,
    ECG_PIECE_INTERRUPTED,
    ECG_PIECE_TIMED_OUT,
    ECG_PIECE_TOO_LONG,
    ECG_PIECE_REFUSALS
} ecg_piece_refusal_t;

/* Puts one characteristic's pieces together in the caller's buffer. */
typedef struct {
    uint8_t *gathered;
    size_t capacity;
    size_t length;
    uint32_t last_piece_ms;
    uint8_t next_number;
    uint8_t low_byte;
    uint32_t refused[ECG_PIECE_REFUSALS];
} ecg_reassembler_t;

void ecg_reassembler_init(ecg_reassembler_t *reassembler, uint8_t *gathered, size_t capacity);

/* Takes the next value; gives the message's length when this was its last piece, otherwise 0. */
size_t ecg_reassembler_push(ecg_reassembler_t *reassembler, const uint8_t *piece, size_t length,
                            uint32_t now_ms);
void ecg_reassembler_drop(ecg_reassembler_t *reassembler);

#endif
