#include "proxy/ops/totals.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "proxy/worker.h"

/* ---- listeners ---- */

void totals_add_counters(struct turbo_endpoint_counters *sum,
                         const struct turbo_endpoint_counters *counters)
{
    enum { COUNT = sizeof(*counters) / sizeof(uint64_t) };
    uint64_t to[COUNT], from[COUNT];
    _Static_assert(sizeof(to) == sizeof(*counters), "counters are uint64_t");
    memcpy(to, sum, sizeof(to));
    memcpy(from, counters, sizeof(from));
    for (size_t i = 0; i < COUNT; i++)
        to[i] += from[i];
    memcpy(sum, to, sizeof(to));
}

static void add_listener(struct totals_listener *t, const struct listener *l)
{
    struct udp_endpoint *udp = listener_udp(l);
    t->open = t->open || listener_is_open(l);
    t->leaving = t->leaving || listener_is_leaving(l);
    t->connections += listener_connections(l);
    if (udp == NULL)
        return;
    struct turbo_endpoint_counters counters = turbo_endpoint_counters(udp_endpoint_turbo(udp));
    totals_add_counters(&t->counters, &counters);
    t->pending += turbo_endpoint_pending(udp_endpoint_turbo(udp));
}

/* NULL: out of memory. */
static struct totals_listener *new_listener(struct totals *t, const struct listener *l)
{
    size_t count = t->listener_count + t->leaving_count;
    struct totals_listener *all = realloc(t->listeners, (count + 1) * sizeof(*all));
    if (all == NULL)
        return NULL;
    t->listeners = all;
    all[count] = (struct totals_listener){.group = listener_group(l),
                                          .config = config_hold(listener_generation(l)->config),
                                          .settings = listener_settings(l)};
    memcpy(all[count].text, listener_text(l), strlen(listener_text(l)) + 1);
    return &all[count];
}

static bool add_listeners(struct totals *t, const struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        if (i == t->listener_count) {
            if (new_listener(t, w->listeners[i]) == NULL)
                return false;
            t->listener_count++;
        }
        add_listener(&t->listeners[i], w->listeners[i]);
    }
    return true;
}

static struct totals_listener *find_leaving(const struct totals *t, const struct listener *l)
{
    for (size_t i = 0; i < t->leaving_count; i++)
        if (t->listeners[t->listener_count + i].group == listener_group(l))
            return &t->listeners[t->listener_count + i];
    return NULL;
}

/* Each worker has them for as long as it needs them. */
static bool add_leaving(struct totals *t, const struct worker *w)
{
    for (size_t i = 0; i < w->leaving_count; i++) {
        struct totals_listener *sum = find_leaving(t, w->leaving[i]);
        if (sum == NULL) {
            sum = new_listener(t, w->leaving[i]);
            if (sum == NULL)
                return false;
            t->leaving_count++;
        }
        add_listener(sum, w->leaving[i]);
    }
    return true;
}

/* ---- upstreams ---- */

static void name_servers(struct totals_upstream *t, const struct upstream *u)
{
    for (size_t i = 0; i < t->server_count; i++) {
        uint32_t weight;
        t->servers[i].text = upstream_report(u, i, &weight)->text;
        t->servers[i].weight = weight;
        t->servers[i].up = 1;
    }
}

/* False: out of memory. */
static bool make_upstreams(struct totals *t, const struct generation *g)
{
    size_t servers = 0, count = g->config->upstream_count;
    for (size_t i = 0; i < count; i++)
        servers += upstream_reported(g->upstreams[i]);
    if (servers == 0) /* no checked configuration is without */
        return false;
    t->upstreams = calloc(count, sizeof(*t->upstreams));
    t->servers = calloc(servers, sizeof(*t->servers));
    if (t->upstreams == NULL || t->servers == NULL)
        return false;
    struct totals_server *next = t->servers;
    for (size_t i = 0; i < count; i++) {
        struct totals_upstream *u = &t->upstreams[i];
        u->settings = g->upstreams[i]->settings;
        u->servers = next;
        u->server_count = upstream_reported(g->upstreams[i]);
        next += u->server_count;
        name_servers(u, g->upstreams[i]);
    }
    return true;
}

static uint64_t udp_paused(const struct server *s, turbo_time now)
{
    uint64_t paused = 0;
    for (size_t i = 0; s->kind == ENDPOINT_TURBO && i < s->memory->count; i++)
        paused += turbo_learned_paused(&s->memory->entries[i].learned, now);
    return paused;
}

static void add_server(struct totals_server *t, const struct server *s, turbo_time now)
{
    uint64_t paused = udp_paused(s, now);
    t->up = t->up && s->health.out_until == 0;
    t->connections += s->connections;
    t->connected += s->connected;
    t->failed += s->failed;
    t->passed_checks += s->checked - s->check_failed;
    t->failed_checks += s->check_failed;
    t->whole += s->flights.whole;
    t->repaired += s->flights.repaired;
    t->partial += s->flights.partial;
    t->silent += s->flights.silent;
    t->udp_paused = paused > t->udp_paused ? paused : t->udp_paused;
}

static void add_upstreams(struct totals *t, const struct worker *w)
{
    for (size_t i = 0; i < t->config->upstream_count; i++) {
        const struct upstream *u = w->generation->upstreams[i];
        uint32_t weight;
        t->upstreams[i].pending += u->pending;
        for (size_t k = 0; k < t->upstreams[i].server_count; k++)
            add_server(&t->upstreams[i].servers[k], upstream_report(u, k, &weight), w->now);
    }
}

/* ---- all of it ---- */

static bool add_routes(struct totals *t, const struct worker *w)
{
    for (const struct route_stats *r = stats_first(w->stats); r != NULL; r = r->next)
        if (!stats_add(t->routes, r))
            return false;
    return true;
}

static void add_worker(struct totals *t, const struct worker *w)
{
    t->connections[t->workers++] = w->connections;
    t->arrivals += w->arrival_count;
    t->pipes += w->pipes.open;
    t->lines_dropped += w->log->dropped_in_all;
    t->connections_max = w->connections_max;
    t->accepting = t->accepting && w->accepting;
    t->draining = t->draining || w->draining;
}

bool totals_add(struct totals *t, const struct worker *w)
{
    add_worker(t, w);
    add_upstreams(t, w);
    return add_listeners(t, w) && add_leaving(t, w) && add_routes(t, w);
}

struct totals *totals_create(const struct worker *first)
{
    struct totals *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->config = config_hold(first->generation->config);
    t->accepting = true;
    t->routes = stats_create();
    if (t->routes == NULL || !make_upstreams(t, first->generation) || !totals_add(t, first)) {
        totals_destroy(t);
        return NULL;
    }
    return t;
}

void totals_destroy(struct totals *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->listener_count + t->leaving_count; i++)
        config_release(t->listeners[i].config);
    if (t->routes != NULL)
        stats_forget(t->routes);
    stats_destroy(t->routes);
    free(t->listeners);
    free(t->upstreams);
    free(t->servers);
    config_release(t->config);
    free(t);
}

uint64_t totals_connections(const struct totals *t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < t->workers; i++)
        sum += t->connections[i];
    return sum;
}

const struct route_stats *totals_route(const struct totals *t, const char *listener,
                                       const char *route)
{
    static const struct route_stats nothing = {.active = 0};
    const struct route_stats *r = stats_find(t->routes, listener, route);
    return r != NULL ? r : &nothing;
}
