/* A part of a test in a process of its own: what it does to itself cannot be undone. */
#ifndef TESTS_UNIT_SUPPORT_CHILD_H
#define TESTS_UNIT_SUPPORT_CHILD_H

#include <stdbool.h>

/* For `CHILD_CHECK(condition)` in a child: it ends, and says where. */
#define CHILD_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            child_fail(__FILE__, __LINE__, #condition);                                            \
    } while (0)

_Noreturn void child_fail(const char *file, int line, const char *condition);

/* Runs `part` in a child, which must come to its end. Its exit code is not asked: valgrind's. */
void child_run(void (*part)(void));
/* The same, and what it returned. */
unsigned child_ask(unsigned (*part)(void));
/* The same, but it must be ended by `signal`. */
void child_run_killed(void (*part)(void), int signal);
/*
 * In a child: executes the test's own program with the one argument `what`, and waits until it has
 * ended. False: it could not be, or did not return 0.
 */
bool child_execute(const char *what);
/* In a child: may it set the option of a socket, of this type and of IPv4, to 1? */
bool child_may_set(int type, int level, int option);

#endif
