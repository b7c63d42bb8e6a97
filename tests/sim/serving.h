/*
 * A connection to a TLS server at the server end, and what leads to it: what the relay and
 * proxy/sides/turbo_server.c do around a turbo_server, and the relay between two sockets.
 */
#ifndef SIM_SERVING_H
#define SIM_SERVING_H

#include "tests/sim/actor.h"
#include "turbo/server.h"

struct arrival;
struct connection;
struct edge;
struct tcp;

struct serving {
    struct edge *edge;
    struct connection *connection;
    struct turbo_server *session; /* NULL: none, or it has settled */
    struct tcp *tcp;              /* NULL: nobody has joined */
    struct arrival *trial;        /* whose trial it is; NULL: nobody's */
    struct actor server;
    bool up, over;
    bool pending; /* counted as such */
    bool got_hello;
    bool heard, fin_sent;    /* the TLS server's end was taken, and sent on TCP */
    bool doomed;             /* the TLS server has reset; its last words come first */
    turbo_time doomed_until; /* 0: nobody has joined */
};

/* UDP has brought a ClientHello. */
void serving_start_session(struct edge *edge, struct connection *c, struct turbo_server *session);
/* A TCP connection is to have one of its own; its bytes are read from the start again. */
void serving_start_tcp(struct edge *edge, struct connection *c, struct tcp *tcp);
/* Before the client has spoken; `arrival` is told when the server does. */
struct serving *serving_start_trial(struct edge *edge, struct connection *c,
                                    struct arrival *arrival);
void serving_use_trial(struct serving *serving, struct tcp *tcp);
void serving_close_trial(struct serving *serving);
/* TCP joins the session; what it has brought is read from the start again. */
void serving_join(struct serving *serving, struct tcp *tcp);
/* The session has expired, or its client has aborted it. */
void serving_session_ended(struct serving *serving);
/* The server end is gone, and everything with it. */
void serving_kill(struct serving *serving);

#endif
