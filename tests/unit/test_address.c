/* Addresses: literals and their text, mapped IPv4, comparison, libturbo's form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/un.h>

#include "tunnel/net/address.h"

static void assert_text(const struct address *address, const char *expected)
{
    char text[ADDRESS_TEXT_BYTES];

    assert_string_equal(address_text(address, text), expected);
}

static struct address literal(const char *host, uint16_t port)
{
    struct address address;

    if (!address_from_literal(&address, host, port))
        fail_msg("'%s' is a literal", host);
    return address;
}

static void literals_print_as_they_are_written(void **state)
{
    static const struct {
        const char *host, *text;
        int family;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1:443", AF_INET},
        {"0.0.0.0", "0.0.0.0:443", AF_INET},
        {"255.255.255.255", "255.255.255.255:443", AF_INET},
        {"::", "[::]:443", AF_INET6},
        {"2001:db8::1", "[2001:db8::1]:443", AF_INET6},
        {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:443", AF_INET6},
        {"::ffff:192.0.2.1", "192.0.2.1:443", AF_INET},
        {"fe80::1", "[fe80::1]:443", AF_INET6},
        {"fe80::1%lo", "[fe80::1%lo]:443", AF_INET6},
        {"fe80::1%999999999", "[fe80::1%999999999]:443", AF_INET6},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address = literal(cases[i].host, 443);

        assert_text(&address, cases[i].text);
        assert_int_equal(address_family(&address), cases[i].family);
        assert_int_equal(address_port(&address), 443);
    }
}

static void names_and_broken_literals_are_refused(void **state)
{
    static const char *const hosts[] = {
        "",
        "*",
        "localhost",
        "127.1",
        "0177.0.0.1",
        "1.2.3.4.5",
        "256.0.0.1",
        "192.0.2.1 ",
        "[::1]",
        ":::",
        "1::2::3",
        "192.0.2.1%lo",
        "2001:db8::1%lo",
        "fe80::1%",
        "fe80::1%none-such",
        "%lo",
        "fe80::1%0",
        "::ffff:192.0.2.1%lo",
        "fe80::1%4294967297",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct address address;

        if (address_from_literal(&address, hosts[i], 443))
            fail_msg("'%s' is no literal", hosts[i]);
        assert_int_equal(address_family(&address), AF_UNSPEC);
    }
}

static void the_longest_text_fits(void **state)
{
    struct address address = literal("fe80:1111:2222:3333:4444:5555:6666:7777%999999999", 65535);
    (void)state;

    address.v6.sin6_scope_id = UINT32_MAX;
    assert_text(&address, "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535");
}

static void a_mapped_peer_equals_the_plain_one(void **state)
{
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(50122)};
    struct address from_dual_stack, plain = literal("198.51.100.7", 50122);
    (void)state;

    assert_int_equal(inet_pton(AF_INET6, "::ffff:198.51.100.7", &mapped.sin6_addr), 1);
    mapped.sin6_flowinfo = htonl(12345);
    address_from_sockaddr(&from_dual_stack, (struct sockaddr *)&mapped, sizeof(mapped));

    assert_true(address_equal(&from_dual_stack, &plain));
    assert_int_equal(from_dual_stack.length, sizeof(struct sockaddr_in));
    assert_text(&from_dual_stack, "198.51.100.7:50122");
}

static void a_flow_label_does_not_make_another_address(void **state)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    struct address a, b;
    (void)state;

    sa.sin6_addr = in6addr_loopback;
    address_from_sockaddr(&a, (struct sockaddr *)&sa, sizeof(sa));
    sa.sin6_flowinfo = htonl(7);
    address_from_sockaddr(&b, (struct sockaddr *)&sa, sizeof(sa));
    assert_true(address_equal(&a, &b));
    assert_memory_equal(&a, &b, sizeof(a));
}

static void what_is_no_ip_address_becomes_empty(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct sockaddr_in cut = {.sin_family = AF_INET};
    struct address address = literal("::1", 1);
    (void)state;

    address_from_sockaddr(&address, (struct sockaddr *)&local, sizeof(local));
    assert_int_equal(address_family(&address), AF_UNSPEC);
    address = literal("::1", 1);
    address_from_sockaddr(&address, (struct sockaddr *)&cut, sizeof(cut) - 1);
    assert_int_equal(address_family(&address), AF_UNSPEC);
    address = literal("::1", 1);
    address_from_sockaddr(&address, NULL, 0);
    assert_int_equal(address_family(&address), AF_UNSPEC);

    address_set_port(&address, 443);
    assert_int_equal(address_port(&address), 0);
    assert_text(&address, "-");
}

static void equal_means_family_ip_scope_and_port(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
    } different[] = {
        {"127.0.0.1", 443}, {"127.0.0.1", 444}, {"127.0.0.2", 443},  {"::1", 443},
        {"::1", 444},       {"fe80::1", 443},   {"fe80::1%lo", 443}, {"fe80::1%777", 443},
    };
    const size_t count = sizeof(different) / sizeof(different[0]);
    struct address empty = {.length = 0};
    (void)state;

    for (size_t i = 0; i < count; i++) {
        struct address a = literal(different[i].host, different[i].port);

        for (size_t j = 0; j < count; j++) {
            struct address b = literal(different[j].host, different[j].port);
            assert_int_equal(address_equal(&a, &b), i == j);
        }
        assert_false(address_equal(&a, &empty));
    }
    assert_true(address_equal(&empty, &empty));
}

static void a_port_can_be_set_in_either_family(void **state)
{
    struct address v4, v6;
    (void)state;

    address_wildcard(&v4, AF_INET, 0);
    address_wildcard(&v6, AF_INET6, 0);
    assert_text(&v4, "0.0.0.0:0");
    assert_text(&v6, "[::]:0");
    address_set_port(&v4, 443);
    address_set_port(&v6, 8443);
    assert_text(&v4, "0.0.0.0:443");
    assert_text(&v6, "[::]:8443");
}

static void libturbo_gets_mapped_bytes_and_gives_the_same_address_back(void **state)
{
    static const char *const hosts[] = {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "fe80::1%lo"};
    static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    struct turbo_address turbo;
    (void)state;

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct address before = literal(hosts[i], 443), after;

        memset(&turbo, 0xaa, sizeof(turbo));
        address_to_turbo(&before, &turbo);
        assert_int_equal(turbo.port, 443);
        assert_int_equal(turbo.scope, i == 4 ? if_nametoindex("lo") : 0);
        if (i == 0)
            assert_memory_equal(turbo.ip, mapped, sizeof(mapped));
        address_from_turbo(&turbo, &after);
        assert_true(address_equal(&before, &after));
    }
}

/* The first and last address of what is special, and its neighbours that are not. */
static void addresses_that_are_nobodys_in_particular_are_not_public(void **state)
{
    static const struct {
        const char *before, *first, *last, *after; /* NULL: special too, or there is none */
    } ranges[] = {
        {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
        {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
        {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
        {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
        {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
        {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
        {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
        {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
        {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
        {"223.255.255.255", "224.0.0.0", "255.255.255.255", NULL},
        {NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
        {NULL, "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2001:1::"},
        {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001::1", NULL},
        {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
        {NULL, "::1", "64:ff9b:1::", NULL},
        {NULL, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
        {NULL, "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
        {NULL, "fec0::1", "ff02::1", NULL},
        {"64:ff9b::9.255.255.255", "64:ff9b::10.0.0.0", "64:ff9b::10.255.255.255",
         "64:ff9b::11.0.0.0"},
        {NULL, "64:ff9b::127.0.0.1", "64:ff9b::255.255.255.255", NULL},
        {"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::1", "2002:ff:ffff::", "2002:100::"},
        {"2002:a9fd:ffff::1", "2002:a9fe::", "2002:a9fe:ffff::1", "2002:a9ff::"},
        {NULL, "2002:7f00:1::", "2002:ffff:ffff::", "2003::"},
        {NULL, "::ffff:127.0.0.1", "::ffff:192.168.0.1", "::ffff:192.169.0.1"},
    };
    struct address empty = {.length = 0}, raw = literal("2001:db8::1", 0);
    (void)state;

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        const char *const hosts[] = {ranges[i].before, ranges[i].first, ranges[i].last,
                                     ranges[i].after};

        for (size_t j = 0; j < 4; j++) {
            bool is_public = j == 0 || j == 3;
            struct address address;

            if (hosts[j] == NULL)
                continue;
            address = literal(hosts[j], 443);
            if (address_is_public(&address) != is_public)
                fail_msg("%s is %spublic", hosts[j], is_public ? "" : "not ");
        }
    }
    assert_false(address_is_public(&empty));
    assert_true(address_is_public(&raw));
    /* A mapped one that did not come in by this file. */
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.1", &raw.v6.sin6_addr), 1);
    assert_false(address_is_public(&raw));
    assert_int_equal(inet_pton(AF_INET6, "::ffff:11.0.0.1", &raw.v6.sin6_addr), 1);
    assert_true(address_is_public(&raw));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_are_nobodys_in_particular_are_not_public),
        cmocka_unit_test(literals_print_as_they_are_written),
        cmocka_unit_test(names_and_broken_literals_are_refused),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(a_mapped_peer_equals_the_plain_one),
        cmocka_unit_test(a_flow_label_does_not_make_another_address),
        cmocka_unit_test(what_is_no_ip_address_becomes_empty),
        cmocka_unit_test(equal_means_family_ip_scope_and_port),
        cmocka_unit_test(a_port_can_be_set_in_either_family),
        cmocka_unit_test(libturbo_gets_mapped_bytes_and_gives_the_same_address_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
