#include "proxy/balance.h"

#include <stdbool.h>

static bool has_bit(uint64_t bits, size_t i)
{
    return (bits >> i & 1) != 0;
}

static uint64_t weighty(const uint32_t *weights, size_t count, uint64_t eligible)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++)
        if (has_bit(eligible, i) && weights[i] > 0)
            bits |= UINT64_C(1) << i;
    return bits;
}

size_t balance_pick(const uint32_t *weights, size_t count, uint64_t eligible, int64_t *credit)
{
    uint64_t bits = weighty(weights, count, eligible);
    bool reserves = bits == 0; /* those of weight 0 are equals among themselves */
    size_t best = BALANCE_NONE;
    int64_t sum = 0;
    if (reserves)
        bits = eligible;
    for (size_t i = 0; i < count; i++) {
        if (!has_bit(bits, i))
            continue;
        int64_t weight = reserves ? 1 : (int64_t)weights[i];
        credit[i] += weight;
        sum += weight;
        if (best == BALANCE_NONE || credit[i] > credit[best])
            best = i;
    }
    if (best != BALANCE_NONE)
        credit[best] -= sum;
    return best;
}
