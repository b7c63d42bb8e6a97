/*
 * The simulator: turbo_client and turbo_endpoint, the very objects the proxy uses, joined by a
 * network in virtual time (protocol §12).
 *
 *   sim --runs N [--from SEED]     random runs, one seed each
 *   sim --sessions N               random runs until so many connections were made
 *   sim --exhaustive               every loss pattern of a short exchange
 *   sim --seed N [--trace]         one run again
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/exhaustive.h"
#include "tests/sim/runner.h"

struct arguments {
    uint64_t from, runs, sessions;
    bool one, trace, exhaustive, whole;
};

static int usage(void)
{
    (void)fputs("usage: sim [--from SEED] --runs N | --sessions N [--whole] | --exhaustive | "
                "--seed N [--trace]\n",
                stderr);
    return 2;
}

static bool number(int *i, int argc, char **argv, uint64_t *out)
{
    char *end;
    if (++*i >= argc)
        return false;
    *out = strtoull(argv[*i], &end, 10);
    return *end == '\0' && end != argv[*i];
}

static bool parse(struct arguments *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool good = true;
        if (strcmp(argv[i], "--from") == 0)
            good = number(&i, argc, argv, &a->from);
        else if (strcmp(argv[i], "--runs") == 0)
            good = number(&i, argc, argv, &a->runs);
        else if (strcmp(argv[i], "--sessions") == 0)
            good = number(&i, argc, argv, &a->sessions);
        else if (strcmp(argv[i], "--seed") == 0)
            good = a->one = number(&i, argc, argv, &a->from);
        else if (strcmp(argv[i], "--trace") == 0)
            a->trace = true;
        else if (strcmp(argv[i], "--exhaustive") == 0)
            a->exhaustive = true;
        else if (strcmp(argv[i], "--whole") == 0)
            a->whole = true;
        else
            good = false;
        if (!good)
            return false;
    }
    return a->one || a->exhaustive || a->runs > 0 || a->sessions > 0;
}

static void progress(const struct coverage *c, time_t since)
{
    printf("%" PRIu64 " connections in %" PRIu64 " runs, %lld s\n", c->sessions, c->runs,
           (long long)(time(NULL) - since));
    (void)fflush(stdout);
}

static bool run_many(const struct arguments *a, struct coverage *coverage)
{
    time_t began = time(NULL), told = began;
    for (uint64_t i = 0; a->sessions > 0 ? coverage->sessions < a->sessions : i < a->runs; i++) {
        if (!run_seed(a->from + i, coverage, false))
            return false;
        if (coverage->runs % 256 == 0 && time(NULL) >= told + 10) {
            told = time(NULL);
            progress(coverage, began);
        }
    }
    progress(coverage, began);
    return true;
}

int main(int argc, char **argv)
{
    static struct coverage coverage;
    struct arguments a = {.from = 1};
    if (!parse(&a, argc, argv))
        return usage();
    bool good = true;
    if (a.one)
        good = run_seed(a.from, &coverage, a.trace);
    else if (a.exhaustive)
        good = exhaustive_run(&coverage);
    else
        good = run_many(&a, &coverage);
    if (good && !a.one)
        coverage_print(&coverage);
    if (good && a.whole)
        good = coverage_is_whole(&coverage);
    return good ? 0 : 1;
}
