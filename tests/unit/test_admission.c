/* How many new sessions a second are let in, in all and from whom: protocol §7.1. */
#include "tests/unit/support/check.h"

#include <arpa/inet.h>

#include "turbo/admission.h"
#include "turbo/rate.h"

enum { RATE = 100, SOURCE = 10, SITE = 20 };

#define T(milliseconds) (50 * TURBO_SECOND + (milliseconds)*TURBO_MILLISECOND)

static struct admission admission;

static void begin(uint32_t rate, uint32_t source_rate, uint32_t site_rate)
{
    struct turbo_endpoint_config config;
    uint8_t seed[ADMISSION_SEED_BYTES];
    turbo_endpoint_config_init(&config);
    config.rate = rate;
    config.source_rate = source_rate;
    config.site_rate = site_rate;
    check_fill(seed, 5, 0, sizeof(seed));
    memset(&admission, 0xa5, sizeof(admission));
    admission_init(&admission, &config, seed);
}

static struct turbo_address address(const char *text)
{
    struct turbo_address a = {.port = 1234};
    assert_int_equal(inet_pton(AF_INET6, text, a.ip), 1);
    return a;
}

static enum turbo_limit ask_of(turbo_time now, const struct turbo_address *peer)
{
    return admission_ask(&admission, now, peer);
}

static enum turbo_limit ask(turbo_time now, const char *text)
{
    struct turbo_address peer = address(text);
    return ask_of(now, &peer);
}

/* Number `n` of many IPv4 addresses. */
static struct turbo_address ipv4(uint32_t n)
{
    struct turbo_address a = address("::ffff:10.0.0.0");
    a.ip[13] = (uint8_t)(n >> 16);
    a.ip[14] = (uint8_t)(n >> 8);
    a.ip[15] = (uint8_t)n;
    return a;
}

/* Exactly so many more are let in now, and then this limit says no. */
static void assert_admits(turbo_time now, const char *text, unsigned count, enum turbo_limit limit)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(ask(now, text), TURBO_LIMIT_COUNT);
    assert_int_equal(ask(now, text), limit);
}

/* ---- rates ---- */

static void one_seconds_worth_may_come_at_once_and_then_one_each_time_it_is_due(void **state)
{
    static const uint32_t rates[] = {1, 2, 3, 7, 1000, 999999, 1000000};
    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++) {
        turbo_time step = TURBO_SECOND / rates[i], paid_at = 0, now = T(0);
        for (uint32_t k = 0; k < rates[i] && k < 5000; k++) {
            assert_true(rate_allows(paid_at, now, rates[i]));
            paid_at = rate_after(paid_at, now, rates[i]);
        }
        if (rates[i] > 5000)
            continue;
        assert_false(rate_allows(paid_at, now, rates[i]));
        for (now = paid_at + step - TURBO_SECOND; now < T(3000); now += step) {
            assert_false(rate_allows(paid_at, now - 1, rates[i]));
            assert_true(rate_allows(paid_at, now, rates[i]));
            paid_at = rate_after(paid_at, now, rates[i]);
        }
    }
}

static void a_quiet_hour_saves_up_one_second_and_no_more(void **state)
{
    (void)state;
    begin(RATE, RATE, RATE);
    assert_admits(T(0), "2001:db8::1", RATE, TURBO_LIMIT_RATE);
    assert_admits(T(3600000), "2001:db8::1", RATE, TURBO_LIMIT_RATE);
    assert_admits(T(3600500), "2001:db8::1", RATE / 2, TURBO_LIMIT_RATE);
}

static void the_first_second_of_the_clock_is_as_any(void **state)
{
    (void)state;
    begin(RATE, SOURCE, SITE);
    assert_admits(0, "2001:db8::1", SOURCE, TURBO_LIMIT_SOURCE);
}

/* ---- who is counted with whom ---- */

static void in_all_so_many_come_in_from_wherever(void **state)
{
    (void)state;
    begin(RATE, SOURCE, SITE);
    for (uint32_t i = 0; i < RATE; i++) {
        struct turbo_address peer = ipv4(i);
        assert_int_equal(ask_of(T(0), &peer), TURBO_LIMIT_COUNT);
    }
    assert_int_equal(ask(T(0), "2001:db8::1"), TURBO_LIMIT_RATE);
    assert_int_equal(ask(T(10), "2001:db8::1"), TURBO_LIMIT_COUNT);
}

static void an_ipv4_address_is_a_source_whatever_its_port(void **state)
{
    struct turbo_address other_port = address("::ffff:192.0.2.1");
    (void)state;
    begin(RATE, SOURCE, SITE);
    other_port.port = 99;
    assert_admits(T(0), "::ffff:192.0.2.1", SOURCE, TURBO_LIMIT_SOURCE);
    assert_int_equal(ask_of(T(0), &other_port), TURBO_LIMIT_SOURCE);
    assert_admits(T(0), "::ffff:192.0.2.2", SOURCE, TURBO_LIMIT_SOURCE);
    assert_admits(T(500), "::ffff:192.0.2.1", SOURCE / 2, TURBO_LIMIT_SOURCE);
}

static void ipv4_is_no_site(void **state) /* though all of it has one prefix, ::ffff:0:0/96 */
{
    (void)state;
    begin(1000, SOURCE, 1);
    assert_int_equal(ask(T(0), "::1"), TURBO_LIMIT_COUNT); /* the site ::/48 */
    for (uint32_t i = 0; i < 200; i++) {
        struct turbo_address peer = ipv4(i);
        assert_int_equal(ask_of(T(0), &peer), TURBO_LIMIT_COUNT);
    }
}

static void an_ipv6_64_is_a_source(void **state)
{
    (void)state;
    begin(RATE, SOURCE, RATE);
    assert_admits(T(0), "2001:db8:0:1::1", SOURCE, TURBO_LIMIT_SOURCE);
    assert_int_equal(ask(T(0), "2001:db8:0:1:ffff:ffff:ffff:ffff"), TURBO_LIMIT_SOURCE);
    assert_admits(T(0), "2001:db8:0:2::1", SOURCE, TURBO_LIMIT_SOURCE);
}

static void an_ipv6_48_is_a_site(void **state)
{
    (void)state;
    begin(RATE, SOURCE, SITE);
    assert_admits(T(0), "2001:db8:7:1::1", SOURCE, TURBO_LIMIT_SOURCE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask(T(0), "2001:db8:7:2::1"), TURBO_LIMIT_COUNT);
    assert_admits(T(0), "2001:db8:7:3::1", SITE - SOURCE - 4, TURBO_LIMIT_SITE);
    assert_int_equal(ask(T(0), "2001:db8:7:ffff::1"), TURBO_LIMIT_SITE);
    assert_admits(T(0), "2001:db8:8:1::1", SOURCE, TURBO_LIMIT_SOURCE);
    assert_int_equal(ask(T(50), "2001:db8:7:ffff::1"), TURBO_LIMIT_COUNT);
    assert_int_equal(ask(T(50), "2001:db8:7:ffff::1"), TURBO_LIMIT_SITE);
}

static void an_ipv4_address_is_not_the_ipv6_prefix_of_the_same_bytes(void **state)
{
    (void)state;
    begin(RATE, SOURCE, SITE);
    assert_admits(T(0), "::ffff:32.1.13.184", SOURCE, TURBO_LIMIT_SOURCE);
    assert_admits(T(0), "2001:db8::1", SOURCE, TURBO_LIMIT_SOURCE);
    /* Nor is another prefix of 96 bits IPv4. */
    assert_admits(T(0), "::fffe:192.0.2.1", SOURCE, TURBO_LIMIT_SOURCE);
    assert_int_equal(ask(T(0), "::fffe:192.0.2.2"), TURBO_LIMIT_SOURCE);
}

/* ---- the sketch ---- */

static void what_is_refused_is_not_counted(void **state)
{
    static const struct {
        uint32_t rate, source, site;
        enum turbo_limit limit;
    } cases[] = {
        {1, 9, 9, TURBO_LIMIT_RATE}, {9, 1, 9, TURBO_LIMIT_SOURCE}, {9, 9, 1, TURBO_LIMIT_SITE}};
    static struct admission before;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin(cases[i].rate, cases[i].source, cases[i].site);
        assert_int_equal(ask(T(0), "2001:db8::1"), TURBO_LIMIT_COUNT);
        before = admission;
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(ask(T(k), "2001:db8::1"), cases[i].limit);
        assert_memory_equal(&before, &admission, sizeof(admission));
    }
}

/* The columns where the only source so far was counted. */
static void columns(uint32_t at[ADMISSION_ROWS])
{
    for (size_t row = 0; row < ADMISSION_ROWS; row++)
        for (uint32_t i = 0; i < ADMISSION_COLUMNS; i++)
            if (admission.sources.paid_at[row][i] != 0)
                at[row] = i;
}

/* Another address that is counted where `peer` is in row `row`, and only there. */
static struct turbo_address neighbour(const struct turbo_address *peer, size_t row)
{
    uint32_t wanted[ADMISSION_ROWS];
    begin(RATE, SOURCE, SITE);
    ask_of(T(0), peer);
    columns(wanted);
    for (uint32_t n = 1; n < 100000; n++) { /* one in 4,096 is */
        struct turbo_address other = ipv4(n);
        uint32_t found[ADMISSION_ROWS];
        memset(admission.sources.paid_at, 0, sizeof(admission.sources.paid_at));
        ask_of(T(n * 1000), &other);
        columns(found);
        if (found[row] == wanted[row] && found[1 - row] != wanted[1 - row])
            return other;
    }
    fail_msg("nobody shares row %zu", row);
    return *peer;
}

static void who_shares_one_counter_is_not_held_to_account_for_the_other(void **state)
{
    struct turbo_address flooder = address("::ffff:192.0.2.1");
    (void)state;
    for (size_t row = 0; row < ADMISSION_ROWS; row++) {
        struct turbo_address innocent = neighbour(&flooder, row);
        begin(RATE, SOURCE, SITE);
        for (int i = 0; i < SOURCE; i++)
            assert_int_equal(ask_of(T(0), &flooder), TURBO_LIMIT_COUNT);
        assert_int_equal(ask_of(T(0), &flooder), TURBO_LIMIT_SOURCE);
        for (int i = 0; i < SOURCE; i++)
            assert_int_equal(ask_of(T(0), &innocent), TURBO_LIMIT_COUNT);
        assert_int_equal(ask_of(T(0), &innocent), TURBO_LIMIT_SOURCE);
    }
}

static void only_where_all_counters_are_shared_is_the_rate(void **state)
{
    (void)state;
    begin(RATE, SOURCE, SITE);
    for (size_t row = 0; row < ADMISSION_ROWS; row++) {
        assert_int_equal(ask(T(0), "::ffff:192.0.2.1"), TURBO_LIMIT_COUNT);
        for (size_t i = 0; i < ADMISSION_COLUMNS; i++)
            admission.sources.paid_at[row][i] = T(60000);
    }
    assert_int_equal(ask(T(0), "::ffff:192.0.2.1"), TURBO_LIMIT_SOURCE);
}

static void the_keys_decide_who_shares(void **state)
{
    struct turbo_endpoint_config config;
    struct turbo_address peer = address("::ffff:192.0.2.1");
    uint32_t at[ADMISSION_ROWS], before[ADMISSION_ROWS];
    (void)state;
    turbo_endpoint_config_init(&config);
    begin(RATE, SOURCE, SITE);
    ask_of(T(0), &peer);
    columns(before);
    for (size_t row = 0; row < ADMISSION_ROWS; row++) {
        uint8_t seed[ADMISSION_SEED_BYTES];
        check_fill(seed, 5, 0, sizeof(seed));
        check_fill(seed + row * KEYED_HASH_SEED_BYTES, 6, 0, KEYED_HASH_SEED_BYTES);
        admission_init(&admission, &config, seed);
        ask_of(T(0), &peer);
        columns(at);
        assert_int_not_equal(at[row], before[row]);
        assert_int_equal(at[1 - row], before[1 - row]);
    }
}

static void a_flood_from_many_addresses_meets_the_limit_on_all(void **state)
{
    uint32_t admitted = 0;
    (void)state;
    begin(1000, 250, 500);
    for (uint32_t i = 0; i < 100000; i++) {
        struct turbo_address peer = ipv4(i);
        admitted += ask_of(T(0) + i * 10, &peer) == TURBO_LIMIT_COUNT;
    }
    assert_int_equal(admitted, 1000 + 999); /* a second's worth at once, and one second */
}

static bool is_proven(turbo_time now, const char *text)
{
    struct turbo_address peer = address(text);
    return admission_is_proven(&admission, now, &peer);
}

static void a_source_that_tcp_has_proven_is_told_from_others_for_an_hour(void **state)
{
    (void)state;
    struct turbo_address v4 = address("::ffff:192.0.2.1"), v6 = address("2001:db8:1:2::3");
    begin(RATE, SOURCE, SITE);
    admission_prove(&admission, T(0), &v4);
    admission_prove(&admission, T(0), &v6);
    assert_true(is_proven(T(0), "::ffff:192.0.2.1"));
    assert_true(is_proven(T(0) + TURBO_PROVEN_TIME - 1, "2001:db8:1:2::4"));
    assert_false(is_proven(T(0) + TURBO_PROVEN_TIME, "2001:db8:1:2::3"));
    assert_false(is_proven(T(0), "::ffff:192.0.2.2"));
    assert_false(is_proven(T(0), "2001:db8:1:3::3"));
}

static void of_those_who_have_proven_nothing_few_pass_for_others(void **state)
{
    (void)state;
    unsigned passed = 0;
    begin(RATE, SOURCE, SITE);
    for (uint32_t n = 0; n < 200; n++) {
        struct turbo_address peer = ipv4(n);
        admission_prove(&admission, T(0), &peer);
    }
    for (uint32_t n = 1000; n < 11000; n++) {
        struct turbo_address peer = ipv4(n);
        passed += admission_is_proven(&admission, T(0), &peer);
    }
    assert_true(passed < 100); /* 1 in 400 is to be expected */
}

static void every_limit_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < TURBO_LIMIT_COUNT; i++) {
        const char *word = turbo_limit_text((enum turbo_limit)i);
        assert_null(strpbrk(word, " \"=\n"));
        for (int k = 0; k <= TURBO_LIMIT_COUNT; k++)
            assert_int_equal(strcmp(word, turbo_limit_text((enum turbo_limit)k)) == 0, i == k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_seconds_worth_may_come_at_once_and_then_one_each_time_it_is_due),
        CASE(a_quiet_hour_saves_up_one_second_and_no_more),
        CASE(the_first_second_of_the_clock_is_as_any),
        CASE(in_all_so_many_come_in_from_wherever),
        CASE(an_ipv4_address_is_a_source_whatever_its_port),
        CASE(ipv4_is_no_site),
        CASE(an_ipv6_64_is_a_source),
        CASE(an_ipv6_48_is_a_site),
        CASE(an_ipv4_address_is_not_the_ipv6_prefix_of_the_same_bytes),
        CASE(what_is_refused_is_not_counted),
        CASE(who_shares_one_counter_is_not_held_to_account_for_the_other),
        CASE(only_where_all_counters_are_shared_is_the_rate),
        CASE(the_keys_decide_who_shares),
        CASE(a_flood_from_many_addresses_meets_the_limit_on_all),
        CASE(a_source_that_tcp_has_proven_is_told_from_others_for_an_hour),
        CASE(of_those_who_have_proven_nothing_few_pass_for_others),
        CASE(every_limit_has_a_word_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
