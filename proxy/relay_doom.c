#include <assert.h>
#include <stdlib.h>

#include "proxy/relay_parts.h"
#include "proxy/worker.h"

/*
 * One side is lost and gone. The other is reset as well, but first it gets what the lost one has
 * said: all of an orderly end, and what a session has kept for TCP.
 */
struct doom {
    struct relay *relay;
    struct server *server; /* of the lost side; held; NULL: none */
    ev_timer timer;        /* looks whether the peer has acknowledged it */
    turbo_time until;      /* not for ever; 0: there is no peer yet */
};

static const double DOOM_LOOK_SECONDS = 0.02;
static const turbo_time DOOM_TIME = 5 * TURBO_SECOND;

static size_t undelivered(const struct side *side)
{
    return side->ops->undelivered == NULL ? 0 : side->ops->undelivered(side);
}

static void reset_and_destroy(struct relay *r, enum end left, bool unreached)
{
    relay_reset_side(r, left, unreached);
    relay_destroy(r);
}

/* Writes what is held for the side that is left, and the end behind it. False: it is lost too. */
static bool deliver(struct relay *r, enum end left)
{
    enum verdict verdict;
    do
        verdict = relay_move_held(r, relay_other(left));
    while (verdict == MOVED);
    return verdict != RECEIVER_LOST;
}

/* What the side that is left still says leads nowhere. False: it is lost too. */
static bool discard(struct relay *r, enum end left)
{
    struct side *side = r->sides[left];
    for (int i = 0; i < RELAY_ROUNDS_A_TURN && !r->flows[left].ended; i++) {
        ssize_t n = side->ops->read(side, relay_worker(r)->scratch, WORKER_SCRATCH_BYTES);
        if (n == SIDE_AGAIN)
            break;
        if (n < 0)
            return false;
        r->flows[left].ended = n == SIDE_END;
    }
    return side->lost == 0;
}

void relay_run_doomed(struct relay *r)
{
    struct doom *doom = r->doom;
    enum end left = r->sides[NEAR] != NULL ? NEAR : FAR;
    if (!deliver(r, left) || !discard(r, left)) {
        relay_destroy(r);
        return;
    }
    size_t bytes = undelivered(r->sides[left]);
    bool holding = relay_is_holding(r, relay_other(left));
    turbo_time now = relay_worker(r)->now;
    if (doom->until == 0 && bytes != SIDE_NOBODY)
        doom->until = now + DOOM_TIME;
    if ((bytes == 0 && !holding) || (doom->until != 0 && now >= doom->until)) {
        reset_and_destroy(r, left, false);
        return;
    }
    r->sides[left]->ops->watch(r->sides[left], !r->flows[left].ended, holding);
    ev_timer_stop(relay_worker(r)->loop, &doom->timer);
    if (doom->until != 0) {
        ev_timer_set(&doom->timer, DOOM_LOOK_SECONDS, 0.);
        ev_timer_start(relay_worker(r)->loop, &doom->timer);
    }
}

static void on_doom_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct doom *doom = timer->data;
    assert(doom->relay->tag == RELAY_TAG);
    relay_run_doomed(doom->relay);
}

/* Is there something that the reset of `lost` must not overtake? */
static bool has_last_words(const struct relay *r, enum end lost)
{
    const struct side *left = r->sides[relay_other(lost)];
    bool is_session = left->ops->settled != NULL;
    return (is_session || r->flows[lost].ended) &&
           (relay_is_holding(r, lost) || undelivered(left) > 0);
}

void relay_pass_reset_on(struct relay *r, enum end lost, bool unreached)
{
    if (unreached)
        access_fail(&r->connection.access, side_unreached_reason(r->sides[lost]));
    if (!unreached && has_last_words(r, lost))
        r->doom = calloc(1, sizeof(*r->doom));
    if (r->doom == NULL) {
        reset_and_destroy(r, relay_other(lost), unreached);
        return;
    }
    r->doom->relay = r;
    ev_init(&r->doom->timer, on_doom_timer);
    r->doom->timer.data = r->doom;
    r->sides[lost]->ops->report(r->sides[lost], &r->connection.access);
    r->doom->server = relay_drop_side(r, lost);
    relay_run_doomed(r);
}

void relay_drain_and_pass_reset_on(struct relay *r, enum end lost)
{
    for (int i = 0; i < RELAY_ROUNDS_A_TURN && relay_move(r, lost) == MOVED; i++)
        continue;
    relay_pass_reset_on(r, lost, false);
}

struct server *relay_doom_free(struct relay *r)
{
    if (r->doom == NULL)
        return NULL;
    struct server *server = r->doom->server;
    ev_timer_stop(relay_worker(r)->loop, &r->doom->timer);
    free(r->doom);
    r->doom = NULL;
    return server;
}
