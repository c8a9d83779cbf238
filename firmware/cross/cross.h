/* What the vectors' program needs of the machine that it runs on. */
#ifndef CROSS_H
#define CROSS_H

#include <stddef.h>
#include <stdint.h>

void cross_write(const char *text, size_t length);
void cross_exit(int code);

/* Instructions so far, as QEMU counts them with -icount; 0 where nothing counts. */
uint32_t cross_instructions(void);

/* The lowest address of the stack, and 0 where the stack is the system's. */
uintptr_t cross_stack_floor(void);

uint32_t cross_heap_most(void);

#endif
