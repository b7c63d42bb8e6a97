#include <assert.h>

#include "proxy/relay_parts.h"
#include "proxy/worker.h"

/* When this relay will have waited for too long, and for what; TURBO_NEVER: as it is, never. */
struct limit {
    turbo_time at;
    enum turbo_reason reason;
};

static turbo_time after(turbo_time since, double seconds)
{
    return seconds <= 0. ? TURBO_NEVER : since + (turbo_time)(seconds * (double)TURBO_SECOND);
}

static struct limit next_limit(const struct relay *r)
{
    const struct connection *c = &r->connection;
    bool half_closed = r->flows[NEAR].ended || r->flows[FAR].ended;
    struct limit limit = {.at = after(r->active_at, half_closed ? c->settings->half_closed_timeout_s
                                                                : c->settings->idle_timeout_s),
                          .reason = TURBO_REASON_IDLE};
    if (!c->is_tls || c->access.first_answer != 0)
        return limit;
    turbo_time handshake = after(c->access.started, c->settings->handshake_timeout_s);
    return handshake >= limit.at
               ? limit
               : (struct limit){.at = handshake, .reason = TURBO_REASON_HANDSHAKE_TIMEOUT};
}

static void expire(struct relay *r, enum turbo_reason reason)
{
    if (reason == TURBO_REASON_IDLE)
        access_cut(&r->connection.access, reason);
    else
        access_fail(&r->connection.access, reason);
    relay_abort(r);
}

static void start(struct relay *r, turbo_time at)
{
    /* Limits only move away, but for the first byte of a half-closed connection's shorter one: it
     * is looked at again before that may be over. */
    turbo_time now = r->worker->now;
    turbo_time half = after(now, r->connection.settings->half_closed_timeout_s);
    turbo_time look = at < half ? at : half;
    if (look == TURBO_NEVER)
        return;
    ev_timer_set(&r->timer, look <= now ? 0. : (double)(look - now) / (double)TURBO_SECOND, 0.);
    ev_timer_start(r->worker->loop, &r->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct relay *r = timer->data;
    assert(r->tag == RELAY_TAG);
    if (r->doom != NULL)
        return; /* that has a time of its own */
    struct limit limit = next_limit(r);
    if (r->worker->now >= limit.at)
        expire(r, limit.reason);
    else
        start(r, limit.at);
}

void relay_start_timeouts(struct relay *r)
{
    r->active_at = r->worker->now;
    ev_init(&r->timer, on_timer);
    r->timer.data = r;
    start(r, next_limit(r).at);
}

void relay_stop_timeouts(struct relay *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
}
