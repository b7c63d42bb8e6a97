/* What several workers have counted is added up, and nothing is lost or told twice. */
#include "tests/unit/support/worker_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "proxy/ops/totals.h"
#include "proxy/worker_parts.h"

enum { WORKERS = 3, CLIENTS = 12 };

static struct workmates mates;

/* The first one is the fixture's. */
static void serve(struct fixture *f)
{
    mates = (struct workmates){.count = WORKERS};
    f->mates = &mates;
    fixture_run_worker(f);
    for (unsigned i = 1; i < WORKERS; i++)
        assert_non_null(worker_create_among(f->config, &f->log, &mates, i));
    for (unsigned i = 0; i < WORKERS; i++)
        if (!worker_listen(mates.workers[i]))
            fail_msg("%s", fixture_log(f));
}

static int end(void **state)
{
    for (unsigned i = WORKERS; i-- > 1;)
        worker_destroy(mates.workers[i]);
    mates.workers[0] = NULL;
    return fixture_close(state);
}

#define TOTALS_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, end)

static struct totals *gather(void)
{
    struct totals *t = totals_create(mates.workers[0]);
    assert_non_null(t);
    for (unsigned i = 1; i < WORKERS; i++)
        assert_true(totals_add(t, mates.workers[i]));
    assert_int_equal(t->workers, WORKERS);
    return t;
}

/* As threads would: the others turn beside the first. */
static size_t relays(void)
{
    size_t count = 0;
    for (unsigned i = 1; i < WORKERS; i++)
        ev_run(mates.workers[i]->loop, EVRUN_NOWAIT);
    for (unsigned i = 0; i < WORKERS; i++)
        count += mates.workers[i]->connections - mates.workers[i]->arrival_count;
    return count;
}

static const struct route_stats *route_of(const struct totals *t)
{
    const struct config_listener *l = t->listeners[0].settings;
    return totals_route(t, l->name, l->routes[0].name);
}

static void connections_of_all_are_counted_while_and_after_they_are(void **state)
{
    struct fixture *f = *state;
    struct peer *clients[CLIENTS];
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    serve(f);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = fixture_client(f);
        peer_say(clients[i], "PING");
    }
    UNTIL(f, relays() == CLIENTS && f->served_count == CLIENTS);
    struct totals *t = gather();
    assert_int_equal(totals_connections(t), CLIENTS);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(t->connections[i], mates.workers[i]->connections);
    assert_int_equal(t->listener_count, 1);
    assert_int_equal(t->listeners[0].connections, CLIENTS);
    assert_string_equal(t->listeners[0].text, listener_text(f->worker->listeners[0]));
    assert_int_equal(route_of(t)->active, CLIENTS);
    assert_int_equal(t->upstreams[0].servers[0].connections, CLIENTS);
    assert_int_equal(t->upstreams[0].servers[0].connected, CLIENTS);
    totals_destroy(t);
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_finish(clients[i]);
        peer_finish(f->served[i]);
    }
    UNTIL(f, relays() == 0);
    t = gather();
    const struct route_stats *r = route_of(t);
    assert_int_equal(r->active, 0);
    assert_int_equal(r->connections[TURBO_OUTCOME_OPAQUE][TURBO_REASON_NOT_TLS], CLIENTS);
    assert_int_equal(r->bytes_c2s, CLIENTS * strlen("PING"));
    assert_ptr_equal(r, stats_first(t->routes)->next); /* after that without a name */
    assert_null(r->next);
    totals_destroy(t);
}

static void histograms_add_up(void **state)
{
    (void)state;
    struct stats *sums = stats_create();
    struct route_stats route = {.listener = strdup("edge"), .route = strdup("web")};
    route.ended[TURBO_OUTCOME_TURBO] = route.ended[TURBO_OUTCOME_CLASSIC] = 2;
    route.first_response[TURBO_OUTCOME_TURBO].counts[3] = 5;
    route.first_answer[TURBO_OUTCOME_CLASSIC].counts[STATS_BUCKETS] = 7;
    route.first_answer[TURBO_OUTCOME_CLASSIC].sum_us = 11;
    route.saved_us = 13;
    route.round_trips_saved = 17;
    route.bytes_s2c = 19;
    assert_true(stats_add(sums, &route));
    assert_true(stats_add(sums, &route));
    const struct route_stats *r = stats_find(sums, "edge", "web");
    assert_int_equal(r->ended[TURBO_OUTCOME_CLASSIC], 4);
    assert_int_equal(r->first_response[TURBO_OUTCOME_TURBO].counts[3], 10);
    assert_int_equal(r->first_answer[TURBO_OUTCOME_CLASSIC].counts[STATS_BUCKETS], 14);
    assert_int_equal(r->first_answer[TURBO_OUTCOME_CLASSIC].sum_us, 22);
    assert_int_equal(r->saved_us, 26);
    assert_int_equal(r->round_trips_saved, 34);
    assert_int_equal(r->bytes_s2c, 38);
    assert_null(stats_find(sums, "edge", "mail"));
    stats_forget(sums);
    assert_null(stats_first(sums));
    stats_destroy(sums);
    free(route.listener);
    free(route.route);
}

static void servers_add_up(void **state)
{
    struct fixture *f = *state;
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", f->server_port);
    serve(f);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct upstream *u = mates.workers[i]->generation->upstreams[0];
        u->pending = 2;
        u->servers[0]->failed = 3;
        u->servers[0]->flights.partial = 4;
        for (unsigned k = 0; k <= i; k++)
            u->servers[0]->memory->entries[k].learned.paused_until = TURBO_NEVER;
    }
    mates.workers[0]->generation->upstreams[0]->servers[0]->checked = 5;
    mates.workers[0]->generation->upstreams[0]->servers[0]->check_failed = 1;
    struct totals *t = gather();
    const struct totals_upstream *u = &t->upstreams[0];
    assert_int_equal(u->pending, 2 * WORKERS);
    assert_int_equal(u->server_count, 1);
    assert_int_equal(u->servers[0].failed, 3 * WORKERS);
    assert_int_equal(u->servers[0].partial, 4 * WORKERS);
    assert_int_equal(u->servers[0].passed_checks, 4);
    assert_int_equal(u->servers[0].failed_checks, 1);
    assert_int_equal(u->servers[0].weight, 1);
    assert_int_equal(u->servers[0].udp_paused, WORKERS); /* the last one's */
    assert_int_equal(u->servers[0].up, 1);
    totals_destroy(t);
    mates.workers[1]->generation->upstreams[0]->servers[0]->health.out_until = TURBO_NEVER;
    t = gather();
    assert_int_equal(t->upstreams[0].servers[0].up, 0);
    totals_destroy(t);
    for (unsigned i = 0; i < WORKERS; i++)
        mates.workers[i]->generation->upstreams[0]->pending = 0;
}

static void one_that_does_not_accept_is_told(void **state)
{
    struct fixture *f = *state;
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    serve(f);
    struct totals *t = gather();
    assert_true(t->accepting && !t->draining);
    assert_int_equal(t->connections_max, f->worker->connections_max);
    totals_destroy(t);
    mates.workers[2]->accepting = false;
    mates.workers[1]->pipes.open += 2;
    t = gather();
    assert_false(t->accepting);
    assert_int_equal(t->pipes, 2);
    totals_destroy(t);
    mates.workers[1]->pipes.open -= 2;
    mates.workers[2]->accepting = true;
}

/* Until its last connection ends it is there, whoever has that, with the names of before. */
static void a_listener_that_leaves_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct succession next[WORKERS];
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    serve(f);
    peer_say(fixture_client(f), "PING");
    UNTIL(f, relays() == 1);
    char text[CONFIG_LISTEN_TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "%s", listener_text(f->worker->listeners[0]));
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(worker_prepare(mates.workers[i], f->config, &next[i]));
    for (unsigned i = 0; i < WORKERS; i++)
        worker_settle(mates.workers[i], &next[i], true);
    struct totals *t = gather();
    assert_int_equal(t->listener_count, 1);
    assert_ptr_equal(t->config, f->config);
    assert_true(t->listeners[0].open && !t->listeners[0].leaving);
    assert_int_equal(t->listeners[0].settings->kind, ENDPOINT_TURBO);
    assert_int_equal(t->leaving_count, 1);
    assert_true(t->listeners[1].leaving && !t->listeners[1].open);
    assert_string_equal(t->listeners[1].text, text);
    assert_int_equal(t->listeners[1].connections, 1);
    assert_ptr_not_equal(t->listeners[1].config, f->config);
    totals_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOTALS_CASE(connections_of_all_are_counted_while_and_after_they_are),
        cmocka_unit_test(histograms_add_up),
        TOTALS_CASE(servers_add_up),
        TOTALS_CASE(one_that_does_not_accept_is_told),
        TOTALS_CASE(a_listener_that_leaves_is_told_once),
    };
    return cmocka_run_group_tests_name("totals", tests, NULL, NULL);
}
