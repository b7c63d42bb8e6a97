/* Datagrams on listening sockets: which address they asked, and that replies leave from there. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/net/address.h"
#include "tunnel/net/socket.h"
#include "tunnel/net/udp.h"

enum { WAIT_MS = 30000 };

static struct address literal(const char *host, uint16_t port)
{
    struct address address;
    assert_true(address_from_literal(&address, host, port));
    return address;
}

static void wait_for(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
}

/* A client bound to `client` asks `asked` of a socket that listens on `listening`. */
static void assert_answered_from(const char *listening, const char *asked, const char *client)
{
    struct address listener = literal(strcmp(listening, "*") == 0 ? "::" : listening, 0);
    bool dual = strcmp(listening, "*") == 0;
    int server = socket_listen(SOCK_DGRAM, &listener, dual, SOCKET_ALONE);
    assert_true(server >= 0);
    struct address to = literal(asked, address_port(&listener)), from = literal(client, 0);
    int fd = socket(address_family(&from), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &from.any, from.length), 0);
    assert_int_equal(sendto(fd, "question", 8, 0, &to.any, to.length), 8);
    wait_for(server);

    uint8_t buffer[100];
    struct udp_datagram in[UDP_BATCH];
    assert_int_equal(udp_receive(server, in), 1);
    assert_int_equal(in[0].length, 8);
    assert_memory_equal(in[0].data, "question", 8);
    struct address local, peer;
    address_from_turbo(&in[0].path.local, &local);
    address_from_turbo(&in[0].path.peer, &peer);
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
    address_from_sockaddr(&from, (struct sockaddr *)&bound, length);
    assert_true(address_equal(&peer, &from));
    address_set_port(&local, address_port(&to));
    assert_true(address_equal(&local, &to));

    struct udp_datagram out = {.path = in[0].path, .length = 6, .data = "answer"};
    assert_int_equal(udp_send(server, address_family(&listener), &out, 1, NULL), 1);
    wait_for(fd);
    length = sizeof(bound);
    assert_int_equal(recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&bound, &length),
                     6);
    assert_memory_equal(buffer, "answer", 6);
    address_from_sockaddr(&from, (struct sockaddr *)&bound, length);
    assert_true(address_equal(&from, &to));
    close(fd);
    socket_close(server);
}

static void an_ipv4_reply_leaves_from_the_address_asked(void **state)
{
    (void)state;
    assert_answered_from("0.0.0.0", "127.0.0.1", "127.0.0.1");
    assert_answered_from("0.0.0.0", "127.0.0.2", "127.0.0.1");
    assert_answered_from("127.0.0.3", "127.0.0.3", "127.0.0.9");
}

static void an_ipv6_reply_leaves_from_the_address_asked(void **state)
{
    (void)state;
    assert_answered_from("::1", "::1", "::1");
    assert_answered_from("::", "::1", "::1");
}

static void ipv4_on_a_dual_stack_socket_is_answered_from_the_address_asked(void **state)
{
    (void)state;
    assert_answered_from("*", "127.0.0.1", "127.0.0.1");
    assert_answered_from("*", "127.0.0.2", "127.0.0.1");
    assert_answered_from("*", "::1", "::1");
}

static void sizes_are_told_also_of_what_does_not_fit(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, TURBO_DATAGRAM_MAX, TURBO_DATAGRAM_MAX + 1, 9000};
    static uint8_t bytes[9000];
    struct udp_datagram in[UDP_BATCH];
    struct address listener = literal("127.0.0.1", 0);
    int server = socket_listen_udp(&listener);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check_fill(bytes, 1, 0, sizeof(bytes));
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_int_equal(sendto(fd, bytes, sizes[i], 0, &listener.any, listener.length), sizes[i]);
        wait_for(server);
        assert_int_equal(udp_receive(server, in), 1);
        size_t room = sizeof(in[0].data);
        if (sizes[i] > room)
            assert_true(in[0].length > room);
        else
            assert_int_equal(in[0].length, sizes[i]);
        assert_memory_equal(in[0].data, bytes, sizes[i] < room ? sizes[i] : room);
    }
    close(fd);
    socket_close(server);
}

static void nothing_there_is_eagain(void **state)
{
    (void)state;
    struct udp_datagram in[UDP_BATCH];
    struct address listener = literal("::1", 0);
    int server = socket_listen_udp(&listener);
    assert_int_equal(udp_receive(server, in), -1);
    assert_int_equal(errno, EAGAIN);
    socket_close(server);
}

static void several_come_and_go_at_once(void **state)
{
    (void)state;
    struct address listener = literal("127.0.0.1", 0);
    int server = socket_listen_udp(&listener);
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(client, &listener.any, listener.length), 0);
    struct udp_datagram out[UDP_BATCH], in[UDP_BATCH];
    for (int i = 0; i < UDP_BATCH; i++) {
        out[i].length = (size_t)i;
        memset(out[i].data, i, (size_t)i);
    }
    assert_int_equal(udp_send(client, AF_UNSPEC, out, UDP_BATCH, NULL), UDP_BATCH);
    assert_int_equal(udp_send(client, AF_UNSPEC, out, 3, NULL), 3);
    assert_int_equal(udp_receive(server, in), UDP_BATCH);
    for (int i = 0; i < UDP_BATCH; i++) {
        assert_int_equal(in[i].length, i);
        assert_memory_equal(in[i].data, out[i].data, (size_t)i);
    }
    assert_int_equal(udp_send(server, AF_INET, in, UDP_BATCH, NULL), UDP_BATCH);
    assert_int_equal(udp_receive(server, in), 3);
    assert_int_equal(udp_receive(client, in), UDP_BATCH);
    assert_int_equal(in[UDP_BATCH - 1].length, UDP_BATCH - 1);
    socket_close(client);
    socket_close(server);
}

static void a_reply_that_cannot_be_sent_is_told(void **state)
{
    (void)state;
    struct address listener = literal("127.0.0.1", 0), peer = literal("127.0.0.1", 9);
    struct address elsewhere = literal("192.0.2.1", 0); /* not an address of ours */
    struct udp_datagram out[3];
    memset(out, 0, sizeof(out));
    for (size_t i = 0; i < COUNT(out); i++) {
        out[i].length = 1;
        address_to_turbo(&peer, &out[i].path.peer);
        address_to_turbo(i == 1 ? &elsewhere : &listener, &out[i].path.local);
    }
    int server = socket_listen_udp(&listener);
    assert_int_equal(udp_send(server, AF_INET, out, 3, NULL), 1);
    assert_int_equal(udp_send(server, AF_INET, out + 1, 2, NULL), 0);
    assert_int_not_equal(errno, EAGAIN);
    assert_int_equal(udp_send(server, AF_INET, out + 2, 1, NULL), 1);
    socket_close(server);
}

/* ---- segments ---- */

enum { FLIGHTS = 3 };

/* A listening socket and FLIGHTS clients, which are on its paths. */
struct flights {
    int server, clients[FLIGHTS];
    struct turbo_path paths[FLIGHTS];
};

static struct flights flights_open(const char *listening, const char *asked)
{
    struct flights f;
    bool dual = strcmp(listening, "*") == 0;
    struct address listener = literal(dual ? "::" : listening, 0);
    f.server = socket_listen(SOCK_DGRAM, &listener, dual, SOCKET_ALONE);
    struct address to = literal(asked, address_port(&listener));
    for (size_t i = 0; i < FLIGHTS; i++) {
        struct udp_datagram in[UDP_BATCH];
        f.clients[i] = socket(address_family(&to), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(connect(f.clients[i], &to.any, to.length), 0);
        assert_int_equal(send(f.clients[i], "?", 1, 0), 1);
        wait_for(f.server);
        assert_int_equal(udp_receive(f.server, in), 1);
        f.paths[i] = in[0].path;
    }
    return f;
}

static void flights_close(struct flights *f)
{
    for (size_t i = 0; i < FLIGHTS; i++)
        close(f->clients[i]);
    socket_close(f->server);
}

static void fill_datagram(struct udp_datagram *d, const struct turbo_path *path, size_t number,
                          size_t length)
{
    d->path = *path;
    d->length = length;
    check_fill(d->data, (unsigned)number, 0, length);
}

/* `client` gets exactly those datagrams of its, as they were and in their order. */
static void assert_arrives(int client, const struct turbo_path *path,
                           const struct udp_datagram *sent, size_t count)
{
    uint8_t got[2 * TURBO_DATAGRAM_MAX];
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&sent[i].path, path, sizeof(*path)) != 0)
            continue;
        wait_for(client);
        assert_int_equal(recv(client, got, sizeof(got), MSG_TRUNC), sent[i].length);
        assert_memory_equal(got, sent[i].data, sent[i].length);
    }
    assert_int_equal(recv(client, got, sizeof(got), 0), -1);
}

/* Which client and how long, in the order of sending. */
static const struct {
    size_t client, length;
} mixed[] = {
    {0, 1198}, {0, 1198}, {0, 652},                      /* a flight */
    {0, 1200}, {0, 1198}, {0, 1198},                     /* parity, and repeats */
    {1, 1198}, {1, 1198},                                /* all of one size */
    {2, 100},                                            /* one alone */
    {1, 16},   {1, 16},   {1, 0},    {1, 16}, {1, 1200}, /* growing: not one flight */
    {2, 1},    {0, 1},
};

static void send_mixed(const struct flights *f, int family, struct udp_offload *offload)
{
    struct udp_datagram sent[COUNT(mixed)];
    for (size_t i = 0; i < COUNT(mixed); i++)
        fill_datagram(&sent[i], &f->paths[mixed[i].client], i, mixed[i].length);
    for (size_t done = 0; done < COUNT(mixed);) {
        int n = udp_send(f->server, family, sent + done, (int)(COUNT(mixed) - done), offload);
        assert_true(n > 0);
        done += (size_t)n;
    }
    for (size_t i = 0; i < FLIGHTS; i++)
        assert_arrives(f->clients[i], &f->paths[i], sent, COUNT(sent));
}

static void what_is_cut_by_the_kernel_arrives_as_it_was_sent(void **state)
{
    static const struct {
        const char *listening, *asked;
        int family;
    } ways[] = {{"127.0.0.1", "127.0.0.1", AF_INET},
                {"0.0.0.0", "127.0.0.2", AF_INET},
                {"::1", "::1", AF_INET6},
                {"*", "127.0.0.1", AF_INET6}};
    (void)state;
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct udp_offload offload = {.refused = 0};
        struct flights f = flights_open(ways[i].listening, ways[i].asked);
        send_mixed(&f, ways[i].family, &offload);
        assert_int_equal(offload.refused, 0);
        flights_close(&f);
    }
}

/* Segments need checksums: a socket that makes none has them refused (EINVAL). */
static void what_the_kernel_does_not_cut_leaves_one_by_one(void **state)
{
    struct udp_offload offload = {.refused = 0};
    struct flights f = flights_open("127.0.0.1", "127.0.0.1");
    int one = 1, none = 0;
    (void)state;
    assert_int_equal(setsockopt(f.server, SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)), 0);
    send_mixed(&f, AF_INET, &offload);
    assert_true(offload.refused > 0);
    unsigned before = offload.refused;
    send_mixed(&f, AF_INET, &offload);
    assert_true(offload.refused < before); /* it is not tried each time, but again */
    offload.refused = 1;
    send_mixed(&f, AF_INET, &offload);
    assert_int_equal(offload.refused, 0);
    send_mixed(&f, AF_INET, &offload);
    assert_true(offload.refused > 1);
    assert_int_equal(setsockopt(f.server, SOL_SOCKET, SO_NO_CHECK, &none, sizeof(none)), 0);
    offload.refused = 1;
    send_mixed(&f, AF_INET, &offload);
    send_mixed(&f, AF_INET, &offload);
    assert_int_equal(offload.refused, 0);
    flights_close(&f);
}

/* What cannot be sent in whatever way says nothing of segments. */
static void a_failure_of_another_kind_is_not_remembered(void **state)
{
    struct udp_offload offload = {.refused = 0};
    struct flights f = flights_open("127.0.0.1", "127.0.0.1");
    struct address elsewhere = literal("192.0.2.1", 0); /* not an address of ours */
    struct turbo_path path = f.paths[0];
    struct udp_datagram out[2];
    (void)state;
    address_to_turbo(&elsewhere, &path.local);
    for (size_t i = 0; i < COUNT(out); i++)
        fill_datagram(&out[i], &path, i, 100);
    assert_int_equal(udp_send(f.server, AF_INET, out, 2, &offload), 0);
    assert_int_equal(offload.refused, 0);
    flights_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_cut_by_the_kernel_arrives_as_it_was_sent),
        CASE(what_the_kernel_does_not_cut_leaves_one_by_one),
        CASE(a_failure_of_another_kind_is_not_remembered),
        CASE(an_ipv4_reply_leaves_from_the_address_asked),
        CASE(an_ipv6_reply_leaves_from_the_address_asked),
        CASE(ipv4_on_a_dual_stack_socket_is_answered_from_the_address_asked),
        CASE(sizes_are_told_also_of_what_does_not_fit),
        CASE(nothing_there_is_eagain),
        CASE(several_come_and_go_at_once),
        CASE(a_reply_that_cannot_be_sent_is_told),
    };
    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
