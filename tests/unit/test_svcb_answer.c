/* Answers to the question for an HTTPS record: what is one, and is read to its end and no further.
 */
#include "tests/unit/support/https_answer.h"

static void names_with_pointers_are_read(void **state)
{
    struct https_answer m;
    (void)state;

    ask_for(&m, "www.example");
    put_bytes(&m, BYTES("\xc0\x0c"));
    put_fixed(&m, TYPE_CNAME, TTL, 7);
    put_bytes(&m, BYTES("\4edge\xc0\x10")); /* edge.example, at 12 + 17 + 2 + 10 = 41 */
    m.bytes[7]++;
    put_bytes(&m, BYTES("\xc0\x29"));
    put_fixed(&m, SVCB_TYPE_HTTPS, TTL, 2 + 1 + 4);
    put_bytes(&m, BYTES("\0\1\0" TURBO));
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
    struct https_answer m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask_for(&m, "www.example");
        assert_int_equal(m.length, 12 + 17);
        put_bytes(&m, cases[i].owner, cases[i].length);
        put_fixed(&m, SVCB_TYPE_HTTPS, TTL, 2 + 1 + 4);
        put_bytes(&m, BYTES("\0\1\0" TURBO));
        m.bytes[7]++;
        if (read_answer(&m, m.length, 443, &out))
            fail_msg("case %zu", i);
    }
}

static void names_are_as_long_as_names_may_be(void **state)
{
    char name[300] = "";
    struct https_answer m;
    struct svcb out;
    (void)state;

    memset(name, 'x', 192 + 61); /* 3 × 64 + 62 + 1 = 255 bytes */
    name[63] = name[127] = name[191] = '.';
    ask_for(&m, name);
    https_at(&m, name, TTL, 1, name, BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
    name[192 + 61] = 'x';
    ask_for(&m, name);
    assert_false(read_answer(&m, m.length, 443, &out));
    ask_for(&m, "www.example");
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
    struct https_answer m;
    struct svcb out;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask_for(&m, "www.example");
        if (cases[i].at != 9)
            https(&m, 1, BYTES(TURBO));
        m.bytes[cases[i].at] = cases[i].value;
        if (read_answer(&m, m.length, 443, &out))
            fail_msg("byte %zu = %u", cases[i].at, cases[i].value);
    }
}

static void an_answer_cut_off_anywhere_is_refused(void **state)
{
    struct https_answer m;
    struct svcb out;
    (void)state;

    ask_for(&m, "www.example");
    cname(&m, "www.example", TTL, "x.example");
    soa(&m, TTL, TTL);
    assert_true(read_answer(&m, m.length, 443, &out));
    for (size_t length = 0; length < m.length; length++)
        assert_false(read_answer(&m, length, 443, &out));
    ask_for(&m, "www.example");
    https(&m, 1, BYTES(ALPN_H2 TURBO));
    for (size_t length = 0; length < m.length; length++)
        assert_false(read_answer(&m, length, 443, &out));
}

static void an_soa_that_is_none_is_refused(void **state)
{
    struct https_answer m;
    struct svcb out;
    (void)state;

    ask_for(&m, "www.example");
    put_name(&m, "example");
    put_fixed(&m, TYPE_SOA, TTL, 2 * 1 + 4 * 4);
    put_bytes(&m, BYTES("\0\0"
                        "0123456789abcdef"));
    m.bytes[9]++;
    assert_false(read_answer(&m, m.length, 443, &out));
    ask_for(&m, "www.example");
    put_name(&m, "example");
    put_fixed(&m, TYPE_NS, TTL, 2); /* not our business */
    put_bytes(&m, BYTES("\xc0\x0c"));
    m.bytes[9]++;
    assert_true(read_answer(&m, m.length, 443, &out));
}

static void more_records_than_anyone_has_are_not_read(void **state)
{
    struct https_answer m;
    struct svcb out;
    (void)state;

    ask_for(&m, "www.example");
    for (int i = 0; i < SVCB_RECORDS_MAX; i++)
        https(&m, 1, BYTES(TURBO));
    assert_int_equal(udp_port_of(&m, 443), 443);
    https(&m, 1, BYTES(TURBO));
    assert_false(read_answer(&m, m.length, 443, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(names_with_pointers_are_read),
        CASE(a_name_that_does_not_end_is_refused),
        CASE(names_are_as_long_as_names_may_be),
        CASE(what_is_no_answer_to_this_is_refused),
        CASE(an_answer_cut_off_anywhere_is_refused),
        CASE(an_soa_that_is_none_is_refused),
        CASE(more_records_than_anyone_has_are_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
