#include "proxy/arrival.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/listener.h"
#include "proxy/net/socket.h"
#include "proxy/relay.h"
#include "proxy/sides/plain.h"
#include "proxy/sides/turbo_server.h"
#include "proxy/worker.h"
#include "turbo/opening.h"

enum {
    ARRIVAL_TAG = 0x41727269, /* "Arri" */
    /* A tombstone, the largest ClientHello, and what may come with its last byte. */
    BYTES_MAX = TURBO_TOMBSTONE_BYTES + TURBO_HELLO_MAX + 16384,
    BYTES_STEP = 4096,
};

/* A client may take so long for its first bytes, however many others there are: a round trip, long
 * or, where nobody else could be accepted, short. */
static const turbo_time GRACE_TIME = 250 * TURBO_MILLISECOND;
static const turbo_time GRACE_TIME_FULL = 50 * TURBO_MILLISECOND;

struct arrival {
    uint32_t tag;
    struct worker *worker;
    struct listener *listener;
    struct arrival *next, *previous;
    struct address client;
    turbo_time started;
    int fd;
    uint8_t *bytes; /* all that came, less a tombstone that starts afresh */
    size_t length, capacity;
    struct turbo_opening opening;
    bool afresh;        /* after a tombstone for nothing consumed: the stream follows, no other */
    bool late;          /* came while draining: only to join a session */
    struct side *trial; /* --sniff-timeout: connected before the client has spoken */
    ev_io io;
    ev_timer timeout, sniff;
};

static struct turbo_endpoint *endpoint_of(const struct arrival *a)
{
    return udp_endpoint_turbo(listener_udp(a->listener));
}

/* ---- its ends ---- */

/* Frees it, but for what was taken out of it. */
static void dismiss(struct arrival *a)
{
    struct worker *w = a->worker;
    ev_io_stop(w->loop, &a->io);
    ev_timer_stop(w->loop, &a->timeout);
    ev_timer_stop(w->loop, &a->sniff);
    if (a->trial != NULL)
        a->trial->ops->destroy(a->trial);
    if (a->previous != NULL)
        a->previous->next = a->next;
    else
        w->arrivals = a->next;
    if (a->next != NULL)
        a->next->previous = a->previous;
    else
        w->oldest_arrival = a->previous;
    w->arrival_count--;
    free(a->bytes);
    a->tag = 0;
    free(a);
}

static void forget(struct arrival *a)
{
    struct worker *w = a->worker;
    dismiss(a);
    worker_connection_ended(w);
}

/* An arrival that leads nowhere is a connection all the same, and has its access line. */
static void end(struct arrival *a, enum turbo_reason reason, bool reset)
{
    struct access access;
    access_init(&access, &a->client, listener_text(a->listener), a->worker->upstream.text,
                a->started);
    if (reason != TURBO_REASON_NONE)
        access_fail(&access, reason);
    access_end(&access, a->worker->log, a->worker->now);
    if (reset)
        socket_reset(a->fd);
    else
        socket_close(a->fd);
    forget(a);
}

void arrival_abort(struct arrival *a)
{
    end(a, TURBO_REASON_NONE, true);
}

void arrivals_end_late(struct worker *w)
{
    if (w->ending_late)
        return; /* each end comes back here */
    w->ending_late = true;
    struct arrival *next;
    for (struct arrival *a = w->arrivals; a != NULL; a = next) {
        next = a->next;
        if (a->late)
            arrival_abort(a);
    }
    w->ending_late = false;
}

void arrivals_make_room(struct worker *w)
{
    turbo_time grace = w->connections < w->connections_max ? GRACE_TIME : GRACE_TIME_FULL;
    if (worker_is_crowded(w) && w->now >= w->oldest_arrival->started + grace)
        end(w->oldest_arrival, TURBO_REASON_CROWDED_OUT, true);
}

/* A connection of its own: what came goes to the upstream first. */
static void become_relay(struct arrival *a, enum turbo_outcome outcome, enum turbo_reason reason)
{
    struct worker *w = a->worker;
    struct side *near = a->late ? NULL : plain_accepted(w, a->fd, a->bytes, a->length);
    if (near == NULL) {
        end(a, TURBO_REASON_NONE, true);
        return;
    }
    struct access access;
    access_init(&access, &a->client, listener_text(a->listener), w->upstream.text, a->started);
    access.listener_outcome = outcome;
    access.listener_reason = reason;
    if (a->opening.hello.state == TURBO_HELLO_COMPLETE)
        access_add_hello(&access, &a->opening.hello);
    struct side *far = a->trial;
    a->bytes = NULL;
    a->trial = NULL;
    if (far != NULL)
        plain_watch_server(far, NULL, NULL);
    dismiss(a);
    w->connections--; /* the relay counts it again */
    relay_start(w, near, far, &access);
}

static void join(struct arrival *a, struct turbo_server *session)
{
    struct side *side = turbo_server_user(session);
    int fd = a->fd;
    uint8_t *bytes = a->bytes;
    size_t length = a->length;
    a->bytes = NULL;
    forget(a);
    turbo_server_side_join(side, fd, bytes, length);
}

/* ---- what the first bytes say ---- */

static void classic(struct arrival *a)
{
    struct turbo_server *session;
    if (a->opening.hello.state == TURBO_HELLO_COMPLETE &&
        turbo_endpoint_adopt(endpoint_of(a), a->worker->now, a->bytes, a->opening.hello.length,
                             &session) == TURBO_JOIN_SESSION)
        join(a, session);
    else
        become_relay(a, TURBO_OUTCOME_CLASSIC, TURBO_REASON_CLIENT_CLASSIC);
}

static void drop_front(struct arrival *a, size_t length)
{
    a->length -= length;
    memmove(a->bytes, a->bytes + length, a->length);
}

static void prove_address(const struct arrival *a)
{
    struct turbo_address peer;
    address_to_turbo(&a->client, &peer);
    turbo_endpoint_prove(endpoint_of(a), a->worker->now, &peer);
}

static void judge(struct arrival *a, size_t from);

static void tombstone(struct arrival *a)
{
    struct turbo_server *session;
    if (a->afresh) {
        become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS);
        return;
    }
    drop_front(a, TURBO_TOMBSTONE_BYTES);
    switch (turbo_endpoint_join(endpoint_of(a), a->worker->now, &a->opening.tombstone, &session)) {
    case TURBO_JOIN_SESSION: join(a, session); break;
    case TURBO_JOIN_FRESH:
        a->afresh = true;
        turbo_opening_init(&a->opening);
        judge(a, 0);
        break;
    case TURBO_JOIN_RESET: end(a, TURBO_REASON_UNKNOWN_SESSION, true); break;
    }
}

/* Looks at the bytes from `from` on. */
static void judge(struct arrival *a, size_t from)
{
    turbo_opening_push(&a->opening, a->bytes + from, a->length - from, turbo_endpoint_prefix_known,
                       endpoint_of(a));
    switch (a->opening.kind) {
    case TURBO_OPENING_MORE: break;
    case TURBO_OPENING_CLASSIC:
        prove_address(a);
        classic(a);
        break;
    case TURBO_OPENING_TOMBSTONE:
        prove_address(a);
        tombstone(a);
        break;
    case TURBO_OPENING_OTHER: become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS); break;
    }
}

/* ---- events ---- */

static bool make_room(struct arrival *a)
{
    if (a->length < a->capacity)
        return true;
    size_t capacity = a->capacity == 0 ? BYTES_STEP : a->capacity * 2;
    capacity = capacity < BYTES_MAX ? capacity : BYTES_MAX;
    uint8_t *bytes = capacity > a->length ? realloc(a->bytes, capacity) : NULL;
    if (bytes == NULL)
        return false;
    a->bytes = bytes;
    a->capacity = capacity;
    return true;
}

/* The client has ended its stream before the opening was clear: as it is, if there is anything. */
static void ended_early(struct arrival *a)
{
    if (a->length > 0 || a->worker->options->sniff_timeout_s > 0.)
        become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_HELLO_CUT_SHORT);
    else
        end(a, TURBO_REASON_CLIENT_SILENT, false);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct arrival *a = io->data;
    assert(a->tag == ARRIVAL_TAG);
    if (!make_room(a)) {
        end(a, TURBO_REASON_NONE, true);
        return;
    }
    ssize_t n = recv(a->fd, a->bytes + a->length, a->capacity - a->length, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        end(a, TURBO_REASON_NONE, true);
        return;
    }
    if (n == 0) {
        ended_early(a);
        return;
    }
    ev_timer_stop(a->worker->loop, &a->sniff);
    size_t from = a->length;
    a->length += (size_t)n;
    judge(a, from);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct arrival *a = timer->data;
    assert(a->tag == ARRIVAL_TAG);
    end(a, TURBO_REASON_OPENING_TIMEOUT, true);
}

/* The TLS server has spoken first, or the trial has failed, which just ends the trial. */
static void on_server_spoke(void *owner, bool alive)
{
    struct arrival *a = owner;
    assert(a->tag == ARRIVAL_TAG);
    if (alive) {
        become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_SERVER_FIRST);
        return;
    }
    a->trial->ops->destroy(a->trial);
    a->trial = NULL;
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct arrival *a = timer->data;
    assert(a->tag == ARRIVAL_TAG);
    /* Over TCP also where the upstream speaks TurboTLS: there is no ClientHello to send by UDP. */
    a->trial = plain_connecting(a->worker, &a->worker->upstream);
    if (a->trial != NULL)
        plain_watch_server(a->trial, on_server_spoke, a);
}

static void start_timer(struct worker *w, ev_timer *timer, double seconds)
{
    if (seconds <= 0.)
        return;
    ev_timer_set(timer, seconds, 0.);
    ev_timer_start(w->loop, timer);
}

static void link_in(struct arrival *a)
{
    struct worker *w = a->worker;
    a->next = w->arrivals;
    if (a->next != NULL)
        a->next->previous = a;
    else
        w->oldest_arrival = a;
    w->arrivals = a;
    w->arrival_count++;
}

void arrival_start(struct worker *w, struct listener *listener, int fd,
                   const struct address *client)
{
    struct arrival *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        socket_reset(fd);
        return;
    }
    a->tag = ARRIVAL_TAG;
    a->worker = w;
    a->listener = listener;
    a->client = *client;
    a->started = w->now;
    a->fd = fd;
    a->late = w->draining;
    turbo_opening_init(&a->opening);
    ev_io_init(&a->io, on_readable, fd, EV_READ);
    ev_init(&a->timeout, on_timeout);
    ev_init(&a->sniff, on_silence);
    a->io.data = a->timeout.data = a->sniff.data = a;
    link_in(a);
    worker_connection_began(w);
    ev_io_start(w->loop, &a->io);
    start_timer(w, &a->timeout, w->options->opening_timeout_s);
    if (!a->late)
        start_timer(w, &a->sniff, w->options->sniff_timeout_s);
    arrivals_make_room(w);
}
