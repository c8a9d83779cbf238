/* What `idf.py set-target esp32c3` writes into the project's configuration, as far as it is used:
 * kconfig.html, and components/soc's esp_chip_id_t in system/app_image_format.html */
#pragma once
#define CONFIG_IDF_FIRMWARE_CHIP_ID 0x0005
