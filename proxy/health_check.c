#include "proxy/health_check.h"

#include <assert.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/generation.h"
#include "proxy/inbox.h"
#include "proxy/net/dial.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/crypto.h"
#include "tunnel/net/socket.h"

enum { CHECK_TAG = 0x43686563 /* "Chec" */ };

static const double JITTER = 0.1; /* of an interval, either way */

/* Of one server. */
struct check {
    uint32_t tag;
    struct health_checks *all;
    struct server *server; /* the upstream's … */
    size_t place;          /* … and where it has it */
    struct dial *dial;     /* under way; NULL: the timer is */
    bool on_trial;
    ev_timer timer;
};

struct health_checks {
    struct upstream *upstream; /* which it belongs to */
    struct worker *worker;
    size_t count;
    struct check checks[];
};

/* From 0 to 1. */
static double some_of_one(void)
{
    uint16_t number;
    if (!crypto_random((uint8_t *)&number, sizeof(number)))
        return 0.5;
    return (double)number / (double)UINT16_MAX;
}

static void wait_for(struct check *c, double seconds)
{
    ev_timer_set(&c->timer, seconds, 0.);
    ev_timer_start(c->all->worker->loop, &c->timer);
}

static void wait_for_next(struct check *c)
{
    double interval = c->all->upstream->settings->health.check_interval_s;
    wait_for(c, interval * (1. - JITTER + 2. * JITTER * some_of_one()));
}

/* ---- what the other workers hear of it ---- */

/* What a check has found. */
struct finding {
    struct message message;
    struct config *config; /* held: what the next two are places in */
    size_t upstream, server;
    bool connected;
    bool told; /* the log has it that the server is back */
};

/* As if it had been checked there, but for the log, which has one line of it. */
static void apply(const struct finding *f, struct worker *w)
{
    const struct upstream *u = w->generation->upstreams[f->upstream];
    struct server *s = u->servers[f->server];
    if (!f->connected)
        (void)health_failed(&s->health, &u->settings->health, health_try(&s->health, w->now),
                            w->now);
    else if (f->told)
        (void)health_succeeded(&s->health);
    else
        upstream_connected(u, s, w);
}

static void deliver(struct message *message, struct worker *w)
{
    struct finding *f = (struct finding *)message;
    if (w != NULL && w->generation->config == f->config)
        apply(f, w);
    config_release(f->config);
    free(f);
}

/* Without memory for it another worker finds out by itself, or with the next check. */
static void tell(const struct check *c, struct worker *mate, bool connected, bool told)
{
    const struct upstream *u = c->all->upstream;
    struct finding *f = malloc(sizeof(*f));
    if (f == NULL)
        return;
    *f = (struct finding){.message.deliver = deliver,
                          .config = config_hold(u->config),
                          .upstream = (size_t)(u->settings - u->config->upstreams),
                          .server = c->place,
                          .connected = connected,
                          .told = told};
    inbox_put(&mate->inbox, &f->message);
}

static void tell_others(const struct check *c, bool connected, bool told)
{
    const struct workmates *mates = c->all->worker->mates;
    for (unsigned i = 0; i < mates->count; i++)
        if (mates->workers[i] != NULL && mates->workers[i] != c->all->worker)
            tell(c, mates->workers[i], connected, told);
}

/* ---- a check ---- */

static void on_up(void *owner, int fd, const struct address *peer)
{
    (void)peer;
    struct check *c = owner;
    assert(c->tag == CHECK_TAG);
    c->dial = NULL;
    socket_close(fd);
    c->server->checked++;
    bool was_out = c->server->health.out_until != 0;
    upstream_connected(c->all->upstream, c->server, c->all->worker);
    tell_others(c, true, was_out);
    wait_for_next(c);
}

static void on_failed(void *owner, const char *error, int code)
{
    struct check *c = owner;
    assert(c->tag == CHECK_TAG);
    c->dial = NULL;
    if (socket_exhausted(code)) {
        upstream_gave_up(c->all->upstream, c->server, c->all->worker, c->on_trial, error);
    } else {
        c->server->checked++;
        c->server->check_failed++;
        upstream_failed(c->all->upstream, c->server, c->all->worker, c->on_trial, error);
        tell_others(c, false, true);
    }
    wait_for_next(c);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events_)
{
    (void)events_;
    static const struct dial_events events = {.up = on_up, .failed = on_failed};
    struct check *c = timer->data;
    assert(c->tag == CHECK_TAG);
    struct worker *w = c->all->worker;
    c->on_trial = health_try(&c->server->health, w->now);
    struct dial_target target = {.host = c->server->host,
                                 .port = c->server->port,
                                 .mark = c->all->upstream->config->mark,
                                 .spares = &w->spares};
    c->dial = dial_start(loop, w->resolver, &target,
                         c->all->upstream->settings->health.check_timeout_s, &events, c);
    if (c->dial == NULL) {
        health_gave_up(&c->server->health, c->on_trial);
        wait_for_next(c);
    }
}

/* ---- which ones ---- */

/* One named twice is one server, and checked once. */
static bool is_checked(const struct health_checks *all, const struct server *server)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->checks[i].server == server)
            return true;
    return false;
}

static void add(struct health_checks *all, struct server *server, size_t place)
{
    struct check *c = &all->checks[all->count++];
    c->tag = CHECK_TAG;
    c->all = all;
    c->server = server;
    c->place = place;
    ev_init(&c->timer, on_timer);
    c->timer.data = c;
    wait_for(c, all->upstream->settings->health.check_interval_s * some_of_one());
}

bool health_checks_start(struct upstream *u, struct worker *w)
{
    size_t count = u->settings->server_count;
    if (u->settings->health.check_interval_s <= 0. || u->checks != NULL)
        return true;
    struct health_checks *all = calloc(1, sizeof(*all) + count * sizeof(all->checks[0]));
    if (all == NULL)
        return false;
    all->upstream = u;
    all->worker = w;
    u->checks = all;
    for (size_t i = 0; i < count; i++)
        if (!is_checked(all, u->servers[i]))
            add(all, u->servers[i], i);
    return true;
}

void health_checks_stop(struct upstream *u)
{
    struct health_checks *all = u->checks;
    if (all == NULL)
        return;
    u->checks = NULL;
    for (size_t i = 0; i < all->count; i++) {
        struct check *c = &all->checks[i];
        ev_timer_stop(all->worker->loop, &c->timer);
        if (c->dial != NULL) {
            dial_cancel(c->dial);
            health_gave_up(&c->server->health, c->on_trial);
        }
        c->tag = 0;
    }
    free(all);
}
