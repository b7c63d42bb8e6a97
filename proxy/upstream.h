/*
 * Where connections go: some servers that do the same, chosen by weight among those that are up.
 * Counted: the worker, and connections on their way, hold it.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "proxy/config/config.h"
#include "proxy/server.h"

struct log;
struct side;
struct worker;

struct upstream {
    unsigned references;
    struct config *config;                      /* held */
    const struct config_upstream *settings;     /* in it */
    struct server *servers[CONFIG_SERVERS_MAX]; /* held */
    int64_t credit[CONFIG_SERVERS_MAX];         /* smooth weighted round robin */
    uint32_t pending; /* sessions by UDP on it whose client has not joined by TCP yet */
};

/*
 * Of the upstream `index` of `config`; servers that `before` (the one of the same name in the
 * configuration so far; may be NULL) has as well are the same objects. Held once by the caller.
 * NULL: out of memory.
 */
struct upstream *upstream_create(struct config *config, size_t index,
                                 const struct upstream *before);
struct upstream *upstream_hold(struct upstream *upstream);
/* NULL is allowed. */
void upstream_release(struct upstream *upstream);

/*
 * The server for the next connection, other than those of the bits in `tried`: by weight among
 * those that are up; with none of them up, the one that has been out for the longest. Sets its bit.
 * NULL: all have been tried.
 */
struct server *upstream_pick(struct upstream *upstream, turbo_time now, uint64_t *tried);

/*
 * The far side of a new connection; `prelude` (may be NULL) is what the server is sent before
 * anything else: a PROXY header. Copied. NULL: out of memory.
 */
struct side *upstream_open(struct upstream *upstream, struct worker *worker, const uint8_t *prelude,
                           size_t length);

/* May one more session that began on UDP connect to it (§7.1)? From a source that is `proven`: is
 * there room at all; from another: in the half that strangers may have. */
bool upstream_has_room(const struct upstream *upstream, bool proven);

/* It could not be reached: says so in the log. */
void upstream_failed(const struct upstream *upstream, struct log *log, const char *error);

#endif
