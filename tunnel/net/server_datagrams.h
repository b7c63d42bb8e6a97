/*
 * The datagrams of an endpoint, on its listening socket: what it wants sent leaves, what comes is
 * told it.
 */
#ifndef TUNNEL_NET_SERVER_DATAGRAMS_H
#define TUNNEL_NET_SERVER_DATAGRAMS_H

#include "tunnel/net/udp.h"
#include "turbo/server.h"

/* Some of what has come: poll(2) says when there is more. */
void server_datagrams_receive(int fd, struct turbo_endpoint *endpoint, turbo_time now);
/* `family`: the socket's. `fd` -1: it is lost. `offload`: the socket's, zero at first: of a flight
 * the kernel makes the datagrams. */
void server_datagrams_send(int fd, int family, struct turbo_endpoint *endpoint, turbo_time now,
                           struct udp_offload *offload);

#endif
