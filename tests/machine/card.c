/*
 * A memory card's volatile write cache, preloaded into the user-mode kernel.
 *
 * What the machine writes to CARD_IMAGE is in the card's cache until the machine flushes it. Until
 * then CARD_CACHE holds what each write replaced, so that a power cut can take any of them back
 * (tests/machine/card.py): records of offset (8), length (8) and the bytes from before.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 16 }; /* of a record; the kernel writes a page at a time */

static int cache = -1;
static struct stat image;
static char before[MOST_BYTES]; /* static: the kernel's stacks are small */

__attribute__((constructor)) static void insert_card(void)
{
    const char *image_path = getenv("CARD_IMAGE");
    const char *cache_path = getenv("CARD_CACHE");

    if (image_path && cache_path && stat(image_path, &image) == 0)
        cache = open(cache_path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

static int is_card(int fd)
{
    struct stat file;

    return cache >= 0 && fstat(fd, &file) == 0 && file.st_ino == image.st_ino &&
           file.st_dev == image.st_dev;
}

static int remember(int fd, size_t length, off_t offset)
{
    while (length > 0) {
        size_t part = length < MOST_BYTES ? length : MOST_BYTES;
        uint64_t header[2] = {(uint64_t)offset, part};
        struct iovec record[2] = {{header, sizeof header}, {before, part}};

        if (syscall(SYS_pread64, fd, before, part, offset) != (ssize_t)part ||
            writev(cache, record, 2) != (ssize_t)(sizeof header + part))
            return -1;
        offset += (off_t)part;
        length -= part;
    }
    return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    if (is_card(fd) && remember(fd, length, offset) < 0)
        return -1;
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

/* The flush: from here on a power cut takes nothing back. (The host itself keeps its power.) */
int fsync(int fd)
{
    return is_card(fd) ? ftruncate(cache, 0) : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return is_card(fd) ? ftruncate(cache, 0) : (int)syscall(SYS_fdatasync, fd);
}
