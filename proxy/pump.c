#include "proxy/pump.h"

#include <fcntl.h>
#include <unistd.h>

static void close_pipe(struct pump_pool *pool, struct pump_pipe *pipe)
{
    pool->open--;
    close(pipe->read_end);
    close(pipe->write_end);
}

bool pump_borrow(struct pump_pool *pool, struct pump_pipe *pipe)
{
    if (pool->count > 0) {
        *pipe = pool->idle[--pool->count];
        return true;
    }
    int ends[2];
    if (pool->open >= pool->max || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    (void)fcntl(ends[0], F_SETPIPE_SZ, PUMP_PIPE_BYTES); /* where it may not be larger: 64 KiB */
    pool->open++;
    *pipe = (struct pump_pipe){.read_end = ends[0], .write_end = ends[1]};
    return true;
}

void pump_return(struct pump_pool *pool, struct pump_pipe *pipe)
{
    if (pipe->write_end == 0)
        return;
    if (pipe->bytes == 0 && pool->count < PUMP_POOL_MAX)
        pool->idle[pool->count++] = *pipe;
    else
        close_pipe(pool, pipe);
    *pipe = (struct pump_pipe){0};
}

void pump_close_all(struct pump_pool *pool)
{
    while (pool->count > 0)
        close_pipe(pool, &pool->idle[--pool->count]);
}
