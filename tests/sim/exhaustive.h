/*
 * Every loss pattern of a short exchange.
 */
#ifndef SIM_EXHAUSTIVE_H
#define SIM_EXHAUSTIVE_H

#include "tests/sim/coverage.h"

/* False: a clause of §12 was broken. */
bool exhaustive_run(struct coverage *coverage);

#endif
