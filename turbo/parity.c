#include "turbo/parity.h"

#include <assert.h>
#include <string.h>

enum { LENGTH_BYTES = TURBO_PARITY_PAYLOAD_MIN };

/* Adds a chunk to the sum, or takes it out again: the same. It is not longer than the sum. */
static void add(uint8_t *sum, const uint8_t *chunk, size_t length)
{
    sum[0] ^= (uint8_t)(length >> 8);
    sum[1] ^= (uint8_t)length;
    sum += LENGTH_BYTES;
    size_t words = length / sizeof(uint64_t) * sizeof(uint64_t);
    for (size_t i = 0; i < words; i += sizeof(uint64_t)) {
        uint64_t a, b;
        memcpy(&a, sum + i, sizeof(a));
        memcpy(&b, chunk + i, sizeof(b));
        a ^= b;
        memcpy(sum + i, &a, sizeof(a));
    }
    for (size_t i = words; i < length; i++)
        sum[i] ^= chunk[i];
}

size_t parity_length(const struct retained *r)
{
    assert(r->chunk_count > 0);
    size_t longest = 0;
    for (uint32_t number = 1; number <= r->chunk_count; number++) {
        size_t length;
        retained_chunk(r, number, &length);
        longest = length > longest ? length : longest;
    }
    return LENGTH_BYTES + longest;
}

void parity_make(const struct retained *r, uint8_t *out, size_t length)
{
    memset(out, 0, length);
    for (uint32_t number = 1; number <= r->chunk_count; number++) {
        size_t chunk_length;
        const uint8_t *chunk = retained_chunk(r, number, &chunk_length);
        assert(LENGTH_BYTES + chunk_length <= length);
        add(out, chunk, chunk_length);
    }
}

/* The number of the only chunk that is missing; 0: none, or several. */
static uint32_t only_missing(const struct parity *p, const struct reassembly *r)
{
    uint32_t missing = 0;
    for (uint32_t number = 1; number <= p->covered; number++) {
        size_t length;
        if (reassembly_chunk(r, number, &length) != NULL)
            continue;
        if (missing != 0)
            return 0;
        missing = number;
    }
    return missing;
}

bool parity_rebuild(const struct parity *p, struct reassembly *r)
{
    uint32_t missing = only_missing(p, r);
    if (missing == 0)
        return false;
    uint8_t sum[TURBO_REQUEST_PAYLOAD_MAX];
    memcpy(sum, p->payload, p->length);
    for (uint32_t number = 1; number <= p->covered; number++) {
        size_t length;
        const uint8_t *chunk = number == missing ? NULL : reassembly_chunk(r, number, &length);
        if (chunk == NULL)
            continue;
        if (LENGTH_BYTES + length > p->length)
            return false;
        add(sum, chunk, length);
    }
    size_t length = (size_t)sum[0] << 8 | sum[1];
    if (LENGTH_BYTES + length > p->length)
        return false;
    return reassembly_push(r, missing, sum + LENGTH_BYTES, length) == REASSEMBLY_NEW;
}
