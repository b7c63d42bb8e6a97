#include "tests/sim/script.h"

#include <assert.h>

#include "tests/sim/content.h"

#define MS TURBO_MILLISECOND

/* ---- a conversation as it comes ---- */

static size_t draw_hello(struct rng *r)
{
    uint64_t kind = rng_below(r, 20);
    if (kind == 0)
        return CONTENT_HELLO_MIN;
    if (kind < 13)
        return rng_between(r, 180, 700);
    if (kind < 18)
        return rng_between(r, 1100, 2500);
    return rng_between(r, 2500, kind == 18 ? 9400 : 20000);
}

static size_t draw_flight(struct rng *r)
{
    uint64_t kind = rng_below(r, 40);
    if (kind < 30)
        return rng_between(r, 200, 5000);
    return rng_between(r, 3000, kind < 39 ? 16000 : 26000);
}

struct talk script_draw_talk(struct rng *r, size_t record)
{
    struct talk t = {
        .hello = content_hello_length(draw_hello(r), record),
        .app_start = rng_chance(r, 800) ? rng_below(r, 2 * MS) : rng_below(r, 200 * MS),
        .ccs = rng_chance(r, 150),
        .retry = rng_chance(r, 100) ? 99 : 0,
        .flight = draw_flight(r),
        .pieces = rng_chance(r, 300) ? (unsigned)rng_between(r, 2, 3) : 1,
        .pause = rng_chance(r, 700) ? rng_below(r, 4 * MS) : rng_below(r, 40 * MS),
        .server_think = rng_chance(r, 800) ? rng_below(r, 2 * MS) : rng_below(r, 60 * MS),
        .app_think = rng_chance(r, 800) ? rng_below(r, 2 * MS) : rng_below(r, 120 * MS),
        .answer = rng_between(r, 36, 700),
        .reply = rng_between(r, 1, 4000),
        .app_ends_first = rng_chance(r, 500),
    };
    t.data = rng_chance(r, 200) ? rng_between(r, 1, 6000) : 0;
    return t;
}

/* ---- stage by stage ---- */

static void add(struct script *script, size_t after, turbo_time think, size_t send)
{
    assert(script->count < STAGES_MAX);
    script->stages[script->count++] = (struct stage){after, think, send};
    script->total += send;
}

static void write_flight(struct connection_plan *p, const struct talk *t)
{
    size_t left = t->flight;
    for (unsigned i = 1; i <= t->pieces; i++) {
        size_t piece = i == t->pieces ? left : t->flight / t->pieces;
        left -= piece;
        add(&p->server, p->app.total, i == 1 ? t->server_think : t->pause, piece);
    }
}

/* Behind the first bytes of the flight: the ServerHello has come. */
static void write_ccs(struct connection_plan *p, const struct talk *t)
{
    size_t seen = p->server.total - t->flight + (t->flight < 90 ? t->flight : 90);
    add(&p->app, seen, 0, CONTENT_CCS_BYTES);
}

void script_write(struct connection_plan *p, const struct talk *t)
{
    p->app = p->server = (struct script){0};
    p->hello = t->hello;
    p->ccs = t->ccs;
    p->retry = t->retry > 0;
    p->pauses = t->pieces > 1;
    add(&p->app, 0, t->app_start, t->hello);
    if (t->retry > 0) {
        add(&p->server, t->hello, t->server_think, t->retry);
        add(&p->app, t->retry, t->app_think, t->hello);
    }
    write_flight(p, t);
    if (t->ccs)
        write_ccs(p, t);
    add(&p->app, p->server.total, t->app_think, t->answer);
    add(&p->server, p->app.total, t->server_think, t->reply);
    if (t->data > 0)
        add(&p->app, p->server.total, t->app_think, t->data);
    p->app.end_at_once = t->app_ends_first;
    p->server.end_at_once = !t->app_ends_first;
}

void script_write_opaque(struct connection_plan *p, size_t greeting, size_t answer, size_t reply)
{
    p->app = p->server = (struct script){0};
    p->hello = 0;
    p->ccs = p->retry = p->pauses = false;
    add(&p->server, 0, TURBO_MILLISECOND, greeting);
    add(&p->app, greeting, TURBO_MILLISECOND, answer);
    add(&p->server, answer, TURBO_MILLISECOND, reply);
    p->app.end_at_once = true;
}
