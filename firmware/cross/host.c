/* This machine. */
#include <stdio.h>
#include <stdlib.h>

#include "cross.h"

void cross_write(const char *text, size_t length)
{
    (void)fwrite(text, 1u, length, stdout);
}

void cross_exit(int code)
{
    exit(code);
}

uint32_t cross_instructions(void)
{
    return 0u;
}

uintptr_t cross_stack_floor(void)
{
    return 0u;
}

uint32_t cross_heap_most(void)
{
    return 0u;
}
