/* Sockets as the proxy wants them. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/ops/privileges.h"
#include "tests/unit/support/child.h"
#include "tunnel/net/socket.h"

enum { WAIT_MS = 30000, ORIGINAL_DESTINATION = 80, A_MARK = 77 };

static bool without_ipv6;

/* In place of libc's, which says what a host without IPv6 would. */
int socket(int domain, int type, int protocol)
{
    if (without_ipv6 && domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket, domain, type, protocol);
}

/* What netfilter says of every connection, if it says anything. */
static struct {
    bool speaks;
    int level; /* at which it must be asked */
    struct address destination;
} netfilter;

/* In place of libc's. */
int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (!netfilter.speaks || name != ORIGINAL_DESTINATION)
        return (int)syscall(SYS_getsockopt, fd, level, name, value, length);
    assert_int_equal(level, netfilter.level);
    assert_true(*length >= netfilter.destination.length);
    *length = netfilter.destination.length;
    memcpy(value, &netfilter.destination.any, *length);
    return 0;
}

static struct address literal(const char *host, uint16_t port)
{
    struct address address;
    assert_true(address_from_literal(&address, host, port));
    return address;
}

static void wait_for(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void assert_well_made(int fd)
{
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

struct pair {
    int listener, client, server;
    struct address address, seen; /* seen: the client, by the server */
};

static struct pair connect_pair(const char *host)
{
    struct pair p = {.address = literal(host, 0)};
    p.listener = socket_listen_tcp(&p.address);
    assert_true(p.listener >= 0);
    p.client = socket_connect_tcp(&p.address, 0);
    wait_for(p.listener, POLLIN);
    p.server = socket_accept(p.listener, &p.seen);
    wait_for(p.client, POLLOUT);
    return p;
}

static void close_pair(struct pair *p)
{
    socket_close(p->listener);
    socket_close(p->client);
    socket_close(p->server);
}

static struct address local_address(int fd)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    struct address address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
    address_from_sockaddr(&address, (struct sockaddr *)&bound, length);
    return address;
}

static void tcp_sockets_do_not_block_wait_or_leak(void **state)
{
    (void)state;
    struct pair p = connect_pair("127.0.0.1");
    const int fds[] = {p.listener, p.client, p.server};
    for (size_t i = 0; i < COUNT(fds); i++) {
        assert_well_made(fds[i]);
        assert_true(option(fds[i], IPPROTO_TCP, TCP_NODELAY) != 0);
        assert_true(option(fds[i], SOL_SOCKET, SO_KEEPALIVE) != 0);
    }
    assert_true(option(p.listener, SOL_SOCKET, SO_REUSEADDR) != 0);
    close_pair(&p);
}

static void the_port_the_kernel_chose_is_told(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "::1", "0.0.0.0", "::"};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct address tcp = literal(hosts[i], 0), udp = literal(hosts[i], 0);
        int fds[] = {socket_listen_tcp(&tcp), socket_listen_udp(&udp)};
        assert_well_made(fds[0]);
        assert_well_made(fds[1]);
        struct address tcp_bound = local_address(fds[0]), udp_bound = local_address(fds[1]);
        assert_true(address_port(&tcp) != 0 && address_equal(&tcp, &tcp_bound));
        assert_true(address_port(&udp) != 0 && address_equal(&udp, &udp_bound));
        socket_close(fds[0]);
        socket_close(fds[1]);
    }
}

static void accept_tells_who_it_is(void **state)
{
    (void)state;
    struct pair p = connect_pair("::1");
    struct address client = local_address(p.client), again;
    assert_true(address_equal(&p.seen, &client));
    assert_int_equal(socket_accept(p.listener, &again), -1);
    assert_int_equal(errno, EAGAIN);
    close_pair(&p);
}

static void a_dual_stack_socket_takes_ipv4_as_well(void **state)
{
    (void)state;
    struct address any = literal("192.0.2.1", 0), v4 = literal("127.0.0.1", 0), seen;
    int listener = socket_listen(SOCK_STREAM, &any, true, SOCKET_ALONE);
    assert_well_made(listener);
    struct address bound = local_address(listener);
    assert_int_equal(address_family(&any), AF_INET6);
    assert_true(address_equal(&any, &bound));
    address_set_port(&v4, address_port(&any));
    int client = socket_connect_tcp(&v4, 0);
    wait_for(listener, POLLIN);
    int server = socket_accept(listener, &seen);
    assert_int_equal(address_family(&seen), AF_INET);
    address_set_port(&any, 0);
    int udp = socket_listen(SOCK_DGRAM, &any, true, SOCKET_ALONE);
    assert_int_equal(option(udp, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    socket_close(udp);
    socket_close(server);
    socket_close(client);
    socket_close(listener);
}

static void all_others_keep_to_their_family(void **state)
{
    (void)state;
    static const char *const hosts[] = {"::", "::1"};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct address tcp = literal(hosts[i], 0), udp = literal(hosts[i], 0);
        int fds[] = {socket_listen_tcp(&tcp), socket_listen_udp(&udp)};
        assert_int_equal(option(fds[0], IPPROTO_IPV6, IPV6_V6ONLY), 1);
        assert_int_equal(option(fds[1], IPPROTO_IPV6, IPV6_V6ONLY), 1);
        socket_close(fds[0]);
        socket_close(fds[1]);
    }
}

static void without_ipv6_both_families_are_ipv4(void **state)
{
    (void)state;
    struct address tcp, udp, ipv6 = literal("::", 0);
    address_wildcard(&tcp, AF_INET6, 0);
    udp = tcp;
    without_ipv6 = true;
    int fds[] = {socket_listen(SOCK_STREAM, &tcp, true, SOCKET_ALONE),
                 socket_listen(SOCK_DGRAM, &udp, true, SOCKET_ALONE)};
    assert_int_equal(socket_listen_tcp(&ipv6), -1); /* what was asked for by name is not replaced */
    without_ipv6 = false;
    assert_well_made(fds[0]);
    assert_well_made(fds[1]);
    struct address tcp_bound = local_address(fds[0]), udp_bound = local_address(fds[1]);
    assert_int_equal(address_family(&tcp), AF_INET);
    assert_true(address_equal(&tcp, &tcp_bound));
    assert_true(address_equal(&udp, &udp_bound));
    socket_close(fds[0]);
    socket_close(fds[1]);
}

/* As systemd passes it: blocking, and without any of our options. */
static int foreign_socket(int family, int type)
{
    struct address address = literal(family == AF_INET ? "127.0.0.1" : "::1", 0);
    int fd = socket(family, type, 0);
    assert_int_equal(bind(fd, &address.any, address.length), 0);
    assert_true(type == SOCK_DGRAM || listen(fd, 1) == 0);
    return fd;
}

static void a_listener_of_others_is_prepared_like_ours(void **state)
{
    (void)state;
    struct address tcp6 = literal("::1", 0), udp6 = literal("::1", 0),
                   udp4 = literal("127.0.0.1", 0);
    const struct {
        int ours, type, family;
    } each[] = {{socket_listen_tcp(&tcp6), SOCK_STREAM, AF_INET6},
                {socket_listen_udp(&udp6), SOCK_DGRAM, AF_INET6},
                {socket_listen_udp(&udp4), SOCK_DGRAM, AF_INET}};
    static const int options[][2] = {{SOL_SOCKET, SO_REUSEADDR},
                                     {SOL_SOCKET, SO_KEEPALIVE},
                                     {SOL_SOCKET, SO_OOBINLINE},
                                     {IPPROTO_IP, IP_MTU_DISCOVER},
                                     {IPPROTO_IP, IP_PKTINFO},
                                     {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
                                     {IPPROTO_IPV6, IPV6_RECVPKTINFO},
                                     {IPPROTO_TCP, TCP_NODELAY},
                                     {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS}};
    for (size_t i = 0; i < COUNT(each); i++) {
        int foreign = foreign_socket(each[i].family, each[i].type);
        assert_true(socket_prepare_listener(foreign, each[i].type, each[i].family));
        assert_well_made(foreign);
        for (size_t k = 0; k < COUNT(options); k++) {
            if (options[k][0] == IPPROTO_TCP && each[i].type != SOCK_STREAM)
                continue;
            if (options[k][0] == IPPROTO_IPV6 && each[i].family != AF_INET6)
                continue;
            assert_int_equal(option(foreign, options[k][0], options[k][1]),
                             option(each[i].ours, options[k][0], options[k][1]));
        }
        socket_close(foreign);
        socket_close(each[i].ours);
    }
}

static void what_is_no_socket_cannot_be_prepared(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_false(socket_prepare_listener(pair[0], SOCK_STREAM, AF_INET));
    assert_false(socket_prepare_listener(-1, SOCK_DGRAM, AF_INET));
    close(pair[0]);
    close(pair[1]);
}

static void udp_is_not_fragmented(void **state)
{
    (void)state;
    struct pair p = connect_pair("127.0.0.1");
    struct address v4 = literal("0.0.0.0", 0), v6 = literal("::", 0);
    int fds[] = {socket_listen_udp(&v4), socket_listen(SOCK_DGRAM, &v6, true, SOCKET_ALONE),
                 socket_connect_udp(&p.address, p.client, 0)};
    assert_int_equal(option(fds[0], IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    assert_int_equal(option(fds[1], IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_PROBE);
    assert_int_equal(option(fds[1], IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    assert_int_equal(option(fds[2], IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    for (size_t i = 0; i < COUNT(fds); i++)
        socket_close(fds[i]);
    close_pair(&p);
}

/* Protocol §6.1: UDP leaves from the address that TCP leaves from. */
static void udp_leaves_from_tcps_address(void **state)
{
    (void)state;
    struct address listener = literal("127.0.0.1", 0), from = literal("127.0.0.9", 0);
    int fd = socket_listen_tcp(&listener);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(tcp, &from.any, from.length), 0);
    assert_int_equal(connect(tcp, &listener.any, listener.length), 0);
    int udp = socket_connect_udp(&listener, tcp, 0);
    assert_well_made(udp);
    struct address bound = local_address(udp), tcp_bound = local_address(tcp);
    assert_true(address_port(&bound) != 0);
    address_set_port(&bound, address_port(&tcp_bound));
    assert_true(address_equal(&bound, &tcp_bound));
    int another = socket_connect_udp(&listener, tcp, 0); /* the port is not TCP's, so it is free */
    assert_well_made(another);
    socket_close(another);
    assert_int_equal(socket_connect_udp(&listener, -1, 0), -1);
    socket_close(udp);
    socket_close(tcp);
    socket_close(fd);
}

static void failures_keep_their_errno_and_leave_no_descriptor(void **state)
{
    (void)state;
    struct address taken = literal("127.0.0.1", 0);
    int next = dup(0), fd;
    close(next);
    int listener = socket_listen_tcp(&taken), udp;
    struct address taken_udp = literal("127.0.0.1", 0);
    udp = socket_listen_udp(&taken_udp);
    assert_int_equal(socket_listen_tcp(&taken), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(socket_listen_udp(&taken_udp), -1);
    assert_int_equal(errno, EADDRINUSE);
    struct address elsewhere = literal("192.0.2.1", 0);
    assert_int_equal(socket_listen_tcp(&elsewhere), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    struct address broadcast = literal("255.255.255.255", 1);
    assert_int_equal(socket_connect_tcp(&broadcast, 0), -1);
    socket_close(listener);
    socket_close(udp);
    fd = dup(0);
    assert_int_equal(fd, next);
    close(fd);
}

static void a_refused_connect_is_a_pending_error(void **state)
{
    (void)state;
    struct address closed = literal("127.0.0.1", 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, so nobody else has it */
    assert_int_equal(bind(fd, &closed.any, closed.length), 0);
    closed = local_address(fd);
    int client = socket_connect_tcp(&closed, 0);
    wait_for(client, POLLOUT);
    assert_int_equal(socket_error(client), ECONNREFUSED);
    assert_int_equal(socket_error(client), 0);
    assert_int_equal(socket_error(-1), EBADF);
    socket_close(client);
    socket_close(fd);
}

static void reset_and_close_differ_for_the_peer(void **state)
{
    (void)state;
    char byte;
    struct pair p = connect_pair("127.0.0.1");
    socket_reset(p.server);
    wait_for(p.client, POLLIN);
    assert_int_equal(recv(p.client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    p.server = -1;
    close_pair(&p);
    p = connect_pair("127.0.0.1");
    socket_close(p.server);
    wait_for(p.client, POLLIN);
    assert_int_equal(recv(p.client, &byte, 1, 0), 0);
    p.server = -1;
    close_pair(&p);
    socket_reset(-1);
    socket_close(-1);
}

static void a_lack_of_descriptors_or_memory_is_exhaustion(void **state)
{
    (void)state;
    static const int exhausted[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    static const int others[] = {0, EAGAIN, EINTR, ECONNABORTED, ECONNREFUSED, EINVAL};
    for (size_t i = 0; i < COUNT(exhausted); i++)
        assert_true(socket_exhausted(exhausted[i]));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(socket_exhausted(others[i]));
}

static void the_round_trip_is_known_once_connected(void **state)
{
    (void)state;
    struct pair p = connect_pair("127.0.0.1");
    assert_in_range(socket_rtt_us(p.client), 1, 30 * TURBO_SECOND);
    assert_int_equal(socket_rtt_us(-1), 0);
    close_pair(&p);
}

/* ---- what was meant for another ---- */

static void assert_redirected(int server, int level, const char *host)
{
    struct address found;
    netfilter.speaks = true;
    netfilter.level = level;
    netfilter.destination = literal(host, 443);
    assert_true(socket_original_destination(server, &found));
    assert_true(address_equal(&found, &netfilter.destination));
    /* Where only connections are tracked, it is what the client asked for. */
    netfilter.destination = local_address(server);
    errno = 0;
    assert_false(socket_original_destination(server, &found));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(address_family(&found), AF_UNSPEC);
    netfilter.speaks = false;
    assert_false(socket_original_destination(server, &found));
}

static void a_redirected_connection_tells_where_it_was_to_go(void **state)
{
    (void)state;
    struct pair v4 = connect_pair("127.0.0.1"), v6 = connect_pair("::1");
    assert_redirected(v4.server, IPPROTO_IP, "203.0.113.1");
    assert_redirected(v6.server, IPPROTO_IPV6, "2001:db8::1");
    close_pair(&v4);
    close_pair(&v6);
    struct address found;
    assert_false(socket_original_destination(-1, &found));
    assert_int_equal(errno, EBADF);
}

static void on_a_dual_stack_socket_the_connections_family_counts(void **state)
{
    (void)state;
    struct address any = literal("::", 0), v4 = literal("127.0.0.1", 0), seen;
    int listener = socket_listen(SOCK_STREAM, &any, true, SOCKET_ALONE);
    address_set_port(&v4, address_port(&any));
    int client = socket_connect_tcp(&v4, 0);
    wait_for(listener, POLLIN);
    int server = socket_accept(listener, &seen);
    assert_redirected(server, IPPROTO_IP, "203.0.113.1");
    socket_close(server);
    socket_close(client);
    socket_close(listener);
}

static void make_transparent(void)
{
    struct address v4 = literal("127.0.0.1", 0), v6 = literal("::1", 0), any = literal("::", 0);
    int fds[] = {socket_listen_tcp(&v4), socket_listen_tcp(&v6),
                 socket_listen(SOCK_STREAM, &any, true, SOCKET_ALONE)};
    for (size_t i = 0; i < COUNT(fds); i++) {
        CHILD_CHECK(socket_be_transparent(fds[i], i == 0 ? AF_INET : AF_INET6));
        CHILD_CHECK(option(fds[i], IPPROTO_IP, IP_TRANSPARENT) == 1);
        CHILD_CHECK(i == 0 || option(fds[i], IPPROTO_IPV6, IPV6_TRANSPARENT) == 1);
    }
    CHILD_CHECK(socket_may_mark());
    CHILD_CHECK(privileges_limit(0));
    /* Once they are so, nothing is needed. */
    for (size_t i = 0; i < COUNT(fds); i++)
        CHILD_CHECK(socket_be_transparent(fds[i], i == 0 ? AF_INET : AF_INET6));
    int another = socket_listen_tcp(
        &(struct address){.v4 = {.sin_family = AF_INET}, .length = sizeof(struct sockaddr_in)});
    CHILD_CHECK(another >= 0);
    CHILD_CHECK(!socket_be_transparent(another, AF_INET) && errno == EPERM);
    CHILD_CHECK(!socket_may_mark() && errno == EPERM);
    CHILD_CHECK(socket_connect_tcp(&v4, A_MARK) < 0 && errno == EPERM);
}

static void a_listener_is_transparent_for_both_families_or_must_not(void **state)
{
    (void)state;
    if (!socket_may_mark())
        skip();
    child_run(make_transparent);
}

static void own_connections_are_marked(void **state)
{
    (void)state;
    if (!socket_may_mark())
        skip();
    struct pair p = connect_pair("127.0.0.1");
    int tcp = socket_connect_tcp(&p.address, A_MARK);
    int udp = socket_connect_udp(&p.address, p.client, A_MARK);
    assert_int_equal(option(tcp, SOL_SOCKET, SO_MARK), A_MARK);
    assert_int_equal(option(udp, SOL_SOCKET, SO_MARK), A_MARK);
    assert_int_equal(option(p.client, SOL_SOCKET, SO_MARK), 0);
    socket_close(tcp);
    socket_close(udp);
    close_pair(&p);
}

/* ---- several at one address ---- */

enum { SHARERS = 5, LEAST = 16, SHARE_BYTE = 1 };

static void share_udp(struct address *address, int fds[static SHARERS])
{
    for (int i = 0; i < SHARERS; i++) {
        fds[i] = socket_listen(SOCK_DGRAM, address, false, i == 0 ? SOCKET_FIRST : SOCKET_ANOTHER);
        assert_well_made(fds[i]);
    }
    assert_true(socket_steer(fds[SHARERS - 1], SHARE_BYTE, LEAST, SHARERS));
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        socket_close(fds[i]);
}

/* From a port of its own: without the program, that would decide. Loopback: it is there at once. */
static void send_from_anywhere(const struct address *to, uint8_t byte, size_t length)
{
    uint8_t data[64] = {0x80, byte, 0x80};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, data, length, 0, &to->any, to->length), length);
    socket_close(fd);
}

/* Byte SHARE_BYTE of the next datagram; -1: there is none. */
static int next_at(int fd)
{
    uint8_t data[64];
    ssize_t n = recv(fd, data, sizeof(data), 0);
    return n > SHARE_BYTE ? data[SHARE_BYTE] : -1;
}

static void assert_steered(const struct address *address, const int fds[static SHARERS])
{
    for (unsigned byte = 0; byte < 256; byte += 3) {
        send_from_anywhere(address, (uint8_t)byte, byte % 2 == 0 ? LEAST : 40);
        for (unsigned i = 0; i < SHARERS; i++)
            assert_int_equal(next_at(fds[i]), i == byte % SHARERS ? (int)byte : -1);
    }
}

static void datagrams_reach_the_socket_that_their_byte_names(void **state)
{
    (void)state;
    struct address address = literal("127.0.0.1", 0);
    int fds[SHARERS];
    share_udp(&address, fds);
    assert_steered(&address, fds);
    close_all(fds, SHARERS);
}

/* Their order is the kernel's, whoever has the descriptors, and in which order. */
static void that_outlives_who_opened_them(void **state)
{
    (void)state;
    struct address address = literal("127.0.0.1", 0);
    int fds[SHARERS], copies[SHARERS];
    share_udp(&address, fds);
    for (int i = SHARERS; i-- > 0;)
        copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    close_all(fds, SHARERS);
    assert_steered(&address, copies);
    assert_true(socket_steer(copies[0], SHARE_BYTE, LEAST, SHARERS)); /* again, by the next one */
    assert_steered(&address, copies);
    close_all(copies, SHARERS);
}

static void short_datagrams_reach_any_of_them(void **state)
{
    (void)state;
    struct address address = literal("127.0.0.1", 0);
    int fds[SHARERS], reached = 0;
    share_udp(&address, fds);
    for (int i = 0; i < 64; i++)
        send_from_anywhere(&address, 7, 2 + (size_t)i % (LEAST - 2));
    for (int i = 0; i < SHARERS; i++) {
        int here = 0;
        while (next_at(fds[i]) == 7)
            here++;
        assert_true(here < 64); /* by where they came from: not all to one */
        reached += here;
    }
    assert_int_equal(reached, 64);
    close_all(fds, SHARERS);
}

static void the_first_wants_the_port_for_itself(void **state)
{
    (void)state;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct address address = literal("127.0.0.1", 0);
        int first = socket_listen(types[i], &address, false, SOCKET_FIRST);
        int another = socket_listen(types[i], &address, false, SOCKET_ANOTHER);
        assert_well_made(first);
        assert_well_made(another);
        static const enum socket_share intruders[] = {SOCKET_FIRST, SOCKET_ALONE};
        for (size_t k = 0; k < COUNT(intruders); k++) {
            assert_int_equal(socket_listen(types[i], &address, false, intruders[k]), -1);
            assert_int_equal(errno, EADDRINUSE);
        }
        socket_close(another);
        socket_close(first);
        int alone = socket_listen(types[i], &address, false, SOCKET_ALONE);
        assert_well_made(alone);
        assert_int_equal(socket_listen(types[i], &address, false, SOCKET_ANOTHER), -1);
        assert_int_equal(errno, EADDRINUSE);
        socket_close(alone);
    }
}

static void connections_are_divided_among_them(void **state)
{
    (void)state;
    struct address address = literal("127.0.0.1", 0), seen;
    int listeners[] = {socket_listen(SOCK_STREAM, &address, false, SOCKET_FIRST),
                       socket_listen(SOCK_STREAM, &address, false, SOCKET_ANOTHER)};
    int clients[40], accepted[COUNT(listeners)] = {0};
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = socket_connect_tcp(&address, 0);
        wait_for(clients[i], POLLOUT);
    }
    for (size_t i = 0; i < COUNT(listeners); i++) {
        int fd;
        while ((fd = socket_accept(listeners[i], &seen)) >= 0) {
            accepted[i]++;
            socket_close(fd);
        }
    }
    assert_int_equal(accepted[0] + accepted[1], COUNT(clients));
    assert_true(accepted[0] > 2 && accepted[1] > 2);
    close_all(clients, COUNT(clients));
    close_all(listeners, COUNT(listeners));
}

static void only_a_socket_can_be_steered(void **state)
{
    (void)state;
    assert_false(socket_steer(-1, SHARE_BYTE, LEAST, 2));
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tcp_sockets_do_not_block_wait_or_leak),
        CASE(the_port_the_kernel_chose_is_told),
        CASE(accept_tells_who_it_is),
        CASE(a_dual_stack_socket_takes_ipv4_as_well),
        CASE(all_others_keep_to_their_family),
        CASE(without_ipv6_both_families_are_ipv4),
        CASE(a_listener_of_others_is_prepared_like_ours),
        CASE(what_is_no_socket_cannot_be_prepared),
        CASE(udp_is_not_fragmented),
        CASE(udp_leaves_from_tcps_address),
        CASE(failures_keep_their_errno_and_leave_no_descriptor),
        CASE(a_refused_connect_is_a_pending_error),
        CASE(reset_and_close_differ_for_the_peer),
        CASE(a_lack_of_descriptors_or_memory_is_exhaustion),
        CASE(the_round_trip_is_known_once_connected),
        CASE(a_redirected_connection_tells_where_it_was_to_go),
        CASE(on_a_dual_stack_socket_the_connections_family_counts),
        CASE(a_listener_is_transparent_for_both_families_or_must_not),
        CASE(own_connections_are_marked),
        CASE(datagrams_reach_the_socket_that_their_byte_names),
        CASE(that_outlives_who_opened_them),
        CASE(short_datagrams_reach_any_of_them),
        CASE(the_first_wants_the_port_for_itself),
        CASE(connections_are_divided_among_them),
        CASE(only_a_socket_can_be_steered),
    };
    return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
