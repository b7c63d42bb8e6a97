/*
 * The large blocks that sessions need while they are young, 90 to 140 KiB each. One that is given
 * back is kept for the next, up to a few of each size, so that sessions that come and go have
 * nothing mapped and no page touched anew; the others are the system's at once, since each is
 * mapped by itself (peak_prepare): what lives longer never lies between them.
 */
#ifndef PROXY_OPS_BLOCKS_H
#define PROXY_OPS_BLOCKS_H

#include <stddef.h>

/* Profile 1 and the Sandwich dialect at the server end, and the client end. */
enum { BLOCKS_SIZES = 3 };

struct block;

struct blocks {
    struct {
        size_t bytes; /* 0: none of such a size yet */
        struct block *spare;
        size_t count;
    } kinds[BLOCKS_SIZES];
};

/* Alignment as from malloc. NULL: out of memory. Of BLOCKS_SIZES sizes at most (asserted). */
void *blocks_take(struct blocks *blocks, size_t bytes);
/* NULL is allowed. */
void blocks_give(struct blocks *blocks, void *memory);
/* Frees the spare ones. */
void blocks_end(struct blocks *blocks);

#endif
