/* Connections that change hands with the sockets: accepted by one process, served by the next. */
#include "tests/unit/support/wire_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/arrival.h"
#include "proxy/listener.h"
#include "tunnel/net/socket.h"

enum { HEIRS_MAX = 8 };

static struct wire_client wire;

struct heir {
    int fds[HEIRS_MAX];
    size_t count, room;
    char listener[ADDRESS_TEXT_BYTES];
};

static bool take(void *owner, int fd, const struct address *listener)
{
    struct heir *h = owner;
    if (h->count == h->room)
        return false;
    address_text(listener, h->listener);
    h->fds[h->count++] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return true;
}

static void start(struct fixture *f, const char *listen)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "%s --upstream tcp:127.0.0.1:%u", listen, f->server_port);
}

static void who_has_said_nothing_is_passed_on(void **state)
{
    struct fixture *f = *state;
    struct heir heir = {.room = HEIRS_MAX};
    char expected[ADDRESS_TEXT_BYTES], byte;
    start(f, "--listen turbo:127.0.0.1:0");
    struct peer *silent = fixture_client(f), *half = fixture_client(f);
    UNTIL(f, f->worker->arrival_count == 2);
    peer_say(half, "\x16\x03\x01"); /* a ClientHello begins */
    fixture_let_happen(f);
    arrivals_pass_on(f->worker, take, &heir);
    assert_int_equal(heir.count, 1);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", fixture_port(f, 0));
    assert_string_equal(heir.listener, expected);
    assert_int_equal(f->worker->connections, 1);
    assert_int_equal(f->worker->arrival_count, 1);
    peer_say(silent, "for the heir");
    fixture_let_happen(f);
    assert_int_equal(recv(heir.fds[0], &byte, 1, 0), 1);
    assert_int_equal(byte, 'f');
    assert_true(peer_is_up(half));
    assert_int_equal(fixture_log_count(f, " connection "), 0); /* its record goes on as well */
    close(heir.fds[0]);
}

static void an_heir_that_is_full_leaves_the_others_where_they_are(void **state)
{
    struct fixture *f = *state;
    struct heir heir = {.room = 1};
    start(f, "--listen turbo:127.0.0.1:0");
    struct peer *clients[] = {fixture_client(f), fixture_client(f), fixture_client(f)};
    UNTIL(f, f->worker->arrival_count == COUNT(clients));
    arrivals_pass_on(f->worker, take, &heir);
    assert_int_equal(heir.count, 1);
    assert_int_equal(f->worker->arrival_count, COUNT(clients) - 1);
    for (size_t i = 0; i < COUNT(clients); i++)
        peer_say(clients[i], "PING");
    for (size_t i = 0; i < COUNT(clients) - 1; i++)
        UNTIL(f, peer_heard(fixture_server(f, i), "PING"));
    close(heir.fds[0]);
}

/* A socket that another process has accepted, here by another way. */
static int accepted_elsewhere(struct fixture *f, struct peer **client)
{
    struct address address, from;
    int fd = -1;
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    int listener = socket_listen_tcp(&address);
    *client = fixture_connect(f, "127.0.0.1", address_port(&address));
    UNTIL(f, (fd = socket_accept(listener, &from)) >= 0);
    socket_close(listener);
    return fd;
}

static void what_was_accepted_elsewhere_joins_a_session_here(void **state)
{
    struct fixture *f = *state;
    char listener[ADDRESS_TEXT_BYTES];
    struct peer *client;
    start(f, "--listen tcp:127.0.0.1:0 --listen turbo:127.0.0.1:0");
    (void)snprintf(listener, sizeof(listener), "127.0.0.1:%u", fixture_port(f, 1));
    worker_take(f->worker, accepted_elsewhere(f, &client), listener);
    assert_int_equal(f->worker->arrival_count, 1);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 1));
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    wire_client_tombstone(&wire, client, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_heard(client, "flight"));
}

static void what_came_where_nobody_listens_any_more_is_reset(void **state)
{
    struct fixture *f = *state;
    struct peer *client;
    start(f, "--listen turbo:127.0.0.1:0");
    worker_take(f->worker, accepted_elsewhere(f, &client), "192.0.2.1:443");
    UNTIL(f, client->error == ECONNRESET);
    assert_int_equal(f->worker->connections, 0);
}

static void one_that_was_reset_on_the_way_is_closed(void **state)
{
    struct fixture *f = *state;
    char listener[ADDRESS_TEXT_BYTES];
    struct peer *client;
    start(f, "--listen turbo:127.0.0.1:0");
    (void)snprintf(listener, sizeof(listener), "127.0.0.1:%u", fixture_port(f, 0));
    int fd = accepted_elsewhere(f, &client);
    peer_reset(client);
    UNTIL(f, socket_error(fd) != 0);
    worker_take(f->worker, fd, listener);
    UNTIL(f, f->worker->connections == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(who_has_said_nothing_is_passed_on),
        FIXTURE_CASE(an_heir_that_is_full_leaves_the_others_where_they_are),
        FIXTURE_CASE(what_was_accepted_elsewhere_joins_a_session_here),
        FIXTURE_CASE(what_came_where_nobody_listens_any_more_is_reset),
        FIXTURE_CASE(one_that_was_reset_on_the_way_is_closed),
    };
    return cmocka_run_group_tests_name("passing", tests, NULL, NULL);
}
