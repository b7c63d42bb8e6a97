#include "tests/sim/sha256.h"

#include <string.h>

#include "tests/sim/rng.h"

void sim_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    uint64_t sum = rng_mix(length, 0);
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, data + i, length - i < sizeof(word) ? length - i : sizeof(word));
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
    }
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = rng_mix(sum, i);
        memcpy(digest + i * sizeof(word), &word, sizeof(word));
    }
}
