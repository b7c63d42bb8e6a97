/*
 * The far side of a sidecar: speaks TurboTLS to the upstream, and becomes plain TCP.
 */
#ifndef PROXY_SIDES_TURBO_CLIENT_H
#define PROXY_SIDES_TURBO_CLIENT_H

#include "proxy/sides/side.h"

struct upstream;
struct upstream_call;
struct worker;

/* Starts connecting, and asks for the HTTPS record where it matters (protocol §10). The call has no
 * prelude. NULL: out of memory. */
struct side *turbo_client_side(struct worker *worker, struct upstream *upstream,
                               const struct upstream_call *call);

#endif
