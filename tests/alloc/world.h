/*
 * A worker that may lose any of its sessions for want of memory: the fixture's, an obliging server
 * behind it, an edge in between where one is wanted, and a name server.
 *
 * The server answers the ClientHello (or, when it speaks first, nobody) with a flight and the
 * client's answer with a reply, and ends when its client does.
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include "tests/unit/support/wire_client.h"

/* As TLS begins: nothing else comes behind STARTTLS. */
#define WORLD_FLIGHT                                                                               \
    "\x16"                                                                                         \
    "flight"
#define WORLD_ANSWER "answer"

enum { WORLD_REPLY_BYTES = 40, WORLD_REPLY_MAX = 8 << 20 };

struct world {
    struct fixture *f;
    struct wire_client wire; /* of the session under way; each has a ClientHello of its own */
    unsigned sessions;
    size_t first; /* of the session under way among the served connections */
    size_t connections, edge_connections; /* sessions that were lost before and wait for TCP */
    unsigned turns;                       /* of the session under way */
    size_t said[FIXTURE_SERVED_MAX];
    size_t reply_bytes;
    bool speaks_first;
    unsigned asked_port;
    bool starttls; /* as PostgreSQL does it */
    bool agreed[FIXTURE_SERVED_MAX];
    /* A second worker, which the fixture's one has as its upstream; NULL: none. */
    struct worker *edge;
    size_t blocks_before;
    struct datagrams *names; /* a name server; NULL: none */
    size_t names_answered;
};

void world_open(struct world *world);
/* Fails the test when the proxy has kept memory or descriptors. */
void world_close(struct world *world);
/* After a test that has failed. */
void world_abandon(struct world *world);
/* An edge in front of the server. Returns its port. */
unsigned world_start_edge(struct world *world);
/* Every name is that of 127.0.0.1. */
void world_start_names(struct world *world);

/* A new session, which nothing of earlier ones may disturb. */
void world_begin(struct world *world);
/* The loops run once, with failures on, and the servers serve. */
void world_turn(struct world *world, const char *what, const char *file, int line);
/* Lets happen what would happen now. */
void world_let_happen(struct world *world);

/* Nothing is left of the session under way. */
bool world_is_over(const struct world *world);
/* The client's connection has ended, or something failed and it has no patience any more. */
bool world_lost(const struct world *world, struct peer *client);
/* What a client says to ask for STARTTLS, and hears. */
extern const uint8_t world_starttls[8];
#define WORLD_AGREED "S"
/* The flight has come, and all of the reply behind it. */
bool world_heard_flight(const struct peer *client);
bool world_heard_all(const struct world *world, const struct peer *client);

/* Waits; the calling function returns false when the session is lost first. */
#define UNTIL_OR_LOST(w_, lost_, condition_)                                                       \
    do {                                                                                           \
        fixture_begin_wait((w_)->f);                                                               \
        while (!(condition_)) {                                                                    \
            if (lost_)                                                                             \
                return false;                                                                      \
            world_turn((w_), #condition_, __FILE__, __LINE__);                                     \
        }                                                                                          \
    } while (0)

#endif
