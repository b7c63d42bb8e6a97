/* What tunnels need of their context. */
#ifndef TUNNEL_CONTEXT_H
#define TUNNEL_CONTEXT_H

#include "tunnel/backends/backend.h"
#include "tunnel/tunnel.h"

const struct backend *context_backend(const struct tunnel_context *context);
struct backend_context *context_of_backend(const struct tunnel_context *context);
/* Is the peer's certificate verified, if it shows one? */
bool context_verifies(const struct tunnel_context *context);

#endif
