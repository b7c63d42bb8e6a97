/*
 * The datagrams of a client session, on its connected socket: what it wants sent leaves, what comes
 * is told it.
 */
#ifndef TUNNEL_NET_CLIENT_DATAGRAMS_H
#define TUNNEL_NET_CLIENT_DATAGRAMS_H

#include "turbo/client.h"

/* `fd` -1: nothing can be sent, and the session goes the classic way. */
void client_datagrams_send(int fd, struct turbo_client *session, turbo_time now);
/* Some of what has come: poll(2) says when there is more. `fd` -1: nothing has. */
void client_datagrams_receive(int fd, struct turbo_client *session, turbo_time now);

#endif
