#include "proxy/relay.h"

#include <assert.h>
#include <stdlib.h>

#include "proxy/listener.h"
#include "proxy/relay_parts.h"
#include "proxy/server.h"
#include "proxy/sides/plain.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

/* ---- its life ---- */

static void link_in(struct relay *r)
{
    struct worker *w = relay_worker(r);
    r->next = w->relays;
    if (r->next != NULL)
        r->next->previous = r;
    w->relays = r;
    w->relay_count++;
}

static void unlink_from(struct relay *r)
{
    struct worker *w = relay_worker(r);
    if (r->previous != NULL)
        r->previous->next = r->next;
    else
        w->relays = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
    if (w->look_next == r)
        w->look_next = r->next;
    w->relay_count--;
}

static void report(struct relay *r, enum end end)
{
    if (r->sides[end] != NULL)
        r->sides[end]->ops->report(r->sides[end], &r->connection.access);
}

void relay_reset_side(struct relay *r, enum end end, bool unreached)
{
    struct side *side = r->sides[end];
    if (side->ops->settled == NULL) { /* what a socket knows goes with it */
        report(r, FAR);
        report(r, end);
    }
    side->ops->reset(side, unreached);
}

struct server *relay_drop_side(struct relay *r, enum end end)
{
    struct side *side = r->sides[end];
    if (side == NULL)
        return NULL;
    struct server *server = side->server == NULL ? NULL : server_hold(side->server);
    side->ops->destroy(side);
    r->sides[end] = NULL;
    return server;
}

void relay_destroy(struct relay *r)
{
    struct worker *worker = relay_worker(r);
    struct server *lost = relay_doom_free(r);
    report(r, FAR); /* first: what the upstream leg knows counts */
    report(r, NEAR);
    struct server *far = relay_drop_side(r, FAR);
    (void)relay_drop_side(r, NEAR); /* a client */
    for (int end = NEAR; end <= FAR; end++)
        relay_drop_cargo(r, (enum end)end);
    connection_end(&r->connection, far != NULL ? far : lost);
    server_release(far);
    server_release(lost);
    unlink_from(r);
    r->tag = 0;
    free(r);
    worker_connection_ended(worker);
}

static void on_wake(struct side_owner *owner);

static void give_up(struct side *near, struct side *far, const struct connection *connection)
{
    struct worker *worker = listener_worker(connection->listener);
    struct side_owner nobody = {.wake = NULL, .worker = worker};
    struct connection c = *connection;
    log_event(worker->log, LOG_LEVEL_ERROR, "out of memory: a connection is reset", LOG_END);
    near->owner = &nobody;
    if (far != NULL) {
        far->owner = &nobody; /* its owner, an arrival, is no more */
        far->ops->destroy(far);
    }
    near->ops->reset(near, true);
    near->ops->destroy(near);
    connection_dismiss(&c);
    worker_connection_failed(worker);
}

void relay_start(struct side *near, struct side *far, const struct connection *connection)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (r == NULL || far == NULL) {
        free(r);
        give_up(near, far, connection);
        return;
    }
    struct worker *worker = listener_worker(connection->listener);
    r->owner = (struct side_owner){.wake = on_wake, .worker = worker};
    r->tag = RELAY_TAG;
    r->connection = *connection;
    r->sides[NEAR] = near;
    r->sides[FAR] = far;
    near->owner = far->owner = &r->owner;
    r->active_at = worker->now;
    link_in(r);
    worker_connection_began(worker);
    relay_begin_looks(worker, connection->settings);
    on_wake(&r->owner);
}

void relay_abort(struct relay *r)
{
    for (int end = NEAR; end <= FAR; end++)
        if (r->sides[end] != NULL)
            relay_reset_side(r, (enum end)end, false);
    relay_destroy(r);
}

/* A side that has become a socket gives its session back. */
static enum verdict settle(struct relay *r, enum end end)
{
    struct side *side = r->sides[end];
    if (side->ops->settled == NULL || !side->ops->settled(side))
        return STUCK;
    uint8_t *early;
    size_t length;
    report(r, end);
    int fd = side->ops->hand_over(side, &early, &length);
    /* Mostly something has come meanwhile: it is read at once. */
    struct side *plain = plain_left_over(relay_worker(r), fd, early, length, false);
    if (plain == NULL) {
        socket_reset(fd);
        free(early);
        return NO_MEMORY;
    }
    plain->server = side->server;
    side->server = NULL;
    side->ops->destroy(side);
    plain->owner = &r->owner;
    r->sides[end] = plain;
    if (r->flows[end].ended)
        plain_watch_reset(plain); /* nobody will read from it again */
    if (r->flows[relay_other(end)].finished)
        plain->ops->finish(plain);
    return MOVED;
}

/* ---- the turn ---- */

static void watch(struct relay *r)
{
    bool blocked[2];
    for (int end = NEAR; end <= FAR; end++) {
        enum end from = relay_other((enum end)end);
        blocked[end] = relay_is_holding(r, from) ||
                       (!r->flows[from].ended && r->sides[end]->ops->room(r->sides[end]) == 0);
    }
    for (int end = NEAR; end <= FAR; end++) {
        bool readable = !r->flows[end].ended && !blocked[relay_other((enum end)end)];
        r->sides[end]->ops->watch(r->sides[end], readable, blocked[end]);
    }
}

static bool over(const struct relay *r)
{
    return r->flows[NEAR].finished && r->flows[FAR].finished;
}

enum outcome { GONE, /* the relay is no more */ IDLE, BUSY };

/* What there is to do for the side at `from`: pass on that it is lost, or move its bytes. */
static enum verdict attend(struct relay *r, enum end from)
{
    switch (r->sides[from]->lost) {
    case SIDE_RESET: return SELF_LOST;
    case SIDE_UNREACHED: return SENDER_UNREACHED;
    default: break;
    }
    return relay_move(r, from);
}

/* Attends to both once, then settles what has become a socket. */
static enum outcome turn(struct relay *r)
{
    enum outcome outcome = IDLE;
    for (int end = NEAR; end <= FAR; end++) {
        enum end from = (enum end)end;
        switch (attend(r, from)) {
        case MOVED: outcome = BUSY; break;
        case STUCK: break;
        case SENDER_LOST: relay_pass_reset_on(r, from, false); return GONE;
        case SENDER_UNREACHED: relay_pass_reset_on(r, from, true); return GONE;
        case SELF_LOST: relay_drain_and_pass_reset_on(r, from); return GONE;
        case RECEIVER_LOST: relay_drain_and_pass_reset_on(r, relay_other(from)); return GONE;
        case NO_MEMORY: relay_abort(r); return GONE;
        }
    }
    for (int end = NEAR; end <= FAR; end++) {
        enum verdict verdict = settle(r, (enum end)end);
        if (verdict == NO_MEMORY) {
            relay_abort(r);
            return GONE;
        }
        if (verdict == MOVED)
            outcome = BUSY;
    }
    if (over(r) && r->sides[NEAR]->ops->settled == NULL && r->sides[FAR]->ops->settled == NULL) {
        relay_destroy(r);
        return GONE;
    }
    return outcome;
}

/* Moves what can be moved. May destroy the relay and both sides. */
static void on_wake(struct side_owner *owner)
{
    struct relay *r = (struct relay *)owner;
    assert(r->tag == RELAY_TAG);
    if (r->doom != NULL) {
        relay_run_doomed(r);
        return;
    }
    enum outcome outcome;
    int rounds = 0;
    /*
     * Enough to empty a session, which holds less than two reads in each direction; sockets call
     * again when there is more.
     */
    do
        outcome = turn(r);
    while (outcome == BUSY && ++rounds < RELAY_ROUNDS_A_TURN);
    if (outcome != GONE)
        watch(r);
}
