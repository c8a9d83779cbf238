/* Any row of values, each of a length and at a time that the input says. */
#include "ecg_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    uint8_t gathered[293];
    ecg_reassembler_t reassembler;
    uint32_t now_ms = 0u;
    ecg_reassembler_init(&reassembler, gathered, sizeof gathered);
    while (length > 2u) {
        const size_t most = length - 2u;
        const size_t part = (bytes[0] < most) ? bytes[0] : most;
        now_ms += bytes[1] * 8u;
        (void)ecg_reassembler_push(&reassembler, &bytes[2], part, now_ms);
        bytes += part + 2u;
        length -= part + 2u;
    }
    return 0;
}
