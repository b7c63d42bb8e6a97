/*
 * What goes wrong in a run: each trouble changes a plan as it came.
 */
#ifndef SIM_TROUBLE_H
#define SIM_TROUBLE_H

#include "tests/sim/plan.h"
#include "tests/sim/rng.h"

struct trouble {
    const char *name;
    unsigned weight; /* how often it is drawn */
    void (*change)(struct rng *rng, struct plan *plan);
};

extern const struct trouble TROUBLES[];
extern const size_t TROUBLE_COUNT;

#endif
