/*
 * A plan is run twice, with UDP and without, and compared. When something does not hold, what and
 * which seed is printed, and the run is repeated with its trace.
 */
#ifndef SIM_RUNNER_H
#define SIM_RUNNER_H

#include "tests/sim/coverage.h"
#include "tests/sim/plan.h"

/* False: a clause of §12 was broken. `how` tells how to repeat the run. */
bool run_plan(const struct plan *plan, struct coverage *coverage, bool traced, const char *how);
bool run_seed(uint64_t seed, struct coverage *coverage, bool traced);

#endif
