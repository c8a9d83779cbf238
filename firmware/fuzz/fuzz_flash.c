/* A flash partition with any content: what was worn, torn, or left by another firmware. */
#include <stdlib.h>
#include <string.h>

#include "ecg_outbox.h"

#define SECTORS ECG_FLASH_LEAST_SECTORS
#define BYTES (SECTORS * ECG_FLASH_SECTOR_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static uint8_t cells[BYTES];
static uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
static uint8_t map[ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES,
                                        SECTORS *ECG_FLASH_SLOTS_PER_SECTOR)];

static bool read_cells(void *context, uint32_t address, uint8_t *out, size_t length)
{
    (void)context;
    if ((address + length) > BYTES) {
        abort();
    }
    memcpy(out, &cells[address], length);
    return true;
}

static bool program_cells(void *context, uint32_t address, const uint8_t *in, size_t length)
{
    (void)context;
    if ((address + length) > BYTES) {
        abort();
    }
    for (size_t at = 0u; at < length; at++) {
        cells[address + at] &= in[at];
    }
    return true;
}

static bool erase_cells(void *context, uint32_t sector)
{
    (void)context;
    if (sector >= SECTORS) {
        abort();
    }
    memset(&cells[sector * ECG_FLASH_SECTOR_BYTES], 0xFF, ECG_FLASH_SECTOR_BYTES);
    return true;
}

/* Valid checksums would never be found: every slot that begins with 0x01 gets its own position and
 * the checksum that the ring itself writes. */
static void mend(const ecg_flash_ring_t *blank)
{
    for (uint32_t slot = 0u; slot < blank->slots; slot++) {
        uint8_t *cell = &cells[slot * ECG_FLASH_SLOT_BYTES];
        if (cell[0] == 0x01u) {
            uint8_t frame[ECG_FRAME_BYTES];
            ecg_flash_ring_t ring = *blank;
            const uint32_t lap = cell[1];
            memcpy(frame, &cell[12], sizeof frame);
            memset(cell, 0xFF, ECG_FLASH_SLOT_BYTES);
            ring.head = slot + (lap * ring.slots) + 1u; /* no erase: the sector counts as entered */
            (void)ecg_flash_ring_write(&ring, ring.head - 1u, frame);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static ecg_outbox_t outbox;
    const ecg_flash_t flash = {NULL, SECTORS, read_cells, program_cells, erase_cells};
    const ecg_session_id_t session = {.device_id = 1u};
    ecg_flash_ring_t ring;
    uint8_t frame[ECG_FRAME_BYTES] = {0};
    memset(cells, 0xFF, BYTES);
    memcpy(cells, bytes, (length < BYTES) ? length : BYTES);
    mend(&(ecg_flash_ring_t){.flash = &flash, .slots = SECTORS * ECG_FLASH_SLOTS_PER_SECTOR});
    if ((ecg_flash_ring_open(&ring, &flash) != ECG_OK) ||
        (ecg_outbox_init(&outbox, ram, ECG_LEAST_RAM_FRAMES, &ring, map) != ECG_OK)) {
        abort();
    }
    for (uint32_t sequence = 0u; sequence < 200u; sequence++) {
        ecg_outbox_add(&outbox, &session, sequence, frame, false);
    }
    while (ecg_outbox_take(&outbox, 90000u, 500u, frame)) {
        /* sent */
    }
    if ((outbox.head - outbox.tail) > outbox.span) {
        abort();
    }
    return 0;
}
