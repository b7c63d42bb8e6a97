#include "proxy/ops/status.h"

#include <jansson.h>
#include <unistd.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/process.h"
#include "proxy/ops/stats.h"
#include "proxy/worker.h"

/*
 * Values that could not be made are NULL, which json_object_set_new and json_array_append_new
 * refuse: without memory something is missing, and what is written is JSON all the same.
 */

static void put_number(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_bool(json_t *object, const char *name, bool value)
{
    json_object_set_new(object, name, json_boolean(value));
}

/* NULL: null. Text that is not UTF-8 is not written. */
static void put_text(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, text == NULL ? json_null() : json_string(text));
}

static void put_seconds(json_t *object, const char *name, uint64_t us)
{
    json_object_set_new(object, name, json_real((double)us / 1e6));
}

/* ---- listeners ---- */

static json_t *ended(const struct route_stats *r)
{
    json_t *object = json_object();
    for (int outcome = 0; outcome < TURBO_OUTCOME_COUNT; outcome++) {
        uint64_t count = 0;
        for (int reason = 0; reason < TURBO_REASON_COUNT; reason++)
            count += r->connections[outcome][reason];
        put_number(object, turbo_outcome_text((enum turbo_outcome)outcome), count);
    }
    return object;
}

static json_t *route(const struct route_stats *r, const char *upstream)
{
    json_t *object = json_object();
    put_text(object, "name", r->route);
    put_text(object, "upstream", upstream);
    put_number(object, "active", r->active);
    json_object_set_new(object, "ended", ended(r));
    put_number(object, "round_trips_saved", r->round_trips_saved);
    put_seconds(object, "saved_seconds", r->saved_us);
    put_number(object, "bytes_to_server", r->bytes_c2s);
    put_number(object, "bytes_to_client", r->bytes_s2c);
    return object;
}

static json_t *routes(const struct listener *l)
{
    const struct generation *g = listener_generation(l);
    const struct config_listener *settings = listener_settings(l);
    json_t *array = json_array();
    json_array_append_new(array, route(generation_stats(g, settings, NULL), NULL));
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct config_route *r = &settings->routes[i];
        json_array_append_new(
            array, route(generation_stats(g, settings, r), g->config->upstreams[r->upstream].name));
    }
    return array;
}

static json_t *listener(const struct listener *l)
{
    struct udp_endpoint *udp = listener_udp(l);
    json_t *object = json_object();
    put_text(object, "name", listener_settings(l)->name);
    put_text(object, "address", listener_text(l));
    put_bool(object, "open", listener_is_open(l));
    put_bool(object, "leaving", listener_is_leaving(l));
    put_number(object, "connections", listener_connections(l));
    if (udp != NULL)
        put_number(object, "pending", turbo_endpoint_pending(udp_endpoint_turbo(udp)));
    json_object_set_new(object, "routes", routes(l));
    return object;
}

static json_t *listeners(const struct worker *w)
{
    json_t *array = json_array();
    for (size_t i = 0; i < w->listener_count; i++)
        json_array_append_new(array, listener(w->listeners[i]));
    for (size_t i = 0; i < w->leaving_count; i++)
        json_array_append_new(array, listener(w->leaving[i]));
    return array;
}

/* ---- upstreams ---- */

static json_t *server(const struct server *s, uint32_t weight)
{
    json_t *object = json_object();
    put_text(object, "address", s->text);
    put_number(object, "weight", weight);
    put_bool(object, "up", s->health.out_until == 0);
    put_number(object, "connections", s->connections);
    put_number(object, "connected", s->connected);
    put_number(object, "failed", s->failed);
    put_number(object, "checks", s->checked);
    put_number(object, "failed_checks", s->check_failed);
    return object;
}

static json_t *upstream(const struct upstream *u)
{
    json_t *object = json_object(), *servers = json_array();
    put_text(object, "name", u->settings->name);
    put_text(object, "protocol", u->settings->kind == ENDPOINT_TURBO ? "turbo" : "tcp");
    put_number(object, "pending", u->pending);
    for (size_t i = 0; i < u->settings->server_count; i++)
        json_array_append_new(servers, server(u->servers[i], u->settings->servers[i].weight));
    json_object_set_new(object, "servers", servers);
    return object;
}

static json_t *upstreams(const struct generation *g)
{
    json_t *array = json_array();
    for (size_t i = 0; i < g->config->upstream_count; i++)
        json_array_append_new(array, upstream(g->upstreams[i]));
    return array;
}

/* ---- the whole ---- */

static json_t *connections(const struct worker *w)
{
    json_t *object = json_object();
    put_number(object, "active", w->connections);
    put_number(object, "arrivals", w->arrival_count);
    put_number(object, "max", w->connections_max);
    return object;
}

void status_write(const struct worker *w, const struct process *process, FILE *out)
{
    json_t *status = json_object();
    put_text(status, "version", TURBOTLS_VERSION);
    put_number(status, "pid", (uint64_t)getpid());
    put_seconds(status, "started", process->started_us);
    put_seconds(status, "configured", process->reloaded_us);
    put_bool(status, "last_reload_succeeded", !process->reload_failed);
    put_bool(status, "accepting", w->accepting);
    put_bool(status, "draining", w->draining);
    json_object_set_new(status, "connections", connections(w));
    json_object_set_new(status, "listeners", listeners(w));
    json_object_set_new(status, "upstreams", upstreams(w->generation));
    if (status != NULL && json_dumpf(status, out, JSON_INDENT(2)) == 0)
        (void)fputc('\n', out);
    json_decref(status);
}
