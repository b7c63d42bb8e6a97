#include "proxy/net/udp.h"

#include <string.h>
#include <sys/socket.h>

#include "proxy/net/address.h"

/* Room for either family's control message, aligned as the kernel wants it. */
union control {
    struct cmsghdr header;
    char v4[CMSG_SPACE(sizeof(struct in_pktinfo))];
    char v6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
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

long udp_receive(int fd, uint8_t *buffer, size_t capacity, struct turbo_path *path)
{
    struct sockaddr_storage from;
    union control control;
    struct iovec bytes = {.iov_base = buffer, .iov_len = capacity};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof(from),
                             .msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(fd, &message, MSG_TRUNC);
    if (length < 0)
        return -1;
    struct address peer;
    memset(path, 0, sizeof(*path));
    address_from_sockaddr(&peer, (struct sockaddr *)&from, message.msg_namelen);
    address_to_turbo(&peer, &path->peer);
    local_from_control(&message, &path->local);
    return length;
}

/*
 * IPv4 on a dual-stack socket takes the IPv6 form of both addresses, mapped, which is how libturbo
 * keeps them; on an IPv4 socket the plain form.
 */
static void control_for(struct msghdr *message, union control *control, int family,
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

bool udp_send(int fd, int family, const uint8_t *data, size_t length, const struct turbo_path *path)
{
    struct sockaddr_storage to;
    union control control;
    uint8_t *bytes = (uint8_t *)(uintptr_t)data; /* sendmsg does not write to it */
    struct iovec vector = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {.msg_name = &to, .msg_iov = &vector, .msg_iovlen = 1};
    message.msg_namelen = peer_for(&to, family, &path->peer);
    control_for(&message, &control, family, &path->local);
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)length;
}
