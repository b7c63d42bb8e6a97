/*
 * The server end: what proxy/udp_endpoint.c, listener.c and worker.c do around a turbo_endpoint.
 */
#ifndef SIM_EDGE_H
#define SIM_EDGE_H

#include "tests/sim/arrival.h"
#include "tests/sim/clock.h"
#include "tests/sim/plan.h"
#include "tests/sim/rng.h"
#include "tests/sim/serving.h"
#include "tests/sim/tcp.h"
#include "turbo/server.h"

enum {
    ARRIVALS_MAX = 2 * CONNECTIONS_MAX,
    SERVINGS_MAX = 24 * CONNECTIONS_MAX, /* each forged id may have one */
    ENDPOINT_BYTES = 384 * 1024,
};

struct datagram;
struct world;

struct edge {
    struct world *world;
    const struct edge_plan *plan;
    struct turbo_endpoint *endpoint;
    struct tcp_listener listener;
    struct alarm alarm;
    bool kicked, listening, draining;
    uint32_t pending;                        /* TLS server connections that no TCP has joined */
    struct turbo_endpoint_counters counters; /* of endpoints before a restart */
    struct rng rng;

    size_t arrival_count, serving_count;
    struct arrival arrivals[ARRIVALS_MAX];
    struct serving servings[SERVINGS_MAX];

    size_t blocks_out; /* of sessions' memory */
    _Alignas(max_align_t) uint8_t memory[ENDPOINT_BYTES];
};

void edge_init(struct edge *edge, struct world *world);
void edge_datagram(void *owner, const struct datagram *datagram);
/* Something happened to a session: datagrams may be due. */
void edge_kick(struct edge *edge);
struct serving *edge_new_serving(struct edge *edge);
/* Sums of all endpoints that were. */
struct turbo_endpoint_counters edge_counters(const struct edge *edge);
/* Nothing is left of any connection: what still is breaks §12.5. */
void edge_check_empty(struct edge *edge);

#endif
