/*
 * Asynchronous name resolution: c-ares on the libev loop, with a small cache that honours TTLs.
 */
#ifndef PROXY_NET_RESOLVER_H
#define PROXY_NET_RESOLVER_H

#include <ev.h>
#include <stddef.h>

#include "proxy/net/address.h"

enum {
    RESOLVER_ADDRESSES_MAX = 16, /* of one name; further ones are ignored */
    RESOLVER_NAMES_MAX = 64,     /* names remembered; the least recently used one makes room */
    RESOLVER_TTL_MIN_S = 1,      /* /etc/hosts and TTL 0: asked again after this */
    RESOLVER_TTL_MAX_S = 3600,
    RESOLVER_FAILURE_TTL_S = 1, /* a failure is remembered this long, so a storm asks once */
};

struct resolver;
struct resolver_query;

/*
 * Called once per query from the loop, never from within resolver_resolve.
 * `addresses` (in the order to try them, RFC 6724) is valid during the call; count 0: failure, and `error`
 * says why in words ("Domain name not found"). The ports of the addresses are 0.
 */
typedef void resolver_done(void *owner, const struct address *addresses, size_t count,
                           const char *error);

/* Returns NULL when c-ares cannot be set up; the reason goes to `*error` (static text). */
struct resolver *resolver_create(struct ev_loop *loop, const char **error);
/* Every query must have been answered or cancelled. NULL is allowed. */
void resolver_destroy(struct resolver *resolver);

/*
 * Looks `host` up, IPv4 and IPv6. Literals and fresh cache entries are answered from the next loop
 * iteration without asking anyone. Queries for a name already being asked share one look-up. The
 * query belongs to the resolver and is gone once `done` was called or it was cancelled.
 * Returns NULL when out of memory.
 */
struct resolver_query *resolver_resolve(struct resolver *resolver, const char *host,
                                        resolver_done *done, void *owner);
void resolver_cancel(struct resolver_query *query);

#endif
