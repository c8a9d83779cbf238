#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecg_bytes.h"

#ifndef VECTORS
#error "VECTORS names the directory of the golden vectors"
#endif

static size_t read_hex(const char *hex, uint8_t *out)
{
    size_t length = 0u;
    unsigned byte = 0u;
    while ((length < VECTOR_BYTES) && (sscanf(&hex[2u * length], "%2x", &byte) == 1)) {
        out[length] = (uint8_t)byte;
        length++;
    }
    return length;
}

size_t vector(const char *name, uint8_t out[VECTOR_BYTES])
{
    static const char *const files[] = {VECTORS "/protocol.txt", VECTORS "/pairing.txt",
                                        VECTORS "/firmware.txt"};
    char line[2u * VECTOR_BYTES + 100u];
    for (size_t at = 0u; at < sizeof files / sizeof files[0]; at++) {
        FILE *file = fopen(files[at], "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file) != NULL) {
            char *equals = strstr(line, " = ");
            if ((equals != NULL) && ((size_t)(equals - line) == strlen(name)) &&
                (strncmp(line, name, strlen(name)) == 0)) {
                (void)fclose(file);
                return read_hex(&equals[3], out);
            }
        }
        (void)fclose(file);
    }
    fail_msg("no vector %s", name);
    return 0u;
}

void vector_session(ecg_session_id_t *session, uint8_t root_key[ECG_ROOT_KEY_BYTES])
{
    uint8_t bytes[VECTOR_BYTES];
    assert_int_equal(vector("device_id", bytes), 4);
    session->device_id = ecg_get32(bytes);
    assert_int_equal(vector("boot_id", bytes), 4);
    session->boot_id = ecg_get32(bytes);
    assert_int_equal(vector("salt", bytes), ECG_SALT_BYTES);
    memcpy(session->salt, bytes, ECG_SALT_BYTES);
    assert_int_equal(vector("root_key", bytes), ECG_ROOT_KEY_BYTES);
    memcpy(root_key, bytes, ECG_ROOT_KEY_BYTES);
}

static bool draw(void *context, uint8_t *out, size_t length)
{
    test_board_t *state = context;
    state->draws++;
    memset(out, 0x5A, length);
    ecg_put(out, state->draws, 4u);
    return !state->random_fails;
}

static bool keep(void *context, const uint8_t key[ECG_ROOT_KEY_BYTES])
{
    test_board_t *state = context;
    memcpy(state->kept, key, ECG_ROOT_KEY_BYTES);
    return !state->keep_fails;
}

static bool adopt(void *context)
{
    test_board_t *state = context;
    state->adopted += state->adopt_fails ? 0u : 1u;
    return !state->adopt_fails;
}

ecg_board_t board_of(test_board_t *state)
{
    return (ecg_board_t){state, draw, keep, adopt};
}

void flash_init(test_flash_t *state)
{
    memset(state, 0, sizeof *state);
    memset(state->bytes, 0xFF, sizeof state->bytes);
    state->cut_after = -1;
}

static bool flash_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    const test_flash_t *state = context;
    memcpy(out, &state->bytes[address], length);
    return !state->read_fails && !state->dead;
}

/* Counts one byte; at the cut the byte is left half done, and nothing works any more. */
static bool powered(test_flash_t *state)
{
    if (state->cut_after == 0) {
        state->dead = true;
    }
    if (state->cut_after > 0) {
        state->cut_after--;
    }
    return !state->dead;
}

static bool flash_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    test_flash_t *state = context;
    for (size_t at = 0u; at < length; at++) {
        uint8_t *cell = &state->bytes[address + at];
        if (!powered(state)) {
            *cell &= (uint8_t)(bytes[at] | state->noise);
            state->noise = 0xFFu;
            return false;
        }
        *cell &= bytes[at]; /* programming clears bits, and only an erase sets them */
    }
    return !state->program_fails;
}

static bool flash_erase(void *context, uint32_t sector)
{
    test_flash_t *state = context;
    state->erases[sector]++;
    for (uint32_t at = 0u; at < ECG_FLASH_SECTOR_BYTES; at++) {
        uint8_t *cell = &state->bytes[(sector * ECG_FLASH_SECTOR_BYTES) + at];
        if (!powered(state)) {
            *cell |= (uint8_t)state->noise;
            return false;
        }
        *cell = 0xFFu;
    }
    return !state->erase_fails;
}

ecg_flash_t flash_of(test_flash_t *state, uint32_t sectors)
{
    return (ecg_flash_t){state, sectors, flash_read, flash_program, flash_erase};
}

size_t gateway_seals(const uint8_t root_key[ECG_ROOT_KEY_BYTES], const ecg_session_id_t *session,
                     uint8_t type, uint64_t counter, const uint8_t *payload, size_t length,
                     uint8_t *sealed)
{
    static const uint8_t nonce[ECG_NONCE_BYTES] = {9u};
    ecg_message_t message = {.type = type, .counter = counter, .length = length};
    ecg_key_t key = {0};
    if (length > 0u) {
        memcpy(message.payload, payload, length);
    }
    assert_int_equal(ecg_message_key_derive(root_key, session, ECG_LABEL_DOWN, &key), ECG_OK);
    const size_t written = ecg_message_seal(&key, session, &message, nonce, sealed);
    ecg_key_forget(&key);
    assert_true(written > 0u);
    return written;
}

ecg_result_t gateway_opens(const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                           const ecg_session_id_t *session, const ecg_reply_t *reply,
                           ecg_message_t *message)
{
    ecg_key_t key = {0};
    assert_int_equal(ecg_message_key_derive(root_key, session, ECG_LABEL_UP, &key), ECG_OK);
    const ecg_result_t result =
        ecg_message_open(&key, session, reply->bytes, reply->length, message);
    ecg_key_forget(&key);
    return result;
}

ecg_acknowledgement_t acknowledgement_of(const ecg_session_id_t *session, uint32_t next_expected)
{
    ecg_acknowledgement_t acknowledgement = {
        .boot_id = session->boot_id, .next_expected = next_expected, .resend_after_s = 5u};
    memcpy(acknowledgement.salt, session->salt, ECG_SALT_BYTES);
    return acknowledgement;
}

size_t acknowledgement_write(const ecg_acknowledgement_t *acknowledgement,
                             uint8_t payload[ECG_PAYLOAD_MOST_BYTES])
{
    ecg_put(payload, acknowledgement->boot_id, 4u);
    memcpy(&payload[4], acknowledgement->salt, ECG_SALT_BYTES);
    ecg_put(&payload[20], acknowledgement->next_expected, 4u);
    payload[24] = acknowledgement->resend_after_s;
    payload[25] = acknowledgement->count;
    for (size_t at = 0u; at < acknowledgement->count; at++) {
        ecg_put(&payload[26u + (8u * at)], acknowledgement->ranges[at].first, 4u);
        ecg_put(&payload[30u + (8u * at)], acknowledgement->ranges[at].last, 4u);
    }
    return 26u + (8u * (size_t)acknowledgement->count);
}

void plain_frame(const ecg_session_id_t *session, uint32_t sequence,
                 uint8_t frame[ECG_FRAME_BYTES])
{
    memset(frame, (int)(sequence & 0xFFu), ECG_FRAME_BYTES);
    memcpy(frame, "EC\x01", 4u);
    ecg_put(&frame[4], session->device_id, 4u);
    ecg_put(&frame[8], session->boot_id, 4u);
    memcpy(&frame[12], session->salt, ECG_SALT_BYTES);
    ecg_put(&frame[28], sequence, 4u);
}

uint32_t sequence_of(const uint8_t frame[ECG_FRAME_BYTES])
{
    return ecg_get32(&frame[28]);
}

ecg_session_id_t session_of(uint32_t boot_id)
{
    ecg_session_id_t session = {.device_id = DEVICE_ID, .boot_id = boot_id};
    ecg_put(session.salt, boot_id, 4u);
    return session;
}
