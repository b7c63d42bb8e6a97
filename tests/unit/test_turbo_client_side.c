/* A sidecar's far side against an edge in the test's hands (protocol §6). */
#include "tests/unit/support/names.h"
#include "tests/unit/support/pool.h"
#include "tests/unit/support/wire_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/sides/side.h"
#include "proxy/upstream.h"
#include "tunnel/net/socket.h"

enum { BULK = 200 * 1000 };

static struct wire_client wire;
static struct datagrams *edge;

/* On loopback TCP is up at once; with `always` it asks all the same. */
static void start(struct fixture *f, bool always)
{
    uint16_t udp_port;
    wire_client_init(&wire, 1);
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u%s", f->server_port,
                  always ? ",turbo=always" : "");
    fixture_run_worker(f);
    edge = fixture_udp_server(f, &udp_port);
    fixture_upstream(f)->servers[0]->udp_port = udp_port;
    assert_true(worker_listen(f->worker));
}

/*
 * The upstream's queue of connections is full, so that its kernel drops the SYN: there is time for
 * everything that happens before TCP is up. The SYN is repeated after a second.
 */
static void start_slow(struct fixture *f)
{
    start(f, false);
    ev_io_stop(f->loop, &f->server_io);
    assert_int_equal(listen(f->server_fd, 0), 0);
    struct peer *filler = fixture_connect(f, "127.0.0.1", f->server_port);
    UNTIL(f, peer_is_up(filler));
}

static struct peer *tcp_comes_up(struct fixture *f)
{
    ev_io_start(f->loop, &f->server_io);
    return fixture_server(f, 1); /* behind the one that filled the queue */
}

static struct peer *ask(struct fixture *f)
{
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    UNTIL(f, edge->count >= TURBO_REQUESTS_UNPROVEN);
    return client;
}

static void respond(uint8_t flags, uint32_t sequence, const char *words)
{
    wire_client_respond(&wire, edge, flags, sequence, words);
}

static bool was_opened(const struct peer *server, uint32_t n, const char *words)
{
    return wire_client_opened(&wire, server, n, words);
}

/* Without its port. */
static const char *host_of(const struct address *address)
{
    static char text[ADDRESS_TEXT_BYTES];
    address_text(address, text);
    *strrchr(text, ':') = '\0';
    return text;
}

static bool nothing_is_left(struct fixture *f)
{
    return f->worker->connections == 0;
}

static bool aborted(void)
{
    struct turbo_datagram request;
    const struct datagram *last = &edge->received[edge->count - 1];
    return turbo_request_decode(&request, last->bytes, last->length) &&
           request.flags == TURBO_FLAG_ABORT && turbo_id_equal(&request.id, &wire.id);
}

/* ---- the usual course ---- */

static void an_answer_opens_with_a_tombstone_and_the_stream(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(client, "answer");
    struct peer *server = tcp_comes_up(f);
    UNTIL(f, was_opened(server, 1, "answer"));
    peer_say(server, " more");
    UNTIL(f, peer_heard(client, "flight more"));
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, nothing_is_left(f) && client->ended && server->ended);
    assert_true(fixture_logged(f, "server_name=www.example.org outcome=turbo reason=-"));
}

static void chunks_are_delivered_in_order_and_once(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 2, "B");
    respond(TURBO_FLAG_PROFILE1, 2, "B");
    respond(TURBO_FLAG_PROFILE1, 1, "A");
    respond(TURBO_FLAG_PROFILE1, 1, "A");
    respond(TURBO_FLAG_PROFILE1, 3, "C");
    UNTIL(f, peer_heard(client, "ABC"));
}

static void what_is_behind_a_gap_comes_by_tcp(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "A");
    respond(TURBO_FLAG_PROFILE1, 3, "C");
    struct peer *server = tcp_comes_up(f);
    UNTIL(f, was_opened(server, 1, ""));
    peer_say(server, "BC");
    UNTIL(f, peer_heard(client, "ABC"));
    peer_reset(server);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=resumed-on-tcp"));
}

static void without_a_response_it_is_classic(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct peer *client = ask(f);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    peer_say(server, "flight");
    peer_finish(server);
    UNTIL(f, peer_heard(client, "flight") && client->ended);
    peer_finish(client);
    UNTIL(f, server->ended && nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=classic reason=no-response"));
}

static void datagrams_of_another_session_are_not_delivered(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    wire.id.bytes[5] ^= 1;
    respond(TURBO_FLAG_PROFILE1, 1, "forged");
    wire.id.bytes[5] ^= 1;
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, client->length > 0);
    assert_true(peer_heard(client, "flight"));
}

static void a_refusal_is_classic_at_once(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED, 0, "");
    UNTIL(f, wire_client_passed(&wire, tcp_comes_up(f), ""));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=classic reason=refused"));
}

static void a_closed_udp_port_is_classic_at_once(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    datagrams_close(edge); /* ICMP answers from now on */
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, tcp_comes_up(f), ""));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=classic reason=udp-unreachable"));
}

static void without_always_tcp_that_is_up_first_is_used(void **state)
{
    struct fixture *f = *state;
    start(f, false);
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    fixture_let_happen(f);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    assert_int_equal(edge->count, 0);
}

static void an_address_that_has_answered_gets_all_requests(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    assert_int_equal(edge->count, TURBO_REQUESTS_UNPROVEN);
    edge->count = 0;
    client = fixture_client(f);
    wire_client_init(&wire, 2);
    wire_client_hello(&wire, client);
    UNTIL(f, edge->count > TURBO_REQUESTS_UNPROVEN);
}

/* ---- what is not TLS ---- */

static void other_words_pass_and_nothing_is_asked(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    peer_say(server, "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
    assert_int_equal(edge->count, 0);
}

static void a_server_that_speaks_first_is_heard(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "220 hello");
    UNTIL(f, peer_heard(client, "220 hello"));
    peer_say(client, "EHLO");
    UNTIL(f, peer_heard(server, "EHLO"));
    peer_finish(client);
    UNTIL(f, server->ended);
}

static void an_end_within_the_hello_passes_what_came(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct peer *client = fixture_client(f);
    peer_send(client, wire.hello.bytes, 100);
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(peer_heard_bytes(server, wire.hello.bytes, 100));
    peer_say(server, "alert");
    peer_finish(server);
    UNTIL(f, peer_heard(client, "alert") && client->ended && nothing_is_left(f));
}

/* ---- ends ---- */

static void an_end_right_behind_the_answer_passes(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(client, "answer");
    peer_finish(client);
    struct peer *server = tcp_comes_up(f);
    UNTIL(f, server->ended);
    assert_true(was_opened(server, 1, "answer"));
    peer_say(server, "!");
    UNTIL(f, peer_heard(client, "flight!"));
}

static void a_reset_by_the_app_aborts_the_session(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct peer *client = ask(f);
    struct peer *server = fixture_server(f, 0);
    peer_reset(client);
    UNTIL(f, nothing_is_left(f) && peer_was_reset(server));
}

static void a_reset_by_the_app_before_tcp_is_up_aborts_as_well(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    peer_reset(client);
    UNTIL(f, nothing_is_left(f) && aborted());
}

static void bytes_from_tcp_after_some_from_udp_reset_the_app(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    struct peer *client = ask(f);
    struct peer *server = tcp_comes_up(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_say(server, "somebody else's");
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f) && aborted());
}

static void a_reset_before_the_opening_resets_the_app(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct peer *client = ask(f);
    peer_reset(fixture_server(f, 0));
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
}

static void a_refused_connect_resets_the_app_and_is_logged(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", port);
    struct peer *client = fixture_client(f);
    wire_client_init(&wire, 1);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_true(fixture_logged(f, "a server is left out"));
    close(refusing);
}

static void another_address_gets_what_the_app_has_said(void **state)
{
    struct fixture *f = *state;
    struct names names;
    uint16_t port = f->server_port;
    int refusing = fixture_refusing_port(NAMES_FIRST, &port);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:example.org:%u", port);
    names_start(&names, f);
    struct peer *client = fixture_client(f);
    wire_client_init(&wire, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "early data");
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(wire_client_passed(&wire, server, "early data"));
    names_stop(&names);
    close(refusing);
}

/* What was delivered came from the first host; the second one would contradict it. */
static void another_address_gets_nothing_once_bytes_were_delivered(void **state)
{
    struct fixture *f = *state;
    struct names names;
    uint16_t port = f->server_port, udp_port;
    int silent = fixture_refusing_port(NAMES_FIRST, &port);
    assert_int_equal(listen(silent, 0), 0);
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream turbo:example.org:%u", port);
    pool_settings(f)->connect_timeout_s = 2.;
    fixture_run_worker(f);
    struct peer *filler = fixture_connect(f, NAMES_FIRST, port);
    UNTIL(f, peer_is_up(filler));
    edge = fixture_udp_server_at(f, NAMES_FIRST, &udp_port);
    fixture_upstream(f)->servers[0]->udp_port = udp_port;
    assert_true(worker_listen(f->worker));
    names_start(&names, f);
    wire_client_init(&wire, 1);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f)); /* after half of the time */
    struct peer *second = fixture_server(f, 0); /* the SYN had left; nothing follows it */
    UNTIL(f, second->ended || peer_was_reset(second));
    assert_int_equal(second->length, 0);
    names_stop(&names);
    close(silent);
}

/* ---- several servers ---- */

static void another_server_gets_what_the_app_has_said(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    char line[128];
    pool_start(f, &pool, "turbo");
    struct peer *client = fixture_client(f);
    wire_client_init(&wire, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "early data");
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(wire_client_passed(&wire, server, "early data"));
    assert_int_equal(pool_server(f, 0)->failed, 1);
    assert_int_equal(pool_server(f, 0)->connections, 0);
    assert_int_equal(pool_server(f, 1)->connections, 1); /* also once it has settled */
    peer_finish(server);
    UNTIL(f, nothing_is_left(f));
    assert_int_equal(pool_server(f, 1)->connections, 0);
    (void)snprintf(line, sizeof(line), " server=turbo:127.0.0.1:%u ", f->server_port);
    assert_true(fixture_logged(f, line));
    pool_stop(&pool);
}

/* Each server has a UDP port and a memory of its own. */
static void another_server_is_asked_at_its_own_udp_port(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .silent = {true}};
    uint16_t first_port, second_port;
    pool_start(f, &pool, "turbo");
    pool_settings(f)->connect_timeout_s = 1.;
    pool_settings(f)->turbo = CONFIG_TURBO_ALWAYS;
    struct datagrams *first = fixture_udp_server_at(f, "127.0.0.7", &first_port);
    edge = fixture_udp_server(f, &second_port);
    pool_server(f, 0)->udp_port = first_port;
    pool_server(f, 1)->udp_port = second_port;
    wire_client_init(&wire, 1);
    struct peer *client = ask(f); /* the second one has been asked */
    assert_true(first->count > 0);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, wire_client_passed(&wire, server, ""));
    peer_say(server, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, nothing_is_left(f));
    for (size_t i = 0; i < 2; i++) {
        const struct memory *memory = pool_server(f, i)->memory;
        assert_true(memory->clock > 0);
        assert_string_equal(host_of(&memory->entries[0].address), pool.hosts[i]);
        assert_int_equal(memory->entries[1].address.length, 0);
    }
    pool_stop(&pool);
}

static void another_server_gets_nothing_once_bytes_were_delivered(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .silent = {true}};
    uint16_t udp_port;
    pool_start(f, &pool, "turbo");
    pool_settings(f)->connect_timeout_s = 1.;
    edge = fixture_udp_server_at(f, "127.0.0.7", &udp_port);
    pool_server(f, 0)->udp_port = udp_port;
    pool_server(f, 1)->health.out_until = 1; /* long ago: it is tried by this one */
    wire_client_init(&wire, 1);
    struct peer *client = ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, peer_heard(client, "flight"));
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(pool_server(f, 0)->failed, 1);
    assert_int_equal(pool_server(f, 1)->failed, 0); /* given up, and the next may try it */
    assert_false(pool_server(f, 1)->health.on_trial);
    assert_int_equal(pool_server(f, 0)->connections + pool_server(f, 1)->connections, 0);
    for (size_t i = 0; i < f->served_count; i++)
        assert_int_equal(f->served[i]->length, 0);
    pool_stop(&pool);
}

/* ---- much ---- */

static void much_behind_the_hello_arrives_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    uint8_t *bulk = malloc(BULK);
    assert_non_null(bulk);
    check_fill(bulk, 1, 0, BULK);
    start(f, true);
    struct peer *client = ask(f);
    peer_send(client, bulk, BULK); /* more than the session holds before the opening */
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_int_equal(server->length, wire.hello.length + BULK);
    assert_memory_equal(server->received, wire.hello.bytes, wire.hello.length);
    assert_memory_equal(server->received + wire.hello.length, bulk, BULK);
    free(bulk);
}

static void a_side_destroyed_while_it_connects_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    struct side *side = upstream_open(fixture_upstream(f), f->worker, &(struct upstream_call){0});
    uint8_t byte = 0x16;
    assert_int_equal(side->ops->room(side), 0);
    assert_int_equal(side->ops->write(side, &byte, 1), 0);
    assert_int_equal(side->ops->read(side, &byte, 1), SIDE_AGAIN);
    assert_false(side->ops->settled(side));
    side->ops->destroy(side);
    side = upstream_open(fixture_upstream(f), f->worker, &(struct upstream_call){0});
    UNTIL(f, side->ops->room(side) > 0); /* the SYN has left */
    side->ops->reset(side, false);
    side->ops->destroy(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(an_answer_opens_with_a_tombstone_and_the_stream),
        FIXTURE_CASE(chunks_are_delivered_in_order_and_once),
        FIXTURE_CASE(what_is_behind_a_gap_comes_by_tcp),
        FIXTURE_CASE(without_a_response_it_is_classic),
        FIXTURE_CASE(datagrams_of_another_session_are_not_delivered),
        FIXTURE_CASE(a_refusal_is_classic_at_once),
        FIXTURE_CASE(a_closed_udp_port_is_classic_at_once),
        FIXTURE_CASE(without_always_tcp_that_is_up_first_is_used),
        FIXTURE_CASE(an_address_that_has_answered_gets_all_requests),
        FIXTURE_CASE(other_words_pass_and_nothing_is_asked),
        FIXTURE_CASE(a_server_that_speaks_first_is_heard),
        FIXTURE_CASE(an_end_within_the_hello_passes_what_came),
        FIXTURE_CASE(an_end_right_behind_the_answer_passes),
        FIXTURE_CASE(a_reset_by_the_app_aborts_the_session),
        FIXTURE_CASE(a_reset_by_the_app_before_tcp_is_up_aborts_as_well),
        FIXTURE_CASE(bytes_from_tcp_after_some_from_udp_reset_the_app),
        FIXTURE_CASE(a_reset_before_the_opening_resets_the_app),
        FIXTURE_CASE(a_refused_connect_resets_the_app_and_is_logged),
        FIXTURE_CASE(another_address_gets_what_the_app_has_said),
        FIXTURE_CASE(another_address_gets_nothing_once_bytes_were_delivered),
        FIXTURE_CASE(another_server_gets_what_the_app_has_said),
        FIXTURE_CASE(another_server_is_asked_at_its_own_udp_port),
        FIXTURE_CASE(another_server_gets_nothing_once_bytes_were_delivered),
        FIXTURE_CASE(much_behind_the_hello_arrives_whole_and_in_order),
        FIXTURE_CASE(a_side_destroyed_while_it_connects_leaks_nothing),
    };
    return cmocka_run_group_tests_name("turbo client side", tests, NULL, NULL);
}
