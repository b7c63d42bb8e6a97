/*
 * Connecting to one of an upstream's servers: when one cannot be connected to, another is tried,
 * and the server's health is told.
 */
#ifndef PROXY_REACH_H
#define PROXY_REACH_H

#include "proxy/net/address.h"

struct reach;
struct server;
struct upstream;
struct worker;

/* All are called from the loop, never from within reach_start. */
struct reach_events {
    /* A SYN to `peer`, an address of `server`, has left on `fd`, which still belongs to the reach.
     * May come several times, for other addresses and other servers. May be NULL. */
    void (*started)(void *owner, int fd, const struct address *peer, struct server *server);
    /* Connected: `fd` is the owner's now, and the reach is gone. `server` is held by the owner, who
     * gives it back with reach_end. */
    void (*up)(void *owner, int fd, const struct address *peer, struct server *server);
    /* No server could be connected to; the reach is gone. `error` is text, valid during the call.
     */
    void (*failed)(void *owner, const char *error);
};

/* NULL: out of memory. */
struct reach *reach_start(struct worker *worker, struct upstream *upstream,
                          const struct reach_events *events, void *owner);
/* As dial_again. */
void reach_again(struct reach *reach);
/* Gives up; also from within `started`. NULL is allowed. */
void reach_cancel(struct reach *reach);
/* The connection is over: the server has one less. NULL is allowed. */
void reach_end(struct server *server);

#endif
