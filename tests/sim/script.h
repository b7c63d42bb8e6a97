/*
 * Scripts of the two TLS ends of a connection, built stage by stage.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "tests/sim/plan.h"
#include "tests/sim/rng.h"

/* A TLS conversation; what is 0 is left out. */
struct talk {
    size_t hello;
    turbo_time app_start; /* the app connects, and says nothing for so long */
    bool ccs;
    size_t retry; /* HelloRetryRequest, to which the app says hello once more */
    size_t flight;
    unsigned pieces;  /* the flight comes in so many */
    turbo_time pause; /* between them */
    turbo_time server_think, app_think;
    size_t answer, reply, data; /* data: the app says it behind the reply */
    bool app_ends_first;
};

/* For a ClientHello in such records. */
struct talk script_draw_talk(struct rng *rng, size_t record);
void script_write(struct connection_plan *plan, const struct talk *talk);
/* The server speaks first, and the app answers: not TLS. */
void script_write_opaque(struct connection_plan *plan, size_t greeting, size_t answer,
                         size_t reply);

#endif
