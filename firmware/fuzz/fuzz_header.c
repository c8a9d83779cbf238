/* A frame's header, as the outbox reads it from flash. */
#include "ecg_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    ecg_frame_header_t header;
    (void)ecg_frame_read_header(bytes, length, &header);
    return 0;
}
