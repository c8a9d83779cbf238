#include "board_update.h"

#include "board_storage.h"
#include "esp_app_desc.h"
#include "esp_ota_ops.h"
#include "esp_partition.h"
#include "sdkconfig.h"

/* The image is written by the partition calls, not by esp_ota_write: that can't go on after a
 * restart in ESP-IDF 5.3. esp_ota_set_boot_partition checks the whole image, with its signature
 * for secure boot, before the bootloader may take it. */

static bool slot_erase(void *context, uint32_t block)
{
    return esp_partition_erase_range(context, (size_t)block * ECG_UPDATE_BLOCK_BYTES,
                                     ECG_UPDATE_BLOCK_BYTES) == ESP_OK;
}

static bool slot_program(void *context, uint32_t address, const uint8_t *bytes, size_t length)
{
    return esp_partition_write(context, address, bytes, length) == ESP_OK;
}

static bool slot_read(void *context, uint32_t address, uint8_t *out, size_t length)
{
    return esp_partition_read(context, address, out, length) == ESP_OK;
}

static bool slot_keep_record(void *context, const uint8_t record[ECG_UPDATE_RECORD_BYTES])
{
    (void)context;
    return board_storage_keep_update(record);
}

static bool slot_start_from(void *context)
{
    return esp_ota_set_boot_partition(context) == ESP_OK;
}

bool board_update_open(ecg_slot_t *slot)
{
    const esp_partition_t *partition = esp_ota_get_next_update_partition(NULL);
    if (partition == NULL) {
        return false;
    }
    *slot = (ecg_slot_t){(void *)(uintptr_t)partition,
                         partition->size / ECG_UPDATE_BLOCK_BYTES,
                         slot_erase,
                         slot_program,
                         slot_read,
                         slot_keep_record,
                         slot_start_from};
    return true;
}

/* The numbers of "1.2.3" or "v1.2.3-dirty"; a part that is missing is 0. */
static void read_version(const char *text, uint8_t version[3])
{
    unsigned part = 0u;
    uint32_t number = 0u;
    const char *at = (*text == 'v') ? &text[1] : text;
    for (; (part < 3u) && (((*at >= '0') && (*at <= '9')) || (*at == '.')); at++) {
        if (*at == '.') {
            part++;
            number = 0u;
        } else {
            number = (10u * number) + (uint32_t)(*at - '0');
            version[part] = (uint8_t)number;
        }
    }
}

ecg_release_t board_update_running(void)
{
    const esp_app_desc_t *description = esp_app_get_description();
    ecg_release_t running = {.chip = CONFIG_IDF_FIRMWARE_CHIP_ID,
                             .security_version = (uint16_t)description->secure_version};
    read_version(description->version, running.version);
    return running;
}

bool board_update_is_on_trial(void)
{
    esp_ota_img_states_t state = ESP_OTA_IMG_VALID;
    return (esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK) &&
           (state == ESP_OTA_IMG_PENDING_VERIFY);
}

void board_update_confirm(void)
{
    (void)esp_ota_mark_app_valid_cancel_rollback();
}

void board_update_go_back(void)
{
    (void)esp_ota_mark_app_invalid_rollback_and_reboot();
    board_update_confirm();
}
