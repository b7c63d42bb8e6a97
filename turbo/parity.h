/*
 * Parity (protocol §9): one datagram from which any one lost chunk can be rebuilt.
 *
 * Its payload is the XOR of the chunks' lengths (2 bytes) and the XOR of their payloads, each
 * padded with zero bytes to the longest.
 */
#ifndef TURBO_PARITY_H
#define TURBO_PARITY_H

#include "turbo/reassembly.h"
#include "turbo/retained.h"

/* The length that parity of all chunks cut so far will have. There is at least one chunk. */
size_t parity_length(const struct retained *r);
/* Writes it: `length` bytes as told before. */
void parity_make(const struct retained *r, uint8_t *out, size_t length);

/* What the client end keeps of a parity datagram until it is of use. */
struct parity {
    uint32_t covered; /* chunks 1..covered; 0: none has come */
    uint16_t length;
    uint8_t payload[TURBO_REQUEST_PAYLOAD_MAX];
};

/*
 * Rebuilds the one chunk of 1..covered that has not come, and pushes it into `r`. False: none or
 * more than one is missing, or what comes out is no chunk.
 */
bool parity_rebuild(const struct parity *parity, struct reassembly *r);

#endif
