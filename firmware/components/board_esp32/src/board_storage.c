#include "board_storage.h"

#include <string.h>

#include "esp_partition.h"
#include "nvs.h"
#include "nvs_flash.h"

#define NAMESPACE "ecg"
#define DEVICE "device"
#define BOOTS "boots"
#define ROOT "root"
#define PENDING "pending"
#define SECRET "secret"
#define PROVISIONED "provisioned"
#define UPDATE "update"
#define PARTITION "outbox"

static nvs_handle_t storage;

static bool open_storage(void)
{
    return (nvs_flash_init() == ESP_OK) && (nvs_open(NAMESPACE, NVS_READWRITE, &storage) == ESP_OK);
}

static esp_err_t get_key(const char *name, uint8_t key[32])
{
    size_t length = 32u;
    const esp_err_t result = nvs_get_blob(storage, name, key, &length);
    return ((result == ESP_OK) && (length != 32u)) ? ESP_ERR_NVS_INVALID_LENGTH : result;
}

static bool put_key(const char *name, const uint8_t key[32])
{
    return (nvs_set_blob(storage, name, key, 32u) == ESP_OK) && (nvs_commit(storage) == ESP_OK);
}

static bool count_boot(ecg_identity_t *identity, uint32_t boots)
{
    identity->boot_id = boots + 1u;
    return (nvs_set_u32(storage, BOOTS, identity->boot_id) == ESP_OK) &&
           (nvs_commit(storage) == ESP_OK);
}

static bool is_kept_or_absent(esp_err_t result)
{
    return (result == ESP_OK) || (result == ESP_ERR_NVS_NOT_FOUND);
}

board_storage_t board_storage_load(ecg_identity_t *identity, uint8_t secret[BOARD_SECRET_BYTES])
{
    uint32_t boots = 0u;
    uint32_t provisioned = 0u;
    if (!open_storage()) {
        return BOARD_FAILED;
    }
    const esp_err_t device = nvs_get_u32(storage, DEVICE, &identity->device_id);
    const esp_err_t root = get_key(ROOT, identity->root_key);
    if ((device == ESP_ERR_NVS_NOT_FOUND) && (root == ESP_ERR_NVS_NOT_FOUND)) {
        return BOARD_BLANK;
    }
    const esp_err_t pending = get_key(PENDING, identity->pending_key);
    const esp_err_t confirmed = nvs_get_u32(storage, PROVISIONED, &provisioned);
    identity->has_pending_key = pending == ESP_OK;
    identity->provisioned = provisioned != 0u;
    const bool read = (device == ESP_OK) && (root == ESP_OK) && is_kept_or_absent(pending) &&
                      is_kept_or_absent(confirmed) && (get_key(SECRET, secret) == ESP_OK) &&
                      (nvs_get_u32(storage, BOOTS, &boots) == ESP_OK);
    return (read && count_boot(identity, boots)) ? BOARD_KEPT : BOARD_FAILED;
}

/* The device id is written last: without it nothing counts as written. */
board_storage_t board_storage_create(ecg_identity_t *identity, uint8_t secret[BOARD_SECRET_BYTES])
{
    uint8_t drawn[4];
    const bool random = (ecg_random(identity->root_key, ECG_ROOT_KEY_BYTES) == ECG_OK) &&
                        (ecg_random(secret, BOARD_SECRET_BYTES) == ECG_OK) &&
                        (ecg_random(drawn, sizeof drawn) == ECG_OK);
    if (!random) {
        return BOARD_FAILED;
    }
    memcpy(&identity->device_id, drawn, sizeof drawn);
    identity->provisioned = false;
    identity->has_pending_key = false;
    const bool written = count_boot(identity, 0u) && put_key(SECRET, secret) &&
                         put_key(ROOT, identity->root_key) &&
                         (nvs_set_u32(storage, DEVICE, identity->device_id) == ESP_OK) &&
                         (nvs_commit(storage) == ESP_OK);
    return written ? BOARD_KEPT : BOARD_FAILED;
}

bool board_storage_set_provisioned(void)
{
    return (nvs_set_u32(storage, PROVISIONED, 1u) == ESP_OK) && (nvs_commit(storage) == ESP_OK);
}

bool board_storage_keep_update(const uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    return (nvs_set_blob(storage, UPDATE, record, ECG_UPDATE_RECORD_BYTES) == ESP_OK) &&
           (nvs_commit(storage) == ESP_OK);
}

bool board_storage_load_update(uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    size_t length = ECG_UPDATE_RECORD_BYTES;
    return (nvs_get_blob(storage, UPDATE, record, &length) == ESP_OK) &&
           (length == ECG_UPDATE_RECORD_BYTES);
}

bool board_storage_forget_all(void)
{
    return (nvs_erase_all(storage) == ESP_OK) && (nvs_commit(storage) == ESP_OK);
}

bool board_storage_keep_pending(void *context, const uint8_t key[ECG_ROOT_KEY_BYTES])
{
    (void)context;
    return put_key(PENDING, key);
}

/* One blob changes at once; that the pending key is still there after a power cut does no harm. */
bool board_storage_adopt_pending(void *context)
{
    uint8_t key[ECG_ROOT_KEY_BYTES];
    (void)context;
    const bool adopted = (get_key(PENDING, key) == ESP_OK) && put_key(ROOT, key);
    if (adopted && (nvs_erase_key(storage, PENDING) == ESP_OK)) {
        (void)nvs_commit(storage);
    }
    ecg_wipe(key, sizeof key);
    return adopted;
}

static bool flash_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    return esp_partition_read(context, address, out, length) == ESP_OK;
}

static bool flash_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    return esp_partition_write(context, address, bytes, length) == ESP_OK;
}

static bool flash_erase(void *context, uint32_t sector)
{
    return esp_partition_erase_range(context, (size_t)sector * ECG_FLASH_SECTOR_BYTES,
                                     ECG_FLASH_SECTOR_BYTES) == ESP_OK;
}

bool board_storage_open_flash(ecg_flash_t *flash)
{
    const esp_partition_t *partition =
        esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, PARTITION);
    if (partition == NULL) {
        return false;
    }
    *flash = (ecg_flash_t){(void *)(uintptr_t)partition, partition->size / ECG_FLASH_SECTOR_BYTES,
                           flash_read, flash_program, flash_erase};
    return flash->sectors >= ECG_FLASH_LEAST_SECTORS;
}
