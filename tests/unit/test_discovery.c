/* Whether a server may be asked by UDP, and at which port; after a record said so, and after it did
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/server.h"
#include "proxy/sides/discovery.h"
#include "proxy/upstream.h"

static const struct turbo_learned silent = {.speaks = false}, spoke = {.speaks = true};

static struct server *make_server(void)
{
    const struct config_server settings = {.host = "www.test", .port = 443, .udp_port = 443};
    struct server *server = server_create(ENDPOINT_TURBO, &settings, 1);
    assert_non_null(server);
    return server;
}

static bool allows(const struct discovery *d, struct server *server, const char *peer,
                   const struct turbo_learned *learned)
{
    struct address address;
    assert_true(address_from_literal(&address, peer, 443));
    discovery_remember(d, server);
    return discovery_allows(d, &address, learned);
}

static uint16_t port_of(const struct server *server, const char *peer)
{
    struct address address;
    assert_true(address_from_literal(&address, peer, 443));
    return discovery_udp_port(server, &address);
}

static void the_port_is_the_records_as_long_as_the_record_counts(void **state)
{
    (void)state;
    const struct config_upstream upstream = {.turbo = CONFIG_TURBO_AUTO, .requested = true};
    const struct discovery record = {
        .settings = &upstream, .known = true, .turbo = true, .udp_port = 8443};
    const struct discovery unknown = {.settings = &upstream};
    const struct discovery none = {.settings = &upstream, .known = true};
    struct server *server = make_server();
    assert_true(allows(&record, server, "192.0.2.1", &silent));
    assert_int_equal(port_of(server, "192.0.2.1"), 8443);
    assert_true(allows(&unknown, server, "192.0.2.1", &spoke)); /* as it was, by memory */
    assert_int_equal(port_of(server, "192.0.2.1"), 8443);
    assert_false(allows(&none, server, "192.0.2.1", &spoke));
    assert_int_equal(port_of(server, "192.0.2.1"), 443);
    server_release(server);
}

/* Protocol §10.5: also where another address of the name has been asked before. */
static void a_record_never_aims_at_what_is_not_public(void **state)
{
    (void)state;
    const struct config_upstream upstream = {.turbo = CONFIG_TURBO_TRY, .requested = true};
    const struct discovery record = {
        .settings = &upstream, .known = true, .turbo = true, .udp_port = 8443};
    const struct discovery unknown = {.settings = &upstream};
    struct server *server = make_server();
    const struct discovery *each[] = {&record, &unknown};
    for (size_t i = 0; i < 2; i++) {
        assert_true(allows(&record, server, "192.0.2.1", &silent));
        assert_int_equal(port_of(server, "192.0.2.1"), 8443);
        assert_true(allows(each[i], server, "10.0.0.1", &silent)); /* TRY; but at its own port */
        assert_int_equal(port_of(server, "10.0.0.1"), 443);
    }
    server_release(server);
}

static void servers_of_the_configuration_keep_their_port(void **state)
{
    (void)state;
    const struct config_upstream upstream = {.turbo = CONFIG_TURBO_AUTO};
    const struct discovery none = {.settings = &upstream};
    struct server *server = make_server();
    server->udp_port = 8443;
    assert_true(allows(&none, server, "10.0.0.1", &silent));
    assert_int_equal(port_of(server, "10.0.0.1"), 8443);
    server_release(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_port_is_the_records_as_long_as_the_record_counts),
        cmocka_unit_test(a_record_never_aims_at_what_is_not_public),
        cmocka_unit_test(servers_of_the_configuration_keep_their_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
