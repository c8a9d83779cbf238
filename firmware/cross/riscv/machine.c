/* QEMU's riscv32 `virt` machine: a 16550 at 0x10000000 and the SiFive test device at 0x100000. */
#include "../cross.h"

extern uint8_t _stack_floor[];

void cross_write(const char *text, size_t length)
{
    volatile uint8_t *const uart = (volatile uint8_t *)0x10000000u;
    for (size_t at = 0u; at < length; at++) {
        *uart = (uint8_t)text[at];
    }
}

void cross_exit(int code)
{
    volatile uint32_t *const test = (volatile uint32_t *)0x100000u;
    *test = (code == 0) ? 0x5555u : (((uint32_t)code << 16) | 0x3333u);
    for (;;) {
    }
}

uint32_t cross_instructions(void)
{
    uint32_t count;
    __asm__ volatile(".option arch, +zicsr\n\tcsrr %0, minstret" : "=r"(count));
    return count;
}

uintptr_t cross_stack_floor(void)
{
    return (uintptr_t)_stack_floor;
}
