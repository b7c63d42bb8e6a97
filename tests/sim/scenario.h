/*
 * Plans drawn from a seed: a scenario says what goes wrong, the rest is drawn freely.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "tests/sim/plan.h"

void scenario_draw(struct plan *plan, uint64_t seed);
/* A plan of `count` quiet connections that begin so long after each other, for others to change. */
void scenario_quiet(struct plan *plan, uint64_t seed, size_t count, turbo_time apart);

#endif
