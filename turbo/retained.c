#include "turbo/retained.h"

#include <assert.h>
#include <string.h>

void retained_init(struct retained *r, uint8_t *buffer)
{
    memset(r, 0, sizeof(*r));
    r->buffer = buffer;
}

size_t retained_append(struct retained *r, const uint8_t *data, size_t length)
{
    size_t room = TURBO_STREAM_KEPT_MAX - r->length;
    size_t n = length < room ? length : room;
    if (n > 0)
        memcpy(r->buffer + r->length, data, n);
    r->length += (uint32_t)n;
    return n;
}

size_t retained_offset_after(const struct retained *r, uint32_t number)
{
    assert(number <= r->chunk_count);
    return number == 0 ? 0 : r->chunk_end[number - 1];
}

size_t retained_uncut(const struct retained *r)
{
    if (r->chunk_count == TURBO_CHUNKS_MAX)
        return 0;
    return r->length - retained_offset_after(r, r->chunk_count);
}

uint32_t retained_cut(struct retained *r)
{
    size_t n = retained_uncut(r);
    assert(n > 0);
    if (n > TURBO_RESPONSE_PAYLOAD_MAX)
        n = TURBO_RESPONSE_PAYLOAD_MAX;
    size_t start = retained_offset_after(r, r->chunk_count);
    r->chunk_end[r->chunk_count++] = (uint32_t)(start + n);
    return r->chunk_count;
}

const uint8_t *retained_chunk(const struct retained *r, uint32_t number, size_t *length)
{
    assert(number >= 1);
    size_t start = retained_offset_after(r, number - 1);
    *length = retained_offset_after(r, number) - start;
    return r->buffer + start;
}
