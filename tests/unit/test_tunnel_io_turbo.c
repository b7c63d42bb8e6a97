/*
 * An I/O that is the client end of TurboTLS (protocol §6), against a server end in the test's hands
 * and against the proxy's.
 *
 * On loopback TCP is up at once. With `always` it asks by UDP all the same, and since time does not
 * pass for it between calls, nothing here depends on how fast the machine is.
 */
#include "tests/unit/support/io_many.h"
#include "tests/unit/support/io_user.h"
#include "tests/unit/support/names.h"
#include "tests/unit/support/wire_client.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

enum { SOON_MS = 50, BULK = 200 * 1000 };

static struct io_user user;
static struct wire_client wire;
static struct datagrams *edge;
static struct tunnel_io_dial where;

/* ---- the world ---- */

static void start_at(struct fixture *f, const char *host)
{
    uint16_t udp_port = 0;
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    fixture_serve(f);
    wire_client_init(&wire, 1);
    edge = fixture_udp_server_at(f, host, &udp_port);
    where = (struct tunnel_io_dial){
        .host = host, .port = f->server_port, .udp_port = udp_port, .always = true};
}

static void start(struct fixture *f)
{
    start_at(f, "127.0.0.1");
}

/* TCP will not come up: the kernel drops what asks for a connection. The caller closes. */
static int start_silent(struct fixture *f)
{
    start_at(f, "127.0.0.7");
    where.port = 0;
    return fixture_silent_port(f, "127.0.0.7", &where.port);
}

static void dial(void)
{
    io_user_start(&user, tunnel_io_turbo(&where));
}

/* The requests have come; nobody has looked at the I/O since. */
static void ask(struct fixture *f)
{
    dial();
    assert_int_equal(tunnel_io_write_all(user.io, wire.hello.bytes, wire.hello.length, -1),
                     TUNNEL_OK);
    UNTIL(f, edge->count > 0);
    fixture_let_happen(f);
}

static void respond(uint8_t flags, uint32_t sequence, const char *words)
{
    wire_client_respond(&wire, edge, flags, sequence, words);
}

static bool aborted(void)
{
    struct turbo_datagram request;
    const struct datagram *last = &edge->received[edge->count - 1];
    return turbo_request_decode(&request, last->bytes, last->length) &&
           request.flags == TURBO_FLAG_ABORT && turbo_id_equal(&request.id, &wire.id);
}

static bool opened(struct peer *server, uint32_t n, const char *words)
{
    io_user_turn(&user);
    return wire_client_opened(&wire, server, n, words);
}

static bool passed(struct peer *server, const char *words)
{
    io_user_turn(&user);
    return wire_client_passed(&wire, server, words);
}

static bool error_has(const char *words)
{
    return strstr(tunnel_io_error(user.io), words) != NULL;
}

/* ---- the usual course ---- */

/* Flight and answer are through; returns where TCP goes. */
static struct peer *start_answered(struct fixture *f)
{
    start(f);
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    io_user_say(&user, "answer");
    return fixture_server(f, 0);
}

/* However it went: what runs for the first time takes valgrind longer than UDP is waited for. */
static void the_first_one_only_warms_up(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    io_user_close(&user, true);
    UNTIL(f, server->ended || server->error != 0);
}

static void an_answer_opens_with_a_tombstone_and_the_stream(void **state)
{
    struct fixture *f = *state;
    struct peer *server = start_answered(f);
    UNTIL(f, opened(server, 1, "answer"));
    assert_true(io_user_went(&user, "turbo", NULL));
    peer_say(server, " more");
    UNTIL(f, io_user_heard(&user, "flight more"));
    struct tunnel_io_report report = io_user_report(&user);
    assert_true(report.first_udp_us > 0 && report.tcp_us > 0);
    assert_true(strncmp(report.peer, "127.0.0.1:", 10) == 0);
    io_user_close(&user, false);
    UNTIL(f, server->ended);
    assert_int_equal(server->error, 0);
}

/* Once it is settled, it is a socket: as much as one likes, both ways, and each end by itself. */
static void it_becomes_a_plain_connection(void **state)
{
    struct fixture *f = *state;
    static char bulk[BULK];
    struct peer *server = start_answered(f);
    UNTIL(f, opened(server, 1, "answer"));
    peer_say(server, " more");
    UNTIL(f, io_user_heard(&user, "flight more"));
    struct tunnel_watch watch;
    tunnel_io_watch(user.io, TUNNEL_WANT_READ, &watch);
    assert_int_equal(watch.count, 1); /* no UDP any more */
    assert_true(watch.deadline_us == TUNNEL_FOR_EVER);
    peer_finish(server);
    UNTIL(f, io_user_ended(&user, TUNNEL_CLOSED));
    check_fill((uint8_t *)bulk, 1, 0, sizeof(bulk));
    size_t before = server->length;
    for (size_t sent = 0; sent < sizeof(bulk); sent += IO_USER_BYTES / 2) {
        size_t left = sizeof(bulk) - sent;
        io_user_send(&user, bulk + sent, left < IO_USER_BYTES / 2 ? left : IO_USER_BYTES / 2);
        UNTIL(f, io_user_said_all(&user));
    }
    io_user_close(&user, false);
    UNTIL(f, server->ended);
    assert_int_equal(server->length - before, sizeof(bulk));
    assert_memory_equal(server->received + before, bulk, sizeof(bulk));
}

static void chunks_are_read_in_order_and_once(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 2, "B");
    respond(TURBO_FLAG_PROFILE1, 2, "B");
    wire.id.bytes[5] ^= 1; /* another session's */
    respond(TURBO_FLAG_PROFILE1, 1, "forged");
    wire.id.bytes[5] ^= 1;
    respond(TURBO_FLAG_PROFILE1, 1, "A");
    respond(TURBO_FLAG_PROFILE1, 3, "C");
    assert_true(io_user_heard(&user, "ABC"));
    io_user_close(&user, true);
}

static void what_is_behind_a_gap_comes_by_tcp(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "A");
    respond(TURBO_FLAG_PROFILE1, 3, "C");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, opened(server, 1, ""));
    peer_say(server, "BC");
    UNTIL(f, io_user_heard(&user, "ABC"));
    assert_true(io_user_went(&user, "resumed-on-tcp", NULL));
    peer_reset(server);
    UNTIL(f, io_user_ended(&user, TUNNEL_IO));
    io_user_close(&user, false);
}

/* What it waits for is what it needs: nobody but it looks at the clock. */
static void waiting_brings_it_about(void **state)
{
    struct fixture *f = *state;
    char text[8];
    size_t got;
    enum tunnel_result result;
    start(f);
    ask(f);
    struct peer *server = fixture_server(f, 0);
    while ((result = tunnel_io_read(user.io, text, sizeof(text), &got)) == TUNNEL_WANT_READ &&
           !io_user_went(&user, "classic", "no-response"))
        assert_int_equal(tunnel_io_wait(user.io, result, -1), TUNNEL_OK);
    UNTIL(f, passed(server, ""));
    peer_say(server, "flight");
    assert_int_equal(tunnel_io_wait(user.io, TUNNEL_WANT_READ, -1), TUNNEL_OK);
    assert_true(io_user_heard(&user, "flight"));
    io_user_close(&user, false);
}

static void it_speaks_with_the_proxy(void **state)
{
    struct fixture *f = *state;
    start(f);
    where.port = fixture_port(f, 0);
    where.udp_port = fixture_udp_port(f, 0);
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    io_user_turn(&user);
    struct peer *server = fixture_server(f, 0); /* by UDP alone: nobody looks at TCP meanwhile */
    peer_say(server, "flight");
    UNTIL(f, io_user_heard(&user, "flight"));
    io_user_say(&user, "answer");
    io_user_turn(&user);
    UNTIL(f, passed(server, "answer"));
    peer_say(server, " more");
    UNTIL(f, io_user_heard(&user, "flight more"));
    io_user_close(&user, false);
    UNTIL(f, server->ended);
}

/* ---- without UDP ---- */

static void a_refusal_is_classic(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    respond(TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED, 0, "");
    UNTIL(f, passed(fixture_server(f, 0), ""));
    assert_true(io_user_went(&user, "classic", "refused"));
    io_user_close(&user, false);
}

static void a_closed_udp_port_is_classic(void **state)
{
    struct fixture *f = *state;
    start(f);
    datagrams_close(edge); /* ICMP answers from now on */
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    struct peer *server = NULL;
    UNTIL(f, io_user_said_all(&user) && f->served_count > 0);
    server = fixture_server(f, 0);
    UNTIL(f, passed(server, ""));
    assert_true(io_user_went(&user, "classic", "udp-unreachable"));
    io_user_close(&user, false);
}

static void tcp_that_is_up_first_is_used(void **state)
{
    struct fixture *f = *state;
    start(f);
    where.always = false;
    dial();
    UNTIL(f, (io_user_turn(&user), io_user_report(&user).tcp_us > 0));
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    UNTIL(f, passed(fixture_server(f, 0), ""));
    assert_true(io_user_went(&user, "classic", "tcp-first"));
    assert_int_equal(edge->count, 0);
    io_user_close(&user, false);
}

static void other_words_pass_and_nothing_is_asked(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial();
    io_user_say(&user, "PING");
    struct peer *server = NULL;
    UNTIL(f, io_user_said_all(&user) && f->served_count > 0);
    server = fixture_server(f, 0);
    UNTIL(f, (io_user_turn(&user), peer_heard(server, "PING")));
    peer_say(server, "PONG");
    UNTIL(f, io_user_heard(&user, "PONG"));
    assert_int_equal(edge->count, 0);
    assert_true(io_user_went(&user, "opaque", "not-tls"));
    io_user_close(&user, false);
}

static void a_server_that_speaks_first_is_heard(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial();
    UNTIL(f, (io_user_turn(&user), f->served_count > 0));
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "220 hello");
    UNTIL(f, io_user_heard(&user, "220 hello"));
    io_user_say(&user, "EHLO");
    UNTIL(f, (io_user_turn(&user), peer_heard(server, "EHLO")));
    io_user_close(&user, false);
}

/* ---- memory ---- */

static size_t requests_of_the_next(struct fixture *f, unsigned random)
{
    edge->count = 0;
    wire_client_init(&wire, random);
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    size_t count = edge->count;
    io_user_close(&user, true);
    UNTIL(f, aborted());
    return count;
}

static void an_address_that_has_answered_gets_all_requests(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(requests_of_the_next(f, 1), TURBO_REQUESTS_UNPROVEN);
    assert_int_equal(requests_of_the_next(f, 2), TURBO_REQUESTS_UNPROVEN); /* forgotten */
    where.memory = tunnel_memory_new();
    assert_non_null(where.memory);
    assert_int_equal(requests_of_the_next(f, 3), TURBO_REQUESTS_UNPROVEN);
    assert_true(requests_of_the_next(f, 4) > TURBO_REQUESTS_UNPROVEN);
    tunnel_memory_free(where.memory);
    tunnel_memory_free(NULL);
}

static void others_know_at_once_that_it_has_answered(void **state)
{
    struct fixture *f = *state;
    static struct io_user first;
    start(f);
    where.memory = tunnel_memory_new();
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    first = user;
    assert_true(requests_of_the_next(f, 2) > TURBO_REQUESTS_UNPROVEN);
    io_user_close(&first, true);
    tunnel_memory_free(where.memory);
}

static void where_udp_is_silent_it_is_not_asked_in_vain(void **state)
{
    struct fixture *f = *state;
    start(f);
    where.memory = tunnel_memory_new();
    for (unsigned i = 0; i < TURBO_SILENT_IN_ROW; i++) {
        wire_client_init(&wire, i);
        edge->count = 0;
        ask(f);
        UNTIL(f, passed(fixture_server(f, i), ""));
        io_user_close(&user, false);
    }
    edge->count = 0;
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    UNTIL(f, io_user_said_all(&user) && f->served_count > TURBO_SILENT_IN_ROW);
    UNTIL(f, passed(fixture_server(f, TURBO_SILENT_IN_ROW), ""));
    assert_true(io_user_went(&user, "classic", "udp-paused"));
    assert_int_equal(edge->count, 0);
    io_user_close(&user, false);
    tunnel_memory_free(where.memory);
}

/* 300 addresses, the first one again and again. */
static void memory_forgets_what_was_not_used_for_the_longest(void **state)
{
    struct fixture *f = *state;
    int silent = start_silent(f);
    where.memory = tunnel_memory_new();
    (void)requests_of_the_next(f, 1);
    uint16_t udp_port = where.udp_port;
    for (uint16_t i = 0; i < 300; i++) {
        where.udp_port = (uint16_t)(i + 1); /* nobody is there */
        dial();
        io_user_turn(&user);
        io_user_close(&user, true);
        if (i == 150) {
            where.udp_port = udp_port;
            assert_true(requests_of_the_next(f, 2) > TURBO_REQUESTS_UNPROVEN);
        }
    }
    where.udp_port = udp_port;
    assert_true(requests_of_the_next(f, 3) > TURBO_REQUESTS_UNPROVEN); /* 149 others since */
    for (uint16_t i = 0; i < 256; i++) {
        where.udp_port = (uint16_t)(i + 1000);
        dial();
        io_user_turn(&user);
        io_user_close(&user, true);
    }
    where.udp_port = udp_port;
    assert_int_equal(requests_of_the_next(f, 4), TURBO_REQUESTS_UNPROVEN);
    tunnel_memory_free(where.memory);
    close(silent);
}

/* Its session is over then, though the connection goes on. */
static void what_a_session_has_taught_is_known_once_it_is_settled(void **state)
{
    struct fixture *f = *state;
    static struct io_user first;
    start(f);
    where.memory = tunnel_memory_new();
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    io_user_say(&user, "answer");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, opened(server, 1, "answer"));
    peer_say(server, " more");
    UNTIL(f, io_user_heard(&user, "flight more"));
    first = user;
    /* One request for each chunk of such a flight, and the spare ones. */
    assert_int_equal(requests_of_the_next(f, 2), 1 + TURBO_REQUESTS_SPARE);
    io_user_close(&first, false);
    tunnel_memory_free(where.memory);
}

/* ---- ends ---- */

static void what_is_left_at_the_close_is_lost_with_a_reset(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    io_user_turn(&user);
    assert_true(io_user_report(&user).tcp_us > 0);
    struct peer *server = fixture_server(f, 0);
    io_user_close(&user, false);
    UNTIL(f, peer_was_reset(server) && aborted());
    assert_int_equal(server->length, 0);
}

static void a_reset_aborts_the_session(void **state)
{
    struct fixture *f = *state;
    int silent = start_silent(f);
    ask(f);
    io_user_close(&user, true);
    UNTIL(f, aborted());
    close(silent);
}

/* Nothing that was written is lost without a word: what ends the stream waits for all of it. */
static void what_ends_the_stream_waits_for_tcp(void **state)
{
    struct fixture *f = *state;
    size_t taken;
    int silent = start_silent(f);
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    user.io->ops->set_state(user.io, TUNNEL_HANDSHAKE_DONE);
    assert_int_equal(tunnel_io_write(user.io, "answer", 6, &taken), TUNNEL_OK);
    assert_int_equal(tunnel_io_write(user.io, "bytes", 5, &taken), TUNNEL_OK);
    user.io->ops->set_state(user.io, TUNNEL_BEING_SHUT_DOWN);
    assert_int_equal(tunnel_io_write(user.io, "end", 3, &taken), TUNNEL_WANT_WRITE);
    struct tunnel_watch watch;
    tunnel_io_watch(user.io, TUNNEL_WANT_WRITE, &watch);
    assert_true(watch.count >= 2 && watch.deadline_us > 0);
    io_user_close(&user, false); /* which is too early: the server end is told */
    UNTIL(f, aborted());
    close(silent);
}

static void once_tcp_is_up_the_end_follows(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    io_user_say(&user, "answer");
    io_user_turn(&user);
    user.io->ops->set_state(user.io, TUNNEL_BEING_SHUT_DOWN);
    io_user_say(&user, " end");
    UNTIL(f, io_user_said_all(&user));
    io_user_close(&user, false);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(wire_client_opened(&wire, server, 1, "answer end"));
    assert_int_equal(server->error, 0);
}

static void bytes_from_tcp_after_some_from_udp_are_nobodys(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    struct peer *server = fixture_server(f, 0);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    peer_say(server, "somebody else's");
    UNTIL(f, io_user_ended(&user, TUNNEL_IO));
    assert_true(error_has("different servers"));
    UNTIL(f, aborted());
    io_user_close(&user, true);
}

static void a_reset_before_the_opening_is_told(void **state)
{
    struct fixture *f = *state;
    start(f);
    ask(f);
    io_user_turn(&user);
    assert_true(io_user_report(&user).tcp_us > 0);
    peer_reset(fixture_server(f, 0));
    UNTIL(f, io_user_ended(&user, TUNNEL_IO));
    assert_true(error_has("Connection reset by peer"));
    io_user_say(&user, "answer");
    io_user_turn(&user);
    assert_int_equal(user.wrote, TUNNEL_IO);
    io_user_close(&user, false);
}

static void a_refused_connect_is_told(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    start(f);
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    where.port = port;
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED));
    assert_true(error_has("cannot connect to 127.0.0.1: ") && error_has("Connection refused"));
    io_user_close(&user, false);
    close(refusing);
}

static void silence_ends_with_the_time(void **state)
{
    struct fixture *f = *state;
    int silent = start_silent(f);
    where.timeout_ms = SOON_MS;
    ask(f);
    UNTIL(f, io_user_ended(&user, TUNNEL_TIMEOUT));
    assert_true(error_has("no connection to 127.0.0.7 within 50 ms: "));
    io_user_close(&user, false);
    close(silent);
}

/* ---- several addresses, several SYNs ---- */

static void another_address_gets_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct names names;
    uint16_t port = f->server_port;
    int refusing = fixture_refusing_port(NAMES_FIRST, &port);
    start(f);
    names_start(&names, f);
    where.host = "example.test";
    where.name_servers = names.server.name;
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    UNTIL(f, io_user_said_all(&user) && edge->count >= TURBO_REQUESTS_UNPROVEN);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, io_user_heard(&user, "flight"));
    io_user_say(&user, "answer");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, opened(server, 1, "answer"));
    assert_true(strncmp(io_user_report(&user).peer, NAMES_SECOND, strlen(NAMES_SECOND)) == 0);
    io_user_close(&user, false);
    names_stop(&names);
    close(refusing);
}

/* What was read came from the first host; the second one would contradict it. */
static void another_address_gets_nothing_once_bytes_were_read(void **state)
{
    struct fixture *f = *state;
    struct names names;
    struct address second;
    int silent = start_silent(f);
    assert_string_equal(where.host, NAMES_FIRST);
    assert_true(address_from_literal(&second, NAMES_SECOND, where.port));
    int listener = socket_listen_tcp(&second);
    names_start(&names, f);
    where.host = "example.test";
    where.name_servers = names.server.name;
    where.timeout_ms = 1000;
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    UNTIL(f, io_user_said_all(&user) && edge->count >= TURBO_REQUESTS_UNPROVEN);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    UNTIL(f, io_user_heard(&user, "flight"));
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED)); /* after half of the time */
    assert_true(error_has("does not take TCP"));
    io_user_close(&user, false);
    close(listener);
    names_stop(&names);
    close(silent);
}

/* The address is known to answer, and near: a SYN that is late is lost. */
static void a_lost_syn_is_followed_by_a_second_one(void **state)
{
    struct fixture *f = *state;
    struct tunnel_watch watch;
    start(f);
    where.memory = tunnel_memory_new();
    ask(f);
    respond(TURBO_FLAG_PROFILE1, 1, "flight");
    assert_true(io_user_heard(&user, "flight"));
    io_user_say(&user, "answer");
    UNTIL(f, opened(fixture_server(f, 0), 1, "answer"));
    io_user_close(&user, false);
    ev_io_stop(f->loop, &f->server_io);
    assert_int_equal(listen(f->server_fd, 0), 0);
    struct peer *filler = fixture_connect(f, "127.0.0.1", f->server_port);
    UNTIL(f, peer_is_up(filler));
    wire_client_init(&wire, 2);
    edge->count = 0;
    ask(f);
    tunnel_io_watch(user.io, TUNNEL_WANT_READ, &watch);
    assert_int_equal(watch.count, 2); /* a SYN and UDP */
    do {
        assert_int_equal(tunnel_io_wait(user.io, TUNNEL_WANT_READ, -1), TUNNEL_OK);
        io_user_turn(&user);
        tunnel_io_watch(user.io, TUNNEL_WANT_READ, &watch);
    } while (watch.count < 3);
    io_user_close(&user, true);
    UNTIL(f, aborted());
    tunnel_memory_free(where.memory);
}

/* ---- with libtunnel's own server end ---- */

static void many_meet_a_listener_in_one_thread(void **state)
{
    (void)state;
    struct tunnel_error error;
    struct tunnel_listener *listener =
        tunnel_listen_turbo(&(struct tunnel_listen){.host = "127.0.0.1"}, &error);
    assert_non_null(listener);
    const struct tunnel_io_dial there = {
        .host = "127.0.0.1", .port = tunnel_listener_port(listener), .always = true};
    size_t by_udp = 0;
    for (unsigned i = 0; i < IO_MANY; i++) {
        wire_client_init(&wire, i);
        io_many_client(i, tunnel_io_turbo(&there), wire.hello.bytes, wire.hello.length);
    }
    io_many_run(listener);
    for (size_t i = 0; i < IO_MANY; i++) {
        struct tunnel_io_report report = io_many_report(i);
        assert_true(report.tcp_us > 0);
        by_udp += report.first_udp_us > 0;
    }
    assert_true(by_udp > 0);
    io_many_close();
    tunnel_listener_close(listener);
}

/* ---- Sandwich's dialect ---- */

static struct turbo_datagram request_of(size_t number)
{
    struct turbo_datagram request;
    const struct datagram *d = &edge->received[number];
    assert_true(sandwich_request_decode(&request, d->bytes, d->length));
    return request;
}

/* To who sent request `number`: a TLS record. */
static void respond_in_sandwich(size_t number, uint32_t index, const char *words)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX], record[64] = {22, 3, 3, 0, (uint8_t)strlen(words)};
    memcpy(record + 5, words, strlen(words));
    struct turbo_datagram response = {.dialect = TURBO_DIALECT_SANDWICH,
                                      .id = request_of(number).id,
                                      .sequence = index,
                                      .payload = record,
                                      .length = 5 + strlen(words)};
    datagrams_answer(edge, number, bytes, turbo_datagram_encode(&response, bytes));
}

static bool heard_record(const char *words)
{
    io_user_turn(&user);
    return user.length == 5 + strlen(words) && memcmp(user.received + 5, words, strlen(words)) == 0;
}

static void sandwich_is_asked_in_its_own_words(void **state)
{
    struct fixture *f = *state;
    start(f);
    where.sandwich = true;
    ask(f);
    UNTIL(f, edge->count >= SANDWICH_FIRST_FLIGHT);
    struct turbo_datagram first = request_of(0);
    assert_int_equal(first.sequence, 1);
    assert_int_equal(first.length, wire.hello.length);
    assert_memory_equal(first.payload, wire.hello.bytes, wire.hello.length);
    respond_in_sandwich(0, 1, "flight");
    assert_true(heard_record("flight"));
    struct peer *server = fixture_server(f, 0);
    assert_int_equal(server->length, 0); /* TCP keeps silent until the client's handshake is over */
    io_user_close(&user, true);
    UNTIL(f, peer_was_reset(server));
}

static bool somebody_else_asks(void)
{
    struct turbo_id first = request_of(0).id, last = request_of(edge->count - 1).id;
    io_user_turn(&user);
    return !turbo_id_equal(&first, &last);
}

static void after_a_lost_response_it_begins_anew(void **state)
{
    struct fixture *f = *state;
    start(f);
    where.sandwich = true;
    ask(f);
    respond_in_sandwich(0, 2, "the first one was lost");
    UNTIL(f, somebody_else_asks());
    struct peer *first = fixture_server(f, 0);
    (void)fixture_server(f, 1);
    UNTIL(f, peer_was_reset(first));
    respond_in_sandwich(edge->count - 1, 1, "flight");
    UNTIL(f, heard_record("flight"));
    io_user_close(&user, true);
}

static void sandwich_has_no_other_way_than_udp(void **state)
{
    struct fixture *f = *state;
    start(f);
    where.sandwich = true;
    datagrams_close(edge);
    dial();
    io_user_send(&user, wire.hello.bytes, wire.hello.length);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED));
    assert_true(error_has("nobody takes UDP there"));
    assert_true(io_user_went(&user, "failed", "udp-unreachable"));
    io_user_close(&user, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(the_first_one_only_warms_up),
        FIXTURE_CASE(an_answer_opens_with_a_tombstone_and_the_stream),
        FIXTURE_CASE(it_becomes_a_plain_connection),
        FIXTURE_CASE(chunks_are_read_in_order_and_once),
        FIXTURE_CASE(what_is_behind_a_gap_comes_by_tcp),
        FIXTURE_CASE(waiting_brings_it_about),
        FIXTURE_CASE(it_speaks_with_the_proxy),
        FIXTURE_CASE(a_refusal_is_classic),
        FIXTURE_CASE(a_closed_udp_port_is_classic),
        FIXTURE_CASE(tcp_that_is_up_first_is_used),
        FIXTURE_CASE(other_words_pass_and_nothing_is_asked),
        FIXTURE_CASE(a_server_that_speaks_first_is_heard),
        FIXTURE_CASE(an_address_that_has_answered_gets_all_requests),
        FIXTURE_CASE(others_know_at_once_that_it_has_answered),
        FIXTURE_CASE(where_udp_is_silent_it_is_not_asked_in_vain),
        FIXTURE_CASE(memory_forgets_what_was_not_used_for_the_longest),
        FIXTURE_CASE(what_a_session_has_taught_is_known_once_it_is_settled),
        FIXTURE_CASE(what_is_left_at_the_close_is_lost_with_a_reset),
        FIXTURE_CASE(a_reset_aborts_the_session),
        FIXTURE_CASE(what_ends_the_stream_waits_for_tcp),
        FIXTURE_CASE(once_tcp_is_up_the_end_follows),
        FIXTURE_CASE(bytes_from_tcp_after_some_from_udp_are_nobodys),
        FIXTURE_CASE(a_reset_before_the_opening_is_told),
        FIXTURE_CASE(a_refused_connect_is_told),
        FIXTURE_CASE(silence_ends_with_the_time),
        FIXTURE_CASE(another_address_gets_what_was_written),
        FIXTURE_CASE(another_address_gets_nothing_once_bytes_were_read),
        FIXTURE_CASE(a_lost_syn_is_followed_by_a_second_one),
        CASE(many_meet_a_listener_in_one_thread),
        FIXTURE_CASE(sandwich_is_asked_in_its_own_words),
        FIXTURE_CASE(after_a_lost_response_it_begins_anew),
        FIXTURE_CASE(sandwich_has_no_other_way_than_udp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
