/* system/misc_system_api.html */
#pragma once
void esp_restart(void);
