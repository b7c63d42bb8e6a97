#include "stand_in.h"

#include <string.h>

enum { RANDOM_AT = 5 + 4 + 2, RANDOM_BYTES = 32 };

uint64_t stand_in_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void stand_in_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    uint64_t sum = length;
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, data + i, length - i < sizeof(word) ? length - i : sizeof(word));
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
    }
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = stand_in_random(&sum);
        memcpy(digest + i * sizeof(word), &word, sizeof(word));
    }
}

static uint8_t *put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

static uint8_t *put_random(uint8_t *at, uint64_t *state)
{
    for (size_t i = 0; i < RANDOM_BYTES / sizeof(uint64_t); i++) {
        uint64_t word = stand_in_random(state);
        at = put(at, &word, sizeof(word));
    }
    return at;
}

void stand_in_hello(uint8_t out[static HELLO_BYTES], uint64_t number)
{
    static const uint8_t suites[] = {0, 6, 0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 1, 0};
    static const uint8_t
        extensions[] =
            {
                0x00, 0x00, 0,   12,  0,   10,   0,    0,    7,    'e',
                'x',  'a',  'm', 'p', 'l', 'e', /* server_name
                                                 */
                0x00, 0x10, 0,   14,  0,   12,   2,    'h',  '2',  8,
                'h',  't',  't', 'p', '/', '1',  '.',  '1',  /* ALPN */
                0x00, 0x2b, 0,   3,   2,   0x03, 0x04,       /* supported_versions: 1.3 */
                0x00, 0x0a, 0,   4,   0,   2,    0x00, 0x1d, /* supported_groups: X25519 */
                0x00, 0x0d, 0,   6,   0,   4,    0x04, 0x03, 0x08, 0x04, /* signature_algorithms */
                0x00, 0x33, 0,   38,  0,   36,   0x00, 0x1d, 0,    32, /* key_share, and 32 bytes */
            };
    uint8_t *end = out + HELLO_BYTES;
    uint8_t *at = put16(put(out, "\x16\x03\x01", 3), HELLO_BYTES - 5);
    at = put16(put(at, "\x01\x00", 2), HELLO_BYTES - 9);
    at = put_random(put16(at, 0x0303), &number);
    *at++ = RANDOM_BYTES; /* the session id */
    at = put(put_random(at, &number), suites, sizeof(suites));
    at = put16(at, (size_t)(end - at) - 2);
    at = put_random(put(at, extensions, sizeof(extensions)), &number);
    at = put16(at, 21); /* padding */
    at = put16(at, (size_t)(end - at) - 2);
    memset(at, 0, (size_t)(end - at));
}

static uint8_t *put_record(uint8_t *at, uint8_t type, size_t payload, uint64_t *state)
{
    *at++ = type;
    at = put16(put16(at, 0x0303), payload);
    for (size_t i = 0; i < payload; i++)
        *at++ = (uint8_t)stand_in_random(state);
    return at;
}

void stand_in_flight(uint8_t out[static FLIGHT_BYTES])
{
    enum { SERVER_HELLO = 122, EXTENSIONS = 32, VERIFY = 281, FINISHED = 53, HEADER = 5 };
    uint64_t state = 1;
    uint8_t *at = put_record(out, 22, SERVER_HELLO, &state);
    at = put(at, "\x14\x03\x03\x00\x01\x01", 6);
    at = put_record(at, 23, EXTENSIONS, &state);
    size_t rest = 3 * HEADER + VERIFY + FINISHED;
    at = put_record(at, 23, (size_t)(out + FLIGHT_BYTES - at) - rest, &state);
    at = put_record(at, 23, VERIFY, &state);
    put_record(at, 23, FINISHED, &state);
}
