/* The ring in NOR flash: wear, torn writes, and 10,000 power cuts at a random byte. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecg_frame.h"

#define SECTORS 6u
#define SLOTS (SECTORS * ECG_FLASH_SLOTS_PER_SECTOR)

static test_flash_t chip;
static ecg_flash_t flash;
static ecg_flash_ring_t ring;
static ecg_session_id_t session;
static uint8_t frame[ECG_FRAME_BYTES];
static uint8_t expected[ECG_FRAME_BYTES];

static int fresh(void **state)
{
    (void)state;
    session = session_of(1);
    flash_init(&chip);
    flash = flash_of(&chip, SECTORS);
    return (int)ecg_flash_ring_open(&ring, &flash);
}

static void write_to(uint32_t end)
{
    while (ring.head < end) {
        plain_frame(&session, ring.head, frame);
        assert_int_equal(ecg_flash_ring_write(&ring, ring.head, frame), ECG_OK);
    }
}

static void reopen(void)
{
    assert_int_equal(ecg_flash_ring_open(&ring, &flash), ECG_OK);
}

static void what_is_written_is_read_until_it_is_forgotten(void **state)
{
    (void)state;
    write_to(3);
    reopen();
    assert_int_equal(ring.head, 3);
    plain_frame(&session, 1, expected);
    assert_int_equal(ecg_flash_ring_read(&ring, 1, frame), ECG_OK);
    assert_memory_equal(frame, expected, ECG_FRAME_BYTES);
    assert_int_equal(ecg_flash_ring_forget(&ring, 1), ECG_OK);
    assert_int_equal(ecg_flash_ring_read(&ring, 1, frame), ECG_NOT_EXPECTED);
    assert_int_equal(ecg_flash_ring_read(&ring, 2, frame), ECG_OK);
    assert_int_equal(ecg_flash_ring_read(&ring, 3, frame), ECG_NOT_EXPECTED);
    assert_int_equal(ecg_flash_ring_read(&ring, 1 + SLOTS, frame), ECG_NOT_EXPECTED);
    reopen();
    assert_int_equal(ring.head, 3); /* forgotten records still tell where the ring ends */
}

static void the_floor_is_what_the_next_lap_leaves(void **state)
{
    (void)state;
    assert_int_equal(ecg_flash_ring_floor(&ring, 0), 0);
    assert_int_equal(ecg_flash_ring_floor(&ring, SLOTS - 1), 0);
    assert_int_equal(ecg_flash_ring_floor(&ring, SLOTS), 8);
    assert_int_equal(ecg_flash_ring_floor(&ring, SLOTS + 7), 8);
    write_to(SLOTS + 1);
    assert_int_equal(ecg_flash_ring_read(&ring, 7, frame), ECG_NOT_EXPECTED);
    assert_int_equal(ecg_flash_ring_read(&ring, 8, frame), ECG_OK);
}

static void each_sector_is_erased_once_a_lap(void **state)
{
    (void)state;
    write_to(20 * SLOTS);
    for (uint32_t sector = 0; sector < SECTORS; sector++) {
        assert_int_equal(chip.erases[sector], 19); /* the first lap found them blank */
    }
}

static void a_damaged_record_is_not_believed(void **state)
{
    (void)state;
    write_to(4);
    for (size_t at = 0; at < 12u + ECG_FRAME_BYTES; at++) {
        chip.bytes[(3u * ECG_FLASH_SLOT_BYTES) + at] ^= 1u;
        assert_int_equal(ecg_flash_ring_read(&ring, 3, frame), ECG_NOT_EXPECTED);
        chip.bytes[(3u * ECG_FLASH_SLOT_BYTES) + at] ^= 1u;
    }
    assert_int_equal(ecg_flash_ring_read(&ring, 3, frame), ECG_OK);
    memmove(&chip.bytes[5u * ECG_FLASH_SLOT_BYTES], &chip.bytes[3u * ECG_FLASH_SLOT_BYTES], 512);
    reopen();
    assert_int_equal(ring.head, 8); /* a record out of its place; the rest of the sector is left */
}

static void a_torn_record_ends_its_sector(void **state)
{
    (void)state;
    write_to(4);
    chip.bytes[(4u * ECG_FLASH_SLOT_BYTES) + 100u] = 0;
    reopen();
    assert_int_equal(ring.head, 8);
    write_to(9);
    assert_int_equal(ecg_flash_ring_read(&ring, 8, frame), ECG_OK);
}

static void failing_flash_is_told(void **state)
{
    (void)state;
    write_to(SLOTS);
    plain_frame(&session, SLOTS, frame);
    chip.erase_fails = true;
    assert_int_equal(ecg_flash_ring_write(&ring, SLOTS, frame), ECG_STORAGE_FAILED);
    assert_int_equal(ring.head, SLOTS);
    chip.erase_fails = false;
    chip.program_fails = true;
    assert_int_equal(ecg_flash_ring_write(&ring, SLOTS, frame), ECG_STORAGE_FAILED);
    assert_int_equal(ecg_flash_ring_forget(&ring, 9), ECG_STORAGE_FAILED);
    chip.program_fails = false;
    chip.bytes[ECG_FLASH_SLOT_BYTES + 50u] = 0; /* a cell that no longer takes a one */
    assert_int_equal(ecg_flash_ring_write(&ring, SLOTS + 1, frame), ECG_STORAGE_FAILED);
    chip.read_fails = true;
    assert_int_equal(ecg_flash_ring_read(&ring, 9, frame), ECG_STORAGE_FAILED);
    assert_int_equal(ecg_flash_ring_write(&ring, SLOTS + 2, frame), ECG_STORAGE_FAILED);
    assert_int_equal(ecg_flash_ring_write(&ring, SLOTS + 8, frame), ECG_STORAGE_FAILED);
    assert_int_equal(ecg_flash_ring_open(&ring, &flash), ECG_STORAGE_FAILED);
}

static void erasing_ahead_spares_what_is_held_and_the_newest(void **state)
{
    (void)state;
    write_to(SLOTS + 12);
    uint32_t erases = 0;
    while (ecg_flash_ring_prepare(&ring, 36)) {
        erases++;
    }
    assert_int_equal(erases, 2); /* positions 16 to 31 are gone, 32 to 39 hold something */
    assert_int_equal(ecg_flash_ring_read(&ring, 36, frame), ECG_OK);
    reopen();
    assert_int_equal(ring.head, SLOTS + 12);
    while (ecg_flash_ring_prepare(&ring, ring.head)) {
        erases++;
    }
    assert_int_equal(erases, SECTORS - 1); /* all but the head's own */
    reopen();
    assert_int_equal(ring.head, SLOTS + 12);
    memset(chip.erases, 0, sizeof chip.erases);
    write_to((2 * SLOTS) + 8);
    for (uint32_t sector = 0; sector < SECTORS; sector++) {
        assert_int_equal(chip.erases[sector], 0);
    }
    write_to(3 * SLOTS);
    chip.erase_fails = true;
    assert_false(ecg_flash_ring_prepare(&ring, ring.head));
}

/* --- power cuts ------------------------------------------------------------------------------- */

#define CUTS 10000u
#define MOST_FRAMES 400000u

/* What the test knows of each frame that was ever sealed. */
typedef enum { NEVER, MADE, STORED, ACKNOWLEDGED, GIVEN_UP } fate_t;

typedef struct {
    ecg_session_id_t session;
    uint32_t first; /* its first frame's place in fates */
} boot_t;

static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, SLOTS)];
static ecg_outbox_t outbox;
static uint8_t fates[MOST_FRAMES];
static boot_t boots[CUTS + 1u];
static uint32_t boot_count;
static uint32_t frames_made;

static uint8_t *fate_of(const uint8_t sealed[ECG_FRAME_BYTES])
{
    ecg_frame_header_t header;
    assert_int_equal(ecg_frame_read_header(sealed, ECG_FRAME_BYTES, &header), ECG_OK);
    const boot_t *boot = &boots[header.session.boot_id];
    /* the very bytes that were sealed under this session and sequence, and no others */
    plain_frame(&boot->session, header.sequence, expected);
    assert_memory_equal(sealed, expected, ECG_FRAME_BYTES);
    return &fates[boot->first + header.sequence];
}

static void boot(void)
{
    flash.context = &chip;
    chip.dead = false;
    chip.cut_after = -1;
    reopen();
    assert_int_equal(ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, &ring, map), ECG_OK);
    boots[boot_count] = (boot_t){session_of(boot_count), frames_made};
    boot_count++;
}

/* All that was stored and not acknowledged is held again, byte by byte. */
static void check_what_is_held(void)
{
    static uint8_t found[MOST_FRAMES];
    memset(found, 0, frames_made);
    for (uint32_t age = outbox.tail; age < outbox.head; age++) {
        if (ecg_outbox_read(&outbox, age, frame)) {
            const uint8_t *fate = fate_of(frame);
            found[fate - fates] = 1;
        }
    }
    for (uint32_t at = 0; at < frames_made; at++) {
        if (fates[at] == STORED) {
            assert_true(found[at] == 1);
        }
        if ((fates[at] == MADE) && (found[at] == 0)) {
            fates[at] = NEVER; /* it was in RAM alone when the power failed */
        }
    }
}

/* Brings the fates up to date with what the outbox has moved to flash or given up. */
static void note_moves(uint32_t from)
{
    if (chip.dead) {
        return; /* nobody was told of what happened since */
    }
    for (uint32_t age = from; age < outbox.ram_tail; age++) {
        if (ecg_outbox_read(&outbox, age, frame)) {
            uint8_t *fate = fate_of(frame);
            *fate = (*fate == MADE) ? (uint8_t)STORED : *fate;
        }
    }
}

static void make_frame(void)
{
    const boot_t *now = &boots[boot_count - 1u];
    const uint32_t sequence = frames_made - now->first;
    const uint32_t before = outbox.overwritten;
    uint8_t sealed[ECG_FRAME_BYTES];
    uint8_t *oldest[ECG_FLASH_SLOTS_PER_SECTOR * 8u];
    uint32_t watched = 0;
    for (uint32_t age = outbox.tail; (age < outbox.head) && (watched < 64); age++) {
        if (ecg_outbox_read(&outbox, age, frame)) {
            oldest[watched] = fate_of(frame);
            watched++;
        }
    }
    const uint32_t tail = outbox.tail;
    plain_frame(&now->session, sequence, sealed);
    assert_true(frames_made < MOST_FRAMES);
    fates[frames_made] = MADE;
    frames_made++;
    ecg_outbox_add(&outbox, &now->session, sequence, sealed, false);
    /* a full ring gives up its oldest, and counts them: here, or when the power fails in it */
    const uint32_t given_up = outbox.overwritten - before;
    const uint32_t gone = chip.dead ? ECG_FLASH_SLOTS_PER_SECTOR : given_up;
    for (uint32_t at = 0; (at < gone) && (at < watched) && (given_up > 0); at++) {
        *oldest[at] = GIVEN_UP;
    }
    note_moves(tail);
}

/* The gateway commits the oldest frames of the oldest session, and says so. */
static void acknowledge_some(void)
{
    if (outbox.run_count == 0) {
        return;
    }
    const ecg_session_id_t oldest = outbox.runs[0].session;
    uint32_t sequence = 0;
    assert_true(ecg_outbox_oldest(&outbox, &oldest, &sequence));
    const uint32_t next = sequence + 1u + ((uint32_t)rand() % 40u);
    const ecg_acknowledgement_t acknowledgement = acknowledgement_of(&oldest, next);
    const boot_t *then = &boots[oldest.boot_id];
    const uint32_t end =
        (oldest.boot_id + 1u < boot_count) ? boots[oldest.boot_id + 1u].first : frames_made;
    for (uint32_t at = then->first; (at < then->first + next) && (at < end); at++) {
        fates[at] = (fates[at] == NEVER) ? (uint8_t)NEVER : (uint8_t)ACKNOWLEDGED;
    }
    ecg_outbox_acknowledge(&outbox, DEVICE_ID, &acknowledgement, 1);
}

static void ten_thousand_power_cuts_lose_nothing_that_was_stored(void **state)
{
    (void)state;
    uint32_t cut_in_flash = 0;
    uint32_t stored = 0;
    srand(20261122);
    boot_count = 0;
    frames_made = 0;
    boot();
    for (uint32_t cut = 0; cut < CUTS; cut++) {
        chip.cut_after = rand() % 6000;
        chip.noise = (uint32_t)rand() & 0xFFu;
        for (unsigned step = 0; (step < 40u) && !chip.dead; step++) {
            const int choice = rand() % 16;
            if (choice < 11) {
                make_frame();
            } else if (choice < 13) {
                acknowledge_some();
            } else if (choice < 14) {
                const uint32_t tail = outbox.tail;
                const uint32_t before = outbox.overwritten;
                if (outbox.held < SLOTS / 2u) { /* there is room: the flush gives nothing up */
                    (void)ecg_outbox_flush(&outbox);
                    assert_true(chip.dead || (outbox.overwritten == before));
                    note_moves(tail);
                }
            } else if (choice < 15) {
                (void)ecg_flash_ring_prepare(&ring, ecg_outbox_flash_floor(&outbox));
            }
        }
        cut_in_flash += chip.dead ? 1u : 0u;
        boot();
        check_what_is_held();
    }
    for (uint32_t at = 0; at < frames_made; at++) {
        stored += (fates[at] == STORED || fates[at] == ACKNOWLEDGED) ? 1u : 0u;
    }
    print_message("%u power cuts, %u of them in a flash operation; %u frames, %u kept or taken\n",
                  CUTS, cut_in_flash, frames_made, stored);
    assert_true(cut_in_flash > CUTS / 4u);
    assert_true(stored > frames_made / 8u);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_until_it_is_forgotten),
        TEST(the_floor_is_what_the_next_lap_leaves),
        TEST(each_sector_is_erased_once_a_lap),
        TEST(a_damaged_record_is_not_believed),
        TEST(a_torn_record_ends_its_sector),
        TEST(failing_flash_is_told),
        TEST(erasing_ahead_spares_what_is_held_and_the_newest),
        TEST(ten_thousand_power_cuts_lose_nothing_that_was_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
