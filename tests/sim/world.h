/*
 * One run: every connection of a plan, the client end with its memory, the server end, and the
 * network between them. Everything is in one block, and a seed decides all of it.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "tests/sim/actor.h"
#include "tests/sim/content.h"
#include "tests/sim/coverage.h"
#include "tests/sim/dialler.h"
#include "tests/sim/edge.h"
#include "tests/sim/journal.h"
#include "tests/sim/link.h"
#include "tests/sim/plan.h"
#include "tests/sim/tcp.h"

/* Why a connection may fail although neither end aborted it (protocol §12.2). */
enum excuse {
    EXCUSE_RESTART = 1,
    EXCUSE_DRAIN = 2,
    EXCUSE_EXPIRED = 4,
    EXCUSE_OPENING_TIME = 8,
    EXCUSE_NO_SERVER = 16,
    EXCUSE_NO_TCP = 32,
    EXCUSE_HOSTILE = 64,
};

struct connection {
    struct world *world;
    const struct connection_plan *plan;
    int index;
    unsigned excuses;
    unsigned hello_reached; /* TLS server connections that have got bytes of the ClientHello */
    unsigned dials;         /* attempts to reach a TLS server */
    bool server_lost;       /* a TLS server connection was lost with the server's state (§12.3) */
    struct content content;
    struct actor app;
    struct actor *server; /* the TLS server that TCP leads to; NULL: none yet */
    struct dialler dialler;
    struct tcp tcp[TCP_ADDRESSES][TCP_ATTEMPTS];
    struct link requests, responses;
    bool over; /* at the client end */
};

/* What came from and went to one client address, counted on the wire (protocol §12.4). */
struct account {
    uint64_t requests, responses, request_bytes, response_bytes;
};

enum { PORTS_AN_ADDRESS = 8, PORTS_A_CONNECTION = 2 * PORTS_AN_ADDRESS, FIRST_PORT = 1024 };

struct world {
    struct clock clock;
    struct journal journal;
    const struct plan *plan;
    struct coverage *coverage;
    bool classic; /* nobody speaks TurboTLS */
    struct turbo_learned learned[TCP_ADDRESSES];
    struct datagram_pool datagrams;
    struct connection connections[CONNECTIONS_MAX];
    struct account accounts[CONNECTIONS_MAX * PORTS_A_CONNECTION];
    struct edge edge;
};

/* Runs a plan to its end; a breach of §12 is in `journal`. */
void world_run(struct world *world, const struct plan *plan, struct coverage *coverage,
               bool classic, bool traced);

/* A client's address and port, and back. */
struct turbo_path world_path(const struct connection *c, uint16_t port);
struct connection *world_connection_at(struct world *world, uint16_t port);
/* Whom connection `c` reaches at that address. */
const struct tcp_listener *world_host(const struct connection *c, unsigned address);
void world_count(struct world *world, enum path path);
/* Something happens to the server end that connections may rightly fail of. */
void world_excuse_all(struct world *world, enum excuse excuse);
void world_account_request(struct world *world, const struct datagram *datagram);
void world_account_response(struct world *world, uint16_t port, size_t length);

#endif
