/*
 * Pipes to splice through: bytes go from socket to socket without passing through this process.
 *
 * A pipe is borrowed while bytes are under way in it, and given back empty, so a worker needs about
 * as many as it has readers that are slow. Where none is to be had the relay copies instead.
 */
#ifndef PROXY_PUMP_H
#define PROXY_PUMP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    PUMP_POOL_MAX = 16,          /* idle pipes kept; more are closed */
    PUMP_PIPE_BYTES = 256 * 1024 /* of one: docs/performance.md, "The pump" */
};

struct pump_pipe {
    int read_end, write_end; /* both 0: none */
    size_t bytes;            /* under way */
};

struct pump_pool {
    struct pump_pipe idle[PUMP_POOL_MAX];
    size_t count; /* of those */
    size_t open;  /* pipes there are, idle and borrowed */
    size_t max;   /* never more than this: two descriptors each */
};

/* False: `max` are in use, or no descriptors are left. */
bool pump_borrow(struct pump_pool *pool, struct pump_pipe *pipe);
/* Takes the pipe back; one that is not empty is closed. A pipe never borrowed is allowed. */
void pump_return(struct pump_pool *pool, struct pump_pipe *pipe);
void pump_close_all(struct pump_pool *pool);

#endif
