#include "proxy/sides/turbo_server.h"

#include <assert.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/listener.h"
#include "proxy/ops/access.h"
#include "proxy/sides/stream.h"
#include "proxy/udp_endpoint.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

enum { TURBO_SERVER_TAG = 0x54537276 /* "TSrv" */, REPLAY_BYTES = 4096 };

struct turbo_server_side {
    struct side base;
    uint32_t tag;
    struct worker *worker;
    struct udp_endpoint *endpoint;
    struct turbo_server *session;
    struct stream tcp;           /* no socket: nobody has joined */
    struct upstream *pending_on; /* counted and held there; NULL: no longer */
    uint8_t *early;              /* bytes from TCP that were read before the join */
    size_t early_length, early_used;
    ev_timer timer;           /* the repetition must be over in time */
    double opening_timeout_s; /* of the configuration that the session began under */
};

static struct turbo_server_side *side_of(struct side *side)
{
    struct turbo_server_side *s = (struct turbo_server_side *)side;
    assert(s->tag == TURBO_SERVER_TAG);
    return s;
}

static const struct turbo_server_side *const_side_of(const struct side *side)
{
    const struct turbo_server_side *s = (const struct turbo_server_side *)side;
    assert(s->tag == TURBO_SERVER_TAG);
    return s;
}

static void no_longer_pending(struct turbo_server_side *s)
{
    if (s->pending_on != NULL)
        s->pending_on->pending--;
    upstream_release(s->pending_on);
    s->pending_on = NULL;
}

static bool has_joined(const struct turbo_server_side *s)
{
    return stream_fd(&s->tcp) >= 0;
}

/* S→C bytes that UDP did not bring. */
static void flush_tcp(struct turbo_server_side *s)
{
    const uint8_t *data;
    size_t length = turbo_server_tcp_peek(s->session, &data);
    if (length == 0 || s->tcp.blocked || !has_joined(s))
        return;
    ssize_t n = stream_write(&s->tcp, data, length);
    if (n == SIDE_RESET)
        s->base.lost = SIDE_RESET;
    else
        turbo_server_tcp_consume(s->session, (size_t)n);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct turbo_server_side *s = io->data;
    assert(s->tag == TURBO_SERVER_TAG);
    if (!stream_ready(&s->tcp, loop, events))
        return;
    flush_tcp(s);
    side_wake(&s->base);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct turbo_server_side *s = timer->data;
    assert(s->tag == TURBO_SERVER_TAG);
    if (turbo_server_replay_left(s->session) > 0)
        s->base.lost = SIDE_RESET;
    side_wake(&s->base);
}

void turbo_server_side_ended(struct side *side)
{
    struct turbo_server_side *s = side_of(side);
    s->base.lost = SIDE_RESET;
    side_wake(side);
}

void turbo_server_side_more(struct side *side)
{
    side_wake(&side_of(side)->base);
}

/* ---- C→S ---- */

/* Compares what TCP repeats with what UDP brought; the early bytes come first. */
static void replay_early(struct turbo_server_side *s)
{
    size_t left = turbo_server_replay_left(s->session);
    size_t n = s->early_length < left ? s->early_length : left;
    if (n > 0 && !turbo_server_replay(s->session, s->early, n))
        s->base.lost = SIDE_RESET;
    s->early_used = n;
}

void turbo_server_side_join(struct side *side, int fd, uint8_t *early, size_t length)
{
    struct turbo_server_side *s = side_of(side);
    stream_open(&s->tcp, fd);
    s->early = early;
    s->early_length = length;
    no_longer_pending(s);
    replay_early(s);
    flush_tcp(s);
    if (turbo_server_replay_left(s->session) > 0) {
        ev_timer_set(&s->timer, s->opening_timeout_s, 0.);
        ev_timer_start(s->worker->loop, &s->timer);
    }
    udp_endpoint_kick(s->endpoint); /* the client's handshake may be due by UDP now */
    side_wake(side);
}

/* Reads and compares the rest of the repetition. Returns whether C→S may go on behind it. */
static bool replay_done(struct turbo_server_side *s, ssize_t *verdict)
{
    uint8_t bytes[REPLAY_BYTES];
    size_t left;
    while ((left = turbo_server_replay_left(s->session)) > 0) {
        ssize_t n = stream_read(&s->tcp, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
        if (n == SIDE_AGAIN) {
            *verdict = SIDE_AGAIN;
            return false;
        }
        /* An end within the repetition is a client that has lost its way, as a difference is. */
        if (n <= 0 || !turbo_server_replay(s->session, bytes, (size_t)n)) {
            s->base.lost = SIDE_RESET;
            *verdict = SIDE_RESET;
            return false;
        }
    }
    return true;
}

static ssize_t take(uint8_t *buffer, size_t capacity, const uint8_t *data, size_t length)
{
    size_t n = length < capacity ? length : capacity;
    memcpy(buffer, data, n);
    return (ssize_t)n;
}

static ssize_t turbo_server_side_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct turbo_server_side *s = side_of(side);
    if (s->base.lost != 0)
        return SIDE_RESET;
    const uint8_t *data;
    size_t length = turbo_server_peek(s->session, &data);
    if (length > 0) {
        ssize_t n = take(buffer, capacity, data, length);
        turbo_server_consume(s->session, (size_t)n);
        return n;
    }
    ssize_t verdict;
    if (!has_joined(s))
        return SIDE_AGAIN;
    if (!replay_done(s, &verdict))
        return verdict;
    if (turbo_server_awaits_udp(s->session))
        return SIDE_AGAIN;
    if (s->early_used < s->early_length) {
        ssize_t n =
            take(buffer, capacity, s->early + s->early_used, s->early_length - s->early_used);
        s->early_used += (size_t)n;
        return n;
    }
    return stream_read(&s->tcp, buffer, capacity);
}

/* ---- S→C ---- */

/* Until TCP has joined the session keeps the bytes; then they wait until its own have left. */
static size_t turbo_server_side_room(const struct side *side)
{
    const struct turbo_server_side *s = const_side_of(side);
    const uint8_t *data;
    if (s->base.lost != 0)
        return 0;
    if (!has_joined(s))
        return turbo_server_room(s->session);
    return s->tcp.blocked || turbo_server_tcp_peek(s->session, &data) > 0 ? 0 : SIZE_MAX;
}

static ssize_t write_tcp(struct turbo_server_side *s, const uint8_t *data, size_t length)
{
    ssize_t n = stream_write(&s->tcp, data, length);
    if (n > 0 && turbo_server_awaits_udp(s->session)) {
        turbo_server_answered(s->session, s->worker->now, data, (size_t)n);
        udp_endpoint_kick(s->endpoint);
    }
    return n;
}

static ssize_t turbo_server_side_write(struct side *side, const uint8_t *data, size_t length)
{
    struct turbo_server_side *s = side_of(side);
    if (has_joined(s))
        return write_tcp(s, data, length);
    size_t n = turbo_server_push(s->session, s->worker->now, data, length);
    udp_endpoint_kick(s->endpoint);
    return (ssize_t)n;
}

/* The socket's end is sent once it is plain: the relay says so again then. */
static void turbo_server_side_finish(struct side *side)
{
    turbo_server_push_end(side_of(side)->session, TURBO_END_FIN);
}

static size_t turbo_server_side_undelivered(const struct side *side)
{
    const struct turbo_server_side *s = const_side_of(side);
    const uint8_t *data;
    if (s->base.lost != 0)
        return 0;
    if (!has_joined(s))
        return SIDE_NOBODY;
    return turbo_server_tcp_peek(s->session, &data) + socket_unsent(stream_fd(&s->tcp));
}

static void turbo_server_side_reset(struct side *side, bool unreached)
{
    struct turbo_server_side *s = side_of(side);
    if (unreached && !has_joined(s)) {
        turbo_server_refuse(s->session);
        udp_endpoint_kick(s->endpoint);
    }
    stream_close(&s->tcp, s->worker->loop, true);
}

/* ---- the rest ---- */

static void turbo_server_side_watch(struct side *side, bool readable, bool writable)
{
    struct turbo_server_side *s = side_of(side);
    if (!has_joined(s))
        return;
    bool later = turbo_server_awaits_udp(s->session); /* what TCP has is not read yet */
    stream_watch(&s->tcp, s->worker->loop, readable && !later, writable || s->tcp.blocked);
}

static bool turbo_server_side_settled(const struct side *side)
{
    const struct turbo_server_side *s = const_side_of(side);
    const uint8_t *data;
    if (s->base.lost != 0 || !has_joined(s) || turbo_server_tcp_peek(s->session, &data) > 0)
        return false;
    return turbo_server_replay_left(s->session) == 0 && !turbo_server_awaits_udp(s->session) &&
           turbo_server_peek(s->session, &data) == 0;
}

static int turbo_server_side_hand_over(struct side *side, uint8_t **early, size_t *length)
{
    struct turbo_server_side *s = side_of(side);
    *early = s->early;
    *length = s->early_length - s->early_used;
    if (*length > 0)
        memmove(*early, *early + s->early_used, *length);
    s->early = NULL;
    return stream_release(&s->tcp, s->worker->loop);
}

static void turbo_server_side_report(const struct side *side, struct access *access)
{
    const struct turbo_server_side *s = const_side_of(side);
    struct turbo_server_report report = turbo_server_report(s->session);
    access_add_hello(access, turbo_server_hello(s->session), s->worker->log);
    access_add_dialect(access, report.dialect);
    access_add_outcome(access, report.outcome, report.reason);
}

static void turbo_server_side_destroy(struct side *side)
{
    struct turbo_server_side *s = side_of(side);
    no_longer_pending(s);
    ev_timer_stop(s->worker->loop, &s->timer);
    stream_close(&s->tcp, s->worker->loop, s->base.lost != 0);
    free(s->early);
    turbo_server_release(s->session, s->worker->now);
    s->tag = 0;
    free(s);
}

struct side *turbo_server_side(struct worker *worker, struct udp_endpoint *endpoint,
                               struct turbo_server *session, struct upstream *upstream)
{
    static const struct side_ops ops = {
        .read = turbo_server_side_read,
        .room = turbo_server_side_room,
        .write = turbo_server_side_write,
        .finish = turbo_server_side_finish,
        .reset = turbo_server_side_reset,
        .undelivered = turbo_server_side_undelivered,
        .watch = turbo_server_side_watch,
        .settled = turbo_server_side_settled,
        .hand_over = turbo_server_side_hand_over,
        .report = turbo_server_side_report,
        .destroy = turbo_server_side_destroy,
    };
    struct turbo_server_side *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->base.ops = &ops;
    s->tag = TURBO_SERVER_TAG;
    s->worker = worker;
    s->endpoint = endpoint;
    s->session = session;
    s->opening_timeout_s = listener_settings(udp_endpoint_listener(endpoint))->opening_timeout_s;
    s->pending_on = upstream_hold(upstream);
    upstream->pending++;
    stream_init(&s->tcp, on_io, s);
    ev_init(&s->timer, on_timer);
    s->timer.data = s;
    turbo_server_set_user(session, &s->base);
    return &s->base;
}
