/* How many, and who, may connect to a listener. */
#include "tests/unit/support/wire_client.h"

#include "proxy/listener.h"

static struct wire_client wire;

static void start(struct fixture *f, const char *more)
{
    wire_client_init(&wire, 1);
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' route { upstream: 'u' } %s } "
                      "upstream { name: 'u' server { address: '127.0.0.1:%u' } }",
                      more, f->server_port);
    fixture_serve(f);
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

static size_t connections(const struct fixture *f)
{
    return listener_connections(f->worker->listeners[0]);
}

/* ---- how many ---- */

static void no_more_than_the_limit_connect(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP max_connections: 2");
    struct peer *first = connected(f);
    connected(f);
    struct peer *third = fixture_client(f);
    UNTIL(f, peer_was_reset(third));
    assert_true(fixture_logged(f, "outcome=failed reason=listener-full"));
    assert_int_equal(connections(f), 2);
    assert_int_equal(f->worker->connections, 2);
    assert_false(listener_was_full(f->worker->listeners[0])); /* it never counted */
    assert_true(f->worker->accepting);                        /* others may still */
    peer_reset(first);
    UNTIL(f, connections(f) == 1);
    connected(f);
    assert_int_equal(f->served_count, 3);
}

static void whoever_has_said_nothing_counts(void **state)
{
    struct fixture *f = *state;
    start(f, "max_connections: 1");
    struct peer *silent = fixture_client(f);
    UNTIL(f, connections(f) == 1);
    struct peer *other = fixture_client(f);
    UNTIL(f, peer_was_reset(other));
    peer_reset(silent);
    UNTIL(f, connections(f) == 0);
    connected(f);
}

static void a_full_listener_refuses_sessions(void **state)
{
    struct fixture *f = *state;
    start(f, "max_connections: 1");
    struct peer *client = connected(f);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    assert_int_equal(f->served_count, 1);
    peer_reset(client);
    UNTIL(f, connections(f) == 0);
    assert_int_equal(f->worker->connections, 0);
}

/* Joining makes no connection more. */
static void a_session_that_filled_it_is_joined(void **state)
{
    struct fixture *f = *state;
    static struct wire_client other;
    start(f, "max_connections: 1");
    wire_client_init(&other, 2);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *classic = fixture_client(f), *opaque = fixture_client(f);
    wire_client_hello(&other, classic);
    peer_say(opaque, "PING");
    UNTIL(f, peer_was_reset(classic) && peer_was_reset(opaque));
    assert_int_equal(fixture_log_count(f, "reason=listener-full"), 2);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    assert_int_equal(f->served_count, 1);
    UNTIL(f, connections(f) == 1);
    struct peer *late = fixture_client(f); /* nothing is pending any more */
    UNTIL(f, peer_was_reset(late));
    peer_reset(client);
    UNTIL(f, connections(f) == 0);
}

static void it_may_be_adopted_too(void **state)
{
    struct fixture *f = *state;
    start(f, "max_connections: 1");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer") && peer_heard(client, "flight"));
    assert_int_equal(connections(f), 1);
}

/* ---- who ---- */

static void who_is_denied_reaches_nobody(void **state)
{
    struct fixture *f = *state;
    start(f, "access_rule { action: DENY network: '127.0.0.2' }");
    struct peer *client = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    UNTIL(f, peer_was_reset(client));
    assert_true(fixture_logged(f, "client=127.0.0.2:"));
    assert_true(fixture_logged(f, "outcome=failed reason=denied"));
    assert_int_equal(f->worker->connections, 0);
    wire_client_ask_from(&wire, f, "127.0.0.2", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    assert_int_equal(f->served_count, 0);
    assert_int_equal(fixture_log_count(f, "info connection client="), 1);
    connected(f);
}

static void the_first_rule_that_matches_decides(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP access_rule { action: ALLOW network: '127.0.0.2' } "
             "access_rule { action: DENY }");
    struct peer *denied = fixture_client(f);
    UNTIL(f, peer_was_reset(denied));
    struct peer *client = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
}

/* Where it depends on the address the session is that address's. */
static void a_session_under_rules_is_its_addresss(void **state)
{
    struct fixture *f = *state;
    start(f, "access_rule { action: DENY network: '127.0.0.9' }");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *elsewhere = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    wire_client_tombstone(&wire, elsewhere, 1);
    UNTIL(f, peer_was_reset(elsewhere));
    assert_true(fixture_logged(f, "reason=unknown-session"));
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
}

static void without_rules_it_is_anybodys(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(no_more_than_the_limit_connect),
        FIXTURE_CASE(whoever_has_said_nothing_counts),
        FIXTURE_CASE(a_full_listener_refuses_sessions),
        FIXTURE_CASE(a_session_that_filled_it_is_joined),
        FIXTURE_CASE(it_may_be_adopted_too),
        FIXTURE_CASE(who_is_denied_reaches_nobody),
        FIXTURE_CASE(the_first_rule_that_matches_decides),
        FIXTURE_CASE(a_session_under_rules_is_its_addresss),
        FIXTURE_CASE(without_rules_it_is_anybodys),
    };
    return cmocka_run_group_tests_name("listener limits", tests, NULL, NULL);
}
