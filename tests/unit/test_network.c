/* Networks: which texts are one, what they hold, and what is said of those that are none. */
#include "tests/unit/support/check.h"

#include "proxy/net/network.h"

static struct network parsed(const char *text)
{
    struct network network;
    const char *fault = network_parse(text, &network);

    if (fault != NULL)
        fail_msg("'%s' %s", text, fault);
    return network;
}

static struct address address_of(const char *host)
{
    struct address address;

    if (!address_from_literal(&address, host, 443))
        fail_msg("'%s' is a literal", host);
    return address;
}

static void networks_print_as_they_are_written(void **state)
{
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1/32", "192.0.2.1"},
        {"198.51.100.0/24", "198.51.100.0/24"},
        {"198.51.100.128/25", "198.51.100.128/25"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"2001:db8::/32", "2001:db8::/32"},
        {"2001:DB8:0::1", "2001:db8::1"},
        {"::1/128", "::1"},
        {"::/0", "::/0"},
        {"8000::/1", "8000::/1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network = parsed(cases[i][0]);
        char text[NETWORK_TEXT_BYTES];

        assert_string_equal(network_text(&network, text), cases[i][1]);
    }
}

static void a_network_holds_what_begins_as_it_does(void **state)
{
    static const struct {
        const char *network, *address;
        bool holds;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"198.51.100.0/24", "198.51.100.0", true},
        {"198.51.100.0/24", "198.51.100.255", true},
        {"198.51.100.0/24", "198.51.101.0", false},
        {"198.51.100.128/25", "198.51.100.127", false},
        {"198.51.100.128/25", "198.51.100.128", true},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::/33", "2001:db8:7fff:ffff::", true},
        {"fe80::/10", "fe80::1%lo", true},
        {"::/96", "::1", true},
        {"::/90", "192.0.2.1", false},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network = parsed(cases[i].network);
        struct address address = address_of(cases[i].address);

        if (network_holds(&network, &address) != cases[i].holds)
            fail_msg("%s in %s?", cases[i].address, cases[i].network);
    }
}

static void a_list_holds_what_any_of_it_does(void **state)
{
    struct network two[] = {parsed("192.0.2.0/24"), parsed("::1")};
    struct networks list = {two, COUNT(two)}, empty = {0};
    struct address v4 = address_of("192.0.2.7"), v6 = address_of("::1"), other = address_of("::2"),
                   none = {0};
    struct network everything = parsed("::/0");
    (void)state;

    assert_true(networks_hold(&list, &v4));
    assert_true(networks_hold(&list, &v6));
    assert_false(networks_hold(&list, &other));
    assert_false(networks_hold(&list, &none));
    assert_false(network_holds(&everything, &none));
    assert_false(networks_hold(&empty, &v4));
}

static void what_is_no_network_is_told_what_would_be_right(void **state)
{
    static const char *const cases[][2] = {
        {"", "such as 198.51.100.0/24"},
        {"/24", "such as 198.51.100.0/24"},
        {"localhost", "such as 198.51.100.0/24"},
        {"192.0.2", "such as 198.51.100.0/24"},
        {"192.0.2.1 ", "such as 198.51.100.0/24"},
        {"192.0.2.1:443", "such as 198.51.100.0/24"},
        {"2001:db8::1%eth0", "such as 198.51.100.0/24"},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", "such as 198.51.100.0/24"},
        {"[2001:db8::]/32", "without brackets"},
        {"198.51.100.0/", "from 0 to 32"},
        {"198.51.100.0/33", "from 0 to 32"},
        {"198.51.100.0/-1", "from 0 to 32"},
        {"198.51.100.0/24/24", "from 0 to 32"},
        {"198.51.100.0/255.255.255.0", "from 0 to 32"},
        {"198.51.100.0/4294967296", "from 0 to 32"},
        {"2001:db8::/129", "from 0 to 128"},
        {"2001:db8::/ 1", "from 0 to 128"},
        {"198.51.100.1/24", "bits are set behind its prefix"},
        {"128.0.0.0/0", "bits are set behind its prefix"},
        {"2001:db8::1/127", "bits are set behind its prefix"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network;
        const char *fault = network_parse(cases[i][0], &network);

        if (fault == NULL || strstr(fault, cases[i][1]) == NULL)
            fail_msg("'%s' %s", cases[i][0], fault == NULL ? "is taken" : fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(networks_print_as_they_are_written),
        CASE(a_network_holds_what_begins_as_it_does),
        CASE(a_list_holds_what_any_of_it_does),
        CASE(what_is_no_network_is_told_what_would_be_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
