/* Choosing by weight: exact shares, spread evenly. */
#include "tests/unit/support/check.h"

#include "proxy/balance.h"

#define ALL UINT64_MAX

static int64_t credit[BALANCE_MAX];

/* Each test begins with nobody owed anything. */
#define TEST(name) TEST_BETWEEN(name, memset(credit, 0, sizeof(credit)), (void)0)

static void count_picks(const uint32_t *weights, size_t count, uint64_t eligible, size_t picks,
                        unsigned *counts)
{
    for (size_t i = 0; i < picks; i++) {
        size_t pick = balance_pick(weights, count, eligible, credit);
        assert_true(pick < count);
        counts[pick]++;
    }
}

TEST(the_order_is_the_smooth_one)
{
    static const uint32_t weights[] = {5, 1, 1};
    char order[15] = {0};
    for (size_t i = 0; i < 14; i++)
        order[i] = "ABC"[balance_pick(weights, 3, ALL, credit)];
    assert_string_equal(order, "AABACAAAABACAA");
}

TEST(shares_are_exact_in_each_round)
{
    static const uint32_t weights[] = {5, 1, 1};
    for (unsigned round = 0; round < 100; round++) {
        unsigned counts[3] = {0};
        count_picks(weights, COUNT(weights), ALL, 7, counts);
        assert_int_equal(counts[0], 5);
        assert_int_equal(counts[1], 1);
        assert_int_equal(counts[2], 1);
    }
}

TEST(also_of_as_many_as_there_may_be_with_large_weights)
{
    uint32_t weights[BALANCE_MAX];
    unsigned counts[BALANCE_MAX] = {0};
    size_t sum = 0;
    for (size_t i = 0; i < BALANCE_MAX; i++)
        sum += weights[i] = (uint32_t)(i * 37 % 1000 + 1);
    count_picks(weights, BALANCE_MAX, ALL, sum, counts);
    for (size_t i = 0; i < BALANCE_MAX; i++)
        assert_int_equal(counts[i], weights[i]);
}

TEST(who_is_not_eligible_is_not_chosen_and_makes_up_for_nothing)
{
    static const uint32_t weights[] = {1, 1, 2};
    unsigned counts[3] = {0};
    count_picks(weights, 3, 0x5, 300, counts);
    assert_int_equal(counts[0], 100);
    assert_int_equal(counts[1], 0);
    assert_int_equal(counts[2], 200);
    unsigned after[3] = {0};
    count_picks(weights, 3, ALL, 4, after); /* back: its share, no more */
    assert_int_equal(after[0], 1);
    assert_int_equal(after[1], 1);
    assert_int_equal(after[2], 2);
}

TEST(those_of_weight_0_stand_in_for_all_the_others_in_turns)
{
    static const uint32_t weights[] = {3, 0, 0, 1};
    unsigned counts[4] = {0};
    count_picks(weights, 4, ALL, 40, counts);
    assert_int_equal(counts[1] + counts[2], 0);
    count_picks(weights, 4, 0x6, 10, counts);
    assert_int_equal(counts[1], 5);
    assert_int_equal(counts[2], 5);
    count_picks(weights, 4, 0xe, 10, counts); /* one of the others is back */
    assert_int_equal(counts[3], 20);
}

TEST(of_nobody_none_is_chosen)
{
    static const uint32_t weights[] = {1, 0};
    assert_true(balance_pick(weights, 2, 0, credit) == BALANCE_NONE);
    assert_true(balance_pick(weights, 0, 0, credit) == BALANCE_NONE);
    assert_int_equal(credit[0], 0);
    assert_int_equal(balance_pick(weights, 2, 0x2, credit), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_order_is_the_smooth_one),
        CASE(shares_are_exact_in_each_round),
        CASE(also_of_as_many_as_there_may_be_with_large_weights),
        CASE(who_is_not_eligible_is_not_chosen_and_makes_up_for_nothing),
        CASE(those_of_weight_0_stand_in_for_all_the_others_in_turns),
        CASE(of_nobody_none_is_chosen),
    };
    return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
