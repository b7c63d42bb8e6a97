/*
 * Datagrams on a listening socket, with the address each one asked: the reply leaves from there
 * (IP_PKTINFO, RFC 3542 §6), which matters on hosts with several addresses.
 */
#ifndef PROXY_NET_UDP_H
#define PROXY_NET_UDP_H

#include "turbo/turbo.h"

/*
 * Receives one datagram. Returns its length (0 is an empty one), or -1 with errno: EAGAIN when
 * there is none. A datagram larger than the buffer comes out larger than `capacity`, and cut.
 */
long udp_receive(int fd, uint8_t *buffer, size_t capacity, struct turbo_path *path);

/*
 * Sends one datagram back along `path` on a socket of `family`. False with errno: it is lost, as
 * datagrams may be.
 */
bool udp_send(int fd, int family, const uint8_t *data, size_t length,
              const struct turbo_path *path);

#endif
