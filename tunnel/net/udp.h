/*
 * Datagrams, several at a time (recvmmsg, sendmmsg). On a listening socket each comes with the
 * address it asked, and the reply leaves from there (IP_PKTINFO, RFC 3542 §6), which matters on
 * hosts with several addresses; on a connected socket there is but one path, and it is not told.
 *
 * What goes to one peer in a row, of equal sizes but for a shorter last one, may leave as one
 * buffer that the kernel or the device cuts (UDP_SEGMENT, udp(7)): a flight for the price of a
 * datagram. There is no such thing on receiving: UDP_GRO makes one buffer of datagrams that belong
 * to different sessions, as long as they come from one address.
 */
#ifndef TUNNEL_NET_UDP_H
#define TUNNEL_NET_UDP_H

#include "turbo/turbo.h"

/* At least as many as a client end sends at once; more at a time cost no less each. */
enum { UDP_BATCH = TURBO_REQUESTS_MAX };

/* `data` has one byte more than a datagram may have. */
struct udp_datagram {
    struct turbo_path path; /* of a listening socket's */
    size_t length;          /* above sizeof(data): it was longer, and was cut */
    uint8_t data[TURBO_DATAGRAM_MAX + 1];
};

/* What a socket's kernel or device will not do, as found out on the way; or a single path, whose
 * MTU is small, so it is not for ever. */
enum { UDP_REFUSED_SENDS = 1024 };
struct udp_offload {
    unsigned refused; /* so often nothing is left to be cut, before it is tried again */
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
 *
 * `offload`: the socket's, zero at first: equal ones may leave as one; where that is refused, they
 * leave one by one, now and for a while. NULL: each leaves by itself, so that a queue that is full
 * does not drop all of them at once.
 */
int udp_send(int fd, int family, const struct udp_datagram *datagrams, int count,
             struct udp_offload *offload);

#endif
