#include "proxy/sides/plain.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proxy/net/hangup.h"
#include "proxy/ops/access.h"
#include "proxy/reach.h"
#include "proxy/sides/plain_parts.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

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

static struct ev_loop *loop_of(const struct plain *p)
{
    const struct plain_opening *o = plain_opening(p);
    const struct worker *worker = o != NULL ? o->worker : p->base.owner->worker;
    return worker->loop;
}

/* ---- events ---- */

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct plain *p = (struct plain *)((uintptr_t)io - offsetof(struct plain, tcp.io));
    assert(p->base.tag == PLAIN_TAG);
    if (!stream_ready(&p->tcp, loop, events))
        return;
    if (plain_is_waiting(p))
        plain_opening_speak(p);
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

static ssize_t plain_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct plain *p = plain_of(side);
    const struct plain_opening *o = plain_opening(p);
    if (p->base.lost == SIDE_UNREACHED)
        return SIDE_UNREACHED;
    if (o != NULL && o->early != NULL)
        return plain_opening_read_early(p, buffer, capacity);
    if (plain_is_silent(p))
        return p->base.lost != 0 ? p->base.lost : SIDE_AGAIN;
    ssize_t n = stream_read(&p->tcp, buffer, capacity);
    if (o != NULL && n > 0 && plain_opening_is_injected(p, buffer[0]))
        return SIDE_UNREACHED;
    return n;
}

static ssize_t plain_peek(struct side *side)
{
    struct plain *p = plain_of(side);
    const struct plain_opening *o = plain_opening(p);
    if (p->base.lost != 0)
        return p->base.lost;
    if (o != NULL && o->early != NULL)
        return 1;
    return plain_is_silent(p) ? SIDE_AGAIN : stream_peek(&p->tcp);
}

static size_t plain_room(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return plain_is_waiting(p) || p->tcp.blocked || p->base.lost != 0 ? 0 : SIZE_MAX;
}

static ssize_t plain_write(struct side *side, const uint8_t *data, size_t length)
{
    struct plain *p = plain_of(side);
    return plain_is_waiting(p) ? 0 : stream_write(&p->tcp, data, length);
}

static ssize_t plain_read_on(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct plain *p = plain_of(side);
    if (plain_opening(p) != NULL || p->base.lost != 0)
        return SIDE_AGAIN;
    p->tcp.drained = false;
    return stream_read(&p->tcp, buffer, capacity);
}

static ssize_t plain_write_last(struct side *side, const uint8_t *data, size_t length)
{
    struct plain *p = plain_of(side);
    return plain_is_waiting(p) ? 0 : stream_write_last(&p->tcp, data, length);
}

static bool plain_splices(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return stream_fd(&p->tcp) >= 0 && plain_opening(p) == NULL;
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
    if (stream_fd(&p->tcp) < 0)
        return;
    plain_opening_wishes(plain_opening(p), &readable, &writable);
    if (p->tcp.ended) /* nobody reads any more, but a reset is still to be noticed */
        plain_watch_reset(side);
    stream_watch(&p->tcp, loop_of(p), readable, writable);
}

/* To a server there is no leg whose round trip matters, or it has been told; and to ask for it
 * costs a system call. */
static void plain_report(const struct side *side, struct access *access)
{
    const struct plain *p = const_plain_of(side);
    if (p->base.server == NULL && plain_opening(p) == NULL &&
        access_wants_rtt(access, p->base.owner->worker->log))
        access_add_rtt(access, socket_rtt_us(stream_fd(&p->tcp)));
}

static void plain_destroy(struct side *side)
{
    struct plain *p = plain_of(side);
    close_tcp(p, false);
    reach_end(p->base.server);
    plain_opening_destroy(plain_opening(p));
    p->base.tag = 0;
    free(p);
}

static const struct side_ops plain_ops = {
    .read = plain_read,
    .peek = plain_peek,
    .room = plain_room,
    .write = plain_write,
    .read_on = plain_read_on,
    .write_last = plain_write_last,
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

struct side *plain_accepted(int fd)
{
    struct plain *p = create();
    if (p == NULL)
        return NULL;
    stream_open(&p->tcp, fd);
    return &p->base;
}

struct side *plain_left_over(struct worker *worker, int fd, uint8_t *early, size_t early_length,
                             bool drained)
{
    struct plain *p = create();
    if (p == NULL)
        return NULL;
    if (early_length > 0) {
        struct plain_opening *o = plain_opening_add(p, worker);
        if (o == NULL) {
            plain_destroy(&p->base);
            return NULL;
        }
        o->early = early;
        o->early_length = early_length;
    } else {
        free(early);
    }
    stream_go_on(&p->tcp, fd);
    p->tcp.drained = drained;
    return &p->base;
}

static void on_up(void *owner, int fd, const struct address *peer, struct server *server)
{
    (void)peer;
    struct plain *p = owner;
    assert(p->base.tag == PLAIN_TAG);
    plain_opening(p)->reach = NULL;
    stream_open(&p->tcp, fd);
    p->tcp.drained = true; /* the loop is going to tell when the server speaks */
    p->base.server = server;
    plain_opening_speak(p);
}

static void on_failed(void *owner, int code)
{
    struct plain *p = owner;
    assert(p->base.tag == PLAIN_TAG);
    plain_opening(p)->reach = NULL;
    p->base.lost = SIDE_UNREACHED;
    p->base.error = (int16_t)code;
    side_wake(&p->base);
}

struct side *plain_connecting(struct worker *worker, struct upstream *upstream,
                              const struct upstream_call *call)
{
    static const struct reach_events events = {.up = on_up, .failed = on_failed};
    struct plain *p = create();
    if (p == NULL)
        return NULL;
    struct plain_opening *o = plain_opening_add(p, worker);
    if (o != NULL && plain_opening_expect(p, upstream, call))
        o->reach = reach_start(worker, upstream, call->target, &events, p);
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
