/*
 * What all workers have counted, added up: for one page. The first worker's is taken first, as it
 * is where pages are written; the others' while they stand still, so that the numbers are of one
 * moment.
 *
 *   struct totals *totals = totals_create(first);
 *   crew_pause … totals_add(totals, other) for each of them … crew_resume
 *   metrics_write(totals, …)
 *   totals_destroy(totals)
 */
#ifndef PROXY_OPS_TOTALS_H
#define PROXY_OPS_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/config/config.h"
#include "turbo/server.h"

struct listener_group;
struct route_stats;
struct stats;
struct worker;

/* An address, with the sockets that the workers have there. */
struct totals_listener {
    const struct listener_group *group;     /* which one it is, only to be compared */
    struct config *config;                  /* held: one that goes has that of before */
    const struct config_listener *settings; /* in it */
    char text[CONFIG_LISTEN_TEXT_BYTES];
    bool open;    /* somebody accepts there */
    bool leaving; /* no longer wanted */
    uint64_t connections;
    uint64_t pending; /* sessions that wait for TCP */
    struct turbo_endpoint_counters counters;
};

struct totals_server {
    const char *text; /* as its `text` */
    uint64_t weight;
    uint64_t up; /* 1: all workers use it; 0: at least one leaves it out */
    uint64_t connections, connected, failed, passed_checks, failed_checks;
    uint64_t whole, repaired, partial, silent; /* of one that is asked by UDP, as is the next */
    /* Addresses that are not: where workers differ, the most that one has. They learn by
     * themselves, of the same ones. */
    uint64_t udp_paused;
};

struct totals_upstream {
    const struct config_upstream *settings;
    uint64_t pending;
    struct totals_server *servers; /* as upstream_report has them */
    size_t server_count;
};

struct totals {
    struct config *config; /* held: the one in force */
    struct stats *routes;
    /* Those in force, in the configuration's order, and then those that are leaving. */
    struct totals_listener *listeners;
    size_t listener_count, leaving_count;
    struct totals_upstream *upstreams; /* in the configuration's order */
    struct totals_server *servers;     /* of all of them */
    unsigned workers;
    uint64_t connections[CONFIG_WORKERS_MAX]; /* of each worker, arrivals among them */
    uint64_t arrivals, pipes, lines_dropped;
    uint64_t connections_max; /* of all together */
    bool accepting;           /* all of them do */
    bool draining;
};

/*
 * Of the first worker, whose names of servers are used: it must not turn until they are destroyed.
 * NULL: out of memory.
 */
struct totals *totals_create(const struct worker *first);
/* Adds another worker, with the same configuration in force. False: out of memory, and what is
 * there is good for nothing. */
bool totals_add(struct totals *totals, const struct worker *worker);
/* NULL is allowed. */
void totals_destroy(struct totals *totals);

/* Of all workers. */
uint64_t totals_connections(const struct totals *totals);
void totals_add_counters(struct turbo_endpoint_counters *sum,
                         const struct turbo_endpoint_counters *counters);
/* What there is of a route ("": none) of a listener. */
const struct route_stats *totals_route(const struct totals *totals, const char *listener,
                                       const char *route);

#endif
