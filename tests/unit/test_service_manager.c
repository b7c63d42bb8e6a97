/* What systemd is told, by a socket that stands in for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ev.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/ops/service_manager.h"

struct fixture {
    int manager;
    char text[512];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(sa_family_t); /* the kernel chooses an abstract name */
    char name[64];

    assert_non_null(fixture);
    fixture->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fixture->manager >= 0);
    assert_int_equal(bind(fixture->manager, (struct sockaddr *)&address, length), 0);
    length = sizeof(address);
    assert_int_equal(getsockname(fixture->manager, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(name, sizeof(name), "@%.*s", (int)(length - sizeof(sa_family_t) - 1),
                   address.sun_path + 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    close(fixture->manager);
    free(fixture);
    return unsetenv("NOTIFY_SOCKET") + unsetenv("WATCHDOG_USEC") + unsetenv("WATCHDOG_PID");
}

static const char *told(struct fixture *fixture)
{
    ssize_t length = recv(fixture->manager, fixture->text, sizeof(fixture->text) - 1, 0);

    fixture->text[length > 0 ? length : 0] = '\0';
    return fixture->text;
}

static void each_call_is_one_message(void **state)
{
    struct fixture *fixture = *state;

    service_manager_ready("2 listeners");
    assert_string_equal(told(fixture), "READY=1\nSTATUS=2 listeners");
    service_manager_status("draining");
    assert_string_equal(told(fixture), "STATUS=draining");
    service_manager_successor(71);
    assert_string_equal(told(fixture), "MAINPID=71");
    service_manager_stopping();
    assert_string_equal(told(fixture), "STOPPING=1");
    service_manager_reloading();
    assert_int_equal(strncmp(told(fixture), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    assert_true(strtoull(fixture->text + 27, NULL, 10) > 0);
}

static void without_a_manager_nothing_happens(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    service_manager_ready("2 listeners");
    service_manager_stopping();
    assert_string_equal(told(fixture), "");
}

static void ask_for_watchdog(pid_t process)
{
    char number[32];

    (void)snprintf(number, sizeof(number), "%d", (int)process);
    assert_int_equal(setenv("WATCHDOG_PID", number, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "2000", 1), 0);
}

/* Something else must keep the loop running: the watchdog does not. */
static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_timer_stop(loop, timer);
}

/* `owner`: how often it is yet to say yes. */
static bool is_alive(void *owner)
{
    int *times = owner;

    return (*times)-- > 0;
}

static void watch_workers(bool handed_over, int alive)
{
    struct ev_loop *loop = ev_loop_new(0);
    struct service_watchdog watchdog;
    ev_timer patience;

    assert_non_null(loop);
    service_manager_watch(&watchdog, loop, handed_over, is_alive, &alive);
    ev_timer_init(&patience, on_patience, 0.02, 0.);
    ev_timer_start(loop, &patience);
    ev_run(loop, 0);
    service_manager_unwatch(&watchdog);
    service_manager_unwatch(&watchdog);
    ev_loop_destroy(loop);
}

static void watch(bool handed_over)
{
    watch_workers(handed_over, INT_MAX);
}

static void the_watchdog_hears_that_the_loop_turns(void **state)
{
    ask_for_watchdog(getpid());
    watch(false);
    assert_string_equal(told(*state), "WATCHDOG=1");
}

static void it_hears_nothing_while_a_worker_does_not_answer(void **state)
{
    ask_for_watchdog(getpid());
    watch_workers(false, 2);
    assert_string_equal(told(*state), "WATCHDOG=1");
    assert_string_equal(told(*state), "WATCHDOG=1");
    assert_string_equal(told(*state), "");
    watch_workers(false, 0);
    assert_string_equal(told(*state), "");
}

static void one_that_does_not_read_costs_no_time(void **state)
{
    struct fixture *fixture = *state;
    int messages = 0;

    for (int i = 0; i < 10000; i++)
        service_manager_status("again");
    while (told(fixture)[0] != '\0')
        messages++;
    assert_in_range(messages, 1, 9999);
}

static void nobody_asked_for_it(void **state)
{
    watch(false);
    assert_string_equal(told(*state), "");
    ask_for_watchdog(getppid());
    watch(false);
    assert_string_equal(told(*state), "");
}

static void a_successor_takes_it_over(void **state)
{
    ask_for_watchdog(getppid());
    watch(true);
    assert_string_equal(told(*state), "WATCHDOG=1");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_call_is_one_message),
        CASE(without_a_manager_nothing_happens),
        CASE(one_that_does_not_read_costs_no_time),
        CASE(the_watchdog_hears_that_the_loop_turns),
        CASE(it_hears_nothing_while_a_worker_does_not_answer),
        CASE(nobody_asked_for_it),
        CASE(a_successor_takes_it_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
