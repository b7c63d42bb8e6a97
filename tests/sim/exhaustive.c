#include "tests/sim/exhaustive.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/content.h"
#include "tests/sim/runner.h"
#include "tests/sim/scenario.h"
#include "tests/sim/script.h"

/* The flight whose first-but-one exchange takes 12 requests (protocol §4.6): 9 + 3. */
enum { CHUNKS = 9, DATAGRAMS = 12, BOTH = 8, FIRST_CONTACT = 6 };

static struct plan plan;

/* The first connection meets no loss, and teaches how large the flight is; the second one does. */
static void write_plan(size_t chunks)
{
    scenario_quiet(&plan, 1, 2, 2 * TURBO_SECOND);
    for (size_t i = 0; i < 2; i++) {
        struct talk talk = {
            .hello = content_hello_length(1000, 16384),
            .flight = (chunks - 1) * TURBO_RESPONSE_PAYLOAD_MAX - 300,
            .pieces = 2, /* so that chunks differ in length */
            .pause = TURBO_MILLISECOND,
            .answer = 80,
            .reply = 500,
            .app_ends_first = true,
        };
        script_write(&plan.connections[i], &talk);
    }
}

static bool run_pattern(struct coverage *coverage, size_t lossy, uint64_t requests,
                        uint64_t responses)
{
    char how[96];
    plan.connections[lossy].requests.lost = requests;
    plan.connections[lossy].responses.lost = responses;
    (void)snprintf(how, sizeof(how), "sim --exhaustive: requests %" PRIx64 ", responses %" PRIx64,
                   requests, responses);
    return run_plan(&plan, coverage, false, how);
}

static bool run_patterns(struct coverage *coverage, const char *what, size_t lossy,
                         unsigned requests, unsigned responses)
{
    uint64_t before = coverage->runs;
    for (uint64_t up = 0; up < UINT64_C(1) << requests; up++)
        for (uint64_t down = 0; down < UINT64_C(1) << responses; down++)
            if (!run_pattern(coverage, lossy, up, down))
                return false;
    plan.connections[lossy].requests.lost = plan.connections[lossy].responses.lost = 0;
    printf("%8" PRIu64 " patterns: %s\n", coverage->runs - before, what);
    (void)fflush(stdout);
    return true;
}

bool exhaustive_run(struct coverage *coverage)
{
    write_plan(CHUNKS);
    if (!run_patterns(coverage, "requests of 12", 1, DATAGRAMS, 0) ||
        !run_patterns(coverage, "responses of 12", 1, 0, DATAGRAMS) ||
        !run_patterns(coverage, "the first 8 of 12 both ways", 1, BOTH, BOTH))
        return false;
    write_plan(3);
    return run_patterns(coverage, "first contact, 6 both ways", 0, FIRST_CONTACT, FIRST_CONTACT);
}
