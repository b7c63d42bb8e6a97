/* The files of tests/vectors, whose README.md tells the format: blocks of lines, "key value". */
#ifndef TEST_VECTORS_H
#define TEST_VECTORS_H

#include "tests/unit/support/check.h"

enum { BLOCK_LINES = 96, BLOCK_BYTES = 64 * 1024 };

struct block {
    size_t count;
    struct {
        const char *key, *value; /* "" where there is none */
    } lines[BLOCK_LINES];
    char text[BLOCK_BYTES]; /* what these point into */
};

/* Calls `check` for each block of this kind, the key of its first line; there must be one. */
void vectors_each(const char *kind, void (*check)(const struct block *block));

/* The value of the first such line; fails when there is none. */
const char *block_value(const struct block *block, const char *key);
/* "16 03*2" is 16 03 03. Returns how many bytes. */
size_t vector_bytes(const char *text, uint8_t *out, size_t room);
unsigned long vector_number(const char *text, int base);

/* Says which block it was. */
#define BLOCK_ASSERT(block, condition)                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s %s: %s", (block)->lines[0].key, (block)->lines[0].value, #condition);     \
    } while (0)

#endif
