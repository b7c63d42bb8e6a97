/*
 * Numbered chunks in, a contiguous byte stream out.
 *
 * One buffer of `slots` × `payload_max` bytes serves as both: a chunk that came early waits at its
 * slot, which is never before its place in the stream, and is moved down when the gap before it has
 * closed. Bytes once contiguous stay where they are.
 */
#ifndef TURBO_REASSEMBLY_H
#define TURBO_REASSEMBLY_H

#include "turbo/turbo.h"

struct reassembly {
    uint8_t *buffer;
    uint16_t payload_max;
    uint8_t slots;      /* chunks 1..slots may carry bytes; later ones only emptiness */
    uint8_t contiguous; /* chunks 1..contiguous are in order */
    uint64_t present;   /* bit k-1: chunk k has come */
    uint16_t length[TURBO_CHUNKS_MAX];
    uint32_t end[TURBO_CHUNKS_MAX]; /* stream offset after a contiguous chunk */
    uint32_t bytes;                 /* of all chunks present */
};

enum reassembly_result {
    REASSEMBLY_NEW,
    REASSEMBLY_REPEAT,   /* the same chunk again */
    REASSEMBLY_CONFLICT, /* the same number with another payload: drop and count */
    REASSEMBLY_BEYOND,   /* outside the limits: drop and count */
};

/* Bytes of buffer for `slots` chunks of at most `payload_max`. */
size_t reassembly_bytes(uint8_t slots, uint16_t payload_max);
void reassembly_init(struct reassembly *r, uint8_t *buffer, uint8_t slots, uint16_t payload_max);

/* `sequence` is 1..TURBO_CHUNKS_MAX. */
enum reassembly_result reassembly_push(struct reassembly *r, uint32_t sequence,
                                       const uint8_t *payload, size_t length);

/* The payload of chunk `sequence`, 1..TURBO_CHUNKS_MAX; NULL: it has not come. */
const uint8_t *reassembly_chunk(const struct reassembly *r, uint32_t sequence, size_t *length);
/* The highest number that has come; 0: none. */
uint32_t reassembly_highest(const struct reassembly *r);

/* Those of chunks 1..sequence that have not come are empty, whatever they would have been. */
void reassembly_skip(struct reassembly *r, uint32_t sequence);

/* How many bytes from `buffer` on are in order. */
size_t reassembly_contiguous_bytes(const struct reassembly *r);
/* Has a chunk with bytes come that waits behind a gap? */
bool reassembly_has_gap(const struct reassembly *r);

#endif
