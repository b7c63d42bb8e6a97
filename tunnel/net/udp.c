#include "tunnel/net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

/* Room for either family's address, and for its control message, of which IPv6's is the larger,
 * with the size of segments behind it. */
union peer {
    sa_family_t family;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
enum {
    LOCAL_SPACE = CMSG_SPACE(sizeof(struct in6_pktinfo)),
    SEGMENT_SPACE = CMSG_SPACE(sizeof(uint16_t)),
};
struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[LOCAL_SPACE + SEGMENT_SPACE];
};

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t ip[static 16])
{
    return memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* ---- in ---- */

static void take_v4(struct turbo_address *out, const struct in_addr *ip, in_port_t port)
{
    memcpy(out->ip, mapped_prefix, sizeof(mapped_prefix));
    memcpy(out->ip + sizeof(mapped_prefix), ip, sizeof(*ip));
    out->port = ntohs(port);
}

static void take_v6(struct turbo_address *out, const struct in6_addr *ip, in_port_t port,
                    uint32_t scope)
{
    memcpy(out->ip, ip, sizeof(out->ip));
    out->scope = scope;
    out->port = ntohs(port);
}

static void take_local(struct turbo_address *out, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            take_v4(out, &info.ipi_addr, 0);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            bool local = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr);
            take_v6(out, &info.ipi6_addr, 0, local ? info.ipi6_ifindex : 0);
        }
    }
}

static void take_path(struct turbo_path *out, const union peer *from, struct msghdr *message)
{
    memset(out, 0, sizeof(*out)); /* padding too: the whole may be hashed or compared */
    if (message->msg_namelen >= sizeof(from->v4) && from->family == AF_INET)
        take_v4(&out->peer, &from->v4.sin_addr, from->v4.sin_port);
    else if (message->msg_namelen >= sizeof(from->v6) && from->family == AF_INET6)
        take_v6(&out->peer, &from->v6.sin6_addr, from->v6.sin6_port,
                is_mapped(from->v6.sin6_addr.s6_addr) ? 0 : from->v6.sin6_scope_id);
    take_local(&out->local, message);
}

int udp_receive(int fd, struct udp_datagram out[static UDP_BATCH])
{
    union peer from[UDP_BATCH];
    struct control control[UDP_BATCH];
    struct iovec bytes[UDP_BATCH];
    struct mmsghdr messages[UDP_BATCH];
    for (int i = 0; i < UDP_BATCH; i++) {
        bytes[i] = (struct iovec){.iov_base = out[i].data, .iov_len = sizeof(out[i].data)};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                              .msg_namelen = sizeof(from[i]),
                                              .msg_iov = &bytes[i],
                                              .msg_iovlen = 1,
                                              .msg_control = &control[i],
                                              .msg_controllen = sizeof(control[i])};
    }
    int count = recvmmsg(fd, messages, UDP_BATCH, MSG_TRUNC, NULL);
    for (int i = 0; i < count; i++) {
        take_path(&out[i].path, &from[i], &messages[i].msg_hdr);
        out[i].length = messages[i].msg_len;
    }
    return count;
}

/* ---- out ---- */

/* Appends a control message to `message`, which has room for it. */
static void put_control(struct msghdr *message, int level, int type, const void *data,
                        size_t length)
{
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(length), .cmsg_level = level, .cmsg_type = type};
    uint8_t *at = (uint8_t *)message->msg_control + message->msg_controllen;
    memset(at, 0, CMSG_SPACE(length));
    memcpy(at, &header, sizeof(header));
    memcpy(at + CMSG_LEN(0), data, length);
    message->msg_controllen += CMSG_SPACE(length);
}

/*
 * IPv4 on a dual-stack socket takes the IPv6 form of both addresses, mapped, which is how libturbo
 * keeps them; on an IPv4 socket the plain form.
 */
static void put_local(struct msghdr *message, int family, const struct turbo_address *local)
{
    if (family == AF_INET) {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, local->ip + sizeof(mapped_prefix), sizeof(info.ipi_spec_dst));
        put_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip, sizeof(info.ipi6_addr));
        put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static socklen_t put_peer(union peer *to, int family, const struct turbo_address *peer)
{
    if (family == AF_INET) {
        to->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(peer->port)};
        memcpy(&to->v4.sin_addr, peer->ip + sizeof(mapped_prefix), sizeof(to->v4.sin_addr));
        return sizeof(to->v4);
    }
    to->v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(peer->port), .sin6_scope_id = peer->scope};
    memcpy(&to->v6.sin6_addr, peer->ip, sizeof(peer->ip));
    return sizeof(to->v6);
}

static bool same_address(const struct turbo_address *a, const struct turbo_address *b)
{
    return a->port == b->port && turbo_address_same_ip(a, b);
}

static bool same_path(const struct turbo_path *a, const struct turbo_path *b)
{
    return same_address(&a->peer, &b->peer) && same_address(&a->local, &b->local);
}

/* How many from the first on may be one buffer: equal sizes and paths, the last one may be shorter.
 */
static int run_length(const struct udp_datagram *first, int count)
{
    int n = 1;
    while (n < count && first[n - 1].length == first->length && first[n].length > 0 &&
           first[n].length <= first->length && same_path(&first[n].path, &first->path))
        n++;
    return n;
}

struct sending {
    union peer to[UDP_BATCH];
    struct control control[UDP_BATCH];
    struct iovec bytes[UDP_BATCH];
    struct mmsghdr messages[UDP_BATCH];
    int end[UDP_BATCH]; /* the first datagram behind this message */
};

/* Message `index`: datagrams from..to-1. */
static void put_message(struct sending *s, int index, int family,
                        const struct udp_datagram *datagrams, int from, int to)
{
    const struct udp_datagram *first = &datagrams[from];
    struct msghdr *message = &s->messages[index].msg_hdr;
    *message = (struct msghdr){.msg_iov = &s->bytes[from],
                               .msg_iovlen = (size_t)(to - from),
                               .msg_control = &s->control[index]};
    s->end[index] = to;
    for (int i = from; i < to; i++) {
        s->bytes[i].iov_base = (void *)(uintptr_t)datagrams[i].data; /* it is not written to */
        s->bytes[i].iov_len = datagrams[i].length;
    }
    if (family != AF_UNSPEC) {
        message->msg_name = &s->to[index];
        message->msg_namelen = put_peer(&s->to[index], family, &first->path.peer);
        put_local(message, family, &first->path.local);
    }
    if (to - from > 1) {
        uint16_t size = (uint16_t)first->length;
        put_control(message, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
    }
}

/* Returns how many datagrams were sent; -1 with errno: not the first. */
static int send_all(int fd, int family, const struct udp_datagram *datagrams, int count, bool runs)
{
    struct sending s;
    int messages = 0;
    for (int from = 0, to; from < count; from = to) {
        to = from + (runs ? run_length(datagrams + from, count - from) : 1);
        put_message(&s, messages++, family, datagrams, from, to);
    }
    int sent = sendmmsg(fd, s.messages, (unsigned)messages, MSG_NOSIGNAL);
    return sent > 0 ? s.end[sent - 1] : -1;
}

/* It may be the segments' fault: no such option (before Linux 4.18), a device that does not make
 * checksums, a path or a socket that takes none. */
static bool may_be_segments(int error)
{
    return error == EINVAL || error == EIO || error == EOPNOTSUPP || error == ENOPROTOOPT ||
           error == EMSGSIZE;
}

int udp_send(int fd, int family, const struct udp_datagram *datagrams, int count,
             struct udp_offload *offload)
{
    bool runs = offload != NULL && offload->refused == 0;
    if (offload != NULL && offload->refused > 0)
        offload->refused--;
    int sent = send_all(fd, family, datagrams, count, runs);
    if (sent < 0 && runs && may_be_segments(errno)) {
        sent = send_all(fd, family, datagrams, count, false);
        offload->refused = sent > 0 ? UDP_REFUSED_SENDS : 0;
    }
    return sent < 0 ? 0 : sent;
}
