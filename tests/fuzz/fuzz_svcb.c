/*
 * Answers with HTTPS records: whatever comes, turbo is only ever said at a port that may be, by a
 * record that has the key in a list that is in order; and a part of an answer is none.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "proxy/net/svcb.h"

/* A literal with its zero bytes. */
#define TEXT(text) text, sizeof(text) - 1

enum { HEADER_BYTES = 12, MESSAGE_MAX = 2048 };

static bool read_exactly(const uint8_t *data, size_t length, uint16_t tcp_port, struct svcb *out)
{
    /* A block of exactly this size, so that a byte read behind it is seen. */
    uint8_t *bytes = malloc(length + (length == 0));
    assert(bytes != NULL);
    if (length > 0)
        memcpy(bytes, data, length);
    bool read = svcb_read(bytes, length, tcp_port, out);
    free(bytes);
    return read;
}

static void check(const struct svcb *out, bool read, uint16_t tcp_port)
{
    assert(read || !out->turbo);
    assert(!out->turbo || out->udp_port == tcp_port || out->udp_port >= SVCB_UDP_PORT_MIN);
    assert(out->ttl_s <= INT32_MAX);
}

/* A message from anywhere. */
static void check_message(const uint8_t *data, size_t length, uint16_t tcp_port)
{
    struct svcb out, again;
    bool read = read_exactly(data, length, tcp_port, &out);

    check(&out, read, tcp_port);
    if (!read)
        return;
    /* What is behind it changes nothing. */
    uint8_t longer[MESSAGE_MAX + 1] = {0};
    if (length > MESSAGE_MAX)
        return;
    memcpy(longer, data, length);
    assert(svcb_read(longer, length + 1, tcp_port, &again));
    assert(again.turbo == out.turbo && again.ttl_s == out.ttl_s);
    assert(!out.turbo || again.udp_port == out.udp_port);
}

/* Is the key there, in a list that is in order to its end? */
static bool has_key(const uint8_t *params, size_t length, uint16_t wanted)
{
    long before = -1;
    bool found = false;
    size_t at = 0;

    while (at < length) {
        if (length - at < 4)
            return false;
        long key = params[at] << 8 | params[at + 1];
        size_t value = (size_t)(params[at + 2] << 8 | params[at + 3]);
        at += 4;
        if (key <= before || value > length - at)
            return false;
        at += value;
        before = key;
        found = found || key == wanted;
    }
    return found;
}

static const uint8_t question[] = {
    0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, 'w', 1, 'x', 0, 0, SVCB_TYPE_HTTPS, 0, 1};
static const uint8_t record[] = {0xc0, HEADER_BYTES, 0, SVCB_TYPE_HTTPS, 0, 1, 0, 0, 1, 0};

/* A good message around the SvcParams. */
static void check_params(const uint8_t *params, size_t length)
{
    uint8_t message[MESSAGE_MAX];
    uint8_t front[] = {(uint8_t)((length + 3) >> 8), (uint8_t)(length + 3), 0, 1, 0};
    size_t at = 0;
    struct svcb out;

    if (length > MESSAGE_MAX - sizeof(question) - sizeof(record) - sizeof(front))
        return;
    memcpy(message, question, sizeof(question));
    at += sizeof(question);
    memcpy(message + at, record, sizeof(record));
    at += sizeof(record);
    memcpy(message + at, front, sizeof(front));
    at += sizeof(front);
    if (length > 0)
        memcpy(message + at, params, length);
    at += length;
    assert(read_exactly(message, at, SVCB_UNPREFIXED_PORT, &out));
    check(&out, true, SVCB_UNPREFIXED_PORT);
    assert(out.ttl_s == 256);
    assert(!out.turbo || has_key(params, length, SVCB_KEY_TURBO));
    for (size_t cut = 0; cut < at; cut += 1 + at / 64)
        assert(!read_exactly(message, cut, SVCB_UNPREFIXED_PORT, &out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data, .left = size};
    uint16_t tcp_port = input_word(&in);

    if (tcp_port == 0)
        check_params(in.at, in.left);
    else
        check_message(in.at, in.left, tcp_port);
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t params[] = {0, 0}, at_443[] = {1, 187}, elsewhere[] = {0x20, 0xfb};
    static const struct {
        const char *bytes;
        size_t length;
    } lists[] = {
        {TEXT("\xff\xc8\0\0")},
        {TEXT("\xff\xc8\0\2\x20\xfb")},
        {TEXT("\0\0\0\4\0\1\0\3\0\1\0\3\2h2\0\2\0\0\0\3\0\2\x01\xbb\0\4\0\4\1\2\3\4\xff\xc8\0\0")},
    };
    static const char aliased[] =
        "\0\1\x81\x80\0\1\0\2\0\1\0\0\1w\1x\0\0\x41\0\1\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1y\xc0\x0e"
        "\xc0\x21\0\x41\0\1\0\0\0\x3c\0\7\0\1\0\xff\xc8\0\0\0\0\x10\0\1\0\0\0\0\0\0";
    static const char prefixed[] = "\0\1\x81\x80\0\1\0\1\0\0\0\0\5_8443\6_"
                                   "https\1w\0\0\x41\0\1\xc0\x0c\0\x41\0\1\0\0\0\x3c\0\x0b"
                                   "\0\1\1w\0\xff\xc8\0\2\x20\xfb";
    static const char none[] =
        "\0\1\x81\x83\0\1\0\0\0\1\0\0\1w\1x\0\0\x41\0\1\xc0\x0e\0\6\0\1\0\0\0\x3c\0\x1a\1n\xc0\x0e"
        "\xc0\x0e\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x3c";

    for (size_t i = 0; i < COUNT(lists); i++)
        seed_write_behind(params, sizeof(params), lists[i].bytes, lists[i].length);
    seed_write_behind(at_443, sizeof(at_443), aliased, sizeof(aliased) - 1);
    seed_write_behind(elsewhere, sizeof(elsewhere), prefixed, sizeof(prefixed) - 1);
    seed_write_behind(at_443, sizeof(at_443), none, sizeof(none) - 1);
}
