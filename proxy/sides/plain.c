#include "proxy/sides/plain.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/net/dial.h"
#include "proxy/net/hangup.h"
#include "proxy/net/socket.h"
#include "proxy/ops/access.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

enum { PLAIN_TAG = 0x506c6169 }; /* "Plai" */

struct plain {
    struct side base;
    uint32_t tag;
    int fd;
    struct worker *worker;
    struct dial *dial; /* while connecting */
    uint32_t rtt_us;
    bool blocked; /* the socket took less than it was given */
    uint8_t *early;
    size_t early_length, early_used;
    ev_io io;
    struct hangup hangup;
    void (*spoke)(void *owner, bool alive);
    void *spoke_owner;
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

static void set_events(struct plain *p, int events)
{
    int now = ev_is_active(&p->io) ? p->io.events & (EV_READ | EV_WRITE) : 0;
    if (now == events)
        return;
    ev_io_stop(p->worker->loop, &p->io);
    if (events == 0)
        return;
    ev_io_set(&p->io, p->fd, events);
    ev_io_start(p->worker->loop, &p->io);
}

/* Tells the relay, or whoever waits for the server to speak first. */
static void tell(struct plain *p, bool alive)
{
    if (p->spoke == NULL) {
        side_wake(&p->base);
        return;
    }
    void (*spoke)(void *, bool) = p->spoke;
    p->spoke = NULL;
    set_events(p, 0);
    spoke(p->spoke_owner, alive);
}

/* Who waits for the server to speak is told of bytes, or that there will be none. */
static void tell_if_spoken(struct plain *p)
{
    uint8_t byte;
    ssize_t n = recv(p->fd, &byte, 1, MSG_PEEK);
    if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        tell(p, n > 0);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    struct plain *p = io->data;
    assert(p->tag == PLAIN_TAG);
    if (p->spoke != NULL) {
        tell_if_spoken(p);
        return;
    }
    if ((events & EV_WRITE) != 0)
        p->blocked = false;
    tell(p, true);
}

static void on_reset(struct hangup *hangup)
{
    struct plain *p = (struct plain *)((uintptr_t)hangup - offsetof(struct plain, hangup));
    assert(p->tag == PLAIN_TAG);
    p->base.lost = SIDE_RESET;
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

/* What recv or splice said, in the relay's words. */
static ssize_t read_result(struct plain *p, ssize_t n)
{
    if (n > 0)
        return n;
    if (n == 0) {
        plain_watch_reset(&p->base);
        return SIDE_END;
    }
    return errno == EAGAIN || errno == EINTR ? SIDE_AGAIN : SIDE_RESET;
}

static ssize_t write_result(struct plain *p, ssize_t n, size_t length)
{
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return SIDE_RESET;
    if (n < 0)
        n = 0;
    p->blocked = (size_t)n < length;
    return n;
}

static ssize_t plain_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct plain *p = plain_of(side);
    if (p->base.lost == SIDE_UNREACHED)
        return SIDE_UNREACHED;
    if (p->early != NULL)
        return read_early(p, buffer, capacity);
    if (p->dial != NULL)
        return SIDE_AGAIN;
    return read_result(p, recv(p->fd, buffer, capacity, 0));
}

static size_t plain_room(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return p->dial != NULL || p->blocked || p->base.lost != 0 ? 0 : SIZE_MAX;
}

static ssize_t plain_write(struct side *side, const uint8_t *data, size_t length)
{
    struct plain *p = plain_of(side);
    if (p->dial != NULL)
        return 0;
    return write_result(p, send(p->fd, data, length, MSG_NOSIGNAL), length);
}

static bool plain_splices(const struct side *side)
{
    const struct plain *p = const_plain_of(side);
    return p->fd >= 0 && p->early == NULL;
}

static ssize_t plain_read_pipe(struct side *side, int write_end, size_t capacity)
{
    struct plain *p = plain_of(side);
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    return read_result(p, splice(p->fd, NULL, write_end, NULL, capacity, flags));
}

static ssize_t plain_write_pipe(struct side *side, int read_end, size_t length)
{
    struct plain *p = plain_of(side);
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    return write_result(p, splice(read_end, NULL, p->fd, NULL, length, flags), length);
}

static void plain_finish(struct side *side)
{
    struct plain *p = plain_of(side);
    shutdown(p->fd, SHUT_WR);
}

static bool plain_reset(struct side *side, bool unreached)
{
    (void)unreached;
    struct plain *p = plain_of(side);
    set_events(p, 0);
    p->rtt_us = (uint32_t)socket_rtt_us(p->fd);
    socket_reset(p->fd);
    p->fd = -1;
    return true;
}

static void plain_watch(struct side *side, bool readable, bool writable)
{
    struct plain *p = plain_of(side);
    if (p->dial != NULL || p->fd < 0)
        return;
    set_events(p, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
}

static void plain_report(const struct side *side, struct access *access)
{
    const struct plain *p = const_plain_of(side);
    uint64_t rtt_us = p->rtt_us != 0 ? p->rtt_us : socket_rtt_us(p->fd);
    access_add_rtt(access, rtt_us);
}

static void plain_destroy(struct side *side)
{
    struct plain *p = plain_of(side);
    dial_cancel(p->dial);
    ev_io_stop(p->worker->loop, &p->io);
    socket_close(p->fd);
    free(p->early);
    p->tag = 0;
    free(p);
}

static const struct side_ops plain_ops = {
    .read = plain_read,
    .room = plain_room,
    .write = plain_write,
    .splices = plain_splices,
    .read_pipe = plain_read_pipe,
    .write_pipe = plain_write_pipe,
    .finish = plain_finish,
    .reset = plain_reset,
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
    p->fd = -1;
    p->worker = worker;
    p->hangup.reset = on_reset;
    ev_init(&p->io, on_io);
    p->io.data = p;
    return p;
}

struct side *plain_accepted(struct worker *worker, int fd, uint8_t *early, size_t early_length)
{
    struct plain *p = create(worker);
    if (p == NULL)
        return NULL;
    p->fd = fd;
    if (early_length > 0) {
        p->early = early;
        p->early_length = early_length;
    } else {
        free(early);
    }
    return &p->base;
}

static void on_up(void *owner, int fd, const struct address *peer)
{
    (void)peer;
    struct plain *p = owner;
    assert(p->tag == PLAIN_TAG);
    p->dial = NULL;
    p->fd = fd;
    if (p->spoke != NULL)
        set_events(p, EV_READ);
    else
        tell(p, true);
}

static void on_failed(void *owner, const char *error)
{
    struct plain *p = owner;
    assert(p->tag == PLAIN_TAG);
    p->dial = NULL;
    p->base.lost = SIDE_UNREACHED;
    upstream_failed(&p->worker->upstream, p->worker->log, error);
    tell(p, false);
}

struct side *plain_connecting(struct worker *worker, struct upstream *upstream)
{
    static const struct dial_events events = {.up = on_up, .failed = on_failed};
    struct plain *p = create(worker);
    if (p == NULL)
        return NULL;
    p->dial = dial_start(worker->loop, worker->resolver, upstream->option.host,
                         upstream->option.port, &events, p);
    if (p->dial == NULL) {
        plain_destroy(&p->base);
        return NULL;
    }
    return &p->base;
}

void plain_watch_reset(struct side *side)
{
    struct plain *p = plain_of(side);
    hangups_watch(p->worker->hangups, p->fd, &p->hangup);
}

void plain_watch_server(struct side *side, void (*spoke)(void *owner, bool alive), void *owner)
{
    struct plain *p = plain_of(side);
    p->spoke = spoke;
    p->spoke_owner = owner;
    if (spoke == NULL)
        set_events(p, 0);
    else if (p->dial == NULL)
        set_events(p, EV_READ);
}
