/* The upstream: its name in logs, the side it opens, and its room for pending sessions. */
#include "tests/unit/support/worker_fixture.h"

#include "proxy/sides/side.h"
#include "proxy/upstream.h"

static const char *text_of(struct upstream *upstream, enum endpoint_kind kind, const char *host)
{
    struct upstream_option option = {.kind = kind, .port = 443, .udp_port = 443};
    memcpy(option.host, host, strlen(host) + 1);
    upstream_init(upstream, &option);
    return upstream->text;
}

static void its_text_is_as_on_the_command_line(void **state)
{
    (void)state;
    struct upstream u;
    char longest[OPTIONS_HOST_MAX + 1] = {0};
    assert_string_equal(text_of(&u, ENDPOINT_TCP, "example.org"), "tcp:example.org:443");
    assert_string_equal(text_of(&u, ENDPOINT_TURBO, "192.0.2.1"), "turbo:192.0.2.1:443");
    assert_string_equal(text_of(&u, ENDPOINT_TURBO, "2001:db8::1"), "turbo:[2001:db8::1]:443");
    memset(longest, 'a', OPTIONS_HOST_MAX);
    assert_int_equal(strlen(text_of(&u, ENDPOINT_TURBO, longest)), OPTIONS_HOST_MAX + 10);
}

static void a_plain_upstream_opens_a_socket(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = upstream_open(&f->worker->upstream, f->worker);
    assert_null(side->ops->settled); /* it never becomes anything else */
    fixture_server(f, 0);
    side->ops->destroy(side);
}

static void a_turbo_upstream_opens_a_session(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", f->server_port);
    struct side *side = upstream_open(&f->worker->upstream, f->worker);
    assert_non_null(side->ops->settled);
    fixture_server(f, 0);
    side->ops->destroy(side);
}

static void pending_sessions_are_limited(void **state)
{
    (void)state;
    struct upstream u;
    text_of(&u, ENDPOINT_TCP, "example.org");
    assert_true(upstream_has_room(&u, false));
    u.pending = TURBO_PENDING_UNPROVEN - 1;
    assert_true(upstream_has_room(&u, false));
    u.pending = TURBO_PENDING_UNPROVEN;
    assert_false(upstream_has_room(&u, false));
    u.pending = TURBO_PENDING_DEFAULT - 1;
    assert_true(upstream_has_room(&u, true));
    u.pending++;
    assert_false(upstream_has_room(&u, true));
}

static void a_failure_is_logged_with_its_name_and_reason(void **state)
{
    struct fixture *f = *state;
    struct upstream u;
    text_of(&u, ENDPOINT_TURBO, "example.org");
    upstream_failed(&u, &f->log, "Connection refused");
    assert_true(fixture_logged(f, " warning cannot connect to the upstream "
                                  "upstream=turbo:example.org:443 error=\"Connection refused\"\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(its_text_is_as_on_the_command_line),
        FIXTURE_CASE(a_plain_upstream_opens_a_socket),
        FIXTURE_CASE(a_turbo_upstream_opens_a_session),
        CASE(pending_sessions_are_limited),
        FIXTURE_CASE(a_failure_is_logged_with_its_name_and_reason),
    };
    return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
