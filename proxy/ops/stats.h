/*
 * What is counted of the connections of each route of each listener, for /metrics and /status.
 * Outlives configurations: the same names go on counting.
 */
#ifndef PROXY_OPS_STATS_H
#define PROXY_OPS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "turbo/outcome.h"
#include "turbo/turbo.h"

struct access;
struct stats;

/* Cumulative, as Prometheus wants them; `counts[i]` is of values up to the i-th bound. */
enum { STATS_BUCKETS = 14 };
struct stats_histogram {
    uint64_t counts[STATS_BUCKETS + 1]; /* the last: all */
    uint64_t sum_us;
};
extern const uint32_t stats_bounds_us[STATS_BUCKETS]; /* 1 ms to 10 s */

struct route_stats {
    struct route_stats *next, *previous;
    struct route_stats *next_alike; /* of those whose names hash alike */
    char *listener, *route;         /* route "": connections that ended before they had one */
    unsigned references;            /* connections and configurations */
    uint64_t active;                /* connections now */
    uint64_t ended[TURBO_OUTCOME_COUNT];
    uint64_t connections[TURBO_OUTCOME_COUNT][TURBO_REASON_COUNT]; /* those, by why as well */
    uint64_t round_trips_saved; /* one for each connection whose outcome is turbo … */
    uint64_t saved_us;          /* … and how long these round trips were */
    uint64_t bytes_c2s, bytes_s2c;
    /* From the client's first byte to the server's first, and to the client's answer to it. Of
     * connections that had both, by how they went. */
    struct stats_histogram first_response[TURBO_OUTCOME_COUNT], first_answer[TURBO_OUTCOME_COUNT];
};

/* NULL: out of memory. */
struct stats *stats_create(void);
/* No route may be held. NULL is allowed. */
void stats_destroy(struct stats *stats);
/* Held once by the caller; those that nobody holds are forgotten. NULL: out of memory. */
struct route_stats *stats_hold(struct stats *stats, const char *listener, const char *route);
/* The same again, for a connection. NULL is allowed, here and below. */
struct route_stats *stats_hold_again(struct route_stats *route);
void stats_release(struct stats *stats, struct route_stats *route);
/* NULL: nobody holds it. */
struct route_stats *stats_find(struct stats *stats, const char *listener, const char *route);
/* All of them, in the order in which they came, by `next`. */
const struct route_stats *stats_first(const struct stats *stats);

/* Sums of several workers': adds what one has of a route, which is held until stats_forget. False:
 * out of memory. */
bool stats_add(struct stats *sums, const struct route_stats *route);
/* Of sums, which nobody else holds: all of them. */
void stats_forget(struct stats *sums);

/* A connection is under way; of each that began exactly one stats_ended or stats_left is told. */
void stats_began(struct route_stats *route);
/* It has found its route: it began there. */
void stats_left(struct route_stats *route);
/* After access_end. */
void stats_ended(struct route_stats *route, const struct access *access);

#endif
