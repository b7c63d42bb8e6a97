/* The clock: monotonic microseconds. */
#include "tests/unit/support/check.h"

#include <time.h>

#include "tunnel/net/clock.h"

static turbo_time monotonic(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (turbo_time)t.tv_sec * 1000000 + (turbo_time)t.tv_nsec / 1000;
}

static void it_is_the_monotonic_clock_in_microseconds(void **state)
{
    (void)state;
    turbo_time before = monotonic(), now = clock_now(), after = monotonic();
    assert_true(before <= now && now <= after);
    assert_int_equal(TURBO_SECOND, 1000000);
}

static void it_goes_on_and_never_back(void **state)
{
    (void)state;
    turbo_time first = clock_now(), last = first;
    while (last == first) {
        turbo_time now = clock_now();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_is_the_monotonic_clock_in_microseconds),
        CASE(it_goes_on_and_never_back),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
