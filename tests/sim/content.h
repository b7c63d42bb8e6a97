/*
 * What both ends of a connection say: a ClientHello of a given size and noise behind it, and noise.
 */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include "tests/sim/plan.h"

enum {
    CONTENT_HELLO_MIN = 59,
    CONTENT_HELLO_MAX = 24 * 1024,
    CONTENT_STREAM_MAX = 192 * 1024, /* bytes one end says at most */
    CONTENT_CCS_BYTES = 6,
};

struct content {
    uint8_t room[CONTENT_HELLO_MAX + CONTENT_STREAM_MAX];
    uint8_t server[CONTENT_STREAM_MAX];
    const uint8_t *c2s, *s2c;
};

/* The two streams of connection `index`. Its ClientHello is unlike any other. */
void content_make(struct content *content, const struct connection_plan *plan, unsigned index);
/* How long a ClientHello in records of `record` becomes that is to be about `length` bytes. */
size_t content_hello_length(size_t length, size_t record);

#endif
