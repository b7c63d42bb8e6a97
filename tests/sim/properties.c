#include "tests/sim/properties.h"

#include <string.h>

#include "tests/sim/world.h"

/* ---- the end of a run ---- */

static bool was_aborted(const struct world *w, const struct connection *c)
{
    for (size_t i = 0; i < w->edge.serving_count; i++)
        if (w->edge.servings[i].connection == c && w->edge.servings[i].server.aborted)
            return true;
    return c->app.aborted;
}

static bool is_complete(const struct connection *c)
{
    return actor_content(&c->app) && c->server != NULL && actor_content(c->server);
}

/* The app has said more than ChangeCipherSpec behind its ClientHello: an answer. */
static bool app_has_answered(const struct connection *c)
{
    size_t no_answer = c->plan->hello + (c->plan->ccs ? CONTENT_CCS_BYTES : 0);
    return c->plan->hello > 0 && c->app.taken > no_answer;
}

void properties_check_opening(const struct connection *c)
{
    const struct dialler *d = &c->dialler;
    struct turbo_client_report r = turbo_client_report(d->session);
    struct journal *j = &c->world->journal;
    if (d->tcp == NULL || turbo_client_state(d->session) >= TURBO_CLIENT_OPEN)
        return;
    if (app_has_answered(c))
        journal_breach(j, c->index, "6.4", "the answer waits though TCP is up");
    if (!r.responded && (r.refused || r.reason == TURBO_REASON_UNREACHABLE))
        journal_breach(j, c->index, "6.7", "it waits for UDP that is no more");
}

void properties_check_failure(struct world *w, const struct connection *c)
{
    if (c->excuses == 0 && !was_aborted(w, c))
        journal_breach(&w->journal, c->index, "12.2", "it fails, though nobody has aborted it");
}

static void check_connection(struct world *w, struct connection *c)
{
    struct journal *j = &w->journal;
    if (!c->dialler.over)
        journal_breach(j, c->index, "12.2", "it has not come to an end");
    if (is_complete(c) || c->plan->hostile)
        return;
    if (!was_aborted(w, c) && c->excuses == 0)
        journal_breach(j, c->index, "12.2",
                       "it failed, though nobody aborted it (%zu of %zu bytes)", c->app.received,
                       c->app.hears_total);
    if (!actor_content(&c->app) && !c->app.gone)
        journal_breach(j, c->index, "12.1", "the app has a prefix and was not told of a failure");
    if (c->server != NULL && c->server->received > 0 && !actor_content(c->server) &&
        !c->server->gone)
        journal_breach(j, c->index, "12.1",
                       "the TLS server has a prefix and was not told of a failure");
}

void properties_check_end(struct world *w)
{
    for (size_t i = 0; i < w->plan->count; i++) {
        check_connection(w, &w->connections[i]);
        if (w->connections[i].dialler.session != NULL)
            journal_breach(&w->journal, (int)i, "12.5", "the client's session is left over");
    }
    edge_check_empty(&w->edge);
}

/* ---- against classic ---- */

/* Where UDP has not answered nothing restarts the wait; where it was not asked there is none. */
static turbo_time may_wait(const struct connection *c)
{
    const struct turbo_client_report *r = &c->dialler.report;
    const struct turbo_client_config *config = &c->dialler.config;
    if (!r->asked)
        return 0;
    if (r->responded || config->always)
        return TURBO_WAIT_MAX;
    turbo_time wait = config->wait_us > 0 ? config->wait_us : r->tcp_up_us / TURBO_WAIT_RTT_DIVISOR;
    wait = wait > TURBO_WAIT_MIN ? wait : TURBO_WAIT_MIN;
    return wait < TURBO_WAIT_MAX ? wait : TURBO_WAIT_MAX;
}

void properties_take_courses(const struct world *w, struct courses *courses)
{
    for (size_t i = 0; i < w->plan->count; i++) {
        const struct connection *c = &w->connections[i];
        struct course *course = &courses->of[i];
        course->completed = is_complete(c) && c->excuses == 0;
        course->may_wait = may_wait(c);
        if (!course->completed)
            continue;
        memcpy(course->app, c->app.reached, sizeof(c->app.reached));
        memcpy(course->server, c->server->reached, sizeof(c->server->reached));
        course->app[STAGES_MAX] = c->app.done_at;
        course->server[STAGES_MAX] = c->server->done_at;
    }
}

static turbo_time lateness(const turbo_time *turbo, const turbo_time *classic)
{
    turbo_time worst = 0;
    for (size_t i = 0; i <= STAGES_MAX; i++)
        if (turbo[i] > classic[i] && turbo[i] - classic[i] > worst)
            worst = turbo[i] - classic[i];
    return worst;
}

static void note_worst(struct world *w, turbo_time late)
{
    if (late <= w->coverage->worst_lateness)
        return;
    w->coverage->worst_lateness = late;
    w->coverage->worst_seed = w->plan->seed;
}

static void compare(struct world *w, size_t i, const struct course *turbo,
                    const struct course *classic)
{
    const struct connection_plan *p = &w->plan->connections[i];
    turbo_time of_app = lateness(turbo->app, classic->app);
    turbo_time of_server = lateness(turbo->server, classic->server);
    turbo_time late = of_app > of_server ? of_app : of_server;
    w->coverage->compared++;
    note_worst(w, late);
    if (late > turbo->may_wait)
        journal_breach(&w->journal, (int)i, "12.6", "%.3f ms later than classic",
                       (double)late / 1000.);
    /* The answer reaches the TLS server that much earlier. */
    if (p->server.count > 1 &&
        classic->server[STAGES_MAX] >= turbo->server[STAGES_MAX] + 9 * (p->tcp.delay * 2) / 10)
        w->coverage->paths[COVER_ROUND_TRIP_SAVED]++;
}

/* Where classic completes UDP must not be the reason to fail, unless §12.2 says so. */
static void look_at_failure(struct world *w, const struct connection *c)
{
    if (c->plan->hostile || is_complete(c) || was_aborted(w, c))
        return;
    w->coverage->paths[COVER_FAILED_ALONE]++;
    if (c->plan->dead_address == HOST_UDP_ONLY && c->dialler.report.delivered)
        return; /* it cannot go on with another host (§6.1e) */
    if ((c->excuses & (EXCUSE_RESTART | EXCUSE_DRAIN | EXCUSE_EXPIRED | EXCUSE_OPENING_TIME)) == 0)
        journal_breach(&w->journal, c->index, "12.2", "it fails, and classic does not");
}

void properties_compare(struct world *w, const struct courses *turbo, const struct courses *classic)
{
    for (size_t i = 0; i < w->plan->count; i++)
        if (turbo->of[i].completed && classic->of[i].completed)
            compare(w, i, &turbo->of[i], &classic->of[i]);
        else if (classic->of[i].completed)
            look_at_failure(w, &w->connections[i]);
}

/* ---- what was met ---- */

static void count_outcome(struct world *w, const struct connection *c)
{
    const struct turbo_client_report *r = &c->dialler.report;
    static const enum path outcomes[] = {
        [TURBO_OUTCOME_TURBO] = COVER_OUTCOME_TURBO,
        [TURBO_OUTCOME_RESUMED] = COVER_OUTCOME_RESUMED,
        [TURBO_OUTCOME_CLASSIC] = COVER_OUTCOME_CLASSIC,
        [TURBO_OUTCOME_OPAQUE] = COVER_OUTCOME_OPAQUE,
    };
    static const enum path reasons[COVER_COUNT] = {
        [TURBO_REASON_TCP_FIRST] = COVER_CLASSIC_TCP_FIRST,
        [TURBO_REASON_NO_RESPONSE] = COVER_CLASSIC_NO_RESPONSE,
        [TURBO_REASON_REFUSED] = COVER_CLASSIC_REFUSED,
        [TURBO_REASON_UDP_PAUSED] = COVER_CLASSIC_PAUSED,
        [TURBO_REASON_UDP_ELSEWHERE] = COVER_CLASSIC_PAUSED,
        [TURBO_REASON_UNREACHABLE] = COVER_CLASSIC_UNREACHABLE,
        [TURBO_REASON_HELLO_TOO_LARGE] = COVER_CLASSIC_TOO_LARGE,
    };
    if (was_aborted(w, c))
        world_count(w, COVER_OUTCOME_ABORTED);
    else if (!is_complete(c))
        world_count(w, COVER_OUTCOME_FAILED);
    else if (r->outcome != TURBO_OUTCOME_NONE && r->outcome != TURBO_OUTCOME_FAILED)
        world_count(w, outcomes[r->outcome]);
    if (r->outcome == TURBO_OUTCOME_CLASSIC && reasons[r->reason] != 0)
        world_count(w, reasons[r->reason]);
}

static void count_connection(struct world *w, const struct connection *c)
{
    const struct turbo_client_report *r = &c->dialler.report;
    count_outcome(w, c);
    if (r->trial)
        world_count(w, COVER_TRIAL);
    if (r->trial && r->flight_known && r->flight_by_udp)
        world_count(w, COVER_TRIAL_SUCCEEDED);
    if (r->rebuilt)
        world_count(w, COVER_REBUILT);
    if (c->plan->hostile)
        world_count(w, COVER_HOSTILE);
    if (c->plan->ccs)
        world_count(w, COVER_CCS);
    if (c->plan->retry)
        world_count(w, COVER_HELLO_AGAIN);
    if (c->plan->app.reads_from > 0 || c->plan->server.reads_from > 0)
        world_count(w, COVER_READS_LATE);
    if (c->plan->pauses)
        world_count(w, COVER_PAUSED_FLIGHT);
    if (c->plan->nat_every != 0 && r->responded)
        world_count(w, COVER_SECOND_ADDRESS);
}

static void add(struct world *w, enum path path, uint64_t count)
{
    w->coverage->paths[path] += count;
}

void properties_count(struct world *w)
{
    struct turbo_endpoint_counters n = edge_counters(&w->edge);
    for (size_t i = 0; i < w->plan->count; i++)
        count_connection(w, &w->connections[i]);
    for (int i = 0; i < TURBO_LIMIT_COUNT; i++)
        add(w, (enum path)(COVER_LIMIT_DRAINING + i), n.limited[i]);
    add(w, COVER_REFUSED_SILENT, n.refused_silent);
    add(w, COVER_PARITY_SENT, n.parities);
    add(w, COVER_TOMBSTONE, n.joined);
    add(w, COVER_ADOPTED, n.adopted);
    add(w, COVER_EXPIRED, n.expired);
    add(w, COVER_ABORT_DATAGRAM, n.aborted);
    add(w, COVER_ADDRESSES_BEYOND, n.addresses_beyond);
    add(w, COVER_LATE_DATAGRAMS, n.late);
    w->coverage->sessions += w->plan->count;
    w->coverage->by_scenario[w->plan->scenario] += w->plan->count;
    w->coverage->scenario_names[w->plan->scenario] = w->plan->name;
}
