#include <stdlib.h>
#include <string.h>

#include "proxy/relay_parts.h"
#include "proxy/worker.h"

/* What is cheaper to splice than to copy, when it comes in one read: docs/performance.md. */
enum { BULK_BYTES = 16 * 1024 };

/* The messages that a short connection may end with: not the first, which waits for an answer. */
enum { LAST_FROM = 2, LAST_TO = 4 };

static void count(struct relay *r, enum end from, size_t bytes)
{
    turbo_time now = relay_worker(r)->now;
    r->active_at = now;
    if (from == NEAR)
        access_count_c2s(&r->connection.access, now, bytes);
    else
        access_count_s2c(&r->connection.access, now, bytes);
}

static bool hold(struct relay *r, enum end from, const uint8_t *data, size_t length)
{
    struct cargo *cargo = malloc(sizeof(*cargo) + length);
    if (cargo == NULL)
        return false;
    *cargo = (struct cargo){.length = length};
    memcpy(cargo->bytes, data, length);
    r->cargo[from] = cargo;
    return true;
}

static bool hold_pipe(struct relay *r, enum end from, const struct pump_pipe *pipe)
{
    struct cargo *cargo = malloc(sizeof(*cargo));
    if (cargo == NULL)
        return false;
    *cargo = (struct cargo){.pipe = *pipe};
    r->cargo[from] = cargo;
    return true;
}

void relay_drop_cargo(struct relay *r, enum end from)
{
    if (r->cargo[from] != NULL)
        pump_return(&relay_worker(r)->pipes, &r->cargo[from]->pipe);
    free(r->cargo[from]);
    r->cargo[from] = NULL;
}

static enum verdict write_cargo(struct relay *r, enum end from)
{
    struct cargo *cargo = r->cargo[from];
    struct side *to = r->sides[relay_other(from)];
    bool in_pipe = cargo->pipe.bytes > 0;
    ssize_t n = in_pipe
                    ? to->ops->write_pipe(to, cargo->pipe.read_end, cargo->pipe.bytes)
                    : to->ops->write(to, cargo->bytes + cargo->used, cargo->length - cargo->used);
    if (n < 0)
        return RECEIVER_LOST;
    if (n == 0)
        return STUCK;
    r->active_at = relay_worker(r)->now; /* a slow reader has taken some */
    if (in_pipe)
        cargo->pipe.bytes -= (size_t)n;
    else
        cargo->used += (size_t)n;
    if (cargo->pipe.bytes == 0 && cargo->used == cargo->length)
        relay_drop_cargo(r, from);
    return MOVED;
}

/* Both ends are closed, with nothing more to come: that tells the last end as well. */
static bool closes_anyway(const struct relay *r, enum end from)
{
    return r->flows[relay_other(from)].finished && r->sides[NEAR]->ops->splices != NULL &&
           r->sides[FAR]->ops->splices != NULL;
}

static enum verdict pass_end_on(struct relay *r, enum end from)
{
    struct side *to = r->sides[relay_other(from)];
    if (r->flows[from].finished)
        return STUCK;
    if (!closes_anyway(r, from))
        to->ops->finish(to);
    r->flows[from].finished = true;
    return MOVED;
}

/* What a read of one of the three kinds that brought no bytes means. */
static enum verdict nothing_read(struct relay *r, enum end from, ssize_t result)
{
    switch (result) {
    case SIDE_AGAIN: return STUCK;
    case SIDE_END:
        r->flows[from].ended = true;
        r->active_at = relay_worker(r)->now; /* from now on the limit is another one */
        return relay_is_holding(r, from) ? STUCK : pass_end_on(r, from);
    case SIDE_UNREACHED: return SENDER_UNREACHED;
    default: return SENDER_LOST;
    }
}

/* From socket to socket within the kernel. */
static enum verdict splice_some(struct relay *r, enum end from, struct pump_pipe *pipe)
{
    struct pump_pool *pipes = &relay_worker(r)->pipes;
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    ssize_t n = source->ops->read_pipe(source, pipe->write_end, PUMP_PIPE_BYTES);
    if (n <= 0) {
        pump_return(pipes, pipe);
        return nothing_read(r, from, n);
    }
    count(r, from, (size_t)n);
    r->flows[from].bulk = n >= BULK_BYTES;
    ssize_t written = to->ops->write_pipe(to, pipe->read_end, (size_t)n);
    pipe->bytes = (size_t)(written < 0 ? n : n - written);
    if (written == n || written < 0 || !hold_pipe(r, from, pipe)) {
        bool whole = written == n;
        pump_return(pipes, pipe);
        return whole ? MOVED : written < 0 ? RECEIVER_LOST : NO_MEMORY;
    }
    return MOVED;
}

/* Bytes that an end comes with are sent with it, which saves a segment and an event: seven times
 * what it costs to ask for one in vain. */
static bool may_be_last(struct relay *r, enum end from)
{
    struct flow *flow = &r->flows[from];
    if (flow->reads <= LAST_TO)
        flow->reads++;
    bool is_soon = flow->reads >= LAST_FROM && flow->reads <= LAST_TO;
    return (is_soon || r->flows[relay_other(from)].ended) && r->sides[from]->ops->read_on != NULL &&
           r->sides[relay_other(from)]->ops->write_last != NULL;
}

/* What `to` did not take of `n` bytes is kept. */
static enum verdict keep_rest(struct relay *r, enum end from, ssize_t written, ssize_t n)
{
    const uint8_t *scratch = relay_worker(r)->scratch;
    if (written < 0)
        return RECEIVER_LOST;
    if (written < n && !hold(r, from, scratch + written, (size_t)(n - written)))
        return NO_MEMORY;
    return MOVED;
}

/* The `n` bytes of the scratch buffer, and what has come behind them: more of them, or the end. */
static enum verdict copy_with_end(struct relay *r, enum end from, ssize_t n, size_t capacity)
{
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    uint8_t *scratch = relay_worker(r)->scratch;
    ssize_t more = source->ops->read_on(source, scratch + n, capacity - (size_t)n);
    if (more > 0) {
        count(r, from, (size_t)more);
        n += more;
    }
    ssize_t written = more == SIDE_END ? to->ops->write_last(to, scratch, (size_t)n)
                                       : to->ops->write(to, scratch, (size_t)n);
    enum verdict verdict = keep_rest(r, from, written, n);
    if (verdict != MOVED || more > 0 || more == SIDE_AGAIN)
        return verdict;
    verdict = nothing_read(r, from, more); /* another read might not tell it again */
    return verdict == STUCK ? MOVED : verdict;
}

/* Through the worker's scratch buffer. */
static enum verdict copy_some(struct relay *r, enum end from, size_t room)
{
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    uint8_t *scratch = relay_worker(r)->scratch;
    size_t capacity = room < WORKER_SCRATCH_BYTES ? room : WORKER_SCRATCH_BYTES;
    ssize_t n = source->ops->read(source, scratch, capacity);
    if (n <= 0)
        return nothing_read(r, from, n);
    count(r, from, (size_t)n);
    r->flows[from].bulk = n >= BULK_BYTES;
    if ((size_t)n < capacity && may_be_last(r, from))
        return copy_with_end(r, from, n, capacity);
    return keep_rest(r, from, to->ops->write(to, scratch, (size_t)n), n);
}

static bool splices(const struct side *side)
{
    return side->ops->splices != NULL && side->ops->splices(side);
}

enum verdict relay_move_held(struct relay *r, enum end from)
{
    if (r->cargo[from] != NULL)
        return write_cargo(r, from);
    return r->flows[from].ended ? pass_end_on(r, from) : STUCK;
}

enum verdict relay_move(struct relay *r, enum end from)
{
    struct side *source = r->sides[from], *to = r->sides[relay_other(from)];
    struct pump_pipe pipe;
    if (relay_is_holding(r, from) || r->flows[from].ended)
        return relay_move_held(r, from);
    size_t room = to->ops->room(to);
    if (room == 0)
        return STUCK;
    if (r->flows[from].bulk && splices(source) && splices(to) &&
        pump_borrow(&relay_worker(r)->pipes, &pipe))
        return splice_some(r, from, &pipe);
    return copy_some(r, from, room);
}
