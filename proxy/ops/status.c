#include "proxy/ops/status.h"

#include <jansson.h>
#include <unistd.h>

#include "proxy/ops/process.h"
#include "proxy/ops/stats.h"
#include "proxy/ops/totals.h"

/* What is written; the first value that there was no memory for makes all of it worthless. */
struct page {
    const struct totals *totals;
    bool incomplete;
};

/* Takes `value` over; NULL: out of memory. */
static void put(struct page *p, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        p->incomplete = true;
}

static void add(struct page *p, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        p->incomplete = true;
}

static void put_number(struct page *p, json_t *object, const char *name, uint64_t value)
{
    put(p, object, name, json_integer((json_int_t)value));
}

static void put_bool(struct page *p, json_t *object, const char *name, bool value)
{
    put(p, object, name, json_boolean(value));
}

/* NULL: null. */
static void put_text(struct page *p, json_t *object, const char *name, const char *text)
{
    put(p, object, name, text == NULL ? json_null() : json_string(text));
}

static void put_seconds(struct page *p, json_t *object, const char *name, uint64_t us)
{
    put(p, object, name, json_real((double)us / 1e6));
}

/* ---- listeners ---- */

static json_t *ended(struct page *p, const struct route_stats *r)
{
    json_t *object = json_object();
    for (int outcome = 0; outcome < TURBO_OUTCOME_COUNT; outcome++)
        put_number(p, object, turbo_outcome_text((enum turbo_outcome)outcome), r->ended[outcome]);
    return object;
}

static json_t *route(struct page *p, const struct route_stats *r, const char *name,
                     const char *upstream)
{
    json_t *object = json_object();
    put_text(p, object, "name", name);
    put_text(p, object, "upstream", upstream);
    put_number(p, object, "active", r->active);
    put(p, object, "ended", ended(p, r));
    put_number(p, object, "round_trips_saved", r->round_trips_saved);
    put_seconds(p, object, "saved_seconds", r->saved_us);
    put_number(p, object, "bytes_to_server", r->bytes_c2s);
    put_number(p, object, "bytes_to_client", r->bytes_s2c);
    return object;
}

static json_t *routes(struct page *p, const struct totals_listener *l)
{
    const struct config_listener *settings = l->settings;
    json_t *array = json_array();
    add(p, array, route(p, totals_route(p->totals, settings->name, ""), "", NULL));
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct config_route *r = &settings->routes[i];
        add(p, array,
            route(p, totals_route(p->totals, settings->name, r->name), r->name,
                  l->config->upstreams[r->upstream].name));
    }
    return array;
}

static json_t *listener(struct page *p, const struct totals_listener *l)
{
    json_t *object = json_object();
    put_text(p, object, "name", l->settings->name);
    put_text(p, object, "address", l->text);
    put_bool(p, object, "open", l->open);
    put_bool(p, object, "leaving", l->leaving);
    put_number(p, object, "connections", l->connections);
    if (l->settings->kind == ENDPOINT_TURBO)
        put_number(p, object, "pending", l->pending);
    put(p, object, "routes", routes(p, l));
    return object;
}

static json_t *listeners(struct page *p)
{
    const struct totals *t = p->totals;
    json_t *array = json_array();
    for (size_t i = 0; i < t->listener_count + t->leaving_count; i++)
        add(p, array, listener(p, &t->listeners[i]));
    return array;
}

/* ---- upstreams ---- */

static json_t *server(struct page *p, const struct totals_server *s)
{
    json_t *object = json_object();
    put_text(p, object, "address", s->text);
    put_number(p, object, "weight", s->weight);
    put_bool(p, object, "up", s->up != 0);
    put_number(p, object, "connections", s->connections);
    put_number(p, object, "connected", s->connected);
    put_number(p, object, "failed", s->failed);
    put_number(p, object, "checks", s->passed_checks + s->failed_checks);
    put_number(p, object, "failed_checks", s->failed_checks);
    return object;
}

static json_t *upstream(struct page *p, const struct totals_upstream *u)
{
    json_t *object = json_object(), *servers = json_array();
    put_text(p, object, "name", u->settings->name);
    put_text(p, object, "protocol", u->settings->kind == ENDPOINT_TURBO ? "turbo" : "tcp");
    put_number(p, object, "pending", u->pending);
    for (size_t i = 0; i < u->server_count; i++)
        add(p, servers, server(p, &u->servers[i]));
    put(p, object, "servers", servers);
    return object;
}

static json_t *upstreams(struct page *p)
{
    json_t *array = json_array();
    for (size_t i = 0; i < p->totals->config->upstream_count; i++)
        add(p, array, upstream(p, &p->totals->upstreams[i]));
    return array;
}

/* ---- the whole ---- */

static json_t *connections(struct page *p)
{
    json_t *object = json_object();
    put_number(p, object, "active", totals_connections(p->totals));
    put_number(p, object, "arrivals", p->totals->arrivals);
    put_number(p, object, "max", p->totals->connections_max);
    return object;
}

static json_t *workers(struct page *p)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < p->totals->workers; i++) {
        json_t *object = json_object();
        put_number(p, object, "connections", p->totals->connections[i]);
        add(p, array, object);
    }
    return array;
}

static json_t *whole(struct page *p, const struct process *process)
{
    json_t *object = json_object();
    put_text(p, object, "version", TURBOTLS_VERSION);
    put_number(p, object, "pid", (uint64_t)getpid());
    put_seconds(p, object, "started", process->started_us);
    put_seconds(p, object, "configured", process->reloaded_us);
    put_bool(p, object, "last_reload_succeeded", !process->reload_failed);
    put_bool(p, object, "accepting", p->totals->accepting);
    put_bool(p, object, "draining", p->totals->draining);
    put(p, object, "connections", connections(p));
    put(p, object, "workers", workers(p));
    put(p, object, "listeners", listeners(p));
    put(p, object, "upstreams", upstreams(p));
    return object;
}

bool status_write(const struct totals *t, const struct process *process, FILE *out)
{
    struct page page = {.totals = t};
    json_t *status = whole(&page, process);
    bool complete = !page.incomplete && json_dumpf(status, out, JSON_INDENT(2)) == 0;
    (void)fputc('\n', out);
    json_decref(status);
    return complete;
}
