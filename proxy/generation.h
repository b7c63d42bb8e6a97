/*
 * A configuration in force, and the upstreams that it names. Counted: a connection holds the one it
 * began under, so that a reload does not touch it.
 */
#ifndef PROXY_GENERATION_H
#define PROXY_GENERATION_H

#include "proxy/config/config.h"
#include "proxy/ops/stats.h"
#include "proxy/upstream.h"

struct worker;

struct generation {
    unsigned references;
    struct config *config;       /* held */
    struct upstream **upstreams; /* held; as many as the configuration has, in its order */
    struct stats *stats;
    struct route_stats **route_stats; /* held; see generation_stats */
};

/* `before` (NULL: none) is the one so far: servers that both have are the same. Held once by the
 * caller. NULL: out of memory, or it names no listener or no upstream, which no checked one does.
 */
struct generation *generation_create(struct config *config, struct stats *stats,
                                     const struct generation *before);
struct generation *generation_hold(struct generation *generation);
/* NULL is allowed. */
void generation_release(struct generation *generation);

/* While it is in force: its servers are checked, where it says so. False: out of memory, they are
 * not, or not all. */
bool generation_start_checks(struct generation *generation, struct worker *worker);
/* NULL is allowed. */
void generation_stop_checks(struct generation *generation);

/* Where connections of the listener are counted, by route; NULL: those that have none (yet). */
struct route_stats *generation_stats(const struct generation *generation,
                                     const struct config_listener *listener,
                                     const struct config_route *route);

#endif
