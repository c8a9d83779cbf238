/* A firmware update over the air (docs/protocol.md, 7): what may begin, where it goes on after a cut,
 * and when the new firmware may stay. The slot is the caller's flash; time is passed in.
 *
 * The image is written where it stays. A record of manifest and whole blocks is durable before a
 * block of another image is erased, so that after a power cut the transfer goes on with the block
 * that was under way, and never takes a byte of another image for one of this.
 */
#ifndef ECG_UPDATE_H
#define ECG_UPDATE_H

#include "ecg_crypto.h"
#include "ecg_message.h"

#define ECG_UPDATE_BLOCK_BYTES 65536u /* NOR flash erases it in one go, the fastest way per byte */
#define ECG_UPDATE_ALIGNMENT 16u      /* encrypted flash is written in whole cipher blocks */
#define ECG_UPDATE_ERASE_EACH_MS 5000u /* an erase costs some 150 ms of samples: a beat at most */
#define ECG_UPDATE_HASH_STEP_BYTES 4096u
#define ECG_UPDATE_RECORD_BYTES (ECG_MANIFEST_BYTES + 4u)
#define ECG_UPDATE_TRIAL_MS 600000u /* a gateway that restarts meanwhile is back by then */

typedef enum {
    ECG_UPDATE_NOT_SIGNED = 1,
    ECG_UPDATE_OTHER_CHIP = 2,
    ECG_UPDATE_TOO_LARGE = 3,
    ECG_UPDATE_NOT_NEWER = 4,
    ECG_UPDATE_DAMAGED = 5,
    ECG_UPDATE_FLASH_FAILED = 6,
    ECG_UPDATE_CHIP_REFUSES = 7
} ecg_update_reason_t;

/* What an image says of itself, or the running firmware. */
typedef struct {
    uint8_t version[3]; /* major, minor, patch */
    uint16_t chip;
    uint16_t security_version;
} ecg_release_t;

/* What a manifest, or a record that begins with one, says of its image. */
ecg_release_t ecg_release_of(const uint8_t manifest[ECG_MANIFEST_BYTES]);

/* The slot for the next firmware. Each call gives false when it has failed. */
typedef struct {
    void *context;
    uint32_t blocks;
    bool (*erase)(void *context, uint32_t block);
    bool (*program)(void *context, uint32_t address, const uint8_t *bytes, size_t length);
    bool (*read)(void *context, uint32_t address, uint8_t *out, size_t length);
    /* Makes the record durable at once, or leaves the former one. */
    bool (*keep_record)(void *context, const uint8_t record[ECG_UPDATE_RECORD_BYTES]);
    /* The next start runs the slot, on trial; false when the chip does not accept the image. */
    bool (*start_from)(void *context);
} ecg_slot_t;

typedef enum {
    ECG_UPDATE_IDLE,
    ECG_UPDATE_RECEIVES,
    ECG_UPDATE_HASHES,
    ECG_UPDATE_WHOLE,
    ECG_UPDATE_FAILED, /* told once, as the reason of a refusal */
    ECG_UPDATE_RESTARTS /* the next start runs the new firmware */
} ecg_update_state_t;

typedef struct {
    const ecg_slot_t *slot;
    const uint8_t *signer;
    ecg_release_t running;
    bool on_trial;
    ecg_update_state_t state;
    ecg_update_reason_t failure;
    uint8_t record[ECG_UPDATE_RECORD_BYTES];
    uint32_t offset;    /* the image is written up to here */
    uint32_t erased_to; /* and the slot is blank from there to here */
    uint32_t erased_ms;
    bool has_erased;
    psa_hash_operation_t hash;
    uint32_t hashed;
} ecg_update_t;

typedef struct {
    uint8_t code; /* of the answer */
    uint8_t body[4];
    size_t length;
} ecg_update_answer_t;

/* `signer` is the releases' public key, an uncompressed point that stays the caller's; a first byte
 * of 0 is no key, and refuses every update. `record` is what was last kept, NULL if nothing was. */
void ecg_update_init(ecg_update_t *update, const ecg_slot_t *slot,
                     const uint8_t signer[ECG_P256_POINT_BYTES], const ecg_release_t *running,
                     bool on_trial, const uint8_t *record);

/* Obeys an update begin, chunk or finish whose length ecg_command_check has passed. `safe`: a
 * restart would lose no frame. False: it is not answered. */
bool ecg_update_obey(ecg_update_t *update, const ecg_message_t *command, bool safe, uint32_t now_ms,
                     ecg_update_answer_t *answer);

/* Hashes the next part of what was written, once that is all; call it each 50 ms at least. */
void ecg_update_work(ecg_update_t *update);

/* Is the restart into the new firmware due? Send the answer first. */
bool ecg_update_restarts(const ecg_update_t *update);

typedef enum { ECG_TRIAL_OVER, ECG_TRIAL_RUNS, ECG_TRIAL_PASSED, ECG_TRIAL_FAILED } ecg_trial_t;

/* `heard`: the gateway has acknowledged a frame that this firmware made. ECG_TRIAL_PASSED comes once:
 * confirm the firmware then; on ECG_TRIAL_FAILED go back to the former one. */
ecg_trial_t ecg_update_try(ecg_update_t *update, bool heard, uint32_t up_ms);

#endif
