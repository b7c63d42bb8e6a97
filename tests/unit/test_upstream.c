/* The upstream: the side it opens, its choice of servers, and its room for pending sessions. */
#include "tests/unit/support/worker_fixture.h"

#include <stdio.h>

#include "proxy/sides/side.h"
#include "proxy/upstream.h"

static void a_plain_upstream_opens_a_socket(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = upstream_open(fixture_upstream(f), f->worker, &(struct upstream_call){0});
    assert_null(side->ops->settled); /* it never becomes anything else */
    fixture_server(f, 0);
    side->ops->destroy(side);
}

static void a_turbo_upstream_opens_a_session(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", f->server_port);
    struct side *side = upstream_open(fixture_upstream(f), f->worker, &(struct upstream_call){0});
    assert_non_null(side->ops->settled);
    fixture_server(f, 0);
    side->ops->destroy(side);
}

static void pending_sessions_are_limited(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct upstream *u = fixture_upstream(f);
    assert_true(upstream_has_room(u, false, 1));
    u->pending = TURBO_PENDING_UNPROVEN - 1;
    assert_true(upstream_has_room(u, false, 1));
    u->pending = TURBO_PENDING_UNPROVEN;
    assert_false(upstream_has_room(u, false, 1));
    u->pending = TURBO_PENDING_DEFAULT - 1;
    assert_true(upstream_has_room(u, true, 1));
    u->pending++;
    assert_false(upstream_has_room(u, true, 1));
}

static void workers_divide_the_room_but_for_a_few_sessions_each(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct upstream *u = fixture_upstream(f);
    u->pending = TURBO_PENDING_DEFAULT / 2 - 1;
    assert_true(upstream_has_room(u, true, 2));
    u->pending++;
    assert_false(upstream_has_room(u, true, 2));
    u->pending = 7;
    assert_true(upstream_has_room(u, false, CONFIG_WORKERS_MAX));
    u->pending++;
    assert_false(upstream_has_room(u, true, CONFIG_WORKERS_MAX));
}

/* ---- its servers, without a worker ---- */

static const struct config_server three[] = {{.host = "a", .port = 1, .udp_port = 1, .weight = 5},
                                             {.host = "b", .port = 1, .udp_port = 1, .weight = 1},
                                             {.host = "c", .port = 1, .udp_port = 1, .weight = 0}};

/* A configuration with one upstream. */
static struct config *config_of(enum endpoint_kind kind, const struct config_server *servers,
                                size_t count)
{
    struct config *config = config_create();
    assert_non_null(config);
    struct config_upstream *u = config_alloc(config, sizeof(*u));
    struct config_server *copies = config_alloc(config, count * sizeof(*copies));
    assert_non_null(u);
    assert_non_null(copies);
    memcpy(copies, servers, count * sizeof(*copies));
    u->name = "pool";
    u->kind = kind;
    u->servers = copies;
    u->server_count = count;
    u->health = (struct config_health){.max_failures = 1, .back_off_s = 1., .max_back_off_s = 60.};
    config->upstreams = u;
    config->upstream_count = 1;
    return config;
}

static struct upstream *upstream_of(enum endpoint_kind kind, const struct config_server *servers,
                                    size_t count, const struct upstream *before)
{
    struct config *config = config_of(kind, servers, count);
    struct upstream *u = upstream_create(config, 0, before);
    assert_non_null(u);
    config_release(config); /* the upstream holds it */
    return u;
}

static void leave_out(struct upstream *u, size_t server, turbo_time now)
{
    assert_true(health_failed(&u->servers[server]->health, &u->settings->health, false, now));
}

/* Of a connection that has tried nobody yet. */
static size_t pick(struct upstream *u, turbo_time now)
{
    uint64_t tried = 0;
    const struct server *server = upstream_pick(u, now, &tried);
    for (size_t i = 0; i < u->settings->server_count; i++)
        if (u->servers[i] == server) {
            assert_true(tried == UINT64_C(1) << i);
            return i;
        }
    fail();
    return SIZE_MAX;
}

static void servers_are_picked_by_weight(void **state)
{
    (void)state;
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 3, NULL);
    unsigned counts[3] = {0};
    for (int i = 0; i < 600; i++)
        counts[pick(u, 1)]++;
    assert_int_equal(counts[0], 500);
    assert_int_equal(counts[1], 100);
    upstream_release(u);
}

static void a_connection_tries_each_once_those_of_weight_0_last(void **state)
{
    (void)state;
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 3, NULL);
    for (int i = 0; i < 10; i++) {
        uint64_t tried = 0;
        struct server *first = upstream_pick(u, 1, &tried);
        struct server *second = upstream_pick(u, 1, &tried);
        assert_ptr_not_equal(first, second);
        assert_ptr_equal(upstream_pick(u, 1, &tried), u->servers[2]);
        assert_null(upstream_pick(u, 1, &tried));
        assert_true(tried == 7);
    }
    upstream_release(u);
}

static void one_that_is_out_is_not_picked_while_another_is_up(void **state)
{
    (void)state;
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 3, NULL);
    leave_out(u, 0, 1);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pick(u, 2), 1);
    leave_out(u, 1, 1);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pick(u, 2), 2);
    upstream_release(u);
}

static void with_none_up_it_is_the_one_that_is_back_first(void **state)
{
    (void)state;
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 3, NULL);
    uint64_t tried = 0;
    leave_out(u, 0, 300);
    leave_out(u, 1, 100);
    leave_out(u, 2, 200);
    assert_ptr_equal(upstream_pick(u, 301, &tried), u->servers[1]);
    assert_ptr_equal(upstream_pick(u, 301, &tried), u->servers[2]);
    assert_ptr_equal(upstream_pick(u, 301, &tried), u->servers[0]);
    assert_null(upstream_pick(u, 301, &tried));
    upstream_release(u);
}

static void after_the_back_off_it_has_its_turn_again(void **state)
{
    (void)state;
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 2, NULL);
    leave_out(u, 0, 1);
    turbo_time later = 1 + TURBO_SECOND;
    assert_int_equal(pick(u, later), 0);
    assert_true(health_try(&u->servers[0]->health, later));
    for (int i = 0; i < 10; i++)
        assert_int_equal(pick(u, later), 1); /* one tries it */
    upstream_release(u);
}

static void as_many_as_there_may_be(void **state)
{
    (void)state;
    struct config_server servers[CONFIG_SERVERS_MAX];
    char hosts[CONFIG_SERVERS_MAX][4];
    for (unsigned i = 0; i < CONFIG_SERVERS_MAX; i++) {
        snprintf(hosts[i], sizeof(hosts[i]), "h%u", i);
        servers[i] = (struct config_server){.host = hosts[i], .port = 1, .weight = i + 1};
    }
    struct upstream *u = upstream_of(ENDPOINT_TCP, servers, CONFIG_SERVERS_MAX, NULL);
    uint64_t tried = 0;
    for (size_t i = 0; i < CONFIG_SERVERS_MAX; i++)
        assert_non_null(upstream_pick(u, 1, &tried));
    assert_true(tried == UINT64_MAX);
    assert_null(upstream_pick(u, 1, &tried));
    upstream_release(u);
}

/* ---- from one configuration to the next ---- */

static void servers_that_both_have_are_the_same(void **state)
{
    (void)state;
    static const struct config_server next[] = {
        {.host = "b", .port = 1, .udp_port = 1, .weight = 9}, /* another place and weight */
        {.host = "a", .port = 2, .udp_port = 2, .weight = 5}, /* another port */
        {.host = "d", .port = 1, .udp_port = 1, .weight = 1}};
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 3, NULL);
    struct server *a = u->servers[0], *b = u->servers[1];
    leave_out(u, 1, 1);
    struct upstream *v = upstream_of(ENDPOINT_TCP, next, 3, u);
    upstream_release(u);
    assert_ptr_equal(v->servers[0], b);
    assert_ptr_not_equal(v->servers[1], a);
    assert_false(health_is_up(&v->servers[0]->health, 2)); /* still out */
    assert_true(health_is_up(&v->servers[1]->health, 2));
    upstream_release(v);
}

static void of_another_kind_none_is_the_same(void **state)
{
    (void)state;
    struct upstream *u = upstream_of(ENDPOINT_TCP, three, 3, NULL);
    struct upstream *v = upstream_of(ENDPOINT_TURBO, three, 3, u);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_not_equal(u->servers[i], v->servers[i]);
    upstream_release(u);
    upstream_release(v);
}

static void turns_go_on_where_they_were_unless_shares_have_changed(void **state)
{
    (void)state;
    struct config_server servers[2] = {three[0], three[1]};
    servers[0].weight = 1;
    struct upstream *u = upstream_of(ENDPOINT_TCP, servers, 2, NULL);
    for (size_t i = 0; i < 6; i++) { /* a reload after each connection */
        assert_int_equal(pick(u, 1), i % 2);
        struct upstream *v = upstream_of(ENDPOINT_TCP, servers, 2, u);
        upstream_release(u);
        u = v;
    }
    u->credit[1] = 1000; /* of other weights */
    servers[0].weight = 2;
    struct upstream *v = upstream_of(ENDPOINT_TCP, servers, 2, u);
    assert_int_equal(v->credit[1], 0);
    upstream_release(u);
    upstream_release(v);
}

static void one_named_twice_is_one(void **state)
{
    (void)state;
    const struct config_server twice[] = {three[0], three[1], three[0]};
    struct upstream *u = upstream_of(ENDPOINT_TCP, twice, 3, NULL);
    assert_ptr_equal(u->servers[0], u->servers[2]);
    assert_int_equal(u->servers[0]->references, 2);
    upstream_release(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_plain_upstream_opens_a_socket),
        FIXTURE_CASE(a_turbo_upstream_opens_a_session),
        FIXTURE_CASE(pending_sessions_are_limited),
        FIXTURE_CASE(workers_divide_the_room_but_for_a_few_sessions_each),
        CASE(servers_are_picked_by_weight),
        CASE(a_connection_tries_each_once_those_of_weight_0_last),
        CASE(one_that_is_out_is_not_picked_while_another_is_up),
        CASE(with_none_up_it_is_the_one_that_is_back_first),
        CASE(after_the_back_off_it_has_its_turn_again),
        CASE(as_many_as_there_may_be),
        CASE(servers_that_both_have_are_the_same),
        CASE(of_another_kind_none_is_the_same),
        CASE(turns_go_on_where_they_were_unless_shares_have_changed),
        CASE(one_named_twice_is_one),
    };
    return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
