/* Before another process takes over: no new sessions, and those there are may be joined (§7.5). */
#include "tests/unit/support/wire_client.h"

#include "proxy/listener.h"

static struct wire_client wire, second;
static int told;

static void quiet(void *owner)
{
    assert_non_null(owner);
    told++;
}

static void start(struct fixture *f)
{
    told = 0;
    wire_client_init(&wire, 1);
    wire_client_init(&second, 2);
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u --drain-timeout 1000",
                  f->server_port);
}

static void with_nothing_pending_it_is_quiet_soon(void **state)
{
    struct fixture *f = *state;
    start(f);
    f->worker->handover_timeout_s = 1000;
    worker_quiesce(f->worker, quiet, f);
    assert_int_equal(told, 0); /* from the loop, and not from within the call */
    UNTIL(f, told == 1);
    worker_check_drained(f->worker);
    fixture_let_happen(f);
    assert_int_equal(told, 1);
}

static void until_then_sessions_are_refused_and_tcp_goes_on(void **state)
{
    struct fixture *f = *state;
    start(f);
    f->worker->handover_timeout_s = 1000;
    struct peer *server = wire_client_begin(&wire, f);
    worker_quiesce(f->worker, quiet, f);
    wire_client_ask(&second, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&second));
    struct peer *classic = fixture_client(f), *opaque = fixture_client(f);
    wire_client_hello(&second, classic);
    peer_say(opaque, "PING");
    UNTIL(f, f->served_count == 3);
    assert_int_equal(told, 0);
    struct peer *client = wire_client_join(&wire, f, fixture_port(f, 0));
    UNTIL(f, told == 1);
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    assert_true(listener_is_open(f->worker->listeners[0]));
    peer_reset(client);
    UNTIL(f, f->worker->connections == 2);
    assert_int_equal(told, 1);
}

static void it_does_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    start(f);
    f->worker->handover_timeout_s = 0.02;
    struct peer *server = wire_client_begin(&wire, f);
    worker_quiesce(f->worker, quiet, f);
    UNTIL(f, told == 1);
    assert_false(peer_was_reset(server)); /* that is for who hands over to say */
    worker_give_up_sockets(f->worker);
    UNTIL(f, peer_was_reset(server));
    assert_int_equal(told, 1);
    struct peer *late = fixture_client(f);
    UNTIL(f, late->error != 0);
}

static void it_can_be_taken_back(void **state)
{
    struct fixture *f = *state;
    start(f);
    wire_client_begin(&wire, f);
    f->worker->handover_timeout_s = 0.02;
    worker_quiesce(f->worker, quiet, f);
    worker_unquiesce(f->worker);
    wire_client_ask(&second, f, "127.0.0.1", fixture_udp_port(f, 0));
    fixture_server(f, 1);
    turbo_time later = f->worker->now + 40 * TURBO_MILLISECOND;
    UNTIL(f, f->worker->now > later);
    assert_int_equal(told, 0);
    assert_int_equal(f->worker->connections, 2); /* the timer that goes on ends nothing */
}

static void drain(void *owner)
{
    struct fixture *f = owner;
    told++;
    worker_give_up_sockets(f->worker);
    worker_drain(f->worker);
}

/* As a replacement does: all of it from within the callback. */
static void giving_up_and_draining_when_quiet_ends_with_the_last_connection(void **state)
{
    struct fixture *f = *state;
    start(f);
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    worker_quiesce(f->worker, drain, f);
    UNTIL(f, told == 1);
    peer_say(server, "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
    peer_finish(client);
    peer_finish(server);
    fixture_run_to_the_end(f);
    assert_int_equal(told, 1);
    assert_int_equal(f->worker->connections, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(with_nothing_pending_it_is_quiet_soon),
        FIXTURE_CASE(until_then_sessions_are_refused_and_tcp_goes_on),
        FIXTURE_CASE(it_does_not_wait_for_ever),
        FIXTURE_CASE(it_can_be_taken_back),
        FIXTURE_CASE(giving_up_and_draining_when_quiet_ends_with_the_last_connection),
    };
    return cmocka_run_group_tests_name("quiesce", tests, NULL, NULL);
}
