/*
 * A new process is started, and joins, while memory and descriptors run out: at every n either it
 * works or errno says why not, and nothing is left behind.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/check.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/handover.h"
#include "proxy/net/inherited.h"
#include "tunnel/net/socket.h"

enum { FAILURES_MAX = 100, PATIENCE_S = 60 };

static void unexpected(void *owner)
{
    (void)owner;
    fail();
}

/* The program is true(1), which ends without a word. */
static void on_failed(void *owner, const char *why)
{
    assert_string_equal(why, "it ended with status 0, and has said why");
    *(bool *)owner = true;
}

static bool start(struct ev_loop *loop, int listener)
{
    static const struct handover_events events = {.ready = unexpected, .failed = on_failed};
    char program[] = "true";
    char *argv[] = {program, NULL};
    bool failed = false;
    faults_on();
    struct handover *h =
        handover_start(loop, argv, &listener, 1, STDERR_FILENO, PATIENCE_S, &events, &failed);
    int error = errno;
    faults_off();
    if (h == NULL) {
        assert_true(error == ENOMEM || socket_exhausted(error));
        return false;
    }
    while (!failed)
        ev_run(loop, EVRUN_ONCE);
    return true;
}

static void on_heard(void *owner)
{
    ++*(int *)owner;
}

static void on_passed(void *owner, int fd, const char *listener)
{
    (void)owner;
    (void)fd;
    (void)listener;
    fail();
}

static bool join(struct ev_loop *loop, int listener)
{
    static const struct handover_news news = {
        .go = on_heard, .passed = on_passed, .ended = on_heard};
    int ends[2], heard = 0;
    (void)listener;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                     0);
    faults_on();
    struct handover *h = handover_join(loop, ends[0], &news, &heard);
    faults_off();
    close(ends[1]);
    if (h == NULL)
        close(ends[0]);
    while (h != NULL && heard < 2)
        ev_run(loop, EVRUN_ONCE);
    return h != NULL;
}

static void at_every_n(bool (*try)(struct ev_loop *loop, int listener))
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct address address;
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    int listener = socket_listen_tcp(&address);
    int next = dup(listener);
    close(next);
    for (size_t i = 0; i < FAULTS; i++) {
        bool struck = true;
        for (unsigned n = 1; struck && n < FAILURES_MAX; n++) {
            size_t before = faults_blocks();
            faults_plan(&faults[i], n);
            bool worked = try(loop, listener);
            struck = faults_cancel();
            assert_true(worked || struck);
            assert_int_equal(faults_blocks(), before);
            int again = dup(listener);
            assert_int_equal(again, next);
            close(again);
        }
        assert_false(struck);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    socket_close(listener);
    ev_loop_destroy(loop);
}

static void a_process_is_started_or_not(void **state)
{
    (void)state;
    at_every_n(start);
}

static void a_process_joins_or_does_not(void **state)
{
    (void)state;
    at_every_n(join);
}

int main(void)
{
    faults_install();
    const struct CMUnitTest tests[] = {
        CASE(a_process_is_started_or_not),
        CASE(a_process_joins_or_does_not),
    };
    return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
