#include "proxy/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As --upstream would take it. */
static void put_text(struct server *s)
{
    bool literal_v6 = strchr(s->host, ':') != NULL;
    int n = snprintf(s->text, sizeof(s->text), "%s:%s%s%s:%u",
                     s->kind == ENDPOINT_TURBO ? "turbo" : "tcp", literal_v6 ? "[" : "", s->host,
                     literal_v6 ? "]" : "", s->port);
    if (s->kind == ENDPOINT_TURBO && s->udp_port != s->port)
        (void)snprintf(s->text + n, sizeof(s->text) - (size_t)n, ",udp=%u", s->udp_port);
}

static struct server *create(enum endpoint_kind kind, const struct config_server *settings)
{
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->references = 1;
    s->kind = kind;
    s->port = settings->port;
    s->udp_port = settings->udp_port;
    (void)snprintf(s->host, sizeof(s->host), "%s", settings->host);
    put_text(s);
    return s;
}

struct server *server_create(enum endpoint_kind kind, const struct config_server *settings,
                             size_t addresses)
{
    struct server *s = create(kind, settings);
    if (s == NULL)
        return NULL;
    s->memory = memory_create(addresses);
    if (s->memory == NULL) {
        server_release(s);
        return NULL;
    }
    return s;
}

struct server *server_create_in(struct server *total, const struct config_server *settings)
{
    struct server *s = create(total->kind, settings);
    if (s == NULL)
        return NULL;
    s->total = server_hold(total);
    s->memory = total->memory;
    return s;
}

struct server *server_hold(struct server *s)
{
    s->references++;
    return s;
}

void server_release(struct server *s)
{
    if (s == NULL || --s->references > 0)
        return;
    if (s->total == NULL)
        free(s->memory);
    server_release(s->total);
    free(s);
}

bool server_is(const struct server *s, enum endpoint_kind kind,
               const struct config_server *settings)
{
    return s->kind == kind && s->port == settings->port && s->udp_port == settings->udp_port &&
           strcmp(s->host, settings->host) == 0;
}

/* ---- what is counted ---- */

struct server *server_joined(struct server *s)
{
    s->connections++;
    if (s->total != NULL)
        s->total->connections++;
    return server_hold(s);
}

void server_left(struct server *s)
{
    s->connections--;
    if (s->total != NULL)
        s->total->connections--;
    server_release(s);
}

void server_note_connect(struct server *s, bool connected)
{
    for (; s != NULL; s = s->total)
        *(connected ? &s->connected : &s->failed) += 1;
}

static void note_flight(struct server *s, const struct turbo_client_report *r)
{
    if (r->flight_known && r->flight_by_udp)
        *(r->rebuilt ? &s->flights.repaired : &s->flights.whole) += 1;
    else if (r->flight_known && r->responded)
        s->flights.partial++;
    else if (!r->responded && r->outcome == TURBO_OUTCOME_CLASSIC)
        s->flights.silent++;
}

void server_note_flight(struct server *s, const struct turbo_client_report *r)
{
    for (; s != NULL && r->asked && !r->refused; s = s->total)
        note_flight(s, r);
}
