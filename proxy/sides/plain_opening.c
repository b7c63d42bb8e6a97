#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/reach.h"
#include "proxy/server.h"
#include "proxy/sides/plain_parts.h"
#include "proxy/talk.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

enum { TLS_ALERT = 21, TLS_HANDSHAKE = 22 }; /* how a server's TLS begins (RFC 8446 §5.1) */

struct starttls {
    struct talk *talk; /* NULL: not begun */
    ev_timer timer;    /* the connect timeout, once more */
};

static void end_if_over(struct plain *p)
{
    struct plain_opening *o = plain_opening(p);
    if (plain_is_waiting(p) || o->tls_due || o->early != NULL)
        return;
    upstream_release(o->upstream);
    free(o);
    p->tcp.io.data = NULL;
}

/* Nothing else is written before all of it is. */
static void send_prelude(struct plain *p)
{
    struct plain_opening *o = plain_opening(p);
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

static void stop_talking(struct plain_opening *o)
{
    struct starttls *s = o->starttls;
    if (s == NULL)
        return;
    ev_timer_stop(o->worker->loop, &s->timer);
    talk_end(s->talk);
    s->talk = NULL;
}

/* Only then may bytes pass: where it comes to nothing, none of either end's does. */
static void end_starttls(struct plain_opening *o)
{
    stop_talking(o);
    free(o->starttls);
    o->starttls = NULL;
}

static void refuse_server(struct plain *p, enum turbo_reason reason, const char *fault,
                          const char *said)
{
    struct plain_opening *o = plain_opening(p);
    upstream_refused(o->upstream, p->base.server, o->worker, fault, said);
    p->base.lost = SIDE_UNREACHED;
    p->base.reason = (uint8_t)reason;
    stop_talking(o);
}

static void server_refused(struct plain *p)
{
    const struct prelude *prelude = talk_prelude(plain_opening(p)->starttls->talk);
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
    struct plain_opening *o = plain_opening(p);
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
    struct plain_opening *o = plain_opening(p);
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

/* ---- what plain.c calls ---- */

/* What follows the go-ahead later than at once, and is not TLS, is no less injected. */
bool plain_opening_is_injected(struct plain *p, uint8_t first)
{
    struct plain_opening *o = plain_opening(p);
    if (!o->tls_due)
        return false;
    bool is_tls = first == TLS_HANDSHAKE || first == TLS_ALERT;
    if (!is_tls)
        refuse_server(p, TURBO_REASON_INJECTED, prelude_fault_text(PRELUDE_INJECTED), "");
    o->tls_due = false;
    end_if_over(p);
    return !is_tls;
}

ssize_t plain_opening_read_early(struct plain *p, uint8_t *buffer, size_t capacity)
{
    struct plain_opening *o = plain_opening(p);
    size_t left = o->early_length - o->early_used;
    size_t n = left < capacity ? left : capacity;
    memcpy(buffer, o->early + o->early_used, n);
    o->early_used += n;
    if (o->early_used == o->early_length) {
        free(o->early);
        o->early = NULL;
        end_if_over(p);
    }
    return (ssize_t)n;
}

void plain_opening_speak(struct plain *p)
{
    send_prelude(p);
    talk_about_tls(p);
    end_if_over(p);
    side_wake(&p->base);
}

struct plain_opening *plain_opening_add(struct plain *p, struct worker *worker)
{
    struct plain_opening *o = calloc(1, sizeof(*o));
    if (o != NULL)
        o->worker = worker;
    p->tcp.io.data = o;
    return o;
}

static bool keep_prelude(struct plain_opening *o, const struct upstream_call *call)
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

bool plain_opening_expect(struct plain *p, struct upstream *upstream,
                          const struct upstream_call *call)
{
    plain_opening(p)->upstream = upstream_hold(upstream);
    return keep_prelude(plain_opening(p), call) && expect_starttls(p);
}

void plain_opening_wishes(const struct plain_opening *o, bool *readable, bool *writable)
{
    if (o == NULL)
        return;
    if (o->prelude != NULL) {
        *writable = true;
    } else if (o->starttls != NULL && o->starttls->talk != NULL) {
        *writable = talk_wants_write(o->starttls->talk);
        *readable = !*writable;
    }
}

void plain_opening_destroy(struct plain_opening *o)
{
    if (o == NULL)
        return;
    reach_cancel(o->reach);
    end_starttls(o);
    upstream_release(o->upstream);
    free(o->early);
    free(o->prelude);
    free(o);
}
