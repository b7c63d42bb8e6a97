/* Sessions' blocks: kept for the next session, but not for longer than they are wanted. */
#include "tests/unit/support/check.h"

#include <stdint.h>
#include <string.h>

#include "proxy/ops/blocks.h"

enum { BYTES = 90 * 1024, LARGER_BYTES = 140 * 1024, MANY = 200, KEPT_MAX = 100 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KEEPS_ANY = 0 };
#else
enum { KEEPS_ANY = 1 };
#endif

static struct blocks blocks;

static int setup(void **state)
{
    (void)state;
    blocks_init(&blocks, ev_loop_new(EVFLAG_AUTO));
    blocks.timer.repeat = 0.001;
    return blocks.loop == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    blocks_end(&blocks);
    ev_loop_destroy(blocks.loop);
    return 0;
}

static size_t spare(void)
{
    size_t all = 0;
    for (size_t i = 0; i < BLOCKS_SIZES; i++)
        all += blocks.kinds[i].count;
    return all;
}

static void give_many(void)
{
    void *taken[MANY];
    for (size_t i = 0; i < MANY; i++) {
        taken[i] = blocks_take(&blocks, BYTES);
        assert_non_null(taken[i]);
        memset(taken[i], 1, BYTES);
    }
    for (size_t i = 0; i < MANY; i++)
        blocks_give(&blocks, taken[i]);
}

static void one_is_aligned_and_used_again(void **state)
{
    (void)state;
    void *first = blocks_take(&blocks, BYTES);
    assert_non_null(first);
    assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
    blocks_give(&blocks, first);
    void *other = blocks_take(&blocks, LARGER_BYTES);
    assert_ptr_not_equal(other, first);
    void *second = blocks_take(&blocks, BYTES);
    if (KEEPS_ANY)
        assert_ptr_equal(second, first);
    blocks_give(&blocks, second);
    blocks_give(&blocks, other);
    blocks_give(&blocks, NULL);
}

static void few_are_kept_of_many(void **state)
{
    (void)state;
    give_many();
    assert_true(spare() <= KEPT_MAX);
    assert_true(!KEEPS_ANY || spare() > 0);
}

static void those_that_nobody_wants_are_given_back(void **state)
{
    (void)state;
    give_many();
    while (spare() > 0)
        ev_run(blocks.loop, EVRUN_ONCE);
    ev_run(blocks.loop, 0); /* nor is there anything to wait for */
    give_many();
    assert_true(!KEEPS_ANY || spare() > 0);
}

static void those_that_are_used_stay(void **state)
{
    (void)state;
    void *used = blocks_take(&blocks, BYTES);
    void *unused = blocks_take(&blocks, BYTES);
    blocks_give(&blocks, unused);
    blocks_give(&blocks, used);
    for (size_t left = spare(); KEEPS_ANY && left > 1; left = spare()) {
        used = blocks_take(&blocks, BYTES);
        blocks_give(&blocks, used);
        ev_run(blocks.loop, EVRUN_ONCE); /* between two calls of the timer it was in use */
    }
    for (int i = 0; KEEPS_ANY && i < 3; i++) {
        blocks_give(&blocks, blocks_take(&blocks, BYTES));
        ev_run(blocks.loop, EVRUN_ONCE);
        assert_int_equal(spare(), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_is_aligned_and_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(few_are_kept_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(those_that_nobody_wants_are_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(those_that_are_used_stay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
