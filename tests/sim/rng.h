/*
 * Random numbers that a seed determines: a stream of them (struct rng), and draws that depend on
 * what they are for and not on when they are asked for (rng_mix).
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* A good hash of two numbers; chain it for more. */
uint64_t rng_mix(uint64_t a, uint64_t b);

struct rng rng_seeded(uint64_t seed, uint64_t purpose);
uint64_t rng_next(struct rng *rng);
/* 0..n-1; 0 when n is 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* From `low` to `high`, both included. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
/* True that many times in a thousand. */
bool rng_chance(struct rng *rng, uint32_t per_mille);
/* The same for a draw from rng_mix. */
bool rng_is_chance(uint64_t draw, uint32_t per_mille);
void rng_fill(struct rng *rng, uint8_t *out, size_t length);

#endif
