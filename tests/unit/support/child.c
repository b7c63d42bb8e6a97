#include "child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_EXECUTE = 127 };

void child_fail(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: in the child: not %s (errno: %s)\n", file, line, condition,
                  strerror(errno));
    _exit(1); /* the leak detector, which traces, is not for a process that changed its user */
}

struct end {
    bool came;
    unsigned answer;
    int status; /* as of waitpid(2) */
};

/* `part` or `question` */
static struct end run(void (*part)(void), unsigned (*question)(void))
{
    struct end end = {.answer = 0};
    int pipe_ends[2];

    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (part != NULL)
            part();
        else
            end.answer = question();
        CHILD_CHECK(write(pipe_ends[1], &end.answer, sizeof(end.answer)) ==
                    (ssize_t)sizeof(end.answer));
        _exit(0);
    }
    close(pipe_ends[1]);
    end.came = read(pipe_ends[0], &end.answer, sizeof(end.answer)) == (ssize_t)sizeof(end.answer);
    close(pipe_ends[0]);
    assert_int_equal(waitpid(child, &end.status, 0), child);
    return end;
}

void child_run(void (*part)(void))
{
    assert_true(run(part, NULL).came);
}

unsigned child_ask(unsigned (*part)(void))
{
    struct end end = run(NULL, part);

    assert_true(end.came);
    return end.answer;
}

void child_run_killed(void (*part)(void), int signal)
{
    struct end end = run(part, NULL);

    assert_true(WIFSIGNALED(end.status));
    assert_int_equal(WTERMSIG(end.status), signal);
}

bool child_execute(const char *what)
{
    /* Not by its name: a folder on the way may be closed to the user that we are by now. */
    static const char self[] = "/proc/self/exe";
    int status;

    pid_t child = fork();
    if (child == 0) {
        (void)execl(self, self, what, (char *)NULL);
        _exit(CANNOT_EXECUTE);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

bool child_may_set(int type, int level, int option)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), value = 1;

    CHILD_CHECK(fd >= 0);
    bool may = setsockopt(fd, level, option, &value, sizeof(value)) == 0;
    CHILD_CHECK(may || errno == EPERM);
    close(fd);
    return may;
}
