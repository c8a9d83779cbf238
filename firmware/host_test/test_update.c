/* Updates of the firmware: which images may come, power cuts at any byte, and the trial. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "ecg_bytes.h"
#include "ecg_update.h"

#define BLOCKS 3u
#define SLOT_BYTES (BLOCKS * ECG_UPDATE_BLOCK_BYTES)
#define CHIP 5u
#define CHUNK 240u
#define POWER_CUTS 1000u

/* --- a slot in memory whose power may fail ------------------------------------------------------ */

static struct {
    uint8_t flash[SLOT_BYTES];
    uint8_t record[ECG_UPDATE_RECORD_BYTES];
    bool has_record;
    long cut_after; /* operations of 16 bytes until the power fails; below 0: never */
    bool dead;
    bool erase_fails;
    bool program_fails;
    bool read_fails;
    bool keep_fails;
    bool chip_refuses;
    unsigned erases;
    unsigned starts;
} chip;

static bool powered(void)
{
    if (chip.cut_after == 0) {
        chip.dead = true;
    }
    chip.cut_after -= (chip.cut_after > 0) ? 1 : 0;
    return !chip.dead;
}

static bool slot_erase(void *context, uint32_t block)
{
    (void)context;
    chip.erases++;
    for (uint32_t at = 0; at < ECG_UPDATE_BLOCK_BYTES; at += 4096u) {
        if (!powered()) {
            return false;
        }
        memset(&chip.flash[(block * ECG_UPDATE_BLOCK_BYTES) + at], 0xFF, 4096u);
    }
    return !chip.erase_fails;
}

static bool slot_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    (void)context;
    assert_int_equal(address % ECG_UPDATE_ALIGNMENT, 0);
    assert_int_equal(length % ECG_UPDATE_ALIGNMENT, 0);
    for (size_t at = 0; at < length; at++) {
        if (((at % ECG_UPDATE_ALIGNMENT) == 0u) && !powered()) {
            chip.flash[address + at] &= (uint8_t)(bytes[at] | 0x0Fu); /* half done */
            return false;
        }
        chip.flash[address + at] &= bytes[at];
    }
    return !chip.program_fails;
}

static bool slot_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    (void)context;
    memcpy(out, &chip.flash[address], length);
    return !chip.read_fails && !chip.dead;
}

static bool slot_keep(void *context, const uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    (void)context;
    if (!powered() || chip.keep_fails) {
        return false;
    }
    memcpy(chip.record, record, sizeof chip.record);
    chip.has_record = true;
    return true;
}

static bool slot_start_from(void *context)
{
    (void)context;
    chip.starts += chip.chip_refuses ? 0u : 1u;
    return !chip.chip_refuses;
}

static const ecg_slot_t slot = {NULL,         BLOCKS,    slot_erase,     slot_program,
                                slot_read,    slot_keep, slot_start_from};

/* --- a signer and its images ---------------------------------------------------------------------- */

static psa_key_id_t signing_key;
static uint8_t signer[ECG_P256_POINT_BYTES];

static void make_signer(void)
{
    uint8_t private_key[32];
    size_t written = 0;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    memset(private_key, 0x42, sizeof private_key);
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_HASH);
    assert_int_equal(psa_import_key(&attributes, private_key, 32, &signing_key), PSA_SUCCESS);
    assert_int_equal(psa_export_public_key(signing_key, signer, sizeof signer, &written), 0);
    assert_int_equal(written, sizeof signer);
}

typedef struct {
    uint8_t bytes[SLOT_BYTES + 16u];
    uint32_t size;
    uint8_t manifest[ECG_MANIFEST_BYTES];
} image_t;

static void sign(image_t *image)
{
    static const uint8_t words[16] = "ecg-firmware-v1";
    uint8_t hash[32];
    size_t written = 0;
    assert_int_equal(ecg_sha256(words, 16, image->manifest, 48, hash), ECG_OK);
    assert_int_equal(psa_sign_hash(signing_key, PSA_ALG_ECDSA(PSA_ALG_SHA_256), hash, 32,
                                   &image->manifest[48], 64, &written),
                     PSA_SUCCESS);
}

static void make_image(image_t *image, uint32_t size, uint32_t seed)
{
    static const uint8_t head[16] = {'E', 'C', 'G', 'F', 1, 1, 3, 0, CHIP, 0, 2, 0};
    image->size = size;
    for (uint32_t at = 0; at < size; at++) {
        seed = (seed * 1664525u) + 1013904223u;
        image->bytes[at] = (uint8_t)(seed >> 24);
    }
    memcpy(image->manifest, head, sizeof head);
    ecg_put(&image->manifest[12], size, 4);
    assert_int_equal(ecg_sha256(image->bytes, size, head, 0, &image->manifest[16]), ECG_OK);
    sign(image);
}

/* --- the sensor that is updated ------------------------------------------------------------------ */

static const ecg_release_t running = {{1, 2, 9}, CHIP, 2};
static ecg_update_t update;
static ecg_update_answer_t answer;
static image_t image;
static uint32_t now_ms;

static void power_on(void)
{
    chip.dead = false;
    chip.cut_after = -1;
    (void)psa_hash_abort(&update.hash);
    ecg_update_init(&update, &slot, signer, &running, false,
                    chip.has_record ? chip.record : NULL);
}

static int start(void **state)
{
    (void)state;
    memset(&chip, 0, sizeof chip);
    memset(chip.flash, 0x55, sizeof chip.flash); /* the firmware before the running one */
    now_ms = 0;
    power_on();
    make_image(&image, 1000, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    psa_fails_at(0);
    return 0;
}

static bool obey(uint8_t type, const uint8_t *argument, size_t length, bool safe)
{
    ecg_message_t command = {.type = type, .length = length};
    if (length > 0) {
        memcpy(command.payload, argument, length);
    }
    assert_int_equal(ecg_command_check(&command), ECG_OK);
    return ecg_update_obey(&update, &command, safe, now_ms, &answer);
}

static uint8_t begin_with(const uint8_t manifest[ECG_MANIFEST_BYTES])
{
    assert_true(obey(ECG_UPDATE_BEGIN, manifest, ECG_MANIFEST_BYTES, true));
    return answer.code;
}

static uint32_t offset_of(const image_t *of)
{
    assert_int_equal(begin_with(of->manifest), ECG_DONE);
    assert_int_equal(answer.length, 4);
    return ecg_get32(answer.body);
}

static void expect_refusal(uint8_t reason)
{
    assert_int_equal(answer.code, ECG_UPDATE_REFUSED);
    assert_int_equal(answer.length, 1);
    assert_int_equal(answer.body[0], reason);
}

static void chunk(const image_t *of, uint32_t offset, uint32_t length)
{
    uint8_t payload[ECG_CHUNK_MOST_BYTES];
    ecg_put(payload, offset, 4);
    memcpy(&payload[4], &of->bytes[offset], length);
    assert_false(obey(ECG_UPDATE_CHUNK, payload, length + 4u, true));
}

static uint32_t length_at(const image_t *of, uint32_t offset)
{
    const uint32_t block_left = ECG_UPDATE_BLOCK_BYTES - (offset % ECG_UPDATE_BLOCK_BYTES);
    const uint32_t left = of->size - offset;
    const uint32_t most = (block_left < CHUNK) ? block_left : CHUNK;
    return (left < most) ? left : most;
}

/* Sends up to `chunks` chunks from where the sensor is; time passes meanwhile. */
static void send_some(const image_t *of, unsigned chunks)
{
    uint32_t offset = offset_of(of);
    for (unsigned at = 0; (at < chunks) && (offset < of->size); at++) {
        chunk(of, offset, length_at(of, offset));
        offset += length_at(of, offset);
        now_ms += 20u;
    }
}

static void send_all(const image_t *of)
{
    while (offset_of(of) < of->size) {
        send_some(of, 16);
        now_ms += 200u;
    }
}

static uint8_t finish(bool safe)
{
    assert_true(obey(ECG_UPDATE_FINISH, NULL, 0, safe));
    return answer.code;
}

static void hash_all(void)
{
    assert_int_equal(finish(true), ECG_BUSY);
    for (unsigned at = 0; (at < 1000u) && (update.state == ECG_UPDATE_HASHES); at++) {
        assert_int_equal(finish(true), ECG_BUSY);
        ecg_update_work(&update);
    }
}

static void expect_installed(const image_t *of)
{
    assert_int_equal(finish(true), ECG_DONE);
    assert_true(ecg_update_restarts(&update));
    assert_int_equal(chip.starts, 1);
    assert_memory_equal(chip.flash, of->bytes, of->size);
}

/* --- tests ------------------------------------------------------------------------------------------ */

static void a_golden_image_is_taken(void **state)
{
    (void)state;
    static image_t golden;
    static uint8_t point[VECTOR_BYTES];
    uint8_t manifest[VECTOR_BYTES];
    assert_int_equal(vector("firmware_signer", point), ECG_P256_POINT_BYTES);
    assert_int_equal(vector("firmware_manifest", manifest), ECG_MANIFEST_BYTES);
    golden.size = (uint32_t)vector("firmware_application", golden.bytes);
    memcpy(golden.manifest, manifest, ECG_MANIFEST_BYTES);
    ecg_update_init(&update, &slot, point, &running, false, NULL);
    send_all(&golden);
    hash_all();
    expect_installed(&golden);
}

static void an_image_of_several_blocks_is_taken_at_the_pace_of_the_flash(void **state)
{
    (void)state;
    make_image(&image, SLOT_BYTES - 7u, 2);
    send_all(&image);
    assert_int_equal(chip.erases, BLOCKS);
    assert_true(now_ms >= ((BLOCKS - 1u) * ECG_UPDATE_ERASE_EACH_MS));
    hash_all();
    expect_installed(&image);
    assert_int_equal(finish(true), ECG_DONE); /* once more, when the answer was lost */
    assert_int_equal(chip.starts, 1);
    assert_int_equal(begin_with(image.manifest), ECG_BUSY); /* the restart is due */
}

static void any_changed_bit_of_a_manifest_is_refused(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < (8u * ECG_MANIFEST_BYTES); bit += 5u) {
        uint8_t manifest[ECG_MANIFEST_BYTES];
        memcpy(manifest, image.manifest, sizeof manifest);
        manifest[bit / 8u] = (uint8_t)(manifest[bit / 8u] ^ (1u << (bit % 8u)));
        if (begin_with(manifest) == ECG_BAD_ARGUMENT) {
            assert_true(bit < 40u); /* magic and layout */
        } else {
            expect_refusal(ECG_UPDATE_NOT_SIGNED);
        }
    }
    assert_int_equal(chip.erases, 0);
    assert_false(chip.has_record);
}

static void refuses_with(size_t at, uint32_t value, unsigned bytes, uint8_t reason)
{
    make_image(&image, 1000, 1);
    ecg_put(&image.manifest[at], value, bytes);
    sign(&image);
    (void)begin_with(image.manifest);
    expect_refusal(reason);
}

static void a_signed_image_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    refuses_with(8, CHIP + 4u, 2, ECG_UPDATE_OTHER_CHIP);
    refuses_with(5, 0x090201u, 3, ECG_UPDATE_NOT_NEWER); /* 1.2.9 itself */
    refuses_with(5, 0xFF0101u, 3, ECG_UPDATE_NOT_NEWER); /* 1.1.255 */
    refuses_with(10, 1, 2, ECG_UPDATE_NOT_NEWER);
    refuses_with(12, 0, 4, ECG_UPDATE_TOO_LARGE);
    refuses_with(12, SLOT_BYTES + 1u, 4, ECG_UPDATE_TOO_LARGE);
    refuses_with(12, 0xFFFFFFFFu, 4, ECG_UPDATE_TOO_LARGE);
    assert_int_equal(chip.erases, 0);
}

static void without_a_signer_nothing_is_supported(void **state)
{
    (void)state;
    static const uint8_t nobody[ECG_P256_POINT_BYTES];
    ecg_update_init(&update, &slot, nobody, &running, false, NULL);
    assert_int_equal(begin_with(image.manifest), ECG_NOT_SUPPORTED);
    assert_int_equal(finish(true), ECG_NOT_SUPPORTED);
}

static void only_the_chunk_at_the_offset_is_taken(void **state)
{
    (void)state;
    make_image(&image, ECG_UPDATE_BLOCK_BYTES + 500u, 3);
    chunk(&image, 0, CHUNK); /* before it began */
    assert_int_equal(offset_of(&image), 0);
    chunk(&image, CHUNK, CHUNK);
    chunk(&image, 0, 17);
    assert_int_equal(offset_of(&image), 0);
    chunk(&image, 0, CHUNK);
    chunk(&image, 0, CHUNK);
    assert_int_equal(offset_of(&image), CHUNK);
    assert_int_equal(finish(true), ECG_BAD_ARGUMENT); /* not complete */
    while (offset_of(&image) < (ECG_UPDATE_BLOCK_BYTES - 16u)) {
        send_some(&image, 1);
    }
    chunk(&image, ECG_UPDATE_BLOCK_BYTES - 16u, 32); /* over the block's edge */
    assert_int_equal(offset_of(&image), ECG_UPDATE_BLOCK_BYTES - 16u);
    now_ms = 2u * ECG_UPDATE_ERASE_EACH_MS;
    send_all(&image);
    chunk(&image, image.size, 16); /* beyond the end */
    assert_int_equal(offset_of(&image), image.size);
}

static void a_lost_link_costs_nothing_and_a_power_cut_a_block(void **state)
{
    (void)state;
    make_image(&image, 2u * ECG_UPDATE_BLOCK_BYTES, 4);
    while (offset_of(&image) < (ECG_UPDATE_BLOCK_BYTES + (4u * CHUNK))) {
        send_some(&image, 1);
        now_ms += 1000u;
    }
    const uint32_t before = update.offset;
    assert_int_equal(offset_of(&image), before);
    power_on();
    assert_int_equal(offset_of(&image), ECG_UPDATE_BLOCK_BYTES);
    send_all(&image);
    hash_all();
    expect_installed(&image);
}

static void another_image_takes_the_place_of_one_under_way(void **state)
{
    (void)state;
    static image_t other;
    make_image(&image, 2u * ECG_UPDATE_BLOCK_BYTES, 5);
    make_image(&other, (2u * ECG_UPDATE_BLOCK_BYTES) - 40u, 6);
    now_ms = ECG_UPDATE_ERASE_EACH_MS;
    while (offset_of(&image) < (ECG_UPDATE_BLOCK_BYTES + CHUNK)) {
        send_some(&image, 1);
        now_ms += 1000u;
    }
    assert_int_equal(offset_of(&other), 0);
    power_on();
    assert_int_equal(offset_of(&image), 0); /* the other was recorded before it erased anything */
    send_all(&other);
    hash_all();
    assert_int_equal(offset_of(&image), 0); /* even when the other is whole already */
    send_all(&other);
    hash_all();
    expect_installed(&other);
}

static void a_record_that_says_too_much_is_not_believed(void **state)
{
    (void)state;
    memcpy(chip.record, image.manifest, ECG_MANIFEST_BYTES);
    ecg_put(&chip.record[ECG_MANIFEST_BYTES], 9, 4);
    chip.has_record = true;
    power_on();
    assert_int_equal(offset_of(&image), 0);
}

static void a_damaged_image_is_told_and_begins_anew(void **state)
{
    (void)state;
    send_all(&image);
    chip.flash[500] ^= 1u;
    hash_all();
    (void)finish(true);
    expect_refusal(ECG_UPDATE_DAMAGED);
    assert_int_equal(finish(true), ECG_BAD_ARGUMENT); /* told once */
    power_on();
    now_ms += ECG_UPDATE_ERASE_EACH_MS;
    assert_int_equal(offset_of(&image), 0);
    send_all(&image);
    hash_all();
    expect_installed(&image);
}

static void no_restart_while_a_frame_would_be_lost(void **state)
{
    (void)state;
    send_all(&image);
    hash_all();
    assert_int_equal(finish(false), ECG_BUSY);
    assert_int_equal(chip.starts, 0);
    assert_false(ecg_update_restarts(&update));
    expect_installed(&image);
}

static void flash_that_fails_is_told_once_and_may_be_tried_again(void **state)
{
    (void)state;
    bool *const faults[] = {&chip.erase_fails, &chip.program_fails};
    for (size_t at = 0; at < 2u; at++) {
        now_ms += ECG_UPDATE_ERASE_EACH_MS;
        (void)offset_of(&image);
        *faults[at] = true;
        chunk(&image, 0, CHUNK);
        *faults[at] = false;
        assert_int_equal(begin_with(image.manifest), ECG_UPDATE_REFUSED);
        expect_refusal(ECG_UPDATE_FLASH_FAILED);
    }
    now_ms += ECG_UPDATE_ERASE_EACH_MS;
    send_all(&image);
    chip.read_fails = true;
    hash_all();
    chip.read_fails = false;
    (void)finish(true);
    expect_refusal(ECG_UPDATE_FLASH_FAILED);
    chip.keep_fails = true;
    power_on();
    make_image(&image, 900, 9); /* another one, which can't be recorded */
    (void)begin_with(image.manifest);
    expect_refusal(ECG_UPDATE_FLASH_FAILED);
    chip.keep_fails = false;
    now_ms += ECG_UPDATE_ERASE_EACH_MS;
    send_all(&image);
    chip.chip_refuses = true;
    hash_all();
    (void)finish(true);
    expect_refusal(ECG_UPDATE_CHIP_REFUSES);
}

static void no_failure_of_psa_installs_anything(void **state)
{
    (void)state;
    for (unsigned call = 1; call <= 3; call++) { /* hash: set-up, two parts */
        psa_fails_at(call);
        (void)begin_with(image.manifest);
        expect_refusal(ECG_UPDATE_NOT_SIGNED);
    }
    for (unsigned call = 4; call <= 6; call++) { /* its end, the key, the verification */
        psa_fails_at(call);
        (void)begin_with(image.manifest);
        expect_refusal(ECG_UPDATE_NOT_SIGNED);
    }
    psa_fails_at(0);
    send_all(&image);
    psa_fails_at(1);
    assert_int_equal(finish(true), ECG_BUSY); /* the hash could not begin: the next finish tries */
    psa_fails_at(0);
    assert_int_equal(update.state, ECG_UPDATE_RECEIVES);
    assert_int_equal(finish(true), ECG_BUSY);
    psa_fails_at(2);
    ecg_update_work(&update);
    psa_fails_at(0);
    (void)finish(true);
    expect_refusal(ECG_UPDATE_FLASH_FAILED);
    send_all(&image);
    assert_int_equal(finish(true), ECG_BUSY);
    psa_fails_at(5); /* four parts, then the end */
    ecg_update_work(&update);
    psa_fails_at(0);
    (void)finish(true);
    expect_refusal(ECG_UPDATE_DAMAGED);
    assert_int_equal(chip.starts, 0);
}

static void new_firmware_stays_once_it_was_heard(void **state)
{
    (void)state;
    assert_int_equal(ecg_update_try(&update, true, 0), ECG_TRIAL_OVER);
    ecg_update_init(&update, &slot, signer, &running, true, NULL);
    assert_int_equal(begin_with(image.manifest), ECG_BUSY); /* on trial */
    assert_int_equal(ecg_update_try(&update, false, ECG_UPDATE_TRIAL_MS - 1u), ECG_TRIAL_RUNS);
    assert_int_equal(ecg_update_try(&update, true, ECG_UPDATE_TRIAL_MS - 1u), ECG_TRIAL_PASSED);
    assert_int_equal(ecg_update_try(&update, false, ECG_UPDATE_TRIAL_MS), ECG_TRIAL_OVER);
    assert_int_equal(begin_with(image.manifest), ECG_DONE);
    ecg_update_init(&update, &slot, signer, &running, true, NULL);
    assert_int_equal(ecg_update_try(&update, false, ECG_UPDATE_TRIAL_MS), ECG_TRIAL_FAILED);
}

/* Images take turns, and the power fails after a few operations, again and again: a slot is started
 * from only when it holds, byte for byte, the image that was finished. */
static void power_cuts_never_mix_images(void **state)
{
    (void)state;
    static image_t images[3];
    static const uint32_t sizes[] = {SLOT_BYTES, ECG_UPDATE_BLOCK_BYTES + 100u, 300u};
    unsigned installed = 0;
    srand(1);
    for (uint32_t at = 0; at < 3u; at++) {
        make_image(&images[at], sizes[at], 10u + at);
    }
    const image_t *under_way = &images[0];
    for (unsigned cut = 0; cut < POWER_CUTS; cut++) {
        power_on();
        chip.cut_after = rand() % 700;
        under_way = ((rand() % 40) == 0) ? &images[rand() % 3] : under_way;
        while (!chip.dead && (chip.starts == 0u)) {
            now_ms += ECG_UPDATE_ERASE_EACH_MS;
            if (begin_with(under_way->manifest) != ECG_DONE) {
                continue; /* the power has failed, or a failure was told */
            }
            if (ecg_get32(answer.body) < under_way->size) {
                send_some(under_way, 1 + ((unsigned)rand() % 20u));
            } else if (finish(true) != ECG_DONE) {
                ecg_update_work(&update);
            } else {
                assert_memory_equal(chip.flash, under_way->bytes, under_way->size);
            }
        }
        installed += chip.starts;
        chip.starts = 0;
    }
    assert_true(installed > 20u);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_golden_image_is_taken),
        TEST(an_image_of_several_blocks_is_taken_at_the_pace_of_the_flash),
        TEST(any_changed_bit_of_a_manifest_is_refused),
        TEST(a_signed_image_that_does_not_fit_is_refused),
        TEST(without_a_signer_nothing_is_supported),
        TEST(only_the_chunk_at_the_offset_is_taken),
        TEST(a_lost_link_costs_nothing_and_a_power_cut_a_block),
        TEST(another_image_takes_the_place_of_one_under_way),
        TEST(a_record_that_says_too_much_is_not_believed),
        TEST(a_damaged_image_is_told_and_begins_anew),
        TEST(no_restart_while_a_frame_would_be_lost),
        TEST(flash_that_fails_is_told_once_and_may_be_tried_again),
        TEST(no_failure_of_psa_installs_anything),
        TEST(new_firmware_stays_once_it_was_heard),
        TEST(power_cuts_never_mix_images),
    };
    if (ecg_crypto_start() != ECG_OK) {
        return 1;
    }
    make_signer();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
