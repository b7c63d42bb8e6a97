/*
 * Connecting to one of an upstream's servers: when one cannot be connected to, another is tried,
 * and the server's health is told. Each is tried once; while there is another one left, a silent
 * one has TURBO_ADDRESS_TIME, like an address among others, and not all of the connect timeout.
 *
 * Connected to is a server that has accepted, whatever it does next: one that resets the connection
 * at once is not exchanged for another, nor left out. It may have acted on bytes by then, and a
 * client whose bytes make servers reset must not take them away from the others.
 */
#ifndef PROXY_REACH_H
#define PROXY_REACH_H

#include "tunnel/net/address.h"

struct reach;
struct server;
struct target;
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
    /* No server could be connected to; the reach is gone, and the log knows why. `code`: as
     * dial_events has it, of the last one. */
    void (*failed)(void *owner, int code);
};

/* Holds `upstream` while it lasts. `target`: of a `requested` upstream, not needed afterwards; else
 * NULL. Whether it can be reached says nothing about others, and is not kept. NULL: out of memory,
 * or `target` has no address.
 */
struct reach *reach_start(struct worker *worker, struct upstream *upstream,
                          const struct target *target, const struct reach_events *events,
                          void *owner);
/* As dial_again. */
void reach_again(struct reach *reach);
/* Gives up; also from within `started`. NULL is allowed. */
void reach_cancel(struct reach *reach);
/* The connection is over: the server has one less. NULL is allowed. */
void reach_end(struct server *server);

#endif
