#include "tests/sim/rng.h"

#include <string.h>

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t rng_mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a + 0x9e3779b97f4a7c15u) ^ (b + 0xd1b54a32d192ed03u));
}

struct rng rng_seeded(uint64_t seed, uint64_t purpose)
{
    return (struct rng){.state = rng_mix(seed, purpose)};
}

uint64_t rng_next(struct rng *rng)
{
    rng->state += 0x9e3779b97f4a7c15u;
    return scramble(rng->state);
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    uint64_t draw = rng_next(rng);
    return n == 0 ? 0 : draw % n;
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    return low + rng_below(rng, high - low + 1);
}

bool rng_is_chance(uint64_t draw, uint32_t per_mille)
{
    return draw % 1000 < per_mille;
}

bool rng_chance(struct rng *rng, uint32_t per_mille)
{
    return rng_is_chance(rng_next(rng), per_mille);
}

void rng_fill(struct rng *rng, uint8_t *out, size_t length)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t draw = rng_next(rng);
        memcpy(out + i, &draw, length - i < sizeof(draw) ? length - i : sizeof(draw));
    }
}
