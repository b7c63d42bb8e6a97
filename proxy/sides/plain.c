#include "proxy/sides/plain.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/net/hangup.h"
#include "proxy/ops/access.h"
#include "proxy/reach.h"
#include "proxy/server.h"
#include "proxy/sides/stream.h"
#include "proxy/talk.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

enum { PLAIN_TAG = 0x506c6169 }; /* "Plai" */

enum { TLS_ALERT = 21, TLS_HANDSHAKE = 22 }; /* how a server's TLS begins (RFC 8446 §5.1) */

struct starttls {
    struct talk *talk; /* NULL: not begun */
    ev_timer timer;    /* the connect timeout, once more */
};

/* All that there is to do before it is nothing but a socket. */
struct opening {
    struct worker *worker;
    struct upstream *upstream; /* held up to the server's TLS; NULL: accepted */
    struct reach *reach;       /* while connecting */
    uint8_t *prelude;          /* until the server has been sent all of it */
    size_t prelude_length, prelude_used;
    struct starttls *starttls; /* comes next, until the server is ready for TLS */
    bool tls_due;              /* from then on, until its first byte */
    uint8_t *early;            /* read from it before, and not yet again */
    size_t early_length, early_used;
};

struct plain {
    struct side base;
    struct stream tcp; /* no socket while connecting; io.data is the opening, NULL: it is over */
};

static struct plain *plain_of(struct side *side)
{
    struct plain *p = (struct plain *)side;
    assert(p->base.tag == PLAIN_TAG);
    return p;
}

static const struct plain *const_plain_of(const struct side *side)
{
    const struct plain *p = (const struct plain *)side;
    assert(p->base.tag == PLAIN_TAG);
    return p;
}

static struct opening *opening_of(const struct plain *p)
{
    return p->tcp.io.data;
}

static struct ev_loop *loop_of(const struct plain *p)
{
    const struct opening *o = opening_of(p);
    const struct worker *worker = o != NULL ? o->worker : p->base.owner->worker;
    return worker->loop;
}

/* Its turn to be written to has not come. */
static bool is_waiting(const struct opening *o)
{
    return o != NULL && (o->reach != NULL || o->prelude != NULL || o->starttls != NULL);
}

/* Nor can it be read from the socket. */
static bool is_silent(const struct opening *o)
{
    return o != NULL && (o->reach != NULL || o->starttls != NULL);
}

/* Once there is nothing left to be done it takes no memory. */
static void end_opening(struct plain *p)
{
    struct opening *o = opening_of(p);
    if (o == NULL || is_waiting(o) || o->tls_due || o->early != NULL)
        return;
    upstream_release(o->upstream);
    free(o);
    p->tcp.io.data = NULL;
}

/* Nothing else is written before all of it is. */
static void send_prelude(struct plain *p)
{
    struct opening *o = opening_of(p);
    if (o->prelude == NULL)
        return;
    ssize_t n =
        stream_write(&p->tcp, o->prelude + o->prelude_used, o->prelude_length - o->prelude_used);
    if (n == SIDE_RESET)
        p->base.lost = SIDE_RESET;
    else
        o->prelude_used += (size_t)n;
    if (n == SIDE_RESET || o->prelude_used == o->prelude_length) {
        free(o->prelude);
        o->prelude = NULL;
    }
}

/* ---- STARTTLS ---- */

static void stop_talking(struct opening *o)
{
    struct starttls *s = o->starttls;
    if (s == NULL)
        return;
    ev_timer_stop(o->worker->loop, &s->timer);
    talk_end(s->talk);
    s->talk = NULL;
}

/* Only then may bytes pass: where it comes to nothing, none of either end's does. */
static void end_starttls(struct opening *o)
{
    stop_talking(o);
    free(o->starttls);
    o->starttls = NULL;
}

static void refuse_server(struct plain *p, enum turbo_reason reason, const char *fault,
                          const char *said)
{
    struct opening *o = opening_of(p);
    upstream_refused(o->upstream, p->base.server, o->worker, fault, said);
    p->base.lost = SIDE_UNREACHED;
    p->base.reason = (uint8_t)reason;
    stop_talking(o);
}

static void server_refused(struct plain *p)
{
    const struct prelude *prelude = talk_prelude(opening_of(p)->starttls->talk);
    enum prelude_fault fault = prelude_fault(prelude);
    refuse_server(p,
                  fault == PRELUDE_INJECTED ? TURBO_REASON_INJECTED : TURBO_REASON_STARTTLS_REFUSED,
                  prelude_fault_text(fault), prelude_said(prelude));
}

static void on_starttls_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct plain *p = timer->data;
    assert(p->base.tag == PLAIN_TAG);
    refuse_server(p, TURBO_REASON_STARTTLS_REFUSED, "timeout", "");
    side_wake(&p->base);
}

static bool expect_starttls(struct plain *p)
{
    struct opening *o = opening_of(p);
    if (o->upstream->settings->starttls == STARTTLS_NONE)
        return true;
    o->starttls = calloc(1, sizeof(*o->starttls));
    if (o->starttls == NULL)
        return false;
    ev_timer_init(&o->starttls->timer, on_starttls_timeout,
                  o->upstream->settings->connect_timeout_s, 0.);
    o->starttls->timer.data = p;
    return true;
}

/* Until the server is ready for TLS nothing else is said, and nothing that it says is passed on. */
static void talk_about_tls(struct plain *p)
{
    struct opening *o = opening_of(p);
    struct starttls *s = o->starttls;
    if (s == NULL || o->prelude != NULL || p->base.lost != 0)
        return;
    if (s->talk == NULL) {
        s->talk = talk_start(prelude_starttls_client(o->upstream->settings->starttls),
                             stream_fd(&p->tcp), NULL, 0);
        p->base.error = s->talk == NULL ? ENOMEM : 0;
        ev_timer_start(o->worker->loop, &s->timer);
    }
    switch (s->talk == NULL ? TALK_LOST : talk_run(s->talk)) {
    case TALK_ASKED:
    case TALK_MORE: break;
    case TALK_DONE:
        o->tls_due = true;
        end_starttls(o);
        break;
    case TALK_OVER: server_refused(p); break;
    case TALK_LOST:
        stop_talking(o);
        p->base.lost = SIDE_RESET;
        break;
    }
}

/* What follows the go-ahead later than at once, and is not TLS, is no less injected. */
static bool is_injected(struct plain *p, const uint8_t *data, ssize_t length)
{
    struct opening *o = opening_of(p);
    if (o == NULL || !o->tls_due || length <= 0)
        return false;
    bool is_tls = data[0] == TLS_HANDSHAKE || data[0] == TLS_ALERT;
    if (!is_tls)
        refuse_server(p, TURBO_REASON_INJECTED, prelude_fault_text(PRELUDE_INJECTED), "");
    o->tls_due = false;
    end_opening(p);
    return !is_tls;
}

/* ---- events ---- */

/* What it has to say itself comes before the relay's bytes. */
static void speak(struct plain *p)
{
    send_prelude(p);
    talk_about_tls(p);
    end_opening(p);
    side_wake(&p->base);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct plain *p = (struct plain *)((uintptr_t)io - offsetof(struct plain, tcp.io));
    assert(p->base.tag == PLAIN_TAG);
    if (!stream_ready(&p->tcp, loop, events))
        return;
    if (is_waiting(opening_of(p)))
        speak(p);
    else
        side_wake(&p->base);
}

void plain_was_reset(void *side)
{
    struct plain *p = plain_of(side);
    p->base.lost = SIDE_RESET;
    stream_lost(&p->tcp); /* there may be last words */
    side_wake(&p->base);
}

static ssize_t read_early(struct plain *p, uint8_t *buffer, size_t capacity)
{
    struct opening *o = opening_of(p);
    size_t left = o->early_length - o->early_used;
    size_t n = left < capacity ? left : capacity;
    memcpy(buffer, o->early + o->early_used, n);
    o->early_used += n;
    if (o->early_used == o->early_length) {
        free(o->early);
        o->early = NULL;
        end_opening(p);
    }
    return (ssize_t)n;
}

static ssize_t plain_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct plain *p = plain_of(side);
    const struct opening *o = opening_of(p);
    if (p->base.lost == SIDE_UNREACHED)
        return SIDE_UNREACHED;
    if (o != NULL && o->early != NULL)
        return read_early(p, buffer, capacity);
    if (is_silent(o))
        return p->base.lost != 0 ? p->base.lost : SIDE_AGAIN;
    ssize_t n = stream_read(&p->tcp, buffer, capacity);
    return is_injected(p, buffer, n) ? SIDE_UNREACHED : n;
}

static ssize_t plain_peek(struct side *side)
{
    struct plain *p = plain_of(side);
    const struct opening *o = opening_of(p);
    if (p->base.lost != 0)
        return p->base.lost;
    if (o != NULL && o->early != NULL)
        return 1;
    return is_silent(o) ? SIDE_AGAIN : stream_peek(&p->tcp);
}

static size_t plain_room(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return is_waiting(opening_of(p)) || p->tcp.blocked || p->base.lost != 0 ? 0 : SIZE_MAX;
}

static ssize_t plain_write(struct side *side, const uint8_t *data, size_t length)
{
    struct plain *p = plain_of(side);
    return is_waiting(opening_of(p)) ? 0 : stream_write(&p->tcp, data, length);
}

static bool plain_splices(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return stream_fd(&p->tcp) >= 0 && opening_of(p) == NULL;
}

static ssize_t plain_read_pipe(struct side *side, int write_end, size_t capacity)
{
    return stream_read_pipe(&plain_of(side)->tcp, write_end, capacity);
}

static ssize_t plain_write_pipe(struct side *side, int read_end, size_t length)
{
    return stream_write_pipe(&plain_of(side)->tcp, read_end, length);
}

static void plain_finish(struct side *side)
{
    shutdown(stream_fd(&plain_of(side)->tcp), SHUT_WR);
}

static size_t plain_undelivered(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return stream_fd(&p->tcp) < 0 ? 0 : socket_unsent(stream_fd(&p->tcp));
}

/* Who never had an owner is not watched, and has no loop. */
static void close_tcp(struct plain *p, bool reset)
{
    if (stream_fd(&p->tcp) < 0)
        return;
    if (p->tcp.hangup)
        hangups_forget(p->base.owner->worker->hangups, stream_fd(&p->tcp));
    stream_close(&p->tcp, ev_is_active(&p->tcp.io) ? loop_of(p) : NULL, reset);
}

static void plain_reset(struct side *side, bool unreached)
{
    (void)unreached;
    close_tcp(plain_of(side), true);
}

static void plain_watch(struct side *side, bool readable, bool writable)
{
    struct plain *p = plain_of(side);
    const struct opening *o = opening_of(p);
    if (stream_fd(&p->tcp) < 0)
        return;
    if (o != NULL && o->prelude != NULL) {
        writable = true;
    } else if (o != NULL && o->starttls != NULL && o->starttls->talk != NULL) {
        writable = talk_wants_write(o->starttls->talk);
        readable = !writable;
    }
    if (p->tcp.ended) /* nobody reads any more, but a reset is still to be noticed */
        plain_watch_reset(side);
    stream_watch(&p->tcp, loop_of(p), readable, writable);
}

/* To a server there is no leg whose round trip matters, or it has been told; and to ask for it
 * costs a system call. */
static void plain_report(const struct side *side, struct access *access)
{
    const struct plain *p = const_plain_of(side);
    if (p->base.server == NULL && opening_of(p) == NULL &&
        access_wants_rtt(access, p->base.owner->worker->log))
        access_add_rtt(access, socket_rtt_us(stream_fd(&p->tcp)));
}

static void plain_destroy(struct side *side)
{
    struct plain *p = plain_of(side);
    struct opening *o = opening_of(p);
    close_tcp(p, false);
    reach_end(p->base.server);
    if (o != NULL) {
        reach_cancel(o->reach);
        end_starttls(o);
        upstream_release(o->upstream);
        free(o->early);
        free(o->prelude);
        free(o);
    }
    p->base.tag = 0;
    free(p);
}

static const struct side_ops plain_ops = {
    .read = plain_read,
    .peek = plain_peek,
    .room = plain_room,
    .write = plain_write,
    .splices = plain_splices,
    .read_pipe = plain_read_pipe,
    .write_pipe = plain_write_pipe,
    .finish = plain_finish,
    .reset = plain_reset,
    .undelivered = plain_undelivered,
    .watch = plain_watch,
    .report = plain_report,
    .destroy = plain_destroy,
};

static struct plain *create(void)
{
    struct plain *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->base.ops = &plain_ops;
    p->base.tag = PLAIN_TAG;
    stream_init(&p->tcp, on_io, NULL);
    return p;
}

static struct opening *add_opening(struct plain *p, struct worker *worker)
{
    struct opening *o = calloc(1, sizeof(*o));
    if (o != NULL)
        o->worker = worker;
    p->tcp.io.data = o;
    return o;
}

struct side *plain_accepted(struct worker *worker, int fd, uint8_t *early, size_t early_length)
{
    struct plain *p = create();
    if (p == NULL)
        return NULL;
    if (early_length > 0) {
        struct opening *o = add_opening(p, worker);
        if (o == NULL) {
            plain_destroy(&p->base);
            return NULL;
        }
        o->early = early;
        o->early_length = early_length;
    } else {
        free(early);
    }
    stream_open(&p->tcp, fd);
    return &p->base;
}

static void on_up(void *owner, int fd, const struct address *peer, struct server *server)
{
    (void)peer;
    struct plain *p = owner;
    assert(p->base.tag == PLAIN_TAG);
    opening_of(p)->reach = NULL;
    stream_open(&p->tcp, fd);
    p->tcp.drained = true; /* the loop is going to tell when the server speaks */
    p->base.server = server;
    speak(p);
}

static void on_failed(void *owner, int code)
{
    struct plain *p = owner;
    assert(p->base.tag == PLAIN_TAG);
    opening_of(p)->reach = NULL;
    p->base.lost = SIDE_UNREACHED;
    p->base.error = (int16_t)code;
    side_wake(&p->base);
}

static bool keep_prelude(struct opening *o, const struct upstream_call *call)
{
    if (call->prelude_length == 0)
        return true;
    o->prelude = malloc(call->prelude_length);
    if (o->prelude == NULL)
        return false;
    memcpy(o->prelude, call->prelude, call->prelude_length);
    o->prelude_length = call->prelude_length;
    return true;
}

struct side *plain_connecting(struct worker *worker, struct upstream *upstream,
                              const struct upstream_call *call)
{
    static const struct reach_events events = {.up = on_up, .failed = on_failed};
    struct plain *p = create();
    if (p == NULL)
        return NULL;
    struct opening *o = add_opening(p, worker);
    if (o != NULL) {
        o->upstream = upstream_hold(upstream);
        if (keep_prelude(o, call) && expect_starttls(p))
            o->reach = reach_start(worker, upstream, call->target, &events, p);
    }
    if (o == NULL || o->reach == NULL) {
        plain_destroy(&p->base);
        return NULL;
    }
    return &p->base;
}

void plain_watch_reset(struct side *side)
{
    struct plain *p = plain_of(side);
    if (p->tcp.hangup)
        return;
    hangups_watch(p->base.owner->worker->hangups, stream_fd(&p->tcp), &p->base);
    p->tcp.hangup = true;
}
