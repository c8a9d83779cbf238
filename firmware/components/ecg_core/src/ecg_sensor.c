#include "ecg_sensor.h"

#include <string.h>

#include "ecg_bytes.h"
#include "ecg_rotation.h"

#define US_PER_MS 1000u
#define MS_PER_S 1000u
#define LEAD_OFF (ECG_FLAG_LEAD_OFF_POSITIVE | ECG_FLAG_LEAD_OFF_NEGATIVE)

/* An answer under way: type, code and body. */
typedef struct {
    uint8_t code;
    uint8_t body[ECG_STATUS_BYTES];
    size_t length;
} answer_t;

static void note_end(ecg_sensor_t *sensor, const ecg_session_id_t *session, uint32_t next_sequence)
{
    if (sensor->ended_count == ECG_MOST_ENDED) {
        sensor->ended_count--;
        memmove(&sensor->ended[0], &sensor->ended[1],
                sensor->ended_count * sizeof sensor->ended[0]);
    }
    sensor->ended[sensor->ended_count] = (ecg_ended_session_t){*session, next_sequence};
    sensor->ended_count++;
}

/* The sessions of former boots whose frames were found in flash. */
static void note_found(ecg_sensor_t *sensor)
{
    for (uint32_t at = 0u; at < sensor->outbox->run_count; at++) {
        const ecg_run_t *run = &sensor->outbox->runs[at];
        const uint32_t next = run->first_sequence + run->frames;
        ecg_ended_session_t *last =
            (sensor->ended_count == 0u) ? NULL : &sensor->ended[sensor->ended_count - 1u];
        if ((last != NULL) && ecg_same_session(&last->session, &run->session)) {
            last->next_sequence = next;
        } else {
            note_end(sensor, &run->session, next);
        }
    }
}

static void drop_prepared_session(ecg_sensor_t *sensor)
{
    if (sensor->has_next) {
        ecg_session_keys_forget(&sensor->next.keys);
        sensor->has_next = false;
    }
}

static ecg_result_t prepare_session(ecg_sensor_t *sensor,
                                    const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                                    uint16_t sample_rate_hz)
{
    drop_prepared_session(sensor);
    ecg_running_session_t next = {.sample_rate_hz = sample_rate_hz};
    next.id.device_id = sensor->identity.device_id;
    next.id.boot_id = sensor->identity.boot_id;
    if (!sensor->board->random(sensor->board->context, next.id.salt, ECG_SALT_BYTES)) {
        return ECG_CRYPTO_FAILED;
    }
    const ecg_result_t result =
        ecg_session_keys_derive(root_key, &next.id, &next.keys);
    if (result == ECG_OK) {
        sensor->next = next;
        sensor->has_next = true;
    }
    return result;
}

static void begin_prepared_session(ecg_sensor_t *sensor)
{
    if (sensor->has_next) {
        note_end(sensor, &sensor->running.id, sensor->running.next_sequence);
        ecg_session_keys_forget(&sensor->running.keys);
        sensor->running = sensor->next;
        sensor->has_next = false;
    }
}

ecg_result_t ecg_sensor_start(ecg_sensor_t *sensor, const ecg_identity_t *identity,
                              const ecg_board_t *board, ecg_outbox_t *outbox,
                              uint16_t sample_rate_hz)
{
    memset(sensor, 0, sizeof *sensor);
    sensor->identity = *identity;
    sensor->board = board;
    sensor->outbox = outbox;
    sensor->sampling = true;
    sensor->stranger_timeout_ms = ECG_STRANGER_TIMEOUT_MS;
    sensor->reported_overwritten = outbox->overwritten;
    sensor->battery_percent = ECG_BATTERY_UNKNOWN;
    note_found(sensor);
    const ecg_result_t result = prepare_session(sensor, identity->root_key, sample_rate_hz);
    sensor->running = sensor->next;
    sensor->has_next = false;
    return result;
}

void ecg_sensor_take_updates(ecg_sensor_t *sensor, ecg_update_t *update)
{
    sensor->update = update;
}

bool ecg_sensor_is_heard(const ecg_sensor_t *sensor)
{
    uint32_t oldest = 0u;
    const bool holds = ecg_outbox_oldest(sensor->outbox, &sensor->running.id, &oldest);
    const bool first_is_gone = (sensor->running.next_sequence > 0u) && (!holds || (oldest > 0u));
    return first_is_gone && (sensor->outbox->acknowledged > 0u);
}

void ecg_sensor_stop(ecg_sensor_t *sensor)
{
    ecg_session_keys_forget(&sensor->running.keys);
    ecg_wipe(&sensor->identity, sizeof sensor->identity);
}

ecg_result_t ecg_sensor_sampled(ecg_sensor_t *sensor, const int16_t steps[ECG_SAMPLES_PER_FRAME],
                                uint8_t flags, uint64_t device_time_us)
{
    uint8_t sealed[ECG_FRAME_BYTES];
    if (sensor->running.next_sequence == UINT32_MAX) { /* before it can wrap */
        const ecg_result_t prepared = prepare_session(
            sensor, sensor->identity.root_key, sensor->running.sample_rate_hz);
        if (prepared != ECG_OK) {
            return prepared;
        }
        begin_prepared_session(sensor);
    }
    ecg_running_session_t *running = &sensor->running;
    const ecg_frame_header_t header = {running->id, running->next_sequence, flags, device_time_us,
                                       running->sample_rate_hz};
    running->next_sequence++; /* even when sealing fails, no nonce is tried twice */
    const ecg_result_t result = ecg_frame_seal(&running->keys, &header, steps, sealed);
    if (result == ECG_OK) {
        ecg_outbox_add(sensor->outbox, &running->id, header.sequence, sealed, sensor->connected);
    }
    sensor->lead_off = flags & LEAD_OFF;
    return result;
}

void ecg_sensor_connected(ecg_sensor_t *sensor, uint32_t now_ms)
{
    sensor->connected = true;
    sensor->trusted = false;
    sensor->connected_ms = now_ms;
}

void ecg_sensor_disconnected(ecg_sensor_t *sensor)
{
    sensor->connected = false;
    sensor->trusted = false;
    ecg_outbox_link_lost(sensor->outbox);
}

bool ecg_sensor_must_drop(const ecg_sensor_t *sensor, uint32_t now_ms)
{
    return sensor->connected && !sensor->trusted && !sensor->pairing_window &&
           ((now_ms - sensor->connected_ms) >= sensor->stranger_timeout_ms);
}

void ecg_sensor_status(const ecg_sensor_t *sensor, uint8_t out[ECG_STATUS_BYTES])
{
    const uint32_t nominal_mhz = 1000u * (uint32_t)sensor->running.sample_rate_hz;
    ecg_status_t status = {
        .session = sensor->running.id,
        .measured_rate_mhz =
            (sensor->measured_rate_mhz != 0u) ? sensor->measured_rate_mhz : nominal_mhz,
        .battery_percent = sensor->battery_percent,
    };
    uint32_t flags = sensor->lead_off;
    flags |= sensor->identity.provisioned ? ECG_STATUS_PROVISIONED : 0u;
    flags |= sensor->pairing_window ? ECG_STATUS_PAIRING_WINDOW : 0u;
    flags |= sensor->sampling ? ECG_STATUS_SAMPLING : 0u;
    status.flags = (uint8_t)flags;
    memcpy(status.version, sensor->identity.version, sizeof status.version);
    ecg_status_write(&status, out);
}

static size_t seal(ecg_sensor_t *sensor, const ecg_message_t *message, ecg_reply_t *reply)
{
    uint8_t nonce[ECG_NONCE_BYTES];
    reply->length = 0u;
    if (sensor->board->random(sensor->board->context, nonce, sizeof nonce)) {
        reply->length = ecg_message_seal(&sensor->running.keys.up, &sensor->running.id, message,
                                         nonce, reply->bytes);
    }
    return (reply->length > 0u) ? 1u : 0u;
}

/* The session begins once its command is answered; without a new one the old one goes on. */
static uint8_t order_session(ecg_sensor_t *sensor, uint16_t sample_rate_hz)
{
    const uint8_t *root_key = sensor->identity.root_key;
    const bool prepared = prepare_session(sensor, root_key, sample_rate_hz) == ECG_OK;
    sensor->sampling = sensor->sampling || prepared;
    return prepared ? ECG_DONE : ECG_BUSY;
}

static uint8_t set_sample_rate(ecg_sensor_t *sensor, uint16_t rate_hz)
{
    return ecg_is_legal_rate(rate_hz) ? order_session(sensor, rate_hz) : (uint8_t)ECG_BAD_ARGUMENT;
}

/* False: there is nothing to answer. */
static bool update_firmware(ecg_sensor_t *sensor, const ecg_message_t *command, uint32_t now_ms,
                            answer_t *answer)
{
    ecg_update_answer_t said = {.code = ECG_NOT_SUPPORTED};
    bool answers = true;
    if (sensor->update != NULL) {
        answers = ecg_update_obey(sensor->update, command,
                                  ecg_outbox_survives_restart(sensor->outbox), now_ms, &said);
    }
    answer->code = said.code;
    answer->length = said.length;
    memcpy(answer->body, said.body, said.length);
    return answers;
}

/* False: it is not answered. */
static bool execute(ecg_sensor_t *sensor, const ecg_message_t *command, uint64_t now_us,
                    answer_t *answer)
{
    bool answers = true;
    switch (command->type) {
    case ECG_START:
        if (!sensor->sampling) {
            answer->code = order_session(sensor, sensor->running.sample_rate_hz);
        }
        break;
    case ECG_STOP:
        sensor->sampling = false;
        break;
    case ECG_SET_SAMPLE_RATE:
        answer->code = set_sample_rate(sensor, ecg_get16(command->payload));
        break;
    case ECG_SET_UNIX_TIME:
        sensor->unix_minus_device_us = (int64_t)(ecg_get(command->payload, 8u) - now_us);
        sensor->has_unix_time = true;
        break;
    case ECG_IDENTIFY:
        sensor->identify_from_ms = (uint32_t)(now_us / US_PER_MS);
        sensor->identify_ms = (uint32_t)command->payload[0] * MS_PER_S;
        break;
    case ECG_ROTATE_KEY:
        answer->code = ecg_rotation_begin(&sensor->identity, &sensor->running.id, sensor->board,
                                          command->payload, answer->body);
        answer->length = (answer->code == ECG_DONE) ? ECG_X25519_BYTES : 0u;
        break;
    case ECG_REQUEST_STATUS:
        ecg_sensor_status(sensor, answer->body);
        answer->length = ECG_STATUS_BYTES;
        break;
    default: /* of an update, as ecg_command_check lets no other pass */
        answers = update_firmware(sensor, command, (uint32_t)(now_us / US_PER_MS), answer);
        break;
    }
    return answers;
}

static size_t obey(ecg_sensor_t *sensor, const ecg_message_t *command, uint64_t now_us,
                   ecg_reply_t *reply)
{
    ecg_running_session_t *running = &sensor->running;
    answer_t answer = {.code = ECG_DONE};
    ecg_message_t message = {.type = ECG_ANSWER, .counter = command->counter};
    if (running->commanded && (command->counter <= running->reached_counter)) {
        answer.code = ECG_COUNTER_PASSED;
        ecg_put(answer.body, running->reached_counter, 8u);
        answer.length = 8u;
    } else {
        running->commanded = true;
        running->reached_counter = command->counter;
        if (!execute(sensor, command, now_us, &answer)) {
            return 0u;
        }
    }
    message.payload[0] = command->type;
    message.payload[1] = answer.code;
    memcpy(&message.payload[2], answer.body, answer.length);
    message.length = answer.length + 2u;
    return seal(sensor, &message, reply);
}

static ecg_result_t acknowledge(ecg_sensor_t *sensor, const ecg_message_t *message, uint64_t now_us)
{
    ecg_acknowledgement_t acknowledgement;
    const ecg_result_t result =
        ecg_acknowledgement_read(message->payload, message->length, &acknowledgement);
    if (result == ECG_OK) {
        ecg_outbox_acknowledge(sensor->outbox, sensor->identity.device_id, &acknowledgement,
                               (uint32_t)(now_us / US_PER_MS));
    }
    return result;
}

/* A message under the pending root key proves that the gateway keeps it: from here on it serves,
 * in a session of its own. */
static ecg_result_t open_under_pending(ecg_sensor_t *sensor, const uint8_t *sealed, size_t length,
                                       ecg_message_t *message)
{
    ecg_session_keys_t keys;
    const ecg_session_id_t *session = &sensor->running.id;
    const uint8_t *pending = sensor->identity.pending_key;
    ecg_result_t result = ecg_session_keys_derive(pending, session, &keys);
    if (result == ECG_OK) {
        result = ecg_message_open(&keys.down, session, sealed, length, message);
    }
    if (result == ECG_OK) {
        result = prepare_session(sensor, pending, sensor->running.sample_rate_hz);
    }
    if (result == ECG_OK) {
        result = ecg_rotation_adopt(&sensor->identity, sensor->board);
    }
    if (result == ECG_OK) {
        ecg_session_keys_forget(&sensor->running.keys);
        sensor->running.keys = keys; /* for the answer; no frame follows in this session */
    } else {
        ecg_session_keys_forget(&keys);
        drop_prepared_session(sensor);
    }
    return result;
}

static ecg_result_t open(ecg_sensor_t *sensor, const uint8_t *sealed, size_t length,
                         ecg_message_t *message)
{
    const ecg_running_session_t *running = &sensor->running;
    ecg_result_t result =
        ecg_message_open(&running->keys.down, &running->id, sealed, length, message);
    if ((result == ECG_NOT_AUTHENTIC) && sensor->identity.has_pending_key) {
        result = open_under_pending(sensor, sealed, length, message);
    }
    return result;
}

static size_t write_held_report(ecg_sensor_t *sensor, ecg_reply_t *reply)
{
    ecg_held_t rows[ECG_MOST_HELD_SESSIONS];
    ecg_message_t message = {.type = ECG_HELD_REPORT, .counter = sensor->running.reports};
    size_t count = 0u;
    uint32_t at = 0u;
    while ((at < sensor->ended_count) && (count < (ECG_MOST_HELD_SESSIONS - 1u))) {
        const ecg_ended_session_t *ended = &sensor->ended[at];
        ecg_held_t *row = &rows[count];
        *row = (ecg_held_t){ended->session, ended->next_sequence, ended->next_sequence};
        count++;
        if (ecg_outbox_oldest(sensor->outbox, &ended->session, &row->oldest)) {
            at++;
        } else { /* told once, and over */
            sensor->ended_count--;
            memmove(&sensor->ended[at], &sensor->ended[at + 1u],
                    (sensor->ended_count - at) * sizeof sensor->ended[0]);
        }
    }
    const ecg_running_session_t *running = &sensor->running;
    rows[count] = (ecg_held_t){running->id, running->next_sequence, running->next_sequence};
    (void)ecg_outbox_oldest(sensor->outbox, &running->id, &rows[count].oldest);
    message.length = ecg_held_report_write(rows, count + 1u, message.payload);
    sensor->running.reports++;
    sensor->reported_overwritten = sensor->outbox->overwritten;
    return seal(sensor, &message, reply);
}

size_t ecg_sensor_received(ecg_sensor_t *sensor, const uint8_t *message, size_t length,
                           uint64_t now_us, ecg_reply_t replies[ECG_MOST_REPLIES])
{
    ecg_message_t opened;
    size_t count = 0u;
    ecg_result_t result = open(sensor, message, length, &opened);
    if ((result == ECG_OK) && (opened.type == ECG_ACKNOWLEDGEMENT)) {
        result = acknowledge(sensor, &opened, now_us);
    } else if (result == ECG_OK) {
        result = ecg_command_check(&opened);
        count = (result == ECG_OK) ? obey(sensor, &opened, now_us, &replies[0]) : 0u;
    } else {
        /* refused as it is */
    }
    begin_prepared_session(sensor);
    if (result != ECG_OK) {
        sensor->refused[result]++;
    } else if (!sensor->trusted) {
        sensor->trusted = true;
        count += write_held_report(sensor, &replies[count]);
    } else {
        /* known already */
    }
    return count;
}

size_t ecg_sensor_overdue_report(ecg_sensor_t *sensor, ecg_reply_t *reply)
{
    const bool due =
        sensor->trusted && (sensor->outbox->overwritten != sensor->reported_overwritten);
    return due ? write_held_report(sensor, reply) : 0u;
}
