/* The golden vectors, computed by the core on whatever processor this is compiled for: the output
 * must be the same byte for byte. Lines that start with # are figures of the processor. */
#include <psa/crypto.h>
#include <string.h>

#include "cross.h"
#include "ecg_bytes.h"
#include "ecg_frame.h"
#include "ecg_link.h"
#include "ecg_pairing.h"
#include "ecg_signal.h"
#include "ecg_update.h"

#define FRAMES 200u
#define STACK_PATTERN 0xA5u
#define STACK_WATCHED 16384u

static uint8_t root_key[ECG_ROOT_KEY_BYTES];
static ecg_session_id_t session = {.device_id = 42u, .boot_id = 7u};
static ecg_session_keys_t keys;
static int16_t steps[ECG_SAMPLES_PER_FRAME];
static uint8_t sealed[ECG_FRAME_BYTES];
static ecg_frame_header_t header;
static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, 0u)];
static ecg_outbox_t outbox;
static ecg_sensor_t sensor;
static ecg_pairing_t pairing;
static ecg_update_t update;
static uint8_t slot_bytes[512];
static uint32_t draws;

static void say(const char *text)
{
    cross_write(text, strlen(text));
}

static void say_hex(const char *name, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    say(name);
    say(" = ");
    for (size_t at = 0u; at < length; at++) {
        const char pair[2] = {digits[bytes[at] >> 4], digits[bytes[at] & 0xFu]};
        cross_write(pair, 2u);
    }
    say("\n");
}

static void say_number(const char *name, uint32_t number)
{
    char text[11];
    size_t at = sizeof text;
    do {
        at--;
        text[at] = (char)('0' + (number % 10u));
        number /= 10u;
    } while (number > 0u);
    say("# ");
    say(name);
    say(" ");
    cross_write(&text[at], sizeof text - at);
    say("\n");
}

static void stop_at(uint32_t line)
{
    say_number("failed at line", line);
    cross_exit(1);
}

#define must(holds) ((holds) ? (void)0 : stop_at(__LINE__))

/* --- what a step costs -------------------------------------------------------------------------- */

static uint8_t *watched_top(void)
{
    uint8_t here = 0u;
    return (uint8_t *)((uintptr_t)&here & ~(uintptr_t)15u) - 256;
}

static void __attribute__((noinline)) measure(const char *name, void (*step)(void))
{
    uint8_t *top = watched_top();
    const uintptr_t floor = cross_stack_floor();
    if (floor == 0u) {
        step();
        return;
    }
    uint8_t *bottom = top - STACK_WATCHED;
    for (uint8_t *at = bottom; at < top; at++) {
        *(volatile uint8_t *)at = STACK_PATTERN;
    }
    const uint32_t from = cross_instructions();
    step();
    const uint32_t instructions = cross_instructions() - from;
    while ((bottom < top) && (*(volatile uint8_t *)bottom == STACK_PATTERN)) {
        bottom++;
    }
    say_number(name, instructions);
    say_number("  its stack, bytes:", (uint32_t)(top - bottom) + 256u);
}

/* --- the steps ---------------------------------------------------------------------------------- */

static void derive_keys(void)
{
    must(ecg_session_keys_derive(root_key, &session, &keys) == ECG_OK);
}

static void seal_frame(void)
{
    must(ecg_frame_seal(&keys, &header, steps, sealed) == ECG_OK);
}

static bool draw(void *context, uint8_t *out, size_t length)
{
    (void)context;
    draws++;
    memset(out, 0, length);
    ecg_put(out, draws, 4u);
    return true;
}

static bool keep(void *context, const uint8_t key[ECG_ROOT_KEY_BYTES])
{
    (void)context;
    (void)key;
    return true;
}

static bool adopt(void *context)
{
    (void)context;
    return true;
}

static const ecg_board_t board = {NULL, draw, keep, adopt};

static void start_sensor(void)
{
    ecg_identity_t identity = {.device_id = 42u, .boot_id = 7u};
    memcpy(identity.root_key, root_key, sizeof root_key);
    must(ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, NULL, map) == ECG_OK);
    must(ecg_sensor_start(&sensor, &identity, &board, &outbox, 250u) == ECG_OK);
    for (uint32_t at = 0u; at < 3u; at++) {
        must(ecg_sensor_sampled(&sensor, steps, 0u, at) == ECG_OK);
    }
}

static void receive_command(void)
{
    static const uint8_t nonce[ECG_NONCE_BYTES] = {1u};
    ecg_message_t message = {.type = ECG_REQUEST_STATUS, .counter = 1u};
    uint8_t command[ECG_MESSAGE_MOST_BYTES];
    ecg_reply_t replies[ECG_MOST_REPLIES];
    const size_t length = ecg_message_seal(&sensor.running.keys.down, &sensor.running.id, &message,
                                           nonce, command);
    must(ecg_sensor_received(&sensor, command, length, 5000000u, replies) == 2u);
    say_hex("status answer", replies[0].bytes, replies[0].length);
    say_hex("held report", replies[1].bytes, replies[1].length);
}

static void pair(void)
{
    uint8_t secret[32];
    uint8_t ephemeral[32];
    uint8_t second[ECG_PAIRING_SECOND_BYTES];
    uint8_t key[ECG_PAIRING_KEY_BYTES];
    /* pairing_first of tests/vectors/pairing.txt */
    static const uint8_t first[ECG_PAIRING_FIRST_BYTES] = {
        0x07, 0xa3, 0x7c, 0xbc, 0x14, 0x20, 0x93, 0xc8, 0xb7, 0x55, 0xdc, 0x1b,
        0x10, 0xe8, 0x6c, 0xb4, 0x26, 0x37, 0x4a, 0xd1, 0x6a, 0xa8, 0x53, 0xed,
        0x0b, 0xdf, 0xc0, 0xb2, 0xb8, 0x6d, 0x1c, 0x7c, 0x8d, 0x5e, 0x90, 0xed,
        0xa3, 0x60, 0x1d, 0xee, 0x8c, 0x89, 0x32, 0x27, 0xba, 0x03, 0x13, 0x6a};
    for (uint8_t at = 0u; at < 32u; at++) {
        secret[at] = (uint8_t)(0xA0u + at);
        ephemeral[at] = (uint8_t)(0x21u + at);
    }
    ecg_pairing_open(&pairing, 42u, secret);
    must(ecg_pairing_respond(&pairing, first, sizeof first, ephemeral, root_key, second, key) ==
         ECG_OK);
    say_hex("pairing_second", second, sizeof second);
    say_hex("pairing_key", key, sizeof key);
}

static bool slot_erase(void *context, uint32_t block)
{
    (void)context;
    (void)block;
    memset(slot_bytes, 0xFF, sizeof slot_bytes);
    return true;
}

static bool slot_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    (void)context;
    memcpy(&slot_bytes[address], bytes, length);
    return true;
}

static bool slot_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    (void)context;
    memcpy(out, &slot_bytes[address], length);
    return true;
}

static bool slot_keep(void *context, const uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    (void)context;
    (void)record;
    return true;
}

static bool slot_start_from(void *context)
{
    (void)context;
    return false;
}

static const ecg_slot_t slot = {NULL,      1u,        slot_erase,     slot_program,
                                slot_read, slot_keep, slot_start_from};

static void say_update(const char *name, uint8_t type, const uint8_t *argument, size_t length)
{
    ecg_message_t command = {.type = type, .length = length};
    ecg_update_answer_t answer;
    memcpy(command.payload, argument, length);
    if (ecg_update_obey(&update, &command, true, 1u, &answer)) {
        say_hex(name, &answer.code, 1u);
        say_hex("  its body", answer.body, answer.length);
    }
}

/* firmware_signer and firmware_manifest of tests/vectors/firmware.txt */
static const uint8_t signer[ECG_P256_POINT_BYTES] = {
        0x04, 0xf2, 0x28, 0x04, 0x7e, 0x56, 0x6a, 0x85, 0xcb, 0x36, 0x9e, 0x88,
        0x2b, 0xff, 0x9b, 0xdd, 0x60, 0xa7, 0x78, 0x86, 0x41, 0x31, 0x72, 0x03,
        0xc4, 0x05, 0x5a, 0x03, 0xf9, 0x6f, 0x31, 0x4a, 0xeb, 0x26, 0x3a, 0xb1,
        0x03, 0xc5, 0x67, 0x50, 0x5d, 0xc2, 0x30, 0x9a, 0x68, 0x32, 0x5e, 0xca,
        0xbc, 0x5f, 0x28, 0xe0, 0xd3, 0x5b, 0x39, 0xfb, 0x6f, 0x7a, 0x04, 0x84,
        0x19, 0x3a, 0xc4, 0x1f, 0xc7};
static const uint8_t manifest[ECG_MANIFEST_BYTES] = {
        0x45, 0x43, 0x47, 0x46, 0x01, 0x01, 0x03, 0x00, 0x05, 0x00, 0x02, 0x00,
        0xf4, 0x01, 0x00, 0x00, 0x3c, 0xd8, 0xf7, 0xa1, 0xe1, 0x7b, 0x0d, 0x0b,
        0x24, 0x44, 0xe7, 0x45, 0x7c, 0xc9, 0xe5, 0xc4, 0x9d, 0x0c, 0x82, 0x9a,
        0xc5, 0x67, 0xa4, 0x8e, 0x60, 0x4c, 0xc5, 0x53, 0xd5, 0xeb, 0x61, 0x48,
        0xe4, 0x4d, 0xba, 0x52, 0x88, 0x93, 0x09, 0x26, 0x5c, 0xc6, 0x19, 0x23,
        0x89, 0x0a, 0x0b, 0x06, 0xff, 0xd5, 0x21, 0x5e, 0xc4, 0x55, 0x9b, 0x14,
        0x4d, 0x82, 0xba, 0x15, 0xc4, 0x98, 0x05, 0xa1, 0x92, 0xd1, 0x69, 0x33,
        0x77, 0x26, 0x07, 0xda, 0xb8, 0x6c, 0xe2, 0xc3, 0x7c, 0x47, 0xdb, 0x91,
        0xdd, 0x76, 0x81, 0x51, 0x32, 0xba, 0xa9, 0x44, 0xf1, 0x21, 0x76, 0xbd,
        0xc6, 0x94, 0x87, 0x3f};

static void begin_update(void)
{
    static const ecg_release_t running = {{1u, 0u, 0u}, 5u, 0u};
    ecg_update_init(&update, &slot, signer, &running, false, NULL);
    say_update("update_begin", ECG_UPDATE_BEGIN, manifest, sizeof manifest);
}

/* An image of the right length and with other bytes, as if it had been damaged. */
static void take_update(void)
{
    uint8_t chunk[ECG_CHUNK_MOST_BYTES] = {0u};
    for (uint32_t at = 0u; at < 480u; at += 240u) {
        ecg_put(chunk, at, 4u);
        say_update("no answer", ECG_UPDATE_CHUNK, chunk, sizeof chunk);
    }
    ecg_put(chunk, 480u, 4u);
    say_update("no answer", ECG_UPDATE_CHUNK, chunk, 24u);
    say_update("update_hashes", ECG_UPDATE_FINISH, chunk, 0u);
    ecg_update_work(&update);
    say_update("update_damaged", ECG_UPDATE_FINISH, chunk, 0u);
}

static void cut_and_gather(void)
{
    uint8_t gathered[ECG_FRAME_BYTES];
    uint8_t piece[ECG_MOST_MTU];
    ecg_cutter_t cutter;
    ecg_reassembler_t reassembler;
    size_t whole = 0u;
    ecg_reassembler_init(&reassembler, gathered, sizeof gathered);
    must(ecg_cutter_start(&cutter, sealed, ECG_FRAME_BYTES, 20u, sealed[28]));
    for (size_t n = ecg_cutter_piece(&cutter, piece); n > 0u; n = ecg_cutter_piece(&cutter, piece)) {
        say_hex("piece", piece, n);
        whole = ecg_reassembler_push(&reassembler, piece, n, 0u);
        ecg_cutter_sent(&cutter);
    }
    must((whole == ECG_FRAME_BYTES) && (memcmp(gathered, sealed, ECG_FRAME_BYTES) == 0));
}

/* An ECG-like signal by integer arithmetic, through the calibration. */
static void sample(uint32_t frame)
{
    static const ecg_front_end_t front_end = {1650000, 1100, 150000, 3100000};
    uint32_t noise = frame * 2654435761u;
    for (uint32_t at = 0u; at < ECG_SAMPLES_PER_FRAME; at++) {
        bool clipped = false;
        noise = (noise * 1664525u) + 1013904223u;
        const int32_t spike = ((at % 100u) == 50u) ? 1200000 : 0;
        const int32_t adc_uv = 1600000 + (int32_t)(noise >> 15) + spike;
        steps[at] = ecg_steps_of(&front_end, adc_uv, &clipped);
    }
}

int main(void)
{
    for (uint8_t at = 0u; at < 32u; at++) {
        root_key[at] = (uint8_t)(0x40u + at);
    }
    for (uint8_t at = 0u; at < ECG_SALT_BYTES; at++) {
        session.salt[at] = (uint8_t)(0xA0u + at);
    }
    must(ecg_crypto_start() == ECG_OK);
    measure("instructions to derive a session's keys:", derive_keys);
    say_hex("frame_nonce_fixed", keys.nonce_fixed, sizeof keys.nonce_fixed);
    header = (ecg_frame_header_t){session, 0u, 0u, 0u, 250u};
    for (header.sequence = 0u; header.sequence < FRAMES; header.sequence++) {
        sample(header.sequence);
        header.device_time_us = 748000u * (uint64_t)header.sequence;
        seal_frame();
        say_hex("frame", sealed, sizeof sealed);
    }
    measure("instructions to seal a frame:", seal_frame);
    cut_and_gather();
    start_sensor();
    measure("instructions to open a command and seal two replies:", receive_command);
    measure("instructions of the pairing handshake:", pair);
    measure("instructions to verify a release's signature:", begin_update);
    measure("instructions to take and hash 500 bytes of it:", take_update);
    if (cross_stack_floor() != 0u) {
        say_number("most bytes that PSA had on its heap:", cross_heap_most());
    }
    cross_exit(0);
    return 0;
}
