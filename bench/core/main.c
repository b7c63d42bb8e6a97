/* libturbo alone: run.py has it counted and timed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core.h"
#include "turbo/client.h"
#include "turbo/server.h"

static const struct work {
    const char *name;
    core_work *run;
} works[] = {
    {"handshake", core_handshake},       {"handshake-lost", core_handshake_lost},
    {"junk-random", core_junk_random},   {"junk-orphan", core_junk_orphan},
    {"junk-payload", core_junk_payload}, {"junk-hello", core_junk_hello},
};

enum { WORKS = sizeof(works) / sizeof(works[0]) };

static double seconds_of(core_work *run, uint32_t times)
{
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    run(times);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of one time, the median of several runs; what opening and closing costs is left out. */
static double nanoseconds(core_work *run)
{
    enum { RUNS = 9, FEW = 100, MANY = 20100 };
    double of[RUNS];
    run(FEW);
    for (size_t i = 0; i < RUNS; i++)
        of[i] = (seconds_of(run, MANY) - seconds_of(run, FEW)) / (MANY - FEW) * 1e9;
    qsort(of, RUNS, sizeof(of[0]), ascending);
    return of[RUNS / 2];
}

static void tell_times(void)
{
    for (size_t i = 0; i < WORKS; i++) {
        double ns = nanoseconds(works[i].run);
        if (strncmp(works[i].name, "handshake", strlen("handshake")) == 0) {
            printf("%s,ns,%.0f\n", works[i].name, ns);
            printf("%s,ns per datagram,%.0f\n", works[i].name, ns / core_handshake_datagrams());
        } else {
            printf("%s,ns per datagram,%.0f\n", works[i].name, ns);
        }
    }
}

static void tell_sizes(void)
{
    printf("session at the client end,bytes,%zu\n", turbo_client_bytes());
    printf("session at the client end,bytes touched,%zu\n", core_client_touched());
    printf("session at the server end,bytes,%zu\n", turbo_server_bytes());
    printf("session at the server end,bytes touched,%zu\n", core_server_touched());
}

static const struct work *work_named(const char *name)
{
    for (size_t i = 0; i < WORKS; i++)
        if (strcmp(works[i].name, name) == 0)
            return &works[i];
    return NULL;
}

int main(int count, char **arguments)
{
    const struct work *work = count == 3 ? work_named(arguments[1]) : NULL;
    if (work != NULL) {
        work->run((uint32_t)strtoul(arguments[2], NULL, 10));
        return 0;
    }
    if (count == 2 && strcmp(arguments[1], "names") == 0) {
        for (size_t i = 0; i < WORKS; i++)
            puts(works[i].name);
        return 0;
    }
    if (count != 1) {
        (void)fprintf(stderr,
                      "usage: core [names | WORK TIMES]; bench/core/run.py --help says more\n");
        return 2;
    }
    tell_times();
    tell_sizes();
    return 0;
}
