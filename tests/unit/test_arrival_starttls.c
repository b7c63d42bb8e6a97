/* Clients that begin with STARTTLS: what leads to it is said here, and only TLS goes further. */
#include "tests/unit/support/hello.h"
#include "tests/unit/support/worker_fixture.h"

#include <stdio.h>
#include <string.h>

#include "proxy/arrival_parts.h"

#define CONNECTED "HTTP/1.1 200 Connection established\r\n\r\n"
#define PROXY     "PROXY TCP4 192.0.2.9 192.0.2.1 999 443\r\n"
#define CONNECT   "CONNECT x.test:443 HTTP/1.1\r\n\r\n"

static const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 210, 22, 47};

static struct hello hello;

static void start(struct fixture *f, const char *protocol, const char *more)
{
    hello_make(&hello, &(struct hello_spec){.server_name = "x.test", .size = 1300});
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' protocol: TCP starttls: %s %s "
                      "route { %s upstream: 'u' } } "
                      "upstream { name: 'u' server { address: '127.0.0.1:%u' } }",
                      protocol, more, strstr(more, "CONNECT") ? "requested_host: 'x.test'" : "",
                      f->server_port);
    fixture_serve(f);
}

static bool ends_with(const struct peer *peer, const char *words)
{
    size_t length = strlen(words);
    return peer->length >= length &&
           memcmp(peer->received + peer->length - length, words, length) == 0;
}

static bool has(const struct peer *peer, const char *words)
{
    return peer->length > 0 && memmem(peer->received, peer->length, words, strlen(words)) != NULL;
}

static bool nothing_is_left(const struct fixture *f)
{
    return f->worker->connections == 0 && f->worker->arrivals == NULL;
}

/* Up to the command before TLS. */
static struct peer *greeted(struct fixture *f)
{
    struct peer *client = fixture_client(f);
    UNTIL(f, ends_with(client, "\r\n") && has(client, "220 "));
    peer_say(client, "EHLO x\r\n");
    UNTIL(f, ends_with(client, "STARTTLS\r\n"));
    return client;
}

static struct peer *ready(struct fixture *f)
{
    struct peer *client = greeted(f);
    size_t before = client->length;
    peer_say(client, "STARTTLS\r\n");
    UNTIL(f, client->length > before && ends_with(client, "\r\n"));
    return client;
}

static void assert_reset(struct fixture *f, struct peer *client, const char *record)
{
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
    assert_true(fixture_logged(f, record));
}

/* ---- the usual course ---- */

static void what_follows_goes_to_the_server_and_nothing_before_it(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "");
    struct peer *client = ready(f);
    assert_int_equal(f->served_count, 0);
    size_t before = client->length;
    peer_send(client, hello.bytes, hello.length);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard_bytes(server, hello.bytes, hello.length));
    peer_say(server, "flight");
    UNTIL(f, client->length == before + strlen("flight") && ends_with(client, "flight"));
}

/* PROXY header, request and STARTTLS, from a client that waits where it must. */
static void all_stages_follow_each_other(void **state)
{
    struct fixture *f = *state;
    start(f, "POSTGRESQL", "request: HTTP_CONNECT proxy_protocol_from: '127.0.0.0/8'");
    for (size_t piece = 4096; piece > 0; piece = piece > 1 ? 1 : 0) {
        uint8_t all[256];
        size_t length = strlen(PROXY CONNECT);
        memcpy(all, PROXY CONNECT, length);
        memcpy(all + length, ssl_request, sizeof(ssl_request));
        length += sizeof(ssl_request);
        struct peer *client = fixture_client(f);
        UNTIL(f, peer_is_up(client));
        for (size_t at = 0; at < length; at += piece, ev_run(f->loop, EVRUN_NOWAIT))
            peer_send(client, all + at, length - at < piece ? length - at : piece);
        UNTIL(f, peer_heard(client, CONNECTED "S"));
        peer_send(client, hello.bytes, hello.length);
        struct peer *server = fixture_server(f, piece > 1 ? 0 : 1);
        UNTIL(f, peer_heard_bytes(server, hello.bytes, hello.length));
        peer_reset(client);
        UNTIL(f, nothing_is_left(f));
        assert_true(fixture_logged(f, "client=192.0.2.9:999"));
    }
}

static void tls_may_come_at_once_where_it_is_for_that(void **state)
{
    struct fixture *f = *state;
    start(f, "POSTGRESQL", "");
    hello_make(&hello, &(struct hello_spec){.server_name = "x.test", .alpn = "postgresql"});
    struct peer *client = fixture_client(f);
    peer_send(client, hello.bytes, hello.length);
    UNTIL(f, peer_heard_bytes(fixture_server(f, 0), hello.bytes, hello.length));
}

/* In one segment with the request, which is more than one read. */
static void also_right_behind_a_request(void **state)
{
    struct fixture *f = *state;
    static uint8_t all[16 * 1024];
    start(f, "POSTGRESQL", "request: HTTP_CONNECT proxy_protocol_from: '127.0.0.0/8'");
    hello_make(&hello,
               &(struct hello_spec){.server_name = "x.test", .alpn = "postgresql", .size = 12000});
    size_t length = strlen(PROXY CONNECT);
    memcpy(all, PROXY CONNECT, length);
    memcpy(all + length, hello.bytes, hello.length);
    struct peer *client = fixture_client(f);
    peer_send(client, all, length + hello.length);
    UNTIL(f, peer_heard_bytes(fixture_server(f, 0), hello.bytes, hello.length));
}

static void but_not_for_another_protocol(void **state)
{
    struct fixture *f = *state;
    start(f, "POSTGRESQL", "");
    struct peer *client = fixture_client(f);
    peer_send(client, hello.bytes, hello.length);
    assert_reset(f, client, "reason=no-tls");
}

/* ---- who does not begin TLS ---- */

static void bytes_with_the_command_are_injected(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "");
    struct peer *client = greeted(f);
    size_t before = client->length;
    peer_say(client, "STARTTLS\r\nMAIL");
    assert_reset(f, client, "reason=injected");
    assert_int_equal(client->length, before);
}

static void bytes_right_behind_it_that_are_no_tls_go_nowhere(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "");
    struct peer *client = ready(f);
    peer_say(client, "MAIL FROM:<x>\r\n");
    assert_reset(f, client, "reason=no-tls");
}

static void so_does_half_a_hello(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "");
    struct peer *client = ready(f);
    peer_send(client, hello.bytes, hello.length / 2);
    peer_finish(client);
    assert_reset(f, client, "reason=no-tls");
}

static void who_takes_leave_is_answered(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "");
    struct peer *client = greeted(f);
    peer_say(client, "QUIT\r\n");
    UNTIL(f, client->ended);
    assert_true(has(client, "221 "));
    peer_finish(client);
    UNTIL(f, nothing_is_left(f));
    assert_false(peer_was_reset(client));
    assert_true(fixture_logged(f, "reason=no-tls"));
}

static void who_just_ends_is_gone(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "");
    peer_finish(greeted(f));
    UNTIL(f, nothing_is_left(f));
    peer_reset(greeted(f));
    UNTIL(f, nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
}

static void who_takes_too_long_is_reset(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "opening_timeout_seconds: 0.05");
    assert_reset(f, fixture_client(f), "reason=opening-timeout");
}

static void one_that_listens_to_nothing_as_well(void **state)
{
    struct fixture *f = *state;
    start(f, "SMTP", "opening_timeout_seconds: 0.05");
    struct peer *client = greeted(f);
    peer_deafen(client);
    for (int i = 0; i < 20; i++)
        peer_say(client, "NOOP\r\n");
    assert_reset(f, client, "reason=opening-timeout");
}

/* ---- with a server that is connected already ---- */

static struct peer *asking(struct fixture *f)
{
    start(f, "SMTP", "request: HTTP_CONNECT");
    struct peer *client = fixture_client(f);
    peer_say(client, CONNECT);
    UNTIL(f, has(client, "220 ") && ends_with(client, "\r\n"));
    return client;
}

static void what_a_server_says_first_is_never_passed_on(void **state)
{
    struct fixture *f = *state;
    struct peer *client = asking(f);
    peer_say(client, "EHLO x\r\nSTARTTLS\r\n");
    peer_say(fixture_server(f, 0), "SECRET");
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_false(has(client, "SECRET"));
    assert_true(fixture_logged(f, "requested=x.test:443 server=tcp:127.0.0.1:"));
    assert_true(fixture_logged(f, "reason=server-first"));
}

/* Until the two seconds are over nobody turns round and round for the server's sake. */
static void a_server_is_dropped_when_the_client_takes_leave(void **state)
{
    struct fixture *f = *state;
    struct peer *client = asking(f), *server = fixture_server(f, 0);
    peer_say(client, "QUIT\r\n");
    UNTIL(f, client->ended);
    UNTIL(f, server->ended || server->error != 0);
    assert_false(nothing_is_left(f));
    peer_finish(client);
    UNTIL(f, nothing_is_left(f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(what_follows_goes_to_the_server_and_nothing_before_it),
        FIXTURE_CASE(all_stages_follow_each_other),
        FIXTURE_CASE(tls_may_come_at_once_where_it_is_for_that),
        FIXTURE_CASE(also_right_behind_a_request),
        FIXTURE_CASE(but_not_for_another_protocol),
        FIXTURE_CASE(bytes_with_the_command_are_injected),
        FIXTURE_CASE(bytes_right_behind_it_that_are_no_tls_go_nowhere),
        FIXTURE_CASE(so_does_half_a_hello),
        FIXTURE_CASE(who_takes_leave_is_answered),
        FIXTURE_CASE(who_just_ends_is_gone),
        FIXTURE_CASE(who_takes_too_long_is_reset),
        FIXTURE_CASE(one_that_listens_to_nothing_as_well),
        FIXTURE_CASE(what_a_server_says_first_is_never_passed_on),
        FIXTURE_CASE(a_server_is_dropped_when_the_client_takes_leave),
    };
    return cmocka_run_group_tests_name("arrival_starttls", tests, NULL, NULL);
}
