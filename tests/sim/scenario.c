#include "tests/sim/scenario.h"

#include "tests/sim/content.h"
#include "tests/sim/rng.h"
#include "tests/sim/script.h"
#include "tests/sim/tcp.h"
#include "tests/sim/trouble.h"

#define MS TURBO_MILLISECOND

/* ---- a connection as it comes ---- */

static turbo_time draw_delay(struct rng *r)
{
    static const turbo_time delays[] = {50,      2 * MS,  8 * MS,  15 * MS,
                                        25 * MS, 40 * MS, 75 * MS, 150 * MS};
    turbo_time delay = delays[rng_below(r, sizeof(delays) / sizeof(delays[0]))];
    return delay + rng_below(r, delay / 4 + 1);
}

static struct link_plan quiet_link(turbo_time delay)
{
    return (struct link_plan){.delay = delay, .passes = LINK_ALL};
}

static void draw_connection(struct rng *r, struct connection_plan *p, unsigned index)
{
    static const size_t records[] = {16384, 16384, 16384, 1400, 100};
    turbo_time delay = draw_delay(r);
    *p = (struct connection_plan){
        .seed = rng_next(r),
        .record = records[rng_below(r, 5)],
        .dial = rng_below(r, MS),
        .host = 1 + index,
        .ipv6 = rng_chance(r, 300),
        .always = rng_chance(r, 50),
        .requests = quiet_link(delay),
        .responses = quiet_link(delay),
        .tcp = {.draw = rng_next(r), .delay = delay, .window = TCP_WINDOW_ANY},
    };
    struct talk t = script_draw_talk(r, p->record);
    script_write(p, &t);
    if (rng_chance(r, 150))
        p->tcp.cut = (uint32_t)rng_between(r, 1, 2000);
    if (rng_chance(r, 60))
        p->tcp.window = (uint32_t)rng_between(r, 1400, 20000);
    p->tcp.jitter = rng_chance(r, 300) ? delay / 2 : 0;
    if (rng_chance(r, 50))
        p->app.reads_from = rng_below(r, 3 * TURBO_SECOND);
    if (rng_chance(r, 50))
        p->server.reads_from = rng_below(r, 3 * TURBO_SECOND);
}

static struct edge_plan roomy_edge(void)
{
    return (struct edge_plan){
        .sessions_max = 64,
        .ended_max = 128,
        .rate = 1000,
        .source_rate = 250,
        .site_rate = 500,
        .refusal_rate = 1000,
        .pending_max = TURBO_PENDING_DEFAULT,
        .memory_sessions = 64,
    };
}

/* ---- the whole ---- */

static void draw_starts(struct rng *r, struct plan *p)
{
    turbo_time at = 0;
    for (size_t i = 0; i < p->count; i++) {
        p->connections[i].start = at;
        if (rng_chance(r, 700)) /* else the next one begins at the same time */
            at += rng_chance(r, 900) ? rng_below(r, TURBO_SECOND) : rng_below(r, 40 * TURBO_SECOND);
    }
}

static unsigned draw_scenario(struct rng *r)
{
    unsigned sum = 0;
    for (size_t i = 0; i < TROUBLE_COUNT; i++)
        sum += TROUBLES[i].weight;
    unsigned at = (unsigned)rng_below(r, sum);
    for (unsigned i = 0;; at -= TROUBLES[i++].weight)
        if (at < TROUBLES[i].weight)
            return i;
}

void scenario_draw(struct plan *p, uint64_t seed)
{
    struct rng r = rng_seeded(seed, 5);
    p->seed = seed;
    p->scenario = draw_scenario(&r);
    p->name = TROUBLES[p->scenario].name;
    p->count = rng_between(&r, 2, 9);
    p->edge = roomy_edge();
    p->edge.eager = rng_chance(&r, 500);
    for (unsigned i = 0; i < p->count; i++)
        draw_connection(&r, &p->connections[i], i);
    draw_starts(&r, p);
    TROUBLES[p->scenario].change(&r, p);
}

void scenario_quiet(struct plan *p, uint64_t seed, size_t count, turbo_time apart)
{
    p->seed = seed;
    p->scenario = 0;
    p->name = "written out";
    p->count = count;
    p->edge = roomy_edge();
    for (unsigned i = 0; i < count; i++) {
        struct connection_plan *c = &p->connections[i];
        *c = (struct connection_plan){
            .seed = rng_mix(seed, i),
            .start = i * apart,
            .record = 16384,
            .host = 1 + i,
            .requests = quiet_link(25 * MS),
            .responses = quiet_link(25 * MS),
            .tcp = {.draw = i, .delay = 25 * MS, .window = TCP_WINDOW_ANY},
        };
    }
}
