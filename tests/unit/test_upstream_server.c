/* A server of an upstream: its name in logs, who it is, who holds it. */
#include "tests/unit/support/check.h"

#include "proxy/server.h"

static const char *text_of(enum endpoint_kind kind, const char *host, uint16_t udp_port)
{
    static char text[SERVER_TEXT_BYTES];
    const struct config_server settings = {.host = host, .port = 65535, .udp_port = udp_port};
    struct server *s = server_create(kind, &settings, 1);
    assert_non_null(s);
    memcpy(text, s->text, sizeof(text));
    server_release(s);
    return text;
}

static void its_text_is_as_on_the_command_line(void **state)
{
    (void)state;
    char longest[CONFIG_HOST_MAX + 1] = {0};
    assert_string_equal(text_of(ENDPOINT_TCP, "example.org", 65535), "tcp:example.org:65535");
    assert_string_equal(text_of(ENDPOINT_TCP, "example.org", 1), "tcp:example.org:65535");
    assert_string_equal(text_of(ENDPOINT_TURBO, "192.0.2.1", 65535), "turbo:192.0.2.1:65535");
    assert_string_equal(text_of(ENDPOINT_TURBO, "2001:db8::1", 65534),
                        "turbo:[2001:db8::1]:65535,udp=65534");
    memset(longest, ':', CONFIG_HOST_MAX);
    assert_int_equal(strlen(text_of(ENDPOINT_TURBO, longest, 65534)),
                     CONFIG_HOST_MAX + strlen("turbo:[]:65535,udp=65534"));
}

static void it_is_known_by_all_but_its_weight(void **state)
{
    (void)state;
    struct config_server settings = {.host = "example.org", .port = 1, .udp_port = 2, .weight = 3};
    struct server *s = server_create(ENDPOINT_TURBO, &settings, 1);
    settings.weight = 4;
    assert_true(server_is(s, ENDPOINT_TURBO, &settings));
    assert_false(server_is(s, ENDPOINT_TCP, &settings));
    struct config_server other = settings;
    other.port = 2;
    assert_false(server_is(s, ENDPOINT_TURBO, &other));
    other = settings;
    other.udp_port = 1;
    assert_false(server_is(s, ENDPOINT_TURBO, &other));
    other = settings;
    other.host = "example.com";
    assert_false(server_is(s, ENDPOINT_TURBO, &other));
    server_release(s);
}

static void it_lives_until_nobody_holds_it(void **state) /* the sanitizer looks on */
{
    (void)state;
    struct config_server settings = {.host = "example.org", .port = 1};
    struct server *s = server_create(ENDPOINT_TCP, &settings, 1);
    assert_ptr_equal(server_hold(s), s);
    server_release(s);
    assert_string_equal(s->host, "example.org");
    assert_true(health_is_up(&s->health, 0));
    server_release(s);
    server_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(its_text_is_as_on_the_command_line),
        CASE(it_is_known_by_all_but_its_weight),
        CASE(it_lives_until_nobody_holds_it),
    };
    return cmocka_run_group_tests_name("a server of an upstream", tests, NULL, NULL);
}
