#ifndef STDLIB_H
#define STDLIB_H
#include <stddef.h>
void *calloc(size_t count, size_t size);
void free(void *memory);
void exit(int code);
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
#endif
