/*
 * A worker: one event loop, its listeners, its upstream and its connections. Nothing is global, so
 * any number of them can run in one process.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proxy/net/hangup.h"
#include "proxy/net/resolver.h"
#include "proxy/ops/log.h"
#include "proxy/options.h"
#include "proxy/pump.h"
#include "proxy/upstream.h"

struct arrival;
struct listener;
struct relay;

enum { WORKER_SCRATCH_BYTES = 64 * 1024 };

struct worker {
    struct ev_loop *loop;
    turbo_time now; /* the proxy's clock, read once in each turn of the loop */
    struct log *log;
    const struct options *options;
    struct resolver *resolver;
    struct hangups *hangups;
    struct upstream upstream;
    struct listener *listeners[OPTIONS_LISTENERS_MAX];
    size_t listener_count;
    struct relay *relays; /* linked list */
    /* Linked list, the newest first. */
    struct arrival *arrivals, *oldest_arrival;
    size_t arrival_count;
    size_t arrivals_max;    /* beyond it old ones make room for new ones */
    size_t connections;     /* relays and arrivals */
    size_t connections_max; /* from the limit of open files */
    bool accepting;         /* false: no descriptors for more, until one ends */
    turbo_time paused_at;   /* accepting was, the last time; 0: never */
    bool draining;
    bool ending_late;          /* in arrivals_end_late */
    double handover_timeout_s; /* TURBO_HANDOVER_TIME; shorter in tests */
    ev_check turn;             /* reads the clock */
    ev_timer retry_timer;      /* accepting again after descriptors ran out */
    ev_timer drain_timer;      /* --drain-timeout */
    ev_timer handover_timer;   /* pending sessions may join this long while draining */
    struct pump_pool pipes;
    uint8_t *scratch; /* for one read; nothing in it outlives the call */
};

/* NULL, with an explanation in the log: nothing is left behind. */
struct worker *worker_create(const struct options *options, struct log *log);
/* Opens the listeners. False, with an explanation in the log: some could not be. */
bool worker_listen(struct worker *worker);
/* One line for each listener: "listening turbo:127.0.0.1:443,udp=443". */
void worker_print_listeners(const struct worker *worker, FILE *out);
/* Runs until a drain has ended. */
void worker_run(struct worker *worker);
/* Stops accepting and lets connections finish, for at most --drain-timeout. Again: at once. */
void worker_drain(struct worker *worker);
void worker_destroy(struct worker *worker);

/* ---- for connections ---- */

void worker_connection_began(struct worker *worker);
void worker_connection_ended(struct worker *worker);
/* It could not begin, and is not counted: who waits for connections to end looks again. */
void worker_connection_failed(struct worker *worker);
/* Is there room for a connection that nobody has paid a TCP handshake for? */
bool worker_has_room_for_udp(const struct worker *worker);
/* Are there more arrivals than may be? Then the oldest one has to go. */
bool worker_is_crowded(const struct worker *worker);
/* accept failed for want of descriptors or memory. */
void worker_exhausted(struct worker *worker, int error);
/* While draining: closes what is no longer needed, and ends the loop when nothing is left. */
void worker_check_drained(struct worker *worker);

#endif
