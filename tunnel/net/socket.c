#include "tunnel/net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 4096,
    UDP_BUFFER_BYTES = 4 << 20,
    /* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, whose headers do not go with the C library's. */
    ORIGINAL_DESTINATION = 80,
};

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Closes `fd` and keeps errno, for the error paths. */
static int fail(int fd)
{
    int error = errno;
    socket_close(fd);
    errno = error;
    return -1;
}

static bool dont_fragment(int fd, int family)
{
    if (family == AF_INET)
        return set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    /* A dual-stack socket sends IPv4 as well. */
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    return set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

static int new_socket(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool bind_to(int fd, struct address *address, bool dual)
{
    int family = address_family(address);
    if (family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual))
        return false;
    if (bind(fd, &address->any, address->length) != 0)
        return false;
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &length) != 0)
        return false;
    address_from_sockaddr(address, (struct sockaddr *)&bound, length);
    return true;
}

bool socket_retry_evenly(int fd)
{
    return set_option(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1);
}

static bool tell_local_address(int fd, int family)
{
    if (family == AF_INET)
        return set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    return set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static bool set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool set_tcp_options(int fd)
{
    /* Accepted sockets inherit these, which saves a call for each. */
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1) && socket_retry_evenly(fd);
}

static bool set_udp_options(int fd, int family)
{
    return dont_fragment(fd, family) && tell_local_address(fd, family);
}

bool socket_prepare_listener(int fd, int type, int family)
{
    return set_flags(fd) &&
           (type == SOCK_STREAM ? set_tcp_options(fd) : set_udp_options(fd, family));
}

/* Set before it is bound, the port may be somebody else's as well. */
static bool bind_shared(int fd, struct address *address, bool dual, enum socket_share share)
{
    if (share == SOCKET_ANOTHER && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1))
        return false;
    return bind_to(fd, address, dual) &&
           (share != SOCKET_FIRST || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1));
}

static int listen_at(int type, struct address *address, bool dual, enum socket_share share)
{
    int family = address_family(address);
    int fd = new_socket(family, type);
    if (fd < 0)
        return -1;
    if (!socket_prepare_listener(fd, type, family) || !bind_shared(fd, address, dual, share))
        return fail(fd);
    if (type == SOCK_STREAM && listen(fd, LISTEN_BACKLOG) != 0)
        return fail(fd);
    if (type == SOCK_DGRAM) /* as much as the system allows: a burst must not be lost here */
        set_option(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER_BYTES);
    return fd;
}

int socket_listen(int type, struct address *address, bool dual, enum socket_share share)
{
    uint16_t port = address_port(address);
    if (!dual)
        return listen_at(type, address, false, share);
    address_wildcard(address, AF_INET6, port);
    int fd = listen_at(type, address, true, share);
    if (fd >= 0 || errno != EAFNOSUPPORT)
        return fd;
    address_wildcard(address, AF_INET, port);
    return listen_at(type, address, true, share);
}

int socket_listen_tcp(struct address *address)
{
    return socket_listen(SOCK_STREAM, address, false, SOCKET_ALONE);
}

int socket_listen_udp(struct address *address)
{
    return socket_listen(SOCK_DGRAM, address, false, SOCKET_ALONE);
}

bool socket_steer(int fd, unsigned offset, unsigned least, unsigned count)
{
    /* The program sees the payload from offset 0; a number that no socket has means any. */
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, least, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offset),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog filter;
    memset(&filter, 0, sizeof(filter)); /* and what lies between its members */
    filter.len = sizeof(program) / sizeof(program[0]);
    filter.filter = program;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter)) == 0;
}

int socket_accept(int listener, struct address *peer)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    int fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        address_from_sockaddr(peer, (struct sockaddr *)&from, length);
    return fd;
}

void socket_local_address(int fd, struct address *local)
{
    struct sockaddr_storage sa;
    socklen_t length = sizeof(sa);
    *local = (struct address){0};
    if (getsockname(fd, (struct sockaddr *)&sa, &length) == 0)
        address_from_sockaddr(local, (struct sockaddr *)&sa, length);
}

bool socket_original_destination(int fd, struct address *destination)
{
    struct address local;
    struct sockaddr_storage original;
    socklen_t length = sizeof(original);
    *destination = (struct address){0};
    socket_local_address(fd, &local);
    /* By the connection's family: an IPv6 socket may have been connected to by IPv4. */
    int level = address_family(&local) == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (getsockopt(fd, level, ORIGINAL_DESTINATION, &original, &length) != 0)
        return false;
    address_from_sockaddr(destination, (struct sockaddr *)&original, length);
    /* The kernel tells it of every connection that it tracks. */
    if (address_port(destination) != 0 && !address_equal(destination, &local))
        return true;
    *destination = (struct address){0};
    errno = ENOENT;
    return false;
}

bool socket_be_transparent(int fd, int family)
{
    int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int name = family == AF_INET6 ? IPV6_TRANSPARENT : IP_TRANSPARENT;
    int is = 0;
    socklen_t length = sizeof(is);
    if (getsockopt(fd, level, name, &is, &length) == 0 && is != 0)
        return true;
    return set_option(fd, level, name, 1);
}

static bool set_mark(int fd, uint32_t mark)
{
    return mark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0;
}

bool socket_may_mark(void)
{
    int fd = new_socket(AF_INET, SOCK_DGRAM);
    if (fd < 0)
        return false;
    if (!set_mark(fd, 1)) {
        (void)fail(fd);
        return false;
    }
    socket_close(fd);
    return true;
}

int socket_connect_tcp(const struct address *peer, uint32_t mark)
{
    int fd = new_socket(address_family(peer), SOCK_STREAM);
    if (fd < 0)
        return -1;
    if (!set_mark(fd, mark) || !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
        !set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) ||
        !set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1))
        return fail(fd);
    if (connect(fd, &peer->any, peer->length) != 0 && errno != EINPROGRESS)
        return fail(fd);
    return fd;
}

int socket_connect_udp(const struct address *peer, int like, uint32_t mark)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    struct address local;
    if (getsockname(like, (struct sockaddr *)&bound, &length) != 0)
        return -1;
    address_from_sockaddr(&local, (struct sockaddr *)&bound, length);
    address_set_port(&local, 0);
    int fd = new_socket(address_family(peer), SOCK_DGRAM);
    if (fd < 0)
        return -1;
    if (!set_mark(fd, mark) || !dont_fragment(fd, address_family(peer)) ||
        bind(fd, &local.any, local.length) != 0 || connect(fd, &peer->any, peer->length) != 0)
        return fail(fd);
    return fd;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        return errno;
    return error;
}

bool socket_is_again(int error)
{
    return error == EAGAIN || error == EINTR;
}

bool socket_exhausted(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

uint64_t socket_rtt_us(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        return 0;
    return info.tcpi_rtt;
}

size_t socket_unsent(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

void socket_reset(int fd)
{
    struct linger abortively = {.l_onoff = 1, .l_linger = 0};
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abortively, sizeof(abortively));
    close(fd);
}

void socket_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
