/*
 * Preloaded into the program: the allocation, or new descriptor, number FAULT_AT of the whole
 * process fails, from main on; FAULT_KIND says which. A byte to descriptor FAULT_REPORT tells that
 * it did. Unlike faults.c this reaches the libraries as well, and the C library's own allocations.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);

static struct {
    bool descriptors;
    unsigned long left; /* 0: nothing fails (any more) */
    int report;
} plan;

/* The last of the constructors: a preloaded library depends on none of the others. */
__attribute__((constructor)) static void read_plan(void)
{
    const char *kind = getenv("FAULT_KIND"), *at = getenv("FAULT_AT");
    const char *report = getenv("FAULT_REPORT");
    if (kind == NULL || at == NULL || report == NULL)
        return;
    plan.descriptors = strcmp(kind, "descriptor") == 0;
    plan.report = (int)strtol(report, NULL, 10);
    plan.left = strtoul(at, NULL, 10);
}

static bool strikes(bool descriptor, int error)
{
    if (plan.left == 0 || plan.descriptors != descriptor || --plan.left > 0)
        return false;
    ssize_t written = write(plan.report, "!", 1);
    (void)written;
    errno = error;
    return true;
}

void *malloc(size_t bytes)
{
    return strikes(false, ENOMEM) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return strikes(false, ENOMEM) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    return strikes(false, ENOMEM) ? NULL : __libc_realloc(block, bytes);
}

/* ISO C has no way from an object pointer to a function pointer but through its bytes. */
#define REAL(function_, name_)                                                                     \
    do {                                                                                           \
        void *symbol = dlsym(RTLD_NEXT, name_);                                                    \
        memcpy(&(function_), &symbol, sizeof(function_));                                          \
    } while (0)

int socket(int family, int type, int protocol)
{
    int (*real)(int, int, int);
    REAL(real, "socket");
    return strikes(true, EMFILE) ? -1 : real(family, type, protocol);
}

/* Any of the functions that take flags alone, or a number and flags. */
static int make(const char *name, int first, int second)
{
    int (*real)(int, int);
    REAL(real, name);
    return strikes(true, EMFILE) ? -1 : real(first, second);
}

int epoll_create1(int flags);
int epoll_create1(int flags)
{
    return make("epoll_create1", flags, 0);
}

int timerfd_create(int clock, int flags);
int timerfd_create(int clock, int flags)
{
    return make("timerfd_create", clock, flags);
}

int eventfd(unsigned value, int flags);
int eventfd(unsigned value, int flags)
{
    return make("eventfd", (int)value, flags);
}
