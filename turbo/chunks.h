/*
 * Which requests a client sends for a ClientHello (protocol §4): its chunks, then copies of them as
 * filler. The filler pays for the response and protects the ClientHello against loss.
 */
#ifndef TURBO_CHUNKS_H
#define TURBO_CHUNKS_H

#include "turbo/turbo.h"

struct request_plan {
    uint32_t hello_bytes;
    uint8_t hello_chunks;
    uint8_t requests; /* how many to send at once */
    uint8_t copies;   /* how many of them carry ClientHello chunks; the rest are empty */
};

struct request {
    uint32_t sequence;
    size_t offset, length; /* of the payload in the C→S stream */
};

/* Does a ClientHello of this size go by UDP at all? */
bool request_plan_fits(size_t hello_bytes);

/*
 * Plans for a flight expected to need `expected_chunks` and `expected_bytes`, with at most
 * `requests_max` requests (TURBO_REQUESTS_UNPROVEN until the address has ever answered), but never
 * fewer than the ClientHello has chunks.
 */
struct request_plan request_plan_make(size_t hello_bytes, uint32_t expected_chunks,
                                      uint32_t expected_bytes, uint32_t requests_max);

/* Request number `index` (from 0) of the plan. */
struct request request_plan_at(const struct request_plan *plan, uint32_t index);

#endif
