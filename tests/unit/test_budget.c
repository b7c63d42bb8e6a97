/* One response for a request and three bytes for one, by address: protocol §4.1, 4.2. */
#include "tests/unit/support/check.h"

#include "turbo/budget.h"

static struct budget budget;
static struct turbo_path to;

static void earn(uint8_t client, size_t bytes)
{
    struct turbo_path path = check_path(client, 1000);
    assert_true(budget_earn(&budget, &path, bytes));
}

/* 0: nothing can be spent. */
static unsigned spend(size_t bytes)
{
    memset(&to, 0, sizeof(to));
    return budget_spend(&budget, bytes, &to) ? to.peer.ip[15] : 0u;
}

static int begin(void **state)
{
    (void)state;
    memset(&budget, 0, sizeof(budget));
    return 0;
}

static void nothing_is_sent_to_who_sent_nothing(void **state)
{
    (void)state;
    assert_int_equal(spend(0), 0);
    assert_int_equal(spend(16), 0);
}

static void a_request_is_answered_once(void **state)
{
    (void)state;
    earn(1, 1200);
    assert_int_equal(spend(16), 1);
    assert_int_equal(spend(16), 0);
    earn(1, 16);
    earn(1, 16);
    assert_int_equal(spend(16), 1);
    assert_int_equal(spend(16), 1);
    assert_int_equal(spend(16), 0);
}

static void three_times_the_bytes_to_the_byte(void **state)
{
    (void)state;
    for (size_t size = 16; size <= 1200; size += 16) {
        begin(NULL);
        earn(1, size);
        assert_int_equal(spend(3 * size + 1), 0);
        assert_int_equal(spend(3 * size), 1);
    }
    begin(NULL);
    for (int i = 0; i < 10; i++)
        earn(1, 100);
    for (int i = 0; i < 9; i++)
        assert_int_equal(spend(303), 1);
    assert_int_equal(spend(3000 - 9 * 303 + 1), 0);
    assert_int_equal(spend(3000 - 9 * 303), 1);
}

static void what_cannot_be_spent_costs_nothing(void **state)
{
    (void)state;
    earn(1, 100);
    for (int i = 0; i < 5; i++)
        assert_int_equal(spend(301), 0);
    assert_int_equal(spend(300), 1);
}

static void one_address_does_not_pay_for_another(void **state)
{
    (void)state;
    earn(1, 1200);
    earn(2, 16);
    earn(2, 16);
    assert_int_equal(spend(48), 2);
    assert_int_equal(spend(100), 1); /* 2 has a permit, but not the bytes */
    assert_int_equal(spend(100), 0);
    assert_int_equal(spend(48), 2);
    assert_int_equal(spend(1), 0);
}

static void the_address_heard_last_is_answered_first(void **state)
{
    (void)state;
    for (uint8_t client = 1; client <= 4; client++)
        for (int i = 0; i < 3; i++)
            earn(client, 100);
    assert_int_equal(spend(10), 4);
    earn(2, 100);
    assert_int_equal(spend(10), 2);
    earn(3, 100);
    assert_int_equal(spend(10), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(spend(10), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(spend(10), 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(spend(10), 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(spend(10), 1);
    assert_int_equal(spend(10), 0);
}

static void a_fifth_address_earns_nothing(void **state)
{
    struct turbo_path fifth = check_path(5, 1000);
    (void)state;
    for (uint8_t client = 1; client <= 4; client++)
        earn(client, 100);
    assert_false(budget_earn(&budget, &fifth, 100));
    for (unsigned client = 4; client >= 1; client--)
        assert_int_equal(spend(10), client);
    assert_int_equal(spend(10), 0);
    assert_false(budget_earn(&budget, &fifth, 100)); /* nor later */
}

static void the_port_the_scope_and_our_own_address_tell_paths_apart(void **state)
{
    struct turbo_path paths[4];
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        paths[i] = check_path(1, 1000);
    paths[1].peer.port = 1001;
    paths[2].peer.scope = 3;
    paths[3].local.ip[15] ^= 1;
    for (size_t i = 0; i < COUNT(paths); i++)
        assert_true(budget_earn(&budget, &paths[i], 100));
    assert_int_equal(budget.count, 4);
    for (size_t i = COUNT(paths); i-- > 0;) {
        assert_int_equal(spend(10), 1);
        assert_memory_equal(&to.peer.ip, &paths[i].peer.ip, 16);
        assert_int_equal(to.peer.port, paths[i].peer.port);
        assert_int_equal(to.peer.scope, paths[i].peer.scope);
        assert_int_equal(to.local.ip[15], paths[i].local.ip[15]);
    }
}

static void sums_do_not_wrap(void **state)
{
    struct turbo_path path = check_path(1, 1000);
    (void)state;
    earn(1, UINT32_MAX / 3 - 1200);
    earn(1, 1200);
    assert_false(budget_earn(&budget, &path, 1));
    assert_int_equal(spend((size_t)UINT32_MAX / 3 * 3), 1);
    assert_int_equal(spend(1), 0);
}

#define FRESH(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(nothing_is_sent_to_who_sent_nothing),
        FRESH(a_request_is_answered_once),
        FRESH(three_times_the_bytes_to_the_byte),
        FRESH(what_cannot_be_spent_costs_nothing),
        FRESH(one_address_does_not_pay_for_another),
        FRESH(the_address_heard_last_is_answered_first),
        FRESH(a_fifth_address_earns_nothing),
        FRESH(the_port_the_scope_and_our_own_address_tell_paths_apart),
        FRESH(sums_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
