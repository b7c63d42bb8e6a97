/* The command line: what is taken, what is refused and in which words, what --help teaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/load.h"
#include "proxy/options.h"

enum { ARGUMENTS_MAX = 150 };

static struct options options;
static struct config *config; /* what the options amount to */
static char message[OPTIONS_MESSAGE_BYTES];

/* Parses "turbotls-proxy" and the arguments up to NULL, and loads what they amount to. */
static enum options_result parse(const char *const arguments[])
{
    char name[] = "turbotls-proxy";
    char *argv[ARGUMENTS_MAX + 2] = {name};
    int argc = 1;
    enum options_result result;
    struct config_errors errors;

    for (; arguments[argc - 1] != NULL; argc++)
        argv[argc] = strdup(arguments[argc - 1]);
    memset(message, 'x', sizeof(message));
    config_release(config);
    config = NULL;
    result = options_parse(&options, argc, argv, message);
    config_errors_init(&errors);
    if (result == OPTIONS_RUN && options.config == NULL) {
        config = config_load(&options, &errors);
        if (config == NULL) {
            result = OPTIONS_INVALID;
            (void)snprintf(message, sizeof(message), "%s", errors.texts[0]);
        }
    }
    config_errors_free(&errors);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    return result;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void assert_run(enum options_result result)
{
    if (result != OPTIONS_RUN)
        fail_msg("refused: %s", message);
    assert_string_equal(message, "");
}

static void assert_listener(size_t i, const char *expected)
{
    char text[CONFIG_LISTEN_TEXT_BYTES];

    assert_true(i < config->listener_count);
    assert_string_equal(config_listen_text(&config->listeners[i], text), expected);
}

static void the_shortest_command_line_gets_the_defaults(void **state)
{
    (void)state;
    assert_run(PARSE("--listen", "tcp:127.0.0.1:4433", "--upstream", "turbo:www.example:443"));
    assert_int_equal(config->listener_count, 1);
    assert_int_equal(config->listeners[0].kind, ENDPOINT_TCP);
    assert_false(config->listeners[0].same_udp_port);
    assert_int_equal(config->upstreams[0].kind, ENDPOINT_TURBO);
    assert_string_equal(config->upstreams[0].servers[0].host, "www.example");
    assert_int_equal(config->upstreams[0].servers[0].port, 443);
    assert_int_equal(config->upstreams[0].servers[0].udp_port, 443);
    assert_int_equal(config->upstreams[0].turbo, CONFIG_TURBO_AUTO);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->log_format, LOG_FORMAT_TEXT);
    assert_true(config->drain_timeout_s == 30 && config->listeners[0].sniff_timeout_s == 0);
}

static void every_option_can_be_given_with_an_equals_sign(void **state)
{
    (void)state;
    assert_run(PARSE("--listen=turbo:*:443,udp=8443", "--upstream=tcp:[2001:db8::1]:8443",
                     "--log-level=debug", "--log-format=json", "--drain-timeout=0",
                     "--sniff-timeout=0.3", "--listen=tcp:[::1]:0"));
    assert_int_equal(config->listener_count, 2);
    assert_listener(0, "turbo:*:443,udp=8443");
    assert_true(config->listeners[0].dual_stack);
    assert_false(config->listeners[1].dual_stack);
    assert_listener(1, "tcp:[::1]:0");
    assert_string_equal(config->upstreams[0].servers[0].host, "2001:db8::1");
    assert_int_equal(config->upstreams[0].kind, ENDPOINT_TCP);
    assert_int_equal(config->upstreams[0].servers[0].udp_port, 8443);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->log_format, LOG_FORMAT_JSON);
    assert_true(config->drain_timeout_s == 0 && config->listeners[0].sniff_timeout_s == 0.3);
}

static void the_udp_port_of_a_listener_follows_tcp_unless_given(void **state)
{
    static const struct {
        const char *listen;
        uint16_t udp_port;
        bool same;
    } cases[] = {
        {"turbo:127.0.0.1:443", 443, true},          {"turbo:127.0.0.1:0", 0, true},
        {"turbo:127.0.0.1:0,udp=0", 0, false},       {"turbo:127.0.0.1:443,udp=0", 0, false},
        {"turbo:127.0.0.1:443,udp=443", 443, false}, {"turbo:127.0.0.1:0,udp=53", 53, false},
        {"turbo:*:443,udp=443", 443, false},         {"turbo:[::]:443", 443, true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_run(PARSE("--listen", cases[i].listen, "--upstream", "tcp:h:1"));
        assert_int_equal(config->listeners[0].udp_port, cases[i].udp_port);
        assert_int_equal(config->listeners[0].same_udp_port, cases[i].same);
        assert_listener(0, cases[i].listen);
    }
}

static void an_upstream_is_a_name_or_an_address_with_extras(void **state)
{
    static const struct {
        const char *upstream, *host;
        uint16_t port, udp_port;
        enum config_turbo turbo;
        enum starttls_protocol starttls;
    } cases[] = {
        {"turbo:a_b-c.example.:443,udp=1,turbo=always", "a_b-c.example.", 443, 1,
         CONFIG_TURBO_ALWAYS, STARTTLS_NONE},
        {"turbo:h:443,turbo=try,udp=65535", "h", 443, 65535, CONFIG_TURBO_TRY, STARTTLS_NONE},
        {"turbo:h:443,turbo=never", "h", 443, 443, CONFIG_TURBO_NEVER, STARTTLS_NONE},
        {"turbo:192.0.2.1:443,turbo=auto", "192.0.2.1", 443, 443, CONFIG_TURBO_AUTO, STARTTLS_NONE},
        {"turbo:[fe80::1%lo]:1", "fe80::1%lo", 1, 1, CONFIG_TURBO_AUTO, STARTTLS_NONE},
        {"tcp:[::ffff:192.0.2.1]:65535", "::ffff:192.0.2.1", 65535, 65535, CONFIG_TURBO_NEVER,
         STARTTLS_NONE},
        {"tcp:3com.4x:00443", "3com.4x", 443, 443, CONFIG_TURBO_NEVER, STARTTLS_NONE},
        {"tcp:h:587,starttls=smtp", "h", 587, 587, CONFIG_TURBO_NEVER, STARTTLS_SMTP},
        {"tcp:h:143,starttls=imap", "h", 143, 143, CONFIG_TURBO_NEVER, STARTTLS_IMAP},
        {"tcp:h:110,starttls=pop3", "h", 110, 110, CONFIG_TURBO_NEVER, STARTTLS_POP3},
        {"tcp:h:389,starttls=ldap", "h", 389, 389, CONFIG_TURBO_NEVER, STARTTLS_LDAP},
        {"tcp:h:5432,starttls=postgresql", "h", 5432, 5432, CONFIG_TURBO_NEVER,
         STARTTLS_POSTGRESQL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_run(PARSE("--listen", "tcp:*:0", "--upstream", cases[i].upstream));
        assert_string_equal(config->upstreams[0].servers[0].host, cases[i].host);
        assert_int_equal(config->upstreams[0].servers[0].port, cases[i].port);
        assert_int_equal(config->upstreams[0].servers[0].udp_port, cases[i].udp_port);
        assert_int_equal(config->upstreams[0].turbo, cases[i].turbo);
        assert_int_equal(config->upstreams[0].starttls, cases[i].starttls);
    }
}

static void an_upstream_may_speak_sandwichs_dialect(void **state)
{
    (void)state;
    assert_run(PARSE("--listen", "tcp:*:0", "--upstream", "turbo:h:443"));
    assert_int_equal(config->upstreams[0].dialect, TURBO_DIALECT_PROFILE1);
    assert_run(PARSE("--listen", "tcp:*:0", "--upstream", "turbo:h:443,udp=5,dialect=sandwich"));
    assert_int_equal(config->upstreams[0].dialect, TURBO_DIALECT_SANDWICH);
    assert_run(
        PARSE("--listen", "tcp:*:0", "--upstream", "turbo:h:1,dialect=sandwich,turbo=always"));
    assert_int_equal(config->upstreams[0].dialect, TURBO_DIALECT_SANDWICH);
}

static void a_listener_may_take_clients_of_sandwichs_dialect(void **state)
{
    (void)state;
    assert_run(PARSE("--listen", "turbo:*:443", "--upstream", "tcp:h:443"));
    assert_false(config->listeners[0].sandwich);
    assert_run(PARSE("--listen", "turbo:*:443,dialect=sandwich,udp=5", "--upstream", "tcp:h:443"));
    assert_true(config->listeners[0].sandwich);
    assert_int_equal(config->listeners[0].udp_port, 5);
}

static void a_listener_may_play_the_server_before_tls(void **state)
{
    (void)state;
    assert_run(PARSE("--listen=tcp:127.0.0.1:143,starttls=imap", "--listen=tcp:*:0",
                     "--upstream=turbo:h:993"));
    assert_int_equal(config->listeners[0].starttls, STARTTLS_IMAP);
    assert_int_equal(config->listeners[1].starttls, STARTTLS_NONE);
    assert_string_equal(config->listeners[0].name, "tcp:127.0.0.1:143");
}

/* The one line an option's value is refused with; `%s` below stands for "--option 'value': ". */
static void assert_refused(const char *option, const char *value, const char *why)
{
    char expected[1024];

    if (strcmp(option, "--listen") == 0)
        assert_int_equal(PARSE("--upstream=tcp:h:1", option, value), OPTIONS_INVALID);
    else
        assert_int_equal(PARSE("--listen=tcp:*:0", option, value), OPTIONS_INVALID);
    (void)snprintf(expected, sizeof(expected), "%s '%s': %s", option, value, why);
    assert_string_equal(message, expected);
}

#define FOR_MANY                                                                                   \
    "nobody can connect to a multicast or broadcast address; use one of this host's, or * for all"
#define LISTEN_SYNTAX                                                                              \
    "tcp:ADDR:PORT[,starttls=PROTOCOL] or turbo:ADDR:PORT[,udp=PORT][,dialect=sandwich]"
#define UPSTREAM_SYNTAX                                                                            \
    "tcp:HOST:PORT[,starttls=PROTOCOL] or "                                                        \
    "turbo:HOST:PORT[,udp=PORT][,turbo=WHEN][,dialect=sandwich]"
#define NEEDS_FILE                                                                                 \
    "where clients say where they want to go, routes say what they may ask for, and so a file is " \
    "needed: listener { protocol: TCP request: HTTP_CONNECT ... }, by --config"
#define USE_LITERAL " is not an IP address; use a literal such as 127.0.0.1, [::1] or * for all"
#define NOT_A_NAME                                                                                 \
    " is not a host name or an address; a name has letters, digits, '-', '_' and '.' (other "      \
    "alphabets as xn--)"
#define MISTYPED " is not an IPv4 address, a host name or an IPv6 address in brackets"

static void a_wrong_listener_is_refused_with_what_would_be_right(void **state)
{
    static const char *const cases[][2] = {
        {"", "begins with neither 'tcp:' nor 'turbo:'; use " LISTEN_SYNTAX},
        {"127.0.0.1:443", "begins with neither 'tcp:' nor 'turbo:'; use " LISTEN_SYNTAX},
        {"udp:127.0.0.1:443", "begins with neither 'tcp:' nor 'turbo:'; use " LISTEN_SYNTAX},
        {"TCP:127.0.0.1:443", "write 'tcp:' in lower case"},
        {"Turbo:127.0.0.1:443", "write 'turbo:' in lower case"},
        {"turbo://127.0.0.1:443", "no '//' goes after 'turbo:'; use " LISTEN_SYNTAX},
        {"tcp:unix:/run/x", "unix sockets are not supported; use " LISTEN_SYNTAX},
        {"tcp:/run/x:1", "unix sockets are not supported; use " LISTEN_SYNTAX},
        {"unix:/run/x", "unix sockets are not supported; use " LISTEN_SYNTAX},
        {"turbo:localhost:443", "'localhost'" USE_LITERAL},
        {"tcp::443", "''" USE_LITERAL},
        {"tcp:127.1:443", "'127.1'" USE_LITERAL},
        {"tcp:", "an address and a port are needed, as in *:443"},
        {"tcp:*", "an address and a port are needed, as in *:443"},
        {"tcp:127.0.0.1", "an address and a port are needed, as in *:443"},
        {"turbo:25066", "an address and a port are needed, as in *:25066"},
        {"turbo:*:443:udp=53", "options follow a comma: ,udp=PORT"},
        {"tcp:127.0.0.1:", "port '' is not a number from 0 to 65535"},
        {"tcp:127.0.0.1:https", "port 'https' is not a number from 0 to 65535"},
        {"tcp:127.0.0.1:65536", "port '65536' is not a number from 0 to 65535"},
        {"tcp:127.0.0.1:-1", "port '-1' is not a number from 0 to 65535"},
        {"tcp:127.0.0.1:+1", "port '+1' is not a number from 0 to 65535"},
        {"tcp:127.0.0.1: 1", "port ' 1' is not a number from 0 to 65535"},
        {"tcp:127.0.0.1:4294967297", "port '4294967297' is not a number from 0 to 65535"},
        {"tcp:::1:443", "an IPv6 address goes in brackets, as in [::1]:443"},
        {"tcp:[::1:443", "the '[' of the IPv6 address is not closed by a ']'"},
        {"tcp:[::1]", "there is no ':PORT' after the ']'"},
        {"tcp:[::1]443", "there is no ':PORT' after the ']'"},
        {"tcp:[127.0.0.1]:443", "IPv4 is written without brackets: 127.0.0.1:443"},
        {"tcp:[*]:443", "'*' is not an IPv6 address"},
        {"tcp:[fe80::1%none-such]:443",
         "'fe80::1%none-such' is not an IPv6 address with an interface of this host"},
        {"tcp:224.0.0.1:443", FOR_MANY},
        {"turbo:239.255.255.255:0", FOR_MANY},
        {"tcp:255.255.255.255:443", FOR_MANY},
        {"tcp:[ff02::1]:443", FOR_MANY},
        {"tcp:[::ffff:224.0.0.1]:443", FOR_MANY},
        {"tcp:127.0.0.1:443,udp=443", "'udp=443' is for turbo: only, as tcp: uses no UDP"},
        {"turbo:127.0.0.1:443,turbo=always",
         "'turbo=always' is for --upstream: a listener answers what it is asked"},
        {"turbo:*:443,starttls=smtp",
         "'starttls=smtp' is for tcp: only, as turbo: begins with TLS"},
        {"tcp:*:143,starttls=", "starttls= is one of smtp, imap, pop3, ldap and postgresql"},
        {"tcp:*:143,starttls=none", "starttls= is one of smtp, imap, pop3, ldap and postgresql"},
        {"tcp:*:143,starttls=IMAP", "starttls= is one of smtp, imap, pop3, ldap and postgresql"},
        {"tcp:*:143,StartTLS=imap",
         "'StartTLS=imap' is not known here; write starttls=PROTOCOL, in lower case"},
        {"tcp:*:143,imap", "'imap' is not known here; write starttls= and that, in lower case"},
        {"tcp:*:143,starttls=imap,starttls=imap", "starttls= is there twice"},
        {"tcp:*:143:starttls=imap", "options follow a comma: ,starttls=PROTOCOL"},
        {"tcp:*:3128,request=http_connect", NEEDS_FILE},
        {"http:127.0.0.1:3128", NEEDS_FILE},
        {"SOCKS5:127.0.0.1:1080", NEEDS_FILE},
        {"tproxy:*:15001", NEEDS_FILE},
        {"turbo:*:443,udp=", "the UDP port '' is not a number from 0 to 65535"},
        {"turbo:*:443,udp=1,udp=2", "udp= is there twice"},
        {"turbo:*:443,UDP=5", "'UDP=5' is not known here; write udp=PORT, in lower case"},
        {"turbo:*:443,udp", "'udp' is not known here; write udp=PORT, in lower case"},
        {"turbo:*:443,tcp=1", "'tcp=1' is not known here; use " LISTEN_SYNTAX},
        {"turbo:*:443,", "'' is not known here; use " LISTEN_SYNTAX},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("--listen", cases[i][0], cases[i][1]);
}

static void a_wrong_upstream_is_refused_with_what_would_be_right(void **state)
{
    static const char *const cases[][2] = {
        {"www.example:443", "begins with neither 'tcp:' nor 'turbo:'; use " UPSTREAM_SYNTAX},
        {"tcp:h:0", "port '0' is not a number from 1 to 65535"},
        {"turbo:h:443,udp=0", "the UDP port '0' is not a number from 1 to 65535"},
        {"http:h:443", "begins with neither 'tcp:' nor 'turbo:'; use " UPSTREAM_SYNTAX},
        {"tcp:h:443,turbo=try", "'turbo=try' is for turbo: only, as tcp: uses no UDP"},
        {"turbo:h:443,starttls=ldap",
         "'starttls=ldap' is for tcp: only, as turbo: begins with TLS"},
        {"turbo:h:443,always", "'always' is not known here; write turbo= and that, in lower case"},
        {"turbo:h:443,Turbo=try", "'Turbo=try' is not known here; write turbo=WHEN, in lower case"},
        {"turbo:h:443,turbo=Always", "turbo= is one of auto, try, always and never"},
        {"turbo:h:443,turbo=", "turbo= is one of auto, try, always and never"},
        {"turbo:127.0.0.1:443:turbo=try", "options follow a comma: ,turbo=WHEN"},
        {"turbo:[::1]:443:udp=5", "options follow a comma: ,udp=PORT"},
        {"turbo:443", "a host and a port are needed, as in www.example:443"},
        {"tcp:https://h:443", "a host and a port are needed, without a scheme such as https://"},
        {"turbo:h:443,turbo=try,turbo=try", "turbo= is there twice"},
        {"turbo:h:443,dialect=profile2", "dialect= is sandwich, or left out"},
        {"turbo:h:443,sandwich",
         "'sandwich' is not known here; write dialect= and that, in lower case"},
        {"tcp:h:443,dialect=sandwich",
         "'dialect=sandwich' is for turbo: only, as tcp: uses no UDP"},
        {"turbo:h:443,dialect=sandwich,turbo=never",
         "NEVER does not go with dialect: SANDWICH, whose servers can be reached by UDP only; "
         "leave "
         "one of the two out"},
        {"tcp:*:443", "'*'" NOT_A_NAME},
        {"tcp:a b:443", "'a b'" NOT_A_NAME},
        {"tcp::443", "''" MISTYPED},
        {"tcp:1.2.3.256:443", "'1.2.3.256'" MISTYPED},
        {"tcp:127.1:443", "'127.1'" MISTYPED},
        {"tcp:443:443", "'443'" MISTYPED},
        {"tcp:.a:443", "'.a' is not a host name: between the dots go 1 to 63 characters"},
        {"tcp:a..b:443", "'a..b' is not a host name: between the dots go 1 to 63 characters"},
        {"tcp:.:443", "'.' is not a host name: between the dots go 1 to 63 characters"},
        {"tcp:[h]:443", "'h' is not an IPv6 address"},
        {"tcp:[fe80::1]:443", "a link-local address needs its interface: [fe80::1%eth0]"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused("--upstream", cases[i][0], cases[i][1]);
}

#define NOT_SECONDS(max)                                                                           \
    "not a number of seconds from 0 to " max " in plain digits without a unit, such as 30 or 0.3"

static void wrong_values_of_the_other_options_are_refused(void **state)
{
    static const char *const numbers[] = {"",    "-1",    "+1",    "inf", "nan", "0x1p3",
                                          "1e3", "86401", "1.2.3", "30s", ".",   " 1"};
    (void)state;

    assert_refused("--log-level", "warn", "not a level; use error, warning, info or debug");
    assert_refused("--log-format", "xml", "not a format; use text or json");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_refused("--drain-timeout", numbers[i], NOT_SECONDS("86400"));
        assert_refused("--sniff-timeout", numbers[i], NOT_SECONDS("30"));
    }
    assert_refused("--sniff-timeout", "30.1", NOT_SECONDS("30"));
}

static void sniffing_is_for_turbo_listeners(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--sniff-timeout=30", "--listen=tcp:*:0", "--upstream=tcp:h:1"),
                     OPTIONS_INVALID);
    assert_string_equal(message, "--sniff-timeout has no effect without a turbo listener");
    assert_run(PARSE("--sniff-timeout=0", "--listen=tcp:*:0", "--upstream=tcp:h:1"));
    assert_run(PARSE("--sniff-timeout=30", "--listen=tcp:*:0", "--listen=turbo:*:0",
                     "--upstream=tcp:h:1"));
    assert_true(config->listeners[1].sniff_timeout_s == 30);
}

static void host_names_are_bounded_by_what_dns_can_carry(void **state)
{
    char label[65], name[300], value[400];
    (void)state;

    memset(label, 'a', sizeof(label));
    label[63] = '\0';
    (void)snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
    assert_int_equal(strlen(name), 253);
    for (int extra = 0; extra <= 2; extra++) {
        (void)snprintf(value, sizeof(value), "tcp:%s%s:443", name,
                       extra == 0   ? ""
                       : extra == 1 ? "."
                                    : "a");
        assert_int_equal(PARSE("--listen=tcp:*:0", "--upstream", value),
                         extra < 2 ? OPTIONS_RUN : OPTIONS_INVALID);
    }
    assert_non_null(strstr(message, "is longer than a host name can be"));
    label[63] = 'a';
    label[64] = '\0';
    (void)snprintf(value, sizeof(value), "tcp:%s:443", label);
    assert_int_equal(PARSE("--listen=tcp:*:0", "--upstream", value), OPTIONS_INVALID);
    assert_non_null(strstr(message, "1 to 63 characters"));
}

#define STRAY     " is out of place: turbotls-proxy takes options only; --help lists them"
#define NO_OPTION " is not an option of turbotls-proxy; "

static void what_is_missing_unknown_or_too_much_is_named(void **state)
{
    static const struct {
        const char *arguments[4], *message;
    } cases[] = {
        {{NULL},
         "--listen is missing: say where to accept connections, such as --listen "
         "tcp:127.0.0.1:4433, or name a file with --config (--help tells more)"},
        {{"--listen=tcp:*:0"},
         "--upstream is missing: say where connections go, such as "
         "--upstream turbo:www.example:443 (--help tells more)"},
        {{"--upstream=tcp:a:1", "--upstream", "tcp:b:1"},
         "--upstream 'tcp:b:1': there can be one upstream only, and 'tcp:a:1' came before"},
        {{"--listen"}, "--listen needs a value: " LISTEN_SYNTAX},
        {{"--drain-timeout"}, "--drain-timeout needs a value: SECONDS"},
        {{"--help=all"}, "--help takes no value, but got 'all'"},
        {{"--version="}, "--version takes no value, but got ''"},
        {{"--listen", "--upstream", "tcp:a:1"}, "--listen needs a value: " LISTEN_SYNTAX},
        {{"extra"}, "'extra'" STRAY},
        {{"listen"}, "'listen'" STRAY},
        {{"-listen", "tcp:*:0"}, "'-listen'" NO_OPTION "did you mean --listen?"},
        {{"--list=tcp:*:0"}, "'--list=tcp:*:0'" NO_OPTION "did you mean --listen?"},
        {{"--log", "debug"},
         "'--log'" NO_OPTION "did you mean --log-level or --log-format or --log-target?"},
        {{"-v"}, "'-v'" NO_OPTION "did you mean --version?"},
        {{"-h=x"}, "'-h=x'" NO_OPTION "did you mean --help?"},
        {{"--lisen", "tcp:*:0"}, "'--lisen' is not an option of turbotls-proxy; --help lists them"},
        {{"--listener=x"}, "'--listener=x'" NO_OPTION "did you mean --listen?"},
        {{"--"}, "'--' is not an option of turbotls-proxy; --help lists them"},
        {{"-"}, "'-' is not an option of turbotls-proxy; --help lists them"},
        {{"xxhelp"}, "'xxhelp'" STRAY},
        {{""}, "''" STRAY},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(cases[i].arguments), OPTIONS_INVALID);
        assert_string_equal(message, cases[i].message);
    }
}

#define PORT_443 "port 443; give one of them another address or port"
#define UDP_443  "UDP port 443; choose another with ,udp=PORT"

static void two_listeners_cannot_share_a_port(void **state)
{
    static const struct {
        const char *first, *second, *why;
    } cases[] = {
        {"tcp:127.0.0.1:443", "turbo:127.0.0.1:443", PORT_443},
        {"tcp:[::]:443", "tcp:*:443", PORT_443},
        {"tcp:*:443", "turbo:127.0.0.1:443,udp=1", PORT_443},
        {"tcp:[::1]:443", "tcp:*:443", PORT_443},
        {"tcp:0.0.0.0:443", "tcp:127.0.0.1:443", PORT_443},
        {"tcp:[::1]:443", "tcp:[::]:443", PORT_443},
        {"turbo:127.0.0.1:443", "turbo:127.0.0.1:8443,udp=443", UDP_443},
        {"turbo:127.0.0.1:0,udp=443", "turbo:127.0.0.1:443", UDP_443},
        {"turbo:*:0,udp=443", "turbo:127.0.0.1:443", UDP_443},
        {"tcp:[::]:443", "tcp:0.0.0.0:443", NULL},
        {"turbo:[::]:443", "turbo:127.0.0.1:443", NULL},
        {"tcp:*:443", "tcp:*:444", NULL},
        {"tcp:*:443", "turbo:*:444,udp=443", NULL},
        {"turbo:*:0", "turbo:*:0", NULL},
        {"tcp:127.0.0.1:443", "tcp:127.0.0.2:443", NULL},
        {"tcp:127.0.0.1:443", "tcp:127.0.0.1:444", NULL},
        {"tcp:127.0.0.1:0", "tcp:127.0.0.1:0", NULL},
        {"turbo:127.0.0.1:0", "turbo:127.0.0.1:0", NULL},
        {"turbo:127.0.0.1:443", "turbo:127.0.0.2:443", NULL},
        {"tcp:127.0.0.1:443", "turbo:127.0.0.1:444,udp=443", NULL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum options_result result =
            PARSE("--listen", cases[i].first, "--listen", cases[i].second, "--upstream=tcp:h:1");
        if (cases[i].why == NULL) {
            assert_run(result);
        } else {
            char expected[256];
            assert_int_equal(result, OPTIONS_INVALID);
            (void)snprintf(expected, sizeof(expected), "'%s' and '%s' both take %s", cases[i].first,
                           cases[i].second, cases[i].why);
            assert_string_equal(message, expected);
        }
    }
}

static void there_is_room_for_64_listeners_and_no_more(void **state)
{
    const char *arguments[CONFIG_LISTENERS_MAX + 3] = {"--upstream=tcp:h:1"};
    (void)state;

    for (int i = 1; i <= CONFIG_LISTENERS_MAX; i++)
        arguments[i] = "--listen=tcp:*:0";
    assert_run(parse(arguments));
    assert_int_equal(config->listener_count, CONFIG_LISTENERS_MAX);
    arguments[CONFIG_LISTENERS_MAX + 1] = "--listen=tcp:*:0";
    assert_int_equal(parse(arguments), OPTIONS_INVALID);
    assert_string_equal(message, "--listen 'tcp:*:0': at most 64 are possible");
}

static void an_error_is_one_printable_line_whatever_was_typed(void **state)
{
    static char everything[300], endless[3 * OPTIONS_MESSAGE_BYTES];
    static const char *const options_with_value[] = {"--listen", "--upstream", "--log-level",
                                                     "--drain-timeout", "--x"};
    static const char *const prefixes[] = {"", "tcp:", "turbo:[", "tcp:a:", "turbo:a:1,"};
    (void)state;

    for (int i = 0; i < 255; i++)
        everything[i] = (char)(i + 1);
    memset(endless, '\n', sizeof(endless) - 1);
    for (size_t i = 0; i < sizeof(options_with_value) / sizeof(options_with_value[0]); i++) {
        for (size_t j = 0; j < 2 * sizeof(prefixes) / sizeof(prefixes[0]); j++) {
            static char value[sizeof(endless) + 16];

            (void)snprintf(value, sizeof(value), "%s%s", prefixes[j / 2],
                           j % 2 ? endless : everything);
            assert_int_equal(PARSE(options_with_value[i], value), OPTIONS_INVALID);
            assert_in_range(strlen(message), 20, 1500);
            for (const char *at = message; *at != '\0'; at++)
                assert_in_range(*at, ' ', '~');
        }
    }
    assert_int_equal(PARSE("--upstream=tcp:h:1", "--listen", "tcp:a\nb'\\:1"), OPTIONS_INVALID);
    assert_string_equal(message,
                        "--listen 'tcp:a\\x0ab\\x27\\x5c:1': 'a\\x0ab\\x27\\x5c'" USE_LITERAL);
}

static void a_file_takes_the_place_of_what_it_says(void **state)
{
    static const char *const fileless[] = {
        "--listen=tcp:*:0", "--upstream=tcp:h:1", "--sniff-timeout=1", "--opening-timeout=1",
        "--max-sessions=1", "--session-rate=1",   "--source-rate=1",
    };
    (void)state;

    assert_run(PARSE("--config", "edge.txtpb"));
    assert_int_equal(options.mode, OPTIONS_SERVE);
    for (size_t i = 0; i < sizeof(fileless) / sizeof(fileless[0]); i++) {
        char expected[256];

        assert_int_equal(PARSE("--config=edge.txtpb", fileless[i]), OPTIONS_INVALID);
        (void)snprintf(expected, sizeof(expected),
                       "%.*s does not go with --config: write it into the file; --print-config "
                       "without --config shows how",
                       (int)strcspn(fileless[i], "="), fileless[i]);
        assert_string_equal(message, expected);
        assert_int_equal(PARSE(fileless[i], "--config=edge.txtpb"), OPTIONS_INVALID);
        assert_string_equal(message, expected);
    }
    assert_run(PARSE("--config=edge.txtpb", "--log-level=error", "--log-format=json",
                     "--log-target=journal", "--drain-timeout=0", "--admin=*:9443", "--user=proxy",
                     "--no-sandbox"));
    assert_true(options.log_level.given && options.log_level.value == LOG_LEVEL_ERROR);
    assert_true(options.log_format.given && options.log_format.value == LOG_FORMAT_JSON);
    assert_true(options.log_target.given && options.log_target.value == LOG_TARGET_JOURNAL);
    assert_true(options.drain_timeout.given && options.drain_timeout.value == 0);
    assert_true(options.no_sandbox);
    assert_int_equal(PARSE("--config="), OPTIONS_INVALID);
    assert_string_equal(message, "--config '': not a file; name one, such as edge.txtpb");
}

static void what_to_do_is_one_thing(void **state)
{
    (void)state;
    assert_run(PARSE("--config=edge.txtpb", "--check"));
    assert_int_equal(options.mode, OPTIONS_CHECK);
    assert_run(PARSE("--print-config", "--listen=tcp:*:0", "--upstream=tcp:h:1", "--print-config"));
    assert_int_equal(options.mode, OPTIONS_PRINT);
    assert_int_equal(PARSE("--config=edge.txtpb", "--check", "--print-config"), OPTIONS_INVALID);
    assert_string_equal(message, "--check and --print-config do not go together; the latter checks "
                                 "as well");
}

static void options_for_the_whole_program_are_in_force(void **state)
{
    char text[ADDRESS_TEXT_BYTES];
    (void)state;

    assert_run(PARSE("--listen=turbo:*:0", "--listen=tcp:*:0", "--upstream=turbo:h:1",
                     "--log-target=syslog", "--admin=127.0.0.1:9443", "--user=proxy",
                     "--opening-timeout=7", "--max-sessions=65536", "--session-rate=100000",
                     "--source-rate=1"));
    assert_int_equal(config->log_target, LOG_TARGET_SYSLOG);
    assert_string_equal(address_text(&config->admin, text), "127.0.0.1:9443");
    assert_true(config->sandbox);
    assert_int_equal(config->listeners[0].sessions_max, 65536);
    assert_int_equal(config->listeners[0].session_rate, 100000);
    assert_int_equal(config->listeners[0].source_rate, 1);
    assert_true(config->listeners[0].opening_timeout_s == 7);
    assert_true(config->listeners[1].opening_timeout_s == 7);
    assert_string_equal(config->user, "proxy");
    assert_run(PARSE("--listen=tcp:*:0", "--upstream=tcp:h:1", "--no-sandbox"));
    assert_false(config->sandbox);
    assert_null(config->user);
    assert_int_equal(PARSE("--listen=tcp:*:443", "--upstream=tcp:h:1", "--admin=127.0.0.1:443"),
                     OPTIONS_INVALID);
    assert_string_equal(message,
                        "--admin '127.0.0.1:443': 'tcp:*:443' takes port 443 already; use another");
    assert_int_equal(PARSE("--listen=tcp:*:443", "--upstream=tcp:h:1", "--user="), OPTIONS_INVALID);
    assert_string_equal(message, "--user '': is empty; name a user, or leave it out to stay");
}

static void version_is_name_and_number(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--version"), OPTIONS_DONE);
    assert_string_equal(message, "turbotls-proxy " TURBOTLS_VERSION "\n");
    assert_int_equal(PARSE("-V"), OPTIONS_DONE);
    assert_string_equal(message, "turbotls-proxy " TURBOTLS_VERSION "\n");
    assert_int_equal(PARSE("--version", "--bogus"), OPTIONS_DONE);
}

static void help_teaches_everything_within_80_columns(void **state)
{
    static const char *const taught[] = {
        "no key",
        "Edge",
        "Sidecar",
        "--listen 'turbo:*:443' --upstream tcp:127.0.0.1:8443",
        "--listen tcp:127.0.0.1:4433 --upstream turbo:www.example:443",
        "\n  --listen tcp:ADDR:PORT[,starttls=PROTOCOL]\n",
        "]\n      or turbo:ADDR:PORT[,udp=PORT][,dialect=sandwich]\n",
        "\n  --upstream tcp:HOST:PORT[,starttls=PROTOCOL]\n",
        "]\n      or turbo:HOST:PORT[,udp=PORT][,turbo=WHEN][,dialect=sandwich]\n",
        "plays the server",
        "plays the client",
        "HTTP CONNECT, SOCKS5",
        "\n  --log-level error, warning, info or debug\n",
        "\n  --log-format text or json\n",
        "\n  --drain-timeout SECONDS\n",
        "\n  --sniff-timeout SECONDS\n",
        "\n  --version\n",
        "\n  --help\n",
        "Default: info",
        "Default: text",
        "Default: 30 seconds",
        "Default: 0 seconds",
        "server speaks first",
        "* is IPv4 and IPv6",
        "[::] is IPv6\n      only",
        "at most 64",
        "At most 30;",
        "also -h",
        "also -V",
        "60 seconds",
        "60 seconds",
        "after 3600 seconds without a byte",
        "after 600 once",
        "a TLS handshake another 60",
        "\n  --config FILE\n",
        "\n  --check\n",
        "\n  --print-config\n",
        "\n  --log-target stderr, syslog or journal\n",
        "\n  --admin ADDR:PORT\n",
        "\n  --user NAME\n",
        "\n  --no-sandbox\n",
        "turbotls-proxy --config edge.txtpb --check\n",
        "soft limit of open files",
        "SIGHUP           Read the file again",
        "SIGUSR2          Replace the binary",
        "SIGUSR1          Ignored",
        "cut off at --drain-timeout",
        "SIGTERM",
        "SIGINT",
        "\n  0  ",
        "\n  1  ",
        "\n  2  ",
    };
    size_t column = 0;
    (void)state;

    assert_int_equal(PARSE("-h"), OPTIONS_DONE);
    assert_int_equal(PARSE("--help", "extra"), OPTIONS_DONE);
    assert_int_equal(PARSE("--log-level", "debug", "--help"), OPTIONS_DONE);
    for (size_t i = 0; i < sizeof(taught) / sizeof(taught[0]); i++)
        if (strstr(message, taught[i]) == NULL)
            fail_msg("--help says nothing of \"%s\"", taught[i]);
    for (const char *at = message; *at != '\0'; at++) {
        column = *at == '\n' ? 0 : column + 1;
        assert_in_range(column, 0, 80);
    }
    assert_int_equal(column, 0);
    assert_true(strlen(message) < OPTIONS_MESSAGE_BYTES - 1000); /* it is not cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_command_line_gets_the_defaults),
        cmocka_unit_test(every_option_can_be_given_with_an_equals_sign),
        cmocka_unit_test(the_udp_port_of_a_listener_follows_tcp_unless_given),
        cmocka_unit_test(an_upstream_is_a_name_or_an_address_with_extras),
        cmocka_unit_test(an_upstream_may_speak_sandwichs_dialect),
        cmocka_unit_test(a_listener_may_take_clients_of_sandwichs_dialect),
        cmocka_unit_test(a_listener_may_play_the_server_before_tls),
        cmocka_unit_test(a_wrong_listener_is_refused_with_what_would_be_right),
        cmocka_unit_test(a_wrong_upstream_is_refused_with_what_would_be_right),
        cmocka_unit_test(wrong_values_of_the_other_options_are_refused),
        cmocka_unit_test(sniffing_is_for_turbo_listeners),
        cmocka_unit_test(host_names_are_bounded_by_what_dns_can_carry),
        cmocka_unit_test(what_is_missing_unknown_or_too_much_is_named),
        cmocka_unit_test(two_listeners_cannot_share_a_port),
        cmocka_unit_test(there_is_room_for_64_listeners_and_no_more),
        cmocka_unit_test(an_error_is_one_printable_line_whatever_was_typed),
        cmocka_unit_test(a_file_takes_the_place_of_what_it_says),
        cmocka_unit_test(what_to_do_is_one_thing),
        cmocka_unit_test(options_for_the_whole_program_are_in_force),
        cmocka_unit_test(version_is_name_and_number),
        cmocka_unit_test(help_teaches_everything_within_80_columns),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    config_release(config);
    return failed;
}
