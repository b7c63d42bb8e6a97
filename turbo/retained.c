#include "turbo/retained.h"

#include <assert.h>
#include <string.h>

enum { RECORD_HEADER_BYTES = 5, APPLICATION_DATA = 23 };

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

static uint32_t record_end(const struct retained *r, uint32_t at)
{
    uint32_t payload = (uint32_t)r->buffer[at + 3] << 8 | r->buffer[at + 4];
    return at + RECORD_HEADER_BYTES + payload;
}

static bool has_record_header(const struct retained *r, uint32_t at)
{
    return at <= r->length && r->length - at >= RECORD_HEADER_BYTES;
}

/* The end of a chunk from `start` on that holds the end of one encrypted record at most. */
static uint32_t end_by_records(const struct retained *r, uint32_t start)
{
    uint32_t limit =
        r->length - start < SANDWICH_PAYLOAD_MAX ? r->length : start + SANDWICH_PAYLOAD_MAX;
    for (uint32_t at = r->record_at; has_record_header(r, at); at = record_end(r, at)) {
        uint32_t end = record_end(r, at);
        if (end > limit)
            break;
        if (end > start && r->buffer[at] == APPLICATION_DATA)
            return end;
    }
    return limit;
}

/* Is there room in the client's first requests for all that is uncut, cut like this? */
static bool may_cut_by_records(const struct retained *r)
{
    uint32_t count = r->chunk_count;
    uint32_t at = (uint32_t)retained_offset_after(r, count);
    for (; at < r->length && count <= SANDWICH_FIRST_FLIGHT; count++)
        at = end_by_records(r, at);
    return count <= SANDWICH_FIRST_FLIGHT;
}

size_t retained_next(const struct retained *r)
{
    size_t uncut = retained_uncut(r);
    if (uncut == 0)
        return 0;
    if (r->dialect == TURBO_DIALECT_PROFILE1)
        return uncut < TURBO_RESPONSE_PAYLOAD_MAX ? uncut : TURBO_RESPONSE_PAYLOAD_MAX;
    uint32_t start = (uint32_t)retained_offset_after(r, r->chunk_count);
    if (may_cut_by_records(r))
        return end_by_records(r, start) - start;
    return uncut < SANDWICH_PAYLOAD_MAX ? uncut : SANDWICH_PAYLOAD_MAX;
}

uint32_t retained_cut(struct retained *r)
{
    size_t n = retained_next(r);
    assert(n > 0);
    uint32_t end = (uint32_t)(retained_offset_after(r, r->chunk_count) + n);
    r->chunk_end[r->chunk_count++] = end;
    while (r->dialect == TURBO_DIALECT_SANDWICH && has_record_header(r, r->record_at) &&
           record_end(r, r->record_at) <= end)
        r->record_at = record_end(r, r->record_at);
    return r->chunk_count;
}

const uint8_t *retained_chunk(const struct retained *r, uint32_t number, size_t *length)
{
    assert(number >= 1);
    size_t start = retained_offset_after(r, number - 1);
    *length = retained_offset_after(r, number) - start;
    return r->buffer + start;
}
