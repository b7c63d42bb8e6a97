#include "tests/sim/script.h"

#include <assert.h>

#include "tests/sim/content.h"

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
