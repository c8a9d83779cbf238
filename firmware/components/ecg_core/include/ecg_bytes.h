/* Little-endian numbers by shifting, so that no struct is ever cast to bytes. */
#ifndef ECG_BYTES_H
#define ECG_BYTES_H

#include <stdint.h>

static inline void ecg_put(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned at = 0u; at < bytes; at++) {
        out[at] = (uint8_t)(value >> (8u * at));
    }
}

static inline uint64_t ecg_get(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0u;
    for (unsigned at = bytes; at > 0u; at--) {
        value = (value << 8) | in[at - 1u];
    }
    return value;
}

static inline uint16_t ecg_get16(const uint8_t *in)
{
    return (uint16_t)ecg_get(in, 2u);
}

static inline uint32_t ecg_get32(const uint8_t *in)
{
    return (uint32_t)ecg_get(in, 4u);
}

#endif
