#include "proxy/sides/turbo_client.h"

#include <assert.h>
#include <string.h>

#include "proxy/ops/access.h"
#include "proxy/reach.h"
#include "proxy/sides/turbo_client_parts.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

static struct turbo_client_side *side_of(struct side *side)
{
    struct turbo_client_side *s = (struct turbo_client_side *)side;
    assert(s->tag == TURBO_CLIENT_TAG);
    return s;
}

static const struct turbo_client_side *const_side_of(const struct side *side)
{
    const struct turbo_client_side *s = (const struct turbo_client_side *)side;
    assert(s->tag == TURBO_CLIENT_TAG);
    return s;
}

static bool is_open(const struct turbo_client_side *s)
{
    return s->session != NULL && turbo_client_state(s->session) == TURBO_CLIENT_OPEN;
}

/* For good. */
static bool has_failed(const struct turbo_client_side *s)
{
    return s->session != NULL && !s->begins_anew &&
           turbo_client_state(s->session) == TURBO_CLIENT_FAILED;
}

static bool speaks_profile1(const struct turbo_client_side *s)
{
    return s->upstream->settings->dialect == TURBO_DIALECT_PROFILE1;
}

/* ---- TCP ---- */

/* When it fails, what TCP has brought may still be read: the session stays as it is. */
static void flush_tcp(struct turbo_client_side *s)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(s->session, &data);
    if (length == 0 || s->tcp.blocked)
        return;
    ssize_t n = stream_write(&s->tcp, data, length);
    if (n == SIDE_RESET)
        s->base.lost = SIDE_RESET;
    else
        turbo_client_tcp_consume(s->session, (size_t)n);
}

static void set_timer(struct turbo_client_side *s)
{
    turbo_time deadline = turbo_client_deadline(s->session);
    ev_timer_stop(s->worker->loop, &s->timer);
    if (deadline == TURBO_NEVER)
        return;
    turbo_time now = s->worker->now;
    double seconds = deadline <= now ? 0. : (double)(deadline - now) / (double)TURBO_SECOND;
    ev_timer_set(&s->timer, seconds, 0.);
    ev_timer_start(s->worker->loop, &s->timer);
}

/* After anything happened to the session: what it wants sent leaves, what it waits for is watched.
 */
static void step(struct turbo_client_side *s)
{
    if (s->session == NULL)
        return;
    if (s->reach != NULL && turbo_client_dial_again(s->session))
        reach_again(s->reach);
    session_udp_send(&s->udp, s->session, s->worker->now);
    if (is_open(s))
        flush_tcp(s);
    if (has_failed(s) && s->base.lost == 0)
        turbo_client_begin_anew(s);
    if (!turbo_client_uses_udp(s->session))
        session_udp_close(&s->udp);
    set_timer(s);
    /* Before the opening anything that TCP has to say matters (protocol §6.1). */
    bool read = s->base.lost == 0 && (!is_open(s) || s->want_read);
    stream_watch(&s->tcp, s->worker->loop, read, s->tcp.blocked);
}

void turbo_client_step_and_wake(struct turbo_client_side *s)
{
    step(s);
    side_wake(&s->base);
}

/* ---- events ---- */

static void on_udp(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct turbo_client_side *s = io->data;
    assert(s->tag == TURBO_CLIENT_TAG);
    enum turbo_client_state before = turbo_client_state(s->session);
    const uint8_t *data;
    session_udp_receive(&s->udp, s->session, s->worker->now);
    if (speaks_profile1(s) && turbo_client_report(s->session).responded)
        memory_of(s->server->memory, &s->peer)->learned.speaks = true; /* others know at once */
    step(s);
    /* Most are repeats, which are nothing to the relay. */
    if (turbo_client_peek(s->session, &data) > 0 || turbo_client_state(s->session) != before ||
        turbo_client_settled(s->session) || s->base.lost != 0)
        side_wake(&s->base);
}

static void tcp_spoke(struct turbo_client_side *s)
{
    ssize_t bytes = stream_peek(&s->tcp);
    if (bytes >= 0)
        turbo_client_tcp_readable(s->session, s->worker->now);
    else if (bytes == SIDE_RESET)
        turbo_client_tcp_failed(s->session, s->worker->now);
}

static void on_tcp(struct ev_loop *loop, ev_io *io, int events)
{
    struct turbo_client_side *s = io->data;
    assert(s->tag == TURBO_CLIENT_TAG);
    if (!stream_ready(&s->tcp, loop, events))
        return;
    if ((events & EV_READ) != 0 && !is_open(s))
        tcp_spoke(s);
    turbo_client_step_and_wake(s);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct turbo_client_side *s = timer->data;
    assert(s->tag == TURBO_CLIENT_TAG);
    /* After a stall: what has come counts before the time that has passed. */
    session_udp_receive(&s->udp, s->session, s->worker->now);
    turbo_client_tick(s->session, s->worker->now);
    turbo_client_step_and_wake(s);
}

/* ---- what the relay sees ---- */

static ssize_t read_tcp(struct turbo_client_side *s, uint8_t *buffer, size_t capacity)
{
    ssize_t result = stream_read(&s->tcp, buffer, capacity);
    /* Behind a failed write an end is none, but the reset. */
    if (result == SIDE_END && s->base.lost != 0)
        result = SIDE_RESET;
    if (result == SIDE_RESET)
        turbo_client_tcp_failed(s->session, s->worker->now);
    else if (result != SIDE_AGAIN)
        turbo_client_tcp_read(s->session, s->worker->now, result == SIDE_END ? 0 : (size_t)result);
    return result;
}

static ssize_t turbo_client_side_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct turbo_client_side *s = side_of(side);
    if (s->base.lost == SIDE_UNREACHED)
        return SIDE_UNREACHED;
    if (s->session == NULL)
        return SIDE_AGAIN;
    if (has_failed(s))
        return SIDE_RESET;
    const uint8_t *data;
    size_t n = turbo_client_peek(s->session, &data);
    if (n > 0) {
        n = n < capacity ? n : capacity;
        memcpy(buffer, data, n);
        turbo_client_consume(s->session, n);
        return (ssize_t)n;
    }
    if (!is_open(s))
        return SIDE_AGAIN;
    return read_tcp(s, buffer, capacity);
}

static ssize_t turbo_client_side_peek(struct side *side)
{
    struct turbo_client_side *s = side_of(side);
    const uint8_t *data;
    if (s->base.lost != 0)
        return s->base.lost;
    if (s->session == NULL)
        return SIDE_AGAIN;
    if (has_failed(s))
        return SIDE_RESET;
    if (turbo_client_peek(s->session, &data) > 0)
        return 1;
    if (!is_open(s))
        return SIDE_AGAIN;
    return stream_peek(&s->tcp);
}

static bool turbo_client_side_begins_early(const struct side *side)
{
    const struct turbo_client_side *s = const_side_of(side);
    return s->session != NULL && turbo_client_uses_udp(s->session);
}

static size_t turbo_client_side_room(const struct side *side)
{
    const struct turbo_client_side *s = const_side_of(side);
    return s->session == NULL || s->base.lost != 0 ? 0 : turbo_client_room(s->session);
}

static ssize_t turbo_client_side_write(struct side *side, const uint8_t *data, size_t length)
{
    struct turbo_client_side *s = side_of(side);
    if (s->session == NULL)
        return 0;
    if (has_failed(s))
        return SIDE_RESET;
    size_t n = turbo_client_push(s->session, s->worker->now, data, length);
    step(s);
    return (ssize_t)n;
}

static void turbo_client_side_finish(struct side *side)
{
    struct turbo_client_side *s = side_of(side);
    s->ended = true;
    if (s->session == NULL)
        return;
    turbo_client_push_end(s->session, s->worker->now);
    step(s);
}

static void turbo_client_side_reset(struct side *side, bool unreached)
{
    (void)unreached;
    struct turbo_client_side *s = side_of(side);
    if (s->session != NULL)
        turbo_client_abort(s->session, s->worker->now);
    step(s);
    stream_close(&s->tcp, s->worker->loop, true);
}

static void turbo_client_side_watch(struct side *side, bool readable, bool writable)
{
    struct turbo_client_side *s = side_of(side);
    s->want_read = readable;
    (void)writable; /* room grows when TCP takes bytes, and that wakes the relay anyway */
    if (stream_fd(&s->tcp) >= 0)
        step(s);
}

static bool turbo_client_side_settled(const struct side *side)
{
    const struct turbo_client_side *s = const_side_of(side);
    return s->session != NULL && turbo_client_settled(s->session);
}

static int turbo_client_side_hand_over(struct side *side, uint8_t **early, size_t *length)
{
    struct turbo_client_side *s = side_of(side);
    *early = NULL;
    *length = 0;
    return stream_release(&s->tcp, s->worker->loop);
}

static void turbo_client_side_report(const struct side *side, struct access *access)
{
    const struct turbo_client_side *s = const_side_of(side);
    if (s->session == NULL)
        return;
    struct turbo_client_report report = turbo_client_report(s->session);
    access_add_hello(access, turbo_client_hello(s->session), s->worker->log);
    access_add_outcome(access, report.outcome, report.reason);
    access_add_rtt(access, report.tcp_up_us);
}

static void turbo_client_side_destroy(struct side *side)
{
    struct turbo_client_side *s = side_of(side);
    turbo_client_connect_end(s);
    session_udp_close(&s->udp);
    ev_timer_stop(s->worker->loop, &s->timer);
    stream_close(&s->tcp, s->worker->loop, false);
    upstream_release(s->upstream);
    s->tag = 0;
    blocks_give(&s->worker->blocks, s);
}

struct side *turbo_client_side(struct worker *worker, struct upstream *upstream,
                               const struct upstream_call *call)
{
    static const struct side_ops ops = {
        .read = turbo_client_side_read,
        .peek = turbo_client_side_peek,
        .begins_early = turbo_client_side_begins_early,
        .room = turbo_client_side_room,
        .write = turbo_client_side_write,
        .finish = turbo_client_side_finish,
        .reset = turbo_client_side_reset,
        .watch = turbo_client_side_watch,
        .settled = turbo_client_side_settled,
        .hand_over = turbo_client_side_hand_over,
        .report = turbo_client_side_report,
        .destroy = turbo_client_side_destroy,
    };
    struct turbo_client_side *s = blocks_take(&worker->blocks, sizeof(*s) + turbo_client_bytes());
    if (s == NULL)
        return NULL;
    *s = (struct turbo_client_side){0};
    s->base.ops = &ops;
    s->tag = TURBO_CLIENT_TAG;
    s->worker = worker;
    s->upstream = upstream_hold(upstream);
    stream_init(&s->tcp, on_tcp, s);
    session_udp_init(&s->udp, worker->loop, on_udp, s);
    ev_init(&s->timer, on_timer);
    s->timer.data = s;
    if (!turbo_client_connect(s, call)) {
        turbo_client_side_destroy(&s->base);
        return NULL;
    }
    return &s->base;
}
