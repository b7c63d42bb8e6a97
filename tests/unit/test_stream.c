/* A side's socket: its results in the relay's words, over a real TCP connection. */
#include "tests/unit/support/check.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/pump.h"
#include "proxy/sides/stream.h"
#include "tunnel/net/socket.h"

enum { PIECES = 100 };

struct connection {
    struct ev_loop *loop;
    struct stream stream;
    int listener, peer;
    int events;
};

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *c = io->data;
    c->events |= events;
    ev_break(loop, EVBREAK_ONE);
}

static int setup(void **state)
{
    struct connection *c = calloc(1, sizeof(*c));
    struct address address, from;
    assert_non_null(c);
    (void)signal(SIGPIPE, SIG_IGN);
    c->loop = ev_loop_new(EVFLAG_AUTO);
    stream_init(&c->stream, on_io, c);
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    c->listener = socket_listen_tcp(&address);
    stream_open(&c->stream, socket_connect_tcp(&address, 0));
    while ((c->peer = socket_accept(c->listener, &from)) < 0)
        continue;
    stream_watch(&c->stream, c->loop, false, true);
    ev_run(c->loop, 0);
    assert_int_equal(c->events, EV_WRITE);
    c->events = 0;
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct connection *c = *state;
    stream_close(&c->stream, c->loop, false);
    socket_close(c->peer);
    socket_close(c->listener);
    ev_loop_destroy(c->loop);
    free(c);
    return 0;
}

static void wait_readable(struct connection *c)
{
    stream_watch(&c->stream, c->loop, true, false);
    ev_run(c->loop, 0);
    assert_int_equal(c->events & EV_READ, EV_READ);
}

static void bytes_and_the_end_come_in_order(void **state)
{
    struct connection *c = *state;
    uint8_t buffer[8];
    assert_int_equal(stream_read(&c->stream, buffer, sizeof(buffer)), SIDE_AGAIN);
    assert_int_equal(write(c->peer, "abc", 3), 3);
    wait_readable(c);
    assert_int_equal(stream_read(&c->stream, buffer, sizeof(buffer)), SIDE_AGAIN);
    stream_ready(&c->stream, c->loop, EV_READ);
    assert_int_equal(stream_read(&c->stream, buffer, sizeof(buffer)), 3);
    stream_ready(&c->stream, c->loop, EV_READ);
    assert_memory_equal(buffer, "abc", 3);
    socket_close(c->peer);
    c->peer = -1;
    wait_readable(c);
    assert_int_equal(stream_read(&c->stream, buffer, sizeof(buffer)), SIDE_END);
}

static void a_reset_is_no_end(void **state)
{
    struct connection *c = *state;
    uint8_t buffer[8] = {0};
    socket_reset(c->peer);
    c->peer = -1;
    wait_readable(c);
    assert_int_equal(stream_read(&c->stream, buffer, sizeof(buffer)), SIDE_RESET);
    assert_int_equal(stream_write(&c->stream, buffer, sizeof(buffer)), SIDE_RESET);
}

static void it_says_when_it_takes_no_more(void **state)
{
    struct connection *c = *state;
    static const uint8_t bytes[1 << 16];
    ssize_t n;
    while ((n = stream_write(&c->stream, bytes, sizeof(bytes))) == (ssize_t)sizeof(bytes))
        assert_false(c->stream.blocked);
    assert_true(n >= 0);
    assert_true(c->stream.blocked);
}

static void bytes_pass_through_a_pipe_as_well(void **state)
{
    struct connection *c = *state;
    struct pump_pool pool = {.max = 1};
    struct pump_pipe pipe = {0};
    uint8_t buffer[8];
    assert_true(pump_borrow(&pool, &pipe));
    assert_int_equal(stream_read_pipe(&c->stream, pipe.write_end, 8), SIDE_AGAIN);
    assert_int_equal(write(c->peer, "abc", 3), 3);
    wait_readable(c);
    stream_ready(&c->stream, c->loop, EV_READ);
    assert_int_equal(stream_read_pipe(&c->stream, pipe.write_end, 8), 3);
    assert_int_equal(stream_write_pipe(&c->stream, pipe.read_end, 3), 3);
    assert_int_equal(read(c->peer, buffer, sizeof(buffer)), 3);
    assert_memory_equal(buffer, "abc", 3);
    socket_reset(c->peer);
    c->peer = -1;
    wait_readable(c);
    stream_ready(&c->stream, c->loop, EV_READ);
    assert_int_equal(stream_read_pipe(&c->stream, pipe.write_end, 8), SIDE_RESET);
    pump_return(&pool, &pipe);
    pump_close_all(&pool);
}

/* In more pieces than a pipe has places: the loop would say that there are more, but is not asked.
 */
static void the_last_words_of_one_that_is_lost_are_read_at_once(void **state)
{
    struct connection *c = *state;
    struct pump_pool pool = {.max = 1};
    struct pump_pipe pipe = {0};
    uint8_t buffer[PIECES];
    size_t heard = 0;
    ssize_t n;
    assert_true(pump_borrow(&pool, &pipe));
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(write(c->peer, "x", 1), 1);
    while (socket_unsent(c->peer) > 0)
        continue;
    socket_reset(c->peer);
    c->peer = -1;
    wait_readable(c);
    stream_lost(&c->stream);
    while ((n = stream_read_pipe(&c->stream, pipe.write_end, sizeof(buffer))) > 0) {
        assert_int_equal(read(pipe.read_end, buffer, sizeof(buffer)), n);
        heard += (size_t)n;
    }
    assert_int_equal(n, SIDE_RESET);
    assert_int_equal(heard, PIECES);
    pump_return(&pool, &pipe);
    pump_close_all(&pool);
}

/* To stop and begin again would be two system calls. */
static void who_does_not_read_goes_on_being_watched_until_something_comes(void **state)
{
    struct connection *c = *state;
    stream_watch(&c->stream, c->loop, true, false);
    ev_run(c->loop, EVRUN_NOWAIT);
    stream_watch(&c->stream, c->loop, false, false);
    assert_true(ev_is_active(&c->stream.io));
    assert_int_equal(write(c->peer, "abc", 3), 3);
    ev_run(c->loop, 0);
    assert_false(stream_ready(&c->stream, c->loop, c->events));
    assert_false(ev_is_active(&c->stream.io));
    stream_watch(&c->stream, c->loop, true, false);
    c->events = 0;
    ev_run(c->loop, 0);
    assert_true(stream_ready(&c->stream, c->loop, c->events));
    stream_watch(&c->stream, c->loop, false, true);
    ev_run(c->loop, 0);
    assert_true(stream_ready(&c->stream, c->loop, c->events)); /* it may be written to */
}

/* It is ready for good. */
static void behind_the_end_it_is_not_watched(void **state)
{
    struct connection *c = *state;
    uint8_t buffer[8];
    stream_watch(&c->stream, c->loop, true, false);
    socket_close(c->peer);
    c->peer = -1;
    ev_run(c->loop, 0);
    assert_int_equal(stream_read(&c->stream, buffer, sizeof(buffer)), SIDE_END);
    stream_watch(&c->stream, c->loop, false, false);
    assert_false(ev_is_active(&c->stream.io));
}

static void what_is_given_up_is_neither_watched_nor_closed(void **state)
{
    struct connection *c = *state;
    stream_watch(&c->stream, c->loop, true, true);
    int fd = stream_release(&c->stream, c->loop);
    assert_false(ev_is_active(&c->stream.io));
    assert_int_equal(stream_fd(&c->stream), -1);
    stream_watch(&c->stream, c->loop, true, true);
    assert_false(ev_is_active(&c->stream.io));
    stream_close(&c->stream, c->loop, true);
    assert_int_equal(write(fd, "x", 1), 1);
    socket_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_and_the_end_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_no_end, setup, teardown),
        cmocka_unit_test_setup_teardown(it_says_when_it_takes_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_pass_through_a_pipe_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_words_of_one_that_is_lost_are_read_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            who_does_not_read_goes_on_being_watched_until_something_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(behind_the_end_it_is_not_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_up_is_neither_watched_nor_closed, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
