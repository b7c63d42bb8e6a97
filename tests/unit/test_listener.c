/* Listeners: the ports they take, what they accept, and what happens when there is no room. */
#include "tests/unit/support/wire_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/listener.h"
#include "tunnel/net/socket.h"

enum { MANY = 100 };

static struct wire_client wire;

static void start(struct fixture *f, const char *listen)
{
    wire_client_init(&wire, 1);
    fixture_start(f, "%s --upstream tcp:127.0.0.1:%u", listen, f->server_port);
}

/* ---- ports ---- */

static void port_0_is_the_same_for_tcp_and_udp(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:127.0.0.1:0");
    assert_true(fixture_port(f, 0) != 0);
    assert_int_equal(fixture_port(f, 0), fixture_udp_port(f, 0));
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    assert_int_equal(fixture_connect(f, "127.0.0.1", fixture_port(f, 0))->error, 0);
}

static void the_udp_port_may_be_another(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    struct address free_port;
    assert_true(address_from_literal(&free_port, "127.0.0.1", 0));
    int fd = socket_listen_udp(&free_port);
    port = address_port(&free_port);
    socket_close(fd);
    wire_client_init(&wire, 1);
    fixture_start(f, "--listen turbo:127.0.0.1:0,udp=%u --upstream tcp:127.0.0.1:%u", port,
                  f->server_port);
    assert_int_equal(fixture_udp_port(f, 0), port);
    assert_true(fixture_port(f, 0) != port);
    wire_client_ask(&wire, f, "127.0.0.1", port);
    fixture_server(f, 0);
}

static void what_was_chosen_is_printed(void **state)
{
    struct fixture *f = *state;
    char *text = NULL, expected[256];
    size_t length;
    start(f, "--listen turbo:127.0.0.1:0 --listen tcp:[::1]:0");
    FILE *out = open_memstream(&text, &length);
    worker_print_listeners(f->worker, out);
    (void)fclose(out);
    (void)snprintf(expected, sizeof(expected),
                   "listening turbo:127.0.0.1:%u,udp=%u\nlistening tcp:[::1]:%u\n",
                   fixture_port(f, 0), fixture_udp_port(f, 0), fixture_port(f, 1));
    assert_string_equal(text, expected);
    free(text);
}

static void cannot_listen(struct fixture *f, const char *listen, const char *why)
{
    fixture_parse(f, "%s --upstream tcp:127.0.0.1:%u", listen, f->server_port);
    fixture_run_worker(f);
    assert_false(worker_listen(f->worker));
    assert_true(fixture_logged(f, why));
    assert_true(fixture_logged(f, "error cannot listen on"));
}

static void a_tcp_port_in_use_is_told(void **state)
{
    struct fixture *f = *state;
    char listen[64];
    struct address taken;
    assert_true(address_from_literal(&taken, "127.0.0.1", 0));
    int fd = socket_listen_tcp(&taken);
    (void)snprintf(listen, sizeof(listen), "--listen tcp:127.0.0.1:%u", address_port(&taken));
    cannot_listen(f, listen, "is another server running on this port?");
    socket_close(fd);
}

static void a_udp_port_in_use_is_told(void **state)
{
    struct fixture *f = *state;
    char listen[64];
    struct address taken;
    assert_true(address_from_literal(&taken, "127.0.0.1", 0));
    int fd = socket_listen_udp(&taken);
    (void)snprintf(listen, sizeof(listen), "--listen turbo:127.0.0.1:0,udp=%u",
                   address_port(&taken));
    cannot_listen(f, listen, "cannot listen on the UDP port");
    socket_close(fd);
}

/* The command line could not tell, as the kernel chose the first one's port. */
static void a_port_of_another_listener_of_ours_is_told(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:127.0.0.1:0");
    struct config_listener *again = fixture_settings(f, 0);
    uint16_t port = fixture_port(f, 0);
    again->kind = ENDPOINT_TCP;
    assert_true(address_from_literal(&again->address, "0.0.0.0", port));
    assert_null(listener_open(f->worker, f->worker->generation, 0, NULL, NULL));
    assert_int_equal(fixture_log_count(f, "another --listen of this proxy has the port"), 1);
    again->kind = ENDPOINT_TURBO;
    again->same_udp_port = false;
    again->udp_port = fixture_udp_port(f, 0);
    assert_true(address_from_literal(&again->address, "127.0.0.1", 0));
    assert_null(listener_open(f->worker, f->worker->generation, 0, NULL, NULL));
    assert_int_equal(fixture_log_count(f, "another --listen of this proxy has the port"), 2);
}

static void a_link_local_address_without_its_interface_is_told(void **state)
{
    cannot_listen(*state, "--listen tcp:[fe80::1]:0",
                  "a link-local address needs its interface: [fe80::1%eth0]");
}

static void an_address_of_another_host_is_told(void **state)
{
    cannot_listen(*state, "--listen turbo:192.0.2.1:0", "the address is not one of this host's");
}

/* ---- families ---- */

static void ipv6_takes_tcp_and_udp(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:[::1]:0");
    wire_client_ask(&wire, f, "::1", fixture_udp_port(f, 0));
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    struct peer *client = fixture_connect(f, "::1", fixture_port(f, 0));
    wire_client_tombstone(&wire, client, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_heard(client, "flight"));
    peer_reset(client);
    UNTIL(f, f->worker->connections == 0);
    assert_true(fixture_logged(f, "client=[::1]:"));
}

static void the_wildcard_takes_both_families(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:*:0");
    static struct wire_client wire6;
    wire_client_init(&wire6, 2);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    peer_say(fixture_server(f, 0), "four");
    wire_client_ask(&wire6, f, "::1", fixture_udp_port(f, 0));
    peer_say(fixture_server(f, 1), "six");
    UNTIL(f, wire_client_heard(&wire, "four") && wire_client_heard(&wire6, "six"));
    struct peer *four = fixture_connect(f, "127.0.0.1", fixture_port(f, 0));
    struct peer *six = fixture_connect(f, "::1", fixture_port(f, 0));
    wire_client_tombstone(&wire, four, 0);
    wire_client_hello(&wire, four);
    wire_client_tombstone(&wire6, six, 0);
    wire_client_hello(&wire6, six);
    UNTIL(f, peer_heard(four, "four") && peer_heard(six, "six"));
    peer_reset(four);
    UNTIL(f, f->worker->connections == 1);
    assert_true(fixture_logged(f, "client=127.0.0.1:")); /* not as ::ffff:127.0.0.1 */
}

static void ipv6s_wildcard_takes_no_ipv4(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen tcp:[::]:0");
    struct peer *six = fixture_connect(f, "::1", fixture_port(f, 0));
    peer_say(six, "six");
    UNTIL(f, peer_heard(fixture_server(f, 0), "six"));
    struct peer *four = fixture_connect(f, "127.0.0.1", fixture_port(f, 0));
    UNTIL(f, four->error == ECONNREFUSED);
}

static void the_wildcard_is_printed_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    char expected[64];
    start(f, "--listen turbo:*:0 --listen tcp:[::]:0");
    (void)snprintf(expected, sizeof(expected), "turbo:*:%u,udp=%u", fixture_port(f, 0),
                   fixture_udp_port(f, 0));
    assert_string_equal(listener_text(f->worker->listeners[0]), expected);
    assert_int_equal(strncmp(listener_text(f->worker->listeners[1]), "tcp:[::]:", 9), 0);
}

static void several_listeners_share_the_upstream(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen tcp:127.0.0.1:0 --listen turbo:[::1]:0 --listen tcp:127.0.0.2:0");
    struct peer *first = fixture_connect(f, "127.0.0.1", fixture_port(f, 0));
    peer_say(first, "one");
    UNTIL(f, peer_heard(fixture_server(f, 0), "one"));
    struct peer *third = fixture_connect(f, "127.0.0.2", fixture_port(f, 2));
    peer_say(third, "three");
    UNTIL(f, peer_heard(fixture_server(f, 1), "three"));
}

/* ---- accepting ---- */

static void a_crowd_is_accepted(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:127.0.0.1:0");
    for (int i = 0; i < MANY; i++)
        fixture_client(f);
    UNTIL(f, f->worker->connections == MANY);
}

/* No descriptor is left for accept; the connection waits in the kernel until there is one. */
static void running_out_of_descriptors_is_logged_once_and_passes(void **state)
{
    struct fixture *f = *state;
    static const char message[] = "out of descriptors or memory";
    struct rlimit limit;
    if (fixture_under_valgrind())
        skip();
    start(f, "--listen turbo:127.0.0.1:0");
    struct peer *client = fixture_client(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)client->fd, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(f, !f->worker->accepting);
    UNTIL(f, f->worker->accepting);  /* it tries again */
    UNTIL(f, !f->worker->accepting); /* in vain */
    assert_int_equal(f->worker->connections, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(fixture_log_count(f, message), 1);
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    assert_true(f->worker->accepting);
}

static void a_paused_listener_accepts_after_it_resumes(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen tcp:127.0.0.1:0");
    listener_pause(f->worker->listeners[0]);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client)); /* the kernel has it */
    fixture_let_happen(f);
    assert_int_equal(f->worker->connections, 0);
    listener_resume(f->worker->listeners[0]);
    UNTIL(f, f->worker->connections == 1);
}

static void a_drained_listener_refuses_and_does_not_resume(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen tcp:127.0.0.1:0");
    uint16_t port = fixture_port(f, 0);
    listener_drain(f->worker->listeners[0], false);
    listener_resume(f->worker->listeners[0]);
    struct peer *client = fixture_connect(f, "127.0.0.1", port);
    UNTIL(f, client->error == ECONNREFUSED);
}

static void a_drained_turbo_listener_goes_on_for_its_pending_sessions(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:127.0.0.1:0");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    peer_say(fixture_server(f, 0), "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    listener_drain(f->worker->listeners[0], false);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 0);
    wire_client_hello(&wire, client);
    UNTIL(f, peer_heard(client, "flight"));
    listener_drain(f->worker->listeners[0], false);
    client = fixture_client(f);
    UNTIL(f, client->error == ECONNREFUSED);
}

static void a_listener_drained_at_once_does_not(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:127.0.0.1:0");
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    fixture_server(f, 0);
    listener_drain(f->worker->listeners[0], true);
    struct peer *client = fixture_client(f);
    UNTIL(f, client->error == ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(port_0_is_the_same_for_tcp_and_udp),
        FIXTURE_CASE(the_udp_port_may_be_another),
        FIXTURE_CASE(what_was_chosen_is_printed),
        FIXTURE_CASE(a_tcp_port_in_use_is_told),
        FIXTURE_CASE(a_udp_port_in_use_is_told),
        FIXTURE_CASE(a_port_of_another_listener_of_ours_is_told),
        FIXTURE_CASE(a_link_local_address_without_its_interface_is_told),
        FIXTURE_CASE(an_address_of_another_host_is_told),
        FIXTURE_CASE(ipv6_takes_tcp_and_udp),
        FIXTURE_CASE(the_wildcard_takes_both_families),
        FIXTURE_CASE(ipv6s_wildcard_takes_no_ipv4),
        FIXTURE_CASE(the_wildcard_is_printed_as_it_was_given),
        FIXTURE_CASE(several_listeners_share_the_upstream),
        FIXTURE_CASE(a_crowd_is_accepted),
        FIXTURE_CASE(running_out_of_descriptors_is_logged_once_and_passes),
        FIXTURE_CASE(a_paused_listener_accepts_after_it_resumes),
        FIXTURE_CASE(a_drained_listener_refuses_and_does_not_resume),
        FIXTURE_CASE(a_drained_turbo_listener_goes_on_for_its_pending_sessions),
        FIXTURE_CASE(a_listener_drained_at_once_does_not),
    };
    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
