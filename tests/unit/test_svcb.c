/* HTTPS records: which of them say that a server speaks TurboTLS, where, and for how long. */
#include "tests/unit/support/https_answer.h"

static uint16_t udp_port_of_params(const void *params, size_t length)
{
    struct https_answer m;

    ask_for(&m, "www.example");
    https(&m, 1, params, length);
    return udp_port_of(&m, 443);
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
    struct https_answer m;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask_for(&m, "www.example");
        https(&m, 1, BYTES(TURBO));
        https(&m, 2, cases[i].params, cases[i].length);
        if (udp_port_of(&m, 443) != 0)
            fail_msg("case %zu counts", i);
        assert_int_equal(ttl_of(&m), TTL);
    }
    ask_for(&m, "www.example");
    https(&m, 1,
          BYTES(ALPN_H2 "\0\2\0\0"
                        "\0\4\0\4\1\2\3\4"
                        "\0\6\0\x10"
                        "0123456789abcdef" TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
}

static void an_alias_beside_it_spoils_them_all(void **state)
{
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
    https(&m, 1, BYTES(TURBO));
    https_at(&m, "www.example", TTL, 0, "other.example", BYTES(""));
    assert_int_equal(udp_port_of(&m, 443), 0);
    ask_for(&m, "www.example");
    https_at(&m, "www.example", TTL, 0, ".", BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 0);
}

static void a_compressed_target_is_broken(void **state)
{
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
    put_name(&m, "www.example");
    put_fixed(&m, SVCB_TYPE_HTTPS, TTL, 2 + 2 + 4);
    put_bytes(&m, BYTES("\0\1\xc0\x0c" TURBO));
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
    struct https_answer m;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask_for(&m, "www.example");
        https_at(&m, "www.example", TTL, 1, cases[i].target, BYTES(TURBO));
        if ((udp_port_of(&m, 443) != 0) != cases[i].counts)
            fail_msg("%s", cases[i].target);
    }
}

static void records_of_other_names_types_and_classes_are_passed_over(void **state)
{
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
    https_at(&m, "other.example", 1, 1, ".", BYTES(TURBO_AT(P8443)));
    https_at(&m, "other.example", 1, 0, ".", BYTES("\xff"));
    put_name(&m, "www.example");
    put_fixed(&m, TYPE_A, 1, 4);
    put_bytes(&m, BYTES("\1\2\3\4"));
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
    struct https_answer m;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask_for(&m, "www.example");
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
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
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
    struct https_answer m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask_for(&m, asked);
        if (cases[i].alias != NULL)
            cname(&m, asked, TTL, cases[i].alias);
        https_at(&m, cases[i].alias == NULL ? asked : cases[i].alias, TTL, 1, cases[i].target,
                 BYTES(PORT(P8443) TURBO));
        if (udp_port_of(&m, 8443) != (cases[i].counts ? 8443 : 0))
            fail_msg("case %zu", i);
    }
    ask_for(&m, asked);
    https_at(&m, asked, TTL, 1, "www.example", BYTES(TURBO_AT(P443)));
    assert_int_equal(udp_port_of(&m, 8443), 0);
    ask_for(&m, "example"); /* has no prefix */
    assert_false(read_answer(&m, m.length, 8443, &out));
}

/* ---- several records, and how long ---- */

static void the_first_of_the_lowest_priority_that_speaks_of_turbo_is_taken(void **state)
{
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
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
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
    assert_int_equal(ttl_of(&m), 0);
    soa(&m, 900, 60);
    assert_int_equal(ttl_of(&m), 60);
    assert_int_equal(udp_port_of(&m, 443), 0);
    m.bytes[3] |= 3; /* NXDOMAIN */
    assert_int_equal(ttl_of(&m), 60);
    ask_for(&m, "www.example");
    soa(&m, 50, 60);
    assert_int_equal(ttl_of(&m), 50);
    ask_for(&m, "www.example");
    cname(&m, "www.example", 40, "x.example");
    soa(&m, 50, 60);
    assert_int_equal(ttl_of(&m), 40);
    ask_for(&m, "www.example");
    soa(&m, 50, 0x80000000u);
    assert_int_equal(ttl_of(&m), 50);
    ask_for(&m, "www.example");
    https(&m, 1, BYTES(TURBO));
    soa(&m, 50, 60);
    assert_int_equal(ttl_of(&m), TTL);
    ask_for(&m, "www.example");
    https_at(&m, "www.example", 0x80000000u, 1, ".", BYTES(TURBO)); /* RFC 2181 §8 */
    assert_int_equal(ttl_of(&m), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_key_says_turbo_and_its_value_where),
        CASE(other_values_are_as_if_the_key_were_absent),
        CASE(a_record_for_another_port_does_not_count),
        CASE(what_is_mandatory_must_be_known),
        CASE(a_broken_record_spoils_them_all),
        CASE(an_alias_beside_it_spoils_them_all),
        CASE(a_compressed_target_is_broken),
        CASE(a_record_that_leads_elsewhere_does_not_count),
        CASE(records_of_other_names_types_and_classes_are_passed_over),
        CASE(cnames_are_followed_within_the_answer),
        CASE(a_circle_of_cnames_comes_to_an_end),
        CASE(at_another_port_the_name_has_a_prefix_and_the_target_is_the_host),
        CASE(the_first_of_the_lowest_priority_that_speaks_of_turbo_is_taken),
        CASE(that_there_is_none_is_known_for_as_long_as_the_zone_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
