/*
 * libtunnel's I/Os connect while memory or descriptors run out: at every n they connect all the
 * same, or say why not, and nothing of them is left behind.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/dns_server.h"
#include "tests/unit/support/hello.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/io.h"
#include "tunnel/net/address.h"
#include "tunnel/net/socket.h"

enum { TIMEOUT_MS = 5000, TURNS_MAX = 10000 };

static struct ev_loop *loop;
static struct dns_server names;
static struct hello hello;
static int listener, accepted = -1;
static uint8_t heard[2048];
static size_t heard_length;

static void answer(void *owner, struct dns_message *message)
{
    static const uint8_t address[] = {127, 0, 0, 1};
    (void)owner;
    if (message->type == DNS_A)
        dns_put_record(message, DNS_A, 60, address, sizeof(address));
    dns_server_send(&names, message);
}

/* What is not the I/O's: it has the memory that it needs. */
static void others_turn(void)
{
    struct address client;
    ssize_t n;
    faults_off();
    ev_run(loop, EVRUN_NOWAIT);
    if (accepted < 0)
        accepted = socket_accept(listener, &client);
    while (accepted >= 0 && (n = recv(accepted, heard + heard_length, sizeof(heard) - heard_length,
                                      MSG_DONTWAIT)) > 0)
        heard_length += (size_t)n;
    (void)poll(NULL, 0, heard_length == hello.length ? 0 : 1);
    faults_on();
}

static bool is_over(enum tunnel_result result)
{
    return result != TUNNEL_OK && result != TUNNEL_WANT_READ && result != TUNNEL_WANT_WRITE;
}

/* True: the ClientHello has come. */
static bool talk(struct tunnel_io *io)
{
    enum tunnel_result result = TUNNEL_OK;
    size_t said = 0, n;
    uint8_t byte;
    for (int turns = 0; !is_over(result) && heard_length < hello.length; turns++) {
        assert_true(turns < TURNS_MAX);
        if (said < hello.length) {
            result = tunnel_io_write(io, hello.bytes + said, hello.length - said, &n);
            said += n;
        } else {
            result = tunnel_io_read(io, &byte, 1, &n);
        }
        others_turn();
    }
    if (!is_over(result))
        return true;
    assert_true(result == TUNNEL_MEMORY || result == TUNNEL_UNREACHED || result == TUNNEL_TIMEOUT);
    assert_true(strlen(tunnel_io_error(io)) > 0);
    return false;
}

static bool survives(const struct tunnel_io_dial *dial,
                     struct tunnel_io *(*make)(const struct tunnel_io_dial *dial),
                     const struct fault *fault, unsigned n)
{
    size_t before = faults_blocks();
    bool good = false;
    struct tunnel_io_dial where = *dial;
    heard_length = 0;
    faults_plan(fault, n);
    faults_on();
    where.memory = tunnel_memory_new();
    struct tunnel_io *io = make(&where);
    if (io != NULL) {
        good = talk(io);
        io->ops->close(io, true);
    }
    tunnel_memory_free(where.memory);
    faults_off();
    bool struck = faults_cancel();
    assert_true(struck || good);
    socket_close(accepted);
    accepted = -1;
    assert_int_equal(faults_blocks(), before);
    return struck;
}

static void at_every_n(const struct tunnel_io_dial *dial,
                       struct tunnel_io *(*make)(const struct tunnel_io_dial *dial),
                       const struct fault *fault)
{
    unsigned n = 1;
    while (survives(dial, make, fault, n))
        n++;
    print_message("%s: %u times a failed %s\n", dial->host, n - 1, fault->name);
    faults_plan(NULL, 0);
}

static void connecting_at_every_n(void **state)
{
    struct address address;
    (void)state;
    hello_simple(&hello, 1);
    loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(loop);
    dns_server_start(&names, loop, answer, NULL);
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    listener = socket_listen_tcp(&address);
    assert_true(listener >= 0);
    struct tunnel_io_dial dial = {.host = "127.0.0.1",
                                  .port = address_port(&address),
                                  .timeout_ms = TIMEOUT_MS,
                                  .name_servers = names.name,
                                  .always = true};
    for (size_t i = 0; i < FAULTS; i++) {
        at_every_n(&dial, tunnel_io_tcp, &faults[i]);
        at_every_n(&dial, tunnel_io_turbo, &faults[i]);
    }
    /* Several in a row cost c-ares its tries, seconds each, and show nothing more. */
    dial.host = "server.test";
    at_every_n(&dial, tunnel_io_tcp, &faults[0]);
    dns_server_stop(&names, loop);
    ev_loop_destroy(loop);
    socket_close(listener);
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
        cmocka_unit_test_teardown(connecting_at_every_n, explain),
    };
    faults_install();
    return cmocka_run_group_tests_name("connecting", tests, NULL, NULL);
}
