/*
 * May a connection ask its server by UDP? Which servers are known to speak TurboTLS (protocol
 * §10.1): those that the configuration names, those whose HTTPS record says so, and those that have
 * answered by UDP before.
 */
#ifndef PROXY_SIDES_DISCOVERY_H
#define PROXY_SIDES_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/net/address.h"
#include "turbo/learned.h"

struct config_upstream;
struct resolver_query;
struct server;
struct upstream;
struct upstream_call;
struct worker;

struct discovery {
    uint32_t tag;
    const struct config_upstream *settings; /* of an upstream that outlives it */
    struct resolver_query *query;           /* for the record; NULL: none is under way */
    bool known;                             /* there was an answer */
    bool turbo;                             /* the record says so */
    uint16_t udp_port;
    void (*told)(void *owner);
    void *owner;
};

/* Asks for the record of the call's name, if it has one and the servers are not named by the
 * configuration. `told` is called once there is an answer, from the loop. */
void discovery_start(struct discovery *discovery, struct worker *worker,
                     const struct upstream *upstream, const struct upstream_call *call,
                     void (*told)(void *owner), void *owner);
void discovery_stop(struct discovery *discovery);

/* As far as is known now. A record never aims UDP at an address that is not public (protocol
 * §10.5). */
bool discovery_allows(const struct discovery *discovery, const struct address *peer,
                      const struct turbo_learned *learned);
/* What the record says, if there was an answer, is kept for when there is none. */
void discovery_remember(const struct discovery *discovery, struct server *server);
/* Where to: as the record says or said last, where that counts; else the server's own port. */
uint16_t discovery_udp_port(const struct server *server, const struct address *peer);

#endif
