/* Pipes to splice through: borrowed, given back empty, and never more kept than are wanted. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/pump.h"

static struct pump_pool pool = {.max = PUMP_POOL_MAX + 4};

static int teardown(void **state)
{
    (void)state;
    pump_close_all(&pool);
    return pool.count == 0 ? 0 : -1;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void a_pipe_does_not_block_and_is_not_inherited(void **state)
{
    (void)state;
    struct pump_pipe pipe = {0};
    char byte;
    assert_true(pump_borrow(&pool, &pipe));
    assert_int_equal(pipe.bytes, 0);
    const int ends[] = {pipe.read_end, pipe.write_end};
    for (size_t i = 0; i < COUNT(ends); i++) {
        assert_true((fcntl(ends[i], F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(ends[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    assert_int_equal(write(pipe.write_end, "x", 1), 1);
    assert_int_equal(read(pipe.read_end, &byte, 1), 1);
    assert_true(fcntl(pipe.write_end, F_GETPIPE_SZ) >= PUMP_PIPE_BYTES);
    pump_return(&pool, &pipe);
}

static void an_empty_pipe_is_used_again(void **state)
{
    (void)state;
    struct pump_pipe pipe = {0}, again = {0};
    assert_true(pump_borrow(&pool, &pipe));
    int read_end = pipe.read_end;
    pump_return(&pool, &pipe);
    assert_int_equal(pipe.write_end, 0);
    assert_int_equal(pool.count, 1);
    assert_true(pump_borrow(&pool, &again));
    assert_int_equal(again.read_end, read_end);
    assert_int_equal(pool.count, 0);
    pump_return(&pool, &again);
}

static void there_are_never_more_than_the_limit(void **state)
{
    (void)state;
    struct pump_pool small = {.max = 1};
    struct pump_pipe pipe = {0}, more = {0};
    assert_true(pump_borrow(&small, &pipe));
    assert_false(pump_borrow(&small, &more));
    pump_return(&small, &pipe);
    assert_true(pump_borrow(&small, &more));
    pump_return(&small, &more);
    pump_close_all(&small);
    assert_int_equal(small.open, 0);
}

/* Another connection must not get these bytes. */
static void one_with_bytes_in_it_is_closed(void **state)
{
    (void)state;
    struct pump_pipe pipe = {0};
    assert_true(pump_borrow(&pool, &pipe));
    int read_end = pipe.read_end, write_end = pipe.write_end;
    assert_int_equal(write(write_end, "secret", 6), 6);
    pipe.bytes = 6;
    pump_return(&pool, &pipe);
    assert_int_equal(pool.count, 0);
    assert_false(is_open(read_end) || is_open(write_end));
    assert_int_equal(pipe.bytes, 0);
}

static void one_never_borrowed_may_be_given_back(void **state)
{
    (void)state;
    struct pump_pipe pipe = {0};
    pump_return(&pool, &pipe);
    assert_int_equal(pool.count, 0);
    assert_true(is_open(STDOUT_FILENO));
}

static void no_more_are_kept_than_the_pool_holds(void **state)
{
    (void)state;
    struct pump_pipe pipes[PUMP_POOL_MAX + 2] = {{0}};
    for (size_t i = 0; i < COUNT(pipes); i++)
        assert_true(pump_borrow(&pool, &pipes[i]));
    int last = pipes[PUMP_POOL_MAX + 1].read_end;
    for (size_t i = 0; i < COUNT(pipes); i++)
        pump_return(&pool, &pipes[i]);
    assert_int_equal(pool.count, PUMP_POOL_MAX);
    assert_false(is_open(last));
    int first = pool.idle[0].read_end;
    pump_close_all(&pool);
    assert_int_equal(pool.count, 0);
    assert_false(is_open(first));
}

static void without_descriptors_there_is_none(void **state)
{
    (void)state;
    struct pump_pipe pipe = {0};
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool borrowed = pump_borrow(&pool, &pipe);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_false(borrowed);
    assert_int_equal(pipe.write_end, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_pipe_does_not_block_and_is_not_inherited, teardown),
        cmocka_unit_test_teardown(an_empty_pipe_is_used_again, teardown),
        cmocka_unit_test_teardown(one_with_bytes_in_it_is_closed, teardown),
        cmocka_unit_test(there_are_never_more_than_the_limit),
        cmocka_unit_test_teardown(one_never_borrowed_may_be_given_back, teardown),
        cmocka_unit_test_teardown(no_more_are_kept_than_the_pool_holds, teardown),
        cmocka_unit_test_teardown(without_descriptors_there_is_none, teardown),
    };
    return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
