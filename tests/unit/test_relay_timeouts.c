/* How long a connection may go without a byte, an end, an answer. */
#include "tests/unit/support/wire_client.h"

#include "proxy/relay_parts.h"

enum { LONG_AGO_S = 1800, MUCH_BYTES = 8 << 20 };

static struct wire_client wire;

/* Seconds: a limit that a few exchanges keep. */
static double soon(void)
{
    return fixture_under_valgrind() ? 1. : 0.3;
}

/* Without limits; a test sets those it wants. */
static void start(struct fixture *f, const char *kind)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen %s:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", kind, f->server_port);
    struct config_listener *settings = fixture_settings(f, 0);
    settings->idle_timeout_s = settings->half_closed_timeout_s = settings->handshake_timeout_s = 0;
}

static struct peer *connected(struct fixture *f)
{
    size_t before = f->served_count;
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, before);
    UNTIL(f, peer_heard(server, "PING"));
    return client;
}

/* More than that. */
static void pass_time(struct fixture *f)
{
    turbo_time later = f->worker->now + (turbo_time)(1.3 * soon() * (double)TURBO_SECOND);
    UNTIL(f, f->worker->now > later);
}

static bool were_reset(struct fixture *f, struct peer *client, size_t server)
{
    return peer_was_reset(client) && peer_was_reset(f->served[server]) &&
           f->worker->connections == 0;
}

static turbo_time long_ago(const struct fixture *f)
{
    return f->worker->now - LONG_AGO_S * TURBO_SECOND;
}

/* ---- idle ---- */

static void silence_at_both_ends_is_cut(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    fixture_settings(f, 0)->idle_timeout_s = soon();
    struct peer *client = connected(f);
    UNTIL(f, were_reset(f, client, 0));
    assert_true(fixture_logged(f, "outcome=opaque reason=idle"));
    assert_int_equal(fixture_log_count(f, "info connection client="), 1);
}

static void bytes_of_either_end_postpone_it(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    fixture_settings(f, 0)->idle_timeout_s = soon();
    struct peer *client = connected(f);
    const turbo_time limit = (turbo_time)(soon() * (double)TURBO_SECOND);
    turbo_time last = f->worker->now, end = last + limit * 13 / 10, longest = 0;
    for (bool server = false; f->worker->now < end; server = !server) {
        peer_say(server ? f->served[0] : client, ".");
        fixture_begin_wait(f);
        fixture_turn(f, "time passes", __FILE__, __LINE__);
        longest = f->worker->now - last > longest ? f->worker->now - last : longest;
        last = f->worker->now;
    }
    if (longest < limit / 4) /* else the machine has stalled, and said nothing either */
        assert_int_equal(f->worker->connections, 1);
    UNTIL(f, were_reset(f, client, 0));
}

static void what_a_slow_reader_takes_postpones_it(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    struct peer *client = connected(f);
    struct relay *relay = f->worker->relays;
    static uint8_t much[MUCH_BYTES];
    peer_deafen(client);
    peer_send(f->served[0], much, sizeof(much));
    UNTIL(f, relay_is_holding(relay, FAR));
    peer_finish(f->served[0]);
    fixture_let_happen(f);
    relay->flows[FAR].ended = true; /* nothing more is read: only what is held moves */
    turbo_time before = f->worker->now;
    relay->active_at = long_ago(f);
    peer_hear(client);
    UNTIL(f, !relay_is_holding(relay, FAR));
    assert_true(relay->active_at >= before);
}

static void without_limits_no_timer_runs(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    struct peer *client = connected(f);
    assert_false(ev_is_active(&f->worker->look_timer));
    peer_finish(client);
    UNTIL(f, f->served[0]->ended);
    assert_false(ev_is_active(&f->worker->look_timer));
}

/* ---- half-closed ---- */

static void who_has_said_all_waits_for_a_while_only(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    fixture_settings(f, 0)->half_closed_timeout_s = soon();
    struct peer *client = connected(f), *other = connected(f);
    peer_finish(client);
    UNTIL(f, f->served[0]->ended);
    UNTIL(f, peer_was_reset(client) && peer_was_reset(f->served[0]));
    assert_int_equal(f->worker->connections, 1); /* the other one is whole */
    peer_finish(f->served[1]);
    UNTIL(f, other->ended && were_reset(f, other, 1));
    assert_int_equal(fixture_log_count(f, "reason=idle"), 2);
}

static void the_wait_begins_with_the_end(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    fixture_settings(f, 0)->half_closed_timeout_s = LONG_AGO_S / 2;
    struct peer *client = connected(f);
    struct relay *relay = f->worker->relays;
    turbo_time before = f->worker->now;
    relay->active_at = long_ago(f);
    peer_finish(client);
    UNTIL(f, f->served[0]->ended);
    assert_true(relay->active_at >= before);
    assert_int_equal(f->worker->connections, 1);
    ev_feed_event(f->loop, &f->worker->look_timer, EV_TIMER); /* a look that was due */
    fixture_let_happen(f);
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
}

/* The idle limit is the longer one: it is looked at before that is over. */
static void the_shorter_limit_is_noticed(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    fixture_settings(f, 0)->idle_timeout_s = LONG_AGO_S;
    fixture_settings(f, 0)->half_closed_timeout_s = soon();
    struct peer *client = connected(f);
    pass_time(f); /* some looks */
    assert_int_equal(f->worker->connections, 1);
    peer_finish(client);
    UNTIL(f, were_reset(f, client, 0));
}

/* ---- the handshake ---- */

static void a_server_that_does_not_answer_is_cut(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->handshake_timeout_s = soon();
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    UNTIL(f, were_reset(f, client, 0));
    assert_true(fixture_logged(f, "outcome=failed reason=handshake-timeout"));
}

static void so_is_a_client_that_does_not(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->handshake_timeout_s = soon();
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    peer_say(client, "early data"); /* is no answer */
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, were_reset(f, client, 0));
    assert_true(fixture_logged(f, "outcome=failed reason=handshake-timeout"));
}

static void behind_the_answer_there_is_no_such_limit(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->handshake_timeout_s = soon();
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, f->served[0], "answer"));
    pass_time(f);
    assert_int_equal(f->worker->connections, 1);
}

static void nor_for_what_is_no_tls(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->handshake_timeout_s = soon();
    connected(f);
    pass_time(f);
    assert_int_equal(f->worker->connections, 1);
}

/* ---- sessions that began on UDP ---- */

static void a_session_that_nobody_joins_is_idle_as_well(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->idle_timeout_s = soon();
    struct peer *server = wire_client_begin(&wire, f);
    UNTIL(f, peer_was_reset(server) && f->worker->connections == 0);
    assert_true(fixture_logged(f, "reason=idle"));
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    UNTIL(f, peer_was_reset(client));
}

static void its_handshake_has_its_time_too(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->handshake_timeout_s = soon();
    struct peer *server = wire_client_begin(&wire, f);
    UNTIL(f, peer_was_reset(server) && f->worker->connections == 0);
    assert_true(fixture_logged(f, "reason=handshake-timeout"));
}

/* What the server has said before it was lost waits for TCP, for as long as the session does. */
static void one_whose_server_is_lost_has_its_own_time(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->idle_timeout_s = soon();
    fixture_settings(f, 0)->handshake_timeout_s = soon();
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    peer_reset(server);
    UNTIL(f, f->worker->relays == NULL || f->worker->relays->doom != NULL);
    assert_non_null(f->worker->relays);
    pass_time(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_was_reset(client) && f->worker->connections == 0);
    assert_true(peer_heard(client, "flight"));
}

/* ---- another configuration ---- */

static void the_times_are_those_it_began_under(void **state)
{
    struct fixture *f = *state;
    start(f, "tcp");
    struct peer *first = connected(f);
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    fixture_settings(f, 0)->idle_timeout_s = soon();
    fixture_settings(f, 0)->half_closed_timeout_s = soon();
    assert_true(worker_reconfigure(f->worker, f->config));
    struct peer *second = connected(f);
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    assert_true(worker_reconfigure(f->worker, f->config));
    UNTIL(f, peer_was_reset(second) && peer_was_reset(f->served[1]));
    peer_finish(first);
    UNTIL(f, f->served[0]->ended);
    pass_time(f);
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(first, "PONG"));
}

static void so_is_the_time_for_a_repetition(void **state)
{
    struct fixture *f = *state;
    start(f, "turbo");
    fixture_settings(f, 0)->opening_timeout_s = soon();
    wire_client_begin(&wire, f);
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    assert_true(worker_reconfigure(f->worker, f->config));
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1); /* and not the ClientHello */
    UNTIL(f, were_reset(f, client, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(silence_at_both_ends_is_cut),
        FIXTURE_CASE(bytes_of_either_end_postpone_it),
        FIXTURE_CASE(what_a_slow_reader_takes_postpones_it),
        FIXTURE_CASE(without_limits_no_timer_runs),
        FIXTURE_CASE(who_has_said_all_waits_for_a_while_only),
        FIXTURE_CASE(the_wait_begins_with_the_end),
        FIXTURE_CASE(the_shorter_limit_is_noticed),
        FIXTURE_CASE(a_server_that_does_not_answer_is_cut),
        FIXTURE_CASE(so_is_a_client_that_does_not),
        FIXTURE_CASE(behind_the_answer_there_is_no_such_limit),
        FIXTURE_CASE(nor_for_what_is_no_tls),
        FIXTURE_CASE(a_session_that_nobody_joins_is_idle_as_well),
        FIXTURE_CASE(its_handshake_has_its_time_too),
        FIXTURE_CASE(one_whose_server_is_lost_has_its_own_time),
        FIXTURE_CASE(the_times_are_those_it_began_under),
        FIXTURE_CASE(so_is_the_time_for_a_repetition),
    };
    return cmocka_run_group_tests_name("relay timeouts", tests, NULL, NULL);
}
