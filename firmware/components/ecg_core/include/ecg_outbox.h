/* The frames that the sensor still holds, and when each goes on the air. Time is passed in.
 *
 * Every frame has an age, its place among all that were ever held. The newest ages are in a ring in
 * RAM. What leaves it unacknowledged goes to a ring in flash, where there is one; a frame in flash
 * at position p has the age p + a constant, which changes only while flash holds nothing. A frame
 * that the gateway has not taken for a whole lap of the flash ring is given up.
 */
#ifndef ECG_OUTBOX_H
#define ECG_OUTBOX_H

#include "ecg_flash_ring.h"
#include "ecg_message.h"

#define ECG_WINDOW_FRAMES 256u     /* sent and not acknowledged */
#define ECG_LEAST_RAM_FRAMES 161u  /* 60 s at 500 Hz */
#define ECG_MOST_RUNS 64u          /* sessions held; a 65th gives up the oldest */
#define ECG_BACKLOG_TIMES_REAL_TIME 4u
#define ECG_BACKLOG_BURST_FRAMES 8u
#define ECG_RESEND_AFTER_MS 5000u
#define ECG_FRAMES_BEFORE_RESTART 8u /* 3 s at 500 Hz */

/* Bytes of the three bitmaps over all ages that may be held. */
#define ECG_OUTBOX_MAP_BYTES(ram_frames, flash_slots) \
    (3u * ((((ram_frames) + (flash_slots)) + 7u) / 8u))

/* A stretch of ages of one session, in which age and sequence rise together. */
typedef struct {
    ecg_session_id_t session;
    uint32_t first_age;
    uint32_t first_sequence;
    uint32_t frames;
    uint32_t progress_ms; /* when an acknowledgement brought something new */
    bool progressed;
} ecg_run_t;

typedef struct {
    uint32_t age;
    uint32_t sent_ms;
} ecg_flight_t;

typedef struct {
    uint8_t (*ram)[ECG_FRAME_BYTES];
    uint32_t ram_frames;
    ecg_flash_ring_t *flash; /* NULL: RAM only */
    uint32_t age_of_flash;   /* age - position of what is in flash */
    uint8_t *held_map;
    uint8_t *flight_map;
    uint8_t *sent_map;
    uint32_t span; /* ages that may be held at once */
    uint32_t tail;
    uint32_t ram_tail;
    uint32_t live; /* from here on frames go before the backlog */
    uint32_t head;
    uint32_t backlog; /* nothing below waits */
    ecg_run_t runs[ECG_MOST_RUNS];
    uint32_t run_count;
    ecg_flight_t flights[ECG_WINDOW_FRAMES]; /* in the order of sending */
    uint32_t flight_count;
    uint32_t resend_after_ms;
    uint32_t allowance; /* of backlog, in samples x ms */
    uint32_t taken_ms;
    uint32_t held;
    uint32_t acknowledged;
    uint32_t overwritten; /* given up unacknowledged */
    uint32_t resent;
    uint32_t storage_failures;
} ecg_outbox_t;

/* `ram` has ram_frames frames, `map` ECG_OUTBOX_MAP_BYTES; what flash still holds is found again. */
ecg_result_t ecg_outbox_init(ecg_outbox_t *outbox, uint8_t (*ram)[ECG_FRAME_BYTES],
                             uint32_t ram_frames, ecg_flash_ring_t *flash, uint8_t *map);

/* Holds a new frame. Frames of a session come in order, and sessions one after another. */
void ecg_outbox_add(ecg_outbox_t *outbox, const ecg_session_id_t *session, uint32_t sequence,
                    const uint8_t sealed[ECG_FRAME_BYTES], bool live);

/* The next frame to send now, live before backlog; it is in flight from here on. */
bool ecg_outbox_take(ecg_outbox_t *outbox, uint32_t now_ms, uint32_t sample_rate_hz,
                     uint8_t sealed[ECG_FRAME_BYTES]);

/* Forgets what was committed; a frame that was sent before one of these and is not among them was
 * lost, and waits again. */
void ecg_outbox_acknowledge(ecg_outbox_t *outbox, uint32_t device_id,
                            const ecg_acknowledgement_t *acknowledgement, uint32_t now_ms);

/* All that was in flight or live becomes backlog. */
void ecg_outbox_link_lost(ecg_outbox_t *outbox);

/* Moves all that RAM holds to flash, where there is one, as before a restart. Gives how many frames
 * had to be given up for it. */
uint32_t ecg_outbox_flush(ecg_outbox_t *outbox);

/* Would a flush now, with the frames of a few seconds more, keep all that is held? */
bool ecg_outbox_survives_restart(const ecg_outbox_t *outbox);

/* False when nothing of the session is held. */
bool ecg_outbox_oldest(const ecg_outbox_t *outbox, const ecg_session_id_t *session,
                       uint32_t *sequence);

/* A held frame by its age, which is from tail to head; false when it is not held. */
bool ecg_outbox_read(ecg_outbox_t *outbox, uint32_t age, uint8_t sealed[ECG_FRAME_BYTES]);

/* The flash position below which nothing is held any more. */
uint32_t ecg_outbox_flash_floor(const ecg_outbox_t *outbox);

#endif
