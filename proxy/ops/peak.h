/*
 * Memory goes back to the system after a peak. What has been freed lies between what is still in
 * use, and malloc(3) keeps it for ever. So when few connections are left of many, whole pages that
 * nobody uses are given back (malloc_trim(3)): a millisecond or so, once for each peak. Sessions'
 * blocks (blocks.h) need no such thing.
 */
#ifndef PROXY_OPS_PEAK_H
#define PROXY_OPS_PEAK_H

#include <stddef.h>

/* At start, for the whole process: large blocks are mapped each by itself, and go back to the
 * system when they are freed; of what is small a little stays, so that it is not given back and
 * asked for again all the time. */
void peak_prepare(void);

/* The most there were at once since memory was given back; all zero at first. */
struct peak {
    size_t most;
};

/* So many are left, now that one has ended and its memory is free. */
void peak_left(struct peak *peak, size_t count);

#endif
