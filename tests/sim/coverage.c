#include "tests/sim/coverage.h"

#include <inttypes.h>
#include <stdio.h>

struct path_text {
    bool must;
    const char *text;
};

#define PATH_TEXT(name, must, text) {must, text},
static const struct path_text TEXTS[] = {COVERAGE_PATHS(PATH_TEXT)};
#undef PATH_TEXT

void coverage_print(const struct coverage *c)
{
    for (size_t i = 0; i < SCENARIOS_MAX; i++)
        if (c->by_scenario[i] > 0)
            printf("%12" PRIu64 "  in scenario %s\n", c->by_scenario[i], c->scenario_names[i]);
    for (size_t i = 0; i < COVER_COUNT; i++)
        printf("%12" PRIu64 "  %s\n", c->paths[i], TEXTS[i].text);
    printf("%12" PRIu64 "  connections in %" PRIu64 " runs, %" PRIu64 " events\n", c->sessions,
           c->runs, c->events);
    printf("%12" PRIu64 "  compared with classic; the latest by %.3f ms (seed %" PRIu64 ")\n",
           c->compared, (double)c->worst_lateness / 1000., c->worst_seed);
}

bool coverage_is_whole(const struct coverage *c)
{
    bool whole = true;
    for (size_t i = 0; i < COVER_COUNT; i++) {
        if (!TEXTS[i].must || c->paths[i] > 0)
            continue;
        printf("never met: %s\n", TEXTS[i].text);
        whole = false;
    }
    return whole;
}
