/* Servers that are asked for STARTTLS before the client's bytes reach them. */
#include "tests/unit/support/wire_client.h"

#include <stdio.h>
#include <string.h>

#include "proxy/upstream.h"

#define EHLO      "EHLO [127.0.0.1]\r\n"
#define STARTTLS  "STARTTLS\r\n"
#define PROXY     "PROXY TCP4 127.0.0.1 127.0.0.1 "
#define CONNECTED "HTTP/1.1 200 Connection established\r\n\r\n"
/* What TLS begins with, in either direction. */
#define HELLO "\x16hello"
#define FLIGHT                                                                                     \
    "\x16"                                                                                         \
    "flight"

enum { BULK = 3 << 20 };

static struct wire_client wire;

static void start(struct fixture *f, const char *listener, const char *upstream)
{
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' %s route { %s upstream: 'u' } } "
                      "upstream { name: 'u' server { address: '127.0.0.1:%u' } starttls: SMTP %s }",
                      listener, strstr(listener, "CONNECT") ? "requested_host: 'x.test'" : "",
                      f->server_port, upstream);
    fixture_serve(f);
}

static struct peer *calling(struct fixture *f)
{
    struct peer *client = fixture_client(f);
    peer_say(client, HELLO);
    return client;
}

/* It says this, and then has heard that in all. */
static void says(struct fixture *f, struct peer *server, const char *words, const char *heard)
{
    peer_say(server, words);
    UNTIL(f, peer_heard(server, heard));
}

/* Up to its last word. */
static struct peer *asked(struct fixture *f)
{
    struct peer *server = fixture_server(f, 0);
    says(f, server, "220 x ESMTP\r\n", EHLO);
    says(f, server, "250-x\r\n250 STARTTLS\r\n", EHLO STARTTLS);
    return server;
}

static struct peer *agreed(struct fixture *f)
{
    struct peer *server = asked(f);
    peer_say(server, "220 go ahead\r\n");
    return server;
}

static bool nothing_is_left(const struct fixture *f)
{
    return f->worker->connections == 0 && fixture_upstream(f)->servers[0]->connections == 0;
}

static void assert_lost(struct fixture *f, struct peer *client, const char *record)
{
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(client->length, 0); /* none of the server's words */
    assert_true(fixture_logged(f, record));
}

/* ---- the usual course ---- */

static void then_both_ends_are_passed_on(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[BULK];
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = agreed(f);
    UNTIL(f, peer_heard(server, EHLO STARTTLS HELLO));
    peer_say(server, FLIGHT);
    UNTIL(f, peer_heard(client, FLIGHT));
    check_fill(bytes, 1, 0, sizeof(bytes));
    peer_send(client, bytes, sizeof(bytes));
    peer_send(server, bytes, sizeof(bytes));
    UNTIL(f, client->length == strlen(FLIGHT) + sizeof(bytes) &&
                 server->length == strlen(EHLO STARTTLS HELLO) + sizeof(bytes));
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, client->ended && server->ended && nothing_is_left(f));
    assert_memory_equal(client->received + strlen(FLIGHT), bytes, sizeof(bytes));
    assert_memory_equal(server->received + strlen(EHLO STARTTLS HELLO), bytes, sizeof(bytes));
}

static void its_words_may_come_a_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    static const char *const words[] = {"220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"};
    static const char *const heard[] = {EHLO, EHLO STARTTLS, EHLO STARTTLS HELLO};
    start(f, "protocol: TCP", "");
    calling(f);
    struct peer *server = fixture_server(f, 0);
    for (size_t i = 0; i < COUNT(words); i++) {
        for (const char *at = words[i]; *at != '\0'; at++, fixture_let_happen(f))
            peer_send(server, at, 1);
        UNTIL(f, peer_heard(server, heard[i]));
    }
}

static void a_proxy_header_comes_before_it(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "proxy_protocol: V1");
    calling(f);
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "220 x ESMTP\r\n");
    UNTIL(f, server->length > strlen(EHLO) &&
                 memcmp(server->received + server->length - strlen(EHLO), EHLO, strlen(EHLO)) == 0);
    assert_memory_equal(server->received, PROXY, strlen(PROXY));
    assert_ptr_equal(memchr(server->received, '\n', server->length),
                     server->received + server->length - strlen(EHLO) - 1);
}

/* They stay where they are, and so does what else the client sends. */
static void bytes_of_the_client_wait_for_the_go_ahead(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[BULK];
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f);
    check_fill(bytes, 1, 0, sizeof(bytes));
    peer_send(client, bytes, sizeof(bytes));
    struct peer *server = asked(f);
    fixture_let_happen(f);
    assert_true(peer_heard(server, EHLO STARTTLS));
    peer_say(server, "220 go ahead\r\n");
    size_t before = strlen(EHLO STARTTLS HELLO);
    UNTIL(f, server->length == before + sizeof(bytes));
    assert_memory_equal(server->received + before, bytes, sizeof(bytes));
}

static void an_end_of_the_client_waits_as_well(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f);
    peer_finish(client);
    struct peer *server = agreed(f);
    UNTIL(f, server->ended);
    assert_true(peer_heard(server, EHLO STARTTLS HELLO));
}

static void a_client_that_resets_takes_the_server_with_it(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = asked(f);
    peer_reset(client);
    peer_say(server, "220 go\r\n");
    UNTIL(f, peer_was_reset(server) && nothing_is_left(f));
}

/* ---- servers that do not ---- */

static void one_that_refuses_is_as_if_it_were_not_reached(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = asked(f);
    peer_say(server, "454 not now\r\n");
    assert_lost(f, client, "reason=starttls-refused");
    assert_true(peer_heard(server, EHLO STARTTLS)); /* and nothing of the client's */
    assert_true(fixture_logged(f, "does not begin TLS"));
    assert_true(fixture_logged(f, "said=\"454 not now\""));
}

static void one_that_does_not_offer_it_too(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = fixture_server(f, 0);
    says(f, server, "220 x\r\n", EHLO);
    peer_say(server, "250 x\r\n");
    assert_lost(f, client, "reason=starttls-refused");
}

static void one_that_says_more_has_injected(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = asked(f);
    peer_say(server, "220 go\r\n250 x\r\n");
    assert_lost(f, client, "reason=injected");
    assert_true(peer_heard(server, EHLO STARTTLS));
}

static void one_that_is_silent_is_waited_for_so_long(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "connect_timeout_seconds: 0.05");
    struct peer *client = calling(f);
    fixture_server(f, 0);
    assert_lost(f, client, "reason=starttls-refused");
    assert_true(fixture_logged(f, "fault=timeout"));
}

static void one_that_ends_is_lost(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = fixture_server(f, 0);
    peer_say(server, "220 x\r\n");
    peer_finish(server);
    assert_lost(f, client, "reason=starttls-refused");
}

/* What it had said by then is not for the client. */
static void one_that_resets_is_lost(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = asked(f);
    peer_say(server, "220 go");
    fixture_let_happen(f);
    peer_reset(server);
    assert_lost(f, client, "upstream=u");
}

static void and_so_is_one_that_resets_with_words_unread(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP", "");
    struct peer *client = calling(f), *server = fixture_server(f, 0);
    peer_say(server, "220 x\r\n250 x\r\n");
    peer_reset(server);
    assert_lost(f, client, "upstream=u");
}

/* ---- with what else there is ---- */

static void a_request_is_answered_once_it_has_agreed(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP request: HTTP_CONNECT", "");
    struct peer *client = fixture_client(f);
    peer_say(client, "CONNECT x.test:443 HTTP/1.1\r\n\r\n");
    struct peer *server = asked(f);
    fixture_let_happen(f);
    assert_int_equal(client->length, 0);
    peer_say(server, "220 go\r\n");
    UNTIL(f, peer_heard(client, CONNECTED));
    peer_say(client, HELLO);
    peer_finish(client);
    UNTIL(f, peer_heard(server, EHLO STARTTLS HELLO));
}

static void else_it_is_refused(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP request: HTTP_CONNECT", "");
    struct peer *client = fixture_client(f);
    peer_say(client, "CONNECT x.test:443 HTTP/1.1\r\n\r\n");
    peer_say(asked(f), "454 not now\r\n");
    UNTIL(f, client->ended);
    assert_memory_equal(client->received, "HTTP/1.1 502 ", strlen("HTTP/1.1 502 "));
    peer_finish(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "requested=x.test:443 server=tcp:127.0.0.1:"));
    assert_true(fixture_logged(f, "reason=starttls-refused"));
}

/* The near end's words take their time, and the far end's go on meanwhile. */
static void two_dialogues_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP request: HTTP_CONNECT starttls: SMTP", "");
    struct peer *client = fixture_client(f);
    peer_say(client, "CONNECT x.test:443 HTTP/1.1\r\n\r\n");
    agreed(f);
    UNTIL(f, client->length > strlen(CONNECTED));
    peer_say(client, "EHLO x\r\n");
    UNTIL(f, memmem(client->received, client->length, "STARTTLS", 8) != NULL);
    size_t before = client->length;
    peer_say(client, "STARTTLS\r\n");
    UNTIL(f, client->length > before && client->received[client->length - 1] == '\n');
    wire_client_init(&wire, 1);
    peer_send(client, wire.hello.bytes, wire.hello.length);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->length == strlen(EHLO STARTTLS) + wire.hello.length);
}

/* On trial it may just end: the client may begin yet. */
static void a_trial_may_be_refused(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TURBO sniff_timeout_seconds: 0.01", "");
    struct peer *client = fixture_client(f);
    peer_say(asked(f), "454 not now\r\n");
    UNTIL(f, fixture_logged(f, "does not begin TLS"));
    wire_client_init(&wire, 1);
    peer_send(client, wire.hello.bytes, wire.hello.length);
    struct peer *server = fixture_server(f, 1);
    says(f, server, "220 x\r\n", EHLO);
    says(f, server, "250-x\r\n250 STARTTLS\r\n", EHLO STARTTLS);
    peer_say(server, "220 go\r\n");
    UNTIL(f, server->length == strlen(EHLO STARTTLS) + wire.hello.length);
}

static void a_trial_that_has_agreed_is_taken(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TURBO sniff_timeout_seconds: 0.01", "");
    struct peer *client = fixture_client(f);
    struct peer *server = agreed(f);
    wire_client_init(&wire, 1);
    peer_send(client, wire.hello.bytes, wire.hello.length);
    UNTIL(f, server->length == strlen(EHLO STARTTLS) + wire.hello.length);
    assert_int_equal(f->served_count, 1);
}

static void a_session_by_udp_is_refused_with_it(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TURBO", "");
    wire_client_init(&wire, 1);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = asked(f);
    assert_int_equal(fixture_upstream(f)->pending, 1);
    assert_false(wire_client_was_refused(&wire));
    peer_say(server, "454 not now\r\n");
    UNTIL(f, wire_client_was_refused(&wire) && nothing_is_left(f));
    assert_int_equal(fixture_upstream(f)->pending, 0);
    assert_true(fixture_logged(f, "reason=starttls-refused"));
}

static void or_begins_with_it(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TURBO", "");
    wire_client_init(&wire, 1);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = agreed(f);
    UNTIL(f, server->length == strlen(EHLO STARTTLS) + wire.hello.length);
    peer_say(server, FLIGHT);
    UNTIL(f, wire_client_heard(&wire, FLIGHT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(then_both_ends_are_passed_on),
        FIXTURE_CASE(its_words_may_come_a_byte_at_a_time),
        FIXTURE_CASE(a_proxy_header_comes_before_it),
        FIXTURE_CASE(bytes_of_the_client_wait_for_the_go_ahead),
        FIXTURE_CASE(an_end_of_the_client_waits_as_well),
        FIXTURE_CASE(a_client_that_resets_takes_the_server_with_it),
        FIXTURE_CASE(one_that_refuses_is_as_if_it_were_not_reached),
        FIXTURE_CASE(one_that_does_not_offer_it_too),
        FIXTURE_CASE(one_that_says_more_has_injected),
        FIXTURE_CASE(one_that_is_silent_is_waited_for_so_long),
        FIXTURE_CASE(one_that_ends_is_lost),
        FIXTURE_CASE(one_that_resets_is_lost),
        FIXTURE_CASE(and_so_is_one_that_resets_with_words_unread),
        FIXTURE_CASE(a_request_is_answered_once_it_has_agreed),
        FIXTURE_CASE(else_it_is_refused),
        FIXTURE_CASE(two_dialogues_do_not_wait_for_each_other),
        FIXTURE_CASE(a_trial_may_be_refused),
        FIXTURE_CASE(a_trial_that_has_agreed_is_taken),
        FIXTURE_CASE(a_session_by_udp_is_refused_with_it),
        FIXTURE_CASE(or_begins_with_it),
    };
    return cmocka_run_group_tests_name("plain_starttls", tests, NULL, NULL);
}
