/* A session that began on UDP, from its first request to the socket it becomes (protocol §7). */
#include "tests/unit/support/wire_client.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BULK = 200 * 1000, FIRST_CHUNK = TURBO_RESPONSE_PAYLOAD_MAX };

static struct wire_client wire;

static struct peer *start(struct fixture *f)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    return server;
}

static struct peer *start_answered(struct fixture *f)
{
    struct peer *server = start(f);
    peer_say(server, "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    return server;
}

/* TCP opens with tombstone(n) and the ClientHello. */
static struct peer *join(struct fixture *f, uint32_t consumed)
{
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, consumed);
    wire_client_hello(&wire, client);
    return client;
}

static bool nothing_is_left(struct fixture *f)
{
    return f->worker->connections == 0 && fixture_upstream(f)->pending == 0;
}

/* ---- the join ---- */

static void the_hello_arrives_once_though_it_came_often(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = join(f, 1);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    assert_int_equal(f->served_count, 1);
}

static void tcp_goes_on_behind_what_was_consumed(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = join(f, 1);
    peer_say(server, " more");
    UNTIL(f, peer_heard(client, " more"));
}

static void tcp_brings_everything_when_nothing_was_consumed(void **state)
{
    struct fixture *f = *state;
    start_answered(f);
    struct peer *client = join(f, 0);
    UNTIL(f, peer_heard(client, "flight"));
}

static void what_no_permit_was_left_for_comes_by_tcp(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start(f);
    uint8_t *bulk = malloc(BULK);
    assert_non_null(bulk);
    check_fill(bulk, 1, 0, BULK);
    peer_send(server, bulk, BULK);
    UNTIL(f, wire.udp->count > 0);
    assert_int_equal(wire.udp->received[0].length, TURBO_HEADER_BYTES + FIRST_CHUNK);
    struct peer *client = join(f, 1);
    UNTIL(f, client->length == BULK - FIRST_CHUNK);
    assert_memory_equal(client->received, bulk + FIRST_CHUNK, client->length);
    free(bulk);
}

static void a_server_with_much_to_say_waits_until_tcp_has_joined(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start(f);
    static uint8_t bulk[8 << 20];
    peer_send(server, bulk, sizeof(bulk));
    UNTIL(f, wire.udp->count > 0);
    fixture_let_happen(f);
    assert_true(server->sending_used < sizeof(bulk));
    struct peer *client = join(f, 0);
    UNTIL(f, client->length == sizeof(bulk));
}

static void a_replay_that_differs_resets_both(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    wire.hello.bytes[500] ^= 1;
    wire_client_hello(&wire, client);
    UNTIL(f, peer_was_reset(client) && peer_was_reset(server) && nothing_is_left(f));
    assert_true(wire.hello.length == server->length);
}

/* What differs comes in a later segment. */
static void a_replay_that_differs_late_resets_both(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    peer_send(client, wire.hello.bytes, 500);
    UNTIL(f, fixture_upstream(f)->pending == 0);
    wire.hello.bytes[500] ^= 1;
    peer_send(client, wire.hello.bytes + 500, wire.hello.length - 500);
    UNTIL(f, peer_was_reset(client) && peer_was_reset(server) && nothing_is_left(f));
}

static void an_end_within_the_replay_resets_both(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    peer_send(client, wire.hello.bytes, 500);
    peer_finish(client);
    UNTIL(f, peer_was_reset(client) && peer_was_reset(server) && nothing_is_left(f));
}

static void a_replay_may_come_in_pieces_with_the_answer_in_the_last(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    peer_send(client, wire.hello.bytes, 500);
    UNTIL(f, fixture_upstream(f)->pending == 0);
    fixture_let_happen(f);
    peer_send(client, wire.hello.bytes + 500, 400);
    fixture_let_happen(f);
    peer_send(client, wire.hello.bytes + 900, wire.hello.length - 900);
    peer_say(client, "answer");
    peer_finish(client);
    UNTIL(f, wire_client_passed(&wire, server, "answer") && server->ended);
    peer_finish(server);
    UNTIL(f, client->ended && nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=turbo reason=-"));
}

/* ---- ends ---- */

static void the_servers_end_waits_for_tcp(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    peer_say(server, " and goodbye");
    peer_finish(server);
    fixture_let_happen(f);
    struct peer *client = join(f, 0);
    UNTIL(f, client->ended);
    assert_true(peer_heard(client, "flight and goodbye"));
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    peer_finish(client);
    UNTIL(f, server->ended && nothing_is_left(f));
    assert_false(peer_was_reset(client) || peer_was_reset(server));
}

static void the_servers_reset_comes_behind_its_flight(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    peer_reset(server);
    fixture_let_happen(f);
    assert_int_equal(f->worker->connections, 1); /* doomed: it has a flight to deliver */
    struct peer *client = join(f, 0);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_true(peer_heard(client, "flight"));
}

/* The proxy's listening socket: what is accepted from it inherits its options. */
static int listening_socket(struct fixture *f)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in bound = {.sin_port = 0};
        socklen_t length = sizeof(bound), flag_length = sizeof(int);
        int listens = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_length) == 0 &&
            listens != 0 && getsockname(fd, (struct sockaddr *)&bound, &length) == 0 &&
            ntohs(bound.sin_port) == fixture_port(f, 0))
            return fd;
    }
    fail_msg("no listening socket");
    return -1;
}

/* More than the socket to the client takes at once: the rest must not be forgotten. */
static void a_large_flight_is_delivered_whole_before_the_reset(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start(f);
    static uint8_t bulk[TURBO_STREAM_KEPT_MAX - 1]; /* with room, the server is read on */
    check_fill(bulk, 1, 0, sizeof(bulk));
    peer_send(server, bulk, sizeof(bulk));
    UNTIL(f, server->sending_used == sizeof(bulk));
    fixture_let_happen(f);
    peer_reset(server);
    fixture_let_happen(f);
    int small = 4096;
    setsockopt(listening_socket(f), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    struct address address;
    assert_true(address_from_literal(&address, "127.0.0.1", fixture_port(f, 0)));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    (void)connect(fd, &address.any, address.length);
    struct peer *client = fixture_adopt(f, fd);
    peer_deafen(client);
    wire_client_tombstone(&wire, client, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, fixture_upstream(f)->pending == 0);
    fixture_let_happen(f);
    assert_int_equal(f->worker->connections, 1);
    peer_hear(client);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    /* The reset overtakes what is in the sockets' buffers by then. */
    assert_in_range(client->length, sizeof(bulk) / 2, sizeof(bulk));
    assert_memory_equal(client->received, bulk, client->length);
}

static void a_reset_by_the_client_resets_the_server(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = join(f, 1);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    peer_reset(client);
    UNTIL(f, peer_was_reset(server) && nothing_is_left(f));
}

static void a_reset_within_the_replay_resets_the_server(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1);
    UNTIL(f, fixture_upstream(f)->pending == 0);
    peer_reset(client);
    UNTIL(f, peer_was_reset(server) && nothing_is_left(f));
}

static void an_abort_resets_the_server(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    wire_client_request(&wire, TURBO_FLAG_ABORT, 9, NULL, 0);
    UNTIL(f, peer_was_reset(server) && nothing_is_left(f));
}

static void a_server_out_of_reach_is_told_as_refused(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", port);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire) && nothing_is_left(f));
    close(refusing);
}

static void a_server_that_resets_before_its_flight_is_heard_of_at_the_join(void **state)
{
    struct fixture *f = *state;
    peer_reset(start(f));
    fixture_let_happen(f);
    struct peer *client = join(f, 0);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
}

static void a_pending_session_ends_with_the_worker(void **state)
{
    struct fixture *f = *state;
    start_answered(f);
    assert_int_equal(fixture_upstream(f)->pending, 1);
    assert_int_equal(f->worker->connections, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(the_hello_arrives_once_though_it_came_often),
        FIXTURE_CASE(tcp_goes_on_behind_what_was_consumed),
        FIXTURE_CASE(tcp_brings_everything_when_nothing_was_consumed),
        FIXTURE_CASE(what_no_permit_was_left_for_comes_by_tcp),
        FIXTURE_CASE(a_server_with_much_to_say_waits_until_tcp_has_joined),
        FIXTURE_CASE(a_replay_that_differs_resets_both),
        FIXTURE_CASE(a_replay_that_differs_late_resets_both),
        FIXTURE_CASE(an_end_within_the_replay_resets_both),
        FIXTURE_CASE(a_replay_may_come_in_pieces_with_the_answer_in_the_last),
        FIXTURE_CASE(the_servers_end_waits_for_tcp),
        FIXTURE_CASE(the_servers_reset_comes_behind_its_flight),
        FIXTURE_CASE(a_large_flight_is_delivered_whole_before_the_reset),
        FIXTURE_CASE(a_reset_by_the_client_resets_the_server),
        FIXTURE_CASE(a_reset_within_the_replay_resets_the_server),
        FIXTURE_CASE(an_abort_resets_the_server),
        FIXTURE_CASE(a_server_out_of_reach_is_told_as_refused),
        FIXTURE_CASE(a_server_that_resets_before_its_flight_is_heard_of_at_the_join),
        FIXTURE_CASE(a_pending_session_ends_with_the_worker),
    };
    return cmocka_run_group_tests_name("turbo server side", tests, NULL, NULL);
}
