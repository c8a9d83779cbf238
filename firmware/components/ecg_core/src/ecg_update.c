#include "ecg_update.h"

#include <string.h>

#include "ecg_bytes.h"

#define LAYOUT 1u
#define VERSION_AT 5u
#define CHIP_AT 8u
#define SECURITY_AT 10u
#define SIZE_AT 12u
#define HASH_AT 16u
#define SIGNATURE_AT 48u
#define BLOCKS_AT ECG_MANIFEST_BYTES
#define OFFSET_BYTES 4u
#define PART_BYTES 256u

static const uint8_t magic[4] = {'E', 'C', 'G', 'F'};
static const uint8_t signed_words[16] = "ecg-firmware-v1";

static uint32_t image_bytes(const ecg_update_t *update)
{
    return ecg_get32(&update->record[SIZE_AT]);
}

static bool has_begun(const ecg_update_t *update)
{
    return (update->state != ECG_UPDATE_IDLE) && (update->state != ECG_UPDATE_FAILED);
}

static bool keep_record(ecg_update_t *update, uint32_t blocks)
{
    ecg_put(&update->record[BLOCKS_AT], blocks, 4u);
    return update->slot->keep_record(update->slot->context, update->record);
}

ecg_release_t ecg_release_of(const uint8_t manifest[ECG_MANIFEST_BYTES])
{
    ecg_release_t release = {.chip = ecg_get16(&manifest[CHIP_AT]),
                             .security_version = ecg_get16(&manifest[SECURITY_AT])};
    memcpy(release.version, &manifest[VERSION_AT], sizeof release.version);
    return release;
}

void ecg_update_init(ecg_update_t *update, const ecg_slot_t *slot,
                     const uint8_t signer[ECG_P256_POINT_BYTES], const ecg_release_t *running,
                     bool on_trial, const uint8_t *record)
{
    memset(update, 0, sizeof *update);
    update->slot = slot;
    update->signer = signer;
    update->running = *running;
    update->on_trial = on_trial;
    if (record != NULL) {
        memcpy(update->record, record, ECG_UPDATE_RECORD_BYTES);
    }
}

/* --- begin --------------------------------------------------------------------------------------- */

static bool is_signed(const ecg_update_t *update, const uint8_t *manifest)
{
    uint8_t hash[ECG_HASH_BYTES];
    return (ecg_sha256(signed_words, sizeof signed_words, manifest, SIGNATURE_AT, hash) ==
            ECG_OK) &&
           (ecg_p256_verify(update->signer, hash, &manifest[SIGNATURE_AT]) == ECG_OK);
}

static bool is_newer(const ecg_release_t *running, const ecg_release_t *release)
{
    return (memcmp(release->version, running->version, sizeof running->version) > 0) &&
           (release->security_version >= running->security_version);
}

/* 0: the image may come. */
static uint8_t reason_against(const ecg_update_t *update, const uint8_t *manifest)
{
    const uint32_t size = ecg_get32(&manifest[SIZE_AT]);
    const uint32_t capacity = update->slot->blocks * ECG_UPDATE_BLOCK_BYTES;
    const ecg_release_t release = ecg_release_of(manifest);
    uint8_t reason = 0u;
    if (!is_signed(update, manifest)) {
        reason = ECG_UPDATE_NOT_SIGNED;
    } else if (release.chip != update->running.chip) {
        reason = ECG_UPDATE_OTHER_CHIP;
    } else if (!is_newer(&update->running, &release)) {
        reason = ECG_UPDATE_NOT_NEWER;
    } else if ((size == 0u) || (size > capacity)) {
        reason = ECG_UPDATE_TOO_LARGE;
    } else {
        /* welcome */
    }
    return reason;
}

/* Goes on where the record of this very image ends, or makes a record of it before anything of the
 * slot is erased. */
static bool take_up(ecg_update_t *update, const uint8_t *manifest)
{
    uint32_t blocks = ecg_get32(&update->record[BLOCKS_AT]);
    bool kept = true;
    if ((memcmp(update->record, manifest, ECG_MANIFEST_BYTES) != 0) ||
        (blocks > (ecg_get32(&manifest[SIZE_AT]) / ECG_UPDATE_BLOCK_BYTES))) {
        memcpy(update->record, manifest, ECG_MANIFEST_BYTES);
        blocks = 0u;
        kept = keep_record(update, blocks);
    }
    update->offset = blocks * ECG_UPDATE_BLOCK_BYTES;
    update->erased_to = update->offset;
    return kept;
}

static void refuse(ecg_update_answer_t *answer, uint8_t reason)
{
    answer->code = ECG_UPDATE_REFUSED;
    answer->body[0] = reason;
    answer->length = 1u;
}

static void tell_offset(const ecg_update_t *update, ecg_update_answer_t *answer)
{
    ecg_put(answer->body, update->offset, OFFSET_BYTES);
    answer->length = OFFSET_BYTES;
}

static void begin_another(ecg_update_t *update, const uint8_t *manifest,
                          ecg_update_answer_t *answer)
{
    const uint8_t reason = reason_against(update, manifest);
    if (reason != 0u) {
        refuse(answer, reason);
    } else if (!take_up(update, manifest)) {
        memset(update->record, 0, sizeof update->record); /* what is durable is not known */
        update->state = ECG_UPDATE_IDLE;
        refuse(answer, ECG_UPDATE_FLASH_FAILED);
    } else {
        (void)psa_hash_abort(&update->hash);
        update->state = ECG_UPDATE_RECEIVES;
        tell_offset(update, answer);
    }
}

static void tell_failure(ecg_update_t *update, ecg_update_answer_t *answer)
{
    update->state = ECG_UPDATE_IDLE;
    refuse(answer, (uint8_t)update->failure);
}

static void begin(ecg_update_t *update, const uint8_t *manifest, ecg_update_answer_t *answer)
{
    const bool same = memcmp(update->record, manifest, ECG_MANIFEST_BYTES) == 0;
    if (update->on_trial || (update->state == ECG_UPDATE_RESTARTS)) {
        answer->code = ECG_BUSY;
    } else if ((memcmp(manifest, magic, sizeof magic) != 0) ||
               (manifest[sizeof magic] != LAYOUT)) {
        answer->code = ECG_BAD_ARGUMENT;
    } else if (same && (update->state == ECG_UPDATE_FAILED)) {
        tell_failure(update, answer);
    } else if (same && has_begun(update)) {
        tell_offset(update, answer);
    } else {
        begin_another(update, manifest, answer);
    }
}

/* --- chunks -------------------------------------------------------------------------------------- */

static void fail(ecg_update_t *update, ecg_update_reason_t reason)
{
    update->state = ECG_UPDATE_FAILED;
    update->failure = reason;
}

static bool is_wanted(const ecg_update_t *update, uint32_t offset, uint32_t length)
{
    const uint32_t left = image_bytes(update) - update->offset;
    const uint32_t block_left =
        ECG_UPDATE_BLOCK_BYTES - (update->offset % ECG_UPDATE_BLOCK_BYTES);
    return (update->state == ECG_UPDATE_RECEIVES) && (offset == update->offset) &&
           (length <= left) && (length <= block_left) &&
           ((length == left) || ((length % ECG_UPDATE_ALIGNMENT) == 0u));
}

/* Is there blank flash at the offset, or could it be made now? */
static bool make_room(ecg_update_t *update, uint32_t now_ms)
{
    if (update->offset < update->erased_to) {
        return true;
    }
    if (update->has_erased && ((now_ms - update->erased_ms) < ECG_UPDATE_ERASE_EACH_MS)) {
        return false;
    }
    update->has_erased = true;
    update->erased_ms = now_ms;
    if (!update->slot->erase(update->slot->context, update->offset / ECG_UPDATE_BLOCK_BYTES)) {
        fail(update, ECG_UPDATE_FLASH_FAILED);
        return false;
    }
    update->erased_to = update->offset + ECG_UPDATE_BLOCK_BYTES;
    return true;
}

static void take_chunk(ecg_update_t *update, const ecg_message_t *chunk, uint32_t now_ms)
{
    uint8_t part[PART_BYTES];
    const uint32_t length = (uint32_t)chunk->length - OFFSET_BYTES;
    const uint32_t padded = (length + ECG_UPDATE_ALIGNMENT - 1u) & ~(ECG_UPDATE_ALIGNMENT - 1u);
    if (!is_wanted(update, ecg_get32(chunk->payload), length) || !make_room(update, now_ms)) {
        return;
    }
    memset(part, 0xFF, sizeof part);
    memcpy(part, &chunk->payload[OFFSET_BYTES], length);
    if (!update->slot->program(update->slot->context, update->offset, part, padded)) {
        fail(update, ECG_UPDATE_FLASH_FAILED);
        return;
    }
    update->offset += length;
    if ((update->offset % ECG_UPDATE_BLOCK_BYTES) == 0u) {
        /* Where this fails, a power cut costs one block more. */
        (void)keep_record(update, update->offset / ECG_UPDATE_BLOCK_BYTES);
    }
}

/* --- finish -------------------------------------------------------------------------------------- */

static uint8_t start_hashing(ecg_update_t *update)
{
    if (update->offset < image_bytes(update)) {
        return ECG_BAD_ARGUMENT;
    }
    update->hashed = 0u;
    if (ecg_sha256_begin(&update->hash) == ECG_OK) {
        update->state = ECG_UPDATE_HASHES;
    }
    return ECG_BUSY;
}

static void start_from_slot(ecg_update_t *update, ecg_update_answer_t *answer)
{
    if (update->slot->start_from(update->slot->context)) {
        update->state = ECG_UPDATE_RESTARTS;
    } else {
        update->state = ECG_UPDATE_IDLE;
        refuse(answer, ECG_UPDATE_CHIP_REFUSES);
    }
}

static void finish(ecg_update_t *update, bool safe, ecg_update_answer_t *answer)
{
    switch (update->state) {
    case ECG_UPDATE_RECEIVES:
        answer->code = start_hashing(update);
        break;
    case ECG_UPDATE_HASHES:
        answer->code = ECG_BUSY;
        break;
    case ECG_UPDATE_WHOLE:
        answer->code = ECG_BUSY;
        if (safe) {
            answer->code = ECG_DONE;
            start_from_slot(update, answer);
        }
        break;
    case ECG_UPDATE_FAILED:
        tell_failure(update, answer);
        break;
    case ECG_UPDATE_RESTARTS: /* the answer was lost */
        break;
    default:
        answer->code = ECG_BAD_ARGUMENT;
        break;
    }
}

static void judge_hash(ecg_update_t *update)
{
    uint8_t hash[ECG_HASH_BYTES];
    if ((ecg_sha256_end(&update->hash, hash) == ECG_OK) &&
        (memcmp(hash, &update->record[HASH_AT], sizeof hash) == 0)) {
        update->state = ECG_UPDATE_WHOLE;
    } else {
        fail(update, ECG_UPDATE_DAMAGED);
        memset(update->record, 0, ECG_MANIFEST_BYTES);
        (void)keep_record(update, 0u); /* if not, the next try ends here again */
    }
}

void ecg_update_work(ecg_update_t *update)
{
    uint8_t part[PART_BYTES];
    const uint32_t size = image_bytes(update);
    for (uint32_t step = 0u; (update->state == ECG_UPDATE_HASHES) &&
                             (update->hashed < size) && (step < ECG_UPDATE_HASH_STEP_BYTES);
         step += PART_BYTES) {
        const uint32_t left = size - update->hashed;
        const uint32_t length = (left < PART_BYTES) ? left : PART_BYTES;
        if (!update->slot->read(update->slot->context, update->hashed, part, length) ||
            (ecg_sha256_add(&update->hash, part, length) != ECG_OK)) {
            (void)psa_hash_abort(&update->hash);
            fail(update, ECG_UPDATE_FLASH_FAILED);
        }
        update->hashed += length;
    }
    if ((update->state == ECG_UPDATE_HASHES) && (update->hashed == size)) {
        judge_hash(update);
    }
}

/* --- what the sensor asks ------------------------------------------------------------------------ */

bool ecg_update_obey(ecg_update_t *update, const ecg_message_t *command, bool safe, uint32_t now_ms,
                     ecg_update_answer_t *answer)
{
    bool answers = true;
    *answer = (ecg_update_answer_t){.code = ECG_DONE};
    if (update->signer[0] == 0u) {
        answer->code = ECG_NOT_SUPPORTED;
    } else if (command->type == ECG_UPDATE_BEGIN) {
        begin(update, command->payload, answer);
    } else if (command->type == ECG_UPDATE_FINISH) {
        finish(update, safe, answer);
    } else {
        take_chunk(update, command, now_ms);
        answers = false;
    }
    return answers;
}

bool ecg_update_restarts(const ecg_update_t *update)
{
    return update->state == ECG_UPDATE_RESTARTS;
}

ecg_trial_t ecg_update_try(ecg_update_t *update, bool heard, uint32_t up_ms)
{
    if (!update->on_trial) {
        return ECG_TRIAL_OVER;
    }
    if (heard) {
        update->on_trial = false;
        return ECG_TRIAL_PASSED;
    }
    return (up_ms < ECG_UPDATE_TRIAL_MS) ? ECG_TRIAL_RUNS : ECG_TRIAL_FAILED;
}
