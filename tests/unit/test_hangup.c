/* Resets are noticed on sockets that nobody watches. */
#include "tests/unit/support/worker_fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/hangup.h"
#include "tunnel/net/socket.h"

struct watched {
    struct hangup hangup; /* first, so that one is the other */
    struct peer *peer;
    int fd, calls;
    struct watched *closes; /* closed by its call */
};

static void on_reset(struct hangup *hangup)
{
    struct watched *w = (struct watched *)hangup;
    w->calls++;
    if (w->closes != NULL) {
        socket_close(w->closes->fd);
        w->closes->fd = -1;
    }
}

static void watch(struct fixture *f, struct watched *w)
{
    *w = (struct watched){.hangup.reset = on_reset};
    w->peer = fixture_pair(f, &w->fd);
    hangups_watch(f->worker->hangups, w->fd, &w->hangup);
}

static void start(struct fixture *f)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
}

static void a_reset_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watch(f, &w);
    peer_reset(w.peer);
    UNTIL(f, w.calls > 0);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 1);
    socket_close(w.fd);
}

static void one_that_came_before_is_told_as_well(void **state)
{
    struct fixture *f = *state;
    struct watched w = {.hangup.reset = on_reset};
    start(f);
    w.peer = fixture_pair(f, &w.fd);
    peer_reset(w.peer);
    hangups_watch(f->worker->hangups, w.fd, &w.hangup);
    UNTIL(f, w.calls == 1);
    socket_close(w.fd);
}

static void bytes_and_ends_are_not_resets(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watch(f, &w);
    peer_say(w.peer, "words");
    peer_finish(w.peer);
    shutdown(w.fd, SHUT_WR);
    UNTIL(f, w.peer->ended);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 0);
    socket_close(w.fd);
}

static void a_reset_behind_an_end_is_told(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watch(f, &w);
    peer_finish(w.peer);
    fixture_let_happen(f);
    peer_reset(w.peer);
    UNTIL(f, w.calls == 1);
    socket_close(w.fd);
}

static void a_closed_socket_is_not_told_of(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watch(f, &w);
    socket_close(w.fd);
    peer_reset(w.peer);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 0);
}

/* As a process that is just being started has one, until exec closes it. */
static void a_socket_closed_while_another_process_has_a_copy_is_not_told_of(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watch(f, &w);
    int copy = dup(w.fd);
    hangups_forget(f->worker->hangups, w.fd, &w.hangup);
    socket_close(w.fd);
    peer_reset(w.peer);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 0);
    socket_close(copy);
}

/* Both are reset in one turn of the loop, and the first call closes the other one's socket. */
static void a_socket_closed_by_another_ones_reset_is_not_told_of(void **state)
{
    struct fixture *f = *state;
    struct watched a, b;
    start(f);
    watch(f, &a);
    watch(f, &b);
    a.closes = &b;
    b.closes = &a;
    peer_reset(a.peer);
    peer_reset(b.peer);
    UNTIL(f, a.calls + b.calls > 0);
    fixture_let_happen(f);
    assert_int_equal(a.calls + b.calls, 1);
    socket_close(a.fd);
    socket_close(b.fd);
}

static void without_descriptors_there_is_none(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    start(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct hangups *hangups = hangups_create(f->loop);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(hangups);
    assert_int_equal(error, EMFILE);
    hangups_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_reset_is_told_once),
        FIXTURE_CASE(one_that_came_before_is_told_as_well),
        FIXTURE_CASE(bytes_and_ends_are_not_resets),
        FIXTURE_CASE(a_reset_behind_an_end_is_told),
        FIXTURE_CASE(a_closed_socket_is_not_told_of),
        FIXTURE_CASE(a_socket_closed_while_another_process_has_a_copy_is_not_told_of),
        FIXTURE_CASE(a_socket_closed_by_another_ones_reset_is_not_told_of),
        FIXTURE_CASE(without_descriptors_there_is_none),
    };
    return cmocka_run_group_tests_name("hangup", tests, NULL, NULL);
}
