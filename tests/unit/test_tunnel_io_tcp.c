/* An I/O that connects TCP by name: what it connects to, what it says when it cannot, and its end.
 */
#include "tests/unit/support/io_many.h"
#include "tests/unit/support/io_user.h"
#include "tests/unit/support/zone.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

enum { SOON_MS = 50 };

static struct io_user user;
static struct zone zone;

static void start(struct fixture *f)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
}

static void dial(const char *host, uint16_t port, int timeout_ms)
{
    const struct tunnel_io_dial where = {.host = host, .port = port, .timeout_ms = timeout_ms};
    io_user_start(&user, tunnel_io_tcp(&where));
}

static void start_with_names(struct fixture *f, const char *name, const char *addresses)
{
    start(f);
    zone_start(&zone, f);
    zone_add(&zone, &(struct zone_name){.name = name, .addresses = addresses});
}

static void dial_by_name(const char *host, uint16_t port, int timeout_ms)
{
    const struct tunnel_io_dial where = {
        .host = host, .port = port, .timeout_ms = timeout_ms, .name_servers = zone.server.name};
    io_user_start(&user, tunnel_io_tcp(&where));
}

static bool error_has(const char *words)
{
    return strstr(tunnel_io_error(user.io), words) != NULL;
}

static const char *at(const char *host, uint16_t port)
{
    static char text[64];
    (void)snprintf(text, sizeof(text), "%s:%u", host, port);
    return text;
}

/* Port `port` of another address of this host's; -1 where somebody has it. */
static int listen_at(const char *host, uint16_t port)
{
    struct address address;
    assert_true(address_from_literal(&address, host, port));
    return socket_listen_tcp(&address);
}

/* ---- the usual course ---- */

static void bytes_go_both_ways(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial("127.0.0.1", f->server_port, 0);
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    peer_say(server, "PONG");
    UNTIL(f, io_user_heard(&user, "PONG"));
    struct tunnel_io_report report = io_user_report(&user);
    assert_string_equal(report.peer, at("127.0.0.1", f->server_port));
    assert_string_equal(report.outcome, "tcp");
    assert_null(report.reason);
    assert_true(report.tcp_us >= report.resolved_us && report.tcp_us > 0);
    assert_int_equal(report.first_udp_us, 0);
    peer_finish(server);
    UNTIL(f, io_user_ended(&user, TUNNEL_CLOSED));
    io_user_close(&user, false);
    UNTIL(f, server->ended);
    assert_int_equal(server->error, 0);
}

static void it_waits_for_what_it_needs(void **state)
{
    struct fixture *f = *state;
    size_t got;
    char byte;
    start(f);
    dial("127.0.0.1", f->server_port, 0);
    assert_int_equal(tunnel_io_write_all(user.io, "PING", 4, -1), TUNNEL_OK);
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "P");
    assert_int_equal(tunnel_io_wait(user.io, TUNNEL_WANT_READ, -1), TUNNEL_OK);
    assert_int_equal(tunnel_io_read(user.io, &byte, 1, &got), TUNNEL_OK);
    assert_int_equal(tunnel_io_wait(user.io, TUNNEL_WANT_READ, 0), TUNNEL_TIMEOUT);
    assert_int_equal(tunnel_io_wait(user.io, TUNNEL_WANT_WRITE, -1), TUNNEL_OK);
    io_user_close(&user, false);
}

static void a_reset_is_told_and_tells(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial("127.0.0.1", f->server_port, 0);
    io_user_say(&user, "PING");
    struct peer *server = NULL;
    UNTIL(f, io_user_said_all(&user));
    server = fixture_server(f, 0);
    io_user_close(&user, true);
    UNTIL(f, peer_was_reset(server));
    dial("127.0.0.1", f->server_port, 0);
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    server = fixture_server(f, 1);
    peer_reset(server);
    UNTIL(f, io_user_ended(&user, TUNNEL_IO));
    assert_true(error_has("reading from 127.0.0.1:") && error_has("Connection reset by peer"));
    signal(SIGPIPE, SIG_DFL); /* would end the test */
    io_user_say(&user, "PING");
    io_user_turn(&user);
    assert_int_equal(user.wrote, TUNNEL_IO);
    assert_true(error_has("writing to 127.0.0.1:") || error_has("reading from 127.0.0.1:"));
    io_user_close(&user, false);
}

/* Else the kernel resets a connection that is closed with bytes unread. */
static void what_was_written_is_delivered_though_bytes_are_unread(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial("127.0.0.1", f->server_port, 0);
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "unread");
    assert_int_equal(tunnel_io_wait(user.io, TUNNEL_WANT_READ, -1), TUNNEL_OK);
    assert_int_equal(tunnel_io_write_all(user.io, " bye", 4, -1), TUNNEL_OK);
    io_user_close(&user, false);
    UNTIL(f, peer_heard(server, "PING bye") && server->ended);
    assert_int_equal(server->error, 0);
}

/* ---- names ---- */

static void a_name_is_looked_up(void **state)
{
    struct fixture *f = *state;
    start_with_names(f, "server.test", "127.0.0.1");
    dial_by_name("server.test", f->server_port, 0);
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    assert_true(io_user_report(&user).resolved_us > 0);
    io_user_close(&user, false);
    zone_stop(&zone);
}

static void the_hosts_file_counts(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial("localhost", f->server_port, 0); /* whatever else it stands for, 127.0.0.1 takes it */
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    io_user_close(&user, false);
}

static void a_name_that_is_none_is_said_to_be(void **state)
{
    struct fixture *f = *state;
    start_with_names(f, "server.test", "127.0.0.1");
    dial_by_name("nowhere.test", f->server_port, 0);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED));
    assert_string_equal(tunnel_io_error(user.io),
                        "cannot resolve nowhere.test: Domain name not found");
    io_user_say(&user, "PING");
    io_user_turn(&user);
    assert_int_equal(user.wrote, TUNNEL_UNREACHED);
    io_user_close(&user, false);
    dial_by_name("no..name", f->server_port, 0);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED));
    assert_true(error_has("cannot resolve no..name: "));
    io_user_close(&user, false);
    zone_stop(&zone);
}

static void a_name_server_that_is_silent_does_not_hold_it_up(void **state)
{
    struct fixture *f = *state;
    start_with_names(f, "server.test", "127.0.0.1");
    zone.holds = DNS_A;
    dial_by_name("server.test", f->server_port, SOON_MS);
    UNTIL(f, io_user_ended(&user, TUNNEL_TIMEOUT));
    assert_string_equal(tunnel_io_error(user.io),
                        "the name server.test did not resolve within 50 ms");
    io_user_close(&user, false);
    dial_by_name("server.test", f->server_port, 0); /* closed while it is being looked up */
    io_user_turn(&user);
    io_user_close(&user, true);
    zone_stop(&zone);
}

static void hosts_must_be_some(void **state)
{
    (void)state;
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    const char *const hosts[] = {NULL, "", longest};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        const struct tunnel_io_dial where = {.host = hosts[i], .port = 443};
        errno = 0;
        assert_null(tunnel_io_tcp(&where));
        assert_int_equal(errno, EINVAL);
        assert_null(tunnel_io_turbo(&where));
    }
}

/* ---- addresses ---- */

static void a_refusal_names_the_address(void **state)
{
    struct fixture *f = *state;
    char words[128];
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    start(f);
    dial("127.0.0.1", port, 0);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED));
    (void)snprintf(words, sizeof(words),
                   "cannot connect to 127.0.0.1: 127.0.0.1:%u: Connection refused", port);
    assert_string_equal(tunnel_io_error(user.io), words);
    struct tunnel_io_report report = io_user_report(&user);
    assert_string_equal(report.peer, "");
    assert_int_equal(report.tcp_us, 0);
    io_user_close(&user, false);
    close(refusing);
}

static void an_interface_belongs_to_its_address(void **state)
{
    struct fixture *f = *state;
    start(f);
    dial("fe80::1%lo", 9, SOON_MS);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED) || user.read == TUNNEL_TIMEOUT);
    assert_true(error_has("[fe80::1%lo]:9: "));
    io_user_close(&user, false);
}

static void every_address_is_tried_and_every_failure_told(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.7", &port);
    int other = listen_at("127.0.0.8", port);
    assert_true(other >= 0);
    close(other);
    start_with_names(f, "server.test", "127.0.0.7 127.0.0.8");
    dial_by_name("server.test", port, 0);
    UNTIL(f, io_user_ended(&user, TUNNEL_UNREACHED));
    assert_true(error_has("cannot connect to server.test: "));
    assert_true(error_has(at("127.0.0.7", port)) && error_has(at("127.0.0.8", port)));
    io_user_close(&user, false);
    close(refusing);
    zone_stop(&zone);
}

static void after_a_refusal_the_next_address_is_tried_at_once(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.7", &port);
    int listener = listen_at("127.0.0.1", port);
    while (listener < 0) {
        close(refusing);
        port = 0;
        refusing = fixture_refusing_port("127.0.0.7", &port);
        listener = listen_at("127.0.0.1", port);
    }
    start_with_names(f, "server.test", "127.0.0.7 127.0.0.1 ::1");
    dial_by_name("server.test", port, 0);
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    assert_string_equal(io_user_report(&user).peer, at("127.0.0.1", port));
    io_user_close(&user, false);
    close(listener);
    close(refusing);
    zone_stop(&zone);
}

static void an_address_that_is_silent_is_overtaken(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    start_with_names(f, "server.test", "127.0.0.7 127.0.0.1");
    int silent = fixture_silent_port(f, "127.0.0.7", &port);
    int listener = listen_at("127.0.0.1", port);
    assert_true(listener >= 0);
    dial_by_name("server.test", port, 0);
    io_user_say(&user, "PING");
    UNTIL(f, io_user_said_all(&user));
    assert_string_equal(io_user_report(&user).peer, at("127.0.0.1", port));
    io_user_close(&user, false);
    close(listener);
    close(silent);
    zone_stop(&zone);
}

static void silence_ends_with_the_time(void **state)
{
    struct fixture *f = *state;
    char words[128];
    uint16_t port = 0;
    start(f);
    int silent = fixture_silent_port(f, "127.0.0.7", &port);
    dial("127.0.0.7", port, SOON_MS);
    assert_int_equal(tunnel_io_write_all(user.io, "PING", 4, -1), TUNNEL_TIMEOUT);
    (void)snprintf(words, sizeof(words),
                   "no connection to 127.0.0.7 within 50 ms: 127.0.0.7:%u: no answer", port);
    assert_string_equal(tunnel_io_error(user.io), words);
    io_user_close(&user, false);
    close(silent);
}

/* ---- many ---- */

static void many_are_served_in_one_thread(void **state)
{
    (void)state;
    struct tunnel_error error;
    struct tunnel_listener *listener =
        tunnel_listen_tcp(&(struct tunnel_listen){.host = "127.0.0.1"}, &error);
    assert_non_null(listener);
    const struct tunnel_io_dial there = {.host = "127.0.0.1",
                                         .port = tunnel_listener_port(listener)};
    for (size_t i = 0; i < IO_MANY; i++)
        io_many_client(i, tunnel_io_tcp(&there), "PING", 4);
    io_many_run(listener);
    for (size_t i = 0; i < IO_MANY; i++)
        assert_string_equal(io_many_report(i).outcome, "tcp");
    io_many_close();
    tunnel_listener_close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(bytes_go_both_ways),
        FIXTURE_CASE(it_waits_for_what_it_needs),
        FIXTURE_CASE(a_reset_is_told_and_tells),
        FIXTURE_CASE(what_was_written_is_delivered_though_bytes_are_unread),
        FIXTURE_CASE(a_name_is_looked_up),
        FIXTURE_CASE(the_hosts_file_counts),
        FIXTURE_CASE(a_name_that_is_none_is_said_to_be),
        FIXTURE_CASE(a_name_server_that_is_silent_does_not_hold_it_up),
        CASE(hosts_must_be_some),
        FIXTURE_CASE(a_refusal_names_the_address),
        FIXTURE_CASE(an_interface_belongs_to_its_address),
        FIXTURE_CASE(every_address_is_tried_and_every_failure_told),
        FIXTURE_CASE(after_a_refusal_the_next_address_is_tried_at_once),
        FIXTURE_CASE(an_address_that_is_silent_is_overtaken),
        FIXTURE_CASE(silence_ends_with_the_time),
        CASE(many_are_served_in_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
