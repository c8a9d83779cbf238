#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ecg_host.h"
#include "ecg_pairing.h"
#include "ecg_sensor.h"

#define CHIP 5u /* an ESP32-C3 */
#define SLOT_BLOCKS 22u /* of a slot in partitions.csv */
#define BATTERY_PERCENT 100u /* it lives on this machine's power */

struct ecg_host {
    uint8_t ram[ECG_LEAST_RAM_FRAMES][ECG_FRAME_BYTES];
    uint8_t *flash_bytes;
    uint8_t *map;
    ecg_flash_t flash;
    ecg_flash_ring_t ring;
    ecg_outbox_t outbox;
    ecg_board_t board;
    ecg_sensor_t sensor;
    ecg_pairing_t pairing;
    uint8_t slot_bytes[SLOT_BLOCKS * ECG_UPDATE_BLOCK_BYTES];
    uint8_t record[ECG_UPDATE_RECORD_BYTES];
    uint8_t signer[ECG_P256_POINT_BYTES];
    ecg_slot_t slot;
    ecg_update_t update;
    ecg_release_t running;
    ecg_release_t former; /* while the running one is on trial */
    bool on_trial;
    bool starts_slot; /* at the next boot */
    ecg_host_state_t before; /* the counts of former boots */
    bool booted;
};

static bool flash_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    const ecg_host_t *host = context;
    memcpy(out, &host->flash_bytes[address], length);
    return true;
}

static bool flash_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    ecg_host_t *host = context;
    for (size_t at = 0u; at < length; at++) {
        host->flash_bytes[address + at] &= bytes[at];
    }
    return true;
}

static bool flash_erase(void *context, uint32_t sector)
{
    ecg_host_t *host = context;
    memset(&host->flash_bytes[sector * ECG_FLASH_SECTOR_BYTES], 0xFF, ECG_FLASH_SECTOR_BYTES);
    return true;
}

static bool draw(void *context, uint8_t *out, size_t length)
{
    (void)context;
    return ecg_random(out, length) == ECG_OK;
}

/* Whoever drives the host keeps the keys: it asks `ecg_host_keys` before an answer goes out. */
static bool keep_pending(void *context, const uint8_t key[ECG_ROOT_KEY_BYTES])
{
    (void)context;
    (void)key;
    return true;
}

static bool adopt_pending(void *context)
{
    (void)context;
    return true;
}

static bool slot_erase(void *context, uint32_t block)
{
    ecg_host_t *host = context;
    memset(&host->slot_bytes[block * ECG_UPDATE_BLOCK_BYTES], 0xFF, ECG_UPDATE_BLOCK_BYTES);
    return true;
}

static bool slot_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    ecg_host_t *host = context;
    for (size_t at = 0u; at < length; at++) {
        host->slot_bytes[address + at] &= bytes[at];
    }
    return true;
}

static bool slot_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    const ecg_host_t *host = context;
    memcpy(out, &host->slot_bytes[address], length);
    return true;
}

static bool slot_keep(void *context, const uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    ecg_host_t *host = context;
    memcpy(host->record, record, sizeof host->record);
    return true;
}

static bool slot_start_from(void *context)
{
    ecg_host_t *host = context;
    host->starts_slot = true;
    return true;
}

/* What the bootloader does: the new firmware once, the former one if it was on trial. */
static void choose_slot(ecg_host_t *host)
{
    if (host->starts_slot) {
        host->former = host->running;
        host->running = ecg_release_of(host->record);
    } else if (host->on_trial) {
        host->running = host->former;
    } else {
        /* as before */
    }
    host->on_trial = host->starts_slot;
    host->starts_slot = false;
    (void)psa_hash_abort(&host->update.hash);
    ecg_update_init(&host->update, &host->slot, host->signer, &host->running, host->on_trial,
                    host->record);
}

static bool open_outbox(ecg_host_t *host)
{
    return (ecg_flash_ring_open(&host->ring, &host->flash) == ECG_OK) &&
           (ecg_outbox_init(&host->outbox, host->ram, ECG_LEAST_RAM_FRAMES, &host->ring,
                            host->map) == ECG_OK);
}

ecg_host_t *ecg_host_new(uint32_t flash_sectors)
{
    const uint32_t sectors =
        (flash_sectors < ECG_FLASH_LEAST_SECTORS) ? ECG_FLASH_LEAST_SECTORS : flash_sectors;
    const size_t flash_bytes = (size_t)sectors * ECG_FLASH_SECTOR_BYTES;
    ecg_host_t *host = calloc(1u, sizeof *host);
    if (host == NULL) {
        return NULL;
    }
    host->flash_bytes = malloc(flash_bytes);
    host->map = malloc(
        ECG_OUTBOX_MAP_BYTES(ECG_LEAST_RAM_FRAMES, (size_t)sectors * ECG_FLASH_SLOTS_PER_SECTOR));
    host->flash = (ecg_flash_t){host, sectors, flash_read, flash_program, flash_erase};
    host->running = (ecg_release_t){{0u, 1u, 0u}, CHIP, 0u};
    host->slot = (ecg_slot_t){host,      SLOT_BLOCKS, slot_erase,     slot_program,
                              slot_read, slot_keep,   slot_start_from};
    host->board = (ecg_board_t){host, draw, keep_pending, adopt_pending};
    if ((host->flash_bytes == NULL) || (host->map == NULL) || (ecg_crypto_start() != ECG_OK)) {
        ecg_host_free(host);
        return NULL;
    }
    memset(host->flash_bytes, 0xFF, flash_bytes);
    if (!open_outbox(host)) {
        ecg_host_free(host);
        return NULL;
    }
    return host;
}

void ecg_host_free(ecg_host_t *host)
{
    ecg_sensor_stop(&host->sensor);
    ecg_pairing_close(&host->pairing);
    free(host->flash_bytes);
    free(host->map);
    free(host);
}

static uint32_t refused(const ecg_host_t *host)
{
    uint32_t all = 0u;
    for (size_t reason = 0u; reason < ECG_RESULTS; reason++) {
        all += host->sensor.refused[reason];
    }
    return all;
}

int ecg_host_boot(ecg_host_t *host, uint32_t device_id, uint32_t boot_id,
                  const ecg_host_keys_t *keys, uint16_t sample_rate_hz,
                  uint32_t stranger_timeout_ms)
{
    ecg_identity_t identity = {.device_id = device_id,
                               .boot_id = boot_id,
                               .has_pending_key = keys->has_pending_key != 0u,
                               .provisioned = keys->provisioned != 0u};
    memcpy(identity.root_key, keys->root_key, ECG_ROOT_KEY_BYTES);
    memcpy(identity.pending_key, keys->pending_key, ECG_ROOT_KEY_BYTES);
    ecg_pairing_close(&host->pairing);
    choose_slot(host);
    memcpy(identity.version, host->running.version, sizeof identity.version);
    if (host->booted) {
        (void)ecg_outbox_flush(&host->outbox);
        ecg_host_state(host, &host->before);
        ecg_sensor_stop(&host->sensor);
        if (!open_outbox(host)) {
            return ECG_STORAGE_FAILED;
        }
    }
    host->booted = true;
    const ecg_result_t result = ecg_sensor_start(&host->sensor, &identity, &host->board,
                                                 &host->outbox, sample_rate_hz);
    ecg_sensor_take_updates(&host->sensor, &host->update);
    host->sensor.stranger_timeout_ms = stranger_timeout_ms;
    host->sensor.battery_percent = BATTERY_PERCENT;
    ecg_wipe(&identity, sizeof identity);
    return (int)result;
}

void ecg_host_keys(const ecg_host_t *host, ecg_host_keys_t *keys)
{
    const ecg_identity_t *identity = &host->sensor.identity;
    *keys = (ecg_host_keys_t){.has_pending_key = identity->has_pending_key ? 1u : 0u,
                              .provisioned = identity->provisioned ? 1u : 0u};
    memcpy(keys->root_key, identity->root_key, ECG_ROOT_KEY_BYTES);
    memcpy(keys->pending_key, identity->pending_key, ECG_ROOT_KEY_BYTES);
}

void ecg_host_state(const ecg_host_t *host, ecg_host_state_t *state)
{
    const ecg_host_state_t before = host->before;
    const ecg_running_session_t *running = &host->sensor.running;
    *state = (ecg_host_state_t){
        .held = host->outbox.held,
        .acknowledged = before.acknowledged + host->outbox.acknowledged,
        .overwritten = before.overwritten + host->outbox.overwritten,
        .resent = before.resent + host->outbox.resent,
        .refused = before.refused + refused(host),
        .next_sequence = running->next_sequence,
        .sample_rate_hz = running->sample_rate_hz,
        .boot_id = running->id.boot_id,
        .sampling = host->sensor.sampling ? 1u : 0u,
    };
    memcpy(state->salt, running->id.salt, ECG_SALT_BYTES);
}

void ecg_host_set_sampling(ecg_host_t *host, int sampling)
{
    host->sensor.sampling = sampling != 0;
}

void ecg_host_add(ecg_host_t *host, const uint8_t *sealed)
{
    ecg_frame_header_t header;
    if (ecg_frame_read_header(sealed, ECG_FRAME_BYTES, &header) == ECG_OK) {
        ecg_outbox_add(&host->outbox, &header.session, header.sequence, sealed, false);
    }
}

int ecg_host_take(ecg_host_t *host, uint32_t now_ms, uint8_t *sealed)
{
    return ecg_outbox_take(&host->outbox, now_ms, host->sensor.running.sample_rate_hz, sealed)
               ? 1
               : 0;
}

int ecg_host_next_held(ecg_host_t *host, uint32_t *age, uint8_t *sealed)
{
    uint32_t at = (*age < host->outbox.tail) ? host->outbox.tail : *age;
    while ((at < host->outbox.head) && !ecg_outbox_read(&host->outbox, at, sealed)) {
        at++;
    }
    *age = at;
    return (at < host->outbox.head) ? 1 : 0;
}

int ecg_host_sampled(ecg_host_t *host, const int16_t *steps, uint8_t flags, uint64_t device_time_us)
{
    return (int)ecg_sensor_sampled(&host->sensor, steps, flags, device_time_us);
}

void ecg_host_connected(ecg_host_t *host, uint32_t now_ms)
{
    ecg_sensor_connected(&host->sensor, now_ms);
}

void ecg_host_disconnected(ecg_host_t *host)
{
    ecg_sensor_disconnected(&host->sensor);
}

int ecg_host_must_drop(const ecg_host_t *host, uint32_t now_ms)
{
    return ecg_sensor_must_drop(&host->sensor, now_ms) ? 1 : 0;
}

int ecg_host_received(ecg_host_t *host, const uint8_t *message, size_t length, uint64_t now_us,
                      uint8_t *replies, size_t *lengths)
{
    ecg_reply_t said[ECG_MOST_REPLIES];
    const size_t count = ecg_sensor_received(&host->sensor, message, length, now_us, said);
    for (size_t at = 0u; at < count; at++) {
        memcpy(&replies[at * ECG_MESSAGE_MOST_BYTES], said[at].bytes, said[at].length);
        lengths[at] = said[at].length;
    }
    return (int)count;
}

int ecg_host_overdue_report(ecg_host_t *host, uint8_t *reply, size_t *length)
{
    ecg_reply_t report;
    const size_t count = ecg_sensor_overdue_report(&host->sensor, &report);
    if (count > 0u) {
        memcpy(reply, report.bytes, report.length);
        *length = report.length;
    }
    return (int)count;
}

void ecg_host_trust(ecg_host_t *host, const uint8_t *signer)
{
    memcpy(host->signer, signer, sizeof host->signer);
}

int ecg_host_restart_due(ecg_host_t *host, uint32_t up_ms)
{
    ecg_update_work(&host->update);
    const bool heard = ecg_sensor_is_heard(&host->sensor);
    const ecg_trial_t trial = ecg_update_try(&host->update, heard, up_ms);
    host->on_trial = host->update.on_trial;
    return ((trial == ECG_TRIAL_FAILED) || ecg_update_restarts(&host->update)) ? 1 : 0;
}

void ecg_host_status(const ecg_host_t *host, uint8_t *status)
{
    ecg_sensor_status(&host->sensor, status);
}

void ecg_host_open_pairing(ecg_host_t *host, const uint8_t *secret)
{
    ecg_pairing_open(&host->pairing, host->sensor.identity.device_id, secret);
    host->sensor.pairing_window = true;
}

void ecg_host_close_pairing(ecg_host_t *host)
{
    ecg_pairing_close(&host->pairing);
    host->sensor.pairing_window = false;
}

int ecg_host_pair(ecg_host_t *host, const uint8_t *first, size_t length, const uint8_t *ephemeral,
                  uint8_t *answers)
{
    return (int)ecg_pairing_respond(&host->pairing, first, length, ephemeral,
                                    host->sensor.identity.root_key, answers,
                                    &answers[ECG_PAIRING_SECOND_BYTES]);
}

int ecg_host_pair_confirm(ecg_host_t *host, const uint8_t *message, size_t length)
{
    const ecg_result_t result = ecg_pairing_confirm(&host->pairing, message, length);
    if (result == ECG_OK) {
        host->sensor.identity.provisioned = true;
        host->sensor.pairing_window = false;
    }
    return (int)result;
}
