/* What the listeners of several workers share: how many connections, and the sockets until the last
 * one closes. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "proxy/listener_group.h"

enum { WORKERS = 6, MOST = 3, ROUNDS = 20000 };

static struct listener_group *created(void)
{
    struct listener_group *group = listener_group_create();
    assert_non_null(group);
    return group;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* ---- connections ---- */

static void so_many_connections_fit(void **state)
{
    (void)state;
    struct listener_group *group = created();
    assert_true(listener_group_began(group, 2));
    assert_false(listener_group_is_full(group, 2));
    assert_true(listener_group_began(group, 2));
    assert_true(listener_group_is_full(group, 2));
    assert_false(listener_group_began(group, 2)); /* it counts all the same, until it has ended */
    listener_group_ended(group);
    listener_group_ended(group);
    assert_false(listener_group_is_full(group, 2));
    assert_false(listener_group_is_full(group, 0));
    assert_true(listener_group_began(group, 0));
    assert_int_equal(group->connections, 2);
    listener_group_release(group);
}

struct crowd {
    struct listener_group *group;
    _Atomic unsigned inside, most_inside, ever;
};

static void *go_in_and_out(void *argument)
{
    struct crowd *c = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (listener_group_began(c->group, MOST)) {
            unsigned inside = atomic_fetch_add(&c->inside, 1) + 1;
            atomic_fetch_add(&c->ever, 1);
            unsigned most = atomic_load(&c->most_inside);
            while (inside > most && !atomic_compare_exchange_weak(&c->most_inside, &most, inside))
                ;
            sched_yield();
            atomic_fetch_sub(&c->inside, 1);
        }
        listener_group_ended(c->group);
    }
    return NULL;
}

static void no_more_fit_whoever_counts_them(void **state)
{
    (void)state;
    struct crowd crowd = {.group = created()};
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, go_in_and_out, &crowd), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(crowd.most_inside, 1, MOST);
    assert_true(crowd.ever > 0);
    assert_int_equal(crowd.group->connections, 0);
    listener_group_release(crowd.group);
}

/* ---- its life ---- */

static void *hold_and_release(void *argument)
{
    struct listener_group *group = argument;
    for (int i = 0; i < ROUNDS; i++)
        listener_group_release(listener_group_hold(group));
    listener_group_release(group);
    return NULL;
}

static void it_lives_until_the_last_one_lets_go(void **state)
{
    (void)state;
    struct listener_group *group = created();
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, hold_and_release, listener_group_hold(group)), 0);
    listener_group_release(group);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    listener_group_release(NULL);
}

/* ---- sockets ---- */

/* Else the kernel would put the last one in its place, and give it what is another's. */
static void sockets_are_closed_with_the_last_of_them(void **state)
{
    (void)state;
    struct listener_group *group = created();
    int fds[3];
    for (unsigned i = 0; i < COUNT(fds); i++) {
        fds[i] = dup(0);
        listener_group_opened_udp(group);
    }
    listener_group_close_udp(group, 1, fds[1]);
    listener_group_close_udp(group, 0, fds[0]);
    for (unsigned i = 0; i < COUNT(fds); i++)
        assert_true(is_open(fds[i]));
    listener_group_close_udp(group, 2, fds[2]);
    for (unsigned i = 0; i < COUNT(fds); i++)
        assert_false(is_open(fds[i]));
    listener_group_release(group);
}

static void sockets_are_closed_with_the_group(void **state)
{
    (void)state;
    struct listener_group *group = created();
    int fd = dup(0);
    listener_group_opened_udp(group);
    listener_group_opened_udp(group); /* whose owner never came to close it */
    listener_group_close_udp(group, CONFIG_WORKERS_MAX - 1, fd);
    assert_true(is_open(fd));
    listener_group_release(group);
    assert_false(is_open(fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(so_many_connections_fit),
        CASE(no_more_fit_whoever_counts_them),
        CASE(it_lives_until_the_last_one_lets_go),
        CASE(sockets_are_closed_with_the_last_of_them),
        CASE(sockets_are_closed_with_the_group),
    };
    return cmocka_run_group_tests_name("listener_group", tests, NULL, NULL);
}
