/* Resets are noticed on sockets that nobody watches. */
#include "tests/unit/support/worker_fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/hangup.h"
#include "tunnel/net/socket.h"

struct watched {
    struct peer *peer;
    int fd, calls;
    struct watched *closes; /* closed by its call */
};

static void on_reset(void *owner)
{
    struct watched *w = owner;
    w->calls++;
    if (w->closes != NULL) {
        socket_close(w->closes->fd);
        w->closes->fd = -1;
    }
}

static struct hangups *hangups;

static void watch(struct fixture *f, struct watched *w)
{
    *w = (struct watched){0};
    w->peer = fixture_pair(f, &w->fd);
    hangups_watch(hangups, w->fd, w);
}

/* The moment that passes before it is. */
static void watched(struct fixture *f, struct watched *w)
{
    watch(f, w);
    turbo_time later = f->worker->now + TURBO_SECOND / 20;
    UNTIL(f, f->worker->now > later);
}

static void start(struct fixture *f)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    hangups = hangups_create(f->loop, on_reset);
    assert_non_null(hangups);
}

static int close_all(void **state)
{
    hangups_destroy(hangups);
    hangups = NULL;
    return fixture_close(state);
}

static void a_reset_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watched(f, &w);
    peer_reset(w.peer);
    UNTIL(f, w.calls > 0);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 1);
    socket_close(w.fd);
}

static void one_that_came_before_is_told_as_well(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    start(f);
    w.peer = fixture_pair(f, &w.fd);
    peer_reset(w.peer);
    hangups_watch(hangups, w.fd, &w);
    UNTIL(f, w.calls == 1);
    socket_close(w.fd);
}

static void bytes_and_ends_are_not_resets(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watched(f, &w);
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
    watched(f, &w);
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
    watched(f, &w);
    socket_close(w.fd);
    peer_reset(w.peer);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 0);
}

static void one_that_is_over_soon_is_never_watched(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watch(f, &w);
    int copy = dup(w.fd);
    hangups_forget(hangups, w.fd);
    socket_close(w.fd);
    peer_reset(w.peer);
    fixture_let_happen(f);
    assert_int_equal(w.calls, 0);
    socket_close(copy);
}

static void any_number_may_wait(void **state)
{
    struct fixture *f = *state;
    struct watched all[3];
    int copies[200];
    start(f);
    watch(f, &all[0]);
    for (size_t i = 0; i < COUNT(copies); i++) {
        copies[i] = dup(all[0].fd);
        hangups_watch(hangups, copies[i], &all[1]);
    }
    watch(f, &all[2]);
    for (size_t i = 0; i < COUNT(copies); i++) {
        hangups_forget(hangups, copies[i]);
        socket_close(copies[i]);
    }
    all[1].calls = 0;
    peer_reset(all[0].peer);
    peer_reset(all[2].peer);
    UNTIL(f, all[0].calls == 1 && all[2].calls == 1);
    assert_int_equal(all[1].calls, 0);
    socket_close(all[0].fd);
    socket_close(all[2].fd);
}

/* As a process that is just being started has one, until exec closes it. */
static void a_socket_closed_while_another_process_has_a_copy_is_not_told_of(void **state)
{
    struct fixture *f = *state;
    struct watched w;
    start(f);
    watched(f, &w);
    int copy = dup(w.fd);
    hangups_forget(hangups, w.fd);
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
    watched(f, &a);
    watched(f, &b);
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
    struct hangups *none_made = hangups_create(f->loop, on_reset);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(none_made);
    assert_int_equal(error, EMFILE);
    hangups_destroy(NULL);
}

#define HANGUP_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HANGUP_CASE(a_reset_is_told_once),
        HANGUP_CASE(one_that_came_before_is_told_as_well),
        HANGUP_CASE(bytes_and_ends_are_not_resets),
        HANGUP_CASE(a_reset_behind_an_end_is_told),
        HANGUP_CASE(a_closed_socket_is_not_told_of),
        HANGUP_CASE(one_that_is_over_soon_is_never_watched),
        HANGUP_CASE(any_number_may_wait),
        HANGUP_CASE(a_socket_closed_while_another_process_has_a_copy_is_not_told_of),
        HANGUP_CASE(a_socket_closed_by_another_ones_reset_is_not_told_of),
        HANGUP_CASE(without_descriptors_there_is_none),
    };
    return cmocka_run_group_tests_name("hangup", tests, NULL, NULL);
}
