/*
 * Names and records are looked up while memory runs out: at every n each question is answered, if
 * only with a failure, the next one works, and nothing is left behind.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/check.h"

#include <arpa/inet.h>
#include <ev.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/net/resolver.h"
#include "proxy/net/socket.h"
#include "proxy/net/svcb.h"

enum { HEADER = 12, TYPE_A = 1, MESSAGE_MAX = 512 };

static struct ev_loop *loop;
static ev_io server;
static char server_name[32];

/* ---- a server: every name has an address, and a record with TurboTLS ---- */

static void serve(struct ev_loop *l, ev_io *io, int events)
{
    static const uint8_t address[] = {0xc0, HEADER, 0, TYPE_A, 0,   1, 0, 0,
                                      0,    60,     0, 4,      127, 0, 0, 1};
    static const uint8_t record[] = {
        0xc0, HEADER, 0, SVCB_TYPE_HTTPS, 0, 1, 0, 0, 0, 60, 0, 7, 0, 1, 0, 0xff, 0xc8, 0, 0};
    uint8_t bytes[2 * MESSAGE_MAX];
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    ssize_t length =
        recvfrom(io->fd, bytes, MESSAGE_MAX, 0, (struct sockaddr *)&from, &from_length);
    (void)l, (void)events;

    if (length <= HEADER)
        return;
    uint8_t type = bytes[length - 3];
    bytes[2] |= 0x80;
    bytes[7] = type == TYPE_A || type == SVCB_TYPE_HTTPS;
    if (type == TYPE_A) {
        memcpy(bytes + length, address, sizeof(address));
        length += (ssize_t)sizeof(address);
    } else if (type == SVCB_TYPE_HTTPS) {
        memcpy(bytes + length, record, sizeof(record));
        length += (ssize_t)sizeof(record);
    }
    (void)sendto(io->fd, bytes, (size_t)length, 0, (struct sockaddr *)&from, from_length);
}

static void start_server(void)
{
    struct address address;

    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    int fd = socket_listen_udp(&address);
    assert_true(fd >= 0);
    ev_io_init(&server, serve, fd, EV_READ);
    ev_io_start(loop, &server);
    (void)snprintf(server_name, sizeof(server_name), "127.0.0.1:%u", address_port(&address));
}

/* ---- look-ups ---- */

struct answers {
    unsigned expected, calls, good;
};

static void on_resolved(void *owner, const struct address *addresses, size_t count,
                        const char *error)
{
    struct answers *answers = owner;
    (void)addresses;

    answers->calls++;
    answers->good += count == 1;
    assert_int_equal(count == 0, error != NULL);
}

static void on_discovered(void *owner, bool known, bool turbo, uint16_t udp_port)
{
    struct answers *answers = owner;

    answers->calls++;
    answers->good += known && turbo && udp_port == 443;
}

/* How many of the two answers were good. */
static unsigned look_up(struct resolver *resolver, const char *host)
{
    struct answers answers = {0};

    answers.expected += resolver_resolve(resolver, host, on_resolved, &answers) != NULL;
    answers.expected += resolver_discover(resolver, host, 443, on_discovered, &answers) != NULL;
    for (int turns = 0; answers.calls < answers.expected; turns++) {
        assert_true(turns < 1000);
        ev_run(loop, EVRUN_ONCE);
    }
    assert_int_equal(answers.calls, answers.expected);
    return answers.good;
}

static bool survives(const struct fault *fault, unsigned n)
{
    size_t before = faults_blocks();
    const char *error = NULL;

    faults_plan(fault, n);
    faults_on();
    struct resolver *resolver = resolver_create(loop, 0, &error);
    unsigned good = 0;
    if (resolver == NULL)
        assert_non_null(error);
    else if (resolver_set_servers(resolver, server_name))
        good = look_up(resolver, "one.test");
    faults_off();
    bool struck = faults_cancel();
    assert_true(struck || good == 2);
    if (resolver != NULL && resolver_set_servers(resolver, server_name))
        assert_int_equal(look_up(resolver, "two.test"), 2);
    resolver_destroy(resolver);
    assert_int_equal(faults_blocks(), before);
    return struck;
}

static void at_every_n(void **state)
{
    unsigned n = 1;
    (void)state;

    assert_false(faults[0].descriptor || faults[0].in_a_row > 1);
    loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(loop);
    start_server();
    /* Several in a row cost c-ares its tries, seconds each, and show nothing more. */
    while (survives(&faults[0], n))
        n++;
    print_message("look-ups: %u times a failed %s\n", n - 1, faults[0].name);
    faults_plan(NULL, 0);
    ev_io_stop(loop, &server);
    close(server.fd);
    ev_loop_destroy(loop);
}

static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(at_every_n, explain),
    };
    faults_install();
    return cmocka_run_group_tests_name("look-ups", tests, NULL, NULL);
}
