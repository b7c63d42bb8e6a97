/* One process takes over from another: this program, started again with a part to play. */
#include "tests/unit/support/worker_fixture.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/handover.h"
#include "proxy/net/inherited.h"
#include "tunnel/net/socket.h"

enum {
    WAIT_S = 30,
    FAR_TOO_LONG_S = 300,
    PART_FAILED = 70,
    PART_ENDS = 7,
    FIRST_DESCRIPTOR = 3,
    DESCRIPTORS_LOOKED_AT = 256,
};

static char self[4096]; /* this program; valgrind would not know /proc/self/exe */

/* ---- the new process: what each part does ---- */

#define PART_ASSERT(condition_)                                                                    \
    do {                                                                                           \
        if (!(condition_)) {                                                                       \
            (void)fprintf(stderr, "the new process: %s is not so\n", #condition_);                 \
            _exit(PART_FAILED);                                                                    \
        }                                                                                          \
    } while (0)

static struct inherited taken;
static int line;

static void inherit(void)
{
    char error[200];
    line = handover_inherited();
    inherited_init(&taken);
    PART_ASSERT(line >= FIRST_DESCRIPTOR);
    PART_ASSERT(handover_inherited() == -1);
    PART_ASSERT(getenv(HANDOVER_VARIABLE) == NULL);
    PART_ASSERT(inherited_from_environment(&taken, error, sizeof(error)));
}

/* Serves the client that waits, and ends. */
static void on_go(void *owner)
{
    struct address client;
    (void)owner;
    for (size_t i = 0; i < taken.count; i++) {
        int fd = socket_accept(taken.sockets[i].fd, &client);
        PART_ASSERT(fd >= 0 && write(fd, "new", 3) == 3);
    }
    _exit(PART_ENDS);
}

static void on_no_more(void *owner)
{
    (void)owner;
    _exit(PART_FAILED);
}

static void on_unexpected(void *owner, int fd, const char *listener)
{
    (void)owner;
    (void)fd;
    (void)listener;
    _exit(PART_FAILED);
}

static void play(struct ev_loop *loop)
{
    static const struct handover_news news = {
        .go = on_go, .passed = on_unexpected, .ended = on_no_more};
    PART_ASSERT(handover_join(loop, line, &news, NULL) != NULL);
    ev_run(loop, 0);
    _exit(PART_FAILED);
}

static void play_successor(struct ev_loop *loop)
{
    inherit();
    play(loop);
}

/* Says on each connection that is passed on how many there were, and where it came from. */
static void on_passed(void *owner, int fd, const char *listener)
{
    int *count = owner;
    char text[200];
    int length = snprintf(text, sizeof(text), "%d %s", ++*count, listener);
    PART_ASSERT(*count > 0 && write(fd, text, (size_t)length) == length);
    close(fd);
}

static void on_all_passed(void *owner)
{
    (void)owner;
    _exit(PART_ENDS);
}

static void on_allowed(void *owner)
{
    *(int *)owner = 0;
}

static void play_heir(struct ev_loop *loop)
{
    static const struct handover_news news = {
        .go = on_allowed, .passed = on_passed, .ended = on_all_passed};
    int count = -1;
    inherit();
    PART_ASSERT(handover_join(loop, line, &news, &count) != NULL);
    ev_run(loop, 0);
    _exit(PART_FAILED);
}

static bool is_inherited(int fd)
{
    for (size_t i = 0; i < taken.count; i++)
        if (taken.sockets[i].fd == fd)
            return true;
    return fd == line;
}

/* As if an administrator had started it, but for the sockets. */
static void play_examined(struct ev_loop *loop)
{
    bool open[DESCRIPTORS_LOOKED_AT] = {false};
    for (int fd = FIRST_DESCRIPTOR; fd < DESCRIPTORS_LOOKED_AT; fd++)
        open[fd] = fcntl(fd, F_GETFD) == 0; /* open, and not to be closed by exec */
    inherit();
    PART_ASSERT(taken.count == 2);
    for (int fd = FIRST_DESCRIPTOR; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        PART_ASSERT(open[fd] == is_inherited(fd));
        PART_ASSERT(!open[fd] || fcntl(fd, F_GETFD) == FD_CLOEXEC);
    }
    sigset_t blocked;
    PART_ASSERT(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    /* Not those that a sanitizer has its own handlers for. */
    static const int numbers[] = {SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct sigaction action;
        PART_ASSERT(sigismember(&blocked, numbers[i]) == 0);
        PART_ASSERT(sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    }
    PART_ASSERT(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_FDS_NOT") != NULL);
    play(loop);
}

static void play_bad_configuration(struct ev_loop *loop)
{
    (void)loop;
    _exit(PART_ENDS);
}

static void play_crash(struct ev_loop *loop)
{
    (void)loop;
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)fputs("crashing\n", stderr);
    raise(SIGKILL);
}

static void play_silence(struct ev_loop *loop)
{
    (void)loop;
    for (;;)
        pause();
}

static void play_babble(struct ev_loop *loop)
{
    inherit();
    PART_ASSERT(write(line, "?", 1) == 1);
    play_silence(loop);
}

static void play_ready_and_ends(struct ev_loop *loop)
{
    inherit();
    PART_ASSERT(write(line, "r", 1) == 1);
    play_bad_configuration(loop);
}

static const struct {
    const char *name;
    void (*play)(struct ev_loop *loop);
} parts[] = {
    {"successor", play_successor}, {"heir", play_heir},
    {"examined", play_examined},   {"bad configuration", play_bad_configuration},
    {"crash", play_crash},         {"silence", play_silence},
    {"babble", play_babble},       {"ready and ends", play_ready_and_ends},
};

/* ---- the old process ---- */

struct old {
    struct ev_loop *loop;
    struct handover *handover;
    int listener, client;
    struct address address;
    int ready, failed;
    char why[200];
    ev_timer limit;
};

static void on_ready(void *owner)
{
    struct old *o = owner;
    o->ready++;
    ev_break(o->loop, EVBREAK_ALL);
}

static void on_failed(void *owner, const char *why)
{
    struct old *o = owner;
    o->failed++;
    o->handover = NULL;
    (void)snprintf(o->why, sizeof(o->why), "%s", why);
    ev_break(o->loop, EVBREAK_ALL);
}

static const struct handover_events events = {.ready = on_ready, .failed = on_failed};

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)timer;
    (void)revents;
    ev_break(loop, EVBREAK_ALL);
}

static int open_old(void **state)
{
    struct old *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    o->loop = ev_loop_new(EVFLAG_AUTO);
    assert_true(address_from_literal(&o->address, "127.0.0.1", 0));
    o->listener = socket_listen_tcp(&o->address);
    o->client = -1;
    ev_timer_init(&o->limit, on_limit, WAIT_S, 0.);
    ev_timer_start(o->loop, &o->limit);
    *state = o;
    return 0;
}

static int close_old(void **state)
{
    struct old *o = *state;
    handover_end(o->handover);
    socket_close(o->client);
    socket_close(o->listener);
    ev_loop_destroy(o->loop);
    free(o);
    return 0;
}

static struct handover *begin_with(struct old *o, const char *program, const char *part,
                                   double patience_s)
{
    char name[sizeof(self)], role[64];
    (void)snprintf(name, sizeof(name), "%s", program);
    (void)snprintf(role, sizeof(role), "%s", part);
    char *argv[] = {name, role, NULL};
    return handover_start(o->loop, argv, &o->listener, 1, STDERR_FILENO, patience_s, &events, o);
}

static void begin(struct old *o, const char *part, double patience_s)
{
    o->handover = begin_with(o, self, part, patience_s);
    assert_non_null(o->handover);
}

static void begin_and_wait(struct old *o, const char *part)
{
    begin(o, part, FAR_TOO_LONG_S);
    ev_run(o->loop, 0);
}

static void assert_failed(const struct old *o, const char *why)
{
    assert_int_equal(o->failed, 1);
    assert_string_equal(o->why, why);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left behind */
    assert_int_equal(errno, ECHILD);
}

static void wait_for_end(pid_t process)
{
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), PART_ENDS);
}

static bool has_ended(pid_t process)
{
    siginfo_t info = {.si_pid = 0};
    assert_int_equal(waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0;
}

/* ---- the tests ---- */

static void the_new_process_accepts_once_it_may(void **state)
{
    struct old *o = *state;
    o->client = socket_connect_tcp(&o->address, 0); /* waits in the kernel all the while */
    begin_and_wait(o, "successor");
    assert_int_equal(o->ready, 1);
    assert_int_equal(o->failed, 0);
    pid_t process = handover_pid(o->handover);
    struct handover *h = o->handover;
    o->handover = NULL;
    assert_false(has_ended(process)); /* it serves nobody yet */
    close(o->listener);
    o->listener = -1;
    assert_true(handover_go(h));
    wait_for_end(process);
    handover_end(h);
    char answer[3];
    assert_int_equal(recv(o->client, answer, sizeof(answer), 0), 3);
    assert_memory_equal(answer, "new", 3);
}

static void it_starts_as_if_an_administrator_had_started_it(void **state)
{
    struct old *o = *state;
    struct address udp_address;
    sigset_t some, before;
    assert_true(address_from_literal(&udp_address, "127.0.0.1", 0));
    int fds[] = {o->listener, socket_listen_tcp(&udp_address)};
    for (int fd = FIRST_DESCRIPTOR; fd < DESCRIPTORS_LOOKED_AT; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* those that came with the test */
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGUSR2);
    sigprocmask(SIG_BLOCK, &some, &before);
    (void)signal(SIGPIPE, SIG_IGN);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDS_NOT", "1", 1);
    setenv(INHERITED_VARIABLE, "1", 1);
    setenv(HANDOVER_VARIABLE, "1", 1);
    char part[] = "examined";
    char *argv[] = {self, part, NULL};
    o->handover =
        handover_start(o->loop, argv, fds, COUNT(fds), STDERR_FILENO, FAR_TOO_LONG_S, &events, o);
    assert_non_null(o->handover);
    ev_run(o->loop, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDS_NOT");
    assert_string_equal(getenv(INHERITED_VARIABLE), "1"); /* our own environment is as it was */
    unsetenv(INHERITED_VARIABLE);
    unsetenv(HANDOVER_VARIABLE);
    assert_string_equal(o->why, "");
    assert_int_equal(o->ready, 1);
    assert_true((fcntl(o->listener, F_GETFD) & FD_CLOEXEC) != 0);
    close(fds[1]);
}

static void what_it_says_goes_to_our_log(void **state)
{
    struct old *o = *state;
    char part[] = "crash", said[100] = "";
    char *argv[] = {self, part, NULL};
    int log[2];
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    o->handover =
        handover_start(o->loop, argv, &o->listener, 1, log[1], FAR_TOO_LONG_S, &events, o);
    assert_non_null(o->handover);
    close(log[1]);
    ev_run(o->loop, 0);
    assert_int_equal(o->failed, 1);
    assert_true(read(log[0], said, sizeof(said) - 1) > 0);
    assert_string_equal(said, "crashing\n");
    close(log[0]);
}

static void the_program_is_looked_up_in_path(void **state)
{
    struct old *o = *state;
    char path[sizeof(self) + 16], before[sizeof(self)];
    (void)snprintf(before, sizeof(before), "%s", getenv("PATH"));
    char *slash = strrchr(self, '/');
    *slash = '\0';
    (void)snprintf(path, sizeof(path), "/nonexistent:%s", self);
    setenv("PATH", path, 1);
    o->handover = begin_with(o, slash + 1, "successor", FAR_TOO_LONG_S);
    *slash = '/';
    setenv("PATH", before, 1);
    assert_non_null(o->handover);
    ev_run(o->loop, 0);
    assert_int_equal(o->ready, 1);
}

static void what_cannot_be_started_is_told(void **state)
{
    struct old *o = *state;
    if (fixture_under_valgrind()) /* its posix_spawn fails to fail */
        skip();
    int next = dup(0);
    close(next);
    assert_null(begin_with(o, "/nonexistent/turbotls-proxy", "successor", 1));
    assert_int_equal(errno, ENOENT);
    assert_null(begin_with(o, "no-such-turbotls-proxy", "successor", 1));
    assert_int_equal(errno, ENOENT);
    assert_null(begin_with(o, "/etc/passwd", "successor", 1));
    assert_int_equal(errno, EACCES);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    int again = dup(0);
    assert_int_equal(again, next);
    close(again);
}

static void a_bad_configuration_is_its_end_and_nothing_else(void **state)
{
    struct old *o = *state;
    begin_and_wait(o, "bad configuration");
    assert_failed(o, "it ended with status 7, and has said why");
    assert_int_equal(o->ready, 0);
}

static void a_crash_is_told(void **state)
{
    struct old *o = *state;
    begin_and_wait(o, "crash");
    assert_failed(o, "it ended by signal 9 (Killed)");
}

static void what_is_no_successor_is_ended(void **state)
{
    struct old *o = *state;
    begin_and_wait(o, "babble");
    assert_failed(o, "it ended by signal 9 (Killed)");
}

static void one_that_does_not_become_ready_is_ended(void **state)
{
    struct old *o = *state;
    begin(o, "silence", 0.05);
    ev_run(o->loop, 0);
    assert_failed(o, "it was not ready within 0.05 s");
}

static void its_end_after_it_was_ready_is_told_as_well(void **state)
{
    struct old *o = *state;
    begin_and_wait(o, "ready and ends");
    assert_int_equal(o->ready, 1);
    ev_run(o->loop, 0);
    assert_failed(o, "it ended with status 7, and has said why");
}

static void one_that_is_dead_cannot_be_let_go(void **state)
{
    struct old *o = *state;
    begin_and_wait(o, "ready and ends");
    assert_int_equal(o->ready, 1);
    struct handover *h = o->handover;
    o->handover = NULL;
    while (!has_ended(handover_pid(h)))
        continue;
    assert_false(handover_go(h));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(o->failed, 0);
}

static void cancelling_ends_it(void **state)
{
    struct old *o = *state;
    static const char *const each[] = {"successor", "silence"};
    for (size_t i = 0; i < COUNT(each); i++) {
        begin(o, each[i], FAR_TOO_LONG_S);
        handover_end(o->handover);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
    o->handover = NULL;
    handover_end(NULL);
}

/* ---- connections that are passed on ---- */

static void assert_answered(int fd, int number, const char *listener)
{
    char expected[200], answer[200] = "";
    (void)snprintf(expected, sizeof(expected), "%d %s", number, listener);
    assert_int_equal(recv(fd, answer, sizeof(answer) - 1, 0), strlen(expected));
    assert_string_equal(answer, expected);
    assert_int_equal(recv(fd, answer, sizeof(answer), 0), 0); /* nobody else has it open */
    close(fd);
}

static void connections_are_passed_on_in_order(void **state)
{
    struct old *o = *state;
    enum { CONNECTIONS = 600 }; /* more than the line holds at once */
    static int clients[CONNECTIONS];
    begin_and_wait(o, "heir");
    assert_int_equal(o->ready, 1);
    pid_t process = handover_pid(o->handover);
    assert_true(handover_go(o->handover));
    for (int i = 0; i < CONNECTIONS; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        clients[i] = ends[0];
        assert_true(
            handover_pass(o->handover, ends[1], i % 2 == 0 ? "192.0.2.1:443" : "[::]:8443"));
        close(ends[1]);
    }
    handover_end(o->handover);
    o->handover = NULL;
    for (int i = 0; i < CONNECTIONS; i++)
        assert_answered(clients[i], i + 1, i % 2 == 0 ? "192.0.2.1:443" : "[::]:8443");
    wait_for_end(process);
}

static void one_that_died_after_go_takes_no_connection(void **state)
{
    struct old *o = *state;
    o->client = socket_connect_tcp(&o->address, 0); /* for which it ends */
    begin_and_wait(o, "successor");
    pid_t process = handover_pid(o->handover);
    assert_true(handover_go(o->handover));
    wait_for_end(process);
    assert_false(handover_pass(o->handover, o->client, "192.0.2.1:443"));
}

/* ---- the new process, played here ---- */

struct heard {
    int go, passed, ended;
};

static void hear_go(void *owner)
{
    ((struct heard *)owner)->go++;
}

static void hear_passed(void *owner, int fd, const char *listener)
{
    assert_string_equal(listener, "192.0.2.1:443");
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    ((struct heard *)owner)->passed++;
}

static void hear_end(void *owner)
{
    ((struct heard *)owner)->ended++;
}

static const struct handover_news all_news = {
    .go = hear_go, .passed = hear_passed, .ended = hear_end};

static void make_line(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                     0);
}

static void the_end_of_the_old_process_means_go(void **state)
{
    struct old *o = *state;
    struct heard heard = {0};
    int ends[2];
    char said[2];
    make_line(ends);
    assert_non_null(handover_join(o->loop, ends[0], &all_news, &heard));
    assert_int_equal(recv(ends[1], said, sizeof(said), 0), 1);
    assert_int_equal(said[0], 'r');
    ev_run(o->loop, EVRUN_NOWAIT);
    assert_int_equal(heard.go, 0);
    close(ends[1]);
    while (heard.ended == 0)
        ev_run(o->loop, EVRUN_ONCE);
    assert_int_equal(heard.go, 1);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
}

/* It had died before: nobody hears that the new one is ready. */
static void nobody_left_to_be_told_means_go_as_well(void **state)
{
    struct old *o = *state;
    struct heard heard = {0};
    int ends[2];
    make_line(ends);
    close(ends[1]);
    assert_non_null(handover_join(o->loop, ends[0], &all_news, &heard));
    assert_int_equal(heard.go, 0);
    while (heard.ended == 0)
        ev_run(o->loop, EVRUN_ONCE);
    assert_int_equal(heard.go, 1);
}

/* This is what older and newer versions must be able to say to each other. */
static void the_line_is_as_the_header_says(void **state)
{
    struct old *o = *state;
    struct heard heard = {0};
    int ends[2];
    make_line(ends);
    assert_non_null(handover_join(o->loop, ends[0], &all_news, &heard));
    assert_int_equal(send(ends[1], "g", 1, 0), 1);
    while (heard.go == 0)
        ev_run(o->loop, EVRUN_ONCE);
    char text[] = "c192.0.2.1:443";
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &o->listener, sizeof(int));
    assert_int_equal(sendmsg(ends[1], &message, 0), strlen(text));
    while (heard.passed == 0)
        ev_run(o->loop, EVRUN_ONCE);
    assert_int_equal(heard.ended, 0);
    close(ends[1]);
    while (heard.ended == 0)
        ev_run(o->loop, EVRUN_ONCE);
    assert_int_equal(heard.go, 1);
    assert_int_equal(heard.passed, 1);
}

/* A connection before go, or a message of another kind. */
static void what_makes_no_sense_ends_the_line(void **state)
{
    struct old *o = *state;
    static const char *const each[] = {"c192.0.2.1:443", "?", "x and more"};
    for (size_t i = 0; i < COUNT(each); i++) {
        struct heard heard = {0};
        int ends[2];
        make_line(ends);
        assert_non_null(handover_join(o->loop, ends[0], &all_news, &heard));
        assert_int_equal(send(ends[1], each[i], strlen(each[i]), 0), strlen(each[i]));
        while (heard.ended == 0)
            ev_run(o->loop, EVRUN_ONCE);
        assert_int_equal(heard.go, 1);
        assert_int_equal(heard.passed, 0);
        close(ends[1]);
    }
}

static void a_new_process_may_give_up_waiting(void **state)
{
    struct old *o = *state;
    struct heard heard = {0};
    int ends[2];
    make_line(ends);
    handover_end(handover_join(o->loop, ends[0], &all_news, &heard));
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
    ev_run(o->loop, EVRUN_NOWAIT);
    assert_int_equal(heard.go + heard.ended, 0);
}

static void what_is_no_line_is_not_taken_for_one(void **state)
{
    (void)state;
    static const char *const each[] = {"", "x", "-1", "0", "99", "3x", "99999999999"};
    assert_int_equal(handover_inherited(), -1);
    for (size_t i = 0; i < COUNT(each); i++) {
        setenv(HANDOVER_VARIABLE, each[i], 1);
        assert_int_equal(handover_inherited(), -1);
        assert_null(getenv(HANDOVER_VARIABLE));
    }
}

#define HANDOVER_CASE(name_) cmocka_unit_test_setup_teardown(name_, open_old, close_old)

static int old_process(void)
{
    const struct CMUnitTest tests[] = {
        HANDOVER_CASE(the_new_process_accepts_once_it_may),
        HANDOVER_CASE(it_starts_as_if_an_administrator_had_started_it),
        HANDOVER_CASE(what_it_says_goes_to_our_log),
        HANDOVER_CASE(the_program_is_looked_up_in_path),
        HANDOVER_CASE(what_cannot_be_started_is_told),
        HANDOVER_CASE(a_bad_configuration_is_its_end_and_nothing_else),
        HANDOVER_CASE(a_crash_is_told),
        HANDOVER_CASE(what_is_no_successor_is_ended),
        HANDOVER_CASE(one_that_does_not_become_ready_is_ended),
        HANDOVER_CASE(its_end_after_it_was_ready_is_told_as_well),
        HANDOVER_CASE(one_that_is_dead_cannot_be_let_go),
        HANDOVER_CASE(cancelling_ends_it),
        HANDOVER_CASE(connections_are_passed_on_in_order),
        HANDOVER_CASE(one_that_died_after_go_takes_no_connection),
        HANDOVER_CASE(the_line_is_as_the_header_says),
        HANDOVER_CASE(what_makes_no_sense_ends_the_line),
        HANDOVER_CASE(the_end_of_the_old_process_means_go),
        HANDOVER_CASE(nobody_left_to_be_told_means_go_as_well),
        HANDOVER_CASE(a_new_process_may_give_up_waiting),
        CASE(what_is_no_line_is_not_taken_for_one),
    };
    return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}

int main(int argc, char *argv[])
{
    for (size_t i = 0; i < COUNT(parts) && argc > 1; i++)
        if (strcmp(parts[i].name, argv[1]) == 0)
            parts[i].play(ev_loop_new(EVFLAG_AUTO));
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0)
        return PART_FAILED;
    return old_process();
}
