#include "hello.h"

#include <openssl/sha.h>
#include <string.h>
#include <unistd.h>

#include "pace.h"

enum {
    RECORD_HEADER = 5,
    MESSAGE_HEADER = 4,
    RECORD_MAX = 16384,
    RANDOM_AT = 2, /* in the message's body: behind the version */
    RANDOM_BYTES = 32,
    SESSION_AT = RANDOM_AT + RANDOM_BYTES + 1,
};

/* The body between the session id and the key share's 32 bytes, and its lengths filled in later. */
static const uint8_t suites[] = {0, 6, 0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 1, 0};
static const uint8_t extensions[] = {
    0x00, 0x00, 0,   17,  0,   15,   0,    0,    12,   'e',  'x',  'a',
    'm',  'p',  'l', 'e', '.', 't',  'e',  's',  't', /* server_name */
    0x00, 0x2b, 0,   3,   2,   0x03, 0x04,            /* supported_versions: 1.3 */
    0x00, 0x0a, 0,   4,   0,   2,    0x00, 0x1d,      /* supported_groups: X25519 */
    0x00, 0x0d, 0,   8,   0,   6,    0x04, 0x03, 0x08, 0x04, 0x04, 0x01, /* signature_algorithms */
    0x00, 0x33, 0,   38,  0,   36,   0x00, 0x1d, 0,    32, /* key_share, and 32 bytes */
};
enum { KEY_BYTES = 32, PADDING_TYPE = 21, EXTENSION_HEADER = 4 };

void random_init(struct random *r)
{
    r->state = (pace_clock() ^ (uint64_t)getpid() << 40) | 1;
}

void random_fill(struct random *r, uint8_t *out, size_t length)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t bytes = random_next(r);
        memcpy(out + i, &bytes, length - i < sizeof(bytes) ? length - i : sizeof(bytes));
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

/* The message at `at`: its header, and a body that padding brings to `size` in all. */
static void write_message(uint8_t *at, struct random *random, size_t size)
{
    uint8_t *end = at + size;
    *at++ = 1;
    *at++ = (uint8_t)((size - MESSAGE_HEADER) >> 16);
    at = put16(at, (size - MESSAGE_HEADER) & 0xffff);
    at = put16(at, 0x0303);
    random_fill(random, at, RANDOM_BYTES);
    at += RANDOM_BYTES;
    *at++ = RANDOM_BYTES;
    random_fill(random, at, RANDOM_BYTES);
    at = put(at + RANDOM_BYTES, suites, sizeof(suites));
    at = put16(at, (size_t)(end - at) - 2);
    at = put(at, extensions, sizeof(extensions));
    random_fill(random, at, KEY_BYTES);
    at = put16(at + KEY_BYTES, PADDING_TYPE);
    at = put16(at, (size_t)(end - at) - 2);
    memset(at, 0, (size_t)(end - at));
}

static void take_id(struct hello *hello)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(hello->bytes, hello->length, digest);
    memcpy(hello->id, digest, ID_BYTES);
    hello->id[0] = (hello->id[0] & 0x3f) | 0x80;
    hello->id[2] |= 0x80;
}

void hello_make(struct hello *hello, struct random *random, size_t size)
{
    uint8_t message[HELLO_ROOM];
    write_message(message, random, size);
    hello->length = 0;
    for (size_t done = 0; done < size;) {
        size_t part = size - done < RECORD_MAX ? size - done : RECORD_MAX;
        uint8_t *at = put(hello->bytes + hello->length, "\x16\x03\x01", 3);
        at = put16(at, part);
        memcpy(at, message + done, part);
        hello->length += RECORD_HEADER + part;
        done += part;
    }
    take_id(hello);
}

void hello_freshen(struct hello *hello, struct random *random)
{
    uint8_t *body = hello->bytes + RECORD_HEADER + MESSAGE_HEADER;
    random_fill(random, body + RANDOM_AT, RANDOM_BYTES);
    random_fill(random, body + SESSION_AT, RANDOM_BYTES);
    size_t key = SESSION_AT + RANDOM_BYTES + sizeof(suites) + 2 + sizeof(extensions);
    random_fill(random, body + key, KEY_BYTES);
    take_id(hello);
}

void id_guess(uint8_t id[static ID_BYTES], struct random *random)
{
    random_fill(random, id, ID_BYTES);
    id[0] = (id[0] & 0x3f) | 0x80;
    id[2] |= 0x80;
}

void header_write(uint8_t out[static HEADER_BYTES], const uint8_t id[static ID_BYTES],
                  uint8_t flags, uint32_t sequence)
{
    memcpy(out, id, ID_BYTES);
    out[ID_BYTES] = flags;
    out[ID_BYTES + 1] = (uint8_t)(sequence >> 16);
    out[ID_BYTES + 2] = (uint8_t)(sequence >> 8);
    out[ID_BYTES + 3] = (uint8_t)sequence;
}
