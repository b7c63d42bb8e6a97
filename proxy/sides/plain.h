/*
 * A side that is one TCP socket: accepted, being connected, or left over from a TurboTLS session.
 */
#ifndef PROXY_SIDES_PLAIN_H
#define PROXY_SIDES_PLAIN_H

#include "proxy/sides/side.h"

struct worker;
struct upstream;

/*
 * Takes over `fd` and `early` (malloc'ed, may be NULL): bytes that were read from it before.
 * NULL: out of memory; both still belong to the caller.
 */
struct side *plain_accepted(struct worker *worker, int fd, uint8_t *early, size_t early_length);
/* Connects to the upstream; `prelude` (may be NULL) is sent before anything else. NULL: out of
 * memory. */
struct side *plain_connecting(struct worker *worker, struct upstream *upstream,
                              const uint8_t *prelude, size_t length);

/* Its end has been read: a reset is still to be noticed (as SIDE_RESET in `lost`). */
void plain_watch_reset(struct side *side);

/*
 * Before a relay has it: calls `spoke` when the server has sent something, or the connection is
 * lost (`alive` false). It is called once; the side is still the caller's.
 */
void plain_watch_server(struct side *side, void (*spoke)(void *owner, bool alive), void *owner);

#endif
