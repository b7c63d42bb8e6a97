/*
 * A keyed hash of 16 bytes. Peers choose what is hashed; without the keys they cannot choose where
 * it lands (multiply-shift is universal).
 */
#ifndef TURBO_KEYED_HASH_H
#define TURBO_KEYED_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KEYED_HASH_SEED_BYTES = 40, KEYED_HASH_INPUT_BYTES = 16 };

struct keyed_hash {
    uint64_t keys[5];
};

static inline void keyed_hash_init(struct keyed_hash *hash,
                                   const uint8_t seed[static KEYED_HASH_SEED_BYTES])
{
    memcpy(hash->keys, seed, sizeof(hash->keys));
    for (size_t i = 0; i < 5; i++)
        hash->keys[i] |= 1;
}

static inline uint32_t keyed_hash_of(const struct keyed_hash *hash,
                                     const uint8_t input[static KEYED_HASH_INPUT_BYTES])
{
    uint32_t words[4];
    memcpy(words, input, sizeof(words));
    uint64_t sum = hash->keys[4];
    for (size_t i = 0; i < 4; i++)
        sum += hash->keys[i] * words[i];
    return (uint32_t)(sum >> 32);
}

#endif
