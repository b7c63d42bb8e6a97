/* Clients that ask for a host: what they may, what they are told, and where their bytes go. */
#include "tests/unit/support/hello.h"
#include "tests/unit/support/wire_client.h"
#include "tests/unit/support/zone.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "tunnel/net/socket.h"

#define CONNECTED "HTTP/1.1 200 Connection established\r\n\r\n"

static struct zone zone;
static struct hello hello;

/* `listener` and `upstream`: more of each. The zone has the server as "server.test". */
static void start(struct fixture *f, const char *request, const char *listener,
                  const char *upstream)
{
    hello_make(&hello, &(struct hello_spec){.server_name = "server.test", .size = 1200});
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' protocol: TCP request: %s %s } "
                      "upstream { name: 'asked' protocol: TCP requested: true %s } "
                      "upstream { name: 'fixed' protocol: TCP server { address: '127.0.0.1:%u' } }",
                      request, listener, upstream, f->server_port);
    fixture_run_worker(f);
    zone_start(&zone, f);
    zone_add(&zone, &(struct zone_name){.name = "server.test", .addresses = "127.0.0.1"});
    if (!worker_listen(f->worker))
        fail_msg("%s", fixture_log(f));
}

static int close_zone(void **state)
{
    if (zone.loop != NULL)
        zone_stop(&zone);
    zone.loop = NULL;
    return fixture_close(state);
}

#define REQUEST_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, close_zone)

/* A route to whatever is at these hosts, at the server's port and another one. */
static const char *route(const struct fixture *f, const char *hosts)
{
    static char text[512];
    (void)snprintf(text, sizeof(text),
                   "route { requested_host: [%s] requested_port: [%u, 1] upstream: 'asked' }",
                   hosts, f->server_port);
    return text;
}

#define LOOPBACK "'127.0.0.0/8', '*'"

static void request(struct peer *client, const char *host, uint16_t port)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "CONNECT %s:%u HTTP/1.1\r\nHost: x\r\n\r\n", host, port);
    peer_say(client, text);
}

static struct peer *asking(struct fixture *f, const char *host, uint16_t port)
{
    struct peer *client = fixture_client(f);
    request(client, host, port);
    return client;
}

static bool begins_with(const struct peer *peer, const char *words)
{
    return peer->length >= strlen(words) && memcmp(peer->received, words, strlen(words)) == 0;
}

static bool has(const struct peer *peer, const char *words)
{
    return peer->length > 0 && memmem(peer->received, peer->length, words, strlen(words)) != NULL;
}

static bool nothing_is_left(const struct fixture *f)
{
    return f->worker->connections == 0 && f->worker->arrivals == NULL;
}

/* It has been told all of it in order, and goes. */
static void assert_refused(struct fixture *f, struct peer *client, const char *status,
                           const char *error, const char *record)
{
    UNTIL(f, client->ended);
    assert_true(begins_with(client, status));
    assert_true(has(client, error));
    peer_finish(client);
    UNTIL(f, nothing_is_left(f));
    assert_false(peer_was_reset(client));
    assert_true(fixture_logged(f, record));
}

/* What the client says now reaches the server, and back. */
static void assert_passes(struct fixture *f, struct peer *client, struct peer *server,
                          const char *answered)
{
    char words[256];
    peer_send(client, hello.bytes, hello.length);
    UNTIL(f, peer_heard_bytes(server, hello.bytes, hello.length));
    peer_say(server, "flight");
    (void)snprintf(words, sizeof(words), "%sflight", answered);
    UNTIL(f, peer_heard(client, words));
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, client->ended && server->ended && nothing_is_left(f));
}

/* ---- the usual course ---- */

static void a_name_is_connected_to(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = asking(f, "Server.Test.", f->server_port);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(client, CONNECTED));
    assert_passes(f, client, server, CONNECTED);
    assert_true(fixture_logged(f, "requested=server.test:"));
    assert_true(fixture_logged(f, "server=tcp:server.test:"));
}

static void an_address_is_connected_to(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = asking(f, "127.0.0.1", f->server_port);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(client, CONNECTED));
    assert_passes(f, client, server, CONNECTED);
    assert_int_equal(zone.asked, 0);
}

static void a_route_may_lead_to_a_server_of_its_own(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", "route { requested_host: 'nowhere.test' upstream: 'fixed' }", "");
    struct peer *client = asking(f, "nowhere.test", 443);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(client, CONNECTED));
    assert_passes(f, client, server, CONNECTED);
    assert_int_equal(zone.asked, 0);
}

/* Whether it comes in one segment with the request or a byte at a time. */
static void what_comes_behind_the_request_is_passed_on(void **state)
{
    struct fixture *f = *state;
    char text[128];
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    for (size_t piece = 4096; piece > 0; piece = piece > 1 ? 1 : 0) {
        uint8_t all[2048];
        struct peer *client = fixture_client(f);
        size_t length = (size_t)snprintf(text, sizeof(text),
                                         "CONNECT server.test:%u HTTP/1.1\r\n\r\n", f->server_port);
        memcpy(all, text, length);
        memcpy(all + length, hello.bytes, hello.length);
        length += hello.length;
        UNTIL(f, peer_is_up(client));
        for (size_t at = 0; at < length; at += piece, ev_run(f->loop, EVRUN_NOWAIT))
            peer_send(client, all + at, length - at < piece ? length - at : piece);
        struct peer *server = fixture_server(f, piece > 1 ? 0 : 1);
        UNTIL(f, peer_heard_bytes(server, hello.bytes, hello.length));
        assert_true(peer_heard(client, CONNECTED));
    }
}

/* SOCKS5: greeting, request, and what follows them, of a client that waits for nothing. */
static size_t put_socks(uint8_t *out, uint16_t port)
{
    const uint8_t all[] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, (uint8_t)(port >> 8), (uint8_t)port};
    memcpy(out, all, sizeof(all));
    memcpy(out + sizeof(all), hello.bytes, hello.length);
    return sizeof(all) + hello.length;
}

/* The largest message of SOCKS5 has fewer bytes than come behind the PROXY header here. */
static void all_stages_may_come_at_once(void **state)
{
    struct fixture *f = *state;
    static const char header[] = "PROXY TCP4 192.0.2.9 192.0.2.1 999 443\r\n";
    static const char replies[] = "\5\0\5\0\0\1\0\0\0\0\0\0";
    char listener[1024];
    uint8_t all[4096];
    (void)snprintf(listener, sizeof(listener), "proxy_protocol_from: '127.0.0.0/8' %s",
                   route(f, LOOPBACK));
    start(f, "SOCKS5", listener, "");
    for (size_t piece = 4096; piece > 0; piece = piece > 1 ? 1 : 0) {
        struct peer *client = fixture_client(f);
        size_t length = strlen(header);
        memcpy(all, header, length);
        length += put_socks(all + length, f->server_port);
        UNTIL(f, peer_is_up(client));
        for (size_t at = 0; at < length; at += piece, ev_run(f->loop, EVRUN_NOWAIT))
            peer_send(client, all + at, length - at < piece ? length - at : piece);
        struct peer *server = fixture_server(f, piece > 1 ? 0 : 1);
        UNTIL(f, peer_heard_bytes(server, hello.bytes, hello.length) &&
                     peer_heard_bytes(client, replies, sizeof(replies) - 1));
        peer_reset(client);
        UNTIL(f, nothing_is_left(f));
        assert_true(fixture_logged(f, "client=192.0.2.9:999"));
    }
}

static void a_server_may_speak_first(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = asking(f, "server.test", f->server_port);
    peer_say(fixture_server(f, 0), "SSH-2.0-x");
    UNTIL(f, peer_heard(client, CONNECTED "SSH-2.0-x"));
    peer_say(client, "SSH-2.0-y");
    UNTIL(f, peer_heard(fixture_server(f, 0), "SSH-2.0-y"));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=opaque reason=server-first"));
}

static void an_opaque_route_looks_at_nothing(void **state)
{
    struct fixture *f = *state;
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "route { opaque: true requested_host: '127.0.0.0/8' requested_port: %u "
                   "upstream: 'asked' }",
                   f->server_port);
    start(f, "HTTP_CONNECT", text, "");
    struct peer *client = asking(f, "127.0.0.1", f->server_port);
    peer_say(client, "\x16");
    UNTIL(f, peer_heard(fixture_server(f, 0), "\x16") && peer_heard(client, CONNECTED));
}

/* ---- refusals ---- */

static void what_no_route_allows_is_forbidden(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, "'server.test', '127.0.0.2/32'"), "");
    assert_refused(f, asking(f, "other.test", f->server_port), "HTTP/1.1 403 ",
                   "error=http_request_denied", "requested=other.test:");
    assert_refused(f, asking(f, "server.test", 22), "HTTP/1.1 403 ", "error=http_request_denied",
                   "reason=forbidden");
    assert_refused(f, asking(f, "127.0.0.1", f->server_port), "HTTP/1.1 403 ",
                   "error=http_request_denied", "requested=127.0.0.1:");
    assert_refused(f, asking(f, "[::1]", f->server_port), "HTTP/1.1 403 ",
                   "error=http_request_denied", "requested=[::1]:");
    assert_int_equal(f->served_count, 0);
    assert_int_equal(zone.asked, 0);
}

/* A name of anybody's may resolve to an address of ours. */
static void a_name_with_addresses_of_ours_is_forbidden(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, "'*'"), "");
    zone_add(&zone, &(struct zone_name){.name = "six.test", .addresses = "::1 ::ffff:127.0.0.1"});
    zone_add(&zone, &(struct zone_name){.name = "home.test", .addresses = "10.0.0.1 0.0.0.0"});
    static const char *const names[] = {"server.test", "six.test", "home.test"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_refused(f, asking(f, names[i], f->server_port), "HTTP/1.1 403 ",
                       "error=http_request_denied", "reason=forbidden");
    assert_int_equal(f->served_count, 0);
}

static void addresses_that_are_not_allowed_are_passed_over(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, "'*', '127.0.0.1/32'"), "");
    zone_add(&zone, &(struct zone_name){.name = "mixed.test",
                                        .addresses = "127.0.0.7 10.0.0.1 127.0.0.1 ::1"});
    uint16_t port = f->server_port;
    struct address address;
    assert_true(address_from_literal(&address, "127.0.0.7", port));
    int other = socket_listen_tcp(&address); /* it would take the connection */
    assert_true(other >= 0);
    struct peer *client = asking(f, "mixed.test", port);
    UNTIL(f, peer_heard(client, CONNECTED));
    assert_passes(f, client, fixture_server(f, 0), CONNECTED);
    assert_int_equal(socket_accept(other, &address), -1);
    socket_close(other);
}

static void the_next_address_is_tried_in_order(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    zone_add(&zone, &(struct zone_name){.name = "two.test", .addresses = "127.0.0.7 127.0.0.1"});
    struct peer *client = asking(f, "two.test", f->server_port);
    UNTIL(f, peer_heard(client, CONNECTED));
    assert_passes(f, client, fixture_server(f, 0), CONNECTED);
}

static void a_name_that_is_none_is_not_found(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    assert_refused(f, asking(f, "nowhere.test", f->server_port), "HTTP/1.1 502 ", "error=dns_error",
                   "reason=name-not-found");
    assert_true(fixture_logged(f, "cannot resolve a name that was asked for name=nowhere.test"));
}

static void a_port_that_is_closed_refuses(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    assert_refused(f, asking(f, "server.test", 1), "HTTP/1.1 502 ", "error=connection_refused",
                   "reason=upstream-unreached");
    assert_refused(f, asking(f, "127.0.0.1", 1), "HTTP/1.1 502 ", "error=connection_refused",
                   "requested=127.0.0.1:1");
}

static void to_nowhere_there_is_no_way(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, "'240.0.0.0/4'"), "");
    assert_refused(f, asking(f, "255.255.255.255", f->server_port), "HTTP/1.1 502 ",
                   "error=destination_ip_unroutable", "reason=upstream-unreached");
}

/* A host that never answers, with a route that leads there. */
static struct silent {
    uint16_t port;
    int fd;
} silent;

static void start_silent(struct fixture *f, const char *listener, const char *upstream)
{
    char text[512];
    silent.port = 0;
    silent.fd = fixture_refusing_port("127.0.0.1", &silent.port);
    (void)snprintf(text, sizeof(text),
                   "%s route { requested_host: '127.0.0.0/8' requested_host: '*' "
                   "requested_port: %u upstream: 'asked' }",
                   listener, silent.port);
    start(f, "HTTP_CONNECT", text, upstream);
    assert_int_equal(listen(silent.fd, 0), 0);
    struct peer *filler = fixture_connect(f, "127.0.0.1", silent.port);
    UNTIL(f, peer_is_up(filler));
}

static bool is_connecting(const struct fixture *f)
{
    const struct arrival *a = f->worker->arrivals;
    return a != NULL && a->far != NULL;
}

static struct peer *waiting(struct fixture *f)
{
    struct peer *client = asking(f, "127.0.0.1", silent.port);
    UNTIL(f, is_connecting(f));
    return client;
}

static void a_silent_host_is_waited_for_so_long(void **state)
{
    struct fixture *f = *state;
    start_silent(f, "", "connect_timeout_seconds: 0.05");
    assert_refused(f, waiting(f), "HTTP/1.1 504 ", "error=connection_timeout",
                   "reason=upstream-unreached");
    close(silent.fd);
}

static void and_no_longer_than_an_opening_may_take(void **state)
{
    struct fixture *f = *state;
    start_silent(f, "opening_timeout_seconds: 0.05", "");
    assert_refused(f, waiting(f), "HTTP/1.1 504 ", "error=connection_timeout",
                   "reason=upstream-unreached");
    close(silent.fd);
}

static void a_name_is_waited_for_no_longer_either(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    fixture_settings(f, 0)->opening_timeout_s = 0.05;
    zone.holds = ZONE_A;
    assert_refused(f, asking(f, "server.test", f->server_port), "HTTP/1.1 504 ",
                   "error=connection_timeout", "reason=name-not-found");
    zone_release(&zone);
}

static void without_descriptors_it_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = fixture_client(f);
    UNTIL(f, f->worker->arrivals != NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    request(client, "127.0.0.1", f->server_port);
    UNTIL(f, client->ended);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(begins_with(client, "HTTP/1.1 503 "));
    assert_true(has(client, "error=proxy_internal_error"));
}

static void what_is_no_request_is_told_so(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = fixture_client(f);
    peer_say(client, "GET / HTTP/1.1\r\n\r\n");
    assert_refused(f, client, "HTTP/1.1 405 ", "Allow: CONNECT", "reason=bad-request");
}

/* ---- who is refused, and leaves ---- */

enum { FLOOD = 300 * 1000 };

/* Had the rest not been read, it would have made the kernel reset the connection. */
static void the_answer_arrives_whatever_else_was_sent(void **state)
{
    struct fixture *f = *state;
    static uint8_t flood[FLOOD];
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = fixture_client(f);
    peer_deafen(client);
    peer_say(client, "GET / HTTP/1.1\r\n\r\n");
    peer_send(client, flood, sizeof(flood));
    UNTIL(f, client->sending_used == client->sending_length && f->worker->arrivals != NULL &&
                 f->worker->arrivals->stage == ARRIVAL_LEAVING);
    peer_hear(client);
    assert_refused(f, client, "HTTP/1.1 405 ", "Allow: CONNECT", "reason=bad-request");
}

static void who_does_not_leave_is_left(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = asking(f, "other.test", 22);
    turbo_time before = f->worker->now;
    UNTIL(f, client->ended && nothing_is_left(f)); /* without a word of the client's */
    assert_true(f->worker->now - before < 10 * TURBO_SECOND);
    assert_true(fixture_logged(f, "reason=forbidden"));
}

static void who_resets_is_gone_at_once(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = asking(f, "other.test", 22);
    UNTIL(f, client->ended);
    peer_reset(client);
    turbo_time before = f->worker->now;
    UNTIL(f, nothing_is_left(f));
    assert_true(f->worker->now - before < TURBO_SECOND);
}

/* ---- who goes before there is an answer ---- */

static void a_client_may_leave_before_its_request_is_whole(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = fixture_client(f);
    peer_say(client, "CONNECT server.t");
    peer_finish(client);
    UNTIL(f, fixture_logged(f, "reason=bad-request") && nothing_is_left(f));
    client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    peer_say(client, "CONNECT server.t");
    UNTIL(f, f->worker->arrivals != NULL);
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
}

static void an_end_behind_the_request_passes(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    struct peer *client = asking(f, "server.test", f->server_port);
    peer_send(client, hello.bytes, hello.length);
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(peer_heard_bytes(server, hello.bytes, hello.length));
}

static void a_client_that_resets_meanwhile_is_noticed_in_the_end(void **state)
{
    struct fixture *f = *state;
    start_silent(f, "", "connect_timeout_seconds: 0.05");
    peer_reset(waiting(f));
    UNTIL(f, nothing_is_left(f));
    close(silent.fd);
}

static void a_client_that_waits_for_a_connection_may_be_crowded_out(void **state)
{
    struct fixture *f = *state;
    start_silent(f, "", "");
    struct peer *client = waiting(f);
    f->worker->arrivals->connection.access.started = 1; /* long ago */
    f->worker->arrivals_max = 1;
    fixture_client(f);
    UNTIL(f, peer_was_reset(client));
    assert_true(fixture_logged(f, "reason=crowded-out"));
    close(silent.fd);
}

static void one_for_a_name_as_well(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    zone.holds = ZONE_A;
    struct peer *client = asking(f, "server.test", f->server_port);
    UNTIL(f, zone.held_count > 0);
    f->worker->arrivals->connection.access.started = 1;
    f->worker->arrivals_max = 1;
    fixture_client(f);
    UNTIL(f, peer_was_reset(client));
    zone_release(&zone);
    fixture_let_happen(f);
}

/* ---- what happens to the proxy meanwhile ---- */

static void a_listener_that_closes_keeps_who_waits(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    zone.holds = ZONE_A;
    struct peer *client = asking(f, "server.test", f->server_port);
    UNTIL(f, zone.held_count > 0);
    fixture_reconfigure(f,
                        "listener { address: '127.0.0.2:0' protocol: TCP route { upstream: 'u' } } "
                        "upstream { name: 'u' server { address: '127.0.0.1:1' } }");
    zone_release(&zone);
    UNTIL(f, peer_heard(client, CONNECTED));
    peer_send(client, hello.bytes, hello.length);
    UNTIL(f, peer_heard_bytes(fixture_server(f, 0), hello.bytes, hello.length));
}

static void a_drain_waits_for_the_answer(void **state)
{
    struct fixture *f = *state;
    start(f, "HTTP_CONNECT", route(f, LOOPBACK), "");
    zone.holds = ZONE_A;
    struct peer *client = asking(f, "server.test", f->server_port);
    UNTIL(f, zone.held_count > 0);
    worker_drain(f->worker);
    zone_release(&zone);
    UNTIL(f, peer_heard(client, CONNECTED));
    peer_send(client, hello.bytes, hello.length);
    UNTIL(f, peer_heard_bytes(fixture_server(f, 0), hello.bytes, hello.length));
}

static void a_worker_may_end_while_somebody_waits(void **state)
{
    struct fixture *f = *state;
    start_silent(f, "", "");
    waiting(f);
    zone.holds = ZONE_A;
    asking(f, "server.test", silent.port);
    UNTIL(f, zone.held_count > 0);
    close(silent.fd); /* the fixture ends the worker, and the sanitizer looks on */
}

/* ---- UDP ---- */

/* Where UDP is used the client begins before TCP is up, and its ClientHello leaves by UDP. */
static void where_udp_is_used_the_answer_comes_first(void **state)
{
    struct fixture *f = *state;
    char text[512];
    silent.port = 0;
    silent.fd = fixture_refusing_port("127.0.0.1", &silent.port);
    hello_make(&hello, &(struct hello_spec){.server_name = "server.test", .size = 700});
    (void)snprintf(text, sizeof(text),
                   "listener { address: '127.0.0.1:0' protocol: TCP request: HTTP_CONNECT "
                   "route { requested_host: '127.0.0.0/8' requested_port: %u upstream: 'asked' } } "
                   "upstream { name: 'asked' protocol: TURBO turbo: TRY requested: true "
                   "connect_timeout_seconds: 0.5 }",
                   silent.port);
    fixture_configure(f, "%s", text);
    fixture_serve(f);
    assert_int_equal(listen(silent.fd, 0), 0);
    struct peer *filler = fixture_connect(f, "127.0.0.1", silent.port);
    UNTIL(f, peer_is_up(filler));
    struct address address;
    assert_true(address_from_literal(&address, "127.0.0.1", silent.port));
    int fd = socket_listen_udp(&address);
    assert_true(fd >= 0);
    struct datagrams *edge = datagrams_new(f->loop, fd);
    struct peer *client = asking(f, "127.0.0.1", silent.port);
    UNTIL(f, peer_heard(client, CONNECTED));
    peer_send(client, hello.bytes, hello.length);
    UNTIL(f, edge->count > 0);
    /* And a server that is not reached after all resets it. */
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_true(fixture_logged(f, "reason=upstream-unreached"));
    datagrams_free(edge);
    close(silent.fd);
}

/* The same before the client has said a word. */
static void one_that_has_not_begun_is_reset_as_well(void **state)
{
    struct fixture *f = *state;
    silent.port = 0;
    silent.fd = fixture_refusing_port("127.0.0.1", &silent.port);
    fixture_configure(
        f,
        "listener { address: '127.0.0.1:0' protocol: TCP request: HTTP_CONNECT "
        "route { requested_host: '127.0.0.0/8' requested_port: %u upstream: 'asked' } } "
        "upstream { name: 'asked' protocol: TURBO turbo: TRY requested: true "
        "connect_timeout_seconds: 0.1 }",
        silent.port);
    fixture_serve(f);
    assert_int_equal(listen(silent.fd, 0), 0);
    struct peer *filler = fixture_connect(f, "127.0.0.1", silent.port);
    UNTIL(f, peer_is_up(filler));
    struct peer *client = asking(f, "127.0.0.1", silent.port);
    UNTIL(f, peer_heard(client, CONNECTED));
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_true(fixture_logged(f, "outcome=failed reason=upstream-unreached"));
    close(silent.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REQUEST_CASE(a_name_is_connected_to),
        REQUEST_CASE(an_address_is_connected_to),
        REQUEST_CASE(a_route_may_lead_to_a_server_of_its_own),
        REQUEST_CASE(what_comes_behind_the_request_is_passed_on),
        REQUEST_CASE(all_stages_may_come_at_once),
        REQUEST_CASE(a_server_may_speak_first),
        REQUEST_CASE(an_opaque_route_looks_at_nothing),
        REQUEST_CASE(what_no_route_allows_is_forbidden),
        REQUEST_CASE(a_name_with_addresses_of_ours_is_forbidden),
        REQUEST_CASE(addresses_that_are_not_allowed_are_passed_over),
        REQUEST_CASE(the_next_address_is_tried_in_order),
        REQUEST_CASE(a_name_that_is_none_is_not_found),
        REQUEST_CASE(a_port_that_is_closed_refuses),
        REQUEST_CASE(to_nowhere_there_is_no_way),
        REQUEST_CASE(a_silent_host_is_waited_for_so_long),
        REQUEST_CASE(and_no_longer_than_an_opening_may_take),
        REQUEST_CASE(a_name_is_waited_for_no_longer_either),
        REQUEST_CASE(without_descriptors_it_is_unavailable),
        REQUEST_CASE(what_is_no_request_is_told_so),
        REQUEST_CASE(the_answer_arrives_whatever_else_was_sent),
        REQUEST_CASE(who_does_not_leave_is_left),
        REQUEST_CASE(who_resets_is_gone_at_once),
        REQUEST_CASE(a_client_may_leave_before_its_request_is_whole),
        REQUEST_CASE(an_end_behind_the_request_passes),
        REQUEST_CASE(a_client_that_resets_meanwhile_is_noticed_in_the_end),
        REQUEST_CASE(a_client_that_waits_for_a_connection_may_be_crowded_out),
        REQUEST_CASE(one_for_a_name_as_well),
        REQUEST_CASE(a_listener_that_closes_keeps_who_waits),
        REQUEST_CASE(a_drain_waits_for_the_answer),
        REQUEST_CASE(a_worker_may_end_while_somebody_waits),
        REQUEST_CASE(where_udp_is_used_the_answer_comes_first),
        REQUEST_CASE(one_that_has_not_begun_is_reset_as_well),
    };
    return cmocka_run_group_tests_name("arrival_request", tests, NULL, NULL);
}
