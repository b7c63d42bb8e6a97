/* Listening sockets that somebody else has bound. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/net/inherited.h"
#include "tunnel/net/socket.h"

enum { SYSTEMDS_FIRST = 3, ERROR_BYTES = 200 };

static struct inherited inherited;
static char error[ERROR_BYTES];
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

/* ---- what others have bound ---- */

/* Blocking, open across exec, bare: as a service manager makes it. */
static int bind_bare(int type, const char *host, bool dual, struct address *bound)
{
    struct address address;
    assert_true(address_from_literal(&address, host, 0));
    int family = address_family(&address), v6only = !dual;
    int fd = socket(family, type, 0);
    assert_true(fd >= 0);
    if (family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
    assert_int_equal(bind(fd, &address.any, address.length), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 1), 0);
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    if (bound != NULL)
        address_from_sockaddr(bound, (struct sockaddr *)&name, length);
    return fd;
}

static struct address elsewhere(const char *host, const struct address *port)
{
    struct address address;
    assert_true(address_from_literal(&address, host, address_port(port)));
    return address;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

/* ---- taking ---- */

static void what_is_bound_to_the_address_is_taken_once(void **state)
{
    (void)state;
    struct address tcp, udp;
    int tcp_fd = bind_bare(SOCK_STREAM, "127.0.0.1", false, &tcp);
    int udp_fd = bind_bare(SOCK_DGRAM, "::1", false, &udp);
    inherited_init(&inherited);
    assert_null(inherited_add(&inherited, tcp_fd));
    assert_null(inherited_add(&inherited, udp_fd));
    assert_int_equal(inherited_take(&inherited, SOCK_DGRAM, &udp, false), udp_fd);
    assert_int_equal(inherited_take(&inherited, SOCK_DGRAM, &udp, false), -1);
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &tcp, false), tcp_fd);
    assert_int_equal(inherited.count, 0);
    inherited_close(&inherited);
    assert_true(is_open(tcp_fd) && is_open(udp_fd)); /* they are ours */
    close(tcp_fd);
    close(udp_fd);
}

static void what_is_taken_has_our_options(void **state)
{
    (void)state;
    struct address tcp, udp;
    int fds[] = {bind_bare(SOCK_STREAM, "127.0.0.1", false, &tcp),
                 bind_bare(SOCK_DGRAM, "127.0.0.1", false, &udp)};
    inherited_init(&inherited);
    for (size_t i = 0; i < COUNT(fds); i++) {
        assert_null(inherited_add(&inherited, fds[i]));
        assert_true((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    assert_true(option(fds[0], IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_true(option(fds[1], IPPROTO_IP, IP_PKTINFO) != 0);
    inherited_close(&inherited);
    assert_false(is_open(fds[0]) || is_open(fds[1]));
}

static void another_address_port_or_type_is_not_taken(void **state)
{
    (void)state;
    struct address tcp;
    int fd = bind_bare(SOCK_STREAM, "127.0.0.1", false, &tcp);
    inherited_init(&inherited);
    assert_null(inherited_add(&inherited, fd));
    struct address other_host = elsewhere("127.0.0.2", &tcp), any = elsewhere("0.0.0.0", &tcp);
    struct address other_port = tcp, no_port = tcp;
    address_set_port(&other_port, (uint16_t)(address_port(&tcp) ^ 1));
    address_set_port(&no_port, 0);
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &other_host, false), -1);
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &any, false), -1);
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &any, true), -1);
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &other_port, false), -1);
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &no_port, false), -1);
    assert_int_equal(inherited_take(&inherited, SOCK_DGRAM, &tcp, false), -1);
    assert_int_equal(inherited.count, 1);
    inherited_close(&inherited);
}

/* An unbound UDP socket has port 0, which in a configuration means another one. */
static void port_0_matches_not_even_itself(void **state)
{
    (void)state;
    struct address none;
    address_wildcard(&none, AF_INET, 0);
    inherited_init(&inherited);
    assert_null(inherited_add(&inherited, socket(AF_INET, SOCK_DGRAM, 0)));
    assert_int_equal(inherited_take(&inherited, SOCK_DGRAM, &none, false), -1);
    inherited_close(&inherited);
}

static void one_family_and_both_are_told_apart(void **state)
{
    (void)state;
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct address both, six;
        int both_fd = bind_bare(types[i], "::", true, &both);
        int six_fd = bind_bare(types[i], "::", false, &six);
        inherited_init(&inherited);
        assert_null(inherited_add(&inherited, both_fd));
        assert_null(inherited_add(&inherited, six_fd));
        assert_int_equal(inherited_take(&inherited, types[i], &both, false), -1);
        assert_int_equal(inherited_take(&inherited, types[i], &six, true), -1);
        struct address port_only = elsewhere("192.0.2.1", &both);
        assert_int_equal(inherited_take(&inherited, types[i], &port_only, true), both_fd);
        assert_int_equal(inherited_take(&inherited, types[i], &six, false), six_fd);
        close(both_fd);
        close(six_fd);
    }
}

/* IPV6_V6ONLY is 0 for them, too, but they take no IPv4. */
static void a_single_ipv6_address_is_not_both_families(void **state)
{
    (void)state;
    struct address six;
    inherited_init(&inherited);
    assert_null(inherited_add(&inherited, bind_bare(SOCK_STREAM, "::1", true, &six)));
    assert_false(inherited.sockets[0].dual_stack);
    int fd = inherited_take(&inherited, SOCK_STREAM, &six, false);
    assert_true(fd >= 0);
    close(fd);
}

static void without_ipv6_both_families_are_ipv4(void **state)
{
    (void)state;
    struct address four, six;
    int fd = bind_bare(SOCK_STREAM, "0.0.0.0", false, &four);
    address_wildcard(&six, AF_INET6, address_port(&four));
    inherited_init(&inherited);
    assert_null(inherited_add(&inherited, fd));
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &six, true), -1);
    without_ipv6 = true;
    int taken = inherited_take(&inherited, SOCK_STREAM, &six, true);
    without_ipv6 = false;
    assert_int_equal(taken, fd);
    close(fd);
}

/* ---- what cannot be taken over ---- */

static void assert_left_alone(int fd, const char *why)
{
    inherited_init(&inherited);
    const char *problem = inherited_add(&inherited, fd);
    assert_non_null(problem);
    assert_non_null(strstr(problem, why));
    assert_int_equal(inherited.count, 0);
    if (fd >= 0) {
        assert_true(is_open(fd));
        close(fd);
    }
}

static int connected_udp(void)
{
    struct address peer;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(address_from_literal(&peer, "127.0.0.1", 9));
    assert_int_equal(connect(fd, &peer.any, peer.length), 0);
    return fd;
}

static int bound_to_mapped_ipv4(void)
{
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), no = 0;
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    mapped.sin6_addr.s6_addr[12] = 127;
    mapped.sin6_addr.s6_addr[15] = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&mapped, sizeof(mapped)), 0);
    return fd;
}

static void what_cannot_listen_is_left_alone(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[1]);
    assert_left_alone(ends[0], "no socket");
    assert_left_alone(-1, "Bad file descriptor");
    assert_left_alone(socket(AF_UNIX, SOCK_STREAM, 0), "neither IPv4 nor IPv6");
    assert_left_alone(socket(AF_INET, SOCK_STREAM, 0), "does not listen");
    assert_left_alone(connected_udp(), "connected");
    assert_left_alone(bound_to_mapped_ipv4(), "address of an IPv4 host");
    int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    if (lite >= 0)
        assert_left_alone(lite, "neither TCP nor UDP");
}

static void more_than_there_is_room_for_are_left_alone(void **state)
{
    (void)state;
    inherited_init(&inherited);
    for (int i = 0; i < INHERITED_MAX; i++)
        assert_null(inherited_add(&inherited, socket(AF_INET, SOCK_DGRAM, 0)));
    int last = socket(AF_INET, SOCK_DGRAM, 0);
    assert_string_equal(inherited_add(&inherited, last), "there are too many");
    close(last);
    inherited_close(&inherited);
    assert_int_equal(inherited.count, 0);
}

/* ---- who announces them ---- */

static bool from_environment(void)
{
    inherited_init(&inherited);
    error[0] = '\0';
    return inherited_from_environment(&inherited, error, sizeof(error));
}

static void announce(const char *format, int first, int second)
{
    char text[64];
    (void)snprintf(text, sizeof(text), format, first, second);
    setenv(INHERITED_VARIABLE, text, 1);
}

static void nobody_announces_any(void **state)
{
    (void)state;
    assert_true(from_environment());
    assert_int_equal(inherited.count, 0);
    setenv(INHERITED_VARIABLE, "", 1);
    assert_true(from_environment());
    assert_int_equal(inherited.count, 0);
}

static void a_predecessors_are_taken_over(void **state)
{
    (void)state;
    struct address tcp, udp;
    int fds[] = {bind_bare(SOCK_STREAM, "127.0.0.1", false, &tcp),
                 bind_bare(SOCK_DGRAM, "127.0.0.1", false, &udp)};
    announce("%d,%d", fds[0], fds[1]);
    assert_true(from_environment());
    assert_null(getenv(INHERITED_VARIABLE));
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &tcp, false), fds[0]);
    assert_int_equal(inherited_take(&inherited, SOCK_DGRAM, &udp, false), fds[1]);
    close(fds[0]);
    close(fds[1]);
}

static void an_unusable_one_is_named_and_the_others_are_taken(void **state)
{
    (void)state;
    char named[64];
    int bad = socket(AF_UNIX, SOCK_STREAM, 0), good = bind_bare(SOCK_DGRAM, "::1", false, NULL);
    announce("%d,%d", bad, good);
    assert_false(from_environment());
    (void)snprintf(named, sizeof(named), "inherited socket %d: it is neither", bad);
    assert_non_null(strstr(error, named));
    assert_int_equal(inherited.count, 1);
    inherited_close(&inherited);
    close(bad);
}

static void what_is_no_list_of_numbers_is_told(void **state)
{
    (void)state;
    static const char *const lists[] = {"x", "-1",          "3x",
                                        ",", "99999999999", "99999999999999999999"};
    for (size_t i = 0; i < COUNT(lists); i++) {
        setenv(INHERITED_VARIABLE, lists[i], 1);
        assert_false(from_environment());
        assert_non_null(strstr(error, lists[i]));
        assert_null(getenv(INHERITED_VARIABLE));
    }
}

/* Descriptor 3, which is the first of systemd's, may be another's here. */
struct slot {
    int saved;
};

static struct slot put_at_3(int fd)
{
    struct slot slot = {fcntl(SYSTEMDS_FIRST, F_DUPFD_CLOEXEC, SYSTEMDS_FIRST + 1)};
    if (fd != SYSTEMDS_FIRST) {
        assert_int_equal(dup2(fd, SYSTEMDS_FIRST), SYSTEMDS_FIRST);
        close(fd);
    }
    return slot;
}

static void restore_3(struct slot slot)
{
    close(SYSTEMDS_FIRST);
    if (slot.saved >= 0) {
        dup2(slot.saved, SYSTEMDS_FIRST);
        close(slot.saved);
    }
}

static void announce_as_systemd(pid_t pid, const char *count)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_FDNAMES", "turbotls.socket", 1);
}

static void systemds_are_taken_over(void **state)
{
    (void)state;
    struct address tcp;
    struct slot slot = put_at_3(bind_bare(SOCK_STREAM, "::", true, &tcp));
    announce_as_systemd(getpid(), "1");
    assert_true(from_environment());
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDNAMES"));
    assert_int_equal(inherited_take(&inherited, SOCK_STREAM, &tcp, true), SYSTEMDS_FIRST);
    restore_3(slot);
}

static void systemds_for_another_process_are_not_ours(void **state)
{
    (void)state;
    struct slot slot = put_at_3(bind_bare(SOCK_STREAM, "127.0.0.1", false, NULL));
    announce_as_systemd(getppid(), "1");
    assert_true(from_environment());
    assert_int_equal(inherited.count, 0);
    assert_null(getenv("LISTEN_FDS"));
    restore_3(slot);
}

static void what_systemd_passes_in_vain_is_told(void **state)
{
    (void)state;
    struct slot slot = put_at_3(socket(AF_UNIX, SOCK_DGRAM, 0));
    announce_as_systemd(getpid(), "1");
    assert_false(from_environment());
    assert_non_null(strstr(error, "inherited socket 3: it is neither IPv4 nor IPv6"));
    restore_3(slot);
    announce_as_systemd(getpid(), "many");
    assert_false(from_environment());
    assert_non_null(strstr(error, "LISTEN_FDS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_bound_to_the_address_is_taken_once),
        CASE(what_is_taken_has_our_options),
        CASE(another_address_port_or_type_is_not_taken),
        CASE(port_0_matches_not_even_itself),
        CASE(one_family_and_both_are_told_apart),
        CASE(a_single_ipv6_address_is_not_both_families),
        CASE(without_ipv6_both_families_are_ipv4),
        CASE(what_cannot_listen_is_left_alone),
        CASE(more_than_there_is_room_for_are_left_alone),
        CASE(nobody_announces_any),
        CASE(a_predecessors_are_taken_over),
        CASE(an_unusable_one_is_named_and_the_others_are_taken),
        CASE(what_is_no_list_of_numbers_is_told),
        CASE(systemds_are_taken_over),
        CASE(systemds_for_another_process_are_not_ours),
        CASE(what_systemd_passes_in_vain_is_told),
    };
    return cmocka_run_group_tests_name("inherited", tests, NULL, NULL);
}
