/*
 * One server of an upstream: what is known of it, under whatever configuration it is named.
 * Counted: its upstreams and connections hold it.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "proxy/config/config.h"
#include "proxy/health.h"
#include "proxy/memory.h"
#include "turbo/client.h"

enum { SERVER_TEXT_BYTES = CONFIG_HOST_MAX + 32 };

/* Connections that asked by UDP, by how the server's first flight came; but for those that were
 * refused, or whose client left before. */
struct server_flights {
    uint64_t whole;    /* all of it by UDP */
    uint64_t repaired; /* too, though a chunk was lost: parity made up for it */
    uint64_t partial;  /* TCP brought some of it, or all behind a first response */
    uint64_t silent;   /* nothing came by UDP */
};

struct server {
    unsigned references;
    enum endpoint_kind kind;
    char host[CONFIG_HOST_MAX + 1];
    uint16_t port, udp_port;
    char text[SERVER_TEXT_BYTES]; /* "turbo:example.com:443,udp=8443" for logs and metrics */
    struct health health;
    uint64_t connections;           /* being connected, or connected, now */
    uint64_t connected, failed;     /* clients' attempts in all, by how they ended */
    uint64_t checked, check_failed; /* active checks in all; those that failed */
    struct server_flights flights;  /* ENDPOINT_TURBO */
    turbo_time complained;          /* that it cannot be connected to, last; 0: never */
    turbo_time refused;             /* the same, that it does not do STARTTLS */
    uint16_t record_udp_port;       /* as its HTTPS record had it last; 0: it had none */
    struct server *total;           /* held; counts with it. NULL: none */
    struct memory *memory;          /* of its addresses; the total's, where there is one */
};

/* Held once by the caller. `addresses` (at least 1): how many are remembered. NULL: out of memory.
 */
struct server *server_create(enum endpoint_kind kind, const struct config_server *settings,
                             size_t addresses);
/* One of many of which `total` counts what each counts, and remembers all addresses: what UDP does
 * at an address is the same under every name. */
struct server *server_create_in(struct server *total, const struct config_server *settings);
struct server *server_hold(struct server *server);
/* NULL is allowed. */
void server_release(struct server *server);

/* Is it the one that these settings name? Its weight is the upstream's affair. */
bool server_is(const struct server *server, enum endpoint_kind kind,
               const struct config_server *settings);

/* A connection to it is being made: held, until server_left. */
struct server *server_joined(struct server *server);
void server_left(struct server *server);
/* It came to be, or did not. */
void server_note_connect(struct server *server, bool connected);
/* A session with it, or an attempt at one, is over. */
void server_note_flight(struct server *server, const struct turbo_client_report *report);

#endif
