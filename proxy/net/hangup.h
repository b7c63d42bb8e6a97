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

struct hangups;

/* Where to report; a member of the connection's object, which outlives the descriptor. */
struct hangup {
    void (*reset)(struct hangup *hangup);
};

/* NULL with errno when there is no descriptor or memory. */
struct hangups *hangups_create(struct ev_loop *loop);
void hangups_destroy(struct hangups *hangups);

/*
 * From now on `hangup->reset` is called once when `fd` fails; a second call for the same `fd`
 * changes nothing. Closing `fd` ends it. Without memory for it a reset goes unnoticed until bytes
 * are sent.
 */
void hangups_watch(struct hangups *hangups, int fd, struct hangup *hangup);

#endif
