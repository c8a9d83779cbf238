/* What a central may write: raw bytes, and payloads that are well sealed but of any content. */
#include <stdlib.h>
#include <string.h>

#include "ecg_sensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, 0u)];
static ecg_outbox_t outbox;
static ecg_sensor_t sensor;

static bool draw(void *context, uint8_t *out, size_t length)
{
    static uint8_t next;
    (void)context;
    memset(out, 0, length);
    next++;
    out[0] = next;
    return true;
}

static bool keep(void *context, const uint8_t *key)
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

static void start(void)
{
    static const ecg_identity_t identity = {.device_id = 1u, .boot_id = 1u};
    static const int16_t steps[ECG_SAMPLES_PER_FRAME];
    if ((ecg_crypto_start() != ECG_OK) ||
        (ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, NULL, map) != ECG_OK) ||
        (ecg_sensor_start(&sensor, &identity, &board, &outbox, 250u) != ECG_OK)) {
        abort();
    }
    for (uint32_t at = 0u; at < 20u; at++) {
        (void)ecg_sensor_sampled(&sensor, steps, 0u, at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static bool started;
    static const uint8_t nonce[ECG_NONCE_BYTES];
    ecg_reply_t replies[ECG_MOST_REPLIES];
    uint8_t sealed[ECG_MESSAGE_MOST_BYTES];
    uint8_t frame[ECG_FRAME_BYTES];
    ecg_message_t message = {.counter = 1u};
    if (!started) {
        start();
        started = true;
    }
    (void)ecg_sensor_received(&sensor, bytes, length, 0u, replies);
    if ((length > 2u) && (length <= 2u + ECG_PAYLOAD_MOST_BYTES)) {
        message.type = bytes[0];
        message.counter = sensor.running.reached_counter + bytes[1];
        message.length = length - 2u;
        memcpy(message.payload, &bytes[2], message.length);
        if ((bytes[1] & 1u) != 0u) { /* so that acknowledgements speak of this session */
            memcpy(&message.payload[4], sensor.running.id.salt, ECG_SALT_BYTES);
        }
        const size_t size = ecg_message_seal(&sensor.running.keys.down, &sensor.running.id,
                                             &message, nonce, sealed);
        (void)ecg_sensor_received(&sensor, sealed, size, 1000u, replies);
        (void)ecg_outbox_take(&outbox, bytes[1] * 100u, 250u, frame);
    }
    if (outbox.held == 0u) {
        const int16_t steps[ECG_SAMPLES_PER_FRAME] = {0};
        (void)ecg_sensor_sampled(&sensor, steps, 0u, 0u);
    }
    return 0;
}
