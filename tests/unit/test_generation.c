/* A configuration in force: what it shares with the one before, and what it counts. */
#include "tests/unit/support/worker_fixture.h"

#include "proxy/generation.h"
#include "proxy/ops/stats.h"
#include "proxy/server.h"

static struct stats *stats;

static struct generation *made(struct fixture *f, const char *text, const struct generation *before)
{
    fixture_configure(f, "%s", text);
    struct generation *g = generation_create(f->config, stats, before);
    assert_non_null(g);
    return g;
}

#define LISTENER "listener { address: '127.0.0.1:0' route { upstream: 'a' } } "

static int open_stats(void **state)
{
    stats = stats_create();
    return stats == NULL ? -1 : fixture_open(state);
}

static int close_stats(void **state)
{
    const bool is_empty = stats_first(stats) == NULL;
    if (is_empty)
        stats_destroy(stats); /* or it asserts */
    return fixture_close(state) == 0 && is_empty ? 0 : -1;
}

#define GENERATION_CASE(name) cmocka_unit_test_setup_teardown(name, open_stats, close_stats)

static void the_last_one_frees_it(void **state)
{
    struct fixture *f = *state;
    struct generation *g =
        made(f, LISTENER "upstream { name: 'a' server { address: '192.0.2.1:443' } }", NULL);
    assert_true(f->config->references > 1);
    assert_ptr_equal(generation_hold(g), g);
    generation_release(g);
    assert_string_equal(g->upstreams[0]->settings->name, "a");
    generation_release(g);
    assert_int_equal(f->config->references, 1);
    generation_release(NULL);
}

static void servers_that_both_have_are_the_same(void **state)
{
    struct fixture *f = *state;
    struct generation *before =
        made(f,
             LISTENER "upstream { name: 'a' server { address: '192.0.2.1:443' } "
                      "server { address: '192.0.2.2:443' } } "
                      "upstream { name: 'b' server { address: '192.0.2.1:443' } }",
             NULL);
    struct generation *g = made(f,
                                LISTENER "upstream { name: 'b' server { address: '192.0.2.9:443' } "
                                         "server { address: '192.0.2.1:443' } } "
                                         "upstream { name: 'a' server { address: '192.0.2.2:443' "
                                         "weight: 7 } server { address: '192.0.2.1:444' } }",
                                before);
    struct server *second = before->upstreams[0]->servers[1];
    assert_ptr_equal(g->upstreams[0]->servers[1], before->upstreams[1]->servers[0]);
    assert_ptr_equal(g->upstreams[1]->servers[0], second);
    assert_ptr_not_equal(g->upstreams[1]->servers[1], before->upstreams[0]->servers[0]);
    assert_int_equal(g->upstreams[1]->settings->servers[0].weight, 7);
    generation_release(before);
    assert_int_equal(second->references, 1); /* and still there */
    generation_release(g);
}

static void one_of_another_kind_is_another(void **state)
{
    struct fixture *f = *state;
    struct generation *before =
        made(f, LISTENER "upstream { name: 'a' server { address: '192.0.2.1:443' } }", NULL);
    struct generation *g = made(
        f, LISTENER "upstream { name: 'a' protocol: TURBO server { address: '192.0.2.1:443' } }",
        before);
    assert_ptr_not_equal(g->upstreams[0]->servers[0], before->upstreams[0]->servers[0]);
    generation_release(g);
    generation_release(before);
}

static void each_route_of_each_listener_is_counted(void **state)
{
    struct fixture *f = *state;
    struct generation *g =
        made(f,
             "listener { name: 'l' address: '127.0.0.1:0' route { name: 'x' upstream: 'a' "
             "alpn: 'h2' } route { name: 'y' upstream: 'a' } } "
             "listener { name: 'm' address: '127.0.0.2:0' route { name: 'x' upstream: 'a' } } "
             "upstream { name: 'a' server { address: '192.0.2.1:443' } }",
             NULL);
    size_t seen = 0;
    for (size_t i = 0; i < g->config->listener_count; i++) {
        const struct config_listener *l = &g->config->listeners[i];
        for (size_t k = 0; k <= l->route_count; k++, seen++) {
            const struct config_route *route = k == 0 ? NULL : &l->routes[k - 1];
            const struct route_stats *r = generation_stats(g, l, route);
            assert_string_equal(r->listener, l->name);
            assert_string_equal(r->route, route == NULL ? "" : route->name);
            assert_int_equal(r->references, 1);
        }
    }
    assert_int_equal(seen, 5);
    generation_release(g);
}

static void the_same_names_are_counted_together(void **state)
{
    struct fixture *f = *state;
    struct generation *before =
        made(f, LISTENER "upstream { name: 'a' server { address: '192.0.2.1:443' } }", NULL);
    struct route_stats *r = generation_stats(before, &before->config->listeners[0], NULL);
    stats_began(r);
    struct generation *g =
        made(f, LISTENER "upstream { name: 'a' server { address: '192.0.2.2:443' } }", before);
    assert_ptr_equal(generation_stats(g, &g->config->listeners[0], NULL), r);
    generation_release(before);
    assert_int_equal(r->active, 1);
    stats_left(r);
    generation_release(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GENERATION_CASE(the_last_one_frees_it),
        GENERATION_CASE(servers_that_both_have_are_the_same),
        GENERATION_CASE(one_of_another_kind_is_another),
        GENERATION_CASE(each_route_of_each_listener_is_counted),
        GENERATION_CASE(the_same_names_are_counted_together),
    };
    return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
