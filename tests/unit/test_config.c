/* A configuration: its memory, which listeners are the same one, and which are in each other's way.
 */
#include "tests/unit/support/check.h"

#include "proxy/config/config.h"

static struct config_listener listener(enum endpoint_kind kind, const char *host, uint16_t port)
{
    struct config_listener listener = {.kind = kind, .dual_stack = strcmp(host, "*") == 0};

    if (listener.dual_stack)
        address_wildcard(&listener.address, AF_INET6, port);
    else if (!address_from_literal(&listener.address, host, port))
        fail_msg("'%s' is a literal", host);
    listener.same_udp_port = kind == ENDPOINT_TURBO;
    listener.udp_port = kind == ENDPOINT_TURBO ? port : 0;
    return listener;
}

static struct config_listener with_udp(const char *host, uint16_t port, uint16_t udp_port)
{
    struct config_listener with = listener(ENDPOINT_TURBO, host, port);

    with.same_udp_port = false;
    with.udp_port = udp_port;
    return with;
}

static void memory_goes_with_the_last_who_holds_it(void **state)
{
    struct config *config = config_create();
    uint8_t *bytes = config_alloc(config, 1000);
    const char *text = config_text(config, "text");
    (void)state;

    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], 0);
    assert_non_null(config_alloc(config, 0));
    assert_null(config_alloc(config, SIZE_MAX));
    assert_ptr_equal(config_hold(config), config);
    config_release(config);
    assert_string_equal(text, "text");
    memset(bytes, 1, 1000);
    config_release(config); /* a sanitizer tells when something is left */
    config_release(NULL);
}

static void a_listener_is_the_same_when_its_sockets_are(void **state)
{
    struct config_listener turbo = listener(ENDPOINT_TURBO, "127.0.0.1", 443), other;
    struct config_listener all = listener(ENDPOINT_TCP, "*", 443),
                           all_v6 = listener(ENDPOINT_TCP, "::", 443);
    (void)state;

    other = turbo;
    other.name = "another";
    other.idle_timeout_s = 1;
    assert_true(config_same_listener(&turbo, &other));
    other = with_udp("127.0.0.1", 443, 443); /* may move when the TCP port is the kernel's choice */
    assert_false(config_same_listener(&turbo, &other));
    other = listener(ENDPOINT_TURBO, "127.0.0.1", 444);
    assert_false(config_same_listener(&turbo, &other));
    other = listener(ENDPOINT_TURBO, "127.0.0.2", 443);
    assert_false(config_same_listener(&turbo, &other));
    other = listener(ENDPOINT_TCP, "127.0.0.1", 443);
    assert_false(config_same_listener(&turbo, &other));
    assert_false(config_same_listener(&all, &all_v6));
    assert_true(config_same_listener(&all, &all));
}

static void listeners_clash_where_both_would_take_a_port(void **state)
{
    struct config_listener tcp = listener(ENDPOINT_TCP, "127.0.0.1", 443),
                           turbo = listener(ENDPOINT_TURBO, "127.0.0.1", 8443),
                           all = listener(ENDPOINT_TCP, "*", 443),
                           v6 = listener(ENDPOINT_TCP, "::", 443),
                           any = listener(ENDPOINT_TURBO, "*", 0),
                           udp = with_udp("0.0.0.0", 1, 8443);
    (void)state;

    assert_int_equal(config_clash(&tcp, &turbo), CONFIG_CLASH_NONE);
    assert_int_equal(config_clash(&tcp, &v6), CONFIG_CLASH_NONE);
    assert_int_equal(config_clash(&any, &any), CONFIG_CLASH_NONE);
    assert_int_equal(config_clash(&tcp, &all), CONFIG_CLASH_TCP);
    assert_int_equal(config_clash(&all, &v6), CONFIG_CLASH_TCP);
    assert_int_equal(config_clash(&turbo, &udp), CONFIG_CLASH_UDP);
    assert_int_equal(config_clash(&udp, &turbo), CONFIG_CLASH_UDP);
    assert_int_equal(config_clash(&turbo, &turbo), CONFIG_CLASH_TCP);
}

static void a_listener_prints_as_the_command_line_takes_it(void **state)
{
    static const char *const expected[] = {"tcp:*:443", "turbo:127.0.0.1:443", "tcp:[::]:443",
                                           "turbo:[::1]:443,udp=0"};
    const struct config_listener cases[] = {
        listener(ENDPOINT_TCP, "*", 443), listener(ENDPOINT_TURBO, "127.0.0.1", 443),
        listener(ENDPOINT_TCP, "::", 443), with_udp("::1", 443, 0)};
    char text[CONFIG_LISTEN_TEXT_BYTES];
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(config_listen_text(&cases[i], text), expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(memory_goes_with_the_last_who_holds_it),
        CASE(a_listener_is_the_same_when_its_sockets_are),
        CASE(listeners_clash_where_both_would_take_a_port),
        CASE(a_listener_prints_as_the_command_line_takes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
