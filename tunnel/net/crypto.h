/* What libturbo and the proxy need of a crypto library: SHA-256 and random bytes (OpenSSL). */
#ifndef TUNNEL_NET_CRYPTO_H
#define TUNNEL_NET_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A turbo_sha256. */
void crypto_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32]);
/* At most 256 bytes, which getrandom(2) gives in one piece. False: the system has none to give. */
bool crypto_random(uint8_t *out, size_t length);

#endif
