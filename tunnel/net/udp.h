/*
 * Datagrams, several at a time (recvmmsg, sendmmsg). On a listening socket each comes with the
 * address it asked, and the reply leaves from there (IP_PKTINFO, RFC 3542 §6), which matters on
 * hosts with several addresses; on a connected socket there is but one path, and it is not told.
 */
#ifndef TUNNEL_NET_UDP_H
#define TUNNEL_NET_UDP_H

#include "turbo/turbo.h"

/* As many as a client end sends at once; `data` has one byte more than a datagram may have. */
enum { UDP_BATCH = TURBO_REQUESTS_MAX };

struct udp_datagram {
    struct turbo_path path; /* of a listening socket's */
    size_t length;          /* above sizeof(data): it was longer, and was cut */
    uint8_t data[TURBO_DATAGRAM_MAX + 1];
};

/*
 * Receives at most UDP_BATCH datagrams. Returns how many; fewer than that are all there were. -1
 * with errno: EAGAIN when there is none; on a connected socket also what ICMP has reported.
 */
int udp_receive(int fd, struct udp_datagram out[static UDP_BATCH]);

/*
 * Sends `count` datagrams, at most UDP_BATCH: back along their paths on a listening socket of
 * `family`; on a connected socket (AF_UNSPEC) to its peer. Returns how many were sent. Fewer: try
 * again with the rest (sendmmsg keeps the reason to itself); 0: errno tells why the first was not.
 */
int udp_send(int fd, int family, const struct udp_datagram *datagrams, int count);

#endif
