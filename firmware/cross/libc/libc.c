/* The few functions of the C library that the core and Mbed TLS need, and a counted heap. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../cross.h"

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    return memmove(to, from, length);
}

void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if (out < in) {
        for (size_t at = 0; at < length; at++) {
            out[at] = in[at];
        }
    } else {
        for (size_t at = length; at > 0; at--) {
            out[at - 1] = in[at - 1];
        }
    }
    return to;
}

void *memset(void *to, int value, size_t length)
{
    uint8_t *out = to;
    for (size_t at = 0; at < length; at++) {
        out[at] = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const uint8_t *left = a;
    const uint8_t *right = b;
    for (size_t at = 0; at < length; at++) {
        if (left[at] != right[at]) {
            return left[at] - right[at];
        }
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    while ((*a != '\0') && (*a == *b)) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

/* A first-fit heap: PSA keeps its keys in it. */
#define HEAP_BYTES 65536u

typedef struct block {
    uint32_t size;
    uint32_t used;
} block_t;

static union {
    uint64_t align;
    uint8_t bytes[HEAP_BYTES];
} heap;
static uint32_t in_use;
static uint32_t most_in_use;

static block_t *next_of(block_t *block)
{
    return (block_t *)(void *)((uint8_t *)block + sizeof *block + block->size);
}

static void join_free(block_t *block, const uint8_t *end)
{
    while ((block->used == 0u) && ((uint8_t *)next_of(block) < end) &&
           (next_of(block)->used == 0u)) {
        block->size += next_of(block)->size + (uint32_t)sizeof *block;
    }
}

void *calloc(size_t count, size_t size)
{
    const uint32_t wanted = ((uint32_t)(count * size) + 7u) & ~7u;
    const uint8_t *end = &heap.bytes[HEAP_BYTES];
    block_t *block = (block_t *)(void *)heap.bytes;
    if (block->size == 0u) {
        block->size = HEAP_BYTES - (uint32_t)sizeof *block;
    }
    for (; (uint8_t *)block < end; block = next_of(block)) {
        join_free(block, end);
        if ((block->used == 0u) && (block->size >= wanted + sizeof *block)) {
            const uint32_t rest = block->size - wanted - (uint32_t)sizeof *block;
            block->size = wanted;
            block->used = 1u;
            next_of(block)->size = rest;
            next_of(block)->used = 0u;
            in_use += wanted;
            most_in_use = (in_use > most_in_use) ? in_use : most_in_use;
            return memset(block + 1, 0, wanted);
        }
    }
    return NULL;
}

void free(void *memory)
{
    if (memory != NULL) {
        block_t *block = (block_t *)memory - 1;
        block->used = 0u;
        in_use -= block->size;
    }
}

uint32_t cross_heap_most(void)
{
    return most_in_use;
}

void exit(int code)
{
    cross_exit(code);
}
