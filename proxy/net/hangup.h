/*
 * Tells when a connection was reset while nobody reads from it.
 *
 * libev watches a socket for reading or writing only. One that has given its end of file is ready
 * for both for good, so watching it would spin; yet a reset must still be passed on. A second epoll
 * instance, itself watched by the loop, reports errors alone.
 */
#ifndef PROXY_NET_HANGUP_H
#define PROXY_NET_HANGUP_H

#include <ev.h>
#include <stdbool.h>

struct hangups;

/* Where to report; a member of the connection's object, which outlives the descriptor. */
struct hangup {
    void (*reset)(struct hangup *hangup);
    bool watched; /* the hangups' */
};

/* NULL with errno when there is no descriptor or memory. */
struct hangups *hangups_create(struct ev_loop *loop);
void hangups_destroy(struct hangups *hangups);

/*
 * From now on `hangup->reset` is called once when `fd` fails; a second call for the same `fd`
 * changes nothing. Without memory for it a reset goes unnoticed until bytes are sent.
 */
void hangups_watch(struct hangups *hangups, int fd, struct hangup *hangup);
/*
 * Before `fd` is closed, watched or not. To close it is not enough: while another process has a
 * copy, as one that is just being started does until exec has closed it, epoll goes on to tell of
 * it (epoll(7)).
 */
void hangups_forget(struct hangups *hangups, int fd, struct hangup *hangup);

#endif
