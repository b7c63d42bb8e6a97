/*
 * Sockets with the options the proxy wants: non-blocking, close-on-exec, no Nagle delay, "don't
 * fragment" on UDP. Every call returns a descriptor, or -1 with errno set.
 */
#ifndef TUNNEL_NET_SOCKET_H
#define TUNNEL_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/net/address.h"

/* Listening sockets. `address` gets the port that was bound. [::] takes IPv6 only. */
int socket_listen_tcp(struct address *address);
/* The same for UDP; the socket tells which local address each datagram asked. */
int socket_listen_udp(struct address *address);
/*
 * The same of either type, and one of several sockets at one address (SO_REUSEPORT), each with a
 * thread of its own. ALONE and FIRST fail with EADDRINUSE where anybody has the port; ANOTHER joins
 * the FIRST, as its owner's other processes could. `dual`: on every address of both families; of
 * `address` the port counts then, and it becomes [::], or 0.0.0.0 on a host without IPv6.
 */
enum socket_share { SOCKET_ALONE, SOCKET_FIRST, SOCKET_ANOTHER };
int socket_listen(int type, struct address *address, bool dual, enum socket_share share);
/*
 * The kernel gives a datagram to that of `count` UDP sockets, in the order in which they were
 * bound, which byte `offset` modulo `count` names (SO_ATTACH_REUSEPORT_CBPF); one of less than
 * `least` bytes to any. `fd` is one of them. False with errno.
 */
bool socket_steer(int fd, unsigned offset, unsigned least, unsigned count);
/*
 * Gives a socket that was bound elsewhere what those above have. Not its backlog and buffers: who
 * bound it chose them, and may have been allowed larger ones than we are.
 */
bool socket_prepare_listener(int fd, int type, int family);

/* The next accepted connection and who it is from; -1 with EAGAIN when there is none. */
int socket_accept(int listener, struct address *peer);

/* The address that it is bound to, or that the peer connected to; empty when there is none. */
void socket_local_address(int fd, struct address *local);

/*
 * Where an accepted connection was meant to go before nftables redirected it here, by REDIRECT or
 * DNAT. False, and `destination` is empty: it was not redirected (errno ENOENT), or that cannot be
 * told.
 */
bool socket_original_destination(int fd, struct address *destination);
/*
 * A listening socket also takes connections to addresses that are not the host's, as TPROXY sends
 * them: whoever accepts one finds where it was meant to go in socket_local_address. A dual-stack
 * socket does so for both families. False (EPERM): that needs CAP_NET_RAW or CAP_NET_ADMIN, unless
 * the socket was made so by whom it is from (systemd: Transparent=yes).
 */
bool socket_be_transparent(int fd, int family);

/* Whether this process may mark its sockets, for which it needs CAP_NET_RAW, or CAP_NET_ADMIN
 * before Linux 5.17. False with errno: EPERM if it lacks that. */
bool socket_may_mark(void);
/* Starts a TCP connect (EINPROGRESS counts as started), marked (SO_MARK) unless `mark` is 0. */
int socket_connect_tcp(const struct address *peer, uint32_t mark);
/*
 * Where few segments are under way, as in a handshake, TCP repeats a lost one up to six times
 * without doubling the time in between (tcp(7) calls that thin streams): on a path that loses much
 * a connection would else be silent for minutes. Listening sockets and those they accept have it.
 */
bool socket_retry_evenly(int fd);
/* A UDP socket from the local IP address of the TCP socket `like` to `peer`. */
int socket_connect_udp(const struct address *peer, int like, uint32_t mark);

/* The pending error of a socket; 0: none. */
int socket_error(int fd);
/* Did a call fail only for now (EAGAIN, EINTR)? */
bool socket_is_again(int error);
/* Is the failure one of descriptors or memory, which passes by itself? */
bool socket_exhausted(int error);
/* Smoothed round trip as the kernel sees it; 0 when it cannot tell. */
uint64_t socket_rtt_us(int fd);
/* Bytes written that the peer has not acknowledged. */
size_t socket_unsent(int fd);
/* Closes so that the peer gets a reset. -1 is allowed, as in socket_close. */
void socket_reset(int fd);
void socket_close(int fd);

#endif
