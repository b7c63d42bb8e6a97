/* Which route a client takes by what it asks for, and which addresses of a name it may have. */
#include "tests/unit/support/worker_fixture.h"

#include <stdlib.h>

#include "proxy/route.h"
#include "proxy/target.h"

enum { NONE = -1 };

static void start(struct fixture *f, const char *request, const char *routes)
{
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' protocol: TCP request: %s %s } "
                      "upstream { name: 'u' protocol: TCP requested: true }",
                      request, routes);
}

/* The route's number; NONE: there is none. */
static int route_of(const struct fixture *f, const char *host, uint16_t port)
{
    struct address client;
    const struct config_listener *listener = fixture_settings(f, 0);
    struct target *target = target_create(host, port);
    assert_non_null(target);
    assert_true(address_from_literal(&client, "192.0.2.1", 1));
    const struct config_route *route =
        route_find(listener, &(struct route_facts){.client = &client, .target = target});
    free(target);
    return route == NULL ? NONE : (int)(route - listener->routes);
}

static bool may_reach(const struct fixture *f, const char *host, const char *text)
{
    struct address address;
    struct target *target = target_create(host, 443);
    assert_non_null(target);
    assert_true(address_from_literal(&address, text, 443));
    bool may = route_may_reach(fixture_settings(f, 0)->routes, target, &address);
    free(target);
    return may;
}

#define ROUTE(hosts) "route { upstream: 'u' requested_host: [" hosts "] } "

/* ---- hosts ---- */

static void a_name_is_that_name(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'a.test'"));
    assert_int_equal(route_of(f, "a.test", 443), 0);
    assert_int_equal(route_of(f, "A.Test.", 443), 0);
    assert_int_equal(route_of(f, "b.a.test", 443), NONE);
    assert_int_equal(route_of(f, "aa.test", 443), NONE);
    assert_int_equal(route_of(f, "test", 443), NONE);
    assert_int_equal(route_of(f, "192.0.2.1", 443), NONE);
}

static void a_wildcard_is_every_name_below(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'*.a.test'"));
    assert_int_equal(route_of(f, "b.a.test", 443), 0);
    assert_int_equal(route_of(f, "c.b.A.test", 443), 0);
    assert_int_equal(route_of(f, "a.test", 443), NONE);
    assert_int_equal(route_of(f, "ba.test", 443), NONE);
}

static void a_network_is_its_addresses(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'10.0.0.0/8', '2001:db8::/32', '127.0.0.1'"));
    assert_int_equal(route_of(f, "10.1.2.3", 443), 0);
    assert_int_equal(route_of(f, "127.0.0.1", 443), 0);
    assert_int_equal(route_of(f, "127.0.0.2", 443), NONE);
    assert_int_equal(route_of(f, "::ffff:10.0.0.1", 443), 0);
    assert_int_equal(route_of(f, "2001:db8::1", 443), 0);
    assert_int_equal(route_of(f, "11.0.0.1", 443), NONE);
    assert_int_equal(route_of(f, "a.test", 443), NONE); /* whatever it resolves to */
}

static void any_is_every_name_and_what_is_public(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'*'"));
    assert_int_equal(route_of(f, "a.test", 443), 0);
    assert_int_equal(route_of(f, "localhost", 443), 0); /* its address is looked at then */
    assert_int_equal(route_of(f, "192.0.2.1", 443), 0);
    static const char *const ours[] = {
        "127.0.0.1", "10.0.0.1",         "0.0.0.0", "169.254.169.254", "::1",
        "::",        "::ffff:127.0.0.1", "fd00::1", "fe80::1",         "192.168.0.1"};
    for (size_t i = 0; i < COUNT(ours); i++)
        assert_int_equal(route_of(f, ours[i], 443), NONE);
}

static void the_first_that_matches_is_taken(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'a.test', '10.0.0.0/8'") ROUTE("'*.test'") ROUTE("'*'"));
    assert_int_equal(route_of(f, "a.test", 443), 0);
    assert_int_equal(route_of(f, "10.0.0.1", 443), 0);
    assert_int_equal(route_of(f, "b.test", 443), 1);
    assert_int_equal(route_of(f, "b.example", 443), 2);
}

/* ---- ports ---- */

static void a_port_that_is_not_named_is_443(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'a.test'"));
    assert_int_equal(route_of(f, "a.test", 442), NONE);
    assert_int_equal(route_of(f, "a.test", 444), NONE);
}

static void others_are_those_that_are(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5",
          "route { upstream: 'u' requested_host: 'a.test' requested_port: [8443, 1, 65535] } "
          "route { upstream: 'u' requested_host: 'a.test' }");
    assert_int_equal(route_of(f, "a.test", 1), 0);
    assert_int_equal(route_of(f, "a.test", 8443), 0);
    assert_int_equal(route_of(f, "a.test", 65535), 0);
    assert_int_equal(route_of(f, "a.test", 443), 1);
    assert_int_equal(route_of(f, "a.test", 2), NONE);
}

/* ---- who is redirected ---- */

static void one_that_is_redirected_may_go_anywhere(void **state)
{
    struct fixture *f = *state;
    start(f, "REDIRECT", "route { upstream: 'u' }");
    assert_int_equal(route_of(f, "10.0.0.1", 25), 0);
    assert_int_equal(route_of(f, "2001:db8::1", 443), 0);
}

static void unless_its_route_says_where(void **state)
{
    struct fixture *f = *state;
    start(f, "REDIRECT",
          "route { upstream: 'u' requested_host: '10.0.0.0/8' } "
          "route { upstream: 'u' requested_host: '*' requested_port: [25, 443] }");
    assert_int_equal(route_of(f, "10.0.0.1", 25), 0);
    assert_int_equal(route_of(f, "192.0.2.1", 25), 1);
    assert_int_equal(route_of(f, "192.0.2.1", 80), NONE);
    assert_int_equal(route_of(f, "192.168.0.1", 443), NONE);
}

/* ---- addresses of names ---- */

static void a_name_may_have_public_addresses(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'a.test'"));
    assert_true(may_reach(f, "a.test", "192.0.2.1"));
    assert_true(may_reach(f, "a.test", "2001:db8::1"));
    static const char *const ours[] = {"127.0.0.1", "10.0.0.1",         "0.0.0.0",
                                       "::1",       "::ffff:127.0.0.1", "64:ff9b::7f00:1",
                                       "fd00::1",   "2002:7f00:1::"};
    for (size_t i = 0; i < COUNT(ours); i++)
        assert_false(may_reach(f, "a.test", ours[i]));
}

static void and_those_that_are_named(void **state)
{
    struct fixture *f = *state;
    start(f, "SOCKS5", ROUTE("'a.test', '10.1.0.0/16', '::1'"));
    assert_true(may_reach(f, "a.test", "10.1.2.3"));
    assert_true(may_reach(f, "a.test", "::1"));
    assert_true(may_reach(f, "a.test", "192.0.2.1"));
    assert_false(may_reach(f, "a.test", "10.2.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_name_is_that_name),
        FIXTURE_CASE(a_wildcard_is_every_name_below),
        FIXTURE_CASE(a_network_is_its_addresses),
        FIXTURE_CASE(any_is_every_name_and_what_is_public),
        FIXTURE_CASE(the_first_that_matches_is_taken),
        FIXTURE_CASE(a_port_that_is_not_named_is_443),
        FIXTURE_CASE(others_are_those_that_are),
        FIXTURE_CASE(one_that_is_redirected_may_go_anywhere),
        FIXTURE_CASE(unless_its_route_says_where),
        FIXTURE_CASE(a_name_may_have_public_addresses),
        FIXTURE_CASE(and_those_that_are_named),
    };
    return cmocka_run_group_tests_name("route_requested", tests, NULL, NULL);
}
