/*
 * What the listeners of all workers at one address share: who has which session, and how many
 * connections there are. Counted, from any thread.
 */
#ifndef PROXY_LISTENER_GROUP_H
#define PROXY_LISTENER_GROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/config/config.h"

struct listener_group {
    _Atomic unsigned references;
    /* Set while they are opened, by one thread. */
    bool tcp_inherited, udp_inherited; /* there are only the sockets that others have opened */
    /* Workers 0 to owners - 1 have a UDP socket, and each the sessions whose id says so
     * (turbo_opening_owner). 0: it is no turbo listener. */
    unsigned owners;
    /* From any thread. */
    _Atomic size_t connections;
    _Atomic unsigned accepting; /* listeners that are open: they may have connections yet */
    _Atomic unsigned pending;   /* workers with sessions that wait for TCP */
    _Atomic unsigned udp_open;  /* sockets that are read from */
    int udp_closed[CONFIG_WORKERS_MAX];
};

/* Held once by the caller. NULL: out of memory. */
struct listener_group *listener_group_create(void);
struct listener_group *listener_group_hold(struct listener_group *group);
/* NULL is allowed. */
void listener_group_release(struct listener_group *group);

/* One connection more, or less. False: there were `most` already (0: any number may be). */
bool listener_group_began(struct listener_group *group, size_t most);
void listener_group_ended(struct listener_group *group);
bool listener_group_is_full(const struct listener_group *group, size_t most);

/* One more is read from. */
void listener_group_opened_udp(struct listener_group *group);
/*
 * The kernel knows a group's UDP sockets by their place, and the last one would move to the place
 * of one that is closed: so they stay open, unread, until the last of them is closed here.
 */
void listener_group_close_udp(struct listener_group *group, unsigned worker, int fd);

#endif
