/*
 * The settings as a GnuTLS priority.
 *
 * GnuTLS allows the parts of a suite one by one: key exchange, cipher, MAC; and ciphers for TLS 1.2
 * and 1.3 together. Whatever can be put together from the parts of the suites asked for is allowed
 * then. Where that is more than was asked for, it is refused, with what to add or leave out.
 */
#ifndef TUNNEL_BACKENDS_GNUTLS_PRIORITY_H
#define TUNNEL_BACKENDS_GNUTLS_PRIORITY_H

#include <gnutls/gnutls.h>

#include "tunnel/config/settings.h"

/* Checks the names, and makes it; to be freed with gnutls_priority_deinit. The system's own
 * priorities play no part in it. NULL: `error`, also if the system's policy forbids what is asked
 * for. */
gnutls_priority_t priority_create(const struct settings *settings, struct tunnel_error *error);

#endif
