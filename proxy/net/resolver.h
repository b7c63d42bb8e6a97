/*
 * Asynchronous name resolution, of addresses and HTTPS records, with a cache that honours TTLs.
 */
#ifndef PROXY_NET_RESOLVER_H
#define PROXY_NET_RESOLVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "tunnel/net/address.h"

enum {
    RESOLVER_ADDRESSES_MAX = 16,   /* of one name; further ones are ignored */
    RESOLVER_NAMES_MAX = 2048,     /* names remembered, once for their addresses and once for each
                                      record; the least recently used one makes room. When all of
                                      them are in use, further names fail at once. */
    RESOLVER_REQUESTED_MAX = 1792, /* up to so many a client's names may take: those of the
                                      configuration find room whatever clients ask for */
    RESOLVER_TTL_MIN_S = 1,        /* /etc/hosts and TTL 0: asked again after this */
    RESOLVER_TTL_MAX_S = 3600,
    RESOLVER_FAILURE_TTL_S = 1, /* a failure is remembered this long, so a storm asks once */
    RESOLVER_TRY_MS = 1000,     /* a server's first chance to answer; doubled with each round */
    RESOLVER_TRIES = 3,         /* rounds: with one server that is silent, failure after 7 s */
};

struct resolver;
struct resolver_query;

/*
 * Called once per query from the loop, never from within resolver_resolve; may resolve, cancel
 * other queries, and, once no query is left, destroy the resolver. `addresses` (in the order to try
 * them, RFC 6724) is valid during the call; count 0: failure, and `error` says why in words
 * ("Domain name not found"), else it is NULL. The ports of the addresses are 0.
 */
typedef void resolver_done(void *owner, const struct address *addresses, size_t count,
                           const char *error);

/*
 * Asks the servers of /etc/resolv.conf, as read now, after /etc/hosts; from sockets with `mark`
 * (SO_MARK) unless that is 0. A server that cannot be asked so is not asked.
 * Returns NULL when c-ares cannot be set up; the reason goes to `*error` (static text).
 */
struct resolver *resolver_create(struct ev_loop *loop, uint32_t mark, const char **error);
/* Every query must have been answered or cancelled. NULL is allowed. */
void resolver_destroy(struct resolver *resolver);

/*
 * From now on asks these servers only: "192.0.2.53,[2001:db8::53]:5353", port 53 unless given.
 * What is in the cache stays. Returns false when the list is not understood, memory is short, or a
 * look-up is under way.
 */
bool resolver_set_servers(struct resolver *resolver, const char *servers);

/*
 * Looks `host` up, IPv4 and IPv6. Literals and fresh cache entries are answered from the next loop
 * iteration without asking anyone. Queries for a name already being asked share one look-up, which
 * goes on, for the cache, when all of them are cancelled. The query belongs to the resolver and is
 * gone once `done` was called or it was cancelled. Returns NULL when out of memory.
 */
struct resolver_query *resolver_resolve(struct resolver *resolver, const char *host,
                                        resolver_done *done, void *owner);
/* The same for a name that a client asks for. */
struct resolver_query *resolver_resolve_requested(struct resolver *resolver, const char *host,
                                                  resolver_done *done, void *owner);
void resolver_cancel(struct resolver_query *query);

/*
 * Called once per query from the loop, as resolver_done. `turbo`: the record says that the server
 * speaks TurboTLS, at `udp_port`. False: it does not, there is no record, or it could not be had.
 * `known`: there was an answer, whatever it says; it holds until its TTL has passed.
 */
typedef void resolver_discovered(void *owner, bool known, bool turbo, uint16_t udp_port);

/*
 * Asks for the HTTPS record of `host` at TCP port `port`, not 0 (RFC 9460 §9.1; "_PORT._https.HOST"
 * for ports other than 443), and what it says of TurboTLS (docs/protocol.md §10.2, svcb.h). For
 * names that clients ask for. Answers are kept, shared and given as those of resolver_resolve; that
 * there is no record as long as the zone says (RFC 2308). Literals, names of one label and those
 * below .onion are not asked for: not known. Cancelled by resolver_cancel. NULL: out of memory.
 */
struct resolver_query *resolver_discover(struct resolver *resolver, const char *host, uint16_t port,
                                         resolver_discovered *done, void *owner);
/* Is an answer known already? Then what it says; nobody is asked. */
bool resolver_recall(struct resolver *resolver, const char *host, uint16_t port, bool *turbo,
                     uint16_t *udp_port);

#endif
