/*
 * Names and records are looked up while memory runs out: at every n each question is answered, if
 * only with a failure, the next one works, and nothing is left behind.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/dns_server.h"

#include "proxy/net/resolver.h"

static struct ev_loop *loop;
static struct dns_server server;

/* Every name has an address, and a record with TurboTLS. */
static void answer(void *owner, struct dns_message *message)
{
    static const uint8_t address[] = {127, 0, 0, 1}, record[] = {0, 1, 0, 0xff, 0xc8, 0, 0};
    (void)owner;

    if (message->type == DNS_A)
        dns_put_record(message, DNS_A, 60, address, sizeof(address));
    else if (message->type == DNS_HTTPS)
        dns_put_record(message, DNS_HTTPS, 60, record, sizeof(record));
    dns_server_send(&server, message);
}

/* ---- look-ups ---- */

struct answers {
    unsigned expected, calls, good;
};

static void on_resolved(void *owner, const struct address *addresses, size_t count,
                        const char *error)
{
    struct answers *answers = owner;
    (void)addresses;

    answers->calls++;
    answers->good += count == 1;
    assert_int_equal(count == 0, error != NULL);
}

static void on_discovered(void *owner, bool known, bool turbo, uint16_t udp_port)
{
    struct answers *answers = owner;

    answers->calls++;
    answers->good += known && turbo && udp_port == 443;
}

/* How many of the two answers were good. */
static unsigned look_up(struct resolver *resolver, const char *host)
{
    struct answers answers = {0};

    answers.expected += resolver_resolve(resolver, host, on_resolved, &answers) != NULL;
    answers.expected += resolver_discover(resolver, host, 443, on_discovered, &answers) != NULL;
    for (int turns = 0; answers.calls < answers.expected; turns++) {
        assert_true(turns < 1000);
        ev_run(loop, EVRUN_ONCE);
    }
    assert_int_equal(answers.calls, answers.expected);
    return answers.good;
}

static bool survives(const struct fault *fault, unsigned n)
{
    size_t before = faults_blocks();
    const char *error = NULL;

    faults_plan(fault, n);
    faults_on();
    struct resolver *resolver = resolver_create(loop, 0, &error);
    unsigned good = 0;
    if (resolver == NULL)
        assert_non_null(error);
    else if (resolver_set_servers(resolver, server.name))
        good = look_up(resolver, "one.test");
    faults_off();
    bool struck = faults_cancel();
    assert_true(struck || good == 2);
    if (resolver != NULL && resolver_set_servers(resolver, server.name))
        assert_int_equal(look_up(resolver, "two.test"), 2);
    resolver_destroy(resolver);
    assert_int_equal(faults_blocks(), before);
    return struck;
}

static void at_every_n(void **state)
{
    unsigned n = 1;
    (void)state;

    assert_false(faults[0].descriptor || faults[0].in_a_row > 1);
    loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(loop);
    dns_server_start(&server, loop, answer, NULL);
    /* Several in a row cost c-ares its tries, seconds each, and show nothing more. */
    while (survives(&faults[0], n))
        n++;
    print_message("look-ups: %u times a failed %s\n", n - 1, faults[0].name);
    faults_plan(NULL, 0);
    dns_server_stop(&server, loop);
    ev_loop_destroy(loop);
}

static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(at_every_n, explain),
    };
    faults_install();
    return cmocka_run_group_tests_name("look-ups", tests, NULL, NULL);
}
