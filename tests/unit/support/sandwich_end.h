/*
 * Our own server end in the place of the world's server: what a proxy does around a turbo_endpoint.
 */
#ifndef TEST_SANDWICH_END_H
#define TEST_SANDWICH_END_H

#include "tests/unit/support/edge.h"
#include "tests/unit/support/sandwich_world.h"

struct sandwich_end {
    struct edge edge;
    struct turbo_server *session; /* NULL: not yet, or not any more */
    bool lost;                    /* it has ended by itself */
    bool joined;
    size_t pushed; /* S→C bytes that it has been given, or TCP */
};

/* The world has it from now on; call before world_begin. */
void sandwich_end_start(struct world *w, struct sandwich_end *end);
void sandwich_end_stop(struct world *w);

void sandwich_end_datagram(struct world *w, const uint8_t *data, size_t length);
void sandwich_end_tcp(struct world *w, const uint8_t *data, size_t length);
void sandwich_end_accepted(struct world *w);
turbo_time sandwich_end_deadline(const struct world *w);
void sandwich_end_tick(struct world *w);

#endif
