/*
 * Listening sockets that were there before: from systemd (socket activation), from the process that
 * this one replaces, or from the listener that is being replaced. A listener that finds its own
 * among them need not bind.
 */
#ifndef PROXY_NET_INHERITED_H
#define PROXY_NET_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

#include "tunnel/net/address.h"
#include "tunnel/net/socket.h"

enum { INHERITED_MAX = 8192 }; /* of 64 listeners, and 64 workers each */

/*
 * What a predecessor announces: the numbers of the descriptors, "7,9,10". (systemd's LISTEN_FDS
 * would have to be renumbered from 3 on, and LISTEN_PID be known before there is a process.)
 */
#define INHERITED_VARIABLE "TURBOTLS_LISTEN_FDS"

/* Those that nobody has taken, in the order in which they were announced: several at one address
 * are those of workers 0, 1, 2, … */
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
 * Takes over those that systemd (sd_listen_fds(3)) and a predecessor's environment announce; the
 * variables are removed. False: one is unusable, which would leave its clients unheard; `error`
 * says which and why. It stays open, the others are taken over.
 */
bool inherited_from_environment(struct inherited *inherited, char *error, size_t error_bytes);
/*
 * Takes over `fd` and gives it the options that socket_listen_tcp or socket_listen_udp set. NULL,
 * or why it cannot be: then it is still the caller's.
 */
const char *inherited_add(struct inherited *inherited, int fd);
/*
 * The first socket of `type` that is bound to `address`, as the caller's; -1: there is none. Port 0
 * matches none. On a host without IPv6 dual stack is 0.0.0.0, as socket_listen has it.
 */
int inherited_take(struct inherited *inherited, int type, const struct address *address,
                   bool dual_stack);
/* How many of them there are. `inherited` NULL: none. */
size_t inherited_count(const struct inherited *inherited, int type, const struct address *address,
                       bool dual_stack);
/* The most that any address has, of one type. */
size_t inherited_most_alike(const struct inherited *inherited);
/* The same as inherited_take, or a new one where there is none, or `inherited` is NULL; as
 * socket_listen. -1 with errno. */
int inherited_or_new(struct inherited *inherited, int type, struct address *address,
                     bool dual_stack, enum socket_share share);
/* Closes those that nobody took. */
void inherited_close(struct inherited *inherited);

#endif
