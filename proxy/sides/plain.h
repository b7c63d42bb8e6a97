/*
 * A side that is one TCP socket: accepted, being connected, or left over from a TurboTLS session.
 */
#ifndef PROXY_SIDES_PLAIN_H
#define PROXY_SIDES_PLAIN_H

#include "proxy/sides/side.h"

struct worker;
struct upstream;
struct upstream_call;

/* Takes over `fd`. NULL: out of memory; it still belongs to the caller. */
struct side *plain_accepted(int fd);
/*
 * The same for what is left of an arrival or a session: `fd`, which the worker's loop has watched
 * before, and `early` (malloc'ed, may be NULL): bytes that were read from it, all there were if
 * `drained`. NULL: out of memory; both still belong to the caller.
 */
struct side *plain_left_over(struct worker *worker, int fd, uint8_t *early, size_t early_length,
                             bool drained);
/* Connects to the upstream, and says what there is to be said before anything else: the call's
 * prelude, and what leads to STARTTLS where the upstream asks for it. NULL: out of memory. */
struct side *plain_connecting(struct worker *worker, struct upstream *upstream,
                              const struct upstream_call *call);

/* Its end has been read: a reset is still to be noticed (as SIDE_RESET in `lost`). It has an owner.
 */
void plain_watch_reset(struct side *side);
/* For hangups_create: `side` is. */
void plain_was_reset(void *side);

#endif
