#include "proxy/relay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/clock.h"
#include "proxy/net/socket.h"
#include "proxy/sides/plain.h"
#include "proxy/worker.h"

enum { RELAY_TAG = 0x52656c61 /* "Rela" */, ROUNDS_A_TURN = 16 };

enum end { NEAR, FAR };

/* One direction. What the receiving side has not taken yet is in `held` or in `pipe`. */
struct flow {
    uint8_t *held; /* NULL: nothing */
    size_t held_length, held_used;
    struct pump_pipe pipe; /* while spliced bytes are under way */
    bool ended;            /* the sending side has given its end */
    bool finished;         /* and the receiving side was told */
};

struct relay {
    uint32_t tag;
    struct worker *worker;
    struct relay *next, *previous;
    struct side *sides[2];
    struct flow flows[2]; /* flows[end]: from sides[end] to the other */
    struct doom *doom;    /* NULL: all is well */
    struct access access;
};

/*
 * One side is lost and gone. The other is reset as well, but first it gets what the lost one has
 * said: all of an orderly end, and what a session has kept for TCP.
 */
struct doom {
    struct relay *relay;
    ev_timer timer;   /* looks whether the peer has acknowledged it */
    turbo_time until; /* not for ever; 0: there is no peer yet */
};

static const double DOOM_LOOK_SECONDS = 0.02;
static const turbo_time DOOM_TIME = 5 * TURBO_SECOND;

enum verdict {
    MOVED,
    STUCK,
    SENDER_LOST,      /* its read failed: there is nothing left to be had from it */
    SENDER_UNREACHED, /* it could never be connected to */
    SELF_LOST,        /* it says so itself; something may be left to read */
    RECEIVER_LOST,
    NO_MEMORY,
};

static enum end other(enum end end)
{
    return end == NEAR ? FAR : NEAR;
}

/* ---- its life ---- */

static void link_in(struct relay *r)
{
    r->next = r->worker->relays;
    if (r->next != NULL)
        r->next->previous = r;
    r->worker->relays = r;
}

static void unlink_from(struct relay *r)
{
    if (r->previous != NULL)
        r->previous->next = r->next;
    else
        r->worker->relays = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
}

static void drop_side(struct relay *r, enum end end)
{
    if (r->sides[end] == NULL)
        return;
    r->sides[end]->ops->report(r->sides[end], &r->access);
    r->sides[end]->ops->destroy(r->sides[end]);
    r->sides[end] = NULL;
}

static void destroy(struct relay *r)
{
    struct worker *worker = r->worker;
    drop_side(r, FAR); /* first: what the upstream leg knows counts */
    drop_side(r, NEAR);
    for (int end = NEAR; end <= FAR; end++) {
        free(r->flows[end].held);
        pump_return(&worker->pipes, &r->flows[end].pipe);
    }
    if (r->doom != NULL)
        ev_timer_stop(worker->loop, &r->doom->timer);
    free(r->doom);
    access_end(&r->access, worker->log, clock_now());
    unlink_from(r);
    r->tag = 0;
    free(r);
    worker_connection_ended(worker);
}

void relay_start(struct worker *worker, struct side *near, struct side *far,
                 const struct access *access)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (far == NULL)
        far = upstream_open(&worker->upstream, worker);
    if (r == NULL || far == NULL) {
        log_event(worker->log, LOG_LEVEL_ERROR, "out of memory: a connection is reset", LOG_END);
        if (far != NULL)
            far->ops->destroy(far);
        near->ops->reset(near, true);
        near->ops->destroy(near);
        free(access->server_name);
        free(r);
        return;
    }
    r->tag = RELAY_TAG;
    r->worker = worker;
    r->access = *access;
    r->sides[NEAR] = near;
    r->sides[FAR] = far;
    near->relay = far->relay = r;
    link_in(r);
    worker_connection_began(worker);
    relay_run(r);
}

void relay_abort(struct relay *r)
{
    for (int end = NEAR; end <= FAR; end++)
        if (r->sides[end] != NULL)
            r->sides[end]->ops->reset(r->sides[end], false);
    destroy(r);
}

void side_wake(struct side *side)
{
    if (side->relay != NULL)
        relay_run(side->relay);
}

/* ---- moving bytes ---- */

static void count(struct relay *r, enum end from, size_t bytes)
{
    turbo_time now = clock_now();
    if (from == NEAR)
        access_count_c2s(&r->access, now, bytes);
    else
        access_count_s2c(&r->access, now, bytes);
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

static enum verdict write_held(struct flow *flow, struct side *to)
{
    ssize_t n =
        to->ops->write(to, flow->held + flow->held_used, flow->held_length - flow->held_used);
    if (n < 0)
        return RECEIVER_LOST;
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
static enum verdict nothing_read(struct flow *flow, struct side *to, ssize_t result)
{
    switch (result) {
    case SIDE_AGAIN: return STUCK;
    case SIDE_END: flow->ended = true; return pass_end_on(flow, to);
    case SIDE_UNREACHED: return SENDER_UNREACHED;
    default: return SENDER_LOST;
    }
}

static enum verdict write_pipe(struct relay *r, struct flow *flow, struct side *to)
{
    ssize_t n = to->ops->write_pipe(to, flow->pipe.read_end, flow->pipe.bytes);
    if (n < 0)
        return RECEIVER_LOST;
    flow->pipe.bytes -= (size_t)n;
    if (flow->pipe.bytes == 0)
        pump_return(&r->worker->pipes, &flow->pipe);
    return n > 0 ? MOVED : STUCK;
}

/* From socket to socket within the kernel. */
static enum verdict splice_some(struct relay *r, enum end from)
{
    struct flow *flow = &r->flows[from];
    struct side *source = r->sides[from], *to = r->sides[other(from)];
    ssize_t n = source->ops->read_pipe(source, flow->pipe.write_end, PUMP_PIPE_BYTES);
    if (n <= 0) {
        pump_return(&r->worker->pipes, &flow->pipe);
        return nothing_read(flow, to, n);
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
    struct side *source = r->sides[from], *to = r->sides[other(from)];
    uint8_t *scratch = r->worker->scratch;
    size_t capacity = room < WORKER_SCRATCH_BYTES ? room : WORKER_SCRATCH_BYTES;
    ssize_t n = source->ops->read(source, scratch, capacity);
    if (n <= 0)
        return nothing_read(flow, to, n);
    count(r, from, (size_t)n);
    ssize_t taken = to->ops->write(to, scratch, (size_t)n);
    if (taken < 0)
        return RECEIVER_LOST;
    if (taken < n && !hold(flow, scratch + taken, (size_t)(n - taken)))
        return NO_MEMORY;
    return MOVED;
}

static bool splices(const struct side *side)
{
    return side->ops->splices != NULL && side->ops->splices(side);
}

static bool is_holding(const struct flow *flow)
{
    return flow->held != NULL || flow->pipe.bytes > 0;
}

static enum verdict move(struct relay *r, enum end from)
{
    struct flow *flow = &r->flows[from];
    struct side *source = r->sides[from], *to = r->sides[other(from)];
    if (flow->held != NULL)
        return write_held(flow, to);
    if (flow->pipe.bytes > 0)
        return write_pipe(r, flow, to);
    if (flow->ended)
        return pass_end_on(flow, to);
    size_t room = to->ops->room(to);
    if (room == 0)
        return STUCK;
    if (splices(source) && splices(to) && pump_borrow(&r->worker->pipes, &flow->pipe))
        return splice_some(r, from);
    return copy_some(r, from, room);
}

/* ---- ends ---- */

static size_t undelivered(const struct side *side)
{
    return side->ops->undelivered == NULL ? 0 : side->ops->undelivered(side);
}

static void reset_and_destroy(struct relay *r, enum end left, bool unreached)
{
    r->sides[left]->ops->reset(r->sides[left], unreached);
    destroy(r);
}

/* Writes what is held for the side that is left, and the end behind it. False: it is lost too. */
static bool deliver(struct relay *r, enum end left)
{
    struct flow *flow = &r->flows[other(left)];
    enum verdict verdict = MOVED;
    while (verdict == MOVED && is_holding(flow))
        verdict = flow->held != NULL ? write_held(flow, r->sides[left])
                                     : write_pipe(r, flow, r->sides[left]);
    if (!is_holding(flow) && flow->ended)
        pass_end_on(flow, r->sides[left]);
    return verdict != RECEIVER_LOST;
}

/* What the side that is left still says leads nowhere. False: it is lost too. */
static bool discard(struct relay *r, enum end left)
{
    struct side *side = r->sides[left];
    for (int i = 0; i < ROUNDS_A_TURN && !r->flows[left].ended; i++) {
        ssize_t n = side->ops->read(side, r->worker->scratch, WORKER_SCRATCH_BYTES);
        if (n == SIDE_AGAIN)
            break;
        if (n < 0)
            return false;
        r->flows[left].ended = n == SIDE_END;
    }
    return side->lost == 0;
}

static void run_doomed(struct relay *r)
{
    struct doom *doom = r->doom;
    enum end left = r->sides[NEAR] != NULL ? NEAR : FAR;
    if (!deliver(r, left) || !discard(r, left)) {
        destroy(r);
        return;
    }
    size_t bytes = undelivered(r->sides[left]);
    bool holding = is_holding(&r->flows[other(left)]);
    turbo_time now = clock_now();
    if (doom->until == 0 && bytes != SIDE_NOBODY)
        doom->until = now + DOOM_TIME;
    if ((bytes == 0 && !holding) || (doom->until != 0 && now >= doom->until)) {
        reset_and_destroy(r, left, false);
        return;
    }
    r->sides[left]->ops->watch(r->sides[left], !r->flows[left].ended, holding);
    ev_timer_stop(r->worker->loop, &doom->timer);
    if (doom->until != 0) {
        ev_timer_set(&doom->timer, DOOM_LOOK_SECONDS, 0.);
        ev_timer_start(r->worker->loop, &doom->timer);
    }
}

static void on_doom_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct doom *doom = timer->data;
    assert(doom->relay->tag == RELAY_TAG);
    run_doomed(doom->relay);
}

/* Is there something that the reset of `lost` must not overtake? */
static bool has_last_words(const struct relay *r, enum end lost)
{
    const struct side *left = r->sides[other(lost)];
    bool is_session = left->ops->settled != NULL;
    return (is_session || r->flows[lost].ended) &&
           (is_holding(&r->flows[lost]) || undelivered(left) > 0);
}

/* `lost` was reset, or could not be reached: the other side is told, after its last words. */
static void pass_reset_on(struct relay *r, enum end lost, bool unreached)
{
    if (unreached)
        access_fail(&r->access, TURBO_REASON_UPSTREAM_UNREACHED);
    if (!unreached && has_last_words(r, lost))
        r->doom = calloc(1, sizeof(*r->doom));
    if (r->doom == NULL) {
        reset_and_destroy(r, other(lost), unreached);
        return;
    }
    r->doom->relay = r;
    ev_init(&r->doom->timer, on_doom_timer);
    r->doom->timer.data = r->doom;
    drop_side(r, lost);
    run_doomed(r);
}

/* `lost` takes no more, but what it sent before may still be read: an answer that says why, for
 * one. */
static void drain_and_pass_reset_on(struct relay *r, enum end lost)
{
    for (int i = 0; i < ROUNDS_A_TURN && move(r, lost) == MOVED; i++)
        continue;
    pass_reset_on(r, lost, false);
}

/* A side that has become a socket gives its session back. */
static enum verdict settle(struct relay *r, enum end end)
{
    struct side *side = r->sides[end];
    if (side->ops->settled == NULL || !side->ops->settled(side))
        return STUCK;
    uint8_t *early;
    size_t length;
    side->ops->report(side, &r->access);
    int fd = side->ops->hand_over(side, &early, &length);
    struct side *plain = plain_accepted(r->worker, fd, early, length);
    if (plain == NULL) {
        socket_reset(fd);
        free(early);
        return NO_MEMORY;
    }
    side->ops->destroy(side);
    plain->relay = r;
    r->sides[end] = plain;
    if (r->flows[end].ended)
        plain_watch_reset(plain); /* nobody will read from it again */
    if (r->flows[other(end)].finished)
        plain->ops->finish(plain);
    return MOVED;
}

/* ---- the turn ---- */

static void watch(struct relay *r)
{
    bool blocked[2];
    for (int end = NEAR; end <= FAR; end++) {
        const struct flow *to_it = &r->flows[other((enum end)end)];
        blocked[end] =
            is_holding(to_it) || (!to_it->ended && r->sides[end]->ops->room(r->sides[end]) == 0);
    }
    for (int end = NEAR; end <= FAR; end++) {
        bool readable = !r->flows[end].ended && !blocked[other((enum end)end)];
        r->sides[end]->ops->watch(r->sides[end], readable, blocked[end]);
    }
}

static bool over(const struct relay *r)
{
    return r->flows[NEAR].finished && r->flows[FAR].finished;
}

enum outcome { GONE, /* the relay is no more */ IDLE, BUSY };

/* What there is to do for the side at `from`: pass on that it is lost, or move its bytes. */
static enum verdict attend(struct relay *r, enum end from)
{
    switch (r->sides[from]->lost) {
    case SIDE_RESET: return SELF_LOST;
    case SIDE_UNREACHED: return SENDER_UNREACHED;
    default: break;
    }
    return move(r, from);
}

/* Attends to both once, then settles what has become a socket. */
static enum outcome turn(struct relay *r)
{
    enum outcome outcome = IDLE;
    for (int end = NEAR; end <= FAR; end++) {
        enum end from = (enum end)end;
        switch (attend(r, from)) {
        case MOVED: outcome = BUSY; break;
        case STUCK: break;
        case SENDER_LOST: pass_reset_on(r, from, false); return GONE;
        case SENDER_UNREACHED: pass_reset_on(r, from, true); return GONE;
        case SELF_LOST: drain_and_pass_reset_on(r, from); return GONE;
        case RECEIVER_LOST: drain_and_pass_reset_on(r, other(from)); return GONE;
        case NO_MEMORY: relay_abort(r); return GONE;
        }
    }
    for (int end = NEAR; end <= FAR; end++) {
        enum verdict verdict = settle(r, (enum end)end);
        if (verdict == NO_MEMORY) {
            relay_abort(r);
            return GONE;
        }
        if (verdict == MOVED)
            outcome = BUSY;
    }
    if (over(r) && r->sides[NEAR]->ops->settled == NULL && r->sides[FAR]->ops->settled == NULL) {
        destroy(r);
        return GONE;
    }
    return outcome;
}

void relay_run(struct relay *r)
{
    assert(r->tag == RELAY_TAG);
    if (r->doom != NULL) {
        run_doomed(r);
        return;
    }
    enum outcome outcome;
    int rounds = 0;
    /*
     * Enough to empty a session, which holds less than two reads in each direction; sockets call
     * again when there is more.
     */
    do
        outcome = turn(r);
    while (outcome == BUSY && ++rounds < ROUNDS_A_TURN);
    if (outcome != GONE)
        watch(r);
}
