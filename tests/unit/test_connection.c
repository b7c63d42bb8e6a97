/* What is kept of a connection: its place, its counts, its record; each is counted once. */
#include "tests/unit/support/wire_client.h"

#include "proxy/arrival.h"
#include "proxy/connection.h"
#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "proxy/upstream.h"

static struct wire_client wire;

#define UPSTREAMS                                                                                  \
    "upstream { name: 'u' server { address: '127.0.0.1:%u' } } "                                   \
    "upstream { name: 'v' server { address: '127.0.0.1:%u' } proxy_protocol: V1 }"

static void start(struct fixture *f, const char *listener)
{
    wire_client_init(&wire, 1);
    fixture_configure(f, "listener { name: 'l' address: '127.0.0.1:0' %s } " UPSTREAMS, listener,
                      f->server_port, f->server_port);
    fixture_serve(f);
}

static const struct route_stats *counted(const struct fixture *f, const char *route)
{
    const struct route_stats *r = stats_first(f->worker->stats);
    while (r != NULL && strcmp(r->route, route) != 0)
        r = r->next;
    assert_non_null(r);
    return r;
}

static uint64_t ended(const struct route_stats *r)
{
    uint64_t sum = 0;
    for (int outcome = 0; outcome < TURBO_OUTCOME_COUNT; outcome++)
        for (int reason = 0; reason < TURBO_REASON_COUNT; reason++)
            sum += r->connections[outcome][reason];
    return sum;
}

/* Nothing is under way; `lines` connections have ended, each with its line. */
static void assert_all_counted(struct fixture *f, uint64_t lines)
{
    uint64_t active = 0, sum = 0;
    UNTIL(f, f->worker->connections == 0);
    for (const struct route_stats *r = stats_first(f->worker->stats); r != NULL; r = r->next) {
        active += r->active;
        sum += ended(r);
    }
    assert_int_equal(active, 0);
    assert_int_equal(sum, lines);
    assert_int_equal(fixture_log_count(f, "info connection client="), lines);
    assert_int_equal(listener_connections(f->worker->listeners[0]), 0);
    assert_int_equal(f->worker->arrival_count, 0);
    assert_int_equal(f->worker->generation->references, 1 + f->worker->listener_count);
    for (size_t i = 0; i < f->config->upstream_count; i++) {
        assert_int_equal(f->worker->generation->upstreams[i]->references, 1);
        assert_int_equal(f->worker->generation->upstreams[i]->pending, 0);
    }
}

/* ---- each way is counted once ---- */

static void a_plain_connection_is_counted_once(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP route { upstream: 'u' }");
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    assert_int_equal(counted(f, "u")->active, 1);
    assert_int_equal(counted(f, "")->active, 0);
    peer_reset(client);
    assert_all_counted(f, 1);
    assert_int_equal(counted(f, "u")->bytes_c2s, 4);
}

static void a_classic_one_too(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' }");
    struct peer *client = fixture_client(f);
    UNTIL(f, counted(f, "")->active == 1);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    assert_int_equal(counted(f, "")->active, 0);
    assert_int_equal(counted(f, "u")->active, 1);
    peer_reset(client);
    assert_all_counted(f, 1);
    assert_int_equal(
        counted(f, "u")->connections[TURBO_OUTCOME_CLASSIC][TURBO_REASON_CLIENT_CLASSIC], 1);
}

static void a_session_that_is_joined_is_one_connection(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' }");
    struct peer *server = wire_client_begin(&wire, f);
    assert_int_equal(counted(f, "u")->active, 1);
    assert_int_equal(fixture_upstream(f)->pending, 1);
    struct peer *client = wire_client_join(&wire, f, fixture_port(f, 0));
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    assert_int_equal(fixture_upstream(f)->pending, 0);
    peer_reset(client);
    assert_all_counted(f, 1);
    assert_int_equal(counted(f, "u")->connections[TURBO_OUTCOME_TURBO][TURBO_REASON_NONE], 1);
    assert_int_equal(counted(f, "u")->round_trips_saved, 1);
}

static void one_that_is_adopted_too(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' }");
    wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_heard(client, "flight"));
    peer_reset(client);
    assert_all_counted(f, 1);
}

static void one_that_is_aborted_too(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' }");
    struct peer *server = wire_client_begin(&wire, f);
    wire_client_request(&wire, TURBO_FLAG_ABORT, 9, NULL, 0);
    UNTIL(f, peer_was_reset(server));
    assert_all_counted(f, 1);
}

static void one_that_is_refused_has_its_record_by_tcp(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' }");
    fixture_upstream(f)->pending = TURBO_PENDING_DEFAULT;
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    fixture_upstream(f)->pending = 0;
    assert_all_counted(f, 0);
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    peer_reset(client);
    assert_all_counted(f, 1);
}

static void a_fresh_start_is_one_connection(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' }");
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    peer_reset(client);
    assert_all_counted(f, 1);
}

static void those_that_come_to_nothing_are_counted_where_they_came(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' } opening_timeout_seconds: 0.3 ");
    struct peer *unknown = fixture_client(f), *ends = fixture_client(f);
    wire_client_tombstone(&wire, unknown, 3);
    peer_finish(ends);
    struct peer *silent = fixture_client(f), *goes = fixture_client(f);
    peer_reset(goes);
    UNTIL(f, peer_was_reset(unknown) && ends->ended && peer_was_reset(silent));
    assert_all_counted(f, 4);
    const struct route_stats *r = counted(f, "");
    assert_int_equal(ended(r), 4);
    assert_int_equal(r->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_UNKNOWN_SESSION], 1);
    assert_int_equal(r->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_CLIENT_SILENT], 1);
    assert_int_equal(r->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_OPENING_TIMEOUT], 1);
}

static void those_that_may_not_come_too(void **state)
{
    struct fixture *f = *state;
    start(f, "route { upstream: 'u' server_name: 'a.example.org' } "
             "access_rule { action: DENY network: '127.0.0.2' }");
    struct peer *denied = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    struct peer *lost = fixture_client(f), *late = fixture_client(f);
    wire_client_hello(&wire, lost);
    UNTIL(f, peer_was_reset(denied) && peer_was_reset(lost) && f->worker->connections == 1);
    arrival_abort(f->worker->arrivals);
    UNTIL(f, peer_was_reset(late));
    assert_all_counted(f, 3);
    const struct route_stats *r = counted(f, "");
    assert_int_equal(r->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_DENIED], 1);
    assert_int_equal(r->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_NO_ROUTE], 1);
}

static void one_on_trial_moves_with_its_hello(void **state)
{
    struct fixture *f = *state;
    start(f, "sniff_timeout_seconds: 0.001 route { upstream: 'v' server_name: '*.example.org' } "
             "route { upstream: 'u' }");
    struct peer *client = fixture_client(f);
    fixture_server(f, 0);
    assert_int_equal(counted(f, "u")->active, 1);
    wire_client_hello(&wire, client);
    fixture_server(f, 1);
    assert_int_equal(counted(f, "u")->active, 0);
    assert_int_equal(counted(f, "v")->active, 1);
    peer_reset(client);
    assert_all_counted(f, 1);
    assert_int_equal(ended(counted(f, "v")), 1);
}

static void one_whose_server_cannot_be_reached_is_counted(void **state)
{
    struct fixture *f = *state;
    uint16_t port = fixture_free_port();
    wire_client_init(&wire, 1);
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' route { upstream: 'u' } } "
                      "upstream { name: 'u' server { address: '127.0.0.1:%u' } }",
                      port);
    fixture_serve(f);
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, peer_was_reset(client) && wire_client_was_refused(&wire));
    assert_all_counted(f, 2);
    assert_int_equal(
        counted(f, "u")->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_UPSTREAM_UNREACHED], 2);
}

/* ---- by itself ---- */

static void begin(struct fixture *f, struct connection *c, const char *client)
{
    struct address address;
    static struct connection_asked asked;
    assert_true(address_from_literal(&address, client, 1000));
    connection_begin(c, &asked, f->worker->listeners[0], &address,
                     listener_address(f->worker->listeners[0]), f->worker->now);
}

static void it_is_held_and_let_go(void **state)
{
    struct fixture *f = *state;
    struct connection c;
    start(f, "route { upstream: 'u' source: '192.0.2.0/24' } route { upstream: 'v' }");
    begin(f, &c, "192.0.2.1");
    assert_int_equal(f->worker->generation->references, 3);
    assert_int_equal(counted(f, "")->active, 1);
    assert_int_equal(connection_place(&c, NULL), TURBO_REASON_NONE);
    assert_string_equal(connection_upstream(&c)->settings->name, "u");
    assert_int_equal(connection_place(&c, NULL), TURBO_REASON_NONE); /* the same again */
    assert_int_equal(counted(f, "u")->active, 1);
    struct address other;
    assert_true(address_from_literal(&other, "198.51.100.1", 1));
    connection_vouched(&c, &other, listener_address(f->worker->listeners[0]));
    assert_int_equal(connection_place(&c, NULL), TURBO_REASON_NONE); /* elsewhere now */
    assert_string_equal(connection_upstream(&c)->settings->name, "v");
    assert_int_equal(counted(f, "u")->active, 0);
    assert_int_equal(counted(f, "v")->active, 1);
    connection_dismiss(&c);
    assert_all_counted(f, 0);
}

static void a_vouched_address_is_told_or_decides(void **state)
{
    struct fixture *f = *state;
    struct connection c;
    start(f, "route { upstream: 'u' source: '192.0.2.0/24' } route { upstream: 'v' }");
    begin(f, &c, "192.0.2.1");
    connection_place(&c, NULL);
    assert_true(connection_is_vouched(&c)); /* a route by source */
    connection_dismiss(&c);
    fixture_reconfigure(
        f,
        "listener { name: 'l' address: '127.0.0.1:0' route { upstream: 'u' } } "
        "listener { protocol: TCP address: '127.0.0.2:0' route { upstream: 'v' } } " UPSTREAMS,
        f->server_port, f->server_port);
    begin(f, &c, "192.0.2.1");
    connection_place(&c, NULL);
    assert_false(connection_is_vouched(&c));
    connection_dismiss(&c);
    fixture_reconfigure(
        f, "listener { name: 'l' address: '127.0.0.1:0' route { upstream: 'v' } } " UPSTREAMS,
        f->server_port, f->server_port);
    begin(f, &c, "192.0.2.1");
    connection_place(&c, NULL);
    assert_true(connection_is_vouched(&c)); /* the server is told */
    connection_dismiss(&c);
}

static void its_configuration_outlives_the_next(void **state)
{
    struct fixture *f = *state;
    struct connection c;
    start(f, "route { upstream: 'u' name: 'before' }");
    begin(f, &c, "192.0.2.1");
    fixture_reconfigure(f,
                        "listener { name: 'other' address: '127.0.0.2:0' "
                        "route { upstream: 'v' name: 'after' } } " UPSTREAMS,
                        f->server_port, f->server_port);
    fixture_let_happen(f); /* the listener is only its */
    assert_int_equal(f->worker->leaving_count, 1);
    assert_int_equal(connection_place(&c, NULL), TURBO_REASON_NONE);
    assert_string_equal(c.route->name, "before");
    access_fail(&c.access, TURBO_REASON_CROWDED_OUT);
    connection_end(&c, NULL);
    assert_true(fixture_logged(f, "route=before upstream=u"));
    fixture_let_happen(f);
    assert_int_equal(f->worker->leaving_count, 0);
}

static void the_server_is_told_the_client(void **state)
{
    struct fixture *f = *state;
    char header[128];
    start(f, "route { upstream: 'v' } proxy_protocol_from: '127.0.0.2'");
    struct peer *client = fixture_connect_from(f, "127.0.0.2", fixture_port(f, 0));
    peer_say(client, "PROXY TCP4 198.51.100.7 203.0.113.1 1000 443\r\nPING");
    UNTIL(f,
          peer_heard(fixture_server(f, 0), "PROXY TCP4 198.51.100.7 203.0.113.1 1000 443\r\nPING"));
    client = fixture_connect_from(f, "127.0.0.3", fixture_port(f, 0));
    peer_say(client, "PONG");
    struct peer *server = fixture_server(f, 1);
    UNTIL(f, server->length > 4 && memcmp(server->received + server->length - 4, "PONG", 4) == 0);
    (void)snprintf(header, sizeof(header), " %u\r\nPONG", (unsigned)fixture_port(f, 0));
    assert_memory_equal(server->received, "PROXY TCP4 127.0.0.3 127.0.0.1 ", 31);
    assert_memory_equal(server->received + server->length - strlen(header), header, strlen(header));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_plain_connection_is_counted_once),
        FIXTURE_CASE(a_classic_one_too),
        FIXTURE_CASE(a_session_that_is_joined_is_one_connection),
        FIXTURE_CASE(one_that_is_adopted_too),
        FIXTURE_CASE(one_that_is_aborted_too),
        FIXTURE_CASE(one_that_is_refused_has_its_record_by_tcp),
        FIXTURE_CASE(a_fresh_start_is_one_connection),
        FIXTURE_CASE(those_that_come_to_nothing_are_counted_where_they_came),
        FIXTURE_CASE(those_that_may_not_come_too),
        FIXTURE_CASE(one_on_trial_moves_with_its_hello),
        FIXTURE_CASE(one_whose_server_cannot_be_reached_is_counted),
        FIXTURE_CASE(it_is_held_and_let_go),
        FIXTURE_CASE(a_vouched_address_is_told_or_decides),
        FIXTURE_CASE(its_configuration_outlives_the_next),
        FIXTURE_CASE(the_server_is_told_the_client),
    };
    return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
