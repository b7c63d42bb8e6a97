/*
 * One server of an upstream: what is known of it, under whatever configuration it is named.
 * Counted: its upstreams and connections hold it.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "proxy/config/config.h"
#include "proxy/health.h"
#include "proxy/memory.h"

enum { SERVER_TEXT_BYTES = CONFIG_HOST_MAX + 32 };

struct server {
    unsigned references;
    enum endpoint_kind kind;
    char host[CONFIG_HOST_MAX + 1];
    uint16_t port, udp_port;
    char text[SERVER_TEXT_BYTES]; /* "turbo:example.com:443,udp=8443" for logs and metrics */
    struct memory memory;         /* of its addresses */
    struct health health;
    uint64_t connections;           /* being connected, or connected, now */
    uint64_t connected, failed;     /* clients' attempts in all, by how they ended */
    uint64_t checked, check_failed; /* active checks in all; those that failed */
    turbo_time complained;          /* that it cannot be connected to, last; 0: never */
};

/* Held once by the caller. NULL: out of memory. */
struct server *server_create(enum endpoint_kind kind, const struct config_server *settings);
struct server *server_hold(struct server *server);
/* NULL is allowed. */
void server_release(struct server *server);

/* Is it the one that these settings name? Its weight is the upstream's affair. */
bool server_is(const struct server *server, enum endpoint_kind kind,
               const struct config_server *settings);

#endif
