/* Of SHA-256 the functions that allocate nothing, and so cannot fail: a digest that was not
 * computed would be an id made of whatever was on the stack. OpenSSL 3 would rather have EVP, which
 * can. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tunnel/net/crypto.h"

#include <openssl/sha.h>
#include <sys/random.h>

void crypto_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, data, length);
    SHA256_Final(digest, &context);
}

bool crypto_random(uint8_t *out, size_t length)
{
    return getrandom(out, length, 0) == (ssize_t)length;
}
