/* A ring of sealed frames in NOR flash that survives a power cut at any byte.
 *
 * A record has a position that counts up for ever; its slot is position % slots, so that each sector
 * is erased once a lap. A record is believed when its checksum fits. A record is forgotten by
 * clearing one word, without an erase. Frames are sealed already: the partition need not be
 * encrypted, and must not be, since an encrypted one can't clear a word.
 */
#ifndef ECG_FLASH_RING_H
#define ECG_FLASH_RING_H

#include "ecg_types.h"

#define ECG_FLASH_SECTOR_BYTES 4096u
#define ECG_FLASH_SLOT_BYTES 512u
#define ECG_FLASH_SLOTS_PER_SECTOR (ECG_FLASH_SECTOR_BYTES / ECG_FLASH_SLOT_BYTES)
#define ECG_FLASH_LEAST_SECTORS 3u

/* The flash, as a partition shows it. Each call gives false when the chip has failed. */
typedef struct {
    void *context;
    uint32_t sectors;
    bool (*read)(void *context, uint32_t address, uint8_t *out, size_t length);
    bool (*program)(void *context, uint32_t address, const uint8_t *bytes, size_t length);
    bool (*erase)(void *context, uint32_t sector);
} ecg_flash_t;

typedef struct {
    const ecg_flash_t *flash;
    uint32_t slots;
    uint32_t head;     /* the position that the next record gets */
    uint32_t blank_to; /* up to this position ecg_flash_ring_prepare has seen to */
} ecg_flash_ring_t;

/* Finds where the ring ends. ECG_STORAGE_FAILED when the flash can't be read. */
ecg_result_t ecg_flash_ring_open(ecg_flash_ring_t *ring, const ecg_flash_t *flash);

/* No record below this position outlives a write at `position`. */
uint32_t ecg_flash_ring_floor(const ecg_flash_ring_t *ring, uint32_t position);

/* Writes a frame at a position that is not below head, and reads it back. */
ecg_result_t ecg_flash_ring_write(ecg_flash_ring_t *ring, uint32_t position,
                                  const uint8_t frame[ECG_FRAME_BYTES]);

/* ECG_NOT_EXPECTED when the slot holds no whole record of that position, or a forgotten one. */
ecg_result_t ecg_flash_ring_read(const ecg_flash_ring_t *ring, uint32_t position,
                                 uint8_t frame[ECG_FRAME_BYTES]);
ecg_result_t ecg_flash_ring_forget(ecg_flash_ring_t *ring, uint32_t position);

/* Erases the next sector ahead of the head that is not blank, as long as nothing from position
 * `keep_from` on is in it: an erase stops the processor's cache for some 45 ms, so do it while
 * nothing is sampled. True when one was erased. The newest record stays, as it tells the head. */
bool ecg_flash_ring_prepare(ecg_flash_ring_t *ring, uint32_t keep_from);

#endif
