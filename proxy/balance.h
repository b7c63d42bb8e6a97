/*
 * Choosing by weight, evenly: of weights 5, 1, 1 the choices are A A B A C A A, not A A A A A B C
 * (the smooth weighted round robin of nginx). In so many choices as the weights' sum each comes up
 * exactly as often as its weight says.
 */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

#include <stddef.h>
#include <stdint.h>

enum { BALANCE_MAX = 64 };

/* None can be chosen. */
#define BALANCE_NONE SIZE_MAX

/*
 * One of the `count` (at most BALANCE_MAX) whose bits are set in `eligible`. Those of weight 0 are
 * chosen only when there are no others, in turns. `credit`, zeroed at first, is what each is owed.
 */
size_t balance_pick(const uint32_t *weights, size_t count, uint64_t eligible, int64_t *credit);

#endif
