#include "proxy/handover.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/net/inherited.h"
#include "tunnel/net/address.h"
#include "tunnel/net/socket.h"

enum {
    HANDOVER_TAG = 0x48616e64, /* "Hand" */
    NUMBER_BYTES = 12,         /* an int in decimal, and what follows it */
    WHY_BYTES = 100,
    OWN_VARIABLES = 2,
};

static const char says_ready = 'r', says_go = 'g', says_connection = 'c';

static const int PASS_TIMEOUT_MS = 1000;

struct handover {
    uint32_t tag;
    struct ev_loop *loop;
    int line;
    pid_t process; /* the new one; 0: this is the new one */
    bool is_ready, has_gone;
    double patience_s;
    const struct handover_events *events; /* of the old process */
    const struct handover_news *news;     /* of the new one */
    void *owner;
    ev_io io;
    ev_timer timer;
};

/* ---- both processes ---- */

static struct handover *new_handover(struct ev_loop *loop, void *owner)
{
    struct handover *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return NULL;
    h->tag = HANDOVER_TAG;
    h->loop = loop;
    h->owner = owner;
    h->line = -1;
    return h;
}

static void watch(struct handover *h, void (*callback)(struct ev_loop *, ev_io *, int))
{
    ev_io_init(&h->io, callback, h->line, EV_READ);
    h->io.data = h;
    ev_io_start(h->loop, &h->io);
}

static void forget(struct handover *h)
{
    ev_io_stop(h->loop, &h->io);
    ev_timer_stop(h->loop, &h->timer);
    socket_close(h->line);
    h->tag = 0;
    free(h);
}

/* One message: `what`, `text`, and `fd` unless it is -1. */
static bool say(int line, char what, const char *text, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {.bytes = {0}};
    struct iovec parts[] = {{.iov_base = &what, .iov_len = 1},
                            {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(line, &message, MSG_NOSIGNAL) > 0;
}

struct said {
    char what; /* 0: nothing yet; or END */
    char text[ADDRESS_TEXT_BYTES];
    int fd; /* -1: none; else the caller's */
};

enum { END = '.' }; /* the line has ended, or makes no sense */

static int fd_beside(struct msghdr *message)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

static struct said hear(int line)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct said said = {.fd = -1};
    struct iovec parts[] = {{.iov_base = &said.what, .iov_len = 1},
                            {.iov_base = said.text, .iov_len = sizeof(said.text) - 1}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(line, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && socket_is_again(errno))
        return said;
    if (n <= 0)
        said.what = END;
    else
        said.fd = fd_beside(&message);
    return said;
}

/* ---- the old process: what the new one is started with ---- */

static bool is_named(const char *variable, const char *name)
{
    size_t length = strlen(name);
    return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

/* Announcements of sockets, which were for us. */
static bool is_ours(const char *variable)
{
    static const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
                                        INHERITED_VARIABLE, HANDOVER_VARIABLE};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_named(variable, names[i]))
            return true;
    return false;
}

/* "NAME=7,9,10". NULL: out of memory. */
static char *list_variable(const char *name, const int *fds, size_t count)
{
    size_t capacity = strlen(name) + 2 + count * NUMBER_BYTES;
    char *text = malloc(capacity);
    if (text == NULL)
        return NULL;
    size_t length = (size_t)snprintf(text, capacity, "%s=", name);
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, capacity - length, i == 0 ? "%d" : ",%d", fds[i]);
    return text;
}

/* Ours without the announcements for us, with `own`. NULL: out of memory. */
static char **make_environment(char *const own[static OWN_VARIABLES])
{
    size_t count = 0, kept = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **variables = calloc(count + OWN_VARIABLES + 1, sizeof(*variables));
    if (variables == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_ours(environ[i]))
            variables[kept++] = environ[i];
    for (size_t i = 0; i < OWN_VARIABLES; i++)
        variables[kept++] = own[i];
    return variables;
}

/* Ours are lost by exec, where we wait for them (posix_spawn(3)); ignored ones would stay so. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return error;
}

/* What the new process is to have open. */
struct estate {
    int line, log;
    const int *fds;
    size_t count;
};

/* Onto itself: this is how posix_spawn leaves a descriptor open. */
static int keep_open(posix_spawn_file_actions_t *actions, const struct estate *estate)
{
    int error = posix_spawn_file_actions_adddup2(actions, estate->line, estate->line);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, estate->log, STDERR_FILENO);
    for (size_t i = 0; i < estate->count && error == 0; i++)
        error = posix_spawn_file_actions_adddup2(actions, estate->fds[i], estate->fds[i]);
    return error;
}

/* 0, or an errno. Nothing of ours runs between fork and exec. */
static int spawn_with(pid_t *process, char *const argv[], char *const variables[],
                      const struct estate *estate)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_signals(&attributes);
        if (error == 0)
            error = keep_open(&actions, estate);
        if (error == 0)
            error = posix_spawnp(process, argv[0], &actions, &attributes, argv, variables);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int spawn(pid_t *process, char *const argv[], const struct estate *estate)
{
    char *own[OWN_VARIABLES] = {list_variable(HANDOVER_VARIABLE, &estate->line, 1),
                                list_variable(INHERITED_VARIABLE, estate->fds, estate->count)};
    char **variables = own[0] == NULL || own[1] == NULL ? NULL : make_environment(own);
    int error = ENOMEM;
    if (variables != NULL)
        error = spawn_with(process, argv, variables, estate);
    free(variables);
    free(own[0]);
    free(own[1]);
    return error;
}

/* ---- the old process: what becomes of the new one ---- */

/* Where a line has ended, the process is about to; how is settled by then. */
static int end_process(const struct handover *h)
{
    int status = 0;
    kill(h->process, SIGKILL);
    while (waitpid(h->process, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static void fail(struct handover *h, const char *why)
{
    const struct handover_events *events = h->events;
    void *owner = h->owner;
    forget(h);
    events->failed(owner, why);
}

static void on_said(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct handover *h = io->data;
    assert(h->tag == HANDOVER_TAG);
    struct said said = hear(h->line);
    socket_close(said.fd);
    if (said.what == 0)
        return;
    if (said.what == says_ready && !h->is_ready) {
        h->is_ready = true;
        ev_timer_stop(loop, &h->timer);
        h->events->ready(h->owner);
        return;
    }
    char why[WHY_BYTES];
    int status = end_process(h);
    if (WIFEXITED(status))
        (void)snprintf(why, sizeof(why), "it ended with status %d, and has said why",
                       WEXITSTATUS(status));
    else
        (void)snprintf(why, sizeof(why), "it ended by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    fail(h, why);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct handover *h = timer->data;
    assert(h->tag == HANDOVER_TAG);
    char why[WHY_BYTES];
    (void)snprintf(why, sizeof(why), "it was not ready within %g s", h->patience_s);
    end_process(h);
    fail(h, why);
}

static bool start(struct handover *h, char *const argv[], const struct estate *estate)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    h->line = ends[0];
    struct estate with_line = *estate;
    with_line.line = ends[1];
    int error = spawn(&h->process, argv, &with_line);
    close(ends[1]);
    errno = error;
    return error == 0;
}

struct handover *handover_start(struct ev_loop *loop, char *const argv[], const int *fds,
                                size_t count, int log, double patience_s,
                                const struct handover_events *events, void *owner)
{
    const struct estate estate = {.log = log, .fds = fds, .count = count};
    struct handover *h = new_handover(loop, owner);
    if (h == NULL)
        return NULL;
    h->events = events;
    h->patience_s = patience_s;
    if (!start(h, argv, &estate)) {
        int error = errno;
        forget(h);
        errno = error;
        return NULL;
    }
    watch(h, on_said);
    ev_timer_init(&h->timer, on_late, patience_s, 0.);
    h->timer.data = h;
    ev_timer_start(loop, &h->timer);
    return h;
}

pid_t handover_pid(const struct handover *h)
{
    return h->process;
}

bool handover_go(struct handover *h)
{
    assert(h->tag == HANDOVER_TAG && h->is_ready);
    h->has_gone = say(h->line, says_go, "", -1);
    bool has_gone = h->has_gone;
    if (!has_gone)
        handover_end(h);
    return has_gone;
}

bool handover_pass(struct handover *h, int fd, const char *listener)
{
    assert(h->tag == HANDOVER_TAG && h->has_gone);
    if (say(h->line, says_connection, listener, fd))
        return true;
    struct pollfd room = {.fd = h->line, .events = POLLOUT};
    return errno == EAGAIN && poll(&room, 1, PASS_TIMEOUT_MS) == 1 &&
           say(h->line, says_connection, listener, fd);
}

void handover_end(struct handover *h)
{
    if (h == NULL)
        return;
    assert(h->tag == HANDOVER_TAG);
    /* One that was let go outlives us, as a rule, and is for init to wait for. */
    if (h->process > 0 && !h->has_gone)
        end_process(h);
    forget(h);
}

/* ---- the new process ---- */

static bool is_line(int fd)
{
    int domain = 0, type = 0;
    socklen_t length = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

int handover_inherited(void)
{
    const char *text = getenv(HANDOVER_VARIABLE);
    if (text == NULL)
        return -1;
    char *end;
    long fd = strtol(text, &end, 10);
    bool usable = end != text && *end == '\0' && fd >= 0 && fd <= INT_MAX && is_line((int)fd);
    unsetenv(HANDOVER_VARIABLE);
    return usable && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0 ? (int)fd : -1;
}

static void on_heard(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct handover *h = io->data;
    assert(h->tag == HANDOVER_TAG);
    struct said said = hear(h->line);
    if (said.what == says_connection && said.fd >= 0 && h->has_gone) {
        h->news->passed(h->owner, said.fd, said.text);
        return;
    }
    socket_close(said.fd);
    if (said.what == 0)
        return;
    const struct handover_news *news = h->news;
    void *owner = h->owner;
    if (!h->has_gone) {
        h->has_gone = true;
        news->go(owner);
    }
    if (said.what == says_go)
        return;
    forget(h);
    news->ended(owner);
}

struct handover *handover_join(struct ev_loop *loop, int fd, const struct handover_news *news,
                               void *owner)
{
    struct handover *h = new_handover(loop, owner);
    if (h == NULL)
        return NULL;
    h->line = fd;
    h->news = news;
    (void)say(fd, says_ready, "", -1); /* who is dead is heard to be */
    watch(h, on_heard);
    return h;
}
