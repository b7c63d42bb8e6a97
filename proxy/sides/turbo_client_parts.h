/*
 * Within the client end's side only: turbo_client.c is what the relay and the loop see of it,
 * turbo_client_connect.c how it gets to a server: one session for each attempt.
 */
#ifndef PROXY_SIDES_TURBO_CLIENT_PARTS_H
#define PROXY_SIDES_TURBO_CLIENT_PARTS_H

#include <ev.h>
#include <stddef.h>

#include "proxy/sides/discovery.h"
#include "proxy/sides/session_udp.h"
#include "proxy/sides/side.h"
#include "proxy/sides/stream.h"
#include "tunnel/net/address.h"
#include "turbo/client.h"

struct reach;
struct server;
struct upstream;
struct upstream_call;
struct worker;

enum { TURBO_CLIENT_TAG = 0x54436c69 /* "TCli" */ };

struct turbo_client_side {
    struct side base;
    uint32_t tag;
    struct worker *worker;
    struct upstream *upstream; /* held, and with it the servers */
    struct discovery discovery;
    struct reach *reach; /* while connecting */
    int syn;             /* of the attempt under way; -1: none, or not the side's */
    turbo_time syn_at;
    bool unknown;                 /* UDP is not used since the server is not known to speak it */
    struct address peer;          /* of the attempt under way, with the UDP port */
    struct server *server;        /* the same: held; NULL until the first SYN has left */
    struct turbo_client *session; /* NULL until the first SYN has left */
    struct stream tcp;            /* no socket until it is up */
    struct session_udp udp;
    uint8_t attempt;  /* in the Sandwich dialect: sessions that were in vain */
    bool begins_anew; /* the last one was, and the next has not begun */
    bool ended;       /* the app's FIN; kept for a new attempt */
    bool want_read;
    ev_timer timer;
    /* For a session, as a rule the only one: side and session are one block, so that the side, too,
     * leaves no gap where what lives longer lies. */
    _Alignas(max_align_t) uint8_t room[];
};

/* ---- turbo_client.c ---- */

/* After anything happened to the session: what it wants sent leaves, what it waits for is watched,
 * and the side's owner is told. */
void turbo_client_step_and_wake(struct turbo_client_side *s);

/* ---- turbo_client_connect.c ---- */

/* False: no memory. */
bool turbo_client_connect(struct turbo_client_side *s, const struct upstream_call *call);
/* The session has failed: another begins where that may help, else the side is lost. */
void turbo_client_begin_anew(struct turbo_client_side *s);
/* Nothing of either goes on, and what the session has taught is kept. */
void turbo_client_connect_end(struct turbo_client_side *s);

#endif
