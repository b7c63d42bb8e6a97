#include "turbo/chunks.h"

#include <assert.h>

static uint32_t max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t chunks_of(size_t bytes)
{
    return (uint32_t)((bytes + TURBO_REQUEST_PAYLOAD_MAX - 1) / TURBO_REQUEST_PAYLOAD_MAX);
}

bool request_plan_fits(size_t hello_bytes)
{
    return hello_bytes > 0 && chunks_of(hello_bytes) <= TURBO_HELLO_CHUNKS_MAX;
}

static uint32_t chunk_length(const struct request_plan *plan, uint32_t chunk)
{
    return min(plan->hello_bytes - chunk * TURBO_REQUEST_PAYLOAD_MAX, TURBO_REQUEST_PAYLOAD_MAX);
}

/* What must have been earned, one request lost, before the flight and its parity may be sent. */
static uint32_t bytes_needed(uint32_t chunks, uint32_t bytes)
{
    return bytes + chunks * TURBO_HEADER_BYTES + TURBO_DATAGRAM_MAX;
}

struct request_plan request_plan_make(size_t hello_bytes, uint32_t expected_chunks,
                                      uint32_t expected_bytes, uint32_t requests_max)
{
    assert(request_plan_fits(hello_bytes));
    struct request_plan plan = {.hello_bytes = (uint32_t)hello_bytes,
                                .hello_chunks = (uint8_t)chunks_of(hello_bytes)};
    uint32_t limit = max(min(requests_max, TURBO_REQUESTS_MAX), plan.hello_chunks);
    uint32_t wanted = min(
        limit, max(expected_chunks + TURBO_REQUESTS_SPARE, TURBO_HELLO_COPIES * plan.hello_chunks));
    uint32_t needed = bytes_needed(expected_chunks, expected_bytes);
    uint32_t largest = TURBO_HEADER_BYTES + chunk_length(&plan, 0);
    uint32_t total = 0;
    while (plan.requests < limit &&
           (plan.requests < wanted || TURBO_BUDGET_FACTOR * (total - largest) < needed)) {
        uint32_t size = TURBO_HEADER_BYTES + chunk_length(&plan, plan.requests % plan.hello_chunks);
        if (total + size <= TURBO_REQUEST_BYTES_MAX && plan.copies == plan.requests)
            plan.copies++;
        else if (plan.requests < wanted && total + TURBO_HEADER_BYTES <= TURBO_REQUEST_BYTES_MAX)
            size = TURBO_HEADER_BYTES;
        else
            break;
        plan.requests++;
        total += size;
    }
    return plan;
}

struct request request_plan_at(const struct request_plan *plan, uint32_t index)
{
    assert(index < plan->requests);
    if (index >= plan->copies)
        return (struct request){.sequence = plan->hello_chunks + 1 + index - plan->copies};
    uint32_t chunk = index % plan->hello_chunks;
    return (struct request){.sequence = chunk + 1,
                            .offset = (size_t)chunk * TURBO_REQUEST_PAYLOAD_MAX,
                            .length = chunk_length(plan, chunk)};
}
