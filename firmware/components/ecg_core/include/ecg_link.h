/* What goes out over one connection, and in which order, with the radio's back-pressure.
 *
 * Replies go before frames. A piece that the radio can't take stays and is offered again when the
 * radio has room. A lost link drops what was half sent: the outbox sends the frame again.
 */
#ifndef ECG_LINK_H
#define ECG_LINK_H

#include "ecg_pairing.h"
#include "ecg_pieces.h"
#include "ecg_sensor.h"

#define ECG_ATT_HEADER_BYTES 3u
#define ECG_LEAST_MTU 23u
#define ECG_MOST_MTU 517u
#define ECG_MOST_QUEUED 8u /* replies that wait: each a message of at most 293 bytes */

typedef enum { ECG_ON_FRAMES, ECG_ON_CONTROL, ECG_ON_PROVISION, ECG_ON_FIRMWARE } ecg_outlet_t;

/* The characteristics that bring sealed messages. */
typedef enum { ECG_FROM_ACKNOWLEDGE, ECG_FROM_CONTROL, ECG_FROM_FIRMWARE, ECG_INLETS } ecg_inlet_t;

typedef enum {
    ECG_SENT,
    ECG_RADIO_FULL, /* no room now: ecg_link_pump again after the transmit event */
    ECG_LINK_GONE
} ecg_send_result_t;

typedef struct {
    void *context;
    /* Notifies on frames, indicates on the others. An indication needs ecg_link_confirmed before
     * the next one. */
    ecg_send_result_t (*send)(void *context, ecg_outlet_t outlet, const uint8_t *value,
                              size_t length);
} ecg_radio_t;

typedef struct {
    ecg_outlet_t outlet;
    ecg_reply_t reply;
} ecg_queued_t;

typedef struct {
    const ecg_radio_t *radio;
    ecg_sensor_t *sensor;
    uint16_t mtu;
    bool connected;
    bool wants_frames;
    bool indicating; /* an indication waits for its confirmation */
    ecg_outlet_t outlet;
    ecg_cutter_t cutter; /* of the message under way; length 0: none */
    uint8_t frame[ECG_FRAME_BYTES];
    ecg_queued_t queue[ECG_MOST_QUEUED];
    uint32_t queue_first;
    uint32_t queue_count;
    uint32_t replies_dropped;
    uint8_t pairing_counter;
    uint8_t gathered[ECG_INLETS][ECG_MESSAGE_MOST_BYTES];
    uint8_t gathered_provision[ECG_MESSAGE_MOST_BYTES];
    ecg_reassembler_t inlets[ECG_INLETS];
    ecg_reassembler_t provision;
} ecg_link_t;

void ecg_link_init(ecg_link_t *link, const ecg_radio_t *radio, ecg_sensor_t *sensor);
void ecg_link_connected(ecg_link_t *link, uint32_t now_ms);
void ecg_link_disconnected(ecg_link_t *link);
void ecg_link_mtu(ecg_link_t *link, uint16_t mtu);
void ecg_link_subscribed(ecg_link_t *link, ecg_outlet_t outlet, bool wanted);

/* A value was written to one of the inlets. */
void ecg_link_written(ecg_link_t *link, ecg_inlet_t inlet, const uint8_t *value, size_t length,
                      uint64_t now_us);

/* A value was written to provision; `message` is set when that made a message whole. */
size_t ecg_link_provisioned(ecg_link_t *link, const uint8_t *value, size_t length, uint32_t now_ms,
                            const uint8_t **message);
bool ecg_link_queue(ecg_link_t *link, ecg_outlet_t outlet, const uint8_t *message, size_t length);

/* The central has confirmed the last indication. */
void ecg_link_confirmed(ecg_link_t *link);

/* Sends all that is due and that the radio takes; call it on each event and at least each 50 ms. */
void ecg_link_pump(ecg_link_t *link, uint32_t now_ms);

#endif
