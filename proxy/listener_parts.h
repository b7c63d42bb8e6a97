/*
 * What the two parts of a listener share: listener.c, accepting, its life and its end;
 * listener_open.c, how it comes to its sockets.
 */
#ifndef PROXY_LISTENER_PARTS_H
#define PROXY_LISTENER_PARTS_H

#include <ev.h>

#include "proxy/listener.h"
#include "proxy/listener_group.h"

enum { LISTENER_TAG = 0x4c697374 /* "List" */ };

struct listener {
    uint32_t tag;
    unsigned references;
    struct worker *worker;
    struct generation *generation;          /* held */
    const struct config_listener *settings; /* in it */
    struct config_listener bound;           /* its address, with the ports the kernel chose */
    char text[CONFIG_LISTEN_TEXT_BYTES];
    struct listener_group *group; /* held */
    struct udp_endpoint *udp;
    size_t connections;
    bool was_full;   /* before the last of them began */
    bool is_pending; /* as its group was told */
    bool leaving;
    bool has_heir; /* which waits for the port */
    bool waits;    /* is such an heir */
    int fd;        /* -1: closed */
    ev_io io;
    unsigned accepted_at, accepts; /* in which turn of the loop, the last time, and how many */
};

/* Opens its sockets; `elder` as in listener_open. False, with an explanation in the log. */
bool listener_open_sockets(struct listener *listener, struct inherited *inherited,
                           const struct listener *elder);

#endif
