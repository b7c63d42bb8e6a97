/*
 * The PROXY protocol's header: whatever comes, a verdict stands however much more comes, nothing is
 * told of what is broken, and what is written is read as it was meant.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "proxy/prelude/proxy_header.h"

/* ---- reading ---- */

static enum proxy_header_result read_exactly(const uint8_t *data, size_t length,
                                             struct proxy_header *out)
{
    /* A block of exactly this size, so that a byte read behind it is seen. */
    uint8_t *bytes = malloc(length + (length == 0));
    assert(bytes != NULL);
    if (length > 0)
        memcpy(bytes, data, length);
    enum proxy_header_result result = proxy_header_read(bytes, length, out);
    free(bytes);
    return result;
}

static bool same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->length == b->length && address_equal(&a->client, &b->client) &&
           address_equal(&a->server, &b->server);
}

static void check_done(const uint8_t *data, size_t length, const struct proxy_header *header)
{
    assert(header->length > 0 && header->length <= length);
    assert(header->length <= PROXY_HEADER_IN_MAX);
    if (data[0] == 'P') {
        assert(header->length <= PROXY_HEADER_V1_MAX);
        assert(memcmp(data + header->length - 2, "\r\n", 2) == 0);
    } else {
        assert(header->length == 16u + (unsigned)(data[14] << 8 | data[15]));
    }
    assert((header->client.length == 0) == (header->server.length == 0));
}

/* More before the verdict, and the same verdict ever after: at the whole's length and at those
 * around the header's end, and at `cut`. */
static void check_prefixes(const uint8_t *data, size_t length, size_t cut)
{
    struct proxy_header whole, part;
    enum proxy_header_result result = read_exactly(data, length, &whole);
    size_t lengths[] = {cut, 0, 0};

    if (result == PROXY_HEADER_DONE) {
        check_done(data, length, &whole);
        lengths[1] = whole.length;
        lengths[2] = whole.length - 1;
    }
    for (size_t i = 0; i < COUNT(lengths); i++) {
        enum proxy_header_result early = read_exactly(data, lengths[i], &part);
        if (result == PROXY_HEADER_DONE && lengths[i] >= whole.length)
            assert(early == PROXY_HEADER_DONE && same(&whole, &part));
        else if (result == PROXY_HEADER_DONE || result == PROXY_HEADER_MORE)
            assert(early == PROXY_HEADER_MORE);
        else
            assert(early == result || early == PROXY_HEADER_MORE);
    }
    assert(result != PROXY_HEADER_MORE || length < PROXY_HEADER_IN_MAX);
}

/* ---- writing ---- */

static struct address take_address(struct input *in)
{
    struct turbo_address end = {.ip = {0}};
    struct address address;
    size_t got;
    unsigned family = input_byte(in) % 3;

    if (family == 0)
        return (struct address){.length = 0};
    if (family == 1)
        end.ip[10] = end.ip[11] = 0xff;
    size_t from = family == 1 ? 12 : 0;
    const uint8_t *ip = input_bytes(in, sizeof(end.ip) - from, &got);
    if (got > 0)
        memcpy(end.ip + from, ip, got);
    end.port = input_word(in);
    address_from_turbo(&end, &address);
    return address;
}

static void check_written(const uint8_t *header, size_t length, const struct proxy_facts *facts)
{
    struct proxy_header told;
    bool known = address_family(facts->client) == address_family(facts->server);

    assert(length <= PROXY_HEADER_OUT_MAX);
    assert(read_exactly(header, length, &told) == PROXY_HEADER_DONE);
    assert(told.length == length);
    if (known) {
        assert(address_equal(&told.client, facts->client));
        assert(address_equal(&told.server, facts->server));
    } else {
        assert(told.client.length == 0 && told.server.length == 0);
    }
    assert(read_exactly(header, length - 1, &told) == PROXY_HEADER_MORE);
}

static void check_writing(struct input in)
{
    uint8_t out[PROXY_HEADER_OUT_MAX];
    char name[PROXY_HEADER_NAME_MAX + 3];
    struct address client = take_address(&in), server = take_address(&in);
    struct proxy_facts facts = {.client = &client, .server = &server, .server_name = name};

    facts.alpn = input_bytes(&in, input_byte(&in) + 1u, &facts.alpn_length);
    facts.unique_id = input_bytes(&in, input_byte(&in), &facts.unique_id_length);
    size_t name_length;
    const uint8_t *bytes = input_bytes(&in, sizeof(name) - 1, &name_length);
    if (name_length > 0)
        memcpy(name, bytes, name_length);
    name[name_length] = '\0';

    check_written(out, proxy_header_write_v1(&facts, out), &facts);
    size_t length = proxy_header_write_v2(&facts, out);
    check_written(out, length, &facts);

    /* A bit of the addresses that is turned is noticed. */
    int family = address_family(&client);
    if (family == AF_UNSPEC || family != address_family(&server))
        return;
    struct proxy_header told;
    size_t at = 16 + input_byte(&in) % (family == AF_INET ? 12u : 36u);
    out[at] ^= (uint8_t)(1 << input_byte(&in) % 8);
    assert(read_exactly(out, length, &told) == PROXY_HEADER_BAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data, .left = size};
    unsigned what = input_byte(&in);

    if (what % 4 == 0) {
        check_writing(in);
        return 0;
    }
    size_t cut = input_word(&in);
    check_prefixes(in.at, in.left, cut < in.left ? cut : in.left);
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t reading[] = {1, 0, 5};
    static const uint8_t writing4[] = {0,   1, 192, 0,   2,   1,   1, 187, 1, 198, 51,  100, 2,
                                       220, 4, 2,   'h', '2', 'x', 3, 1,   2, 3,   'w', '.', 'x'};
    static const char *const lines[] = {
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n\x16\x03\x01",
        "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN some thing\r\n",
        "GET / HTTP/1.0\r\n",
    };
    static const char binary[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x39\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
        "\x01\x00\x02h2\x02\x00\x0fwww.example.org"
        "\x05\x00\x0c\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x03\x00\x04\xfc\x3f\x60\xf4";
    static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

    for (size_t i = 0; i < COUNT(lines); i++)
        seed_write_behind(reading, sizeof(reading), lines[i], strlen(lines[i]));
    seed_write_behind(reading, sizeof(reading), binary, sizeof(binary) - 1);
    seed_write_behind(reading, sizeof(reading), local, sizeof(local) - 1);
    seed_write(writing4, sizeof(writing4));
}
