/* Connecting to a host: its addresses in order, and every way to fail. */
/* Included, since the time it has is its own affair, and this cannot wait for ten seconds. */
#include "proxy/net/dial.c"

#include "tests/unit/support/caller.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void start(struct fixture *f)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
}

static bool is(const struct address *address, const char *host, uint16_t port)
{
    struct address other;
    return address_from_literal(&other, host, port) && address_equal(address, &other);
}

static void an_address_is_connected_to(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    start(f);
    caller_dial(f, &c, "127.0.0.1", f->server_port);
    UNTIL(f, c.ups == 1);
    assert_int_equal(c.starts, 1);
    assert_true(is(&c.started[0], "127.0.0.1", f->server_port));
    assert_true(is(&c.peer, "127.0.0.1", f->server_port));
    peer_say(fixture_adopt(f, c.fd), "hello");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "hello"));
    assert_int_equal(c.failures, 0);
}

static void started_may_be_of_no_interest(void **state)
{
    struct fixture *f = *state;
    static const struct dial_events few = {.up = caller_up, .failed = caller_failed};
    struct caller c = {.fd = -1};
    start(f);
    struct dial_target target = {.host = "127.0.0.1", .port = f->server_port};
    c.dial = dial_start(f->loop, f->worker->resolver, &target, CALLER_SECONDS, &few, &c);
    UNTIL(f, c.ups == 1);
    socket_close(c.fd);
}

static void a_refusal_fails_with_words(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    start(f);
    caller_dial(f, &c, "127.0.0.1", port);
    UNTIL(f, c.failures == 1);
    assert_string_equal(c.error, "Connection refused");
    assert_false(c.exhausted);
    assert_int_equal(c.starts, 1);
    assert_int_equal(c.ups, 0);
    close(refusing);
}

static void a_name_that_is_none_fails_with_words(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    start(f);
    caller_dial(f, &c, "no..name", f->server_port);
    UNTIL(f, c.failures == 1);
    assert_true(strlen(c.error) > 0);
    assert_int_equal(c.starts, 0);
}

/* As the resolver may give them. */
static void resolved(struct caller *c, const char *const *hosts, size_t count)
{
    struct address addresses[CALLER_STARTS_MAX];
    for (size_t i = 0; i < count; i++)
        assert_true(address_from_literal(&addresses[i], hosts[i], 0));
    ev_clear_pending(c->dial->loop, &c->dial->known); /* that it is a literal */
    on_resolved(c->dial, addresses, count, NULL);
}

static void addresses_are_tried_in_order_until_one_answers(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    uint16_t port = f->server_port;
    int refusing[] = {fixture_refusing_port("127.0.0.7", &port),
                      fixture_refusing_port("::1", &port)};
    static const char *const hosts[] = {"127.0.0.7", "::1", "127.0.0.1", "127.0.0.7"};
    start(f);
    caller_dial(f, &c, "127.0.0.1", port);
    resolved(&c, hosts, COUNT(hosts));
    UNTIL(f, c.ups == 1);
    assert_int_equal(c.starts, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(is(&c.started[i], hosts[i], port));
    assert_true(is(&c.peer, "127.0.0.1", port));
    socket_close(c.fd);
    close(refusing[0]);
    close(refusing[1]);
}

static void one_that_cannot_even_be_tried_is_skipped(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    static const char *const hosts[] = {"255.255.255.255", "127.0.0.1"};
    start(f);
    caller_dial(f, &c, "127.0.0.1", f->server_port);
    resolved(&c, hosts, COUNT(hosts));
    UNTIL(f, c.ups == 1);
    assert_int_equal(c.starts, 1);
    socket_close(c.fd);
}

static void a_silent_address_leaves_time_for_the_others(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    uint16_t port = f->server_port;
    static const char *const hosts[] = {"127.0.0.7", "127.0.0.1"};
    start(f);
    int silent = fixture_silent_port(f, "127.0.0.7", &port);
    caller_dial(f, &c, "127.0.0.1", port);
    c.dial->seconds_left = 0.1;
    resolved(&c, hosts, COUNT(hosts));
    UNTIL(f, c.ups == 1);
    assert_int_equal(c.starts, 2);
    assert_true(is(&c.peer, "127.0.0.1", port));
    socket_close(c.fd);
    close(silent);
}

static void silence_ends_when_the_time_is_over(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    uint16_t port = 0;
    start(f);
    int silent = fixture_silent_port(f, "127.0.0.1", &port);
    caller_dial(f, &c, "127.0.0.1", port);
    assert_true(c.dial->seconds_left == CALLER_SECONDS);
    c.dial->seconds_left = 0.01;
    UNTIL(f, c.failures == 1);
    assert_string_equal(c.error, "Connection timed out");
    assert_false(c.exhausted);
    close(silent);
}

static void without_descriptors_it_fails_with_words(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    struct rlimit limit;
    start(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    caller_dial(f, &c, "127.0.0.1", f->server_port);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(f, c.failures == 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_string_equal(c.error, "Too many open files");
    assert_true(c.exhausted);
}

static void giving_up_is_silent_at_every_stage(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    uint16_t port = 0;
    start(f);
    int silent = fixture_silent_port(f, "127.0.0.1", &port);
    caller_dial(f, &c, "127.0.0.1", port);
    dial_cancel(c.dial); /* before the name is known */
    fixture_let_happen(f);
    assert_int_equal(c.starts + c.ups + c.failures, 0);
    caller_dial(f, &c, "127.0.0.1", port);
    UNTIL(f, c.starts == 1);
    dial_cancel(c.dial); /* while it connects */
    caller_dial(f, &c, "127.0.0.1", port);
    c.cancels = true; /* from within `started` */
    UNTIL(f, c.starts == 1);
    fixture_let_happen(f);
    assert_int_equal(c.ups + c.failures, 0);
    dial_cancel(NULL);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(an_address_is_connected_to),
        FIXTURE_CASE(started_may_be_of_no_interest),
        FIXTURE_CASE(a_refusal_fails_with_words),
        FIXTURE_CASE(a_name_that_is_none_fails_with_words),
        FIXTURE_CASE(addresses_are_tried_in_order_until_one_answers),
        FIXTURE_CASE(one_that_cannot_even_be_tried_is_skipped),
        FIXTURE_CASE(a_silent_address_leaves_time_for_the_others),
        FIXTURE_CASE(silence_ends_when_the_time_is_over),
        FIXTURE_CASE(without_descriptors_it_fails_with_words),
        FIXTURE_CASE(giving_up_is_silent_at_every_stage),
    };
    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
