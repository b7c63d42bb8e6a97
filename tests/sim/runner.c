#include "tests/sim/runner.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/properties.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

static struct world world;
static char under_way[128];

/* A run takes a millisecond; real time matters for one that hangs within an event only. */
enum { RUN_SECONDS_MAX = 60 };

/* An assertion, or worse: which run it was. */
static void on_crash(int number)
{
    (void)!write(STDERR_FILENO, under_way, strlen(under_way));
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void tell_of_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        (void)signal(signals[i], on_crash);
}

/* Classic first: it decides nothing, and a run that breaks is then the last one. */
static bool run_both(const struct plan *plan, struct coverage *coverage, bool traced)
{
    static struct courses classic, turbo;
    world_run(&world, plan, coverage, true, traced);
    if (world.journal.broken == NULL)
        properties_check_end(&world);
    if (world.journal.broken != NULL)
        return false;
    properties_take_courses(&world, &classic);
    world_run(&world, plan, coverage, false, traced);
    if (world.journal.broken == NULL)
        properties_check_end(&world);
    properties_take_courses(&world, &turbo);
    if (world.journal.broken == NULL)
        properties_compare(&world, &turbo, &classic);
    properties_count(&world);
    coverage->runs++;
    return world.journal.broken == NULL;
}

bool run_plan(const struct plan *plan, struct coverage *coverage, bool traced, const char *how)
{
    static bool told;
    if (!told)
        tell_of_crashes();
    told = true;
    (void)snprintf(under_way, sizeof(under_way), "\nin %s (%s)\n", how, plan->name);
    (void)alarm(RUN_SECONDS_MAX);
    if (run_both(plan, coverage, traced))
        return true;
    if (!traced) {
        static struct coverage unused;
        run_both(plan, &unused, true);
    }
    printf("\nprotocol %s%s does not hold: %s\n%s (scenario: %s)\n", world.journal.broken,
           world.journal.classic ? " in the classic run" : "", world.journal.text, how, plan->name);
    return false;
}

bool run_seed(uint64_t seed, struct coverage *coverage, bool traced)
{
    static struct plan plan;
    char how[64];
    scenario_draw(&plan, seed);
    (void)snprintf(how, sizeof(how), "sim --seed %" PRIu64 " --trace", seed);
    return run_plan(&plan, coverage, traced, how);
}
