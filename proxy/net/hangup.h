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

/* `reset` is told the owner of a descriptor that has failed, who outlives it. NULL with errno when
 * there is no descriptor or memory. */
struct hangups *hangups_create(struct ev_loop *loop, void (*reset)(void *owner));
void hangups_destroy(struct hangups *hangups);

/* `owner` is told once when `fd` fails, or has failed before. A moment passes before it is watched,
 * which most need not be: not twice for the same `fd`. */
void hangups_watch(struct hangups *hangups, int fd, void *owner);
/*
 * Before an `fd` that is watched is closed. To close it is not enough: while another process has a
 * copy, as one that is just being started does until exec has closed it, epoll goes on to tell of
 * it (epoll(7)).
 */
void hangups_forget(struct hangups *hangups, int fd);

#endif
