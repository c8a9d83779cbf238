/* The sensor's side of docs/protocol.md from a boot to the next, without I/O: time is passed in. */
#ifndef ECG_SENSOR_H
#define ECG_SENSOR_H

#include "ecg_frame.h"
#include "ecg_outbox.h"
#include "ecg_update.h"

#define ECG_STRANGER_TIMEOUT_MS 10000u /* for the first valid and sealed message of a central */
#define ECG_MOST_ENDED 64u             /* sessions of which the sensor still knows where they ended */
#define ECG_MOST_REPLIES 2u            /* to one message: its answer and the first held report */

/* What the sensor needs of its board. */
typedef struct {
    void *context;
    bool (*random)(void *context, uint8_t *out, size_t length);
    /* Makes a root key that is to come durable, beside the one that serves. */
    bool (*keep_pending_key)(void *context, const uint8_t key[ECG_ROOT_KEY_BYTES]);
    /* Makes the pending key the one that serves, durably and at once. */
    bool (*adopt_pending_key)(void *context);
} ecg_board_t;

typedef struct {
    uint32_t device_id;
    uint32_t boot_id;
    uint8_t version[3];
    uint8_t root_key[ECG_ROOT_KEY_BYTES];
    uint8_t pending_key[ECG_ROOT_KEY_BYTES];
    bool has_pending_key;
    bool provisioned; /* a gateway has confirmed that it keeps the root key */
} ecg_identity_t;

typedef struct {
    ecg_session_id_t id;
    ecg_session_keys_t keys;
    uint16_t sample_rate_hz;
    uint32_t next_sequence;
    uint64_t reached_counter;
    bool commanded; /* reached_counter holds one */
    uint64_t reports;
} ecg_running_session_t;

typedef struct {
    ecg_session_id_t session;
    uint32_t next_sequence;
} ecg_ended_session_t;

typedef struct {
    uint8_t bytes[ECG_MESSAGE_MOST_BYTES];
    size_t length;
} ecg_reply_t;

typedef struct {
    ecg_identity_t identity;
    const ecg_board_t *board;
    ecg_outbox_t *outbox;
    ecg_update_t *update; /* NULL: this sensor takes none */
    ecg_running_session_t running;
    ecg_running_session_t next; /* prepared by a command, begun once that is answered */
    bool has_next;
    ecg_ended_session_t ended[ECG_MOST_ENDED];
    uint32_t ended_count;
    bool sampling;
    bool connected;
    bool trusted; /* the central has sent something valid and sealed */
    uint32_t connected_ms;
    uint32_t stranger_timeout_ms;
    uint32_t reported_overwritten;
    uint8_t lead_off;
    uint8_t battery_percent;
    uint32_t measured_rate_mhz; /* 0: the nominal rate is told */
    bool pairing_window;
    bool has_unix_time;
    int64_t unix_minus_device_us;
    uint32_t identify_from_ms;
    uint32_t identify_ms;
    uint32_t refused[ECG_RESULTS];
} ecg_sensor_t;

/* Begins the boot's first session. The outbox stays the caller's. */
ecg_result_t ecg_sensor_start(ecg_sensor_t *sensor, const ecg_identity_t *identity,
                              const ecg_board_t *board, ecg_outbox_t *outbox,
                              uint16_t sample_rate_hz);

/* From here on it takes updates of its firmware. */
void ecg_sensor_take_updates(ecg_sensor_t *sensor, ecg_update_t *update);

/* Has the gateway acknowledged a frame of the session that runs? */
bool ecg_sensor_is_heard(const ecg_sensor_t *sensor);

/* Forgets the session's keys. */
void ecg_sensor_stop(ecg_sensor_t *sensor);

/* Seals 187 samples into the session's next frame: the one time that it is sealed. */
ecg_result_t ecg_sensor_sampled(ecg_sensor_t *sensor, const int16_t steps[ECG_SAMPLES_PER_FRAME],
                                uint8_t flags, uint64_t device_time_us);

void ecg_sensor_connected(ecg_sensor_t *sensor, uint32_t now_ms);
void ecg_sensor_disconnected(ecg_sensor_t *sensor);

/* The central is a stranger, and the sensor's one link is not for strangers. */
bool ecg_sensor_must_drop(const ecg_sensor_t *sensor, uint32_t now_ms);

/* Takes a message of acknowledge or control; gives how many replies go out on control. */
size_t ecg_sensor_received(ecg_sensor_t *sensor, const uint8_t *message, size_t length,
                           uint64_t now_us, ecg_reply_t replies[ECG_MOST_REPLIES]);

/* A held report, if a frame had to be given up since the last one. */
size_t ecg_sensor_overdue_report(ecg_sensor_t *sensor, ecg_reply_t *reply);

void ecg_sensor_status(const ecg_sensor_t *sensor, uint8_t out[ECG_STATUS_BYTES]);

#endif
