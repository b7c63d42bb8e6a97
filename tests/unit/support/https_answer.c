#include "tests/unit/support/https_answer.h"

#include <stdlib.h>

enum { HEADER_BYTES = 12 };

void put_bytes(struct https_answer *m, const void *bytes, size_t length)
{
    assert_true(m->length + length <= sizeof(m->bytes));
    memcpy(m->bytes + m->length, bytes, length);
    m->length += length;
}

static void put_number(struct https_answer *m, uint32_t number, size_t width)
{
    for (size_t i = width; i-- > 0;) {
        uint8_t byte = (uint8_t)(number >> (8 * i));
        put_bytes(m, &byte, 1);
    }
}

void put_name(struct https_answer *m, const char *name)
{
    while (*name != '\0' && *name != '.') {
        size_t length = strcspn(name, ".");

        put_number(m, (uint32_t)length, 1);
        put_bytes(m, name, length);
        name += length + (name[length] == '.');
    }
    put_number(m, 0, 1);
}

void put_fixed(struct https_answer *m, uint16_t type, uint32_t ttl, size_t length)
{
    put_number(m, type, 2);
    put_number(m, 1, 2);
    put_number(m, ttl, 4);
    put_number(m, (uint32_t)length, 2);
}

void ask_for(struct https_answer *m, const char *name)
{
    static const uint8_t header[HEADER_BYTES] = {[2] = 0x81, [3] = 0x80, [5] = 1};

    m->length = 0;
    put_bytes(m, header, sizeof(header));
    put_name(m, name);
    put_number(m, SVCB_TYPE_HTTPS, 2);
    put_number(m, 1, 2);
}

void https_at(struct https_answer *m, const char *owner, uint32_t ttl, uint16_t priority,
              const char *target, const void *params, size_t length)
{
    struct https_answer name = {.length = 0};

    put_name(&name, target);
    put_name(m, owner);
    put_fixed(m, SVCB_TYPE_HTTPS, ttl, 2 + name.length + length);
    put_number(m, priority, 2);
    put_bytes(m, name.bytes, name.length);
    put_bytes(m, params, length);
    m->bytes[7]++;
}

void https(struct https_answer *m, uint16_t priority, const void *params, size_t length)
{
    https_at(m, "www.example", TTL, priority, ".", params, length);
}

void cname(struct https_answer *m, const char *owner, uint32_t ttl, const char *target)
{
    struct https_answer name = {.length = 0};

    put_name(&name, target);
    put_name(m, owner);
    put_fixed(m, TYPE_CNAME, ttl, name.length);
    put_bytes(m, name.bytes, name.length);
    m->bytes[7]++;
}

void soa(struct https_answer *m, uint32_t ttl, uint32_t minimum)
{
    put_name(m, "example");
    put_fixed(m, TYPE_SOA, ttl, 2 * 2 + 5 * 4);
    put_bytes(m, BYTES("\xc0\x0c\xc0\x0c"));
    for (uint32_t i = 0; i < 4; i++)
        put_number(m, i, 4);
    put_number(m, minimum, 4);
    m->bytes[9]++;
}

bool read_answer(const struct https_answer *m, size_t length, uint16_t tcp_port, struct svcb *out)
{
    uint8_t *exact = malloc(length + (length == 0));
    bool read;

    assert_non_null(exact);
    memcpy(exact, m->bytes, length);
    memset(out, 0xaa, sizeof(*out));
    read = svcb_read(exact, length, tcp_port, out);
    free(exact);
    if (!read)
        assert_false(out->turbo);
    return read;
}

uint16_t udp_port_of(const struct https_answer *m, uint16_t tcp_port)
{
    struct svcb out;

    if (!read_answer(m, m->length, tcp_port, &out))
        fail_msg("the answer is understood");
    return out.turbo ? out.udp_port : 0;
}

uint32_t ttl_of(const struct https_answer *m)
{
    struct svcb out;

    assert_true(read_answer(m, m->length, 443, &out));
    return out.ttl_s;
}
