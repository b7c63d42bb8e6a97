/*
 * The UDP socket of a client session: what the session wants sent leaves, what comes is told it.
 */
#ifndef PROXY_SIDES_SESSION_UDP_H
#define PROXY_SIDES_SESSION_UDP_H

#include <ev.h>
#include <stdint.h>

#include "tunnel/net/address.h"
#include "turbo/client.h"

struct session_udp {
    struct ev_loop *loop;
    int fd;   /* -1: none: sending fails, and the session goes the classic way */
    ev_io io; /* io.data is the owner */
};

/* Without a socket yet. `callback`: something has come. */
void session_udp_init(struct session_udp *udp, struct ev_loop *loop,
                      void (*callback)(struct ev_loop *loop, ev_io *io, int events), void *owner);
/* To `peer`, from the local IP address of the TCP socket `like`. */
void session_udp_open(struct session_udp *udp, const struct address *peer, int like, uint32_t mark);
void session_udp_close(struct session_udp *udp);

void session_udp_send(const struct session_udp *udp, struct turbo_client *session, turbo_time now);
/* Some of what has come: the loop says when there is more. Nothing without a socket. */
void session_udp_receive(const struct session_udp *udp, struct turbo_client *session,
                         turbo_time now);

#endif
