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
    struct plain *plain;
    struct talk *talk; /* NULL: not begun */
    ev_timer timer;    /* the connect timeout, once more */
};

struct plain {
    struct side base;
    uint32_t tag;
    struct stream tcp; /* no socket while connecting */
    struct worker *worker;
    struct upstream *upstream; /* held up to the server's TLS; NULL: accepted */
    struct reach *reach;       /* while connecting */
    bool dialled;              /* to a plain upstream: no leg whose round trip matters */
    uint32_t rtt_us;
    uint8_t *prelude; /* until the server has been sent all of it */
    size_t prelude_length, prelude_used;
    struct starttls *starttls; /* comes next, until the server is ready for TLS */
    bool tls_due;              /* from then on, until its first byte */
    uint8_t *early;
    size_t early_length, early_used;
    struct hangup hangup;
};

static struct plain *plain_of(struct side *side)
{
    struct plain *p = (struct plain *)side;
    assert(p->tag == PLAIN_TAG);
    return p;
}

static const struct plain *const_plain_of(const struct side *side)
{
    const struct plain *p = (const struct plain *)side;
    assert(p->tag == PLAIN_TAG);
    return p;
}

/* Its turn to be written to has not come. */
static bool is_waiting(const struct plain *p)
{
    return p->reach != NULL || p->prelude != NULL || p->starttls != NULL;
}

/* Nothing else is written before all of it is. */
static void send_prelude(struct plain *p)
{
    if (p->prelude == NULL)
        return;
    ssize_t n =
        stream_write(&p->tcp, p->prelude + p->prelude_used, p->prelude_length - p->prelude_used);
    if (n == SIDE_RESET)
        p->base.lost = SIDE_RESET;
    else
        p->prelude_used += (size_t)n;
    if (n == SIDE_RESET || p->prelude_used == p->prelude_length) {
        free(p->prelude);
        p->prelude = NULL;
    }
}

static void release_upstream(struct plain *p)
{
    upstream_release(p->upstream);
    p->upstream = NULL;
}

/* ---- STARTTLS ---- */

static void stop_talking(struct plain *p)
{
    struct starttls *s = p->starttls;
    if (s == NULL)
        return;
    ev_timer_stop(p->worker->loop, &s->timer);
    talk_end(s->talk);
    s->talk = NULL;
}

/* Only then may bytes pass: where it comes to nothing, none of either end's does. */
static void end_starttls(struct plain *p)
{
    stop_talking(p);
    free(p->starttls);
    p->starttls = NULL;
}

static void refuse_server(struct plain *p, enum turbo_reason reason, const char *fault,
                          const char *said)
{
    upstream_refused(p->upstream, p->base.server, p->worker, fault, said);
    p->base.lost = SIDE_UNREACHED;
    p->base.reason = reason;
    stop_talking(p);
}

static void server_refused(struct plain *p)
{
    const struct prelude *prelude = talk_prelude(p->starttls->talk);
    enum prelude_fault fault = prelude_fault(prelude);
    refuse_server(p,
                  fault == PRELUDE_INJECTED ? TURBO_REASON_INJECTED : TURBO_REASON_STARTTLS_REFUSED,
                  prelude_fault_text(fault), prelude_said(prelude));
}

static void on_starttls_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct starttls *starttls = timer->data;
    struct plain *p = starttls->plain;
    assert(p->tag == PLAIN_TAG);
    refuse_server(p, TURBO_REASON_STARTTLS_REFUSED, "timeout", "");
    side_wake(&p->base);
}

static bool expect_starttls(struct plain *p)
{
    if (p->upstream->settings->starttls == STARTTLS_NONE)
        return true;
    p->starttls = calloc(1, sizeof(*p->starttls));
    if (p->starttls == NULL)
        return false;
    p->starttls->plain = p;
    ev_timer_init(&p->starttls->timer, on_starttls_timeout,
                  p->upstream->settings->connect_timeout_s, 0.);
    p->starttls->timer.data = p->starttls;
    return true;
}

/* Until the server is ready for TLS nothing else is said, and nothing that it says is passed on. */
static void talk_about_tls(struct plain *p)
{
    struct starttls *s = p->starttls;
    if (s == NULL || p->prelude != NULL || p->base.lost != 0)
        return;
    if (s->talk == NULL) {
        s->talk = talk_start(prelude_starttls_client(p->upstream->settings->starttls), p->tcp.fd,
                             NULL, 0);
        p->base.error = s->talk == NULL ? ENOMEM : 0;
        ev_timer_start(p->worker->loop, &s->timer);
    }
    switch (s->talk == NULL ? TALK_LOST : talk_run(s->talk)) {
    case TALK_ASKED:
    case TALK_MORE: break;
    case TALK_DONE:
        p->tls_due = true;
        end_starttls(p);
        break;
    case TALK_OVER: server_refused(p); break;
    case TALK_LOST:
        stop_talking(p);
        p->base.lost = SIDE_RESET;
        break;
    }
}

/* What follows the go-ahead later than at once, and is not TLS, is no less injected. */
static bool is_injected(struct plain *p, const uint8_t *data, ssize_t length)
{
    if (!p->tls_due || length <= 0)
        return false;
    bool is_tls = data[0] == TLS_HANDSHAKE || data[0] == TLS_ALERT;
    if (!is_tls)
        refuse_server(p, TURBO_REASON_INJECTED, prelude_fault_text(PRELUDE_INJECTED), "");
    p->tls_due = false;
    release_upstream(p);
    return !is_tls;
}

/* ---- events ---- */

/* What it has to say itself comes before the relay's bytes. */
static void speak(struct plain *p)
{
    send_prelude(p);
    talk_about_tls(p);
    if (!is_waiting(p) && !p->tls_due)
        release_upstream(p);
    side_wake(&p->base);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    struct plain *p = io->data;
    assert(p->tag == PLAIN_TAG);
    stream_ready(&p->tcp, events);
    if (is_waiting(p))
        speak(p);
    else
        side_wake(&p->base);
}

static void on_reset(struct hangup *hangup)
{
    struct plain *p = (struct plain *)((uintptr_t)hangup - offsetof(struct plain, hangup));
    assert(p->tag == PLAIN_TAG);
    p->base.lost = SIDE_RESET;
    p->tcp.drained = false; /* there may be last words */
    side_wake(&p->base);
}

static ssize_t read_early(struct plain *p, uint8_t *buffer, size_t capacity)
{
    size_t left = p->early_length - p->early_used;
    size_t n = left < capacity ? left : capacity;
    memcpy(buffer, p->early + p->early_used, n);
    p->early_used += n;
    if (p->early_used == p->early_length) {
        free(p->early);
        p->early = NULL;
    }
    return (ssize_t)n;
}

/* Behind its end nobody reads, but a reset is still to be noticed. */
static ssize_t notice_end(struct plain *p, ssize_t n)
{
    if (n == SIDE_END)
        plain_watch_reset(&p->base);
    return n;
}

static ssize_t plain_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct plain *p = plain_of(side);
    if (p->base.lost == SIDE_UNREACHED)
        return SIDE_UNREACHED;
    if (p->early != NULL)
        return read_early(p, buffer, capacity);
    if (p->reach != NULL || p->starttls != NULL)
        return p->base.lost != 0 ? p->base.lost : SIDE_AGAIN;
    ssize_t n = stream_read(&p->tcp, buffer, capacity);
    return is_injected(p, buffer, n) ? SIDE_UNREACHED : notice_end(p, n);
}

static ssize_t plain_peek(struct side *side)
{
    struct plain *p = plain_of(side);
    if (p->base.lost != 0)
        return p->base.lost;
    if (p->early != NULL)
        return 1;
    if (p->reach != NULL || p->starttls != NULL)
        return SIDE_AGAIN;
    return stream_peek(&p->tcp);
}

static size_t plain_room(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return is_waiting(p) || p->tcp.blocked || p->base.lost != 0 ? 0 : SIZE_MAX;
}

static ssize_t plain_write(struct side *side, const uint8_t *data, size_t length)
{
    struct plain *p = plain_of(side);
    if (is_waiting(p))
        return 0;
    return stream_write(&p->tcp, data, length);
}

static bool plain_splices(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return p->tcp.fd >= 0 && p->early == NULL && !is_waiting(p) && !p->tls_due;
}

static ssize_t plain_read_pipe(struct side *side, int write_end, size_t capacity)
{
    struct plain *p = plain_of(side);
    return notice_end(p, stream_read_pipe(&p->tcp, write_end, capacity));
}

static ssize_t plain_write_pipe(struct side *side, int read_end, size_t length)
{
    return stream_write_pipe(&plain_of(side)->tcp, read_end, length);
}

static void plain_finish(struct side *side)
{
    shutdown(plain_of(side)->tcp.fd, SHUT_WR);
}

static size_t plain_undelivered(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return p->tcp.fd < 0 ? 0 : socket_unsent(p->tcp.fd);
}

static void close_tcp(struct plain *p, bool reset)
{
    hangups_forget(p->worker->hangups, p->tcp.fd, &p->hangup);
    stream_close(&p->tcp, reset);
}

static void plain_reset(struct side *side, bool unreached)
{
    (void)unreached;
    struct plain *p = plain_of(side);
    p->rtt_us = (uint32_t)socket_rtt_us(p->tcp.fd);
    close_tcp(p, true);
}

static void plain_watch(struct side *side, bool readable, bool writable)
{
    struct plain *p = plain_of(side);
    if (p->prelude != NULL) {
        writable = true;
    } else if (p->starttls != NULL && p->starttls->talk != NULL) {
        writable = talk_wants_write(p->starttls->talk);
        readable = !writable;
    }
    stream_watch(&p->tcp, readable, writable);
}

static void plain_report(const struct side *side, struct access *access)
{
    const struct plain *p = const_plain_of(side);
    if (p->base.server != NULL)
        access_add_server(access, p->base.server->text);
    if (!p->dialled)
        access_add_rtt(access, p->rtt_us != 0 ? p->rtt_us : socket_rtt_us(p->tcp.fd));
}

static void plain_destroy(struct side *side)
{
    struct plain *p = plain_of(side);
    reach_cancel(p->reach);
    reach_end(p->base.server);
    end_starttls(p);
    upstream_release(p->upstream);
    close_tcp(p, false);
    free(p->early);
    free(p->prelude);
    p->tag = 0;
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

static struct plain *create(struct worker *worker)
{
    struct plain *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->base.ops = &plain_ops;
    p->tag = PLAIN_TAG;
    p->worker = worker;
    p->hangup.reset = on_reset;
    stream_init(&p->tcp, worker->loop, on_io, p);
    return p;
}

struct side *plain_accepted(struct worker *worker, int fd, uint8_t *early, size_t early_length)
{
    struct plain *p = create(worker);
    if (p == NULL)
        return NULL;
    p->tcp.fd = fd;
    if (early_length > 0) {
        p->early = early;
        p->early_length = early_length;
    } else {
        free(early);
    }
    return &p->base;
}

static void on_up(void *owner, int fd, const struct address *peer, struct server *server)
{
    (void)peer;
    struct plain *p = owner;
    assert(p->tag == PLAIN_TAG);
    p->reach = NULL;
    p->tcp.fd = fd;
    p->base.server = server;
    speak(p);
}

static void on_failed(void *owner, int code)
{
    struct plain *p = owner;
    assert(p->tag == PLAIN_TAG);
    p->reach = NULL;
    p->base.lost = SIDE_UNREACHED;
    p->base.error = code;
    side_wake(&p->base);
}

static bool keep_prelude(struct plain *p, const struct upstream_call *call)
{
    if (call->prelude_length == 0)
        return true;
    p->prelude = malloc(call->prelude_length);
    if (p->prelude == NULL)
        return false;
    memcpy(p->prelude, call->prelude, call->prelude_length);
    p->prelude_length = call->prelude_length;
    return true;
}

struct side *plain_connecting(struct worker *worker, struct upstream *upstream,
                              const struct upstream_call *call)
{
    static const struct reach_events events = {.up = on_up, .failed = on_failed};
    struct plain *p = create(worker);
    if (p == NULL)
        return NULL;
    p->dialled = true;
    p->upstream = upstream_hold(upstream);
    if (keep_prelude(p, call) && expect_starttls(p))
        p->reach = reach_start(worker, upstream, call->target, &events, p);
    if (p->reach == NULL) {
        plain_destroy(&p->base);
        return NULL;
    }
    return &p->base;
}

void plain_watch_reset(struct side *side)
{
    struct plain *p = plain_of(side);
    hangups_watch(p->worker->hangups, p->tcp.fd, &p->hangup);
}
