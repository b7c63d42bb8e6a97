/*
 * A worker: one event loop, the configuration in force, its listeners and its connections. Nothing
 * is global; crew.h has how several run in one process, each in a thread of its own.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proxy/config/config.h"
#include "proxy/inbox.h"
#include "proxy/net/dial.h"
#include "proxy/net/hangup.h"
#include "proxy/net/resolver.h"
#include "proxy/ops/blocks.h"
#include "proxy/ops/log.h"
#include "proxy/ops/peak.h"
#include "proxy/pump.h"

struct arrival;
struct generation;
struct inherited;
struct listener;
struct listener_group;
struct relay;
struct stats;

enum {
    WORKER_SCRATCH_BYTES = 64 * 1024,
    WORKER_SOCKETS_MAX = 2 * CONFIG_LISTENERS_MAX /* TCP and UDP */
};

/* The workers of a process, as they know of each other. */
struct workmates {
    struct worker *workers[CONFIG_WORKERS_MAX];
    unsigned count;
    _Atomic size_t connections; /* of all, and on their way from one to another */
    /* An inbox was woken; called in the worker's thread, last. NULL: nobody wants to know. */
    void (*woken)(void *owner, struct worker *worker);
    void *owner;
};

struct worker {
    unsigned index; /* among its mates */
    struct workmates *mates;
    struct workmates alone; /* these, when there are no others */
    struct inbox inbox;
    struct ev_loop *loop;
    int epoll;      /* the loop's own; -1: not known */
    turbo_time now; /* the proxy's clock, read once in each turn of the loop */
    struct log *log;
    struct generation *generation; /* the configuration in force, and its upstreams */
    struct stats *stats;
    struct resolver *resolver;
    struct hangups *hangups;
    struct listener *listeners[CONFIG_LISTENERS_MAX]; /* in the configuration's order */
    size_t listener_count;
    struct listener **leaving; /* those that are no longer wanted, until their connections end */
    size_t leaving_count;
    struct relay *relays; /* linked list */
    size_t relay_count;
    struct relay *look_next; /* of those, the first to be looked at next; NULL: begin anew */
    ev_timer look_timer;     /* only while there are relays with timeouts */
    double look_seconds;     /* how late one may be noticed */
    /* Linked list, the newest first. */
    struct arrival *arrivals, *oldest_arrival;
    size_t arrival_count;
    size_t arrivals_max;    /* beyond it old ones make room for new ones */
    size_t connections;     /* relays and arrivals */
    struct peak peak;       /* of connections */
    size_t connections_max; /* of all workers, from the limit of open files */
    bool accepting;         /* false: no descriptors for more, until one ends */
    turbo_time paused_at;   /* accepting was, the last time; 0: never */
    bool draining;
    bool has_closed;            /* a listener has: arrivals_end_late */
    bool ending_late;           /* in it */
    double handover_timeout_s;  /* TURBO_HANDOVER_TIME; shorter in tests */
    ev_check turn;              /* reads the clock */
    ev_timer retry_timer;       /* accepting again after descriptors ran out */
    ev_timer drain_timer;       /* drain_timeout_seconds */
    ev_timer handover_timer;    /* pending sessions may join this long while going away */
    void (*quiet)(void *owner); /* worker_quiesce's; NULL: not asked */
    void *quiet_owner;
    ev_prepare quiet_event;  /* never started, only fed */
    struct succession *next; /* while one configuration follows another */
    struct blocks blocks;    /* of young sessions */
    struct pump_pool pipes;
    struct dial_spares spares;
    uint8_t *scratch; /* for one read; nothing in it outlives the call */
};

/* NULL, with an explanation in the log: nothing is left behind. */
struct worker *worker_create(struct config *config, struct log *log);
/* The same, as the worker `index` of `mates`, whose count is right already. */
struct worker *worker_create_among(struct config *config, struct log *log, struct workmates *mates,
                                   unsigned index);
/*
 * Opens the listeners, with sockets from `inherited` (may be NULL) where they are there. Nothing is
 * accepted before worker_accept. False, with an explanation in the log: some could not be.
 */
bool worker_open(struct worker *worker, struct inherited *inherited);
void worker_accept(struct worker *worker);
/* Both. */
bool worker_listen(struct worker *worker);
/*
 * Puts another configuration in force: listeners and servers that both have are kept, connections
 * are not touched. False, with an explanation in the log: nothing has changed.
 */
bool worker_reconfigure(struct worker *worker, struct config *config);
/* Its two steps, for several workers, the first of them first: worker_prepare opens what is new;
 * then it is put in force, or (`changed` false) given up, everywhere. */
struct succession;
bool worker_prepare(struct worker *worker, struct config *config, struct succession *next);
void worker_settle(struct worker *worker, struct succession *next, bool changed);
/*
 * New sessions by UDP are refused from now on; `quiet` is called once none waits for TCP any more,
 * or after 5 s (protocol §7.5). TCP goes on as ever.
 */
void worker_quiesce(struct worker *worker, void (*quiet)(void *owner), void *owner);
/* The process to come is lost: everything is as before worker_quiesce. */
void worker_unquiesce(struct worker *worker);
/* The sockets that the listeners accept at, which stay theirs. Returns how many. */
size_t worker_sockets(const struct worker *worker, int fds[static WORKER_SOCKETS_MAX]);
/* One line for each listener: "listening turbo:127.0.0.1:443,udp=443". */
void worker_print_listeners(const struct worker *worker, FILE *out);
/* Its listener of the group, wanted or not, open or not. NULL: it has gone. */
struct listener *worker_listener(const struct worker *worker, const struct listener_group *group);
/* Runs until a drain has ended. */
void worker_run(struct worker *worker);
/*
 * Takes over `fd`, which another process has accepted at `listener` (as address_text has its TCP
 * address) and not read from. One at an address where nobody listens any more is reset.
 */
void worker_take(struct worker *worker, int fd, const char *listener);
/* Another process has the listening sockets from now on. What has been accepted is served, whether
 * it has said what it is or not. */
void worker_give_up_sockets(struct worker *worker);
/* Stops accepting and lets connections finish, within the drain timeout. Again: at once. */
void worker_drain(struct worker *worker);
void worker_destroy(struct worker *worker);

/* ---- for connections ---- */

/*
 * Nothing watches `fd` any more, and its socket goes on elsewhere: the loop would leave it in its
 * set until an event comes, and then take it out by its number, which may be another's by then.
 * Where the loop's set is not the one that it opened first any more, nothing happens.
 */
void worker_forget(const struct worker *worker, int fd);

void worker_connection_began(struct worker *worker);
void worker_connection_ended(struct worker *worker);
/* The arrival becomes a relay, which is counted anew. */
void worker_connection_goes_on(struct worker *worker);
/* It could not begin, and is not counted: who waits for connections to end looks again. */
void worker_connection_failed(struct worker *worker);
/* Is there room for a connection that nobody has paid a TCP handshake for? */
bool worker_has_room_for_udp(const struct worker *worker);
/* One is on its way to another worker, and counts meanwhile; and has come there. */
void worker_connection_sent(struct worker *worker);
void worker_connection_received(struct worker *worker);
/* Are there more arrivals than may be? Then the oldest one has to go. */
bool worker_is_crowded(const struct worker *worker);
/* accept failed for want of descriptors or memory. */
void worker_exhausted(struct worker *worker, int error);
/* Something that all of them may be waiting for has ended: they look again, if they are. */
void worker_tell_mates(const struct worker *worker);
/* Closes what is no longer needed; while draining, ends the loop when nothing is left. */
void worker_check_drained(struct worker *worker);

#endif
