/*
 * What the parts of a TurboTLS listener share: turbo_listener.c is its life, UDP and the pump;
 * turbo_sessions.c what was accepted; turbo_openings.c TCP until it says what it is.
 */
#ifndef TUNNEL_IO_TURBO_PARTS_H
#define TUNNEL_IO_TURBO_PARTS_H

#include <pthread.h>

#include "tunnel/io/openings.h"
#include "tunnel/io/turbo_listener.h"
#include "tunnel/net/udp.h"

struct list {
    struct accepted_io *first, *last;
    uint32_t count;
};

struct turbo_listener {
    pthread_mutex_t lock;
    unsigned holders; /* its user, and every accepted_io with a session */
    int epoll_fd, tcp_fd, udp_fd, timer_fd;
    struct udp_offload offload; /* of udp_fd */
    int ready_fd;               /* an eventfd: `ready` has grown */
    int family;                 /* of the UDP socket */
    struct turbo_endpoint *turbo;
    struct openings openings;
    struct list ready; /* to be accepted */
    struct list taken; /* sessions that their users have */
    struct list kept;  /* sessions that their users have left */
    uint32_t waiting_max;
    bool accepting; /* TCP is being watched */
    bool closed;    /* its user has left: nobody accepts, and perhaps nobody looks after it */
    int accept_error;
    turbo_time accept_again; /* TURBO_NEVER: no pause */
};

/* ---- turbo_sessions.c ---- */

/* For its user to accept. */
void listener_offer(struct turbo_listener *listener, struct accepted_io *accepted);
/* What the endpoint has to tell. */
void listener_handle_events(struct turbo_listener *listener, turbo_time now);
/* TCP takes more from those whose users have left. */
void listener_deliver(struct turbo_listener *listener, struct accepted_io *accepted);
void listener_deliver_all(struct turbo_listener *listener);
/* A reader that takes nothing does not hold one for ever. */
void listener_end_old_deliveries(struct turbo_listener *listener, turbo_time now);
/* When the next of them ends. */
turbo_time listener_delivery_deadline(const struct turbo_listener *listener);
/* The first to be accepted, which its user has then; NULL: none. */
struct accepted_io *listener_take_ready(struct turbo_listener *listener);
/* It closes: sessions that no TCP has joined end, what nobody has accepted, and deliveries. */
void listener_end_sessions(struct turbo_listener *listener);

/* ---- turbo_openings.c ---- */

void listener_handle_opening(struct turbo_listener *listener, struct opening *opening,
                             turbo_time now);
/* As many as there is room for. */
void listener_accept_all(struct turbo_listener *listener, turbo_time now);
/* What time has to do with TCP: old openings end, and accepting goes on after a pause. */
void listener_tend_tcp(struct turbo_listener *listener, turbo_time now);
turbo_time listener_tcp_deadline(const struct turbo_listener *listener);
void listener_end_openings(struct turbo_listener *listener);
/* Before a watched descriptor is closed: a copy of it in a child process would keep it watched. */
void listener_forget(struct turbo_listener *listener, int fd);

#endif
