#include "proxy/sides/turbo_server.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/net/clock.h"
#include "proxy/net/socket.h"
#include "proxy/ops/access.h"
#include "proxy/udp_endpoint.h"
#include "proxy/worker.h"

enum { TURBO_SERVER_TAG = 0x54537276 /* "TSrv" */, REPLAY_BYTES = 4096 };

/* A doomed side's last bytes: how often to look whether the client has them, and for how long. */
static const double LOOK_SECONDS = 0.02;
static const turbo_time LINGER_TIME = 5 * TURBO_SECOND;

struct turbo_server_side {
    struct side base;
    uint32_t tag;
    struct worker *worker;
    struct udp_endpoint *endpoint;
    struct turbo_server *session;
    int tcp;        /* -1: nobody has joined */
    bool doomed;    /* the TLS server was reset: S→C is delivered, then the same */
    bool counted;   /* among the upstream's pending */
    bool blocked;   /* TCP took less than it was given */
    uint8_t *early; /* bytes from TCP that were read before the join */
    size_t early_length, early_used;
    ev_io io;
    ev_timer timer; /* the repetition must end in time; a doomed side looks after its bytes */
    turbo_time linger_until; /* doomed and joined */
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

static void set_events(struct turbo_server_side *s, int events)
{
    int now = ev_is_active(&s->io) ? s->io.events & (EV_READ | EV_WRITE) : 0;
    if (now == events)
        return;
    ev_io_stop(s->worker->loop, &s->io);
    if (events == 0)
        return;
    ev_io_set(&s->io, s->tcp, events);
    ev_io_start(s->worker->loop, &s->io);
}

static void no_longer_pending(struct turbo_server_side *s)
{
    if (s->counted)
        s->worker->upstream.pending--;
    s->counted = false;
}

/* S→C bytes that UDP did not bring. */
static void flush_tcp(struct turbo_server_side *s)
{
    const uint8_t *data;
    size_t length = turbo_server_tcp_peek(s->session, &data);
    if (length == 0 || s->blocked || s->tcp < 0)
        return;
    ssize_t n = send(s->tcp, data, length, MSG_NOSIGNAL);
    if (n > 0)
        turbo_server_tcp_consume(s->session, (size_t)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        s->base.lost = SIDE_RESET;
    else
        s->blocked = n < (ssize_t)length;
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    struct turbo_server_side *s = io->data;
    assert(s->tag == TURBO_SERVER_TAG);
    if ((events & EV_WRITE) != 0)
        s->blocked = false;
    flush_tcp(s);
    side_wake(&s->base);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct turbo_server_side *s = timer->data;
    assert(s->tag == TURBO_SERVER_TAG);
    if (!s->doomed && turbo_server_replay_left(s->session) > 0)
        s->base.lost = SIDE_RESET;
    side_wake(&s->base);
}

static void set_timer(struct turbo_server_side *s, double seconds)
{
    ev_timer_stop(s->worker->loop, &s->timer);
    ev_timer_set(&s->timer, seconds, 0.);
    ev_timer_start(s->worker->loop, &s->timer);
}

void turbo_server_side_ended(struct side *side)
{
    struct turbo_server_side *s = side_of(side);
    s->base.lost = SIDE_RESET;
    side_wake(side);
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
    s->tcp = fd;
    s->early = early;
    s->early_length = length;
    no_longer_pending(s);
    replay_early(s);
    flush_tcp(s);
    if (turbo_server_replay_left(s->session) > 0)
        set_timer(s, s->worker->opening_timeout_s);
    side_wake(side);
}

/* Reads and compares the rest of the repetition. Returns whether C→S may go on behind it. */
static bool replay_done(struct turbo_server_side *s, ssize_t *verdict)
{
    uint8_t bytes[REPLAY_BYTES];
    size_t left;
    while ((left = turbo_server_replay_left(s->session)) > 0) {
        ssize_t n = recv(s->tcp, bytes, left < sizeof(bytes) ? left : sizeof(bytes), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
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
    if (s->tcp < 0)
        return SIDE_AGAIN;
    if (!replay_done(s, &verdict))
        return verdict;
    if (s->early_used < s->early_length) {
        ssize_t n =
            take(buffer, capacity, s->early + s->early_used, s->early_length - s->early_used);
        s->early_used += (size_t)n;
        return n;
    }
    ssize_t n = recv(s->tcp, buffer, capacity, 0);
    if (n >= 0)
        return n == 0 ? SIDE_END : n;
    return errno == EAGAIN || errno == EINTR ? SIDE_AGAIN : SIDE_RESET;
}

/* ---- S→C ---- */

/* Until TCP has joined the session keeps the bytes; then they wait until its own have left. */
static size_t turbo_server_side_room(const struct side *side)
{
    const struct turbo_server_side *s = const_side_of(side);
    const uint8_t *data;
    if (s->base.lost != 0 || s->doomed)
        return 0;
    if (s->tcp < 0)
        return turbo_server_room(s->session);
    return s->blocked || turbo_server_tcp_peek(s->session, &data) > 0 ? 0 : SIZE_MAX;
}

static ssize_t turbo_server_side_write(struct side *side, const uint8_t *data, size_t length)
{
    struct turbo_server_side *s = side_of(side);
    if (s->tcp < 0) {
        size_t n = turbo_server_push(s->session, clock_now(), data, length);
        udp_endpoint_kick(s->endpoint);
        return (ssize_t)n;
    }
    ssize_t n = send(s->tcp, data, length, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return SIDE_RESET;
    if (n < 0)
        n = 0;
    s->blocked = (size_t)n < length;
    return n;
}

/* The socket's end is sent once it is plain: the relay says so again then. */
static void turbo_server_side_finish(struct side *side)
{
    turbo_server_push_end(side_of(side)->session, TURBO_END_FIN);
}

static bool turbo_server_side_reset(struct side *side, bool unreached)
{
    struct turbo_server_side *s = side_of(side);
    const uint8_t *data;
    bool nothing_to_deliver =
        s->base.lost != 0 || (s->tcp >= 0 && turbo_server_tcp_peek(s->session, &data) == 0);
    if (unreached && s->tcp < 0) {
        turbo_server_refuse(s->session);
        udp_endpoint_kick(s->endpoint);
        return true;
    }
    if (nothing_to_deliver) {
        set_events(s, 0);
        socket_reset(s->tcp);
        s->tcp = -1;
        return true;
    }
    turbo_server_push_end(s->session, TURBO_END_RESET);
    s->doomed = true;
    return false;
}

/* ---- the rest ---- */

static void turbo_server_side_watch(struct side *side, bool readable, bool writable)
{
    struct turbo_server_side *s = side_of(side);
    if (s->tcp < 0)
        return;
    if (s->doomed) {
        if (s->linger_until == 0)
            s->linger_until = clock_now() + LINGER_TIME;
        set_timer(s, LOOK_SECONDS);
        writable = s->blocked;
    }
    set_events(s, (readable ? EV_READ : 0) | (writable || s->blocked ? EV_WRITE : 0));
}

static bool turbo_server_side_settled(const struct side *side)
{
    const struct turbo_server_side *s = const_side_of(side);
    const uint8_t *data;
    if (s->base.lost != 0 || s->tcp < 0 || turbo_server_tcp_peek(s->session, &data) > 0)
        return false;
    if (s->doomed) /* a reset would take back what the client has not acknowledged */
        return socket_unsent(s->tcp) == 0 || clock_now() >= s->linger_until;
    return turbo_server_replay_left(s->session) == 0 && turbo_server_peek(s->session, &data) == 0;
}

static int turbo_server_side_hand_over(struct side *side, uint8_t **early, size_t *length)
{
    struct turbo_server_side *s = side_of(side);
    set_events(s, 0);
    int fd = s->tcp;
    s->tcp = -1;
    *early = s->early;
    *length = s->early_length - s->early_used;
    if (*length > 0)
        memmove(*early, *early + s->early_used, *length);
    s->early = NULL;
    return fd;
}

static void turbo_server_side_report(const struct side *side, struct access *access)
{
    const struct turbo_server_side *s = const_side_of(side);
    struct turbo_server_report report = turbo_server_report(s->session);
    access_add_hello(access, turbo_server_hello(s->session));
    access_add_outcome(access, report.outcome, report.reason);
    access_add_rtt(access, report.joined_us);
}

static void turbo_server_side_destroy(struct side *side)
{
    struct turbo_server_side *s = side_of(side);
    no_longer_pending(s);
    ev_io_stop(s->worker->loop, &s->io);
    ev_timer_stop(s->worker->loop, &s->timer);
    if (s->base.lost != 0 || s->doomed)
        socket_reset(s->tcp);
    else
        socket_close(s->tcp);
    free(s->early);
    turbo_server_release(s->session, clock_now());
    s->tag = 0;
    free(s);
}

struct side *turbo_server_side(struct worker *worker, struct udp_endpoint *endpoint,
                               struct turbo_server *session)
{
    static const struct side_ops ops = {
        .read = turbo_server_side_read,
        .room = turbo_server_side_room,
        .write = turbo_server_side_write,
        .finish = turbo_server_side_finish,
        .reset = turbo_server_side_reset,
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
    s->tcp = -1;
    s->counted = true;
    worker->upstream.pending++;
    ev_init(&s->io, on_io);
    ev_init(&s->timer, on_timer);
    s->io.data = s->timer.data = s;
    turbo_server_set_user(session, &s->base);
    return &s->base;
}
