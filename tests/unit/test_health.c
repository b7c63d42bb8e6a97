/* When a server is left out, for how long, and who finds out that it is back; in virtual time. */
#include "tests/unit/support/check.h"

#include "proxy/health.h"
#include "turbo/protocol.h"

#define SECONDS(n) ((turbo_time)(n)*TURBO_SECOND)

/* Any instant; nothing depends on it. */
#define START SECONDS(1000)

static const struct config_health settings = {
    .max_failures = 3, .back_off_s = 2., .max_back_off_s = 10.};

/* Left out at START, with a back-off of 2 s. */
static struct health out(void)
{
    struct health h = {0};
    assert_false(health_failed(&h, &settings, false, START));
    assert_false(health_failed(&h, &settings, false, START));
    assert_true(health_failed(&h, &settings, false, START));
    return h;
}

static void a_new_one_is_up_and_on_no_trial(void **state)
{
    (void)state;
    struct health h = {0};
    assert_true(health_is_up(&h, 0));
    assert_true(health_is_up(&h, START));
    assert_false(health_try(&h, START));
    assert_true(health_is_up(&h, START));
}

static void so_many_failures_in_a_row_leave_it_out(void **state)
{
    (void)state;
    struct health h = {0};
    health_failed(&h, &settings, false, START);
    health_failed(&h, &settings, false, START);
    assert_true(health_is_up(&h, START));
    assert_false(health_succeeded(&h)); /* it was not out, and the row is over */
    health_failed(&h, &settings, false, START);
    health_failed(&h, &settings, false, START);
    assert_true(health_is_up(&h, START));
    assert_true(health_failed(&h, &settings, false, START));
    assert_false(health_is_up(&h, START));
    assert_int_equal(h.back_off, SECONDS(2));
}

static void one_failure_is_enough_where_one_is_the_most(void **state)
{
    (void)state;
    struct health h = {0};
    const struct config_health strict = {.max_failures = 1, .back_off_s = .5, .max_back_off_s = 1};
    assert_true(health_failed(&h, &strict, false, START));
    assert_false(health_is_up(&h, START + SECONDS(1) / 2 - 1));
    assert_true(health_is_up(&h, START + SECONDS(1) / 2));
}

static void after_the_back_off_one_tries_it_and_the_others_do_not(void **state)
{
    (void)state;
    struct health h = out();
    assert_false(health_try(&h, START + SECONDS(2) - 1)); /* had nowhere else to go */
    assert_false(health_is_up(&h, START + SECONDS(2) - 1));
    assert_true(health_is_up(&h, START + SECONDS(2)));
    assert_true(health_try(&h, START + SECONDS(2)));
    assert_false(health_is_up(&h, START + SECONDS(2)));
    assert_false(health_try(&h, START + SECONDS(2)));
    assert_false(health_is_up(&h, START + SECONDS(1000)));
}

static void each_failed_trial_doubles_the_back_off_up_to_the_most(void **state)
{
    (void)state;
    static const turbo_time expected[] = {SECONDS(4), SECONDS(8), SECONDS(10), SECONDS(10)};
    struct health h = out();
    turbo_time now = START + SECONDS(2);
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(health_try(&h, now));
        now += SECONDS(1); /* it takes a while to fail */
        assert_true(health_failed(&h, &settings, true, now));
        assert_int_equal(h.back_off, expected[i]);
        assert_false(health_is_up(&h, now + expected[i] - 1));
        now += expected[i];
        assert_true(health_is_up(&h, now));
    }
}

static void the_first_back_off_is_no_longer_than_the_most(void **state)
{
    (void)state;
    struct health h = {0};
    const struct config_health odd = {.max_failures = 1, .back_off_s = 9., .max_back_off_s = 3.};
    assert_true(health_failed(&h, &odd, false, START));
    assert_int_equal(h.back_off, SECONDS(3));
}

static void many_that_fail_at_once_leave_it_out_once(void **state)
{
    (void)state;
    struct health h = out();
    for (int i = 0; i < 100; i++)
        assert_false(health_failed(&h, &settings, false, START + SECONDS(1)));
    assert_int_equal(h.back_off, SECONDS(2));
    assert_true(health_is_up(&h, START + SECONDS(2)));
    /* Nor do those that began before and fail after it has passed, or beside the trial. */
    assert_false(health_failed(&h, &settings, false, START + SECONDS(3)));
    assert_true(health_try(&h, START + SECONDS(3)));
    assert_false(health_failed(&h, &settings, false, START + SECONDS(3)));
    assert_true(h.on_trial);
    assert_int_equal(h.back_off, SECONDS(2));
}

static void a_success_ends_it_all(void **state)
{
    (void)state;
    struct health h = out();
    assert_true(health_try(&h, START + SECONDS(2)));
    assert_true(health_failed(&h, &settings, true, START + SECONDS(2)));
    assert_true(health_try(&h, START + SECONDS(6)));
    assert_true(health_succeeded(&h));
    assert_true(health_is_up(&h, START + SECONDS(6)));
    assert_false(health_succeeded(&h)); /* said once */
    health_failed(&h, &settings, false, START);
    health_failed(&h, &settings, false, START);
    assert_true(health_is_up(&h, START));
    assert_true(health_failed(&h, &settings, false, START));
    assert_int_equal(h.back_off, SECONDS(2)); /* from the beginning */
}

static void also_that_of_one_that_was_not_on_trial(void **state)
{
    (void)state;
    struct health h = out();
    assert_true(health_try(&h, START + SECONDS(2)));
    assert_true(health_succeeded(&h));
    /* The one on trial fails later: a failure as any other. */
    assert_false(health_failed(&h, &settings, true, START + SECONDS(3)));
    assert_true(health_is_up(&h, START + SECONDS(3)));
}

static void a_trial_that_is_given_up_leaves_it_to_the_next(void **state)
{
    (void)state;
    struct health h = out();
    assert_true(health_try(&h, START + SECONDS(2)));
    health_gave_up(&h, false); /* another one */
    assert_false(health_is_up(&h, START + SECONDS(2)));
    health_gave_up(&h, true);
    assert_true(health_is_up(&h, START + SECONDS(2)));
    assert_true(health_try(&h, START + SECONDS(2)));
    assert_int_equal(h.back_off, SECONDS(2));
}

static void a_trial_that_is_over_does_not_double_twice(void **state)
{
    (void)state;
    struct health h = out();
    assert_true(health_try(&h, START + SECONDS(2)));
    assert_true(health_succeeded(&h));
    for (uint32_t i = 0; i < settings.max_failures; i++)
        health_failed(&h, &settings, false, START + SECONDS(3));
    assert_false(health_failed(&h, &settings, true, START + SECONDS(3)));
    assert_int_equal(h.back_off, SECONDS(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_one_is_up_and_on_no_trial),
        CASE(so_many_failures_in_a_row_leave_it_out),
        CASE(one_failure_is_enough_where_one_is_the_most),
        CASE(after_the_back_off_one_tries_it_and_the_others_do_not),
        CASE(each_failed_trial_doubles_the_back_off_up_to_the_most),
        CASE(the_first_back_off_is_no_longer_than_the_most),
        CASE(many_that_fail_at_once_leave_it_out_once),
        CASE(a_success_ends_it_all),
        CASE(also_that_of_one_that_was_not_on_trial),
        CASE(a_trial_that_is_given_up_leaves_it_to_the_next),
        CASE(a_trial_that_is_over_does_not_double_twice),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
