/*
 * The one bounds-checked way to read and write bytes.
 *
 * A cursor that runs past its end stays failed: reads give zeros, writes do nothing, and one check
 * of `ok` at the end covers all of them.
 */
#ifndef TURBO_CURSOR_H
#define TURBO_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at;
    size_t left;
    bool ok;
};

static inline struct reader reader_of(const uint8_t *data, size_t length)
{
    return (struct reader){.at = data, .left = length, .ok = true};
}

/* The next `n` bytes, or NULL (and failed) when fewer are left. */
static inline const uint8_t *reader_bytes(struct reader *r, size_t n)
{
    if (!r->ok || n > r->left) {
        r->ok = false;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += n;
    r->left -= n;
    return bytes;
}

/* A big-endian number of `width` bytes (1 to 4). */
static inline uint32_t reader_number(struct reader *r, size_t width)
{
    const uint8_t *bytes = reader_bytes(r, width);
    uint32_t value = 0;
    for (size_t i = 0; bytes != NULL && i < width; i++)
        value = value << 8 | bytes[i];
    return value;
}

struct writer {
    uint8_t *at;
    size_t left;
    bool ok;
};

static inline struct writer writer_of(uint8_t *data, size_t length)
{
    return (struct writer){.at = data, .left = length, .ok = true};
}

static inline void writer_bytes(struct writer *w, const void *bytes, size_t n)
{
    if (!w->ok || n > w->left) {
        w->ok = false;
        return;
    }
    if (n > 0)
        memcpy(w->at, bytes, n);
    w->at += n;
    w->left -= n;
}

/* A big-endian number of `width` bytes (1 to 4). */
static inline void writer_number(struct writer *w, uint32_t value, size_t width)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    writer_bytes(w, bytes + 4 - width, width);
}

#endif
