#include "ecg_types.h"

#include <string.h>

bool ecg_same_session(const ecg_session_id_t *a, const ecg_session_id_t *b)
{
    return (a->device_id == b->device_id) && (a->boot_id == b->boot_id) &&
           (memcmp(a->salt, b->salt, ECG_SALT_BYTES) == 0);
}

bool ecg_is_legal_rate(uint32_t rate_hz)
{
    return (rate_hz == 125u) || (rate_hz == 250u) || (rate_hz == 360u) || (rate_hz == 500u);
}
