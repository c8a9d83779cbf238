#include "ecg_outbox.h"

#include <string.h>

#include "ecg_frame.h"

#define MS_PER_S 1000u
#define FRAME_COST (ECG_SAMPLES_PER_FRAME * MS_PER_S) /* of the allowance */
#define MOST_ALLOWANCE (ECG_BACKLOG_BURST_FRAMES * FRAME_COST)

static bool is_set(const ecg_outbox_t *outbox, const uint8_t *map, uint32_t age)
{
    const uint32_t bit = age % outbox->span;
    return ((map[bit / 8u] >> (bit % 8u)) & 1u) != 0u;
}

static void set(const ecg_outbox_t *outbox, uint8_t *map, uint32_t age, bool value)
{
    const uint32_t bit = age % outbox->span;
    const uint8_t mask = (uint8_t)(1u << (bit % 8u));
    map[bit / 8u] = value ? (uint8_t)(map[bit / 8u] | mask) : (uint8_t)(map[bit / 8u] & ~mask);
}

static bool holds(const ecg_outbox_t *outbox, uint32_t age)
{
    return is_set(outbox, outbox->held_map, age);
}

static uint32_t run_end(const ecg_run_t *run)
{
    return run->first_age + run->frames;
}

/* Where a run begins that has lost its first frames: the place of the oldest that may be held. */
static uint32_t first_place(const ecg_outbox_t *outbox, const ecg_run_t *run)
{
    return (outbox->tail > run->first_age) ? (outbox->tail - run->first_age) : 0u;
}

/* Every held age lies in a run. */
static ecg_run_t *run_of(ecg_outbox_t *outbox, uint32_t age)
{
    ecg_run_t *run = &outbox->runs[outbox->run_count - 1u];
    while (age < run->first_age) {
        run--;
    }
    return run;
}

static void land(ecg_outbox_t *outbox, uint32_t flight)
{
    set(outbox, outbox->flight_map, outbox->flights[flight].age, false);
    outbox->flight_count--;
    memmove(&outbox->flights[flight], &outbox->flights[flight + 1u],
            (outbox->flight_count - flight) * sizeof outbox->flights[0]);
}

static void wait_again(ecg_outbox_t *outbox, uint32_t flight)
{
    const uint32_t age = outbox->flights[flight].age;
    outbox->backlog = (age < outbox->backlog) ? age : outbox->backlog;
    land(outbox, flight);
}

/* Moves the tail over what is forgotten, and drops the runs that it leaves behind. */
static void advance_tail(ecg_outbox_t *outbox)
{
    uint32_t over = 0u;
    while ((outbox->tail < outbox->head) && !holds(outbox, outbox->tail)) {
        outbox->tail++;
    }
    while ((over < outbox->run_count) && (run_end(&outbox->runs[over]) <= outbox->tail)) {
        over++;
    }
    outbox->run_count -= over;
    memmove(outbox->runs, &outbox->runs[over], outbox->run_count * sizeof outbox->runs[0]);
}

static void forget(ecg_outbox_t *outbox, uint32_t age)
{
    for (uint32_t at = 0u; is_set(outbox, outbox->flight_map, age) && (at < outbox->flight_count);
         at++) {
        if (outbox->flights[at].age == age) {
            land(outbox, at);
        }
    }
    set(outbox, outbox->held_map, age, false);
    outbox->held--;
    if (age < outbox->ram_tail) {
        const uint32_t position = age - outbox->age_of_flash;
        if (ecg_flash_ring_forget(outbox->flash, position) != ECG_OK) {
            outbox->storage_failures++; /* it is sent once more after a restart, no worse */
        }
    }
}

static void give_up_below(ecg_outbox_t *outbox, uint32_t age)
{
    for (uint32_t at = outbox->tail; at < age; at++) {
        if (holds(outbox, at)) {
            forget(outbox, at);
            outbox->overwritten++;
        }
    }
    advance_tail(outbox);
}

static uint8_t *in_ram(const ecg_outbox_t *outbox, uint32_t age)
{
    return outbox->ram[age % outbox->ram_frames];
}

/* The flash position of an age, with nothing held that the ring would lose by a write there. */
static uint32_t make_room_in_flash(ecg_outbox_t *outbox, uint32_t age)
{
    if (outbox->tail >= age) { /* flash holds nothing: go on where it stopped */
        outbox->age_of_flash = age - outbox->flash->head;
    }
    const uint32_t position = age - outbox->age_of_flash;
    const uint32_t floor = ecg_flash_ring_floor(outbox->flash, position);
    if ((outbox->tail - outbox->age_of_flash) < floor) {
        give_up_below(outbox, outbox->age_of_flash + floor);
    }
    return position;
}

/* Moves the oldest frame of the RAM to flash; without flash, or when that fails, it is given up. */
static void spill(ecg_outbox_t *outbox)
{
    const uint32_t age = outbox->ram_tail;
    ecg_result_t result = ECG_STORAGE_FAILED;
    if (outbox->flash != NULL) {
        const uint32_t position = make_room_in_flash(outbox, age);
        if (holds(outbox, age)) {
            result = ecg_flash_ring_write(outbox->flash, position, in_ram(outbox, age));
            outbox->storage_failures += (result == ECG_OK) ? 0u : 1u;
        }
    }
    if (holds(outbox, age) && (result != ECG_OK)) {
        forget(outbox, age);
        outbox->overwritten++;
    }
    outbox->ram_tail++;
    advance_tail(outbox);
}

static void extend_runs(ecg_outbox_t *outbox, const ecg_session_id_t *session, uint32_t sequence)
{
    ecg_run_t *last = &outbox->runs[(outbox->run_count == 0u) ? 0u : (outbox->run_count - 1u)];
    const bool goes_on =
        (outbox->run_count != 0u) && ecg_same_session(&last->session, session) &&
        ((sequence - last->first_sequence) == (outbox->head - last->first_age));
    if (goes_on) {
        last->frames = (outbox->head - last->first_age) + 1u;
        return;
    }
    if (outbox->run_count == ECG_MOST_RUNS) {
        give_up_below(outbox, run_end(&outbox->runs[0]));
    }
    outbox->runs[outbox->run_count] = (ecg_run_t){*session, outbox->head, sequence, 1u, 0u, false};
    outbox->run_count++;
}

/* One more age at the head, which is held. */
static void hold(ecg_outbox_t *outbox, const ecg_session_id_t *session, uint32_t sequence)
{
    extend_runs(outbox, session, sequence);
    set(outbox, outbox->held_map, outbox->head, true);
    set(outbox, outbox->flight_map, outbox->head, false);
    set(outbox, outbox->sent_map, outbox->head, false);
    outbox->head++;
    outbox->held++;
}

static void find_in_flash(ecg_outbox_t *outbox)
{
    uint8_t sealed[ECG_FRAME_BYTES];
    ecg_frame_header_t header;
    const uint32_t end = outbox->flash->head;
    const uint32_t first = (end > outbox->flash->slots) ? (end - outbox->flash->slots) : 0u;
    outbox->tail = first;
    outbox->head = first;
    while (outbox->head < end) {
        if ((ecg_flash_ring_read(outbox->flash, outbox->head, sealed) == ECG_OK) &&
            (ecg_frame_read_header(sealed, sizeof sealed, &header) == ECG_OK)) {
            hold(outbox, &header.session, header.sequence);
        } else {
            set(outbox, outbox->held_map, outbox->head, false);
            outbox->head++;
        }
        outbox->ram_tail = outbox->head;
    }
}

ecg_result_t ecg_outbox_init(ecg_outbox_t *outbox, uint8_t (*ram)[ECG_FRAME_BYTES],
                             uint32_t ram_frames, ecg_flash_ring_t *flash, uint8_t *map)
{
    const uint32_t span = ram_frames + ((flash == NULL) ? 0u : flash->slots);
    const size_t map_bytes = ((size_t)span + 7u) / 8u;
    if (ram_frames < ECG_LEAST_RAM_FRAMES) {
        return ECG_WRONG_SIZE;
    }
    memset(outbox, 0, sizeof *outbox);
    memset(map, 0, 3u * map_bytes);
    outbox->ram = ram;
    outbox->ram_frames = ram_frames;
    outbox->flash = flash;
    outbox->span = span;
    outbox->held_map = map;
    outbox->flight_map = &map[map_bytes];
    outbox->sent_map = &map[2u * map_bytes];
    outbox->resend_after_ms = ECG_RESEND_AFTER_MS;
    if (flash != NULL) {
        find_in_flash(outbox);
    }
    outbox->live = outbox->head;
    outbox->backlog = outbox->tail;
    advance_tail(outbox);
    return ECG_OK;
}

void ecg_outbox_add(ecg_outbox_t *outbox, const ecg_session_id_t *session, uint32_t sequence,
                    const uint8_t sealed[ECG_FRAME_BYTES], bool live)
{
    if ((outbox->head - outbox->ram_tail) == outbox->ram_frames) {
        spill(outbox);
    }
    memcpy(in_ram(outbox, outbox->head), sealed, ECG_FRAME_BYTES);
    hold(outbox, session, sequence);
    if (!live) {
        outbox->live = outbox->head;
    }
}

bool ecg_outbox_read(ecg_outbox_t *outbox, uint32_t age, uint8_t sealed[ECG_FRAME_BYTES])
{
    if ((age < outbox->tail) || (age >= outbox->head) || !holds(outbox, age)) {
        return false;
    }
    if (age >= outbox->ram_tail) {
        memcpy(sealed, in_ram(outbox, age), ECG_FRAME_BYTES);
        return true;
    }
    return ecg_flash_ring_read(outbox->flash, age - outbox->age_of_flash, sealed) == ECG_OK;
}

static void earn(ecg_outbox_t *outbox, uint32_t now_ms, uint32_t sample_rate_hz)
{
    const uint32_t per_ms = sample_rate_hz * ECG_BACKLOG_TIMES_REAL_TIME;
    const uint32_t elapsed_ms = now_ms - outbox->taken_ms;
    const uint32_t missing = MOST_ALLOWANCE - outbox->allowance;
    outbox->taken_ms = now_ms;
    outbox->allowance += (elapsed_ms > (missing / per_ms)) ? missing : (elapsed_ms * per_ms);
}

static void give_up_waiting(ecg_outbox_t *outbox, uint32_t now_ms)
{
    uint32_t flight = 0u;
    while (flight < outbox->flight_count) {
        const ecg_flight_t *sent = &outbox->flights[flight];
        const ecg_run_t *run = run_of(outbox, sent->age);
        const bool progress =
            run->progressed && ((now_ms - run->progress_ms) < outbox->resend_after_ms);
        if (!progress && ((now_ms - sent->sent_ms) >= outbox->resend_after_ms)) {
            wait_again(outbox, flight);
        } else {
            flight++;
        }
    }
}

/* The oldest that waits; head when none does. */
static uint32_t next_of_backlog(ecg_outbox_t *outbox)
{
    uint32_t age = (outbox->backlog < outbox->tail) ? outbox->tail : outbox->backlog;
    while ((age < outbox->live) &&
           (!holds(outbox, age) || is_set(outbox, outbox->flight_map, age))) {
        age++;
    }
    outbox->backlog = age;
    return (age < outbox->live) ? age : outbox->head;
}

static uint32_t next_live(ecg_outbox_t *outbox)
{
    if (outbox->live < outbox->tail) {
        outbox->live = outbox->tail;
    }
    while ((outbox->live < outbox->head) && !holds(outbox, outbox->live)) {
        outbox->live++;
    }
    return outbox->live;
}

static uint32_t choose(ecg_outbox_t *outbox)
{
    uint32_t age = next_live(outbox);
    if (age < outbox->head) {
        outbox->live++;
        return age;
    }
    if (outbox->allowance < FRAME_COST) {
        return outbox->head;
    }
    age = next_of_backlog(outbox);
    if (age < outbox->head) {
        outbox->allowance -= FRAME_COST;
    }
    return age;
}

static void fly(ecg_outbox_t *outbox, uint32_t age, uint32_t now_ms)
{
    outbox->resent += is_set(outbox, outbox->sent_map, age) ? 1u : 0u;
    set(outbox, outbox->sent_map, age, true);
    set(outbox, outbox->flight_map, age, true);
    outbox->flights[outbox->flight_count] = (ecg_flight_t){age, now_ms};
    outbox->flight_count++;
}

bool ecg_outbox_take(ecg_outbox_t *outbox, uint32_t now_ms, uint32_t sample_rate_hz,
                     uint8_t sealed[ECG_FRAME_BYTES])
{
    give_up_waiting(outbox, now_ms);
    earn(outbox, now_ms, sample_rate_hz);
    while (outbox->flight_count < ECG_WINDOW_FRAMES) {
        const uint32_t age = choose(outbox);
        if (age == outbox->head) {
            return false;
        }
        if (ecg_outbox_read(outbox, age, sealed)) {
            fly(outbox, age, now_ms);
            return true;
        }
        forget(outbox, age); /* flash no longer gives back what it was seen to hold */
        outbox->overwritten++;
        outbox->storage_failures++;
        advance_tail(outbox);
    }
    return false;
}

/* Forgets what is acknowledged of a run; gives one more than the last of its sendings, or 0. */
static uint32_t forget_acknowledged(ecg_outbox_t *outbox, ecg_run_t *run,
                                    const ecg_acknowledgement_t *acknowledgement, uint32_t now_ms)
{
    uint32_t latest = 0u;
    for (uint32_t at = 0u; at < outbox->flight_count; at++) {
        const uint32_t place = outbox->flights[at].age - run->first_age;
        if ((place < run->frames) &&
            ecg_acknowledges(acknowledgement, run->first_sequence + place)) {
            latest = at + 1u;
        }
    }
    for (uint32_t place = first_place(outbox, run); place < run->frames; place++) {
        const uint32_t age = run->first_age + place;
        if (holds(outbox, age) &&
            ecg_acknowledges(acknowledgement, run->first_sequence + place)) {
            latest -= is_set(outbox, outbox->flight_map, age) ? 1u : 0u;
            forget(outbox, age);
            outbox->acknowledged++;
            run->progress_ms = now_ms;
            run->progressed = true;
        }
    }
    return latest;
}

/* What is left of a run among the first flights was passed over. */
static void resend_passed_over(ecg_outbox_t *outbox, const ecg_run_t *run, uint32_t flights)
{
    uint32_t flight = 0u;
    while (flight < flights) {
        if ((outbox->flights[flight].age - run->first_age) < run->frames) {
            wait_again(outbox, flight);
            flights--;
        } else {
            flight++;
        }
    }
}

void ecg_outbox_acknowledge(ecg_outbox_t *outbox, uint32_t device_id,
                            const ecg_acknowledgement_t *acknowledgement, uint32_t now_ms)
{
    ecg_session_id_t session = {.device_id = device_id, .boot_id = acknowledgement->boot_id};
    memcpy(session.salt, acknowledgement->salt, ECG_SALT_BYTES);
    outbox->resend_after_ms = (uint32_t)acknowledgement->resend_after_s * MS_PER_S;
    for (uint32_t at = 0u; at < outbox->run_count; at++) {
        ecg_run_t *run = &outbox->runs[at];
        if (ecg_same_session(&run->session, &session)) {
            const uint32_t flights = forget_acknowledged(outbox, run, acknowledgement, now_ms);
            resend_passed_over(outbox, run, flights);
        }
    }
    advance_tail(outbox);
}

void ecg_outbox_link_lost(ecg_outbox_t *outbox)
{
    while (outbox->flight_count > 0u) {
        wait_again(outbox, outbox->flight_count - 1u);
    }
    outbox->live = outbox->head;
}

uint32_t ecg_outbox_flush(ecg_outbox_t *outbox)
{
    const uint32_t before = outbox->overwritten;
    while ((outbox->flash != NULL) && (outbox->ram_tail < outbox->head)) {
        spill(outbox);
    }
    return outbox->overwritten - before;
}

bool ecg_outbox_survives_restart(const ecg_outbox_t *outbox)
{
    if ((outbox->held == 0u) || (outbox->flash == NULL)) {
        return outbox->held == 0u;
    }
    const uint32_t first = ecg_outbox_flash_floor(outbox);
    const uint32_t last = first + (outbox->head - outbox->tail) + ECG_FRAMES_BEFORE_RESTART;
    return ecg_flash_ring_floor(outbox->flash, last) <= first;
}

bool ecg_outbox_oldest(const ecg_outbox_t *outbox, const ecg_session_id_t *session,
                       uint32_t *sequence)
{
    for (uint32_t at = 0u; at < outbox->run_count; at++) {
        const ecg_run_t *run = &outbox->runs[at];
        for (uint32_t place = first_place(outbox, run);
             ecg_same_session(&run->session, session) && (place < run->frames); place++) {
            if (holds(outbox, run->first_age + place)) {
                *sequence = run->first_sequence + place;
                return true;
            }
        }
    }
    return false;
}

uint32_t ecg_outbox_flash_floor(const ecg_outbox_t *outbox)
{
    const bool any = outbox->tail < outbox->ram_tail;
    return any ? (outbox->tail - outbox->age_of_flash) : outbox->flash->head;
}
