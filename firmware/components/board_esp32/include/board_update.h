/* The chip's two slots for firmware, and the bootloader's trial of a new one. */
#ifndef BOARD_UPDATE_H
#define BOARD_UPDATE_H

#include "ecg_update.h"

/* The slot that does not run; false when the partition table has but one. */
bool board_update_open(ecg_slot_t *slot);

/* What runs: version and security version from the application's description (PROJECT_VER,
 * CONFIG_BOOTLOADER_APP_SECURE_VERSION). */
ecg_release_t board_update_running(void);

/* Is it new, and to be confirmed? Any restart before that brings the former one back. */
bool board_update_is_on_trial(void);
void board_update_confirm(void);

/* Restarts with the former firmware; returns only when there is none, and then this one stays. */
void board_update_go_back(void);

#endif
