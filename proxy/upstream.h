/*
 * Where connections go: some servers that do the same, chosen by weight among those that are up.
 * Counted: the worker, and connections on their way, hold it.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "proxy/config/config.h"
#include "proxy/server.h"

struct health_checks;
struct side;
struct target;
struct targets;
struct worker;

struct upstream {
    unsigned references;
    struct config *config;                      /* held */
    const struct config_upstream *settings;     /* in it */
    struct server *servers[CONFIG_SERVERS_MAX]; /* held */
    struct targets *targets;                    /* held; of one that is `requested`, else NULL */
    int64_t credit[CONFIG_SERVERS_MAX];         /* smooth weighted round robin */
    uint32_t pending;             /* sessions by UDP on it whose client has not joined by TCP yet */
    struct health_checks *checks; /* under way; NULL: none */
};

/*
 * Of the upstream `index` of `config`; servers that `before` (the one of the same name in the
 * configuration so far; may be NULL) has as well are the same objects, and where nothing but names
 * and times has changed, turns go on where they were. Held once by the caller. NULL: out of memory.
 */
struct upstream *upstream_create(struct config *config, size_t index,
                                 const struct upstream *before);
struct upstream *upstream_hold(struct upstream *upstream);
/* NULL is allowed. */
void upstream_release(struct upstream *upstream);

/*
 * The server for the next connection, other than those of the bits in `tried`: by weight among
 * those that are up; with none of them up, the one that will be back first. Sets its bit. NULL: all
 * have been tried.
 */
struct server *upstream_pick(struct upstream *upstream, turbo_time now, uint64_t *tried);

/* What an upstream is asked for. */
struct upstream_call {
    const struct target *target; /* of a `requested` upstream: not needed afterwards */
    const char *name;            /* of it, to look for its HTTPS record; NULL: none is known */
    const uint8_t *prelude;      /* what the server is sent before anything else: a PROXY header;
                                    copied */
    size_t prelude_length;
    bool plain; /* by TCP, whatever the upstream speaks */
};

/* The far side of a new connection. NULL: out of memory. */
struct side *upstream_open(struct upstream *upstream, struct worker *worker,
                           const struct upstream_call *call);
/* The server that `target` is, of a `requested` upstream: held by the caller. NULL: out of memory.
 */
struct server *upstream_requested(struct upstream *upstream, const struct target *target);

/* What there is to tell of: its servers, or what all that were requested add up to. */
size_t upstream_reported(const struct upstream *upstream);
const struct server *upstream_report(const struct upstream *upstream, size_t index,
                                     uint32_t *weight);

/*
 * May one more session that began on UDP connect to it (§7.1)? From a source that is `proven`: is
 * there room at all; from another: in the half that strangers may have. `owners` workers have
 * sessions, and each a part of the room, but for a few that each may always have.
 */
bool upstream_has_room(const struct upstream *upstream, bool proven, unsigned owners);

/*
 * What became of an attempt to connect to one of its servers, a client's or a check: the server's
 * health is told, and the log when that changes what is used; other failures are in the log once in
 * a while. `on_trial`: what health_try said of this attempt.
 */
void upstream_connected(const struct upstream *upstream, struct server *server,
                        struct worker *worker);
void upstream_failed(const struct upstream *upstream, struct server *server, struct worker *worker,
                     bool on_trial, const char *error);
/* It was connected to, but does not do TLS: `said` is its own reason. In the log once in a while.
 */
void upstream_refused(const struct upstream *upstream, struct server *server, struct worker *worker,
                      const char *fault, const char *said);
/* For want of descriptors or memory here, which says nothing about the server. */
void upstream_gave_up(const struct upstream *upstream, struct server *server, struct worker *worker,
                      bool on_trial, const char *error);

#endif
