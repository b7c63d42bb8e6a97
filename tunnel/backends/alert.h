/* What a peer's fatal alert means to us, whichever library has received it. Their list: RFC 8446
 * §6.2, RFC 5246 §7.2.2. */
#ifndef TUNNEL_BACKENDS_ALERT_H
#define TUNNEL_BACKENDS_ALERT_H

#include <stdint.h>

#include "tunnel/result.h"

/* "unknown_ca"; "unknown" if it has no name. */
const char *alert_name(uint8_t description);
/* CERTIFICATE_REFUSED, NO_COMMON_VERSION, NO_COMMON_ALPN, NO_COMMON_GROUND or PEER_ALERT. `error`
 * (may be NULL) gets the alert's name and what would help. */
enum tunnel_result alert_failure(struct tunnel_error *error, uint8_t description);

#endif
