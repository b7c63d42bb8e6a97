/* HTTPS records: which of them say that a server speaks TurboTLS, where, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/svcb.h"

enum { MESSAGE_MAX = 8192, TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6 };
enum { HEADER_BYTES = 12, TTL = 300 };

/* A literal with its zero bytes. */
#define BYTES(text) text, sizeof(text) - 1

#define TURBO          "\xff\xc8\0\0" /* key65480, no value */
#define TURBO_AT(port) "\xff\xc8\0\2" port
#define PORT(port)     "\0\3\0\2" port /* port */
#define ALPN_H2        "\0\1\0\3\2h2"  /* alpn=h2 */
#define P443           "\x01\xbb"
#define P8443          "\x20\xfb"

struct message {
    uint8_t bytes[MESSAGE_MAX];
    size_t length;
};

static void put(struct message *m, const void *bytes, size_t length)
{
    assert_true(m->length + length <= sizeof(m->bytes));
    memcpy(m->bytes + m->length, bytes, length);
    m->length += length;
}

static void put_number(struct message *m, uint32_t number, size_t width)
{
    for (size_t i = width; i-- > 0;) {
        uint8_t byte = (uint8_t)(number >> (8 * i));
        put(m, &byte, 1);
    }
}

/* "www.example" as on the wire; "" and "." are the root. */
static void put_name(struct message *m, const char *name)
{
    while (*name != '\0' && *name != '.') {
        size_t length = strcspn(name, ".");

        put_number(m, (uint32_t)length, 1);
        put(m, name, length);
        name += length + (name[length] == '.');
    }
    put_number(m, 0, 1);
}

static void put_fixed(struct message *m, uint16_t type, uint32_t ttl, size_t length)
{
    put_number(m, type, 2);
    put_number(m, 1, 2);
    put_number(m, ttl, 4);
    put_number(m, (uint32_t)length, 2);
}

static void ask(struct message *m, const char *name)
{
    static const uint8_t header[HEADER_BYTES] = {[2] = 0x81, [3] = 0x80, [5] = 1};

    m->length = 0;
    put(m, header, sizeof(header));
    put_name(m, name);
    put_number(m, SVCB_TYPE_HTTPS, 2);
    put_number(m, 1, 2);
}

/* An HTTPS record at `owner`. */
static void https_at(struct message *m, const char *owner, uint32_t ttl, uint16_t priority,
                     const char *target, const void *params, size_t length)
{
    struct message name = {.length = 0};

    put_name(&name, target);
    put_name(m, owner);
    put_fixed(m, SVCB_TYPE_HTTPS, ttl, 2 + name.length + length);
    put_number(m, priority, 2);
    put(m, name.bytes, name.length);
    put(m, params, length);
    m->bytes[7]++;
}

static void https(struct message *m, uint16_t priority, const void *params, size_t length)
{
    https_at(m, "www.example", TTL, priority, ".", params, length);
}

static void cname(struct message *m, const char *owner, uint32_t ttl, const char *target)
{
    struct message name = {.length = 0};

    put_name(&name, target);
    put_name(m, owner);
    put_fixed(m, TYPE_CNAME, ttl, name.length);
    put(m, name.bytes, name.length);
    m->bytes[7]++;
}

static void soa(struct message *m, uint32_t ttl, uint32_t minimum)
{
    put_name(m, "example");
    put_fixed(m, TYPE_SOA, ttl, 2 * 2 + 5 * 4);
    put(m, BYTES("\xc0\x0c\xc0\x0c"));
    for (uint32_t i = 0; i < 4; i++)
        put_number(m, i, 4);
    put_number(m, minimum, 4);
    m->bytes[9]++;
}

/* From a block of just this size, so that a byte read behind it is seen. */
static bool read_message(const struct message *m, size_t length, uint16_t tcp_port,
                         struct svcb *out)
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

/* The UDP port; 0: no turbo. */
static uint16_t udp_port_of(const struct message *m, uint16_t tcp_port)
{
    struct svcb out;

    if (!read_message(m, m->length, tcp_port, &out))
        fail_msg("the answer is understood");
    return out.turbo ? out.udp_port : 0;
}

static uint16_t udp_port_of_params(const void *params, size_t length)
{
    struct message m;

    ask(&m, "www.example");
    https(&m, 1, params, length);
    return udp_port_of(&m, 443);
}

static uint32_t ttl_of(const struct message *m)
{
    struct svcb out;

    assert_true(read_message(m, m->length, 443, &out));
    return out.ttl_s;
}

/* ---- one record ---- */

static void the_key_says_turbo_and_its_value_where(void **state)
{
    (void)state;
    assert_int_equal(udp_port_of_params(BYTES(TURBO)), 443);
    assert_int_equal(udp_port_of_params(BYTES(TURBO_AT(P443))), 443);
    assert_int_equal(udp_port_of_params(BYTES(TURBO_AT(P8443))), 8443);
    assert_int_equal(udp_port_of_params(BYTES(TURBO_AT("\4\0"))), 1024);
    assert_int_equal(udp_port_of_params(BYTES(ALPN_H2 PORT(P443) TURBO)), 443);
}

static void other_values_are_as_if_the_key_were_absent(void **state)
{
    (void)state;
    assert_int_equal(udp_port_of_params(BYTES("")), 0);
    assert_int_equal(udp_port_of_params(BYTES(ALPN_H2)), 0);
    assert_int_equal(udp_port_of_params(BYTES(TURBO_AT("\3\xff"))), 0);
    assert_int_equal(udp_port_of_params(BYTES(TURBO_AT("\0\0"))), 0);
    assert_int_equal(udp_port_of_params(BYTES("\xff\xc8\0\1\1")), 0);
    assert_int_equal(udp_port_of_params(BYTES("\xff\xc8\0\3\x01\xbb\0")), 0);
    assert_int_equal(udp_port_of_params(BYTES("\xff\xc7\0\0")), 0);
    assert_int_equal(udp_port_of_params(BYTES("\xff\xc9\0\0")), 0);
}

static void a_record_for_another_port_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(udp_port_of_params(BYTES(PORT(P8443) TURBO)), 0);
    assert_int_equal(udp_port_of_params(BYTES(PORT("\0\0") TURBO)), 0);
}

static void what_is_mandatory_must_be_known(void **state)
{
    (void)state;
    assert_int_equal(udp_port_of_params(BYTES("\0\0\0\4\0\1\0\3" ALPN_H2 PORT(P443) TURBO)), 443);
    assert_int_equal(udp_port_of_params(BYTES("\0\0\0\2\xff\xc8" TURBO)), 443);
    /* key9, and ech */
    assert_int_equal(udp_port_of_params(BYTES("\0\0\0\2\0\x09\0\x09\0\0" TURBO)), 0);
    assert_int_equal(udp_port_of_params(BYTES("\0\0\0\2\0\5\0\5\0\1x" TURBO)), 0);
    assert_int_equal(udp_port_of_params(BYTES("\0\0\0\2\xff\xc7\xff\xc7\0\0" TURBO)), 0);
}

/* A good record beside it does not help: RFC 9460 §2.2. */
static void a_broken_record_spoils_them_all(void **state)
{
    static const struct {
        const char *params;
        size_t length;
    } cases[] = {
        {BYTES(TURBO TURBO)},                      /* twice */
        {BYTES(TURBO ALPN_H2)},                    /* out of order */
        {BYTES(TURBO "\xff")},                     /* half a key */
        {BYTES(TURBO "\xff\xd0\0\1")},             /* a value cut off */
        {BYTES("\0\3\0\1\1" TURBO)},               /* a port of one byte */
        {BYTES("\0\1\0\0" TURBO)},                 /* no ALPN */
        {BYTES("\0\1\0\1\0" TURBO)},               /* an empty one */
        {BYTES("\0\1\0\3\3h2" TURBO)},             /* one cut off */
        {BYTES("\0\2\0\0" TURBO)},                 /* no-default-alpn alone */
        {BYTES(ALPN_H2 "\0\2\0\1\0" TURBO)},       /* with a value */
        {BYTES("\0\4\0\0" TURBO)},                 /* no hint */
        {BYTES("\0\4\0\5\1\2\3\4\5" TURBO)},       /* one and a quarter */
        {BYTES("\0\6\0\4\1\2\3\4" TURBO)},         /* IPv4 for IPv6 */
        {BYTES("\0\0\0\0" TURBO)},                 /* nothing mandatory */
        {BYTES("\0\0\0\3\0\1\0" ALPN_H2 TURBO)},   /* half a key */
        {BYTES("\0\0\0\2\0\1" TURBO)},             /* mandatory, but not there */
        {BYTES("\0\0\0\2\0\0" TURBO)},             /* itself */
        {BYTES("\0\0\0\4\0\1\0\1" ALPN_H2 TURBO)}, /* twice */
        {BYTES("\0\0\0\2\xff\xc8" ALPN_H2)},       /* ours, but not there */
    };
    struct message m;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&m, "www.example");
        https(&m, 1, BYTES(TURBO));
        https(&m, 2, cases[i].params, cases[i].length);
        if (udp_port_of(&m, 443) != 0)
            fail_msg("case %zu counts", i);
        assert_int_equal(ttl_of(&m), TTL);
    }
    ask(&m, "www.example");
    https(&m, 1,
          BYTES(ALPN_H2 "\0\2\0\0"
                        "\0\4\0\4\1\2\3\4"
                        "\0\6\0\x10"
                        "0123456789abcdef" TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
}

static void an_alias_beside_it_spoils_them_all(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    https(&m, 1, BYTES(TURBO));
    https_at(&m, "www.example", TTL, 0, "other.example", BYTES(""));
    assert_int_equal(udp_port_of(&m, 443), 0);
    ask(&m, "www.example");
    https_at(&m, "www.example", TTL, 0, ".", BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 0);
}

static void a_compressed_target_is_broken(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    put_name(&m, "www.example");
    put_fixed(&m, SVCB_TYPE_HTTPS, TTL, 2 + 2 + 4);
    put(&m, BYTES("\0\1\xc0\x0c" TURBO));
    m.bytes[7]++;
    assert_int_equal(udp_port_of(&m, 443), 0);
}

/* ---- names ---- */

static void a_record_that_leads_elsewhere_does_not_count(void **state)
{
    static const struct {
        const char *target;
        bool counts;
    } cases[] = {{".", true},    {"www.example", true}, {"WWW.Example", true},   {"example", false},
                 {"www", false}, {"ww.example", false}, {"a.www.example", false}};
    struct message m;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&m, "www.example");
        https_at(&m, "www.example", TTL, 1, cases[i].target, BYTES(TURBO));
        if ((udp_port_of(&m, 443) != 0) != cases[i].counts)
            fail_msg("%s", cases[i].target);
    }
}

static void records_of_other_names_types_and_classes_are_passed_over(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    https_at(&m, "other.example", 1, 1, ".", BYTES(TURBO_AT(P8443)));
    https_at(&m, "other.example", 1, 0, ".", BYTES("\xff"));
    put_name(&m, "www.example");
    put_fixed(&m, TYPE_A, 1, 4);
    put(&m, BYTES("\1\2\3\4"));
    m.bytes[7]++;
    https(&m, 1, BYTES(TURBO_AT(P8443)));
    m.bytes[m.length - (6 + 1 + 2 + 2 + 4 + 1)] = 3; /* of the class CHAOS */
    assert_int_equal(udp_port_of(&m, 443), 0);
    https(&m, 1, BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
    assert_int_equal(ttl_of(&m), TTL);
}

static void cnames_are_followed_within_the_answer(void **state)
{
    static const struct {
        const char *owner, *target;
        bool counts;
    } cases[] = {
        {"edge.cdn.example", ".", true},
        {"Edge.CDN.Example", "edge.cdn.example", true},
        {"edge.cdn.example", "www.example", true},
        {"edge.cdn.example", "pool.cdn.example", false},
        {"edge.cdn.example", "else.example", false},
        {"www.example", ".", false},      /* a name that has a CNAME has nothing else */
        {"pool.cdn.example", ".", false}, /* on the way */
    };
    struct message m;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&m, "www.example");
        cname(&m, "www.example", 200, "pool.cdn.example");
        cname(&m, "pool.CDN.example", 100, "edge.cdn.example");
        https_at(&m, cases[i].owner, TTL, 1, cases[i].target, BYTES(TURBO));
        if ((udp_port_of(&m, 443) != 0) != cases[i].counts)
            fail_msg("case %zu", i);
        if (cases[i].counts)
            assert_int_equal(ttl_of(&m), 100);
    }
}

static void a_circle_of_cnames_comes_to_an_end(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    cname(&m, "www.example", 200, "www.example");
    cname(&m, "www.example", 200, "b.example");
    cname(&m, "b.example", 200, "www.example");
    assert_int_equal(udp_port_of(&m, 443), 0);
    assert_int_equal(ttl_of(&m), 0);
}

static void at_another_port_the_name_has_a_prefix_and_the_target_is_the_host(void **state)
{
    static const struct {
        const char *alias, *target;
        bool counts;
    } cases[] = {
        {NULL, "www.example", true},        {NULL, ".", true},
        {NULL, "other.example", false},     {NULL, "_8443._https.www.example", true},
        {"x.example", "www.example", true}, {"x.example", ".", false},
        {"x.example", "x.example", false},
    };
    static const char asked[] = "_8443._https.www.example";
    struct message m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&m, asked);
        if (cases[i].alias != NULL)
            cname(&m, asked, TTL, cases[i].alias);
        https_at(&m, cases[i].alias == NULL ? asked : cases[i].alias, TTL, 1, cases[i].target,
                 BYTES(PORT(P8443) TURBO));
        if (udp_port_of(&m, 8443) != (cases[i].counts ? 8443 : 0))
            fail_msg("case %zu", i);
    }
    ask(&m, asked);
    https_at(&m, asked, TTL, 1, "www.example", BYTES(TURBO_AT(P443)));
    assert_int_equal(udp_port_of(&m, 8443), 0);
    ask(&m, "example"); /* has no prefix */
    assert_false(read_message(&m, m.length, 8443, &out));
}

/* ---- several records, and how long ---- */

static void the_first_of_the_lowest_priority_that_speaks_of_turbo_is_taken(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    https(&m, 7, BYTES(TURBO_AT("\x10\0")));
    https(&m, 3, BYTES(TURBO_AT("\x20\0")));
    https(&m, 1, BYTES(ALPN_H2));
    https(&m, 2, BYTES(PORT(P8443) TURBO));
    https(&m, 3, BYTES(TURBO_AT("\x30\0")));
    https_at(&m, "www.example", TTL - 1, 9, "other.example", BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 0x2000);
    assert_int_equal(ttl_of(&m), TTL - 1);
}

static void that_there_is_none_is_known_for_as_long_as_the_zone_says(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    assert_int_equal(ttl_of(&m), 0);
    soa(&m, 900, 60);
    assert_int_equal(ttl_of(&m), 60);
    assert_int_equal(udp_port_of(&m, 443), 0);
    m.bytes[3] |= 3; /* NXDOMAIN */
    assert_int_equal(ttl_of(&m), 60);
    ask(&m, "www.example");
    soa(&m, 50, 60);
    assert_int_equal(ttl_of(&m), 50);
    ask(&m, "www.example");
    cname(&m, "www.example", 40, "x.example");
    soa(&m, 50, 60);
    assert_int_equal(ttl_of(&m), 40);
    ask(&m, "www.example");
    soa(&m, 50, 0x80000000u);
    assert_int_equal(ttl_of(&m), 50);
    ask(&m, "www.example");
    https(&m, 1, BYTES(TURBO));
    soa(&m, 50, 60);
    assert_int_equal(ttl_of(&m), TTL);
    ask(&m, "www.example");
    https_at(&m, "www.example", 0x80000000u, 1, ".", BYTES(TURBO)); /* RFC 2181 §8 */
    assert_int_equal(ttl_of(&m), 0);
}

/* ---- what is no answer ---- */

static void names_with_pointers_are_read(void **state)
{
    struct message m;
    (void)state;

    ask(&m, "www.example");
    put(&m, BYTES("\xc0\x0c"));
    put_fixed(&m, TYPE_CNAME, TTL, 7);
    put(&m, BYTES("\4edge\xc0\x10")); /* edge.example, at 12 + 17 + 2 + 10 = 41 */
    m.bytes[7]++;
    put(&m, BYTES("\xc0\x29"));
    put_fixed(&m, SVCB_TYPE_HTTPS, TTL, 2 + 1 + 4);
    put(&m, BYTES("\0\1\0" TURBO));
    m.bytes[7]++;
    assert_int_equal(udp_port_of(&m, 443), 443);
}

static void a_name_that_does_not_end_is_refused(void **state)
{
    static const struct {
        const char *owner;
        size_t length;
    } cases[] = {
        {BYTES("\xc0\x1d")},    /* to itself: 12 + 17 */
        {BYTES("\1a\xc0\x1d")}, /* to its own beginning */
        {BYTES("\xc0\x1f\0")},  /* forwards */
        {BYTES("\xff\xff")},    /* out of it */
        {BYTES("\x80\x0c")},    /* kinds of labels there are not */
        {BYTES("\x40\x0c")},
    };
    struct message m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&m, "www.example");
        assert_int_equal(m.length, 12 + 17);
        put(&m, cases[i].owner, cases[i].length);
        put_fixed(&m, SVCB_TYPE_HTTPS, TTL, 2 + 1 + 4);
        put(&m, BYTES("\0\1\0" TURBO));
        m.bytes[7]++;
        if (read_message(&m, m.length, 443, &out))
            fail_msg("case %zu", i);
    }
}

static void names_are_as_long_as_names_may_be(void **state)
{
    char name[300] = "";
    struct message m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < 3; i++) /* 3 × 64 + 62 + 1 = 255 bytes */
        memcpy(name + i * 64, "012345678901234567890123456789012345678901234567890123456789012.",
               64);
    memset(name + 192, 'x', 61);
    ask(&m, name);
    https_at(&m, name, TTL, 1, name, BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
    name[192 + 61] = 'x';
    ask(&m, name);
    assert_false(read_message(&m, m.length, 443, &out));
    ask(&m, "www.example");
    https_at(&m, "www.example", TTL, 1, name, BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 0);
}

static void what_is_no_answer_to_this_is_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {
        {2, 0x01}, /* a question */
        {2, 0x89}, /* of another kind */
        {2, 0x83}, /* truncated */
        {3, 0x82}, /* SERVFAIL */
        {3, 0x85}, /* REFUSED */
        {5, 0},    /* no question */
        {5, 2},
        {26, 64 /* SVCB */},
        {28, 3 /* CHAOS */},
        {7, 2 /* one is missing */},
        {9, 1},
        {6, 1 /* very many */},
        {8, 1},
    };
    struct message m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&m, "www.example");
        if (cases[i].at != 9)
            https(&m, 1, BYTES(TURBO));
        m.bytes[cases[i].at] = cases[i].value;
        if (read_message(&m, m.length, 443, &out))
            fail_msg("byte %zu = %u", cases[i].at, cases[i].value);
    }
}

static void an_answer_cut_off_anywhere_is_refused(void **state)
{
    struct message m;
    struct svcb out;
    (void)state;

    ask(&m, "www.example");
    cname(&m, "www.example", TTL, "x.example");
    soa(&m, TTL, TTL);
    assert_true(read_message(&m, m.length, 443, &out));
    for (size_t length = 0; length < m.length; length++)
        assert_false(read_message(&m, length, 443, &out));
    ask(&m, "www.example");
    https(&m, 1, BYTES(ALPN_H2 TURBO));
    for (size_t length = 0; length < m.length; length++)
        assert_false(read_message(&m, length, 443, &out));
}

static void an_soa_that_is_none_is_refused(void **state)
{
    struct message m;
    struct svcb out;
    (void)state;

    ask(&m, "www.example");
    put_name(&m, "example");
    put_fixed(&m, TYPE_SOA, TTL, 2 * 1 + 4 * 4);
    put(&m, BYTES("\0\0"
                  "0123456789abcdef"));
    m.bytes[9]++;
    assert_false(read_message(&m, m.length, 443, &out));
    ask(&m, "www.example");
    put_name(&m, "example");
    put_fixed(&m, TYPE_NS, TTL, 2); /* not our business */
    put(&m, BYTES("\xc0\x0c"));
    m.bytes[9]++;
    assert_true(read_message(&m, m.length, 443, &out));
}

static void more_records_than_anyone_has_are_not_read(void **state)
{
    struct message m;
    struct svcb out;
    (void)state;

    ask(&m, "www.example");
    for (int i = 0; i < SVCB_RECORDS_MAX; i++)
        https(&m, 1, BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
    https(&m, 1, BYTES(TURBO));
    assert_false(read_message(&m, m.length, 443, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_says_turbo_and_its_value_where),
        cmocka_unit_test(other_values_are_as_if_the_key_were_absent),
        cmocka_unit_test(a_record_for_another_port_does_not_count),
        cmocka_unit_test(what_is_mandatory_must_be_known),
        cmocka_unit_test(a_broken_record_spoils_them_all),
        cmocka_unit_test(an_alias_beside_it_spoils_them_all),
        cmocka_unit_test(a_compressed_target_is_broken),
        cmocka_unit_test(a_record_that_leads_elsewhere_does_not_count),
        cmocka_unit_test(records_of_other_names_types_and_classes_are_passed_over),
        cmocka_unit_test(cnames_are_followed_within_the_answer),
        cmocka_unit_test(a_circle_of_cnames_comes_to_an_end),
        cmocka_unit_test(at_another_port_the_name_has_a_prefix_and_the_target_is_the_host),
        cmocka_unit_test(the_first_of_the_lowest_priority_that_speaks_of_turbo_is_taken),
        cmocka_unit_test(that_there_is_none_is_known_for_as_long_as_the_zone_says),
        cmocka_unit_test(names_with_pointers_are_read),
        cmocka_unit_test(a_name_that_does_not_end_is_refused),
        cmocka_unit_test(names_are_as_long_as_names_may_be),
        cmocka_unit_test(what_is_no_answer_to_this_is_refused),
        cmocka_unit_test(an_answer_cut_off_anywhere_is_refused),
        cmocka_unit_test(an_soa_that_is_none_is_refused),
        cmocka_unit_test(more_records_than_anyone_has_are_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
