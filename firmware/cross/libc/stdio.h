#ifndef STDIO_H
#define STDIO_H
#include <stddef.h>
typedef struct cross_file FILE;
int printf(const char *format, ...);
int snprintf(char *out, size_t size, const char *format, ...);
#endif
