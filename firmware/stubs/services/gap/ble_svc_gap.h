#pragma once
int ble_svc_gap_device_name_set(const char *name);
void ble_svc_gap_init(void);
