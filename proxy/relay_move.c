#include <stdlib.h>
#include <string.h>

#include "proxy/relay_parts.h"
#include "proxy/worker.h"

static void count(struct relay *r, enum end from, size_t bytes)
{
    turbo_time now = r->worker->now;
    r->active_at = now;
    if (from == NEAR)
        access_count_c2s(&r->connection.access, now, bytes);
    else
        access_count_s2c(&r->connection.access, now, bytes);
}

/* A slow reader has taken some of what waits for it. */
static void taken(struct relay *r, ssize_t bytes)
{
    if (bytes > 0)
        r->active_at = r->worker->now;
}

static bool hold(struct flow *flow, const uint8_t *data, size_t length)
{
    flow->held = malloc(length);
    if (flow->held == NULL)
        return false;
    memcpy(flow->held, data, length);
    flow->held_length = length;
    flow->held_used = 0;
    return true;
}

static enum verdict write_held(struct relay *r, struct flow *flow, struct side *to)
{
    ssize_t n =
        to->ops->write(to, flow->held + flow->held_used, flow->held_length - flow->held_used);
    if (n < 0)
        return RECEIVER_LOST;
    taken(r, n);
    flow->held_used += (size_t)n;
    if (flow->held_used < flow->held_length)
        return n > 0 ? MOVED : STUCK;
    free(flow->held);
    flow->held = NULL;
    return MOVED;
}

static enum verdict pass_end_on(struct flow *flow, struct side *to)
{
    if (flow->finished)
        return STUCK;
    to->ops->finish(to);
    flow->finished = true;
    return MOVED;
}

/* What a read of one of the three kinds that brought no bytes means. */
static enum verdict nothing_read(struct relay *r, struct flow *flow, struct side *to,
                                 ssize_t result)
{
    switch (result) {
    case SIDE_AGAIN: return STUCK;
    case SIDE_END:
        flow->ended = true;
        r->active_at = r->worker->now; /* from now on the limit is another one */
        return pass_end_on(flow, to);
    case SIDE_UNREACHED: return SENDER_UNREACHED;
    default: return SENDER_LOST;
    }
}

static enum verdict write_pipe(struct relay *r, struct flow *flow, struct side *to)
{
    ssize_t n = to->ops->write_pipe(to, flow->pipe.read_end, flow->pipe.bytes);
    if (n < 0)
        return RECEIVER_LOST;
    taken(r, n);
    flow->pipe.bytes -= (size_t)n;
    if (flow->pipe.bytes == 0)
        pump_return(&r->worker->pipes, &flow->pipe);
    return n > 0 ? MOVED : STUCK;
}

/* From socket to socket within the kernel. */
static enum verdict splice_some(struct relay *r, enum end from)
{
    struct flow *flow = &r->flows[from];
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    ssize_t n = source->ops->read_pipe(source, flow->pipe.write_end, PUMP_PIPE_BYTES);
    if (n <= 0) {
        pump_return(&r->worker->pipes, &flow->pipe);
        return nothing_read(r, flow, to, n);
    }
    flow->pipe.bytes = (size_t)n;
    count(r, from, (size_t)n);
    enum verdict verdict = write_pipe(r, flow, to);
    return verdict == STUCK ? MOVED : verdict;
}

/* Through the worker's scratch buffer. */
static enum verdict copy_some(struct relay *r, enum end from, size_t room)
{
    struct flow *flow = &r->flows[from];
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    uint8_t *scratch = r->worker->scratch;
    size_t capacity = room < WORKER_SCRATCH_BYTES ? room : WORKER_SCRATCH_BYTES;
    ssize_t n = source->ops->read(source, scratch, capacity);
    if (n <= 0)
        return nothing_read(r, flow, to, n);
    count(r, from, (size_t)n);
    ssize_t written = to->ops->write(to, scratch, (size_t)n);
    if (written < 0)
        return RECEIVER_LOST;
    if (written < n && !hold(flow, scratch + written, (size_t)(n - written)))
        return NO_MEMORY;
    return MOVED;
}

static bool splices(const struct side *side)
{
    return side->ops->splices != NULL && side->ops->splices(side);
}

bool relay_is_holding(const struct flow *flow)
{
    return flow->held != NULL || flow->pipe.bytes > 0;
}

enum verdict relay_move_held(struct relay *r, enum end from)
{
    struct flow *flow = &r->flows[from];
    struct side *to = r->sides[relay_other(from)];
    if (flow->held != NULL)
        return write_held(r, flow, to);
    if (flow->pipe.bytes > 0)
        return write_pipe(r, flow, to);
    return flow->ended ? pass_end_on(flow, to) : STUCK;
}

enum verdict relay_move(struct relay *r, enum end from)
{
    struct flow *flow = &r->flows[from];
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    if (relay_is_holding(flow) || flow->ended)
        return relay_move_held(r, from);
    size_t room = to->ops->room(to);
    if (room == 0)
        return STUCK;
    if (splices(source) && splices(to) && pump_borrow(&r->worker->pipes, &flow->pipe))
        return splice_some(r, from);
    return copy_some(r, from, room);
}
