/* Routes and access rules: what a ClientHello asks for, and where it comes from. */
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/route.h"

enum { ROUTES_MAX = 4, WORDS_MAX = 4, NONE = -1 };

/* A listener as the configuration has it; what is NULL or empty is not given. */
struct scene {
    struct config_listener listener;
    struct config_route routes[ROUTES_MAX];
    struct config_rule rules[ROUTES_MAX];
    struct config_bytes protocols[ROUTES_MAX][WORDS_MAX];
    struct network networks[2 * ROUTES_MAX];
    size_t network_count;
};

static void scene_init(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    scene->listener.routes = scene->routes;
    scene->listener.rules = scene->rules;
}

static struct networks add_network(struct scene *scene, const char *text)
{
    struct network *network = &scene->networks[scene->network_count];

    if (text == NULL)
        return (struct networks){.count = 0};
    assert_null(network_parse(text, network));
    scene->network_count++;
    return (struct networks){.list = network, .count = 1};
}

static void add_rule(struct scene *scene, bool allow, const char *network)
{
    scene->rules[scene->listener.rule_count++] =
        (struct config_rule){.allow = allow, .networks = add_network(scene, network)};
}

/* Names sorted, as the configuration does; both lists end with NULL. */
static void add_route(struct scene *scene, const char *const *names, const char *const *alpn,
                      const char *source)
{
    size_t number = scene->listener.route_count++;
    struct config_route *route = &scene->routes[number];

    route->server_names = names;
    while (names != NULL && names[route->server_name_count] != NULL)
        route->server_name_count++;
    route->alpn = scene->protocols[number];
    for (; alpn != NULL && alpn[route->alpn_count] != NULL; route->alpn_count++) {
        const char *name = alpn[route->alpn_count];
        scene->protocols[number][route->alpn_count] =
            (struct config_bytes){.data = (const uint8_t *)name, .length = strlen(name)};
    }
    route->sources = add_network(scene, source);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct address address_of(const char *host)
{
    struct address address;

    assert_true(address_from_literal(&address, host, 1234));
    return address;
}

static struct turbo_client_hello hello_of(const char *name, const char *alpn)
{
    struct turbo_client_hello hello = {.state = TURBO_HELLO_COMPLETE};

    (void)snprintf(hello.server_name, sizeof(hello.server_name), "%s", name);
    while (*alpn != '\0') {
        size_t length = strcspn(alpn, ",");
        hello.alpn[hello.alpn_length++] = (uint8_t)length;
        memcpy(hello.alpn + hello.alpn_length, alpn, length);
        hello.alpn_length = (uint16_t)(hello.alpn_length + length);
        alpn += length + (alpn[length] == ',');
    }
    return hello;
}

/* The number of the route; NONE. */
static int taken_from(const struct scene *scene, const char *name, const char *alpn,
                      const char *host)
{
    struct turbo_client_hello hello = hello_of(name, alpn);
    struct address client = address_of(host);
    const struct route_facts facts = {.client = &client, .hello = &hello};
    const struct config_route *route = route_find(&scene->listener, &facts);

    return route == NULL ? NONE : (int)(route - scene->routes);
}

static int taken(const struct scene *scene, const char *name)
{
    return taken_from(scene, name, "", "192.0.2.1");
}

static int taken_without_hello(const struct scene *scene, const char *host)
{
    struct address client = address_of(host);
    const struct route_facts facts = {.client = &client};
    const struct config_route *route = route_find(&scene->listener, &facts);

    return route == NULL ? NONE : (int)(route - scene->routes);
}

/* ---- names ---- */

static void names_are_found_in_any_case_and_with_a_dot_behind(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST("a.example", "b.example", "c.example"), NULL, NULL);

    assert_int_equal(taken(&scene, "a.example"), 0);
    assert_int_equal(taken(&scene, "c.example"), 0);
    assert_int_equal(taken(&scene, "B.eXample"), 0);
    assert_int_equal(taken(&scene, "b.example."), 0);
    assert_int_equal(taken(&scene, "b.example.."), NONE);
    assert_int_equal(taken(&scene, "b.exampl"), NONE);
    assert_int_equal(taken(&scene, "b.examples"), NONE);
    assert_int_equal(taken(&scene, "x.b.example"), NONE);
    assert_int_equal(taken(&scene, "example"), NONE);
    assert_int_equal(taken(&scene, ""), NONE);
    assert_int_equal(taken(&scene, "."), NONE);
}

static void letters_are_ascii_s(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST("@[`{.example", "az.example"), NULL, NULL);
    assert_int_equal(taken(&scene, "AZ.EXAMPLE"), 0);
    assert_int_equal(taken(&scene, "@[`{.EXAMPLE"), 0);
    assert_int_equal(taken(&scene, "`{@[.example"), NONE);
}

static void a_wildcard_is_every_name_below(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST(".deep.example.org", ".example.com", "www.example.net"), NULL, NULL);

    assert_int_equal(taken(&scene, "www.example.com"), 0);
    assert_int_equal(taken(&scene, "a.b.c.d.example.com"), 0);
    assert_int_equal(taken(&scene, "A.B.Example.COM."), 0);
    assert_int_equal(taken(&scene, "x.deep.example.org"), 0);
    assert_int_equal(taken(&scene, "www.example.net"), 0);
    assert_int_equal(taken(&scene, "example.com"), NONE);
    assert_int_equal(taken(&scene, "example.com."), NONE);
    assert_int_equal(taken(&scene, ".example.com"), NONE);
    assert_int_equal(taken(&scene, "badexample.com"), NONE);
    assert_int_equal(taken(&scene, "www.example.com.evil"), NONE);
    assert_int_equal(taken(&scene, "deep.example.org"), NONE);
    assert_int_equal(taken(&scene, "x.www.example.net"), NONE);
    assert_int_equal(taken(&scene, "*.example.net"), NONE);
}

static void names_that_sort_before_wildcards_do_not_hide_them(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST("-a.example", "-b.example", ".-d.example", ".c.example"), NULL, NULL);

    assert_int_equal(taken(&scene, "-b.example"), 0);
    assert_int_equal(taken(&scene, "x.c.example"), 0);
    assert_int_equal(taken(&scene, "x.-d.example"), 0);
    assert_int_equal(taken(&scene, "x.-b.example"), NONE);
}

static void the_longest_name_fits(void **state)
{
    static struct scene scene;
    char name[TURBO_SERVER_NAME_MAX + 1];
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST(".a"), NULL, NULL);

    for (size_t i = 0; i < TURBO_SERVER_NAME_MAX; i++)
        name[i] = i % 2 == 0 ? 'A' : '.';
    name[TURBO_SERVER_NAME_MAX] = '\0';
    assert_int_equal(taken(&scene, name), 0);
}

/* The first half are wildcards. */
static void assert_finds_each_of(size_t count)
{
    static char texts[4096][32];
    static const char *names[COUNT(texts)];
    static struct scene scene;
    char other[40];

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%sh%04zu.example", i < count / 2 ? "." : "", i);
        names[i] = texts[i];
    }
    scene_init(&scene);
    scene.routes[0] = (struct config_route){.server_names = names, .server_name_count = count};
    scene.listener.route_count = 1;
    for (size_t i = 0; i < count; i++) {
        bool wildcard = i < count / 2;
        assert_int_equal(taken(&scene, texts[i]), wildcard ? NONE : 0);
        strcpy(other, wildcard ? "a.b" : "a.b.");
        strcat(other, texts[i]);
        assert_int_equal(taken(&scene, other), wildcard ? 0 : NONE);
        assert_int_equal(taken(&scene, other + 4), wildcard ? NONE : 0);
    }
}

static void each_of_few_or_many_names_is_found_and_no_other(void **state)
{
    static const size_t counts[] = {2, 30, 32, 34, 4096};
    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++)
        assert_finds_each_of(counts[i]);
}

/* ---- protocols, sources, order ---- */

static void one_of_the_protocols_is_enough(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, NULL, LIST("h2", "acme-tls/1"), NULL);

    assert_int_equal(taken_from(&scene, "", "h2", "::1"), 0);
    assert_int_equal(taken_from(&scene, "", "http/1.1,acme-tls/1", "::1"), 0);
    assert_int_equal(taken_from(&scene, "", "http/1.1", "::1"), NONE);
    assert_int_equal(taken_from(&scene, "", "h", "::1"), NONE);
    assert_int_equal(taken_from(&scene, "", "h2c", "::1"), NONE);
    assert_int_equal(taken_from(&scene, "", "H2", "::1"), NONE);
    assert_int_equal(taken_from(&scene, "", "", "::1"), NONE);
}

static void everything_given_must_match(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST("a.example"), LIST("h2"), "192.0.2.0/24");

    assert_int_equal(taken_from(&scene, "a.example", "h2", "192.0.2.255"), 0);
    assert_int_equal(taken_from(&scene, "b.example", "h2", "192.0.2.255"), NONE);
    assert_int_equal(taken_from(&scene, "a.example", "h3", "192.0.2.255"), NONE);
    assert_int_equal(taken_from(&scene, "a.example", "h2", "192.0.3.0"), NONE);
    assert_int_equal(taken_from(&scene, "a.example", "h2", "2001:db8::1"), NONE);
}

static void the_first_that_matches_is_taken(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST(".example.com"), NULL, "2001:db8::/32");
    add_route(&scene, LIST("www.example.com"), NULL, NULL);
    add_route(&scene, NULL, LIST("h2"), NULL);
    add_route(&scene, NULL, NULL, NULL);

    assert_int_equal(taken_from(&scene, "www.example.com", "h2", "2001:db8::1"), 0);
    assert_int_equal(taken_from(&scene, "www.example.com", "h2", "2001:db9::1"), 1);
    assert_int_equal(taken_from(&scene, "example.com", "h2", "2001:db8::1"), 2);
    assert_int_equal(taken_from(&scene, "example.com", "", "2001:db8::1"), 3);
}

static void without_a_hello_only_routes_that_ask_for_none(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST("a.example"), NULL, NULL);
    add_route(&scene, NULL, LIST("h2"), NULL);
    add_route(&scene, NULL, NULL, "192.0.2.1");

    assert_int_equal(taken_without_hello(&scene, "192.0.2.1"), 2);
    assert_int_equal(taken_without_hello(&scene, "192.0.2.2"), NONE);
}

static void no_routes_match_nothing(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    assert_int_equal(taken(&scene, "a.example"), NONE);
    assert_int_equal(taken_without_hello(&scene, "::1"), NONE);
    assert_false(route_needs_hello(&scene.listener));
}

static void names_and_protocols_need_a_hello(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    add_route(&scene, NULL, NULL, "192.0.2.1");
    assert_false(route_needs_hello(&scene.listener));
    add_route(&scene, LIST("a.example"), NULL, NULL);
    assert_true(route_needs_hello(&scene.listener));

    scene_init(&scene);
    add_route(&scene, NULL, NULL, NULL);
    add_route(&scene, NULL, LIST("h2"), NULL);
    assert_true(route_needs_hello(&scene.listener));
}

/* ---- addresses ---- */

static void an_address_is_vouched_for_where_it_could_matter(void **state)
{
    static struct scene scene;
    const struct config_route *routes = scene.routes;
    (void)state;
    scene_init(&scene);
    add_route(&scene, LIST("a.example"), NULL, NULL);
    add_route(&scene, LIST("b.example"), NULL, "192.0.2.1");
    add_route(&scene, NULL, NULL, NULL);

    assert_false(route_vouches(&scene.listener, &routes[0]));
    assert_true(route_vouches(&scene.listener, &routes[1]));
    /* It may be here because it is not from there. */
    assert_true(route_vouches(&scene.listener, &routes[2]));
    assert_true(route_vouches(&scene.listener, NULL));

    add_rule(&scene, true, NULL);
    assert_false(route_vouches(&scene.listener, &routes[0]));
    add_rule(&scene, false, "192.0.2.1");
    assert_true(route_vouches(&scene.listener, &routes[0]));
}

static bool allowed(const struct scene *scene, const char *host)
{
    struct address client = address_of(host);
    return route_allows(&scene->listener, &client);
}

static void the_first_rule_that_matches_decides(void **state)
{
    static struct scene scene;
    (void)state;
    scene_init(&scene);
    assert_true(allowed(&scene, "192.0.2.1"));

    add_rule(&scene, false, "192.0.2.1");
    add_rule(&scene, true, "192.0.2.0/24");
    assert_false(allowed(&scene, "192.0.2.1"));
    assert_true(allowed(&scene, "192.0.2.2"));
    assert_true(allowed(&scene, "198.51.100.1")); /* none matches */

    add_rule(&scene, false, NULL);
    assert_true(allowed(&scene, "192.0.2.2"));
    assert_false(allowed(&scene, "198.51.100.1"));
    assert_false(allowed(&scene, "::1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(names_are_found_in_any_case_and_with_a_dot_behind),
        CASE(letters_are_ascii_s),
        CASE(a_wildcard_is_every_name_below),
        CASE(names_that_sort_before_wildcards_do_not_hide_them),
        CASE(the_longest_name_fits),
        CASE(each_of_few_or_many_names_is_found_and_no_other),
        CASE(one_of_the_protocols_is_enough),
        CASE(everything_given_must_match),
        CASE(the_first_that_matches_is_taken),
        CASE(without_a_hello_only_routes_that_ask_for_none),
        CASE(no_routes_match_nothing),
        CASE(names_and_protocols_need_a_hello),
        CASE(an_address_is_vouched_for_where_it_could_matter),
        CASE(the_first_rule_that_matches_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
