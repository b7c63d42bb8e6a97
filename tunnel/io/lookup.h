/*
 * The addresses of a host, without blocking: by c-ares, which asks /etc/hosts and then the name
 * servers; addresses stand for themselves. One look-up, no cache.
 *
 *     while (!lookup_step(lookup))
 *         wait for what lookup_watch says
 */
#ifndef TUNNEL_IO_LOOKUP_H
#define TUNNEL_IO_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "tunnel/io.h"
#include "tunnel/net/address.h"

enum { LOOKUP_ADDRESSES_MAX = 16 /* further ones are ignored */ };

struct lookup;

/* `servers`: as tunnel_io_dial's. NULL: no memory. Whatever else is wrong, lookup_step tells. */
struct lookup *lookup_start(const char *host, const char *servers);
/* Does what can be done now. True: it is over. */
bool lookup_step(struct lookup *lookup);
/* What it waits for; its deadlines are c-ares' own. */
void lookup_watch(const struct lookup *lookup, turbo_time now, struct tunnel_watch *watch);
/*
 * Of one that is over: how many, in the order to try them: RFC 6724's, then families in turn (RFC
 * 8305 §4). Their ports are 0. None: see lookup_error.
 */
size_t lookup_addresses(const struct lookup *lookup,
                        struct address out[static LOOKUP_ADDRESSES_MAX]);
/* "Domain name not found", … */
const char *lookup_error(const struct lookup *lookup);
void lookup_free(struct lookup *lookup); /* NULL is allowed */

#endif
