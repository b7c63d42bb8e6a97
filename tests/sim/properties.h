/*
 * What must hold when a run is over (protocol §12.1, 12.2, 12.5), and against the same run without
 * UDP (12.6). What can be seen at once is looked at where it happens: bytes in actor.c, the second
 * ClientHello in serving.c, permits in world.c.
 *
 * 12.6, why the comparison is sound: both runs have the same scripts, and in both a byte's time on
 * TCP depends on its place in the stream alone (tcp.h), so whatever is written by `t` later arrives
 * by `t` later at most, and whatever is answered is answered by `t` later at most: the whole
 * exchange is a composition of maxima and sums. The second connect of §6.8 has SYN draws of its
 * own, but the first to come up is used and the other's draws are those of the classic run; so it
 * can only help. What remains is what the client end itself waits: 50 ms.
 */
#ifndef SIM_PROPERTIES_H
#define SIM_PROPERTIES_H

#include "tests/sim/plan.h"

struct connection;
struct world;

/* How one connection went, to compare with. */
struct course {
    bool completed;      /* nothing was aborted, failed, or had to fail */
    turbo_time may_wait; /* later than classic by so much at most */
    turbo_time app[STAGES_MAX + 1], server[STAGES_MAX + 1];
};

struct courses {
    struct course of[CONNECTIONS_MAX];
};

/* With TCP up nothing keeps the opening back once there is an answer, or no UDP to wait for. */
void properties_check_opening(const struct connection *c);
/* The app is being told that its connection has failed. */
void properties_check_failure(struct world *world, const struct connection *c);
void properties_check_end(struct world *world);
void properties_take_courses(const struct world *world, struct courses *courses);
/* The run in `world` against the classic one; a breach is in its journal. */
void properties_compare(struct world *world, const struct courses *turbo,
                        const struct courses *classic);
/* Counts what the run has shown. */
void properties_count(struct world *world);

#endif
