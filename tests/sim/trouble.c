#include "tests/sim/trouble.h"

#include "tests/sim/content.h"
#include "tests/sim/script.h"

#define MS TURBO_MILLISECOND

#define EACH(plan, c)                                                                              \
    for (struct connection_plan * (c) = (plan)->connections;                                       \
         (c) < (plan)->connections + (plan)->count; (c)++)

static void clean(struct rng *r, struct plan *p)
{
    (void)r;
    (void)p;
}

static void lossy_udp(struct rng *r, struct plan *p)
{
    uint32_t loss = (uint32_t)rng_between(r, 5, 400);
    EACH(p, c)
    {
        c->requests.loss = rng_chance(r, 700) ? loss : 0;
        c->responses.loss = rng_chance(r, 700) ? loss : 0;
    }
}

static void lossy_tcp(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        c->tcp.syn_loss = (uint32_t)rng_between(r, 0, 300);
        c->tcp.loss = (uint32_t)rng_between(r, 0, 200);
    }
}

static void bursts(struct rng *r, struct plan *p)
{
    lossy_tcp(r, p);
    EACH(p, c)
    {
        c->requests.burst_begins = c->responses.burst_begins = (uint32_t)rng_between(r, 10, 200);
        c->requests.burst_ends = c->responses.burst_ends = (uint32_t)rng_between(r, 50, 500);
    }
}

static void disorder(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        turbo_time most = rng_chance(r, 500) ? c->tcp.delay : 80 * MS;
        c->requests.jitter = rng_below(r, most + 1);
        c->responses.jitter = rng_below(r, most + 1);
        c->requests.reorder = c->responses.reorder = (uint32_t)rng_below(r, 500);
        c->requests.duplicate = c->responses.duplicate = (uint32_t)rng_below(r, 400);
        c->requests.stale = c->responses.stale = (uint32_t)rng_below(r, 200);
    }
}

/* No network does that. It must only harm itself; an app that waits for what is lost gives up. */
static void make_hostile(struct connection_plan *c)
{
    c->hostile = true;
    c->app.abort_at = 100 * TURBO_SECOND;
}

static void truncation(struct rng *r, struct plan *p)
{
    for (size_t i = 1; i < p->count; i++) {
        struct connection_plan *c = &p->connections[i];
        make_hostile(c);
        c->requests.truncate = (uint32_t)rng_below(r, 150);
        c->responses.truncate = (uint32_t)rng_below(r, 300);
    }
}

static void first_only(struct rng *r, struct plan *p)
{
    bool requests = rng_chance(r, 300);
    EACH(p, c)
    {
        c->responses.passes = (uint32_t)rng_between(r, 1, 2);
        if (requests)
            c->requests.passes = (uint32_t)rng_between(r, 1, 3);
    }
}

static void blocked(struct rng *r, struct plan *p)
{
    bool requests = rng_chance(r, 500);
    EACH(p, c)
    {
        if (requests)
            c->requests.passes = 0;
        else
            c->responses.passes = 0;
    }
}

/* UDP is blocked, and works again: pauses and trials. */
static void comes_and_goes(struct rng *r, struct plan *p)
{
    size_t works_from = 2 + rng_below(r, p->count);
    turbo_time start = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct connection_plan *c = &p->connections[i];
        c->start = start;
        start +=
            i == 1 || rng_chance(r, 400) ? rng_between(r, 20, 70) * TURBO_SECOND : TURBO_SECOND;
        if (i < works_from)
            c->responses.passes = 0;
    }
}

static void icmp(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        c->udp_unreachable = rng_chance(r, 700);
        c->requests.passes = c->udp_unreachable ? 0 : LINK_ALL;
    }
}

static void nat(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        c->nat_every = (unsigned)rng_between(r, 1, 8);
        c->nat_drops = rng_chance(r, 500);
    }
}

static void small_limits(struct rng *r, struct plan *p)
{
    struct edge_plan *e = &p->edge;
    uint32_t few = (uint32_t)rng_between(r, 1, 3);
    switch (rng_below(r, 5)) {
    case 0: e->sessions_max = few; break;
    case 1: e->ended_max = few; break;
    case 2: e->pending_max = few - 1; break;
    case 3: e->memory_sessions = few; break;
    default: e->starved = 500; break;
    }
}

static void rates(struct rng *r, struct plan *p)
{
    struct edge_plan *e = &p->edge;
    bool ipv6 = rng_chance(r, 500), one_host = rng_chance(r, 500);
    EACH(p, c)
    {
        c->start = rng_below(r, 300 * MS);
        c->ipv6 = ipv6;
        c->host = one_host ? 1 : c->host;
    }
    switch (rng_below(r, 3)) {
    case 0: e->rate = (uint32_t)rng_between(r, 1, 3); break;
    case 1: e->source_rate = (uint32_t)rng_between(r, 1, 3); break;
    default: e->site_rate = (uint32_t)rng_between(r, 1, 3); break;
    }
    if (rng_chance(r, 300))
        e->refusal_rate = 1;
}

static void restarts(struct rng *r, struct plan *p)
{
    turbo_time last = p->connections[p->count - 1].start;
    p->edge.restart_at = 1 + rng_below(r, last + 500 * MS);
    if (rng_chance(r, 500))
        lossy_tcp(r, p);
    EACH(p, c)
    c->responses.lost = rng_chance(r, 300) ? 1 : 0; /* a tombstone with n = 0 */
}

static void drains(struct rng *r, struct plan *p)
{
    turbo_time last = p->connections[p->count - 1].start;
    p->edge.drain_at = 1 + rng_below(r, last + 500 * MS);
    if (rng_chance(r, 500))
        lossy_tcp(r, p);
}

/* Some connections are TLS all the same: they may use the trial. */
static void server_first(struct rng *r, struct plan *p)
{
    p->edge.sniff = rng_between(r, 100, 3000) * MS;
    EACH(p, c)
    {
        if (rng_chance(r, 600)) {
            script_write_opaque(c, rng_between(r, 1, 3000), rng_between(r, 1, 500),
                                rng_between(r, 1, 3000));
        } else {
            struct talk t = script_draw_talk(r, c->record);
            t.app_start = rng_below(r, 5 * TURBO_SECOND);
            script_write(c, &t);
            c->tcp.loss = (uint32_t)rng_below(r, 500);
        }
    }
}

static void draw_abort(struct rng *r, struct script *s, size_t hears)
{
    if (rng_chance(r, 500))
        s->abort_at = 1 + rng_below(r, 500 * MS);
    else
        s->abort_after = 1 + rng_below(r, hears);
}

static void aborts(struct rng *r, struct plan *p)
{
    if (rng_chance(r, 500))
        lossy_udp(r, p);
    EACH(p, c)
    {
        if (rng_chance(r, 450))
            draw_abort(r, &c->app, c->server.total);
        else if (rng_chance(r, 600))
            draw_abort(r, &c->server, c->app.total);
    }
}

static void slow_ends(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        struct talk t = script_draw_talk(r, c->record);
        turbo_time slow = rng_between(r, 1, 70) * TURBO_SECOND;
        switch (rng_below(r, 3)) {
        case 0: t.app_start = slow; break;
        case 1: t.server_think = slow / 4; break;
        default: t.app_think = slow; break;
        }
        script_write(c, &t);
        if (rng_chance(r, 300))
            c->tcp.syn_loss = 700;
        c->responses.loss = rng_chance(r, 300) ? 1000 : 0;
    }
}

static void much_to_say(struct rng *r, struct plan *p)
{
    p->count = p->count < 4 ? p->count : 4;
    EACH(p, c)
    {
        struct talk t = script_draw_talk(r, c->record);
        t.hello = content_hello_length(rng_between(r, 200, 5000), c->record);
        t.flight = rng_between(r, 5000, 90000);
        t.answer = rng_between(r, 1000, 60000);
        t.reply = rng_between(r, 1, 60000);
        t.retry = 0;
        script_write(c, &t);
        c->tcp.syn_loss = rng_chance(r, 300) ? 500 : 0;
        c->responses.loss = (uint32_t)rng_below(r, 100);
    }
}

static void no_server(struct rng *r, struct plan *p)
{
    EACH(p, c)
    c->no_server = rng_chance(r, 500) ? (unsigned)rng_between(r, 1, 3) : 0;
}

static void tcp_trouble(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        c->tcp.syn_loss = (uint32_t)rng_between(r, 300, 900);
        c->tcp.unreachable = rng_chance(r, 100);
        c->tcp.loss = (uint32_t)rng_below(r, 300);
        c->start += rng_below(r, TURBO_SECOND);
    }
}

static void dead_addresses(struct rng *r, struct plan *p)
{
    EACH(p, c)
    {
        c->dead_address = (enum host)rng_below(r, 4);
        c->tcp.syn_loss = rng_chance(r, 500) ? (uint32_t)rng_between(r, 50, 300) : 0;
        c->requests.loss = rng_chance(r, 500) ? 100 : 0;
    }
}

/* One connection is left alone: whatever comes for the others, it must not notice. */
static void hostile(struct rng *r, struct plan *p)
{
    size_t spared = rng_below(r, p->count);
    EACH(p, c)
    {
        if (c == &p->connections[spared])
            continue;
        make_hostile(c);
        c->requests.corrupt = (uint32_t)rng_below(r, 600);
        c->responses.corrupt = (uint32_t)rng_below(r, 600);
        c->requests.forge = (uint32_t)rng_below(r, 300);
        c->responses.forge = (uint32_t)rng_below(r, 300);
        c->requests.truncate = (uint32_t)rng_below(r, 300);
        c->responses.truncate = (uint32_t)rng_below(r, 300);
        c->requests.duplicate = (uint32_t)rng_below(r, 500);
    }
}

static void anything(struct rng *r, struct plan *p)
{
    static void (*const all[])(struct rng *, struct plan *) = {
        lossy_udp, lossy_tcp, bursts, disorder, first_only, nat, small_limits, rates, aborts};
    size_t n = 2 + rng_below(r, 3);
    for (size_t i = 0; i < n; i++)
        all[rng_below(r, sizeof(all) / sizeof(all[0]))](r, p);
}

const struct trouble TROUBLES[] = {
    {"clean", 4, clean},
    {"lossy UDP", 10, lossy_udp},
    {"lossy TCP", 8, lossy_tcp},
    {"bursts", 8, bursts},
    {"disorder", 8, disorder},
    {"truncation", 3, truncation},
    {"firewall passes the first", 4, first_only},
    {"blocked", 3, blocked},
    {"UDP comes and goes", 5, comes_and_goes},
    {"ICMP", 3, icmp},
    {"NAT", 4, nat},
    {"small limits", 6, small_limits},
    {"rates", 4, rates},
    {"restart", 5, restarts},
    {"drain", 5, drains},
    {"server speaks first", 4, server_first},
    {"aborts", 8, aborts},
    {"slow ends", 5, slow_ends},
    {"much to say", 2, much_to_say},
    {"no TLS server", 3, no_server},
    {"TCP trouble", 6, tcp_trouble},
    {"dead addresses", 4, dead_addresses},
    {"hostile", 6, hostile},
    {"anything", 12, anything},
};

const size_t TROUBLE_COUNT = sizeof(TROUBLES) / sizeof(TROUBLES[0]);
