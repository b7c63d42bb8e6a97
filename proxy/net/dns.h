/*
 * c-ares on the libev loop: its sockets are watched, and it is called again when it wants to be.
 */
#ifndef PROXY_NET_DNS_H
#define PROXY_NET_DNS_H

#include <ares.h>
#include <ev.h>
#include <stdint.h>

struct dns;

/*
 * Asks the servers of /etc/resolv.conf, as read now; a server has `try_ms` to answer at first,
 * twice as long in each of the `tries` rounds. Sockets carry `mark` (SO_MARK) unless it is 0.
 * Returns NULL when c-ares cannot be set up; the reason goes to `*error` (static text).
 */
struct dns *dns_create(struct ev_loop *loop, int try_ms, int tries, uint32_t mark,
                       const char **error);
/* Ends every look-up with ARES_EDESTRUCTION. NULL is allowed. */
void dns_destroy(struct dns *dns);

/* To ask c-ares with, which may answer from within the call. dns_asked comes after it. */
ares_channel dns_channel(struct dns *dns);
void dns_asked(struct dns *dns);

#endif
