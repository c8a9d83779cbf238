/* QEMU's xtensa `sim` machine, and the arithmetic that Debian's libgcc lacks for this core. */
#include "../cross.h"

#define SIMCALL_EXIT 1
#define SIMCALL_WRITE 4
#define STDOUT 1
#define INSTRUCTIONS_PER_TICK 100u /* CCOUNT runs at 10 MHz, -icount shift=0 at 1 GHz */

extern uint8_t _stack_floor[];
int simcall(int number, int a, const void *b, size_t c);

static char line[1024];
static size_t filled;

static void flush(void)
{
    (void)simcall(SIMCALL_WRITE, STDOUT, line, filled);
    filled = 0u;
}

void cross_write(const char *text, size_t length)
{
    for (size_t at = 0u; at < length; at++) {
        line[filled] = text[at];
        filled++;
        if (filled == sizeof line) {
            flush();
        }
    }
}

void cross_exit(int code)
{
    flush();
    (void)simcall(SIMCALL_EXIT, code, line, 0u);
    for (;;) {
    }
}

uint32_t cross_instructions(void)
{
    uint32_t ticks;
    __asm__ volatile("rsr.ccount %0" : "=r"(ticks));
    return ticks * INSTRUCTIONS_PER_TICK;
}

uintptr_t cross_stack_floor(void)
{
    return (uintptr_t)_stack_floor;
}

/* --- division and long multiplication, by shifting ------------------------------------------- */
uint32_t __udivsi3(uint32_t a, uint32_t b);
uint32_t __umodsi3(uint32_t a, uint32_t b);
int32_t __divsi3(int32_t a, int32_t b);
int32_t __modsi3(int32_t a, int32_t b);
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);
uint64_t __muldi3(uint64_t a, uint64_t b);

static uint64_t divide(uint64_t a, uint64_t b, unsigned bits, uint64_t *rest)
{
    uint64_t quotient = 0u;
    uint64_t remainder = 0u;
    for (unsigned bit = bits; bit > 0u; bit--) {
        remainder = (remainder << 1) | ((a >> (bit - 1u)) & 1u);
        quotient <<= 1;
        if (remainder >= b) {
            remainder -= b;
            quotient |= 1u;
        }
    }
    *rest = remainder;
    return quotient;
}

uint32_t __udivsi3(uint32_t a, uint32_t b)
{
    uint64_t rest;
    return (uint32_t)divide(a, b, 32u, &rest);
}

uint32_t __umodsi3(uint32_t a, uint32_t b)
{
    uint64_t rest;
    (void)divide(a, b, 32u, &rest);
    return (uint32_t)rest;
}

static uint32_t magnitude(int32_t value)
{
    return (value < 0) ? (0u - (uint32_t)value) : (uint32_t)value;
}

int32_t __divsi3(int32_t a, int32_t b)
{
    const uint32_t quotient = __udivsi3(magnitude(a), magnitude(b));
    return ((a < 0) != (b < 0)) ? (int32_t)(0u - quotient) : (int32_t)quotient;
}

int32_t __modsi3(int32_t a, int32_t b)
{
    const uint32_t rest = __umodsi3(magnitude(a), magnitude(b));
    return (a < 0) ? (int32_t)(0u - rest) : (int32_t)rest;
}

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
    uint64_t rest;
    return divide(a, b, 64u, &rest);
}

uint64_t __umoddi3(uint64_t a, uint64_t b)
{
    uint64_t rest;
    (void)divide(a, b, 64u, &rest);
    return rest;
}

uint64_t __muldi3(uint64_t a, uint64_t b)
{
    uint64_t product = 0u;
    for (; b > 0u; b >>= 1) {
        product += ((b & 1u) != 0u) ? a : 0u;
        a <<= 1;
    }
    return product;
}
