/* I/Os in memory and over descriptors: ends, limits, resets, and no signal. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/io.h"
#include "tunnel/net/clock.h"

static void say(struct tunnel_io *io, const char *words)
{
    assert_int_equal(tunnel_io_write_all(io, words, strlen(words), 1000), TUNNEL_OK);
}

static void assert_hears(struct tunnel_io *io, const char *words)
{
    char bytes[64];
    size_t n;
    assert_int_equal(tunnel_io_read(io, bytes, sizeof(bytes), &n), TUNNEL_OK);
    assert_int_equal(n, strlen(words));
    assert_memory_equal(bytes, words, n);
}

static enum tunnel_result hear(struct tunnel_io *io)
{
    char byte;
    size_t n;
    return tunnel_io_read(io, &byte, 1, &n);
}

/* ---- memory ---- */

static void memory_holds_what_it_may_and_no_more(void **state)
{
    (void)state;
    struct tunnel_io *a, *b;
    uint8_t sent[64], bytes[64];
    size_t n;
    assert_true(tunnel_io_memory_pair(10, &a, &b));
    for (uint8_t at = 0; at < 50; at++) { /* around the ring, at each of its places */
        check_fill(sent, at, 0, sizeof(sent));
        assert_int_equal(tunnel_io_write(a, sent, 3 + at % 9, &n), TUNNEL_OK);
        size_t first = n;
        size_t more = 0;
        enum tunnel_result result = tunnel_io_write(a, sent + first, 20, &more);
        assert_int_equal(result, first == 10 ? TUNNEL_WANT_WRITE : TUNNEL_OK);
        assert_int_equal(first + more, 10);
        assert_int_equal(tunnel_io_read(b, bytes, sizeof(bytes), &n), TUNNEL_OK);
        assert_int_equal(n, 10);
        assert_memory_equal(bytes, sent, 10);
        assert_int_equal(tunnel_io_write(a, "x", 1, &n), TUNNEL_OK);
        assert_int_equal(tunnel_io_read(b, bytes, 1, &n), TUNNEL_OK);
    }
    assert_int_equal(hear(a), TUNNEL_WANT_READ);
    assert_int_equal(tunnel_io_wait(a, TUNNEL_WANT_READ, -1), TUNNEL_MISUSE);
    tunnel_io_close(a);
    tunnel_io_close(b);
    assert_false(tunnel_io_memory_pair(0, &a, &b));
}

static void memory_ends_in_order_or_by_reset(void **state)
{
    (void)state;
    struct tunnel_io *a, *b;
    size_t n;
    for (int reset = 0; reset < 2; reset++) {
        assert_true(tunnel_io_memory_pair(10, &a, &b));
        say(a, "last");
        a->ops->close(a, reset != 0);
        if (reset == 0)
            assert_hears(b, "last");
        assert_int_equal(hear(b), reset == 0 ? TUNNEL_CLOSED : TUNNEL_IO);
        assert_int_equal(tunnel_io_write(b, "x", 1, &n), TUNNEL_IO);
        assert_string_equal(tunnel_io_error(b), "the other end of the memory pair has been closed");
        tunnel_io_close(b);
    }
    tunnel_io_close(NULL);
}

/* ---- descriptors ---- */

static void two_pipes_make_an_io(void **state)
{
    (void)state;
    int there[2], back[2];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    struct tunnel_io *a = tunnel_io_fd(back[0], there[1]), *b = tunnel_io_fd(there[0], back[1]);
    say(a, "there");
    assert_hears(b, "there");
    say(b, "back");
    assert_hears(a, "back");
    assert_int_equal(hear(a), TUNNEL_WANT_READ);
    assert_int_equal(tunnel_io_wait(a, TUNNEL_WANT_READ, 1), TUNNEL_TIMEOUT);
    tunnel_io_close(b);
    assert_int_equal(hear(a), TUNNEL_CLOSED);
    tunnel_io_close(a);
    for (size_t i = 0; i < 2; i++)
        assert_true(fcntl(there[i], F_GETFD) < 0 && fcntl(back[i], F_GETFD) < 0);
}

static void assert_no_signal(bool blocked)
{
    int ends[2];
    sigset_t pipe_only, pending;
    size_t n;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &pipe_only, NULL);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct tunnel_io *io = tunnel_io_fd(other, ends[1]);
    assert_int_equal(tunnel_io_write(io, "x", 1, &n), TUNNEL_IO);
    assert_string_equal(tunnel_io_error(io), strerror(EPIPE));
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    tunnel_io_close(io);
    sigprocmask(SIG_UNBLOCK, &pipe_only, NULL);
}

/* The default action would end this program. */
static void a_pipe_that_nobody_reads_raises_no_signal(void **state)
{
    (void)state;
    assert_ptr_not_equal(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    assert_no_signal(false);
    assert_no_signal(true);
}

static void connect_pair(struct tunnel_io **io, int *other)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    *io = tunnel_io_fd(ends[0], ends[0]);
    assert_non_null(*io);
    *other = ends[1];
}

static void a_socket_that_is_gone_raises_no_signal(void **state)
{
    (void)state;
    struct tunnel_io *io;
    int other;
    size_t n;
    connect_pair(&io, &other);
    close(other);
    assert_int_equal(tunnel_io_write(io, "x", 1, &n), TUNNEL_IO);
    assert_string_equal(tunnel_io_error(io), strerror(EPIPE));
    tunnel_io_close(io);
}

static void half_of_a_socket_may_end(void **state)
{
    (void)state;
    struct tunnel_io *io;
    int other;
    char bytes[8];
    connect_pair(&io, &other);
    assert_int_equal(send(other, "end", 3, 0), 3);
    assert_int_equal(shutdown(other, SHUT_WR), 0);
    assert_hears(io, "end");
    assert_int_equal(hear(io), TUNNEL_CLOSED);
    say(io, "still");
    assert_int_equal(recv(other, bytes, sizeof(bytes), 0), 5);
    tunnel_io_close(io);
    close(other);
}

static void a_full_socket_wants_to_be_waited_for(void **state)
{
    (void)state;
    struct tunnel_io *io;
    int other;
    size_t n, all = 0, got = 0;
    static char zeros[65536];
    enum tunnel_result result;
    connect_pair(&io, &other);
    while ((result = tunnel_io_write(io, zeros, sizeof(zeros), &n)) == TUNNEL_OK)
        all += n;
    assert_int_equal(result, TUNNEL_WANT_WRITE);
    assert_int_equal(tunnel_io_wait(io, TUNNEL_WANT_WRITE, 5), TUNNEL_TIMEOUT);
    assert_int_equal(tunnel_io_write_all(io, zeros, 1, 5), TUNNEL_TIMEOUT);
    while (got < all)
        got += (size_t)recv(other, zeros, sizeof(zeros), 0);
    assert_int_equal(tunnel_io_wait(io, TUNNEL_WANT_WRITE, 5000), TUNNEL_OK);
    tunnel_io_close(io);
    close(other);
}

static void what_is_no_descriptor_stays_the_callers(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_null(tunnel_io_fd(ends[0], -1));
    assert_int_equal(errno, EBADF);
    assert_true(fcntl(ends[0], F_GETFD) >= 0);
    close(ends[0]);
    close(ends[1]);
}

/* A loop of one's own may hand over any watch: one that is due already does not sleep. */
static enum tunnel_result never(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    (void)io, (void)buffer, (void)capacity, (void)got;
    return TUNNEL_WANT_READ;
}

static uint64_t due_at;

static void due(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    (void)io, (void)want;
    watch->deadline_us = due_at;
}

static void deadlines_end_waiting(void **state)
{
    (void)state;
    static const struct tunnel_io_ops ops = {.read = never, .watch = due};
    struct tunnel_io io = {&ops};
    assert_int_equal(hear(&io), TUNNEL_WANT_READ);
    due_at = 0;
    assert_int_equal(tunnel_io_wait(&io, TUNNEL_WANT_READ, -1), TUNNEL_OK);
    due_at = clock_now() + 5 * TURBO_MILLISECOND;
    assert_int_equal(tunnel_io_wait(&io, TUNNEL_WANT_READ, -1), TUNNEL_OK);
    assert_true(clock_now() >= due_at);
    due_at = TUNNEL_FOR_EVER - 1; /* no sum overflows */
    assert_int_equal(tunnel_io_wait(&io, TUNNEL_WANT_READ, 2), TUNNEL_TIMEOUT);
    due_at = TUNNEL_FOR_EVER;
    assert_int_equal(tunnel_io_wait(&io, TUNNEL_WANT_READ, 2), TUNNEL_MISUSE);
}

static void nothing_is_read_or_written_for_nothing(void **state)
{
    (void)state;
    struct tunnel_io *io;
    int other;
    char byte;
    size_t n;
    connect_pair(&io, &other);
    assert_int_equal(tunnel_io_read(io, &byte, 0, &n), TUNNEL_MISUSE);
    assert_int_equal(tunnel_io_write(io, &byte, 0, &n), TUNNEL_OK);
    tunnel_io_close(io);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_holds_what_it_may_and_no_more),
        cmocka_unit_test(memory_ends_in_order_or_by_reset),
        cmocka_unit_test(two_pipes_make_an_io),
        cmocka_unit_test(a_pipe_that_nobody_reads_raises_no_signal),
        cmocka_unit_test(a_socket_that_is_gone_raises_no_signal),
        cmocka_unit_test(half_of_a_socket_may_end),
        cmocka_unit_test(a_full_socket_wants_to_be_waited_for),
        cmocka_unit_test(what_is_no_descriptor_stays_the_callers),
        cmocka_unit_test(deadlines_end_waiting),
        cmocka_unit_test(nothing_is_read_or_written_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
