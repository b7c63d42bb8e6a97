/*
 * Listening sockets that were there before: from systemd (socket activation), from the process that
 * this one replaces, or from the listener that is being replaced. A listener that finds its own
 * among them need not bind.
 */
#ifndef PROXY_NET_INHERITED_H
#define PROXY_NET_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/net/address.h"

enum { INHERITED_MAX = 256 };

struct inherited {
    struct inherited_socket {
        int fd;
        int type; /* SOCK_STREAM (listening), SOCK_DGRAM */
        bool dual_stack;
        struct address address; /* [::] when dual_stack */
    } sockets[INHERITED_MAX];
    size_t count;
};

void inherited_init(struct inherited *inherited);
/*
 * Those that systemd's LISTEN_FDS or a predecessor's environment announces; the variables are
 * removed. What is no listening TCP or UDP socket over IP is left alone and named in `error`.
 * False: one of them is unusable; `error` says which and why.
 */
bool inherited_from_environment(struct inherited *inherited, char *error, size_t error_bytes);
/* Takes over `fd`. False: it is no such socket, or there are too many; it is still the caller's. */
bool inherited_add(struct inherited *inherited, int fd);
/*
 * The socket of `type` that is bound to `address`, with the options that socket_listen_tcp or
 * socket_listen_udp set, as the caller's; -1: there is none. Port 0 matches none.
 */
int inherited_take(struct inherited *inherited, int type, const struct address *address,
                   bool dual_stack);
/* Closes those that nobody took. */
void inherited_close(struct inherited *inherited);

#endif
