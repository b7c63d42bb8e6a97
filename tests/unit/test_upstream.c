/* The upstream: the side it opens, its choice of servers, and its room for pending sessions. */
#include "tests/unit/support/worker_fixture.h"

#include "proxy/sides/side.h"
#include "proxy/upstream.h"

static void a_plain_upstream_opens_a_socket(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = upstream_open(fixture_upstream(f), f->worker, NULL, 0);
    assert_null(side->ops->settled); /* it never becomes anything else */
    fixture_server(f, 0);
    side->ops->destroy(side);
}

static void a_turbo_upstream_opens_a_session(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", f->server_port);
    struct side *side = upstream_open(fixture_upstream(f), f->worker, NULL, 0);
    assert_non_null(side->ops->settled);
    fixture_server(f, 0);
    side->ops->destroy(side);
}

static void pending_sessions_are_limited(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct upstream *u = fixture_upstream(f);
    assert_true(upstream_has_room(u, false));
    u->pending = TURBO_PENDING_UNPROVEN - 1;
    assert_true(upstream_has_room(u, false));
    u->pending = TURBO_PENDING_UNPROVEN;
    assert_false(upstream_has_room(u, false));
    u->pending = TURBO_PENDING_DEFAULT - 1;
    assert_true(upstream_has_room(u, true));
    u->pending++;
    assert_false(upstream_has_room(u, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_plain_upstream_opens_a_socket),
        FIXTURE_CASE(a_turbo_upstream_opens_a_session),
        FIXTURE_CASE(pending_sessions_are_limited),
    };
    return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
