/*
 * The large blocks that sessions need while they are young, 90 to 140 KiB each. One that is given
 * back is kept for the next, up to a few of each size, so that sessions that come and go have
 * nothing mapped and no page touched anew; what nobody needed for a second or two, and all beyond
 * those few, is the system's. Each is mapped by itself, since malloc(3) would cut some of them out
 * of its heap, where what lives longer comes to lie between them and keeps their pages.
 */
#ifndef PROXY_OPS_BLOCKS_H
#define PROXY_OPS_BLOCKS_H

#include <ev.h>
#include <stddef.h>

/* Profile 1 and the Sandwich dialect at the server end; the client end, with its side or alone. */
enum { BLOCKS_SIZES = 4 };

struct block;

struct blocks {
    struct ev_loop *loop;
    ev_timer timer; /* while there are spare ones */
    struct {
        size_t bytes; /* 0: none of such a size yet */
        struct block *spare;
        size_t count;
        size_t unused; /* of the spare ones, since the timer fired last */
    } kinds[BLOCKS_SIZES];
};

void blocks_init(struct blocks *blocks, struct ev_loop *loop);
/* Alignment as from malloc. NULL: out of memory. Of BLOCKS_SIZES sizes at most (asserted). */
void *blocks_take(struct blocks *blocks, size_t bytes);
/* NULL is allowed. */
void blocks_give(struct blocks *blocks, void *memory);
/* Frees the spare ones; the loop is still there. */
void blocks_end(struct blocks *blocks);

#endif
