/* The UDP half of a turbo listener: sessions in, responses out, and limits (protocol §4, §7). */
#include "tests/unit/support/wire_client.h"

#include <stdlib.h>

#include "proxy/listener.h"
#include "proxy/udp_endpoint.h"

enum { SESSIONS = 24 };

static struct wire_client wire;

static void start(struct fixture *f, const char *listen)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:%s:0 --upstream tcp:127.0.0.1:%u", listen, f->server_port);
}

static struct turbo_endpoint_counters counters(struct fixture *f)
{
    return turbo_endpoint_counters(udp_endpoint_turbo(listener_udp(f->worker->listeners[0])));
}

static void one_session_has_one_connection_however_often_it_is_asked_for(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_server(f, 0);
    wire_client_request(&wire, 0, 1, wire.hello.bytes, wire.hello.length);
    UNTIL(f, counters(f).requests == WIRE_CLIENT_REQUESTS + 1);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    assert_int_equal(f->served_count, 1);
    assert_int_equal(f->worker->connections, 1);
}

static void sessions_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct wire_client *wires = calloc(SESSIONS, sizeof(*wires));
    assert_non_null(wires);
    start(f, "127.0.0.1");
    for (unsigned i = 0; i < SESSIONS; i++) {
        wire_client_init(&wires[i], 100 + i);
        wire_client_ask(&wires[i], f, "127.0.0.1", fixture_udp_port(f, 0));
        struct peer *server = fixture_server(f, i);
        UNTIL(f, wire_client_passed(&wires[i], server, ""));
        peer_send(server, &"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i], 1);
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        const char answer[] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i], '\0'};
        UNTIL(f, wire_client_heard(&wires[i], answer));
    }
    assert_int_equal(fixture_upstream(f)->pending, SESSIONS);
    free(wires);
}

static void every_wildcard_address_answers_as_itself(void **state)
{
    struct fixture *f = *state;
    static const char *const asked[] = {"127.0.0.1", "127.0.0.2", "127.0.0.77", "::1"};
    start(f, "*");
    for (unsigned i = 0; i < COUNT(asked); i++) {
        wire_client_init(&wire, i);
        wire_client_ask(&wire, f, asked[i],
                        fixture_udp_port(f, 0)); /* connected: no other is heard */
        peer_say(fixture_server(f, i), "flight");
        UNTIL(f, wire_client_heard(&wire, "flight"));
    }
}

static void a_flight_never_exceeds_what_was_earned(void **state)
{
    struct fixture *f = *state;
    static uint8_t bulk[60000];
    size_t sent = 0;
    start(f, "127.0.0.1");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    peer_send(fixture_server(f, 0), bulk, sizeof(bulk));
    UNTIL(f,
          counters(f).responses >= WIRE_CLIENT_REQUESTS && wire.udp->count >= WIRE_CLIENT_REQUESTS);
    fixture_let_happen(f);
    assert_int_equal(wire.udp->count, WIRE_CLIENT_REQUESTS);
    for (size_t i = 0; i < wire.udp->count; i++)
        sent += wire.udp->received[i].length;
    assert_true(sent <= 3 * (3 * wire.hello.length + WIRE_CLIENT_REQUESTS * TURBO_HEADER_BYTES));
}

/* The parity of one chunk: its length and its bytes. */
static bool is_parity_of(const struct datagram *parity, const struct datagram *chunk)
{
    struct turbo_datagram p, c;
    return turbo_response_decode(&p, parity->bytes, parity->length) &&
           turbo_response_decode(&c, chunk->bytes, chunk->length) &&
           p.flags == (TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY) && p.sequence == c.sequence &&
           p.length == 2 + c.length && p.payload[0] == 0 && p.payload[1] == c.length &&
           memcmp(p.payload + 2, c.payload, c.length) == 0;
}

/* A short chunk is held for half a millisecond; parity and repeats use up the permits. */
static void the_timer_sends_what_is_held_then_parity_then_repeats(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, wire.udp->count == WIRE_CLIENT_REQUESTS);
    assert_true(is_parity_of(&wire.udp->received[1], &wire.udp->received[0]));
    for (size_t i = 2; i < wire.udp->count; i++) {
        assert_int_equal(wire.udp->received[i].length, wire.udp->received[0].length);
        assert_memory_equal(wire.udp->received[i].bytes, wire.udp->received[0].bytes,
                            wire.udp->received[0].length);
    }
}

static void junk_is_dropped_and_answered_by_nothing(void **state)
{
    struct fixture *f = *state;
    static const uint8_t junk[TURBO_DATAGRAM_MAX + 1];
    start(f, "127.0.0.1");
    wire.udp = fixture_udp(f, "127.0.0.1", fixture_udp_port(f, 0));
    datagrams_send(wire.udp, junk, 0);
    datagrams_send(wire.udp, junk, 15);
    datagrams_send(wire.udp, junk, sizeof(junk));
    wire_client_request(&wire, 0, 1, "not TLS", 7);
    UNTIL(f, counters(f).junk == 4);
    fixture_let_happen(f);
    assert_int_equal(wire.udp->count, 0);
    assert_int_equal(f->worker->connections, 0);
}

/* Also one that would be a request if its last byte were cut off. */
static void a_datagram_that_is_too_large_is_no_request(void **state)
{
    struct fixture *f = *state;
    uint8_t large[TURBO_DATAGRAM_MAX + 1] = {0};
    start(f, "127.0.0.1");
    wire.udp = fixture_udp(f, "127.0.0.1", fixture_udp_port(f, 0));
    memcpy(large, wire.id.bytes, TURBO_ID_BYTES);
    large[TURBO_HEADER_BYTES - 1] = 1;
    memcpy(large + TURBO_HEADER_BYTES, wire.hello.bytes, wire.hello.length);
    datagrams_send(wire.udp, large, sizeof(large));
    UNTIL(f, counters(f).junk == 1);
    assert_int_equal(counters(f).sessions, 0);
}

static void requests_may_come_before_the_first_chunk(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    wire.udp = fixture_udp(f, "127.0.0.1", fixture_udp_port(f, 0));
    wire_client_request(&wire, 0, 2, wire.hello.bytes + 600, wire.hello.length - 600);
    wire_client_request(&wire, 0, 3, NULL, 0);
    wire_client_request(&wire, 0, 1, wire.hello.bytes, 600);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, wire_client_passed(&wire, server, ""));
}

static void too_many_pending_sessions_are_refused(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    fixture_upstream(f)->pending = TURBO_PENDING_DEFAULT;
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    fixture_let_happen(f);
    assert_int_equal(wire.udp->count, 1);
    assert_int_equal(f->served_count, 0);
    fixture_upstream(f)->pending = 0;
    wire_client_request(&wire, 0, 1, wire.hello.bytes, wire.hello.length); /* its id has ended */
    UNTIL(f, counters(f).late > 0);
    assert_int_equal(f->served_count, 0);
}

static void of_the_pending_ones_half_are_for_addresses_that_tcp_has_proven(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    fixture_upstream(f)->pending = TURBO_PENDING_UNPROVEN;
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    struct peer *client = fixture_client(f);
    peer_send(client, wire.hello.bytes, wire.hello.length); /* classic */
    fixture_server(f, 0);
    wire_client_init(&wire, 2);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 1), ""));
    fixture_upstream(f)->pending -= TURBO_PENDING_UNPROVEN;
}

static void an_aborted_session_is_gone_and_not_begun_again(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_server(f, 0);
    wire_client_request(&wire, TURBO_FLAG_ABORT, 9, NULL, 0);
    UNTIL(f, peer_was_reset(server) && f->worker->connections == 0);
    uint64_t late = counters(f).late;
    wire_client_request(&wire, 0, 1, wire.hello.bytes, wire.hello.length);
    UNTIL(f, counters(f).late == late + 1);
    assert_int_equal(f->served_count, 1);
}

static void the_log_names_the_client_and_the_listener(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    peer_reset(fixture_server(f, 0));
    wire_client_request(&wire, TURBO_FLAG_ABORT, 9, NULL, 0);
    UNTIL(f, f->worker->connections == 0);
    assert_true(fixture_logged(f, "info connection client=127.0.0.1:"));
    assert_true(fixture_logged(f, listener_text(f->worker->listeners[0])));
    assert_true(fixture_logged(f, "server_name=www.example.org"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(one_session_has_one_connection_however_often_it_is_asked_for),
        FIXTURE_CASE(sessions_do_not_mix),
        FIXTURE_CASE(every_wildcard_address_answers_as_itself),
        FIXTURE_CASE(a_flight_never_exceeds_what_was_earned),
        FIXTURE_CASE(the_timer_sends_what_is_held_then_parity_then_repeats),
        FIXTURE_CASE(junk_is_dropped_and_answered_by_nothing),
        FIXTURE_CASE(a_datagram_that_is_too_large_is_no_request),
        FIXTURE_CASE(requests_may_come_before_the_first_chunk),
        FIXTURE_CASE(too_many_pending_sessions_are_refused),
        FIXTURE_CASE(of_the_pending_ones_half_are_for_addresses_that_tcp_has_proven),
        FIXTURE_CASE(an_aborted_session_is_gone_and_not_begun_again),
        FIXTURE_CASE(the_log_names_the_client_and_the_listener),
    };
    return cmocka_run_group_tests_name("udp endpoint", tests, NULL, NULL);
}
