/*
 * The UDP half of a turbo listener: one socket, one libturbo endpoint, and the timer between them.
 *
 * New sessions become connections to the upstream; what sessions want sent leaves here.
 */
#ifndef PROXY_UDP_ENDPOINT_H
#define PROXY_UDP_ENDPOINT_H

#include "tunnel/net/address.h"
#include "turbo/server.h"

struct listener;
struct udp_endpoint;

/* Takes over `fd`, the UDP socket of `listener`, which owns the endpoint (-1: other workers have
 * all of them, and all sessions). Does not receive before
 * udp_endpoint_listen. NULL with errno: no memory, descriptor or randomness. */
struct udp_endpoint *udp_endpoint_create(struct listener *listener, int fd);
/* No side may still use it. NULL is allowed. */
void udp_endpoint_destroy(struct udp_endpoint *endpoint);

/* No more datagrams, in or out: no session is pending, and somebody else may have the socket now.
 */
void udp_endpoint_close(struct udp_endpoint *endpoint);
void udp_endpoint_listen(struct udp_endpoint *endpoint);
/* A TCP connection from there has come, and says nothing yet: it may be a session's. */
void udp_endpoint_accepted(struct udp_endpoint *endpoint, const struct address *peer);
/* The listener's settings have changed. */
void udp_endpoint_reconfigure(struct udp_endpoint *endpoint);

/* -1: closed. */
int udp_endpoint_fd(const struct udp_endpoint *endpoint);
struct listener *udp_endpoint_listener(const struct udp_endpoint *endpoint);
struct turbo_endpoint *udp_endpoint_turbo(struct udp_endpoint *endpoint);
/* A session was given something: see to events and datagrams, soon, from the loop. */
void udp_endpoint_kick(struct udp_endpoint *endpoint);

#endif
