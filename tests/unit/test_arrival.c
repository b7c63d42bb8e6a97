/* What a TCP connection to a turbo listener begins with, and what becomes of it (protocol §5). */
#include "tests/unit/support/wire_client.h"

#include "proxy/arrival.h"
#include "proxy/listener.h"

enum { SILENT_CLIENTS = 24 };

static struct wire_client wire;

static void start_edge(struct fixture *f)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
}

/* The edge connects before the client has spoken. */
static void start_sniffing_edge(struct fixture *f)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u --sniff-timeout 0.001",
                  f->server_port);
}

static bool nothing_is_left(struct fixture *f)
{
    return f->worker->connections == 0 && f->worker->arrivals == NULL && f->worker->relays == NULL;
}

/* ---- without a session ---- */

static void a_client_hello_is_passed_on_as_it_is(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    peer_say(client, "early data");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, wire_client_passed(&wire, server, "early data"));
    peer_say(server, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "server_name=www.example.org outcome=classic "
                                  "reason=client-classic"));
}

static void it_may_come_a_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    for (size_t i = 0; i < wire.hello.length; i++) {
        assert_int_equal(f->served_count, 0);
        peer_send(client, wire.hello.bytes + i, 1);
        ev_run(f->loop, EVRUN_NOWAIT);
    }
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
}

static void one_too_long_for_an_id_is_classic(void **state)
{
    struct fixture *f = *state;
    static struct hello hello;
    hello_make(&hello, &(struct hello_spec){.size = TURBO_HELLO_MAX + 1000});
    start_edge(f);
    struct peer *client = fixture_client(f);
    peer_send(client, hello.bytes, hello.length);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->length == hello.length);
    assert_true(peer_heard_bytes(server, hello.bytes, hello.length));
}

static void other_words_pass_at_once(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    peer_say(client, "p");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "p"));
    peer_say(client, "ing");
    peer_say(server, "pong");
    UNTIL(f, peer_heard(server, "ping") && peer_heard(client, "pong"));
    peer_reset(client);
    UNTIL(f, peer_was_reset(server) && nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=opaque reason=not-tls"));
}

static void what_could_be_a_proxy_header_waits_until_it_is_none(void **state)
{
    static const char *const words[] = {"PROX", "\r\n\r"};
    static const char *const wholes[] = {"PROXIMITY", "\r\n\rIMITY"};
    struct fixture *f = *state;
    start_edge(f);
    for (size_t i = 0; i < COUNT(words); i++) {
        struct peer *client = fixture_client(f);
        peer_say(client, words[i]);
        UNTIL(f, f->worker->connections == 1);
        fixture_let_happen(f);
        assert_int_equal(f->served_count, i);
        peer_say(client, "IMITY");
        struct peer *server = fixture_server(f, i);
        UNTIL(f, peer_heard(server, wholes[i]));
        peer_reset(client);
        UNTIL(f, peer_was_reset(server) && nothing_is_left(f));
    }
}

static void a_proxy_header_of_who_may_not_send_one_is_reset(void **state)
{
    static const char v1[] = "PROXY UNKNOWN\r\n", v2[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    static const struct {
        const char *bytes;
        size_t length;
    } headers[] = {{v1, sizeof(v1) - 1}, {v2, sizeof(v2) - 1}, {"PROXYX", 6}};
    struct fixture *f = *state;
    start_edge(f);
    for (size_t i = 0; i < COUNT(headers); i++) {
        size_t first = headers[i].length / 2;
        struct peer *client = fixture_client(f);
        peer_send(client, headers[i].bytes, first);
        UNTIL(f, f->worker->connections == 1);
        fixture_let_happen(f);
        peer_send(client, headers[i].bytes + first, headers[i].length - first);
        UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    }
    assert_int_equal(f->served_count, 0);
    assert_true(fixture_logged(f, "outcome=failed reason=proxy-header"));
}

static void an_end_before_a_word_closes(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    UNTIL(f, f->worker->connections == 1);
    peer_finish(client);
    UNTIL(f, client->ended && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
    assert_true(fixture_logged(f, "outcome=failed reason=client-silent"));
}

static void an_end_within_the_hello_passes_what_came(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    peer_send(client, wire.hello.bytes, 100);
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(peer_heard_bytes(server, wire.hello.bytes, 100));
}

static void a_reset_before_the_opening_is_clear_connects_nowhere(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    peer_send(client, wire.hello.bytes, 100);
    UNTIL(f, f->worker->connections == 1);
    fixture_let_happen(f);
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
}

static void an_opening_that_does_not_come_is_reset(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    fixture_settings(f, 0)->opening_timeout_s = 0.01;
    struct peer *silent = fixture_client(f), *slow = fixture_client(f);
    peer_send(slow, wire.hello.bytes, 100);
    UNTIL(f, peer_was_reset(silent) && peer_was_reset(slow) && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
}

static void the_oldest_silent_clients_make_room_for_others(void **state)
{
    struct fixture *f = *state;
    struct peer *clients[6];
    start_edge(f);
    f->worker->arrivals_max = 4;
    for (int i = 0; i < 5; i++)
        clients[i] = fixture_client(f);
    UNTIL(f, f->worker->connections == 5); /* they may still say something */
    turbo_time later = f->worker->now + 260 * TURBO_MILLISECOND;
    UNTIL(f, f->worker->now > later);
    clients[5] = fixture_client(f);
    UNTIL(f, peer_was_reset(clients[0]));
    assert_int_equal(f->worker->connections, 5);
    assert_int_equal(fixture_log_count(f, "reason=crowded-out"), 1);
    peer_send(clients[5], wire.hello.bytes, wire.hello.length);
    UNTIL(f, f->served_count == 1);
    peer_reset(clients[5]);
    peer_reset(clients[4]);
    UNTIL(f, f->worker->connections == 3);
}

static void where_silent_clients_have_taken_all_room_they_give_it_back(void **state)
{
    struct fixture *f = *state;
    struct peer *clients[6];
    start_edge(f);
    f->worker->connections_max = 5;
    f->worker->arrivals_max = 4;
    for (int i = 0; i < 6; i++)
        clients[i] = fixture_client(f);
    UNTIL(f, !f->worker->accepting);
    /* The first makes room for the sixth, and the second follows. */
    UNTIL(f, peer_was_reset(clients[0]) && peer_was_reset(clients[1]));
    UNTIL(f, f->worker->connections == 4 && f->worker->accepting);
}

static void silent_clients_end_with_the_worker(void **state)
{
    struct fixture *f = *state;
    struct peer *clients[SILENT_CLIENTS];
    start_edge(f);
    for (int i = 0; i < SILENT_CLIENTS; i++)
        clients[i] = fixture_client(f);
    UNTIL(f, f->worker->connections == SILENT_CLIENTS);
    arrival_abort(f->worker->arrivals); /* the last one */
    UNTIL(f, peer_was_reset(clients[SILENT_CLIENTS - 1]));
    peer_reset(clients[3]); /* one in the midst of the list */
    UNTIL(f, f->worker->connections == SILENT_CLIENTS - 2);
    assert_int_equal(f->served_count, 0);
}

/* ---- tombstones ---- */

static void a_tombstone_for_nothing_we_know_is_reset(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 3);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
    assert_true(fixture_logged(f, "reason=unknown-session"));
}

static void one_behind_which_nothing_was_consumed_starts_afresh(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 0);
    fixture_let_happen(f);
    assert_int_equal(f->served_count, 0);
    wire_client_hello(&wire, client);
    peer_say(client, " and more");
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), " and more"));
}

/* A reload has dropped its listener, which has had no sessions left, before it says anything. */
static void at_a_dropped_listener_it_is_as_where_no_session_is_known(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *late = fixture_client(f), *fresh = fixture_client(f), *classic = fixture_client(f);
    UNTIL(f, f->worker->arrival_count == 3);
    const struct listener *listener = f->worker->listeners[0];
    fixture_reconfigure(f,
                        "listener { protocol: TCP address: '127.0.0.2:0' route { upstream: 'u' } } "
                        "upstream { name: 'u' server { address: '127.0.0.1:%u' } }",
                        f->server_port);
    UNTIL(f, listener_udp(listener) == NULL);
    wire_client_tombstone(&wire, late, 3);
    UNTIL(f, peer_was_reset(late));
    assert_true(fixture_logged(f, "reason=unknown-session"));
    wire_client_tombstone(&wire, fresh, 0);
    wire_client_hello(&wire, fresh);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    wire_client_hello(&wire, classic);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 1), ""));
    peer_reset(fresh);
    peer_reset(classic);
    UNTIL(f, f->worker->leaving_count == 0);
}

static void a_tombstone_joins_its_session(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    peer_say(server, "more");
    UNTIL(f, peer_heard(client, "more"));
    assert_int_equal(f->served_count, 1);
}

static void a_join_may_come_a_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    uint8_t opening[TURBO_TOMBSTONE_BYTES];
    turbo_tombstone_encode(&(struct turbo_tombstone){.id = wire.id, .replay = true}, opening);
    for (size_t i = 0; i < sizeof(opening); i++, ev_run(f->loop, EVRUN_NOWAIT))
        peer_send(client, opening + i, 1);
    for (size_t i = 0; i < wire.hello.length; i++, ev_run(f->loop, EVRUN_NOWAIT))
        peer_send(client, wire.hello.bytes + i, 1);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer") && peer_heard(client, "flight"));
}

static void an_identical_hello_adopts_the_session(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, peer_heard(client, "flight") && wire_client_passed(&wire, server, "answer"));
    assert_int_equal(f->served_count, 1);
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=classic reason=adopted"));
}

static void another_hello_has_a_connection_of_its_own(void **state)
{
    struct fixture *f = *state;
    static struct wire_client another;
    start_edge(f);
    wire_client_init(&another, 2);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    wire_client_hello(&another, client);
    UNTIL(f, wire_client_passed(&another, fixture_server(f, 1), ""));
    assert_true(wire_client_passed(&wire, server, ""));
}

static void what_only_looked_like_a_tombstone_passes_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TURBO_TOMBSTONE_BYTES];
    start_edge(f);
    memset(bytes, 0xff, sizeof(bytes));
    memcpy(bytes, wire.id.bytes, TURBO_ID_BYTES);
    struct peer *client = fixture_client(f);
    peer_send(client, bytes, sizeof(bytes));
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard_bytes(server, bytes, sizeof(bytes)));
}

/* ---- servers that may speak first (protocol §5.12) ---- */

static void without_a_sniff_timeout_nobody_connects_for_a_silent_client(void **state)
{
    struct fixture *f = *state;
    start_edge(f);
    fixture_client(f);
    UNTIL(f, f->worker->connections == 1);
    fixture_let_happen(f);
    assert_int_equal(f->served_count, 0);
}

static void a_server_that_speaks_first_is_heard(void **state)
{
    struct fixture *f = *state;
    start_sniffing_edge(f);
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "220 hello");
    UNTIL(f, peer_heard(client, "220 hello"));
    peer_say(client, "EHLO");
    UNTIL(f, peer_heard(server, "EHLO"));
    peer_reset(server);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(fixture_log_count(f, "outcome=opaque reason=server-first"), 1);
}

static void a_client_that_speaks_first_uses_the_trial(void **state)
{
    struct fixture *f = *state;
    start_sniffing_edge(f);
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    peer_say(server, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    assert_int_equal(f->served_count, 1);
}

static void the_end_of_the_trial_ends_nothing_else(void **state)
{
    struct fixture *f = *state;
    start_sniffing_edge(f);
    struct peer *client = fixture_client(f);
    peer_finish(fixture_server(f, 0));
    UNTIL(f, f->served[0]->ended); /* the edge has closed it as well */
    assert_false(client->ended || peer_was_reset(client));
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 1), ""));
}

static void a_reset_of_the_trial_ends_nothing_else(void **state)
{
    struct fixture *f = *state;
    start_sniffing_edge(f);
    struct peer *client = fixture_client(f);
    peer_reset(fixture_server(f, 0));
    fixture_let_happen(f);
    assert_false(client->ended || peer_was_reset(client));
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 1), ""));
}

static void a_join_drops_the_trial(void **state)
{
    struct fixture *f = *state;
    start_sniffing_edge(f);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    struct peer *trial = fixture_server(f, 1);
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer") && trial->ended);
    assert_int_equal(trial->length, 0);
}

static void the_trial_goes_by_tcp_where_the_upstream_speaks_turbotls(void **state)
{
    struct fixture *f = *state;
    fixture_start(f,
                  "--listen turbo:127.0.0.1:0 --upstream turbo:127.0.0.1:%u --sniff-timeout 0.001",
                  f->server_port);
    struct peer *client = fixture_client(f);
    peer_say(fixture_server(f, 0), "220 hello");
    UNTIL(f, peer_heard(client, "220 hello"));
}

static void a_silent_client_that_goes_takes_the_trial_along(void **state)
{
    struct fixture *f = *state;
    start_sniffing_edge(f);
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    peer_reset(client);
    UNTIL(f, nothing_is_left(f) && (server->ended || peer_was_reset(server)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_client_hello_is_passed_on_as_it_is),
        FIXTURE_CASE(it_may_come_a_byte_at_a_time),
        FIXTURE_CASE(one_too_long_for_an_id_is_classic),
        FIXTURE_CASE(other_words_pass_at_once),
        FIXTURE_CASE(what_could_be_a_proxy_header_waits_until_it_is_none),
        FIXTURE_CASE(a_proxy_header_of_who_may_not_send_one_is_reset),
        FIXTURE_CASE(an_end_before_a_word_closes),
        FIXTURE_CASE(an_end_within_the_hello_passes_what_came),
        FIXTURE_CASE(a_reset_before_the_opening_is_clear_connects_nowhere),
        FIXTURE_CASE(an_opening_that_does_not_come_is_reset),
        FIXTURE_CASE(the_oldest_silent_clients_make_room_for_others),
        FIXTURE_CASE(where_silent_clients_have_taken_all_room_they_give_it_back),
        FIXTURE_CASE(silent_clients_end_with_the_worker),
        FIXTURE_CASE(a_tombstone_for_nothing_we_know_is_reset),
        FIXTURE_CASE(one_behind_which_nothing_was_consumed_starts_afresh),
        FIXTURE_CASE(at_a_dropped_listener_it_is_as_where_no_session_is_known),
        FIXTURE_CASE(a_tombstone_joins_its_session),
        FIXTURE_CASE(a_join_may_come_a_byte_at_a_time),
        FIXTURE_CASE(an_identical_hello_adopts_the_session),
        FIXTURE_CASE(another_hello_has_a_connection_of_its_own),
        FIXTURE_CASE(what_only_looked_like_a_tombstone_passes_whole),
        FIXTURE_CASE(without_a_sniff_timeout_nobody_connects_for_a_silent_client),
        FIXTURE_CASE(a_server_that_speaks_first_is_heard),
        FIXTURE_CASE(a_client_that_speaks_first_uses_the_trial),
        FIXTURE_CASE(the_end_of_the_trial_ends_nothing_else),
        FIXTURE_CASE(a_reset_of_the_trial_ends_nothing_else),
        FIXTURE_CASE(a_join_drops_the_trial),
        FIXTURE_CASE(the_trial_goes_by_tcp_where_the_upstream_speaks_turbotls),
        FIXTURE_CASE(a_silent_client_that_goes_takes_the_trial_along),
    };
    return cmocka_run_group_tests_name("arrival", tests, NULL, NULL);
}
