/* Servers that were asked for: found again, bounded, counted together, and shared with what
 * follows. */
#include "tests/unit/support/worker_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/target.h"
#include "proxy/targets.h"
#include "proxy/upstream.h"

static struct targets *targets;

static int create(void **state)
{
    (void)state;
    targets = targets_create(ENDPOINT_TURBO);
    return targets == NULL ? -1 : 0;
}

static int release(void **state)
{
    (void)state;
    targets_release(targets);
    return 0;
}

#define TARGETS_CASE(name) cmocka_unit_test_setup_teardown(name, create, release)

/* Number `n`, no longer held. For comparison only: it may be gone. */
static const struct server *number(unsigned n)
{
    char host[32];
    (void)snprintf(host, sizeof(host), "h%u.test", n);
    struct server *server = targets_find(targets, host, 443);
    assert_non_null(server);
    assert_string_equal(server->host, host);
    server_release(server);
    return server;
}

/* ---- one of them ---- */

static void it_is_found_again_by_host_and_port(void **state)
{
    (void)state;
    struct server *a = targets_find(targets, "a.test", 443), *again, *other, *port;
    again = targets_find(targets, "a.test", 443);
    port = targets_find(targets, "a.test", 8443);
    other = targets_find(targets, "b.test", 443);
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, port);
    assert_ptr_not_equal(a, other);
    assert_string_equal(a->text, "turbo:a.test:443");
    assert_int_equal(port->udp_port, 8443);
    server_release(a);
    server_release(again);
    server_release(port);
    server_release(other);
}

static void the_longest_name_is_one(void **state)
{
    (void)state;
    char host[PRELUDE_HOST_MAX + 1];
    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    struct server *one = targets_find(targets, host, 65535);
    struct server *again = targets_find(targets, host, 65535);
    assert_ptr_equal(one, again);
    server_release(one);
    server_release(again);
}

/* ---- all of them ---- */

static void the_least_recently_used_makes_room(void **state)
{
    (void)state;
    struct server *first = targets_find(targets, "h0.test", 443);
    for (unsigned n = 1; n < TARGETS_MAX; n++)
        number(n);
    assert_ptr_equal(number(0), first); /* and now number 1 is the oldest */
    struct server *second = targets_find(targets, "h2.test", 443);
    second->complained = 1;
    struct server *oldest = targets_find(targets, "h1.test", 443);
    oldest->complained = 7;
    for (unsigned n = 3; n < TARGETS_MAX; n++)
        number(n);
    number(0);
    assert_int_equal(number(2)->complained, 1);
    number(TARGETS_MAX); /* in place of number 1 */
    assert_int_equal(number(0) == first, 1);
    assert_int_equal(number(2) == second, 1);
    assert_int_equal(oldest->references, 1); /* who holds it keeps it */
    assert_int_equal(oldest->complained, 7);
    assert_int_equal(number(1)->complained, 0); /* it is a new one */
    server_release(oldest);
    server_release(first);
    server_release(second);
}

/* Many names at one address do not ask it by UDP for ever more. */
static void what_is_known_of_an_address_is_known_under_every_name(void **state)
{
    (void)state;
    struct address address;
    assert_true(address_from_literal(&address, "192.0.2.1", 443));
    memory_of(number(1)->memory, &address)->learned.silent_in_row = 1;
    assert_int_equal(memory_of(number(2)->memory, &address)->learned.silent_in_row, 1);
    assert_true(address_from_literal(&address, "192.0.2.2", 443));
    assert_int_equal(memory_of(number(1)->memory, &address)->learned.silent_in_row, 0);
}

static void a_connection_keeps_the_one_it_has(void **state)
{
    (void)state;
    struct server *server = targets_find(targets, "kept.test", 443);
    server_joined(server);
    server_release(server);
    for (unsigned n = 0; n < 2 * TARGETS_MAX; n++)
        number(n);
    assert_int_equal(targets_total(targets)->connections, 1);
    assert_int_equal(server->references, 1);
    server_note_connect(server, true);
    server_left(server); /* gone: the sanitizer looks on */
    assert_int_equal(targets_total(targets)->connections, 0);
    assert_int_equal(targets_total(targets)->connected, 1);
}

static void a_connection_outlives_them_all(void **state)
{
    struct server *server = targets_find(targets, "kept.test", 443);
    server_joined(server);
    server_release(server);
    release(state);
    server_note_connect(server, false);
    assert_int_equal(server->total->failed, 1);
    server_left(server);
    create(state);
}

static void they_add_up(void **state)
{
    (void)state;
    struct server *a = targets_find(targets, "a.test", 443);
    struct server *b = targets_find(targets, "b.test", 443);
    server_joined(a);
    server_joined(b);
    server_joined(b);
    server_note_connect(a, true);
    server_note_connect(b, false);
    server_note_connect(b, true);
    const struct server *total = targets_total(targets);
    assert_int_equal(total->connections, 3);
    assert_int_equal(total->connected, 2);
    assert_int_equal(total->failed, 1);
    assert_int_equal(b->connected, 1);
    server_left(a);
    server_left(b);
    server_left(b);
    assert_int_equal(total->connections, 0);
    server_release(a);
    server_release(b);
}

/* ---- from configuration to configuration ---- */

#define LISTENER                                                                                   \
    "listener { address: '127.0.0.1:0' protocol: TCP request: SOCKS5 "                             \
    "route { requested_host: '*' upstream: 'asked' } } "

static struct server *asked_for(struct fixture *f)
{
    struct target *target = target_create("a.test", 443);
    struct server *server = upstream_requested(fixture_upstream(f), target);
    free(target);
    return server;
}

static void a_reload_keeps_them(void **state)
{
    struct fixture *f = *state;
    fixture_configure(f, LISTENER "upstream { name: 'asked' protocol: TURBO requested: true }");
    fixture_serve(f);
    struct server *before = asked_for(f);
    fixture_reconfigure(f, LISTENER "upstream { name: 'asked' protocol: TURBO requested: true "
                                    "connect_timeout_seconds: 3 }");
    struct server *after = asked_for(f);
    assert_ptr_equal(before, after);
    server_release(before);
    server_release(after);
}

static void one_of_another_kind_forgets_them(void **state)
{
    struct fixture *f = *state;
    fixture_configure(f, LISTENER "upstream { name: 'asked' protocol: TURBO requested: true }");
    fixture_serve(f);
    struct server *before = asked_for(f);
    fixture_reconfigure(f, LISTENER "upstream { name: 'asked' protocol: TCP requested: true }");
    struct server *after = asked_for(f);
    assert_ptr_not_equal(before, after);
    assert_string_equal(after->text, "tcp:a.test:443");
    server_release(before);
    server_release(after);
}

static void one_with_servers_of_its_own_too(void **state)
{
    struct fixture *f = *state;
    fixture_configure(f, LISTENER "upstream { name: 'asked' protocol: TURBO requested: true }");
    fixture_serve(f);
    server_release(asked_for(f));
    fixture_reconfigure(f, LISTENER "upstream { name: 'asked' server { address: '127.0.0.1:1' } }");
    assert_null(fixture_upstream(f)->targets);
    fixture_reconfigure(f, LISTENER "upstream { name: 'asked' protocol: TURBO requested: true }");
    server_release(asked_for(f));
}

/* ---- what was asked for ---- */

static void a_name_is_in_lower_case_without_a_dot(void **state)
{
    (void)state;
    char text[TARGET_TEXT_BYTES];
    struct target *target = target_create("WWW.Example.TEST.", 443);
    assert_true(target->is_name);
    assert_int_equal(target->address_count, 0);
    assert_string_equal(target_text(target, text), "www.example.test:443");
    free(target);
}

static void an_address_is_one(void **state)
{
    (void)state;
    char text[TARGET_TEXT_BYTES];
    static const struct {
        const char *host, *text;
    } literals[] = {{"192.0.2.1", "192.0.2.1:8443"}, {"2001:db8::1", "[2001:db8::1]:8443"}};
    for (size_t i = 0; i < COUNT(literals); i++) {
        struct target *target = target_create(literals[i].host, 8443);
        assert_false(target->is_name);
        assert_int_equal(target->address_count, 1);
        assert_int_equal(address_port(&target->addresses[0]), 8443);
        assert_string_equal(target->host, literals[i].host);
        assert_string_equal(target_text(target, text), literals[i].text);
        free(target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TARGETS_CASE(it_is_found_again_by_host_and_port),
        TARGETS_CASE(the_longest_name_is_one),
        TARGETS_CASE(the_least_recently_used_makes_room),
        TARGETS_CASE(what_is_known_of_an_address_is_known_under_every_name),
        TARGETS_CASE(a_connection_keeps_the_one_it_has),
        TARGETS_CASE(a_connection_outlives_them_all),
        TARGETS_CASE(they_add_up),
        FIXTURE_CASE(a_reload_keeps_them),
        FIXTURE_CASE(one_of_another_kind_forgets_them),
        FIXTURE_CASE(one_with_servers_of_its_own_too),
        CASE(a_name_is_in_lower_case_without_a_dot),
        CASE(an_address_is_one),
    };
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
