/* A whole file in memory, of at most FILE_CONTENT_MAX bytes. */
#ifndef TUNNEL_CONFIG_FILE_H
#define TUNNEL_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILE_CONTENT_MAX = 1 << 20 };

struct file_content {
    uint8_t *bytes; /* followed by a zero byte, which `length` does not count */
    size_t length;
};

/* False, with errno; EFBIG: it is longer. */
bool file_read(const char *path, struct file_content *content);
/* Overwrites and frees. */
void file_wipe(struct file_content *content);

enum { FILE_FAULT_BYTES = 512 };

/* What is wrong with it, from errno, and what would be right: "cannot be read, in /where/we/are:
 * …; name …", since a relative name is relative to the current directory. */
void file_fault(const char *name, int error, char fault[static FILE_FAULT_BYTES]);
/* False: `fault` says why it is no directory that can be opened. */
bool file_is_directory(const char *name, char fault[static FILE_FAULT_BYTES]);

#endif
