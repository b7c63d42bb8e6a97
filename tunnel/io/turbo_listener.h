/*
 * What accepted sessions need of their listener. Everything under its lock, but for the lock
 * itself.
 */
#ifndef TUNNEL_IO_TURBO_LISTENER_H
#define TUNNEL_IO_TURBO_LISTENER_H

#include <poll.h>

#include "tunnel/io/accepted.h"

void turbo_listener_lock(struct turbo_listener *listener);
/* Frees the listener, if nobody holds it any more. */
void turbo_listener_unlock(struct turbo_listener *listener);

/* Does what can be done now for all its sessions and openings. */
void turbo_listener_pump(struct turbo_listener *listener);
/* A descriptor that is readable when there is something to pump. */
int turbo_listener_fd(const struct turbo_listener *listener);
/* The session is settled, or over: it leaves, and holds the listener no longer. */
void turbo_listener_leave(struct turbo_listener *listener, struct accepted_io *accepted);
/* The user has left; what it has said is to be delivered: it is the listener's now. */
void turbo_listener_keep(struct turbo_listener *listener, struct accepted_io *accepted);

#endif
