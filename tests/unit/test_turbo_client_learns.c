/* What a sidecar's far side remembers from one connection to the next (protocol §4.8, 6.8, 6.9). */
#include "tests/unit/support/wire_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proxy/upstream.h"
#include "turbo/chunks.h"

static struct wire_client wire;
static struct datagrams *edge;

/* On loopback TCP is up at once; `always` asks all the same. */
static void start(struct fixture *f)
{
    uint16_t udp_port;
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u,turbo=always",
                  f->server_port);
    fixture_run_worker(f);
    edge = fixture_udp_server(f, &udp_port);
    fixture_upstream(f)->servers[0]->udp_port = udp_port;
    assert_true(worker_listen(f->worker));
}

static const struct turbo_learned *learned(struct fixture *f)
{
    struct address address;
    uint16_t udp_port = fixture_upstream(f)->servers[0]->udp_port;
    assert_true(address_from_literal(&address, "127.0.0.1", udp_port));
    return &memory_of(fixture_upstream(f)->servers[0]->memory, &address)->learned;
}

static size_t requests_for(struct turbo_learned_flight flight)
{
    struct request_plan plan =
        request_plan_make(wire.hello.length, flight.chunks, flight.bytes, TURBO_REQUESTS_MAX);
    return plan.requests;
}

/* Connection number `n` begins: its app sends a ClientHello of its own. */
static struct peer *hello(struct fixture *f, unsigned n)
{
    struct peer *client = fixture_client(f);
    wire_client_init(&wire, n);
    wire_client_hello(&wire, client);
    return client;
}

static void respond(size_t request, const char *words)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram response = {.id = wire.id, .flags = TURBO_FLAG_PROFILE1, .sequence = 1};
    response.payload = (const uint8_t *)words;
    response.length = strlen(words);
    datagrams_answer(edge, request, bytes, turbo_datagram_encode(&response, bytes));
}

static void goodbye(struct fixture *f, struct peer *client, struct peer *server)
{
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, f->worker->connections == 0);
}

/* A flight that comes by TCP alone, whatever was asked. */
static void converse_by_tcp(struct fixture *f, unsigned n)
{
    struct peer *client = hello(f, n);
    struct peer *server = fixture_server(f, n);
    UNTIL(f, server->length == wire.hello.length);
    peer_say(server, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(client, "answer");
    UNTIL(f, server->length == wire.hello.length + strlen("answer"));
    goodbye(f, client, server);
}

/* The first connection's flight comes by UDP. */
static void converse_by_udp(struct fixture *f)
{
    struct peer *client = hello(f, 0);
    UNTIL(f, edge->count == TURBO_REQUESTS_UNPROVEN);
    respond(0, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(client, "answer");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->length == TURBO_TOMBSTONE_BYTES + wire.hello.length + strlen("answer"));
    goodbye(f, client, server);
}

static void after_two_silent_connections_udp_is_paused(void **state) /* §6.9a */
{
    struct fixture *f = *state;
    start(f);
    converse_by_tcp(f, 0);
    assert_int_equal(edge->count, TURBO_REQUESTS_UNPROVEN);
    converse_by_tcp(f, 1);
    size_t asked = edge->count;
    assert_true(asked > TURBO_REQUESTS_UNPROVEN);
    assert_int_equal(fixture_log_count(f, "reason=no-response"), 2);
    converse_by_tcp(f, 2);
    assert_int_equal(edge->count, asked); /* nothing more */
    assert_true(fixture_logged(f, "outcome=classic reason=udp-paused"));
}

static void one_that_is_heard_between_silent_ones_keeps_udp(void **state)
{
    struct fixture *f = *state;
    start(f);
    converse_by_udp(f);
    converse_by_tcp(f, 1);
    size_t asked = edge->count;
    converse_by_tcp(f, 2);
    assert_true(edge->count > asked);
    assert_false(fixture_logged(f, "udp-paused"));
}

static void the_next_connection_asks_for_the_flight_that_came(void **state) /* §4.8, 10.4 */
{
    struct fixture *f = *state;
    static char rest[9000];
    start(f);
    memset(rest, 'x', sizeof(rest));
    struct peer *client = hello(f, 0);
    UNTIL(f, edge->count == TURBO_REQUESTS_UNPROVEN);
    respond(0, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->length == TURBO_TOMBSTONE_BYTES + wire.hello.length);
    peer_send(server, rest, sizeof(rest));
    UNTIL(f, client->length == strlen("flight") + sizeof(rest));
    peer_say(client, "answer");
    UNTIL(f, server->length > TURBO_TOMBSTONE_BYTES + wire.hello.length);
    goodbye(f, client, server);

    struct turbo_learned_flight flight = learned(f)->flights[0];
    assert_int_equal(learned(f)->flight_count, 1);
    assert_int_equal(flight.bytes, strlen("flight") + sizeof(rest));
    assert_int_equal(flight.chunks, 1 + 8);
    size_t requests = requests_for(flight);
    assert_true(requests > TURBO_REQUESTS_UNPROVEN);
    hello(f, 1);
    UNTIL(f, edge->count >= TURBO_REQUESTS_UNPROVEN + requests);
    fixture_let_happen(f);
    assert_int_equal(edge->count, TURBO_REQUESTS_UNPROVEN + requests);
}

/* How many connections to `port` the kernel is trying to make (Linux's /proc/net/tcp). */
static unsigned connecting(uint16_t port)
{
    enum { SYN_SENT = 2 };
    char line[256];
    unsigned found = 0, remote, state;
    FILE *file = fopen("/proc/net/tcp", "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, " %*u: %*8x:%*4x %*8x:%4x %2x", &remote, &state) == 2)
            found += remote == port && state == SYN_SENT;
    (void)fclose(file);
    return found;
}

/* Both may come up in the end: the one that is used, behind the first and what filled the queue. */
static struct peer *opened(struct fixture *f)
{
    for (size_t i = 2; i < f->served_count; i++)
        if (f->served[i]->length > TURBO_TOMBSTONE_BYTES + wire.hello.length)
            return f->served[i];
    return NULL;
}

static void a_syn_that_seems_lost_is_sent_again_and_so_are_the_requests(void **state) /* §6.8 */
{
    struct fixture *f = *state;
    start(f);
    converse_by_udp(f);
    size_t before = edge->count;
    ev_io_stop(f->loop, &f->server_io);
    assert_int_equal(listen(f->server_fd, 0), 0);
    struct peer *filler = fixture_connect(f, "127.0.0.1", f->server_port);
    UNTIL(f, peer_is_up(filler));
    struct peer *client = hello(f, 1);
    UNTIL(f, connecting(f->server_port) == 2);
    size_t asked = requests_for(learned(f)->flights[0]);
    UNTIL(f, edge->count == before + 2 * asked);
    assert_memory_equal(edge->received[before].bytes, edge->received[before + asked].bytes,
                        edge->received[before].length);
    respond(before, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(client, "answer");
    ev_io_start(f->loop, &f->server_io); /* there is room again */
    struct peer *server;
    UNTIL(f, (server = opened(f)) != NULL);
    assert_int_equal(connecting(f->server_port), 0);
    goodbye(f, client, server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(after_two_silent_connections_udp_is_paused),
        FIXTURE_CASE(one_that_is_heard_between_silent_ones_keeps_udp),
        FIXTURE_CASE(the_next_connection_asks_for_the_flight_that_came),
        FIXTURE_CASE(a_syn_that_seems_lost_is_sent_again_and_so_are_the_requests),
    };
    return cmocka_run_group_tests_name("turbo client learns", tests, NULL, NULL);
}
