/*
 * A TCP connection at the server end until its first bytes tell what it is: what proxy/arrival.c
 * does around a turbo_opening.
 */
#ifndef SIM_ARRIVAL_H
#define SIM_ARRIVAL_H

#include "tests/sim/clock.h"
#include "turbo/opening.h"

struct edge;
struct serving;
struct tcp;

struct arrival {
    struct edge *edge;
    struct tcp *tcp;      /* NULL: it has become something else, or nothing */
    const uint8_t *bytes; /* all that came, less a tombstone that starts afresh */
    size_t length;
    struct turbo_opening opening;
    bool afresh;           /* behind a tombstone for nothing consumed */
    bool late;             /* came while draining: only to join a session */
    struct serving *trial; /* --sniff-timeout: connected before the client has spoken */
};

void arrival_start(struct arrival *arrival, struct edge *edge, struct tcp *tcp);
void arrival_abort(struct arrival *arrival);
/* News of the trial. */
void arrival_server_spoke(struct arrival *arrival);
void arrival_trial_ended(struct arrival *arrival);

#endif
