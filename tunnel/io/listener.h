/* The TurboTLS kind of tunnel_listener, as the public functions see it. */
#ifndef TUNNEL_IO_LISTENER_H
#define TUNNEL_IO_LISTENER_H

#include "tunnel/io.h"

struct turbo_listener;

/* Takes both sockets over. NULL with errno: they stay the caller's. */
struct turbo_listener *turbo_listener_create(const struct tunnel_listen *settings, int tcp_fd,
                                             int udp_fd, int family);
enum tunnel_result turbo_listener_accept(struct turbo_listener *listener, struct tunnel_io **io);
void turbo_listener_watch(struct turbo_listener *listener, struct tunnel_watch *watch);
void turbo_listener_close(struct turbo_listener *listener);

#endif
