/* Where a connection goes by what its ClientHello asks for, on TCP listeners and by UDP. */
#include "tests/unit/support/wire_client.h"

#include <unistd.h>

#include "tunnel/net/socket.h"

#define UPSTREAMS                                                                                  \
    "upstream { name: 'first' server { address: '127.0.0.1:%u' } } "                               \
    "upstream { name: 'second' server { address: '127.0.0.1:%u' } }"

static struct hello hello;
static struct wire_client wire; /* it asks for www.example.org */
static int second = -1;

static int close_second(void **state)
{
    socket_close(second);
    second = -1;
    return fixture_close(state);
}

#define ROUTES_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, close_second)

static void start(struct fixture *f, const char *listener)
{
    uint16_t port;
    second = fixture_other_server(&port);
    wire_client_init(&wire, 1);
    fixture_configure(f, "listener { address: '127.0.0.1:0' %s } " UPSTREAMS, listener,
                      f->server_port, port);
    fixture_serve(f);
}

#define BY_NAME                                                                                    \
    "protocol: TCP route { upstream: 'first' server_name: 'a.example.org' } "                      \
    "route { upstream: 'second' server_name: '*.example.org' } "

static void make(const char *server_name, const char *alpn)
{
    hello_make(&hello, &(struct hello_spec){.server_name = server_name, .alpn = alpn, .size = 700});
}

static struct peer *asking(struct fixture *f, const char *server_name, const char *alpn)
{
    struct peer *client = fixture_client(f);
    make(server_name, alpn);
    peer_send(client, hello.bytes, hello.length);
    return client;
}

static void assert_came(struct fixture *f, const struct peer *server)
{
    UNTIL(f, server->length == hello.length);
    assert_memory_equal(server->received, hello.bytes, hello.length);
}

static bool nothing_is_left(struct fixture *f)
{
    return f->worker->connections == 0 && f->worker->arrivals == NULL;
}

static void assert_turned_away(struct fixture *f, struct peer *client, const char *words)
{
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
    assert_int_equal(fixture_log_count(f, "info connection client="), 1);
    assert_true(fixture_logged(f, words));
}

/* ---- by name ---- */

static void a_name_has_its_server(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    struct peer *client = asking(f, "a.example.org", NULL);
    struct peer *server = fixture_server(f, 0);
    assert_came(f, server);
    peer_say(server, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "route=first upstream=first"));
    asking(f, "B.Example.ORG.", NULL);
    assert_came(f, fixture_other_accepts(f, second));
}

static void the_hello_may_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    struct peer *client = fixture_client(f);
    make("b.example.org", NULL);
    UNTIL(f, peer_is_up(client));
    for (size_t i = 0; i < hello.length; i++, ev_run(f->loop, EVRUN_NOWAIT))
        peer_send(client, hello.bytes + i, 1);
    assert_came(f, fixture_other_accepts(f, second));
}

static void and_in_many_records(void **state)
{
    struct fixture *f = *state;
    static struct hello whole;
    start(f, BY_NAME);
    make("b.example.org", NULL);
    whole = hello;
    hello_split(&hello, &whole, 10);
    struct peer *client = fixture_client(f);
    peer_send(client, hello.bytes, hello.length);
    assert_came(f, fixture_other_accepts(f, second));
}

static void a_name_without_a_route_is_reset(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    assert_turned_away(f, asking(f, "example.net", NULL),
                       "server_name=example.net outcome=failed reason=no-route");
}

static void so_is_no_name(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    assert_turned_away(f, asking(f, NULL, NULL), "outcome=failed reason=no-route");
}

static void and_what_is_no_tls(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    assert_turned_away(f, client, "outcome=failed reason=no-route");
}

static void and_a_hello_that_is_too_large(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    hello_make(&hello, &(struct hello_spec){.server_name = "a.example.org",
                                            .size = TURBO_HELLO_MAX + 2000});
    struct peer *client = fixture_client(f);
    peer_send(client, hello.bytes, hello.length);
    assert_turned_away(f, client, "outcome=failed reason=no-route");
}

static void and_one_cut_short(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME);
    struct peer *client = fixture_client(f);
    make("a.example.org", NULL);
    peer_send(client, hello.bytes, 100);
    peer_finish(client);
    assert_turned_away(f, client, "outcome=failed reason=no-route");
}

static void one_that_does_not_come_takes_too_long(void **state)
{
    struct fixture *f = *state;
    start(f, BY_NAME "opening_timeout_seconds: 0.02");
    struct peer *client = fixture_client(f);
    make("a.example.org", NULL);
    peer_send(client, hello.bytes, 100);
    assert_turned_away(f, client, "outcome=failed reason=opening-timeout");
}

/* ---- by other things ---- */

static void a_protocol_has_its_server(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP route { upstream: 'first' alpn: 'h2' } route { upstream: 'second' }");
    asking(f, "a.example.org", "http/1.1,h2");
    assert_came(f, fixture_server(f, 0));
    asking(f, "a.example.org", "http/1.1");
    assert_came(f, fixture_other_accepts(f, second));
    peer_say(fixture_client(f), "PING"); /* no TLS */
    struct peer *server = fixture_other_accepts(f, second);
    UNTIL(f, peer_heard(server, "PING"));
    assert_int_equal(f->served_count, 1);
}

static void a_source_has_its_server(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP route { upstream: 'first' source: '127.0.0.2' } "
             "route { upstream: 'second' }");
    struct peer *client = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    peer_say(fixture_client(f), "PONG");
    struct peer *server = fixture_other_accepts(f, second);
    UNTIL(f, peer_heard(server, "PONG"));
}

/* ---- by UDP ---- */

static void a_session_takes_its_route_too(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'first' server_name: 'a.example.org' } "
             "route { upstream: 'second' server_name: 'www.example.org' }");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_other_accepts(f, second);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    peer_say(server, "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "route=second upstream=second"));
}

static void one_without_a_route_is_refused_and_then_reset(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'first' server_name: 'a.example.org' }");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    assert_int_equal(fixture_log_count(f, "info connection client="), 0);
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    assert_turned_away(f, client, "reason=no-route");
}

/* ---- and the trial ---- */

#define ON_TRIAL                                                                                   \
    "sniff_timeout_seconds: 0.001 route { upstream: 'second' server_name: 'b.example.org' } "      \
    "route { upstream: 'first' } "

static void the_trial_goes_where_nothing_need_be_known(void **state)
{
    struct fixture *f = *state;
    start(f, ON_TRIAL);
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    make("a.example.org", NULL);
    peer_send(client, hello.bytes, hello.length);
    assert_came(f, server);
    assert_int_equal(f->served_count, 1);
}

static void it_is_dropped_where_the_hello_goes_elsewhere(void **state)
{
    struct fixture *f = *state;
    start(f, ON_TRIAL);
    struct peer *client = fixture_client(f);
    struct peer *trial = fixture_server(f, 0);
    make("b.example.org", NULL);
    peer_send(client, hello.bytes, hello.length);
    struct peer *server = fixture_other_accepts(f, second);
    assert_came(f, server);
    UNTIL(f, trial->ended || peer_was_reset(trial));
    assert_int_equal(trial->length, 0);
    peer_say(server, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "route=second upstream=second"));
}

static void there_is_none_where_it_takes_a_hello(void **state)
{
    struct fixture *f = *state;
    start(f, "sniff_timeout_seconds: 0.001 " BY_NAME);
    struct peer *client = fixture_client(f);
    UNTIL(f, f->worker->connections == 1);
    turbo_time later = f->worker->now + 10 * TURBO_MILLISECOND;
    UNTIL(f, f->worker->now > later);
    assert_int_equal(f->served_count, 0);
    make("a.example.org", NULL);
    peer_send(client, hello.bytes, hello.length);
    assert_came(f, fixture_server(f, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTES_CASE(a_name_has_its_server),
        ROUTES_CASE(the_hello_may_come_in_pieces),
        ROUTES_CASE(and_in_many_records),
        ROUTES_CASE(a_name_without_a_route_is_reset),
        ROUTES_CASE(so_is_no_name),
        ROUTES_CASE(and_what_is_no_tls),
        ROUTES_CASE(and_a_hello_that_is_too_large),
        ROUTES_CASE(and_one_cut_short),
        ROUTES_CASE(one_that_does_not_come_takes_too_long),
        ROUTES_CASE(a_protocol_has_its_server),
        ROUTES_CASE(a_source_has_its_server),
        ROUTES_CASE(a_session_takes_its_route_too),
        ROUTES_CASE(one_without_a_route_is_refused_and_then_reset),
        ROUTES_CASE(the_trial_goes_where_nothing_need_be_known),
        ROUTES_CASE(it_is_dropped_where_the_hello_goes_elsewhere),
        ROUTES_CASE(there_is_none_where_it_takes_a_hello),
    };
    return cmocka_run_group_tests_name("arrivals and routes", tests, NULL, NULL);
}
