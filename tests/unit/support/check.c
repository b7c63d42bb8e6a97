#include "tests/unit/support/check.h"

#include <openssl/sha.h>

void check_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    SHA256(data, length, digest);
}

struct turbo_path check_path(uint8_t client, uint16_t port)
{
    struct turbo_path path = {.peer.port = port, .local.port = 443};
    path.peer.ip[10] = path.peer.ip[11] = path.local.ip[10] = path.local.ip[11] = 0xff;
    path.peer.ip[12] = 192;
    path.peer.ip[15] = client;
    path.local.ip[12] = 198;
    path.local.ip[15] = 1;
    return path;
}

uint8_t check_byte(unsigned stream, size_t i)
{
    uint32_t x = (uint32_t)i * 2654435761u + stream * 40503u + 1;
    x ^= x >> 15;
    x *= 2246822519u;
    return (uint8_t)(x >> 24);
}

void check_fill(uint8_t *out, unsigned stream, size_t from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        out[i] = check_byte(stream, from + i);
}
