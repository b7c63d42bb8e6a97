#include "tunnel/net/udp.h"

#include <string.h>
#include <sys/socket.h>

#include "tunnel/net/address.h"

/* Room for either family's control message, of which IPv6's is the larger; aligned as one. */
struct control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static void local_from_control(struct msghdr *message, struct turbo_address *local)
{
    struct address address = {.length = 0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            address_wildcard(&address, AF_INET, 0);
            address.v4.sin_addr = info.ipi_addr;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            address_wildcard(&address, AF_INET6, 0);
            address.v6.sin6_addr = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                address.v6.sin6_scope_id = info.ipi6_ifindex;
        }
    }
    address_to_turbo(&address, local);
}

int udp_receive(int fd, struct udp_datagram out[static UDP_BATCH])
{
    struct sockaddr_storage from[UDP_BATCH];
    struct control control[UDP_BATCH];
    struct iovec bytes[UDP_BATCH];
    struct mmsghdr messages[UDP_BATCH];
    memset(messages, 0, sizeof(messages));
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
        struct address peer;
        memset(&out[i].path, 0, sizeof(out[i].path));
        address_from_sockaddr(&peer, (struct sockaddr *)&from[i], messages[i].msg_hdr.msg_namelen);
        address_to_turbo(&peer, &out[i].path.peer);
        local_from_control(&messages[i].msg_hdr, &out[i].path.local);
        out[i].length = messages[i].msg_len;
    }
    return count;
}

/*
 * IPv4 on a dual-stack socket takes the IPv6 form of both addresses, mapped, which is how libturbo
 * keeps them; on an IPv4 socket the plain form.
 */
static void control_for(struct msghdr *message, struct control *control, int family,
                        const struct turbo_address *local)
{
    memset(control, 0, sizeof(*control));
    message->msg_control = control;
    message->msg_controllen = family == AF_INET ? CMSG_SPACE(sizeof(struct in_pktinfo))
                                                : CMSG_SPACE(sizeof(struct in6_pktinfo));
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (family == AF_INET) {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, local->ip + 12, sizeof(info.ipi_spec_dst));
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip, sizeof(info.ipi6_addr));
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
    }
}

static socklen_t peer_for(struct sockaddr_storage *to, int family, const struct turbo_address *peer)
{
    struct address address;
    address_from_turbo(peer, &address);
    if (family == AF_INET6 && address_family(&address) == AF_INET) {
        struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(peer->port)};
        memcpy(&mapped.sin6_addr, peer->ip, sizeof(peer->ip));
        memcpy(to, &mapped, sizeof(mapped));
        return sizeof(mapped);
    }
    memcpy(to, &address.any, address.length);
    return address.length;
}

int udp_send(int fd, int family, const struct udp_datagram *datagrams, int count)
{
    struct sockaddr_storage to[UDP_BATCH];
    struct control control[UDP_BATCH];
    struct iovec bytes[UDP_BATCH];
    struct mmsghdr messages[UDP_BATCH];
    memset(messages, 0, sizeof(messages));
    for (int i = 0; i < count; i++) {
        const struct udp_datagram *d = &datagrams[i];
        struct msghdr *message = &messages[i].msg_hdr;
        bytes[i].iov_base = (void *)(uintptr_t)d->data; /* sendmmsg does not write to it */
        bytes[i].iov_len = d->length;
        message->msg_iov = &bytes[i];
        message->msg_iovlen = 1;
        if (family == AF_UNSPEC)
            continue;
        message->msg_name = &to[i];
        message->msg_namelen = peer_for(&to[i], family, &d->path.peer);
        control_for(message, &control[i], family, &d->path.local);
    }
    int sent = sendmmsg(fd, messages, (unsigned)count, MSG_NOSIGNAL);
    return sent < 0 ? 0 : sent;
}
