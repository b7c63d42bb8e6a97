/*
 * A configuration is read while memory runs out: at every n, it is read all the same or refused
 * with a reason, and nothing of it is left behind.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/config/load.h"
#include "proxy/options.h"
#include "turbotls/v1/proxy.pb-c.h"

static const char text[] =
    "listener { name: 'edge' address: '127.0.0.1:4433'\n"
    "  route { server_name: ['a.example', '*.b.example', 'c.example'] alpn: 'h2' upstream: 'u' }\n"
    "  route { source: '192.0.2.0/24' upstream: 'v' }\n"
    "  access_rule { action: DENY network: ['198.51.100.0/24', '2001:db8::/32'] }\n"
    "  proxy_protocol_from: '10.0.0.0/8' idle_timeout_seconds: 1.5 }\n"
    "listener { protocol: TCP address: '127.0.0.1:1080' request: SOCKS5\n"
    "  login { user: 'a' password: 'b' } route { requested_host: ['a.example', '10.0.0.0/8']\n"
    "  requested_port: 1 upstream: 'w' } route { requested_host: '*' upstream: 'w' } }\n"
    "upstream { name: 'w' requested: true protocol: TURBO turbo: TRY }\n"
    "upstream { name: 'u' server { address: 'a.example:443' weight: 2 } health {} }\n"
    "upstream { name: 'v' server: [{ address: '[::1]:1' }, < address: '192.0.2.1:2' >] }\n"
    "admin { address: '127.0.0.1:9901' allow_from: '127.0.0.0/8' } log { level: DEBUG }\n"
    "process { user: 'nobody' }";

static const char mistakes[] =
    "listener { adress: '127.0.0.1:4433' name: 5 log { level: INFO } udp_port: x '\\q' }\n"
    "listener { address: 'nowhere' route { upstream: 'w' route { } name: 'a' name: 'b' log {} }\n"
    "upstream [ { name: 'u' protocol: UDP server { weight: -1 } ] admin { address: 1.2.3.4:5 ";

enum { PACKED_MAX = 500 };

struct scenario {
    const char *name;
    const char *text; /* NULL: serialized */
    bool print;
};

static struct options options;

/* False: it was refused, with a reason. */
static bool load(const struct scenario *s)
{
    struct config_errors errors;
    bool good;

    config_errors_init(&errors);
    faults_on();
    if (s->print) {
        char *printed = NULL;
        size_t length;
        FILE *out = open_memstream(&printed, &length);
        assert_non_null(out);
        good = config_print(&options, out, &errors);
        assert_int_equal(fclose(out), 0);
        free(printed);
    } else {
        struct config *config = config_load(&options, &errors);
        good = config != NULL;
        config_release(config);
    }
    assert_true(good || errors.total > 0);
    config_errors_free(&errors);
    faults_off();
    return good;
}

static bool survives(const struct scenario *s, const struct fault *fault, unsigned n)
{
    size_t before = faults_blocks();
    faults_plan(fault, n);
    bool good = load(s);
    bool struck = faults_cancel();
    assert_true(s->text == mistakes ? !good : good || struck);
    assert_int_equal(faults_blocks(), before);
    return struck;
}

/* The least there can be, serialized. Returns its length. */
static size_t pack(uint8_t out[static PACKED_MAX])
{
    Turbotls__V1__Proxy proxy = TURBOTLS__V1__PROXY__INIT;
    Turbotls__V1__Listener listener = TURBOTLS__V1__LISTENER__INIT, *listeners[] = {&listener};
    Turbotls__V1__Upstream upstream = TURBOTLS__V1__UPSTREAM__INIT, *upstreams[] = {&upstream};
    Turbotls__V1__Server server = TURBOTLS__V1__SERVER__INIT, *servers[] = {&server};
    Turbotls__V1__Route route = TURBOTLS__V1__ROUTE__INIT, *routes[] = {&route};
    char here[] = "127.0.0.1:4433", there[] = "192.0.2.1:443", name[] = "u";

    listener.address = here;
    server.address = there;
    upstream.name = route.upstream = name;
    listener.route = routes;
    upstream.server = servers;
    proxy.listener = listeners;
    proxy.upstream = upstreams;
    proxy.n_listener = proxy.n_upstream = listener.n_route = upstream.n_server = 1;
    assert_true(turbotls__v1__proxy__get_packed_size(&proxy) <= PACKED_MAX);
    return turbotls__v1__proxy__pack(&proxy, out);
}

/* Writes what options.config names. */
static void write_file(const struct scenario *s, const char *path)
{
    uint8_t packed[PACKED_MAX];
    size_t length = s->text == NULL ? pack(packed) : strlen(s->text);
    const void *bytes = s->text == NULL ? (const void *)packed : s->text;
    FILE *out = fopen(path, "wb");

    assert_non_null(out);
    assert_true(fwrite(bytes, 1, length, out) == length);
    assert_int_equal(fclose(out), 0);
}

static void at_every_n(void **state)
{
    const struct scenario *s = *state;
    char path[] = "/tmp/turbotls-config-XXXXXX", message[OPTIONS_MESSAGE_BYTES];
    char program[] = "turbotls-proxy", flag[] = "--config";
    char *arguments[] = {program, flag, path, NULL};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    write_file(s, path);
    assert_int_equal(options_parse(&options, 3, arguments, message), OPTIONS_RUN);
    faults_plan(NULL, 0);
    faults_cancel();
    (void)load(s); /* libraries keep what they make when first used */
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (!faults[i].descriptor && survives(s, &faults[i], n))
            n++;
        print_message("%s: %u times a failed %s\n", s->name, n - 1, faults[i].name);
    }
    faults_plan(NULL, 0);
    unlink(path);
}

static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    return 0;
}

static const struct scenario scenarios[] = {
    {.name = "a text", .text = text},
    {.name = "a text printed", .text = text, .print = true},
    {.name = "a text with mistakes", .text = mistakes},
    {.name = "the serialized form"},
};

int main(void)
{
    struct CMUnitTest tests[COUNT(scenarios)];
    faults_install();
    for (size_t i = 0; i < COUNT(scenarios); i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = at_every_n,
                                       .teardown_func = explain,
                                       .initial_state = (void *)(uintptr_t)&scenarios[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
