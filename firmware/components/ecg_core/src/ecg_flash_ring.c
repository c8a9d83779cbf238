#include "ecg_flash_ring.h"

#include <string.h>

#include "ecg_bytes.h"

/* position (4) | checksum (4) | forgotten (4): all ones while the record is held | frame */
#define CHECKSUM_AT 4u
#define FORGOTTEN_AT 8u
#define FRAME_AT 12u
#define RECORD_BYTES (FRAME_AT + ECG_FRAME_BYTES)
#define BLANK 0xFFFFFFFFu

/* CRC-32 (IEEE 802.3), four bits at a time. */
static uint32_t crc32(uint32_t crc, const uint8_t *bytes, size_t length)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    crc = ~crc;
    for (size_t at = 0u; at < length; at++) {
        crc ^= bytes[at];
        crc = (crc >> 4) ^ table[crc & 0xFu];
        crc = (crc >> 4) ^ table[crc & 0xFu];
    }
    return ~crc;
}

static uint32_t checksum(const uint8_t *record)
{
    return crc32(crc32(0u, record, CHECKSUM_AT), &record[FRAME_AT], ECG_FRAME_BYTES);
}

static uint32_t address_of(const ecg_flash_ring_t *ring, uint32_t position)
{
    return (position % ring->slots) * ECG_FLASH_SLOT_BYTES;
}

static bool read_record(const ecg_flash_ring_t *ring, uint32_t position, uint8_t *record)
{
    return ring->flash->read(ring->flash->context, address_of(ring, position), record,
                             RECORD_BYTES);
}

static bool is_whole(const uint8_t *record)
{
    return (ecg_get32(record) != BLANK) && (ecg_get32(&record[CHECKSUM_AT]) == checksum(record));
}

static bool is_blank(const ecg_flash_ring_t *ring, uint32_t first_slot, uint32_t slots)
{
    uint8_t bytes[128];
    const uint32_t end = (first_slot + slots) * ECG_FLASH_SLOT_BYTES;
    for (uint32_t at = first_slot * ECG_FLASH_SLOT_BYTES; at < end; at += sizeof bytes) {
        if (!ring->flash->read(ring->flash->context, at, bytes, sizeof bytes)) {
            return false;
        }
        for (size_t byte = 0u; byte < sizeof bytes; byte++) {
            if (bytes[byte] != 0xFFu) {
                return false;
            }
        }
    }
    return true;
}

/* A torn record ends its sector: what follows it is written from the next sector on. */
static uint32_t after(const ecg_flash_ring_t *ring, uint32_t newest)
{
    const uint32_t next = newest + 1u;
    const uint32_t in_sector = next % ECG_FLASH_SLOTS_PER_SECTOR;
    const uint32_t left = (ECG_FLASH_SLOTS_PER_SECTOR - in_sector) % ECG_FLASH_SLOTS_PER_SECTOR;
    return is_blank(ring, next % ring->slots, left) ? next : (next + left);
}

ecg_result_t ecg_flash_ring_open(ecg_flash_ring_t *ring, const ecg_flash_t *flash)
{
    uint8_t record[RECORD_BYTES];
    bool any = false;
    uint32_t newest = 0u;
    *ring = (ecg_flash_ring_t){flash, flash->sectors * ECG_FLASH_SLOTS_PER_SECTOR, 0u, 0u};
    for (uint32_t slot = 0u; slot < ring->slots; slot++) {
        if (!read_record(ring, slot, record)) {
            return ECG_STORAGE_FAILED;
        }
        const uint32_t position = ecg_get32(record);
        if (is_whole(record) && ((position % ring->slots) == slot) &&
            (!any || (position > newest))) {
            newest = position;
            any = true;
        }
    }
    ring->head = any ? after(ring, newest) : 0u;
    return ECG_OK;
}

static uint32_t sector_start(uint32_t position)
{
    return position - (position % ECG_FLASH_SLOTS_PER_SECTOR);
}

uint32_t ecg_flash_ring_floor(const ecg_flash_ring_t *ring, uint32_t position)
{
    const uint32_t end = sector_start(position) + ECG_FLASH_SLOTS_PER_SECTOR;
    return (end > ring->slots) ? (end - ring->slots) : 0u;
}

/* A sector is entered once a lap; it is erased then, unless that was done ahead. */
static bool enter(const ecg_flash_ring_t *ring, uint32_t position)
{
    const uint32_t first_slot = sector_start(position) % ring->slots;
    const bool entered = sector_start(position) < ring->head;
    if (entered || is_blank(ring, first_slot, ECG_FLASH_SLOTS_PER_SECTOR)) {
        return true;
    }
    return ring->flash->erase(ring->flash->context, first_slot / ECG_FLASH_SLOTS_PER_SECTOR);
}

ecg_result_t ecg_flash_ring_write(ecg_flash_ring_t *ring, uint32_t position,
                                  const uint8_t frame[ECG_FRAME_BYTES])
{
    uint8_t record[RECORD_BYTES];
    uint8_t written[RECORD_BYTES];
    if (!enter(ring, position)) {
        return ECG_STORAGE_FAILED;
    }
    ecg_put(record, position, 4u);
    ecg_put(&record[FORGOTTEN_AT], BLANK, 4u);
    memcpy(&record[FRAME_AT], frame, ECG_FRAME_BYTES);
    ecg_put(&record[CHECKSUM_AT], checksum(record), 4u);
    ring->head = position + 1u;
    const bool done = ring->flash->program(ring->flash->context, address_of(ring, position),
                                           record, sizeof record) &&
                      read_record(ring, position, written) &&
                      (memcmp(record, written, sizeof record) == 0);
    return done ? ECG_OK : ECG_STORAGE_FAILED;
}

ecg_result_t ecg_flash_ring_read(const ecg_flash_ring_t *ring, uint32_t position,
                                 uint8_t frame[ECG_FRAME_BYTES])
{
    uint8_t record[RECORD_BYTES];
    if (!read_record(ring, position, record)) {
        return ECG_STORAGE_FAILED;
    }
    if (!is_whole(record) || (ecg_get32(record) != position) ||
        (ecg_get32(&record[FORGOTTEN_AT]) != BLANK)) {
        return ECG_NOT_EXPECTED;
    }
    memcpy(frame, &record[FRAME_AT], ECG_FRAME_BYTES);
    return ECG_OK;
}

ecg_result_t ecg_flash_ring_forget(ecg_flash_ring_t *ring, uint32_t position)
{
    static const uint8_t forgotten[4] = {0u, 0u, 0u, 0u};
    const uint32_t address = address_of(ring, position) + FORGOTTEN_AT;
    const bool done = ring->flash->program(ring->flash->context, address, forgotten, 4u);
    return done ? ECG_OK : ECG_STORAGE_FAILED;
}

bool ecg_flash_ring_prepare(ecg_flash_ring_t *ring, uint32_t keep_from)
{
    const uint32_t next = sector_start(ring->head + ECG_FLASH_SLOTS_PER_SECTOR - 1u);
    const uint32_t end = next + ring->slots - ECG_FLASH_SLOTS_PER_SECTOR;
    uint32_t position = (ring->blank_to > next) ? ring->blank_to : next;
    for (; (position < end) && (ecg_flash_ring_floor(ring, position) <= keep_from);
         position += ECG_FLASH_SLOTS_PER_SECTOR) {
        const uint32_t slot = position % ring->slots;
        ring->blank_to = position + ECG_FLASH_SLOTS_PER_SECTOR;
        if (!is_blank(ring, slot, ECG_FLASH_SLOTS_PER_SECTOR)) {
            return ring->flash->erase(ring->flash->context, slot / ECG_FLASH_SLOTS_PER_SECTOR);
        }
    }
    return false;
}
