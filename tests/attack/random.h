/*
 * Random numbers by the million; nothing of secrecy hangs on them (xorshift64*, G. Marsaglia).
 */
#ifndef ATTACK_RANDOM_H
#define ATTACK_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* Another series in each process. */
void random_init(struct random *random);

static inline uint64_t random_next(struct random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 0x2545f4914f6cdd1dull;
}

/* 0 … bound - 1. */
static inline uint32_t random_below(struct random *r, uint32_t bound)
{
    return (uint32_t)((random_next(r) >> 32) * bound >> 32);
}

void random_fill(struct random *random, uint8_t *out, size_t length);

#endif
