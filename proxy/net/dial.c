#include "proxy/net/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/net/socket.h"
#include "turbo/protocol.h"

static const double ADDRESS_SECONDS = (double)TURBO_ADDRESS_TIME / (double)TURBO_SECOND;
static const double FRESH_SECONDS = (double)TURBO_FRESH_SYN_TIME / (double)TURBO_SECOND;

struct dial {
    struct ev_loop *loop;
    const struct dial_events *events;
    void *owner;
    struct resolver_query *query;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    size_t count, next;
    uint16_t port;
    uint32_t mark;
    struct dial_spares *spares;
    bool at_once, is_up; /* the first attempt is */
    struct attempt {
        int fd; /* -1: none */
        ev_io io;
    } attempts[2]; /* the second by dial_again */
    int error;
    ev_timer timer, fresh;
    ev_timer known; /* never started, only fed */
    double seconds_left;
    double attempt_seconds;
};

static bool is_spare(const struct dial *d, const struct attempt *a)
{
    return a == &d->attempts[1] && d->spares != NULL;
}

/* Its socket is somebody else's, or closed. */
static void forget(struct dial *d, struct attempt *a)
{
    ev_io_stop(d->loop, &a->io);
    if (a->fd >= 0 && is_spare(d, a))
        d->spares->used--;
    a->fd = -1;
}

static void drop(struct dial *d, struct attempt *a)
{
    int fd = a->fd;
    forget(d, a);
    socket_close(fd);
}

static void stop_attempts(struct dial *d)
{
    for (size_t i = 0; i < 2; i++)
        drop(d, &d->attempts[i]);
    ev_timer_stop(d->loop, &d->timer);
    ev_timer_stop(d->loop, &d->fresh);
    ev_clear_pending(d->loop, &d->known);
}

static void destroy(struct dial *d)
{
    stop_attempts(d);
    free(d);
}

static void fail(struct dial *d, const char *error, int code)
{
    const struct dial_events *events = d->events;
    void *owner = d->owner;
    char text[128];
    strncpy(text, error, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    destroy(d);
    events->failed(owner, text, code);
}

static const struct address *current(const struct dial *d)
{
    return &d->addresses[d->next - 1];
}

static void watch(struct dial *d, struct attempt *a, int fd)
{
    a->fd = fd;
    if (is_spare(d, a))
        d->spares->used++;
    ev_io_set(&a->io, fd, EV_WRITE);
    ev_io_start(d->loop, &a->io);
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

/* Without asking the loop, and without timers. */
static void start_connected(struct dial *d, int fd)
{
    struct attempt *a = &d->attempts[0];
    a->fd = fd;
    d->is_up = true;
    ev_feed_event(d->loop, &a->io, EV_WRITE);
    if (d->events->started != NULL)
        d->events->started(d->owner, fd, current(d));
}

static void start_attempt(struct dial *d, int fd)
{
    if (d->at_once && is_connected(fd)) {
        start_connected(d, fd);
        return;
    }
    watch(d, &d->attempts[0], fd);
    /* The addresses that are left share the time that is left, and most of it is the last one's. */
    d->attempt_seconds = d->seconds_left / (double)(d->count - d->next + 1);
    if (d->next < d->count && d->attempt_seconds > ADDRESS_SECONDS / (double)d->count)
        d->attempt_seconds = ADDRESS_SECONDS / (double)d->count;
    ev_timer_set(&d->timer, d->attempt_seconds, 0.);
    ev_timer_start(d->loop, &d->timer);
    ev_timer_again(d->loop, &d->fresh);
    if (d->events->started != NULL)
        d->events->started(d->owner, fd, current(d));
}

void dial_again(struct dial *d)
{
    if (d->attempts[0].fd < 0 || d->attempts[1].fd >= 0 ||
        (d->spares != NULL && d->spares->used >= d->spares->max))
        return;
    int fd = socket_connect_tcp(current(d), d->mark);
    if (fd >= 0)
        watch(d, &d->attempts[1], fd);
}

/* The kernel's retries come ever more seldom: 1, 3, 7, 15 s after the first SYN. */
static void on_fresh(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct dial *d = timer->data;
    drop(d, &d->attempts[1]);
    dial_again(d);
}

static void try_next(struct dial *d)
{
    while (d->next < d->count) {
        struct address *address = &d->addresses[d->next++];
        address_set_port(address, d->port);
        int fd = socket_connect_tcp(address, d->mark);
        if (fd >= 0) {
            start_attempt(d, fd);
            return;
        }
        d->error = errno;
    }
    fail(d, strerror(d->error), d->error);
}

static void address_failed(struct dial *d, int error)
{
    d->error = error;
    stop_attempts(d);
    try_next(d);
}

static void attempt_failed(struct dial *d, struct attempt *a, int error)
{
    if (a != &d->attempts[0]) {
        drop(d, a); /* the first one decides, as if there had never been a second */
        return;
    }
    d->seconds_left -= d->attempt_seconds - ev_timer_remaining(d->loop, &d->timer);
    address_failed(d, error);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct dial *d = io->data;
    struct attempt *a = io == &d->attempts[0].io ? &d->attempts[0] : &d->attempts[1];
    int error = d->is_up ? 0 : socket_error(a->fd);
    if (error != 0) {
        attempt_failed(d, a, error);
        return;
    }
    const struct dial_events *events = d->events;
    void *owner = d->owner;
    struct address peer = *current(d);
    int fd = a->fd;
    forget(d, a);
    destroy(d);
    events->up(owner, fd, &peer);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct dial *d = timer->data;
    d->seconds_left -= d->attempt_seconds;
    address_failed(d, ETIMEDOUT);
}

static void try_addresses(struct dial *d, const struct address *addresses, size_t count)
{
    d->count = count < RESOLVER_ADDRESSES_MAX ? count : RESOLVER_ADDRESSES_MAX;
    memcpy(d->addresses, addresses, d->count * sizeof(*addresses));
}

static void on_resolved(void *owner, const struct address *addresses, size_t count,
                        const char *error)
{
    struct dial *d = owner;
    d->query = NULL;
    if (count == 0) {
        fail(d, error, 0);
        return;
    }
    try_addresses(d, addresses, count);
    try_next(d);
}

/* The addresses are known already: events come from the loop all the same. */
static void on_known(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    try_next(timer->data);
}

/* False: out of memory. */
static bool begin(struct dial *d, struct resolver *resolver, const struct dial_target *target)
{
    struct address literal;
    if (target->address_count > 0)
        try_addresses(d, target->addresses, target->address_count);
    else if (address_from_literal(&literal, target->host, 0))
        try_addresses(d, &literal, 1);
    else {
        d->query = resolver_resolve(resolver, target->host, on_resolved, d);
        return d->query != NULL;
    }
    ev_feed_event(d->loop, &d->known, EV_TIMER);
    return true;
}

struct dial *dial_start(struct ev_loop *loop, struct resolver *resolver,
                        const struct dial_target *target, double seconds,
                        const struct dial_events *events, void *owner)
{
    struct dial *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->loop = loop;
    d->events = events;
    d->owner = owner;
    d->port = target->port;
    d->mark = target->mark;
    d->spares = target->spares;
    d->at_once = target->at_once;
    d->seconds_left = seconds;
    for (size_t i = 0; i < 2; i++) {
        d->attempts[i].fd = -1;
        ev_init(&d->attempts[i].io, on_writable);
        d->attempts[i].io.data = d;
    }
    ev_init(&d->timer, on_timeout);
    ev_init(&d->fresh, on_fresh);
    ev_init(&d->known, on_known);
    d->fresh.repeat = FRESH_SECONDS;
    d->timer.data = d->fresh.data = d->known.data = d;
    if (!begin(d, resolver, target)) {
        free(d);
        return NULL;
    }
    return d;
}

void dial_cancel(struct dial *d)
{
    if (d == NULL)
        return;
    if (d->query != NULL)
        resolver_cancel(d->query);
    destroy(d);
}
