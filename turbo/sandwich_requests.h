/*
 * The numbered requests of a client end in the Sandwich dialect (protocol §11): first those that
 * carry C→S bytes, in order, and empty ones between, each of which permits one response.
 *
 * Only numbers: the bytes stay where they are. A request keeps what it carries, so that it can be
 * repeated.
 */
#ifndef TURBO_SANDWICH_REQUESTS_H
#define TURBO_SANDWICH_REQUESTS_H

#include "turbo/chunks.h"

/* All zero: none. */
struct sandwich_requests {
    uint16_t end[TURBO_CHUNKS_MAX]; /* C→S offset behind request 1, 2, … */
    uint8_t count;
    uint8_t left;         /* 1..left have left at least once */
    uint8_t sent;         /* 1..sent have left since the last repeat */
    uint8_t acknowledged; /* 1..acknowledged have come: they are not repeated */
};

/* Requests for the bytes up to offset `end` that none carries yet. False: they would be too many.
 */
bool sandwich_requests_carry(struct sandwich_requests *r, size_t end);
/* Empty ones until there are `count`, or as many as there can be. */
void sandwich_requests_pad(struct sandwich_requests *r, uint32_t count);
/* The next one to be sent. False: there is none now. */
bool sandwich_requests_next(struct sandwich_requests *r, struct request *out);
/* All that have left have come. */
void sandwich_requests_acknowledge(struct sandwich_requests *r);
/* Those that have not come are to be sent once more. */
void sandwich_requests_repeat(struct sandwich_requests *r);
/* How far the C→S stream is carried. */
size_t sandwich_requests_end(const struct sandwich_requests *r);

#endif
