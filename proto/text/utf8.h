/*
 * UTF-8 (RFC 3629), a character at a time.
 */
#ifndef PROTO_TEXT_UTF8_H
#define PROTO_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_BYTES_MAX = 4, UTF8_NOT = 0x110000 /* no character's number */ };

/*
 * The character that `bytes` begin with, and in `used` its length. UTF8_NOT, and one byte used:
 * they begin with none. `length` is above 0.
 */
uint32_t utf8_next(const char *bytes, size_t length, size_t *used);
/* Writes `point`, which is below 0x110000 and no surrogate. Returns how many bytes. */
size_t utf8_put(uint32_t point, char out[static UTF8_BYTES_MAX]);
/* Not a control, nor what starts a line or changes the direction of writing; not UTF8_NOT. */
bool utf8_is_printable(uint32_t point);

#endif
