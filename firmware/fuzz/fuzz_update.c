/* Any row of begins, chunks, finishes and power cuts, with manifests that are signed and ones that
 * are not. The slot may be started from only when it holds an image that was signed. */
#include <stdlib.h>
#include <string.h>

#include "ecg_bytes.h"
#include "ecg_update.h"

#define BLOCKS 2u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static uint8_t flash[BLOCKS * ECG_UPDATE_BLOCK_BYTES];
static uint8_t record[ECG_UPDATE_RECORD_BYTES];
static uint8_t signer[ECG_P256_POINT_BYTES];
static uint8_t image[300];
static uint8_t manifest[ECG_MANIFEST_BYTES];
static uint8_t signed_hash[ECG_HASH_BYTES];
static ecg_update_t update;

/* In the place of the library's: ECDSA would take all the time, and only one manifest is signed. */
psa_status_t psa_verify_hash(psa_key_id_t key, psa_algorithm_t algorithm, const uint8_t *hash,
                             size_t hash_length, const uint8_t *signature, size_t length)
{
    (void)key;
    (void)algorithm;
    const bool same = (hash_length == sizeof signed_hash) &&
                      (memcmp(hash, signed_hash, hash_length) == 0) &&
                      (memcmp(signature, &manifest[48], length) == 0);
    return same ? PSA_SUCCESS : PSA_ERROR_INVALID_SIGNATURE;
}

static bool slot_erase(void *context, uint32_t block)
{
    (void)context;
    memset(&flash[block * ECG_UPDATE_BLOCK_BYTES], 0xFF, ECG_UPDATE_BLOCK_BYTES);
    return true;
}

static bool slot_program(void *context, uint32_t address, const uint8_t *from, size_t length)
{
    (void)context;
    for (size_t at = 0u; at < length; at++) {
        flash[address + at] &= from[at];
    }
    return true;
}

static bool slot_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    (void)context;
    memcpy(out, &flash[address], length);
    return true;
}

static bool slot_keep(void *context, const uint8_t kept[ECG_UPDATE_RECORD_BYTES])
{
    (void)context;
    memcpy(record, kept, sizeof record);
    return true;
}

static bool slot_start_from(void *context)
{
    (void)context;
    if (memcmp(flash, image, sizeof image) != 0) {
        abort();
    }
    return true;
}

static const ecg_slot_t slot = {NULL,      BLOCKS,    slot_erase,     slot_program,
                                slot_read, slot_keep, slot_start_from};

static void power_on(void)
{
    static const ecg_release_t running = {{0u, 1u, 0u}, 5u, 0u};
    (void)psa_hash_abort(&update.hash);
    ecg_update_init(&update, &slot, signer, &running, false, record);
}

static void sign_image(void)
{
    static const uint8_t words[16] = "ecg-firmware-v1";
    static const uint8_t head[16] = {'E', 'C', 'G', 'F', 1, 0, 2, 0, 5, 0, 0, 0};
    static const uint8_t private_key[32] = {1, 2, 3};
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_key_id_t key = 0;
    size_t written = 0u;
    for (size_t at = 0u; at < sizeof image; at++) {
        image[at] = (uint8_t)(at * 7u);
    }
    memcpy(manifest, head, sizeof head);
    ecg_put(&manifest[12], sizeof image, 4u);
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_HASH);
    if ((ecg_crypto_start() != ECG_OK) ||
        (ecg_sha256(image, sizeof image, head, 0u, &manifest[16]) != ECG_OK) ||
        (ecg_sha256(words, sizeof words, manifest, 48u, signed_hash) !=
         ECG_OK) ||
        (psa_import_key(&attributes, private_key, sizeof private_key, &key) != PSA_SUCCESS) ||
        (psa_export_public_key(key, signer, sizeof signer, &written) != PSA_SUCCESS) ||
        (psa_sign_hash(key, PSA_ALG_ECDSA(PSA_ALG_SHA_256), signed_hash, sizeof signed_hash,
                       &manifest[48], 64u, &written) != PSA_SUCCESS)) {
        abort();
    }
}

/* A step of the input: what it is, and how many of the next bytes belong to it. */
static void step(uint8_t kind, const uint8_t *bytes, size_t length)
{
    ecg_message_t command = {.type = (uint8_t)(ECG_UPDATE_BEGIN + (kind % 3u))};
    ecg_update_answer_t answer;
    static uint32_t now_ms;
    now_ms += (uint32_t)kind * 64u;
    command.length = (length < ECG_PAYLOAD_MOST_BYTES) ? length : ECG_PAYLOAD_MOST_BYTES;
    memcpy(command.payload, bytes, command.length);
    if ((kind & 0x80u) != 0u) { /* the signed one, with what the input changes of it */
        memcpy(command.payload, manifest, sizeof manifest);
        for (size_t at = 0u; (at + 1u) < command.length; at += 2u) {
            command.payload[bytes[at] % sizeof manifest] ^= bytes[at + 1u];
        }
        command.length = ECG_MANIFEST_BYTES;
    } else if (((kind & 0x40u) != 0u) && (length > 0u)) { /* a true part of the image */
        const size_t offset = update.offset % sizeof image;
        const size_t left = sizeof image - offset;
        command.length = 4u + ((left < 240u) ? left : 240u);
        ecg_put(command.payload, offset, 4u);
        memcpy(&command.payload[4], &image[offset], command.length - 4u);
    } else {
        /* as it came */
    }
    if (ecg_command_check(&command) == ECG_OK) {
        (void)ecg_update_obey(&update, &command, (kind & 1u) != 0u, now_ms, &answer);
    }
    ecg_update_work(&update);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static bool started;
    if (!started) {
        sign_image();
        started = true;
    }
    memset(record, 0, sizeof record);
    memset(flash, 0x55, 512u);
    power_on();
    step(0x81u, bytes, 0u);
    while (length > 2u) {
        const size_t most = length - 2u;
        const size_t part = (bytes[1] < most) ? bytes[1] : most;
        if (bytes[0] == 0u) {
            power_on();
        } else {
            step(bytes[0], &bytes[2], part);
        }
        bytes += part + 2u;
        length -= part + 2u;
    }
    return 0;
}
