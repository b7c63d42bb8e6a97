#include "proxy/net/crypto.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

void crypto_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    SHA256(data, length, digest);
}

bool crypto_random(uint8_t *out, size_t length)
{
    return RAND_bytes(out, (int)length) == 1;
}
