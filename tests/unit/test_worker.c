/* The worker: its limits, how it drains, and that nothing of it is left. */
#include "tests/unit/support/wire_client.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

static struct wire_client wire;

static void start(struct fixture *f, const char *options)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u %s", f->server_port,
                  options);
}

static struct peer *connected(struct fixture *f)
{
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, f->served_count);
    UNTIL(f, peer_heard(server, "PING"));
    return client;
}

static bool is_refused(struct fixture *f)
{
    struct peer *client = fixture_client(f);
    fixture_let_happen(f);
    return client->error == ECONNREFUSED;
}

/* ---- draining ---- */

static void an_idle_worker_ends_at_once(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    fixture_call(f, worker_drain);
    fixture_run_to_the_end(f);
}

static void draining_lets_connections_finish_and_takes_no_new_ones(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    struct peer *client = connected(f);
    fixture_call(f, worker_drain);
    UNTIL(f, f->worker->draining);
    struct peer *late = fixture_client(f);
    UNTIL(f, late->error == ECONNREFUSED);
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
    peer_finish(client);
    peer_finish(f->served[0]);
    fixture_run_to_the_end(f);
    assert_int_equal(f->worker->connections, 0);
    assert_false(fixture_logged(f, "cut off"));
}

static void a_second_drain_ends_at_once(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    connected(f);
    fixture_call(f, worker_drain);
    UNTIL(f, f->worker->draining);
    fixture_call(f, worker_drain);
    fixture_run_to_the_end(f);
    assert_int_equal(f->worker->connections, 1);
}

static void a_drain_timeout_of_0_does_not_wait(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 0");
    connected(f);
    fixture_call(f, worker_drain);
    fixture_run_to_the_end(f);
    assert_int_equal(f->worker->connections, 1);
}

static void the_drain_timeout_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 0.02");
    connected(f);
    fixture_call(f, worker_drain);
    fixture_run_to_the_end(f);
    assert_int_equal(f->worker->connections, 1);
}

static void pending_sessions_are_joined_while_draining(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    struct peer *server = wire_client_begin(&wire, f);
    fixture_call(f, worker_drain);
    UNTIL(f, f->worker->draining);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    struct peer *late = fixture_client(f); /* nobody else is awaited any more */
    UNTIL(f, late->error == ECONNREFUSED);
    peer_finish(client);
    peer_finish(server);
    fixture_run_to_the_end(f);
    assert_int_equal(f->worker->connections, 0);
}

static void new_sessions_are_refused_while_draining(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    connected(f);
    fixture_call(f, worker_drain);
    UNTIL(f, f->worker->draining);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    assert_int_equal(f->served_count, 1);
}

static void pending_sessions_are_awaited_for_a_while_only(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    f->worker->handover_timeout_s = 0.02;
    wire_client_begin(&wire, f);
    fixture_call(f, worker_drain);
    UNTIL(f, f->worker->draining);
    UNTIL(f, is_refused(f));
}

static void a_silent_client_does_not_outlive_the_drain(void **state)
{
    struct fixture *f = *state;
    start(f, "--drain-timeout 1000");
    fixture_settings(f, 0)->opening_timeout_s = 0.02;
    fixture_client(f);
    UNTIL(f, f->worker->connections == 1);
    fixture_call(f, worker_drain);
    fixture_run_to_the_end(f);
    assert_int_equal(f->worker->connections, 0);
}

/* ---- limits ---- */

static void no_more_connections_begin_than_files_allow(void **state)
{
    struct fixture *f = *state;
    static const char message[] = "as many connections as open files allow";
    start(f, "");
    f->worker->connections_max = 2;
    struct peer *first = fixture_client(f);
    fixture_client(f);
    UNTIL(f, f->worker->connections == 2);
    struct peer *third = fixture_client(f);
    UNTIL(f, peer_is_up(third));
    fixture_let_happen(f);
    assert_int_equal(f->worker->connections, 2);
    assert_false(f->worker->accepting);
    assert_int_equal(fixture_log_count(f, message), 1);
    peer_reset(first);
    UNTIL(f, fixture_log_count(f, "info connection client=") == 1 &&
                 f->worker->connections == 2); /* the third has its turn */
    assert_false(f->worker->accepting);
    assert_int_equal(fixture_log_count(f, message), 1);
    peer_reset(third);
    UNTIL(f, f->worker->connections == 1 && f->worker->accepting);
}

static void half_of_the_room_is_kept_for_tcp(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    f->worker->connections_max = 4;
    assert_true(worker_has_room_for_udp(f->worker));
    connected(f);
    assert_true(worker_has_room_for_udp(f->worker));
    connected(f);
    assert_false(worker_has_room_for_udp(f->worker));
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    assert_int_equal(f->served_count, 2);
}

static void the_limit_follows_from_the_files_the_system_allows(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    start(f, "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
    assert_in_range(f->worker->connections_max, 4, limit.rlim_max / 2);
}

/* ---- starting and ending ---- */

/* The last test: a hard limit is for good. */
static void a_worker_without_descriptors_is_not_made(void **state)
{
    struct fixture *f = *state;
    if (fixture_under_valgrind())
        skip();
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    int lowest = dup(f->log_fd[0]);
    close(lowest);
    struct rlimit one = {.rlim_cur = (rlim_t)lowest + 1, .rlim_max = (rlim_t)lowest + 1};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
    assert_null(worker_create(f->config, &f->log));
    assert_int_equal(fixture_log_count(f, " error "), 1);
    assert_true(fixture_logged(f, "raise ulimit -n"));
}

static void everything_under_way_ends_with_the_worker(void **state)
{
    struct fixture *f = *state;
    start(f, "--sniff-timeout 0.001");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = connected(f);
    struct peer *silent = fixture_client(f);
    UNTIL(f, f->worker->connections == 3 && f->served_count == 3); /* the last one on trial */
    ev_timer_stop(f->loop, &f->beat);
    ev_io_stop(f->loop, &f->server_io);
    for (struct peer *p = f->peers; p != NULL; p = p->next)
        peer_deafen(p);
    ev_io_stop(f->loop, &wire.udp->io);
    worker_destroy(f->worker);
    f->worker = NULL;
    assert_true(peer_was_reset(server));
    assert_true(peer_was_reset(client));
    assert_true(peer_was_reset(silent));
    assert_int_equal(fixture_log_count(f, "connections are cut off by shutting down"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(an_idle_worker_ends_at_once),
        FIXTURE_CASE(draining_lets_connections_finish_and_takes_no_new_ones),
        FIXTURE_CASE(a_second_drain_ends_at_once),
        FIXTURE_CASE(a_drain_timeout_of_0_does_not_wait),
        FIXTURE_CASE(the_drain_timeout_ends_the_wait),
        FIXTURE_CASE(pending_sessions_are_joined_while_draining),
        FIXTURE_CASE(new_sessions_are_refused_while_draining),
        FIXTURE_CASE(pending_sessions_are_awaited_for_a_while_only),
        FIXTURE_CASE(a_silent_client_does_not_outlive_the_drain),
        FIXTURE_CASE(no_more_connections_begin_than_files_allow),
        FIXTURE_CASE(half_of_the_room_is_kept_for_tcp),
        FIXTURE_CASE(the_limit_follows_from_the_files_the_system_allows),
        FIXTURE_CASE(everything_under_way_ends_with_the_worker),
        FIXTURE_CASE(a_worker_without_descriptors_is_not_made),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
