/*
 * The near side of an edge: a session that began on UDP, which TCP joins, and which becomes plain.
 */
#ifndef PROXY_SIDES_TURBO_SERVER_H
#define PROXY_SIDES_TURBO_SERVER_H

#include "proxy/sides/side.h"
#include "turbo/server.h"

struct udp_endpoint;
struct upstream;
struct worker;

/* Takes over the session, which is pending on `upstream`. NULL: out of memory; the session is still
 * the caller's. */
struct side *turbo_server_side(struct worker *worker, struct udp_endpoint *endpoint,
                               struct turbo_server *session, struct upstream *upstream);

/* The endpoint says that the session is over (expired or aborted). Wakes the relay. */
void turbo_server_side_ended(struct side *side);

/* The endpoint says that UDP has brought more of a Sandwich client's stream, or all. Wakes the
 * relay.
 */
void turbo_server_side_more(struct side *side);

/*
 * The session was joined by `fd`, which is the side's from now on, and `early` (malloc'ed, may be
 * NULL): the bytes that came behind the tombstone, or all of them where it was adopted. Wakes the
 * relay.
 */
void turbo_server_side_join(struct side *side, int fd, uint8_t *early, size_t length);

#endif
