#include "turbo/sandwich_requests.h"

static size_t end_of(const struct sandwich_requests *r, uint32_t number)
{
    return number == 0 ? 0 : r->end[number - 1];
}

size_t sandwich_requests_end(const struct sandwich_requests *r)
{
    return end_of(r, r->count);
}

bool sandwich_requests_carry(struct sandwich_requests *r, size_t end)
{
    while (sandwich_requests_end(r) < end) {
        if (r->count == TURBO_CHUNKS_MAX)
            return false;
        size_t left = end - sandwich_requests_end(r);
        size_t length = left < SANDWICH_PAYLOAD_MAX ? left : SANDWICH_PAYLOAD_MAX;
        r->end[r->count] = (uint16_t)(sandwich_requests_end(r) + length);
        r->count++;
    }
    return true;
}

void sandwich_requests_pad(struct sandwich_requests *r, uint32_t count)
{
    while (r->count < count && r->count < TURBO_CHUNKS_MAX) {
        r->end[r->count] = (uint16_t)sandwich_requests_end(r);
        r->count++;
    }
}

bool sandwich_requests_next(struct sandwich_requests *r, struct request *out)
{
    if (r->sent == r->count)
        return false;
    r->sent++;
    if (r->left < r->sent)
        r->left = r->sent;
    size_t start = end_of(r, r->sent - 1u);
    *out = (struct request){
        .sequence = r->sent, .offset = start, .length = end_of(r, r->sent) - start};
    return true;
}

void sandwich_requests_acknowledge(struct sandwich_requests *r)
{
    r->acknowledged = r->left;
    if (r->sent < r->acknowledged)
        r->sent = r->acknowledged; /* a repeat was under way */
}

void sandwich_requests_repeat(struct sandwich_requests *r)
{
    r->sent = r->acknowledged;
}
