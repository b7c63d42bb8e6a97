/* TLS's first bytes, where they were read together with what led to TLS. */
#ifndef TUNNEL_EARLY_H
#define TUNNEL_EARLY_H

#include "tunnel/tunnel.h"

/* The tunnel reads these in front of its I/O's. They must stay where they are as long as it lives.
 */
void early_give(struct tunnel *tunnel, const void *bytes, size_t length);

#endif
