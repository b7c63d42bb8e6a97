/* Clients that say where they want to go, and STARTTLS: what a configuration of it amounts to, and
 * what does not go together. */
#include "tests/unit/support/decoding.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/config/decode.h"
#include "tests/unit/support/check.h"

#define PLAIN "listener { protocol: TCP address: '*:25'\n"

static const struct config_route *route_of(size_t listener, size_t index)
{
    assert_in_range(index, 0, decoded.config->listeners[listener].route_count - 1);
    return &decoded.config->listeners[listener].routes[index];
}

static void assert_ports(const struct config_route *route, const uint16_t *ports, size_t count)
{
    assert_int_equal(route->requested_port_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(route->requested_ports[i], ports[i]);
}

static void what_clients_may_ask_for_is_in_force(void **state)
{
    static const uint16_t given[] = {443, 8443}, by_default[] = {443};
    const struct config_route *route;
    char text[NETWORK_TEXT_BYTES];
    (void)state;

    accepted(CONNECT
             "  route { requested_host: ['www.b.example', '*.A.example', '10.0.0.0/8', '::1']\n"
             "    requested_host: ['WWW.b.example', '192.0.2.1', 'localhost']\n"
             "    requested_port: [8443, 443, 8443] source: '::1' upstream: 'there' }\n"
             "  route { requested_host: ['*', 'w.example'] upstream: 'web' opaque: true } }\n" THERE
                 WEB);
    assert_int_equal(decoded.config->listeners[0].request, CONFIG_REQUEST_HTTP_CONNECT);
    route = route_of(0, 0);
    assert_false(route->requested.any);
    assert_int_equal(route->requested.name_count, 3);
    assert_string_equal(route->requested.names[0], ".a.example");
    assert_string_equal(route->requested.names[1], "localhost");
    assert_string_equal(route->requested.names[2], "www.b.example");
    assert_int_equal(route->requested.networks.count, 3);
    assert_string_equal(network_text(&route->requested.networks.list[0], text), "10.0.0.0/8");
    assert_string_equal(network_text(&route->requested.networks.list[1], text), "::1");
    assert_string_equal(network_text(&route->requested.networks.list[2], text), "192.0.2.1");
    assert_ports(route, given, COUNT(given));
    assert_int_equal(route->sources.count, 1);
    assert_false(route->opaque);
    assert_int_equal(route->upstream, 0);
    route = route_of(0, 1);
    assert_true(route->requested.any && route->opaque);
    assert_int_equal(route->requested.name_count, 1);
    assert_ports(route, by_default, COUNT(by_default));
    assert_true(decoded.config->upstreams[0].requested);
    assert_int_equal(decoded.config->upstreams[0].server_count, 0);
    assert_int_equal(decoded.config->upstreams[0].turbo, CONFIG_TURBO_AUTO);
    assert_false(decoded.config->upstreams[1].requested);
}

static void what_was_redirected_goes_everywhere_unless_told(void **state)
{
    static const uint16_t submission[] = {587};
    (void)state;

    accepted(REDIRECT "}" THERE);
    assert_int_equal(decoded.config->listeners[0].request, CONFIG_REQUEST_REDIRECT);
    assert_int_equal(decoded.config->listeners[0].route_count, 1);
    assert_false(route_of(0, 0)->requested.any);
    assert_int_equal(route_of(0, 0)->requested_port_count, 0);
    accepted(
        "listener { protocol: TCP address: '*:1' request: TPROXY\n"
        "  route { requested_port: 587 opaque: true upstream: 'web' }\n"
        "  route { requested_host: ['10.0.0.0/8', '*'] server_name: 'a.b' upstream: 'there' }\n"
        "  route { alpn: 'h2' upstream: 'there' } }\n" THERE WEB);
    assert_int_equal(decoded.config->listeners[0].request, CONFIG_REQUEST_TPROXY);
    assert_ports(route_of(0, 0), submission, COUNT(submission));
    assert_int_equal(route_of(0, 1)->requested_port_count, 0);
    assert_true(route_of(0, 1)->requested.any);
    assert_int_equal(route_of(0, 1)->requested.networks.count, 1);
}

static void logins_and_starttls_are_in_force(void **state)
{
    static const enum starttls_protocol protocols[] = {STARTTLS_SMTP, STARTTLS_IMAP, STARTTLS_POP3,
                                                       STARTTLS_LDAP, STARTTLS_POSTGRESQL};
    static const char *const names[] = {"SMTP", "IMAP", "POP3", "LDAP", "POSTGRESQL"};
    char text[512];
    (void)state;

    accepted(SOCKS5 "login { user: 'a' password: ' b\\n' } login { user: 'A' password: 'b' }" ALL
                    " } process { mark: 4294967295 }" THERE);
    assert_int_equal(decoded.config->listeners[0].request, CONFIG_REQUEST_SOCKS5);
    assert_int_equal(decoded.config->listeners[0].login_count, 2);
    assert_string_equal(decoded.config->listeners[0].logins[0].user, "a");
    assert_string_equal(decoded.config->listeners[0].logins[0].password, " b\n");
    assert_string_equal(decoded.config->listeners[0].logins[1].user, "A");
    assert_int_equal(decoded.config->listeners[0].starttls, STARTTLS_NONE);
    assert_int_equal(decoded.config->mark, UINT32_MAX);
    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(text, sizeof(text),
                       PLAIN "starttls: %s }\n"
                             "upstream { name: 'u' starttls: %s server { address: 'h:1' } }",
                       names[i], names[COUNT(names) - 1 - i]);
        accepted(text);
        assert_int_equal(decoded.config->mark, 0);
        assert_int_equal(decoded.config->listeners[0].starttls, protocols[i]);
        assert_int_equal(decoded.config->listeners[0].request, CONFIG_REQUEST_NONE);
        assert_int_equal(decoded.config->upstreams[0].starttls, protocols[COUNT(names) - 1 - i]);
    }
    accepted(REDIRECT "starttls: SMTP route { server_name: 'a.b' upstream: 'u' } }\n"
                      "upstream { name: 'u' requested: true starttls: SMTP }");
}

static void turbo_is_spoken_as_told(void **state)
{
    static const enum config_turbo values[] = {CONFIG_TURBO_NEVER, CONFIG_TURBO_AUTO,
                                               CONFIG_TURBO_TRY, CONFIG_TURBO_ALWAYS};
    static const char *const names[] = {"NEVER", "AUTO", "TRY", "ALWAYS"};
    char text[256];
    (void)state;

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(text, sizeof(text),
                       LISTENER "upstream { name: 'u' protocol: TURBO turbo: %s "
                                "server { address: 'h:1' } }",
                       names[i]);
        accepted(text);
        assert_int_equal(decoded.config->upstreams[0].turbo, values[i]);
    }
}

/* ---- mistakes ---- */

static void a_proxy_that_is_open_to_everybody_is_a_mistake(void **state)
{
    static const struct {
        const char *address, *request, *guard;
        bool open;
    } cases[] = {
        {"127.0.0.1:1", "HTTP_CONNECT", "", false},
        {"127.255.255.255:1", "SOCKS5", "", false},
        {"[::1]:1", "SOCKS5", "", false},
        {"[::ffff:127.0.0.1]:1", "HTTP_CONNECT", "", false},
        {"*:1", "HTTP_CONNECT", "", true},
        {"0.0.0.0:1", "SOCKS5", "", true},
        {"[::]:1", "HTTP_CONNECT", "", true},
        {"128.0.0.1:1", "HTTP_CONNECT", "", true},
        {"10.0.0.1:1", "HTTP_CONNECT", "", true},
        {"[fe80::1]:1", "SOCKS5", "", true},
        {"[::2]:1", "SOCKS5", "", true},
        {"*:1", "HTTP_CONNECT", "access_rule { action: ALLOW }", false},
        {"*:1", "SOCKS5", "access_rule { action: DENY }", false},
        {"*:1", "SOCKS5", "access_rule { action: ALLOW network: '10.0.0.0/8' }", true},
        {"*:1", "SOCKS5",
         "access_rule { action: ALLOW network: '10.0.0.0/8' } access_rule { action: DENY }", false},
        {"*:1", "SOCKS5", "access_rule { action: DENY network: ['::2', '::/0'] }", true},
        {"*:1", "SOCKS5", "access_rule { action: DENY network: '0.0.0.0/0' }", true},
        {"*:1", "HTTP_CONNECT",
         "access_rule { action: DENY network: '0.0.0.0/0' }"
         "access_rule { action: DENY network: '::/0' }",
         false},
        {"[::]:1", "SOCKS5", "access_rule { action: DENY network: '::/0' }", false},
        {"0.0.0.0:1", "SOCKS5", "access_rule { action: DENY network: '::/0' }", true},
        {"0.0.0.0:1", "SOCKS5", "access_rule { action: DENY network: '0.0.0.0/1' }", true},
        {"0.0.0.0:1", "SOCKS5", "access_rule { action: DENY network: '2001:db8::/96' }", true},
        {"0.0.0.0:1", "SOCKS5", "access_rule { action: DENY network: '0.0.0.0/0' }", false},
        {"*:1", "SOCKS5",
         "login { user: 'a' password: 'b' } access_rule { action: DENY network: '::1' }", false},
        {"*:1", "SOCKS5", "login { user: 'a' password: 'b' }", false},
        {"*:1", "REDIRECT", "", false},
        {"*:1", "TPROXY", "", false},
    };
    char text[512];
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(text, sizeof(text),
                       "listener { protocol: TCP address: '%s' request: %s %s " ALL " }" THERE,
                       cases[i].address, cases[i].request, cases[i].guard);
        decode(text);
        if (cases[i].open ? decoded.errors.total != 1 ||
                                strstr(decoded.errors.texts[0], "is an open proxy") == NULL
                          : decoded.config == NULL)
            fail_msg("%s: %s", text, decoded.config ? "is taken" : decoded.errors.texts[0]);
    }
    REFUSE("listener { protocol: TCP address:      '192.0.2.1:80' request: HTTP_CONNECT " ALL
           "}" THERE,
           "f:1:64: listener[0].request: at 'tcp:192.0.2.1:80' this is an open proxy: everybody "
           "may use it; listen at 127.0.0.1 or [::1], or say with access_rule who may");
    REFUSE("listener { protocol: TCP address: '*:80' request: SOCKS5 " ALL "}" THERE,
           "f:1:51: listener[0].request: at 'tcp:*:80' this is an open proxy: everybody may use "
           "it; listen at 127.0.0.1 or [::1], or say with access_rule or login who may");
    REFUSE("listener { protocol: TCP address: '*:80' request: HTTP_CONNECT " ALL
           "\n access_rule { action: DENY network: '192.0.2.0/24' }\n"
           " access_rule { action: ALLOW network: '10.0.0.0/8' } }" THERE,
           "f:3:14: listener[0].access_rule[1]: whom no rule matches is allowed, and so "
           "'tcp:*:80' is an open proxy; end with access_rule { action: DENY }");
    /* A login is none where nobody asks for it, and what could not be read may be a guard. */
    decode("listener { protocol: TCP address: '*:1' request: HTTP_CONNECT\n"
           "  login { user: 'a' password: 'b' }" ALL "}" THERE);
    assert_int_equal(decoded.errors.total, 2);
    decode("listener { protocol: TCP address: '*:1' request: SOCKS5 login 7 " ALL "}" THERE);
    assert_int_equal(decoded.errors.total, 1);
    decode("listener { protocol: TCP address: '*:1' request: SOCKS5 access_rule 7 " ALL "}" THERE);
    assert_int_equal(decoded.errors.total, 1);
}

static void requests_and_starttls_are_for_tcp(void **state)
{
#define TCP_ONLY                                                                                   \
    "is for protocol TCP only, as TURBO begins with what is sent by UDP; add protocol: TCP"
    (void)state;
    REFUSE("listener { address: '127.0.0.1:1' request: SOCKS5 starttls: SMTP " ALL "}" THERE,
           "f:1:44: listener[0].request: " TCP_ONLY, "f:1:61: listener[0].starttls: " TCP_ONLY);
    REFUSE(LISTENER "upstream { name: 'u' protocol: TURBO starttls: LDAP\n"
                    " server { address: 'h:1' } }",
           "f:2:48: upstream[0].starttls: is for protocol TCP only, as TURBO begins with TLS; "
           "leave it out, or use protocol: TCP");
    /* What the protocol is meant to be nobody knows. */
    decode("listener { protocol: TPC address: '127.0.0.1:1' request: SOCKS5 " ALL "}" THERE);
    assert_int_equal(decoded.errors.total, 1);
}

static void starttls_leaves_nothing_to_sniff(void **state)
{
    (void)state;
    REFUSE(PLAIN "starttls: SMTP sniff_timeout_seconds: 1 }" WEB,
           "f:2:39: listener[0].sniff_timeout_seconds: does not go with starttls: what the server "
           "would say first the proxy says itself; leave one of the two out");
    accepted(PLAIN "starttls: SMTP sniff_timeout_seconds: 0 }" WEB);
}

static void logins_have_a_user_and_a_password(void **state)
{
    char text[2048];
    (void)state;

    REFUSE(SOCKS5 "login { user: 'a' } login { password: 'b' } login { user: '' password: 'c' }\n"
                  "login { user: 'a' password: '' }" ALL "}" THERE,
           "f:2:7: listener[0].login[0].password: must be given, 1 to 255 bytes",
           "f:2:27: listener[0].login[1].user: must be given, 1 to 255 bytes",
           "f:2:59: listener[0].login[2].user: has 0 bytes; use 1 to 255",
           "f:3:29: listener[0].login[3].password: has 0 bytes; use 1 to 255",
           "f:3:15: listener[0].login[3].user: login[0] is of 'a' too; give each user one");
    (void)snprintf(text, sizeof(text), SOCKS5 "login { user: '%0255d' password: '%0255d' }" ALL "}",
                   0, 0);
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", THERE);
    accepted(text);
    (void)snprintf(text, sizeof(text), SOCKS5 "login { user: '%0256d' password: '%0256d' }" ALL "}",
                   0, 0);
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", THERE);
    decode(text);
    assert_int_equal(decoded.errors.total, 2);
    REFUSE(CONNECT "login { user: 'a' password: 'b' }" ALL "}" THERE,
           "f:2:7: listener[0].login[0]: is for request: SOCKS5 only; leave it out, or use that");
}

static void what_may_be_asked_for_is_said(void **state)
{
    (void)state;
    REFUSE(CONNECT "}" THERE,
           "f:1:10: listener[0]: has no route, and nothing is allowed by default; say what clients "
           "may ask for, such as route { requested_host: \"*.example.com\" upstream: 'there' }");
    REFUSE(SOCKS5 "route { server_name: 'a.b' alpn: 'h2' upstream: 'there' } }" THERE,
           "f:2:22: listener[0].route[0].server_name[0]: is not known where the listener's request "
           "is HTTP_CONNECT or SOCKS5: it is answered before there is a ClientHello; use "
           "requested_host",
           "f:2:34: listener[0].route[0].alpn[0]: is not known where the listener's request is "
           "HTTP_CONNECT or SOCKS5: it is answered before there is a ClientHello; use "
           "requested_host",
           "f:2:7: listener[0].route[0].requested_host[0]: must be given, as nothing is allowed by "
           "default: such as \"www.example.com\", \"*.example.com\", or \"*\" for all");
    REFUSE(PLAIN "route { requested_host: 'a.b' requested_port: 1 upstream: 'web' } }" WEB,
           "f:2:25: listener[0].route[0].requested_host[0]: is for listeners with a request only; "
           "leave it out, or say with the listener's request how clients ask",
           "f:2:47: listener[0].route[0].requested_port[0]: is for listeners with a request only; "
           "leave it out, or say with the listener's request how clients ask");
    /* A request that could not be read is one all the same. */
    decode("listener { protocol: TCP address: '*:1' request: CONNECT " ALL "}" THERE);
    assert_int_equal(decoded.errors.total, 1);
    decode("listener { protocol: TCP address: '*:1' request: CONNECT }" THERE);
    assert_int_equal(decoded.errors.total, 1);
    decode("listener { protocol: TCP address: '127.0.0.1:1' request: CONNECT\n"
           " login { user: 'a' password: 'b' } }" THERE);
    assert_int_equal(decoded.errors.total, 1);
}

static void hosts_are_names_networks_or_all(void **state)
{
    static const char *const bad[][2] = {
        {"", "is not a host; use letters"},
        {".b", "is not a host; for every name below it begin with '*.'"},
        {"a.*.b", "stands for the whole beginning"},
        {"**", "stands for the whole beginning"},
        {"a.b.", "is not a host; leave the dot at its end out"},
        {"a b", "is not a host; use letters"},
        {"a.b:443", "is more than a host; write it without scheme, brackets and port"},
        {"https://a.b", "is more than a host"},
        {"[::1]", "is more than a host"},
        {"192.0.2.1:80", "is more than a host"},
        {"10.0.0.300", "is not a network"},
        {"10.0.0.1/8", "is not a network"},
        {"a.b/8", "is not a network"},
        {"12345::1:", "is not a network"},
        {"a.b.1", "is not a host; use letters"},
    };
    char text[512];
    (void)state;

    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)snprintf(text, sizeof(text),
                       CONNECT "route { requested_host: '%s' upstream: 'there' } }" THERE,
                       bad[i][0]);
        decode(text);
        if (decoded.errors.total != 1 || strstr(decoded.errors.texts[0], bad[i][1]) == NULL)
            fail_msg("'%s': %s", bad[i][0],
                     decoded.config == NULL ? decoded.errors.texts[0] : "is taken");
    }
    REFUSE(REDIRECT "route { requested_host: ['::/0', 'a.b'] upstream: 'there' } }" THERE,
           "f:2:34: listener[0].route[0].requested_host[1]: 'a.b' is not a network, and a "
           "redirected connection asks for an address only; use networks, or server_name");
    REFUSE(CONNECT "route { requested_host: '*' requested_port: [0, 1, 65535, 65536]\n"
                   "  upstream: 'there' } }" THERE,
           "f:2:46: listener[0].route[0].requested_port[0]: 0 is out of range; use a number from 1 "
           "to 65535",
           "f:2:59: listener[0].route[0].requested_port[3]: 65536 is out of range; use a number "
           "from 1 to 65535");
}

static void opaque_connections_are_not_looked_at(void **state)
{
    (void)state;
    REFUSE("listener { address: '*:1' route { opaque: true upstream: 'web' } }" WEB,
           "f:1:43: listener[0].route[0].opaque: is for listeners with protocol TCP only, as TURBO "
           "has to see how each connection begins; leave it out, or use protocol: TCP");
    REFUSE(PLAIN "route { opaque: true upstream: 'web' } starttls: IMAP }" WEB,
           "f:2:17: listener[0].route[0].opaque: does not go with the listener's starttls, behind "
           "which only TLS is passed on; leave one of the two out");
    REFUSE(PLAIN "route { opaque: true upstream: 'u' } }\n"
                 "upstream { name: 'u' starttls: IMAP server { address: 'h:1' } }",
           "f:2:17: listener[0].route[0].opaque: does not go with starttls of upstream 'u', behind "
           "which only TLS is passed on; use another upstream, or leave opaque out");
    REFUSE(PLAIN "route { opaque: true server_name: 'a.b' upstream: 'web' } }" WEB,
           "f:2:17: listener[0].route[0].opaque: does not go with server_name, which is read from "
           "a ClientHello that nobody waits for here; leave one of the two out");
    REFUSE(PLAIN "route { opaque: true alpn: 'h2' upstream: 'web' } }" WEB,
           "f:2:17: listener[0].route[0].opaque: does not go with alpn, which is read from a "
           "ClientHello that nobody waits for here; leave one of the two out");
    REFUSE(PLAIN "route { source: '::1' upstream: 'web' }\n"
                 "route { source: '::2' alpn: 'h2' upstream: 'web' }\n"
                 "route { server_name: 'a.b' upstream: 'web' }\n"
                 "route { opaque: true upstream: 'web' } }" WEB,
           "f:5:17: listener[0].route[3].opaque: comes too late: route[1] asks for alpn, for which "
           "every client's ClientHello is waited for; put this route before that one");
    accepted(PLAIN "route { source: '::1' opaque: true upstream: 'web' }\n"
                   "route { opaque: false server_name: 'a.b' upstream: 'web' } }" WEB);
    assert_true(route_of(0, 0)->opaque);
    accepted("listener { address: '*:1' route { opaque: false upstream: 'web' } }" WEB);
}

static void an_upstream_without_servers_is_for_those_who_ask(void **state)
{
    (void)state;
    REFUSE(PLAIN "route { upstream: 'there' } }" THERE,
           "f:2:19: listener[0].route[0].upstream: 'there' goes where clients ask to go, and those "
           "of this listener do not ask; use an upstream with servers, or give the listener a "
           "request");
    REFUSE(PLAIN "}" THERE, "f:1:10: listener[0]: its only upstream goes where clients ask to go, "
                            "and they do not ask; say with request how they do, or give the "
                            "upstream a server");
    REFUSE(REDIRECT "}\nupstream { name: 'u' requested: true server { address: 'h:1' weight: 0 }\n"
                    "  health { max_failures: 2 } proxy_protocol: V1 }",
           "f:3:45: upstream[0].server[0]: has no effect where requested is set, as connections go "
           "where clients ask to go; leave one of the two out",
           "f:4:10: upstream[0].health: is of servers, and where requested is set there are none; "
           "leave it out",
           "f:4:46: upstream[0].proxy_protocol: does not go with requested: servers that clients "
           "choose expect no such header; leave one of the two out");
    /* As --print-config writes them. */
    accepted(REDIRECT "}\nupstream { name: 'u' requested: true turbo: AUTO proxy_protocol: NONE\n"
                      "  health { max_failures: 1 back_off_seconds: 1 max_back_off_seconds: 60\n"
                      "           check_interval_seconds: 0 check_timeout_seconds: 2 } }");
    /* Fixed servers may be what clients get that ask for something. */
    accepted(CONNECT "route { requested_host: 'a.b' upstream: 'web' } }" WEB);
    accepted("listener { protocol: TCP address: '127.0.0.1:443' request: REDIRECT }\n"
             "upstream { name: 'u' requested: true connect_timeout_seconds: 3 }");
}

/* ---- the schema's limits ---- */

static void lists_of_requests_end_where_the_schema_says(void **state)
{
    static const struct {
        const char *before, *each;
        int max;
        const char *after;
    } cases[] = {
        {CONNECT "route { upstream: 'there' ", "requested_host: 'a%d.b'\n", 4096, "} }" THERE},
        {CONNECT "route { upstream: 'there' ", "requested_host: '::%d'\n", 4096, "} }" THERE},
        {CONNECT "route { upstream: 'there' requested_host: '*' ", "requested_port: 1%d\n", 64,
         "} }" THERE},
        {SOCKS5 ALL, "login { user: 'u%d' password: 'p' }\n", 256, "}" THERE},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        for (int more = 0; more <= 1; more++) {
            size_t length;
            char *text = NULL;
            FILE *out = open_memstream(&text, &length);

            (void)fputs(cases[i].before, out);
            for (int j = 0; j < cases[i].max + more; j++)
                (void)fprintf(out, cases[i].each, j);
            (void)fputs(cases[i].after, out);
            assert_int_equal(fclose(out), 0);
            decode(text);
            free(text);
            assert_int_equal(decoded.errors.total, more);
            assert_true(more == 0 ||
                        strstr(decoded.errors.texts[0], "are possible, and there are"));
        }
}

/* The serialized form may hold what no text does. */
static void values_that_no_enum_has_are_told(void **state)
{
    Turbotls__V1__Proxy message = TURBOTLS__V1__PROXY__INIT;
    Turbotls__V1__Listener listener = TURBOTLS__V1__LISTENER__INIT, *listeners[] = {&listener};
    Turbotls__V1__Upstream upstream = TURBOTLS__V1__UPSTREAM__INIT, *upstreams[] = {&upstream};
    Turbotls__V1__Login login = TURBOTLS__V1__LOGIN__INIT, *logins[] = {&login};
    struct config_source source = {.file = "f.pb"};
    char address[] = "*:443", name[] = "u", bad[] = "\377";
    (void)state;

    decoded_free(NULL);
    message.n_listener = message.n_upstream = 1;
    message.listener = listeners;
    message.upstream = upstreams;
    listener.address = address;
    listener.has_protocol = listener.has_request = listener.has_starttls = true;
    listener.protocol = TURBOTLS__V1__PROTOCOL__TCP;
    listener.request = 9;
    listener.starttls = 8;
    listener.n_login = 1;
    listener.login = logins;
    login.user = login.password = bad;
    upstream.name = name;
    upstream.requested = upstream.has_requested = upstream.has_turbo = upstream.has_starttls = true;
    upstream.turbo = 7;
    upstream.starttls = 6;
    assert_null(config_decode(&message, &source, &decoded.errors));
    static const char *const expected[] = {
        "f.pb: upstream[0].turbo: has no value 7; use a name of Turbo",
        "f.pb: upstream[0].starttls: has no value 6; use a name of Starttls",
        "f.pb: upstream[0].turbo: is for protocol TURBO only, as TCP uses no UDP; leave it out",
        "f.pb: listener[0].request: has no value 9; use a name of Request",
        "f.pb: listener[0].starttls: has no value 8; use a name of Starttls",
        "f.pb: listener[0].login[0].user: '\\xff' is not UTF-8",
        "f.pb: listener[0].login[0].password: is not UTF-8",
        "f.pb: listener[0].login[0]: is for request: SOCKS5 only; leave it out, or use that",
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        bool told = false;

        for (size_t j = 0; j < decoded.errors.count; j++)
            told = told || strstr(decoded.errors.texts[j], expected[i]) == decoded.errors.texts[j];
        if (!told)
            fail_msg("nothing says %s", expected[i]);
    }
    assert_int_equal(decoded.errors.total, COUNT(expected));
}

/* Without places, which tell what is in a text. */
static void what_guards_a_proxy_is_seen_in_a_message(void **state)
{
    Turbotls__V1__Proxy message = TURBOTLS__V1__PROXY__INIT;
    Turbotls__V1__Listener listener = TURBOTLS__V1__LISTENER__INIT, *listeners[] = {&listener};
    Turbotls__V1__Upstream upstream = TURBOTLS__V1__UPSTREAM__INIT, *upstreams[] = {&upstream};
    Turbotls__V1__Route route = TURBOTLS__V1__ROUTE__INIT, *routes[] = {&route};
    Turbotls__V1__Login login = TURBOTLS__V1__LOGIN__INIT, *logins[] = {&login};
    Turbotls__V1__AccessRule rule = TURBOTLS__V1__ACCESS_RULE__INIT, *rules[] = {&rule};
    struct config_source source = {.file = "f.pb"};
    char address[] = "*:1080", name[] = "u", all[] = "*", *hosts[] = {all};
    (void)state;

    message.n_listener = message.n_upstream = listener.n_route = route.n_requested_host = 1;
    message.listener = listeners;
    message.upstream = upstreams;
    listener.address = address;
    listener.has_protocol = listener.has_request = true;
    listener.protocol = TURBOTLS__V1__PROTOCOL__TCP;
    listener.request = TURBOTLS__V1__LISTENER__REQUEST__SOCKS5;
    listener.route = routes;
    listener.login = logins;
    listener.access_rule = rules;
    route.requested_host = hosts;
    route.upstream = upstream.name = login.user = login.password = name;
    upstream.requested = upstream.has_requested = true;
    rule.has_action = true;
    for (int i = 0; i <= 2; i++) {
        decoded_free(NULL);
        listener.n_login = i == 1;
        listener.n_access_rule = i == 2;
        decoded.config = config_decode(&message, &source, &decoded.errors);
        assert_int_equal(decoded.config != NULL, i > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_clients_may_ask_for_is_in_force),
        CASE(what_was_redirected_goes_everywhere_unless_told),
        CASE(logins_and_starttls_are_in_force),
        CASE(turbo_is_spoken_as_told),
        CASE(a_proxy_that_is_open_to_everybody_is_a_mistake),
        CASE(requests_and_starttls_are_for_tcp),
        CASE(starttls_leaves_nothing_to_sniff),
        CASE(logins_have_a_user_and_a_password),
        CASE(what_may_be_asked_for_is_said),
        CASE(hosts_are_names_networks_or_all),
        CASE(opaque_connections_are_not_looked_at),
        CASE(an_upstream_without_servers_is_for_those_who_ask),
        CASE(lists_of_requests_end_where_the_schema_says),
        CASE(values_that_no_enum_has_are_told),
        CASE(what_guards_a_proxy_is_seen_in_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, decoded_free);
}
