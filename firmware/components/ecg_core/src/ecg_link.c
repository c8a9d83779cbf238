#include "ecg_link.h"

#include <string.h>

#define SEQUENCE_AT 28u       /* of a frame: its low byte marks the pieces */
#define MESSAGE_COUNTER_AT 1u /* of a sealed message, likewise */

void ecg_link_init(ecg_link_t *link, const ecg_radio_t *radio, ecg_sensor_t *sensor)
{
    memset(link, 0, sizeof *link);
    link->radio = radio;
    link->sensor = sensor;
    link->mtu = ECG_LEAST_MTU;
    for (size_t inlet = 0u; inlet < ECG_INLETS; inlet++) {
        ecg_reassembler_init(&link->inlets[inlet], link->gathered[inlet],
                             sizeof link->gathered[inlet]);
    }
    ecg_reassembler_init(&link->provision, link->gathered_provision,
                         sizeof link->gathered_provision);
}

void ecg_link_connected(ecg_link_t *link, uint32_t now_ms)
{
    link->connected = true;
    link->mtu = ECG_LEAST_MTU;
    link->pairing_counter = 0u;
    ecg_sensor_connected(link->sensor, now_ms);
}

void ecg_link_disconnected(ecg_link_t *link)
{
    link->connected = false;
    link->wants_frames = false;
    link->indicating = false;
    link->cutter.length = 0u;
    link->cutter.at = 0u;
    link->queue_count = 0u;
    for (size_t inlet = 0u; inlet < ECG_INLETS; inlet++) {
        ecg_reassembler_drop(&link->inlets[inlet]);
    }
    ecg_reassembler_drop(&link->provision);
    ecg_sensor_disconnected(link->sensor);
}

void ecg_link_mtu(ecg_link_t *link, uint16_t mtu)
{
    const uint16_t most = (mtu > ECG_MOST_MTU) ? (uint16_t)ECG_MOST_MTU : mtu;
    link->mtu = (most < ECG_LEAST_MTU) ? (uint16_t)ECG_LEAST_MTU : most;
}

void ecg_link_subscribed(ecg_link_t *link, ecg_outlet_t outlet, bool wanted)
{
    if (outlet == ECG_ON_FRAMES) { /* another characteristic's event changes nothing here */
        link->wants_frames = wanted;
    }
}

bool ecg_link_queue(ecg_link_t *link, ecg_outlet_t outlet, const uint8_t *message, size_t length)
{
    if (!link->connected || (link->queue_count == ECG_MOST_QUEUED) || (length == 0u) ||
        (length > ECG_MESSAGE_MOST_BYTES)) {
        link->replies_dropped++;
        return false;
    }
    const uint32_t at = (link->queue_first + link->queue_count) % ECG_MOST_QUEUED;
    link->queue[at].outlet = outlet;
    memcpy(link->queue[at].reply.bytes, message, length);
    link->queue[at].reply.length = length;
    link->queue_count++;
    return true;
}

/* Answers go out where their commands came in, held reports always on control. */
static void queue_replies(ecg_link_t *link, ecg_inlet_t inlet, const ecg_reply_t *replies,
                          size_t count)
{
    for (size_t at = 0u; at < count; at++) {
        const bool firmware = (inlet == ECG_FROM_FIRMWARE) && (replies[at].bytes[0] == ECG_ANSWER);
        (void)ecg_link_queue(link, firmware ? ECG_ON_FIRMWARE : ECG_ON_CONTROL, replies[at].bytes,
                             replies[at].length);
    }
}

void ecg_link_written(ecg_link_t *link, ecg_inlet_t inlet, const uint8_t *value, size_t length,
                      uint64_t now_us)
{
    ecg_reply_t replies[ECG_MOST_REPLIES];
    ecg_reassembler_t *gathering = &link->inlets[inlet];
    const size_t whole =
        ecg_reassembler_push(gathering, value, length, (uint32_t)(now_us / 1000u));
    if (whole > 0u) {
        const size_t count =
            ecg_sensor_received(link->sensor, gathering->gathered, whole, now_us, replies);
        queue_replies(link, inlet, replies, count);
    }
}

size_t ecg_link_provisioned(ecg_link_t *link, const uint8_t *value, size_t length, uint32_t now_ms,
                            const uint8_t **message)
{
    *message = link->gathered_provision;
    return ecg_reassembler_push(&link->provision, value, length, now_ms);
}

void ecg_link_confirmed(ecg_link_t *link)
{
    link->indicating = false;
}

static void start_reply(ecg_link_t *link)
{
    const ecg_queued_t *next = &link->queue[link->queue_first];
    uint8_t low_byte = next->reply.bytes[MESSAGE_COUNTER_AT];
    if (next->outlet == ECG_ON_PROVISION) {
        low_byte = link->pairing_counter;
        link->pairing_counter++;
    }
    link->outlet = next->outlet;
    (void)ecg_cutter_start(&link->cutter, next->reply.bytes, next->reply.length,
                           (size_t)link->mtu - ECG_ATT_HEADER_BYTES, low_byte);
}

static bool start_frame(ecg_link_t *link, uint32_t now_ms)
{
    if (!link->wants_frames ||
        !ecg_outbox_take(link->sensor->outbox, now_ms, link->sensor->running.sample_rate_hz,
                         link->frame)) {
        return false;
    }
    link->outlet = ECG_ON_FRAMES;
    return ecg_cutter_start(&link->cutter, link->frame, ECG_FRAME_BYTES,
                            (size_t)link->mtu - ECG_ATT_HEADER_BYTES, link->frame[SEQUENCE_AT]);
}

/* Has the link a message under way, or begun one? */
static bool has_message(ecg_link_t *link, uint32_t now_ms)
{
    if (link->cutter.at < link->cutter.length) {
        return true;
    }
    if (link->queue_count > 0u) {
        start_reply(link);
        return true;
    }
    return start_frame(link, now_ms);
}

static void piece_sent(ecg_link_t *link)
{
    ecg_cutter_sent(&link->cutter);
    link->indicating = link->outlet != ECG_ON_FRAMES;
    if ((link->outlet != ECG_ON_FRAMES) && (link->cutter.at == link->cutter.length)) {
        link->queue_first = (link->queue_first + 1u) % ECG_MOST_QUEUED;
        link->queue_count--;
    }
}

void ecg_link_pump(ecg_link_t *link, uint32_t now_ms)
{
    uint8_t value[ECG_MOST_MTU];
    ecg_reply_t report;
    queue_replies(link, ECG_FROM_CONTROL, &report,
                  ecg_sensor_overdue_report(link->sensor, &report));
    while (link->connected && !link->indicating && has_message(link, now_ms)) {
        const size_t length = ecg_cutter_piece(&link->cutter, value);
        const ecg_send_result_t sent =
            link->radio->send(link->radio->context, link->outlet, value, length);
        if (sent == ECG_LINK_GONE) {
            ecg_link_disconnected(link);
        } else if (sent == ECG_SENT) {
            piece_sent(link);
        } else {
            return;
        }
    }
}
