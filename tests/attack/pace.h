/*
 * A fixed rate: what is due comes in portions of a millisecond. Who was held up does not catch up
 * with more than 20 ms' worth, so that a stall does not become a burst.
 */
#ifndef ATTACK_PACE_H
#define ATTACK_PACE_H

#include <stdint.h>

#include "attack.h"

struct pace {
    double rate, due;
    uint64_t started, last; /* ns */
    uint64_t count, done;
};

uint64_t pace_clock(void); /* ns */
void pace_start(struct pace *pace, const struct order *order);
/* Sleeps a millisecond, and says how many are due; fewer than that is the caller's choice. */
uint32_t pace_wait(struct pace *pace);
/* So many have been done. */
void pace_did(struct pace *pace, uint32_t number);
/* All are done, or the process is told to end. */
bool pace_over(const struct pace *pace);
double pace_seconds(const struct pace *pace);

#endif
