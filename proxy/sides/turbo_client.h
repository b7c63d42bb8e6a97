/*
 * The far side of a sidecar: speaks TurboTLS to the upstream, and becomes plain TCP.
 */
#ifndef PROXY_SIDES_TURBO_CLIENT_H
#define PROXY_SIDES_TURBO_CLIENT_H

#include "proxy/sides/side.h"

struct upstream;
struct worker;

/* Starts connecting. NULL: out of memory. */
struct side *turbo_client_side(struct worker *worker, struct upstream *upstream);

#endif
