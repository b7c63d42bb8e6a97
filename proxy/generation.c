#include "proxy/generation.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/health_check.h"

static const struct upstream *namesake(const struct generation *g, const char *name)
{
    for (size_t i = 0; g != NULL && i < g->config->upstream_count; i++)
        if (strcmp(g->config->upstreams[i].name, name) == 0)
            return g->upstreams[i];
    return NULL;
}

static size_t count_stats(const struct config *config)
{
    size_t count = config->listener_count; /* of connections without a route */
    for (size_t i = 0; i < config->listener_count; i++)
        count += config->listeners[i].route_count;
    return count;
}

static bool hold_stats(struct generation *g)
{
    struct route_stats **next = g->route_stats;
    for (size_t i = 0; i < g->config->listener_count; i++) {
        const struct config_listener *l = &g->config->listeners[i];
        for (size_t route = 0; route <= l->route_count; route++, next++) {
            *next = stats_hold(g->stats, l->name, route == 0 ? "" : l->routes[route - 1].name);
            if (*next == NULL)
                return false;
        }
    }
    return true;
}

static bool hold_upstreams(struct generation *g, const struct generation *before)
{
    for (size_t i = 0; i < g->config->upstream_count; i++) {
        g->upstreams[i] =
            upstream_create(g->config, i, namesake(before, g->config->upstreams[i].name));
        if (g->upstreams[i] == NULL)
            return false;
    }
    return true;
}

struct generation *generation_create(struct config *config, struct stats *stats,
                                     const struct generation *before)
{
    size_t places = count_stats(config);
    if (places == 0 || config->upstream_count == 0)
        return NULL;
    struct generation *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return NULL;
    g->references = 1;
    g->config = config_hold(config);
    g->stats = stats;
    g->upstreams = calloc(config->upstream_count, sizeof(struct upstream *));
    g->route_stats = calloc(places, sizeof(struct route_stats *));
    if (g->upstreams == NULL || g->route_stats == NULL || !hold_stats(g) ||
        !hold_upstreams(g, before)) {
        generation_release(g);
        return NULL;
    }
    return g;
}

struct generation *generation_hold(struct generation *g)
{
    g->references++;
    return g;
}

void generation_release(struct generation *g)
{
    if (g == NULL || --g->references > 0)
        return;
    for (size_t i = 0; g->upstreams != NULL && i < g->config->upstream_count; i++)
        upstream_release(g->upstreams[i]);
    for (size_t i = 0; g->route_stats != NULL && i < count_stats(g->config); i++)
        stats_release(g->stats, g->route_stats[i]);
    free(g->upstreams);
    free(g->route_stats);
    config_release(g->config);
    free(g);
}

bool generation_start_checks(struct generation *g, struct worker *worker)
{
    bool all = true;
    for (size_t i = 0; i < g->config->upstream_count; i++)
        all = health_checks_start(g->upstreams[i], worker) && all;
    return all;
}

void generation_stop_checks(struct generation *g)
{
    for (size_t i = 0; g != NULL && g->upstreams != NULL && i < g->config->upstream_count; i++)
        if (g->upstreams[i] != NULL)
            health_checks_stop(g->upstreams[i]);
}

struct route_stats *generation_stats(const struct generation *g,
                                     const struct config_listener *listener,
                                     const struct config_route *route)
{
    size_t at = route == NULL ? 0 : 1 + (size_t)(route - listener->routes);
    for (const struct config_listener *l = g->config->listeners; l != listener; l++)
        at += 1 + l->route_count;
    return g->route_stats[at];
}
