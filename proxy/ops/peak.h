/*
 * Memory goes back to the system after a peak. What has been freed lies between what is still in
 * use, and malloc(3) keeps it for ever: a flood of sessions that was over in seconds would be paid
 * for until the process ends. So when few are left of many, whole pages that nobody uses are given
 * back (malloc_trim(3)): a millisecond or so, once for each peak.
 */
#ifndef PROXY_OPS_PEAK_H
#define PROXY_OPS_PEAK_H

#include <stddef.h>

/* The most there were at once since memory was given back; all zero at first. */
struct peak {
    size_t most;
};

/*
 * At start, for the whole process: a few MiB that are free stay, so that sessions that come and go
 * in a row do not have the same pages given back and asked for again.
 */
void peak_keep_spare(void);

/* So many are left, now that one has ended and its memory is free. */
void peak_left(struct peak *peak, size_t count);

#endif
