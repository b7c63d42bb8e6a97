#include <assert.h>

#include "proxy/relay_parts.h"
#include "proxy/worker.h"

/*
 * No relay has a timer: that would be starting and stopping one for each connection, and memory.
 * The worker looks at all of them now and then, at so many at once, and more often where the limits
 * are short.
 */
enum { LOOKS_AT_ONCE = 1024, LOOKS_A_LIMIT = 8 };

static const double LOOK_SECONDS = 1.;

/* When this relay will have waited for too long, and for what; TURBO_NEVER: as it is, never. */
struct limit {
    turbo_time at;
    enum turbo_reason reason;
};

static turbo_time after(turbo_time since, double seconds)
{
    return seconds <= 0. ? TURBO_NEVER : since + (turbo_time)(seconds * (double)TURBO_SECOND);
}

static struct limit limit_of(const struct relay *r)
{
    const struct connection *c = &r->connection;
    bool half_closed = r->flows[NEAR].ended || r->flows[FAR].ended;
    struct limit limit = {.at = after(r->active_at, half_closed ? c->settings->half_closed_timeout_s
                                                                : c->settings->idle_timeout_s),
                          .reason = TURBO_REASON_IDLE};
    if (!c->access.is_tls || c->access.first_answer_us != 0)
        return limit;
    turbo_time handshake = after(c->access.started, c->settings->handshake_timeout_s);
    return handshake >= limit.at
               ? limit
               : (struct limit){.at = handshake, .reason = TURBO_REASON_HANDSHAKE_TIMEOUT};
}

static void look(struct relay *r)
{
    assert(r->tag == RELAY_TAG);
    struct limit limit = limit_of(r);
    if (r->doom != NULL || relay_worker(r)->now < limit.at) /* doom has a time of its own */
        return;
    if (limit.reason == TURBO_REASON_IDLE)
        access_cut(&r->connection.access, limit.reason);
    else
        access_fail(&r->connection.access, limit.reason);
    relay_abort(r);
}

/* All of them in the time that one may be late. */
static void start(struct worker *w)
{
    double seconds = w->look_seconds;
    if (w->relay_count > LOOKS_AT_ONCE)
        seconds *= (double)LOOKS_AT_ONCE / (double)w->relay_count;
    ev_timer_stop(w->loop, &w->look_timer);
    ev_timer_set(&w->look_timer, seconds, 0.);
    ev_timer_start(w->loop, &w->look_timer);
}

static double shorter(double seconds, double limit)
{
    limit /= LOOKS_A_LIMIT;
    return limit > 0. && limit < seconds ? limit : seconds;
}

void relay_begin_looks(struct worker *w, const struct config_listener *s)
{
    if (s->idle_timeout_s <= 0. && s->half_closed_timeout_s <= 0. && s->handshake_timeout_s <= 0.)
        return;
    double seconds = shorter(LOOK_SECONDS, s->idle_timeout_s);
    seconds = shorter(seconds, s->half_closed_timeout_s);
    seconds = shorter(seconds, s->handshake_timeout_s);
    if (ev_is_active(&w->look_timer) && seconds >= w->look_seconds)
        return;
    w->look_seconds = seconds;
    start(w);
}

void relay_on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = timer->data;
    if (w->look_next == NULL)
        w->look_next = w->relays;
    for (int i = 0; i < LOOKS_AT_ONCE && w->look_next != NULL; i++) {
        struct relay *r = w->look_next;
        w->look_next = r->next;
        look(r);
    }
    if (w->relays != NULL)
        start(w);
}
