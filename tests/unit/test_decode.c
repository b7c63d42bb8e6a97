/* What a configuration amounts to, and each mistake in one: where it is, and what would be right.
 */
#include "tests/unit/support/decoding.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/config/decode.h"
#include "tests/unit/support/check.h"

static void the_shortest_file_gets_the_defaults(void **state)
{
    const struct config_listener *listener;
    const struct config_upstream *upstream;
    struct address own[2];
    (void)state;

    accepted(LISTENER WEB);
    assert_int_equal(decoded.config->listener_count, 1);
    listener = &decoded.config->listeners[0];
    assert_string_equal(listener->name, "turbo:*:443");
    assert_int_equal(listener->kind, ENDPOINT_TURBO);
    assert_true(listener->dual_stack && listener->same_udp_port);
    assert_int_equal(listener->udp_port, 443);
    assert_int_equal(listener->route_count, 1);
    assert_string_equal(listener->routes[0].name, "web");
    assert_int_equal(listener->routes[0].upstream, 0);
    assert_int_equal(listener->rule_count, 0);
    assert_int_equal(listener->connections_max, 0);
    assert_int_equal(listener->sessions_max, TURBO_SESSIONS_DEFAULT);
    assert_int_equal(listener->session_rate, TURBO_RATE_DEFAULT);
    assert_int_equal(listener->source_rate, TURBO_SOURCE_RATE_DEFAULT);
    assert_true(listener->opening_timeout_s == 60 && listener->sniff_timeout_s == 0);
    assert_true(listener->handshake_timeout_s == 60 && listener->idle_timeout_s == 3600);
    assert_true(listener->half_closed_timeout_s == 600);
    assert_int_equal(decoded.config->upstream_count, 1);
    upstream = &decoded.config->upstreams[0];
    assert_int_equal(upstream->kind, ENDPOINT_TCP);
    assert_int_equal(upstream->proxy_header, CONFIG_PROXY_NONE);
    assert_true(upstream->connect_timeout_s == 60 && upstream->turbo == CONFIG_TURBO_NEVER);
    assert_int_equal(upstream->server_count, 1);
    assert_string_equal(upstream->servers[0].host, "web.example");
    assert_int_equal(upstream->servers[0].port, 8443);
    assert_int_equal(upstream->servers[0].weight, 1);
    assert_int_equal(upstream->health.max_failures, 1);
    assert_true(upstream->health.back_off_s == 1 && upstream->health.max_back_off_s == 60);
    assert_true(upstream->health.check_interval_s == 0 && upstream->health.check_timeout_s == 2);
    assert_true(decoded.config->drain_timeout_s == 30);
    assert_int_equal(decoded.config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(decoded.config->log_format, LOG_FORMAT_TEXT);
    assert_int_equal(decoded.config->log_target, LOG_TARGET_STDERR);
    assert_int_equal(address_family(&decoded.config->admin), AF_UNSPEC);
    assert_null(decoded.config->user);
    assert_true(decoded.config->sandbox);

    accepted(LISTENER WEB "admin { address: \"127.0.0.1:9443\" }");
    address_from_literal(&own[0], "127.9.9.9", 1);
    address_from_literal(&own[1], "::1", 1);
    assert_true(networks_hold(&decoded.config->admin_from, &own[0]));
    assert_true(networks_hold(&decoded.config->admin_from, &own[1]));
    address_from_literal(&own[1], "192.0.2.1", 1);
    assert_false(networks_hold(&decoded.config->admin_from, &own[1]));
}

static void everything_that_can_be_said_is_in_force(void **state)
{
    const struct config_listener *listener;
    const struct config_upstream *upstream;
    char text[NETWORK_TEXT_BYTES];
    (void)state;

    accepted(
        "listener { name: 'edge' protocol: TURBO address: '[2001:db8::1]:443' udp_port: 8443\n"
        "  route { name: 'h2' server_name: ['B.example', '*.A.example'] alpn: 'h2'\n"
        "          alpn: 'x' source: '10.0.0.0/8' upstream: 'two' }\n"
        "  route { upstream: 'web' server_name: 'c.example' } route { upstream: 'web' }\n"
        "  access_rule { action: DENY network: '192.0.2.0/24' } access_rule { action: ALLOW }\n"
        "  proxy_protocol_from: '198.51.100.7' max_connections: 7 max_sessions: 8\n"
        "  session_rate: 9 source_rate: 10 opening_timeout_seconds: 11\n"
        "  sniff_timeout_seconds: 0.5 handshake_timeout_seconds: 12\n"
        "  idle_timeout_seconds: 13 half_closed_timeout_seconds: 14 }\n"
        "upstream { name: 'two' protocol: TURBO turbo: ALWAYS connect_timeout_seconds: 15\n"
        "  server { address: 'One.Example:1' udp_port: 2 weight: 0 }\n"
        "  server { address: '[::1]:3' weight: 4 }\n"
        "  health { max_failures: 5 back_off_seconds: 6 max_back_off_seconds: 7\n"
        "           check_interval_seconds: 8 check_timeout_seconds: 9 } }\n"
        "upstream { name: 'web' server { address: 'h:1' } proxy_protocol: V2 }\n"
        "log { level: DEBUG format: JSON target: JOURNAL }\n"
        "admin { address: '*:9443' allow_from: '10.0.0.0/8' }\n"
        "process { user: 'proxy' group: 'tls' sandbox: false } drain_timeout_seconds: 0\n");
    listener = &decoded.config->listeners[0];
    assert_string_equal(listener->name, "edge");
    assert_int_equal(listener->udp_port, 8443);
    assert_false(listener->same_udp_port || listener->dual_stack);
    assert_int_equal(listener->route_count, 3);
    assert_string_equal(listener->routes[0].name, "h2");
    assert_int_equal(listener->routes[0].server_name_count, 2);
    assert_string_equal(listener->routes[0].server_names[0], ".a.example");
    assert_string_equal(listener->routes[0].server_names[1], "b.example");
    assert_int_equal(listener->routes[0].alpn_count, 2);
    assert_int_equal(listener->routes[0].alpn[1].length, 1);
    assert_memory_equal(listener->routes[0].alpn[0].data, "h2", 2);
    assert_string_equal(network_text(&listener->routes[0].sources.list[0], text), "10.0.0.0/8");
    assert_int_equal(listener->routes[0].upstream, 0);
    assert_int_equal(listener->routes[2].upstream, 1);
    assert_string_equal(listener->routes[1].name, "web");
    assert_string_equal(listener->routes[2].name, "web-2");
    assert_int_equal(listener->rule_count, 2);
    assert_false(listener->rules[0].allow);
    assert_true(listener->rules[1].allow);
    assert_int_equal(listener->rules[0].networks.count, 1);
    assert_int_equal(listener->rules[1].networks.count, 0);
    assert_int_equal(listener->proxy_from.count, 1);
    assert_int_equal(listener->connections_max, 7);
    assert_int_equal(listener->sessions_max, 8);
    assert_int_equal(listener->session_rate, 9);
    assert_int_equal(listener->source_rate, 10);
    assert_true(listener->opening_timeout_s == 11 && listener->sniff_timeout_s == 0.5);
    assert_true(listener->handshake_timeout_s == 12 && listener->idle_timeout_s == 13);
    assert_true(listener->half_closed_timeout_s == 14);
    upstream = &decoded.config->upstreams[0];
    assert_int_equal(upstream->kind, ENDPOINT_TURBO);
    assert_true(upstream->turbo == CONFIG_TURBO_ALWAYS && upstream->connect_timeout_s == 15);
    assert_string_equal(upstream->servers[0].host, "one.example");
    assert_int_equal(upstream->servers[0].udp_port, 2);
    assert_int_equal(upstream->servers[0].weight, 0);
    assert_string_equal(upstream->servers[1].host, "::1");
    assert_int_equal(upstream->servers[1].udp_port, 3);
    assert_int_equal(upstream->health.max_failures, 5);
    assert_true(upstream->health.back_off_s == 6 && upstream->health.max_back_off_s == 7);
    assert_true(upstream->health.check_interval_s == 8 && upstream->health.check_timeout_s == 9);
    assert_int_equal(decoded.config->upstreams[1].proxy_header, CONFIG_PROXY_V2);
    assert_int_equal(decoded.config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(decoded.config->log_format, LOG_FORMAT_JSON);
    assert_int_equal(decoded.config->log_target, LOG_TARGET_JOURNAL);
    assert_true(decoded.config->admin_dual_stack);
    assert_int_equal(decoded.config->admin_from.count, 1);
    assert_string_equal(decoded.config->user, "proxy");
    assert_string_equal(decoded.config->group, "tls");
    assert_false(decoded.config->sandbox);
    assert_true(decoded.config->drain_timeout_s == 0);
}

static void ten_mistakes_are_ten_errors_with_their_places(void **state)
{
    (void)state;
    REFUSE(
        "listener {\n"
        "  name: \"the edge\"\n"
        "  address: \"127.0.0.256:443\"\n"
        "  max_sessions: 0\n"
        "  route { server_name: [\"a.example\", \"-\", \"*\"] upstream: \"wev\" }\n"
        "  route { source: \"10.0.0.1/8\" upstream: \"web\" }\n"
        "  acess_rule { action: DENY }\n"
        "}\n"
        "upstream {\n"
        "  name: \"web\"\n"
        "  server { address: \"web.example\" }\n"
        "  server { address: \"b.example:1\" udp_port: 5 }\n"
        "}\n"
        "drain_timeout_seconds: 1e9\n",
        "f:7:3: listener[0].acess_rule: Listener has no such field; did you mean access_rule?",
        "f:14:24: drain_timeout_seconds: 1000000000 is out of range; use seconds from 0 to 86400",
        "f:11:21: upstream[0].server[0].address: a host and a port are needed, as in "
        "www.example:443",
        "f:12:45: upstream[0].server[1].udp_port: is for upstreams with protocol TURBO only, as "
        "TCP uses no UDP; leave it out",
        "f:4:17: listener[0].max_sessions: 0 is out of range; use a number from 1 to 65536",
        "f:3:12: listener[0].address: '127.0.0.256' is not an IP address; use a literal such as "
        "127.0.0.1, [::1] or * for all",
        "f:2:9: listener[0].name: 'the edge' is not a name; use 1 to 64 letters, digits, '-', "
        "'_' and '.'",
        "f:5:43: listener[0].route[0].server_name[2]: '*' is not a server name; leave "
        "server_name out to match every connection",
        "f:5:58: listener[0].route[0].upstream: there is no upstream 'wev'; did you mean 'web'?",
        "f:6:19: listener[0].route[1].source[0]: '10.0.0.1/8' is not a network: bits are set "
        "behind its prefix; an address alone has no '/', and a network ends in zeros, as "
        "198.51.100.0/24 does");
}

static void what_must_be_given_is_asked_for(void **state)
{
    (void)state;
    REFUSE("",
           "f:1:1: there is no upstream; say where connections go, such as upstream { name: "
           "\"web\" server { address: \"www.example:443\" } }",
           "f:1:1: there is no listener; say where to accept connections, such as listener { "
           "address: \"*:443\" }");
    REFUSE("listener { route { } access_rule { } }\nupstream { server { } }\nadmin { }\n"
           "process { group: 'g' }",
           "f:2:10: upstream[0].name: must be given, for routes to refer to, such as \"web\"",
           "f:2:19: upstream[0].server[0].address: must be given, such as \"www.example:443\"",
           "f:1:10: listener[0].address: must be given, such as \"*:443\"",
           "f:1:18: listener[0].route[0].upstream: must be given, which is the name of one",
           "f:1:34: listener[0].access_rule[0].action: must be given, ALLOW or DENY",
           "f:3:7: admin.address: must be given, such as \"127.0.0.1:9443\"",
           "f:4:9: process.user: must be given, where there is a group");
    REFUSE("listener { address: '*:1' } upstream { name: 'u' }",
           "f:1:38: upstream[0]: has no server; say where connections go, such as server { "
           "address: \"www.example:443\" }");
}

static void what_could_not_be_read_is_not_asked_for_again(void **state)
{
    (void)state;
    decode("listner { } upstream { nme: 'web' server { adress: 'h:1' } }");
    assert_int_equal(decoded.errors.count, 3);
    decode("listener { address: 443 route { upstream: web } } upstream { name: 'web' server 7 }");
    for (size_t i = 0; i < decoded.errors.count; i++)
        assert_null(strstr(decoded.errors.texts[i], "must be given"));
}

/* A number's ends are taken, and what is beyond them refused. */
static void ranges_end_where_the_schema_says(void **state)
{
#define IN_LISTENER(field) "listener { address: '*:1' " field ": %s }" WEB
#define IN_UPSTREAM(field) LISTENER "upstream { name: 'u' server { address: 'h:1' } " field ": %s }"
#define IN_HEALTH(before, field)                                                                   \
    LISTENER "upstream { name: 'u' server { address: 'h:1' } health { " before field ": %s } }"
    static const struct {
        const char *text, *good[4], *bad[4];
    } cases[] = {
        {LISTENER WEB "drain_timeout_seconds: %s", {"0", "86400"}, {"-1", "86400.1", "nan", "inf"}},
        {IN_LISTENER("udp_port"), {"0", "65535"}, {"65536"}},
        {IN_LISTENER("max_connections"), {"0", "1000000"}, {"1000001"}},
        {IN_LISTENER("max_sessions"), {"1", "65536"}, {"0", "65537"}},
        {IN_LISTENER("session_rate"), {"1", "100000"}, {"0", "100001"}},
        {IN_LISTENER("source_rate"), {"1", "100000"}, {"0", "100001"}},
        {IN_LISTENER("opening_timeout_seconds"), {"0.001", "3600"}, {"0", "3601", "-1", "nan"}},
        {IN_LISTENER("sniff_timeout_seconds"), {"0", "30"}, {"-0.1", "30.1", "nan"}},
        {IN_LISTENER("handshake_timeout_seconds"), {"0", "3600"}, {"-1", "3601", "nan"}},
        {IN_LISTENER("idle_timeout_seconds"), {"0", "604800"}, {"-1", "604801", "nan"}},
        {IN_LISTENER("half_closed_timeout_seconds"), {"0", "604800"}, {"-1", "604801", "nan"}},
        {IN_UPSTREAM("connect_timeout_seconds"), {"0.001", "600"}, {"0", "601", "nan"}},
        {LISTENER "upstream { name: 'u' server { address: 'h:1' } server { address: 'h:1' weight: "
                  "%s } }",
         {"0", "1000"},
         {"1001"}},
        {LISTENER "upstream { name: 'u' protocol: TURBO server { address: 'h:1' udp_port: %s } }",
         {"1", "65535"},
         {"0", "65536"}},
        {IN_HEALTH("", "max_failures"), {"1", "100"}, {"0", "101"}},
        {IN_HEALTH("max_back_off_seconds: 3600 ", "back_off_seconds"),
         {"0.1", "3600"},
         {"0.09", "3601", "nan"}},
        {IN_HEALTH("back_off_seconds: 0.1 ", "max_back_off_seconds"),
         {"0.1", "3600"},
         {"0.09", "3601", "nan"}},
        {IN_HEALTH("", "check_interval_seconds"), {"0", "0.1", "3600"}, {"0.09", "3601", "nan"}},
        {IN_HEALTH("", "check_timeout_seconds"), {"0.1", "60"}, {"0", "0.09", "60.1", "nan"}},
    };
    char text[512];
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(cases[i].good) && cases[i].good[j] != NULL; j++) {
            (void)snprintf(text, sizeof(text), cases[i].text, cases[i].good[j]);
            accepted(text);
        }
        for (size_t j = 0; j < COUNT(cases[i].bad) && cases[i].bad[j] != NULL; j++) {
            (void)snprintf(text, sizeof(text), cases[i].text, cases[i].bad[j]);
            decode(text);
            if (decoded.config != NULL ||
                strstr(decoded.errors.texts[0], "is out of range; use") == NULL)
                fail_msg("%s\n%s", text,
                         decoded.config == NULL ? decoded.errors.texts[0] : "is taken");
        }
    }
}

/* `count` times `each`, with its number for %zu, between two texts. */
static char *many(const char *before, const char *each, size_t count, const char *after)
{
    size_t room = strlen(before) + count * (strlen(each) + 8) + strlen(after) + 1, used;
    char *text = malloc(room);

    assert_non_null(text);
    used = (size_t)snprintf(text, room, "%s", before);
    for (size_t i = 0; i < count; i++) {
        const char *number = strstr(each, "%zu");

        if (number == NULL)
            used += (size_t)snprintf(text + used, room - used, "%s", each);
        else
            used += (size_t)snprintf(text + used, room - used, "%.*s%zu%s", (int)(number - each),
                                     each, i, number + 3);
    }
    (void)snprintf(text + used, room - used, "%s", after);
    return text;
}

static void lists_end_where_the_schema_says(void **state)
{
#define ROUTE "listener { address: '*:1' route { upstream: 'web' "
    static const struct {
        const char *before, *each;
        size_t max;
        const char *after;
    } cases[] = {
        {WEB, "listener { address: '*:0' }\n", 64, ""},
        {LISTENER "upstream { name: 'u' ", "server { address: 'h:1' }\n", 64, "}"},
        {"listener { address: '*:1' route { upstream: 'u0' } }",
         "upstream { name: 'u%zu' server { address: 'h:1' } }\n", 1024, ""},
        {"listener { address: '*:1' ", "route { server_name: 'a%zu.b' upstream: 'web' }\n", 1024,
         "}" WEB},
        {"listener { address: '*:1' ", "access_rule { action: DENY }\n", 1024, "}" WEB},
        {"listener { address: '*:1' ", "proxy_protocol_from: '::1'\n", 256, "}" WEB},
        {ROUTE, "server_name: 'a%zu.b'\n", 4096, "} }" WEB},
        {ROUTE, "alpn: 'h%zu'\n", 64, "} }" WEB},
        {ROUTE, "source: '::1'\n", 1024, "} }" WEB},
        {"listener { address: '*:1' access_rule { action: DENY ", "network: '::1'\n", 1024,
         "} }" WEB},
        {LISTENER WEB "admin { address: '[::1]:0' ", "allow_from: '::1'\n", 256, "}"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = many(cases[i].before, cases[i].each, cases[i].max, cases[i].after);

        accepted(text);
        free(text);
        text = many(cases[i].before, cases[i].each, cases[i].max + 1, cases[i].after);
        decode(text);
        if (decoded.config != NULL ||
            strstr(decoded.errors.texts[0], "are possible, and there are") == NULL)
            fail_msg("%s: %s", cases[i].each,
                     decoded.config == NULL ? decoded.errors.texts[0] : "is taken");
        assert_int_equal(decoded.errors.total, 1);
        free(text);
    }
}

static void names_are_each_their_own(void **state)
{
    (void)state;
    REFUSE("listener { name: 'a' address: '*:0' route { upstream: 'u' name: 'r' server_name: 'a.b' "
           "}\n"
           "  route { upstream: 'u' name: 'r' } }\n"
           "listener { name: 'a' address: '*:0' route { upstream: 'u' name: 'r' } }\n"
           "upstream { name: 'u' server { address: 'h:1' } }\n"
           "upstream { name: 'u' server { address: 'h:1' } }\n",
           "f:5:18: upstream[1].name: upstream[0] is called 'u' too; use another name",
           "f:2:31: listener[0].route[1].name: route[0] is called 'r' too; use another name",
           "f:3:18: listener[1].name: listener[0] is called 'a' too; use another name");
    accepted("listener { name: '-_.09azAZ' address: '*:0' } "
             "upstream { name: '0123456789012345678901234567890123456789012345678901234567890123' "
             "server { address: 'h:1' } }");
    decode("listener { name: '' address: '*:0' } "
           "upstream { name: '01234567890123456789012345678901234567890123456789012345678901234' "
           "server { address: 'h:1' } }");
    assert_int_equal(decoded.errors.total, 2);
}

static void route_names_that_are_derived_are_new_ones(void **state)
{
    static const char *const expected[] = {"web-4", "web", "web-3", "web-2"};
    (void)state;

    accepted(
        "listener { address: '*:1' route { upstream: 'web' server_name: 'a.b' name: 'web-4' }\n"
        "  route { upstream: 'web' server_name: 'b.b' } \n"
        "  route { upstream: 'web' server_name: 'c.b' }\n"
        "  route { upstream: 'web' name: 'web-2' } }" WEB);
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_string_equal(decoded.config->listeners[0].routes[i].name, expected[i]);
}

static void server_names_are_what_a_hello_can_ask_for(void **state)
{
    static const char *const good[] = {
        "a", "localhost", "*.example", "xn--bcher-kva.example", "_a.example", "A-1.EXAMPLE"};
    static const char *const bad[][2] = {
        {"", "is not a server name; use letters"},
        {"*", "leave server_name out"},
        {"*.", "is not a server name; use letters"},
        {"*.*.example", "stands for the whole beginning"},
        {"www.*.example", "stands for the whole beginning"},
        {"w*.example", "stands for the whole beginning"},
        {".example", "begin with '*.'"},
        {"a..example", "is not a server name; use letters"},
        {"a.example.", "leave the dot at its end out"},
        {"b\303\274cher.example", "other alphabets as xn--"},
        {"a.example:443", "is not a server name; use letters"},
        {"192.0.2.1", "is an address"},
        {"::1", "is an address"},
        {"a b", "is not a server name; use letters"},
        {"0123456789012345678901234567890123456789012345678901234567890123.example",
         "is not a server name; use letters"},
    };
    char text[512];
    (void)state;

    for (size_t i = 0; i < COUNT(good); i++) {
        (void)snprintf(text, sizeof(text), ROUTE "server_name: '%s' } }" WEB, good[i]);
        accepted(text);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)snprintf(text, sizeof(text), ROUTE "server_name: '%s' } }" WEB, bad[i][0]);
        decode(text);
        if (decoded.config != NULL || strstr(decoded.errors.texts[0], bad[i][1]) == NULL)
            fail_msg("'%s': %s", bad[i][0],
                     decoded.config == NULL ? decoded.errors.texts[0] : "is taken");
    }
    (void)snprintf(text, sizeof(text), ROUTE "server_name: '%0254d' } }" WEB, 0);
    decode(text);
    assert_non_null(
        strstr(decoded.errors.texts[0], "is not a server name; one has 253 characters at most"));
}

static void alpn_fits_into_a_hello(void **state)
{
    char text[1024];
    (void)state;

    (void)snprintf(text, sizeof(text), ROUTE "alpn: '%0255d' } }" WEB, 0);
    accepted(text);
    assert_int_equal(decoded.config->listeners[0].routes[0].alpn[0].length, 255);
    (void)snprintf(text, sizeof(text), ROUTE "alpn: '%0256d' alpn: '' } }" WEB, 0);
    decode(text);
    assert_int_equal(decoded.errors.total, 2);
    assert_non_null(
        strstr(decoded.errors.texts[0], "route[0].alpn[0]: has 256 bytes; an application"));
    assert_non_null(
        strstr(decoded.errors.texts[1], "route[0].alpn[1]: has 0 bytes; an application"));
}

static void an_unknown_upstream_is_told_the_nearest(void **state)
{
    (void)state;
    REFUSE("listener { address: '*:1' route { upstream: 'wbe-servers' } }\n"
           "listener { address: '*:2' route { upstream: 'something-else' } }\n"
           "upstream { name: 'mail' server { address: 'h:1' } }\n"
           "upstream { name: 'web-servers' server { address: 'h:1' } }\n",
           "f:1:45: listener[0].route[0].upstream: there is no upstream 'wbe-servers'; did you "
           "mean 'web-servers'?",
           "f:2:45: listener[1].route[0].upstream: there is no upstream 'something-else'; use the "
           "name of one, or add upstream { name: ... }");
    REFUSE("listener { address: '*:1' }" WEB "upstream { name: 'b' server { address: 'h:1' } }",
           "f:1:10: listener[0]: has no route; where there is more than one upstream say which, "
           "such as route { upstream: 'web' }");
}

static void listeners_that_take_one_port_are_told(void **state)
{
    (void)state;
    REFUSE("listener { address: '*:443' }\n"
           "listener { address: '127.0.0.1:443' protocol: TCP }\n"
           "listener { address: '127.0.0.1:444'\n udp_port: 443 }\n" WEB
           "admin { address: '127.0.0.1:444' }",
           "f:2:21: listener[1].address: 'turbo:*:443' and 'tcp:127.0.0.1:443' both take port 443; "
           "give one of them another address or port",
           "f:4:12: listener[2].udp_port: 'turbo:*:443' and 'turbo:127.0.0.1:444,udp=443' both "
           "take UDP port 443; choose another with udp_port",
           "f:6:18: admin.address: 'turbo:127.0.0.1:444,udp=443' takes port 444 already; use "
           "another");
}

static void what_is_of_one_protocol_is_refused_for_the_other(void **state)
{
    (void)state;
    decode("listener { protocol: TCP address: '*:1' udp_port: 1 max_sessions: 2 session_rate: 2\n"
           "  source_rate: 2 }\n"
           "upstream { name: 'web' turbo: ALWAYS server { address: 'h:1' udp_port: 1 } }");
    assert_int_equal(decoded.errors.total, 6);
    for (size_t i = 0; i < decoded.errors.count; i++)
        assert_non_null(strstr(decoded.errors.texts[i], "TURBO only"));
    REFUSE(LISTENER "upstream { name: 'web' protocol: TURBO proxy_protocol: V1\n"
                    "  server { address: 'h:1' } }",
           "f:2:56: upstream[0].proxy_protocol: is for protocol TCP only: what TURBO sends must "
           "begin with the client's own first bytes; leave it out, or use protocol: TCP");
    /* As --print-config writes them. */
    accepted("listener { protocol: TCP address: '*:1' max_sessions: 1024 session_rate: 1000\n"
             "  source_rate: 250 }\n"
             "upstream { name: 'web' turbo: AUTO proxy_protocol: NONE server { address: 'h:1' } }");
}

#define SANDWICH_TO "upstream { name: 'web' server { address: 'h:1' } }"

static void listeners_take_the_sandwich_dialect_beside_ours(void **state)
{
    static const struct {
        const char *dialects;
        bool sandwich;
    } cases[] = {{"", false},
                 {"dialect: PROFILE1", false},
                 {"dialect: SANDWICH", true},
                 {"dialect: [PROFILE1, SANDWICH]", true}};
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "listener { address: '*:1' %s }\n" SANDWICH_TO,
                       cases[i].dialects);
        accepted(text);
        assert_int_equal(decoded.config->listeners[0].sandwich, cases[i].sandwich);
    }
    REFUSE("listener { address: '*:1' dialect: [SANDWICH, SANDWICH, SANDWICH] }\n" SANDWICH_TO,
           "f:1:57: listener[0].dialect[2]: at most 2 are possible, and there are 3");
    REFUSE(
        "listener { protocol: TCP address: '*:1' dialect: SANDWICH }\n" SANDWICH_TO,
        "f:1:50: listener[0].dialect[0]: is for protocol TURBO only, as TCP uses no UDP; leave it "
        "out, or use protocol: TURBO");
}

static void the_sandwich_dialect_is_refused_where_it_cannot_work(void **state)
{
    (void)state;
    accepted(LISTENER "upstream { name: 'web' protocol: TURBO turbo: TRY dialect: SANDWICH\n"
                      "  server { address: 'h:1' } }");
    assert_int_equal(decoded.config->upstreams[0].dialect, TURBO_DIALECT_SANDWICH);
    accepted(LISTENER "upstream { name: 'web' dialect: PROFILE1 server { address: 'h:1' } }");
    assert_int_equal(decoded.config->upstreams[0].dialect, TURBO_DIALECT_PROFILE1);
    REFUSE(LISTENER "upstream { name: 'web' dialect: SANDWICH server { address: 'h:1' } }",
           "f:2:33: upstream[0].dialect: is for protocol TURBO only, as TCP uses no UDP; leave it "
           "out, or use protocol: TURBO");
    REFUSE(LISTENER "upstream { name: 'web' protocol: TURBO turbo: NEVER dialect: SANDWICH\n"
                    "  server { address: 'h:1' } }",
           "f:2:47: upstream[0].turbo: NEVER does not go with dialect: SANDWICH, whose servers can "
           "be reached by UDP only; leave one of the two out");
    REFUSE("listener { protocol: TCP request: SOCKS5 address: '127.0.0.1:1'\n"
           "  route { requested_host: '*' upstream: 'web' } }\n"
           "upstream { name: 'web' protocol: TURBO requested: true dialect: SANDWICH }",
           "f:3:65: upstream[0].dialect: does not go with requested: what servers speak that "
           "clients choose is not known, and SANDWICH has no other way; leave one of the two out");
}

static void numbers_that_do_not_go_together_are_told(void **state)
{
    (void)state;
    REFUSE("listener { address: '*:1' opening_timeout_seconds: 5 sniff_timeout_seconds: 5 }\n"
           "upstream { name: 'web' server { address: 'h:1' weight: 0 }\n"
           "  health { back_off_seconds: 61 } }\n",
           "f:2:10: upstream[0]: every server has weight 0, which is for those that stand in for "
           "others; give one of them a weight above 0",
           "f:3:10: upstream[0].health.max_back_off_seconds: 60 is less than back_off_seconds, "
           "which is 61; use that, or more",
           "f:1:77: listener[0].sniff_timeout_seconds: 5 is not less than "
           "opening_timeout_seconds, which is 5; use less");
}

static void a_listener_that_would_connect_to_itself_is_refused(void **state)
{
    static const struct {
        const char *listen, *server;
        bool loops;
    } cases[] = {
        {"127.0.0.1:443", "127.0.0.1:443", true},
        {"*:443", "127.0.0.1:443", true},
        {"*:443", "[::1]:443", true},
        {"[::]:443", "[::1]:443", true},
        {"0.0.0.0:443", "127.9.9.9:443", true},
        {"[::1]:443", "[::1]:443", true},
        {"192.0.2.1:443", "192.0.2.1:443", true},
        {"[::]:443", "127.0.0.1:443", false},
        {"0.0.0.0:443", "[::1]:443", false},
        {"127.0.0.1:443", "127.0.0.2:443", false},
        {"*:443", "127.0.0.1:8443", false},
        {"127.0.0.1:0", "127.0.0.1:443", false},
        {"*:443", "192.0.2.1:443", false},
    };
    char text[256];
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(
            text, sizeof(text),
            "listener { address: '%s' }\nupstream { name: 'u' server { address: '%s' } }",
            cases[i].listen, cases[i].server);
        if (cases[i].loops) {
            decode(text);
            assert_int_equal(decoded.errors.total, 1);
            assert_non_null(
                strstr(decoded.errors.texts[0], "server[0].address: leads back to the listener"));
        } else {
            accepted(text);
        }
    }
    /* Another listener may lead there. */
    accepted("listener { address: '127.0.0.1:443' route { upstream: 'b' } }\n"
             "listener { address: '127.0.0.1:444' route { upstream: 'a' } }\n"
             "upstream { name: 'a' server { address: '127.0.0.1:443' } }\n"
             "upstream { name: 'b' server { address: 'h:1' } }");
}

/* The serialized form may hold what no text does. */
static void a_message_without_places_is_told_by_its_fields(void **state)
{
    Turbotls__V1__Proxy message = TURBOTLS__V1__PROXY__INIT;
    Turbotls__V1__Log log = TURBOTLS__V1__LOG__INIT;
    Turbotls__V1__Listener listener = TURBOTLS__V1__LISTENER__INIT, *listeners[] = {&listener};
    ProtobufCMessageUnknownField unknown = {.tag = 99};
    struct config_source source = {.file = "f.pb"};
    char address[] = "*:443", network[] = "\377", *networks[] = {network};
    (void)state;

    decoded_free(NULL);
    listener.address = address;
    listener.has_protocol = true;
    listener.protocol = 7;
    listener.base.n_unknown_fields = 1;
    listener.base.unknown_fields = &unknown;
    message.n_listener = 1;
    message.listener = listeners;
    message.log = &log;
    listener.proxy_protocol_from = networks;
    listener.n_proxy_protocol_from = 1;
    log.has_level = true;
    log.level = (Turbotls__V1__Log__Level)99;
    assert_null(config_decode(&message, &source, &decoded.errors));
    assert_int_equal(decoded.errors.count, 6);
    assert_non_null(strstr(decoded.errors.texts[0], "f.pb: there is no upstream"));
    assert_string_equal(decoded.errors.texts[1],
                        "f.pb: listener[0].protocol: has no value 7; use a name of Protocol");
    assert_string_equal(decoded.errors.texts[2],
                        "f.pb: listener[0].proxy_protocol_from[0]: '\\xff' is not UTF-8");
    assert_string_equal(decoded.errors.texts[3],
                        "f.pb: listener[0]: has a field with number 99 that this version does not "
                        "know; was it written for a later one, or is it not a configuration at "
                        "all?");
    assert_non_null(strstr(decoded.errors.texts[4], "'\\xff' is not a network"));
    assert_string_equal(decoded.errors.texts[5],
                        "f.pb: log.level: has no value 99; use a name of Level");
}

static void many_mistakes_are_counted_and_some_are_told(void **state)
{
    char *text = many("listener { address: '*:1' ",
                      "route { server_name: 'a%zu.b' upstream: 'x' }\n", 1024, "}" WEB);
    (void)state;

    decode(text);
    assert_null(decoded.config);
    assert_int_equal(decoded.errors.count, CONFIG_ERRORS_MAX);
    assert_int_equal(decoded.errors.total, 1024);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_shortest_file_gets_the_defaults),
        CASE(everything_that_can_be_said_is_in_force),
        CASE(ten_mistakes_are_ten_errors_with_their_places),
        CASE(what_must_be_given_is_asked_for),
        CASE(what_could_not_be_read_is_not_asked_for_again),
        CASE(ranges_end_where_the_schema_says),
        CASE(lists_end_where_the_schema_says),
        CASE(names_are_each_their_own),
        CASE(route_names_that_are_derived_are_new_ones),
        CASE(server_names_are_what_a_hello_can_ask_for),
        CASE(alpn_fits_into_a_hello),
        CASE(an_unknown_upstream_is_told_the_nearest),
        CASE(listeners_that_take_one_port_are_told),
        CASE(what_is_of_one_protocol_is_refused_for_the_other),
        CASE(listeners_take_the_sandwich_dialect_beside_ours),
        CASE(the_sandwich_dialect_is_refused_where_it_cannot_work),
        CASE(numbers_that_do_not_go_together_are_told),
        CASE(a_listener_that_would_connect_to_itself_is_refused),
        CASE(a_message_without_places_is_told_by_its_fields),
        CASE(many_mistakes_are_counted_and_some_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, decoded_free);
}
