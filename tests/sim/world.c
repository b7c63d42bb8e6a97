#include "tests/sim/world.h"

#include <string.h>

#include "tests/sim/properties.h"

#define RUN_STARTS (100 * TURBO_SECOND)
/* No plan needs as long behind its last connection's start, unless something waits for ever. */
#define RUN_TIME_MAX (300 * TURBO_SECOND)

enum { RUN_EVENTS_MAX = 400000 };

void world_count(struct world *w, enum path path)
{
    if (!w->classic)
        w->coverage->paths[path]++;
}

/* ---- addresses ---- */

static void set_ip(uint8_t ip[static 16], bool ipv6, unsigned host)
{
    static const uint8_t site[] = {0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01};
    memset(ip, 0, 16);
    if (ipv6) {
        memcpy(ip, site, sizeof(site));
        ip[7] = (uint8_t)host; /* a /64 of its own */
        ip[15] = 1;
        return;
    }
    ip[10] = ip[11] = 0xff;
    ip[12] = 192;
    ip[14] = 2;
    ip[15] = (uint8_t)host;
}

struct turbo_path world_path(const struct connection *c, uint16_t port)
{
    struct turbo_path path = {.peer.port = port, .local.port = 443};
    set_ip(path.peer.ip, c->plan->ipv6, c->plan->host);
    set_ip(path.local.ip, c->plan->ipv6, 200);
    return path;
}

struct connection *world_connection_at(struct world *w, uint16_t port)
{
    return &w->connections[(port - FIRST_PORT) / PORTS_A_CONNECTION];
}

static bool does_not_listen(void *owner)
{
    (void)owner;
    return false;
}

const struct tcp_listener *world_host(const struct connection *c, unsigned address)
{
    static const struct tcp_listener refuses = {.listens = does_not_listen}, silent = {0};
    if (address > 0 || c->plan->dead_address == HOST_ALIVE)
        return &c->world->edge.listener;
    return c->plan->dead_address == HOST_REFUSES ? &refuses : &silent;
}

/* ---- what must never be exceeded, whoever keeps count in libturbo ---- */

void world_account_request(struct world *w, const struct datagram *d)
{
    struct account *a = &w->accounts[d->port - FIRST_PORT];
    a->requests++;
    a->request_bytes += d->length;
}

void world_account_response(struct world *w, uint16_t port, size_t length)
{
    struct account *a = &w->accounts[port - FIRST_PORT];
    a->responses++;
    a->response_bytes += length;
    if (a->responses > a->requests || a->response_bytes > 3 * a->request_bytes)
        journal_breach(&w->journal, world_connection_at(w, port)->index, "12.4",
                       "port %u has sent %u datagrams of %u bytes and gets %u of %u", port,
                       (unsigned)a->requests, (unsigned)a->request_bytes, (unsigned)a->responses,
                       (unsigned)a->response_bytes);
}

void world_excuse_all(struct world *w, enum excuse excuse)
{
    for (size_t i = 0; i < w->plan->count; i++) {
        struct connection *c = &w->connections[i];
        if (excuse == EXCUSE_RESTART && c->plan->start > w->clock.now - RUN_STARTS)
            continue; /* it finds the new process */
        c->excuses |= excuse;
        c->server_lost |= excuse == EXCUSE_RESTART;
    }
}

/* ---- the run ---- */

static void start_connection(struct world *w, size_t i)
{
    struct connection *c = &w->connections[i];
    c->world = w;
    c->plan = &w->plan->connections[i];
    c->index = (int)i;
    c->excuses = c->plan->hostile ? EXCUSE_HOSTILE : 0;
    c->hello_reached = c->dials = 0;
    c->server_lost = false;
    c->server = NULL;
    content_make(&c->content, c->plan, (unsigned)i);
    actor_init(&c->app, &w->clock, &w->journal, c->index, "the app");
    dialler_init(&c->dialler, c);
    c->app.wake = dialler_wake;
    c->app.owner = &c->dialler;
    c->app.hostile = c->plan->hostile;
    link_init(&c->requests, &c->plan->requests, &w->clock, &w->datagrams, c->plan->seed ^ 1);
    link_init(&c->responses, &c->plan->responses, &w->clock, &w->datagrams, c->plan->seed ^ 2);
    c->requests.deliver = edge_datagram;
    c->requests.receiver = &w->edge;
    c->responses.deliver = dialler_datagram;
    c->responses.receiver = &c->dialler;
    clock_after(&w->clock, c->plan->start, dialler_start, &c->dialler, 0);
}

static turbo_time latest_end(const struct plan *plan)
{
    turbo_time last = 0;
    for (size_t i = 0; i < plan->count; i++)
        last = plan->connections[i].start > last ? plan->connections[i].start : last;
    return RUN_STARTS + last + RUN_TIME_MAX;
}

static void run_to_the_end(struct world *w)
{
    turbo_time limit = latest_end(w->plan);
    while (w->journal.broken == NULL && clock_step(&w->clock)) {
        if (w->clock.now > limit || w->clock.happened > RUN_EVENTS_MAX)
            journal_breach(&w->journal, -1, "12.2", "the run does not come to an end");
    }
}

void world_run(struct world *w, const struct plan *plan, struct coverage *coverage, bool classic,
               bool traced)
{
    w->plan = plan;
    w->coverage = coverage;
    w->classic = classic;
    w->journal = (struct journal){.clock = &w->clock, .traced = traced, .classic = classic};
    clock_start(&w->clock, RUN_STARTS);
    datagram_pool_init(&w->datagrams);
    memset(w->learned, 0, sizeof(w->learned));
    memset(w->accounts, 0, sizeof(w->accounts));
    edge_init(&w->edge, w);
    for (size_t i = 0; i < plan->count; i++)
        start_connection(w, i);
    run_to_the_end(w);
    if (w->journal.broken == NULL)
        properties_check_end(w);
    coverage->events += w->clock.happened;
}
