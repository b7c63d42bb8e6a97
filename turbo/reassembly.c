#include "turbo/reassembly.h"

#include <assert.h>
#include <string.h>

size_t reassembly_bytes(uint8_t slots, uint16_t payload_max)
{
    return (size_t)slots * payload_max;
}

void reassembly_init(struct reassembly *r, uint8_t *buffer, uint8_t slots, uint16_t payload_max)
{
    memset(r, 0, sizeof(*r));
    r->buffer = buffer;
    r->slots = slots;
    r->payload_max = payload_max;
}

size_t reassembly_contiguous_bytes(const struct reassembly *r)
{
    return r->contiguous == 0 ? 0 : r->end[r->contiguous - 1];
}

bool reassembly_has_gap(const struct reassembly *r)
{
    for (size_t index = r->contiguous; index < TURBO_CHUNKS_MAX; index++)
        if (r->length[index] > 0)
            return true;
    return false;
}

static bool present(const struct reassembly *r, size_t index)
{
    return (r->present >> index & 1) != 0;
}

/* Where chunk `index` (from 0) lies: at its place in the stream, or at its slot while it waits. */
static uint8_t *place(const struct reassembly *r, size_t index)
{
    if (index < r->contiguous)
        return r->buffer + r->end[index] - r->length[index];
    return r->buffer + index * r->payload_max;
}

const uint8_t *reassembly_chunk(const struct reassembly *r, uint32_t sequence, size_t *length)
{
    assert(sequence >= 1 && sequence <= TURBO_CHUNKS_MAX);
    size_t index = sequence - 1;
    if (!present(r, index))
        return NULL;
    *length = r->length[index];
    /* An empty one may lie beyond the slots: then it has no place. */
    return *length > 0 ? place(r, index) : r->buffer;
}

uint32_t reassembly_highest(const struct reassembly *r)
{
    uint32_t highest = TURBO_CHUNKS_MAX;
    while (highest > 0 && !present(r, highest - 1))
        highest--;
    return highest;
}

static void close_gap(struct reassembly *r)
{
    while (r->contiguous < TURBO_CHUNKS_MAX && present(r, r->contiguous)) {
        size_t index = r->contiguous;
        size_t start = reassembly_contiguous_bytes(r);
        if (r->length[index] > 0)
            memmove(r->buffer + start, place(r, index), r->length[index]);
        r->end[index] = (uint32_t)(start + r->length[index]);
        r->contiguous++;
    }
}

void reassembly_skip(struct reassembly *r, uint32_t sequence)
{
    assert(sequence <= TURBO_CHUNKS_MAX);
    for (size_t index = 0; index < sequence; index++)
        r->present |= UINT64_C(1) << index;
    close_gap(r);
}

static bool same(const struct reassembly *r, size_t index, const uint8_t *payload, size_t length)
{
    return r->length[index] == length &&
           (length == 0 || memcmp(place(r, index), payload, length) == 0);
}

enum reassembly_result reassembly_push(struct reassembly *r, uint32_t sequence,
                                       const uint8_t *payload, size_t length)
{
    assert(sequence >= 1 && sequence <= TURBO_CHUNKS_MAX);
    size_t index = sequence - 1;
    if (present(r, index))
        return same(r, index, payload, length) ? REASSEMBLY_REPEAT : REASSEMBLY_CONFLICT;
    if (length > r->payload_max || r->bytes + length > TURBO_STREAM_KEPT_MAX)
        return REASSEMBLY_BEYOND;
    if (length > 0) {
        if (index >= r->slots)
            return REASSEMBLY_BEYOND;
        memcpy(place(r, index), payload, length);
    }
    r->length[index] = (uint16_t)length;
    r->bytes += (uint32_t)length;
    r->present |= UINT64_C(1) << index;
    close_gap(r);
    return REASSEMBLY_NEW;
}
