/*
 * Datagrams one way: late, lost, twice, out of order, cut short, or corrupted. What happens to
 * datagram i depends on the plan's seed and i alone.
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "tests/sim/clock.h"
#include "tests/sim/plan.h"
#include "tests/sim/rng.h"

struct datagram {
    struct datagram *next_free;
    uint16_t port; /* of the client, where it left or where it goes */
    uint16_t length;
    uint8_t bytes[TURBO_DATAGRAM_MAX];
};

enum { DATAGRAMS_MAX = 2048 };

struct datagram_pool {
    struct datagram *free;
    size_t used;
    struct datagram all[DATAGRAMS_MAX];
};

void datagram_pool_init(struct datagram_pool *pool);

struct link {
    const struct link_plan *plan;
    struct clock *clock;
    struct datagram_pool *pool;
    struct rng rng;
    uint32_t sent, passed;
    bool in_burst;
    void (*deliver)(void *receiver, const struct datagram *datagram);
    void *receiver;
};

void link_init(struct link *link, const struct link_plan *plan, struct clock *clock,
               struct datagram_pool *pool, uint64_t seed);
/* What becomes of it: for the trace. */
const char *link_send(struct link *link, const uint8_t *bytes, size_t length, uint16_t port);

#endif
