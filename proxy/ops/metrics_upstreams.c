#include <stddef.h>
#include <string.h>

#include "proxy/ops/exposition.h"
#include "proxy/ops/metrics_parts.h"
#include "proxy/ops/totals.h"

/* With at most one label beside upstream and server. */
struct metric {
    const char *name, *help;
    enum exposition_type type;
    bool turbo_only;
    const char *label;
    struct {
        const char *text;
        size_t offset; /* in struct totals_server */
    } values[4];       /* as many as there are a `text` for; without a label: one */
};

#define NUMBER(field_) offsetof(struct totals_server, field_)

static const struct metric metrics[] = {
    {"turbotls_server_up",
     "1: connections go there; 0: it could not be connected to, as some worker found.",
     EXPOSITION_GAUGE,
     false,
     NULL,
     {{"", NUMBER(up)}}},
    {"turbotls_server_weight",
     "Its share of connections, as configured.",
     EXPOSITION_GAUGE,
     false,
     NULL,
     {{"", NUMBER(weight)}}},
    {"turbotls_server_connections",
     "Connections to it now, those being made included.",
     EXPOSITION_GAUGE,
     false,
     NULL,
     {{"", NUMBER(connections)}}},
    {"turbotls_server_connects_total",
     "Attempts to connect to it for clients, by how they ended.",
     EXPOSITION_COUNTER,
     false,
     "result",
     {{"connected", NUMBER(connected)}, {"failed", NUMBER(failed)}}},
    {"turbotls_server_checks_total",
     "Connections made only to see whether it can be reached.",
     EXPOSITION_COUNTER,
     false,
     "result",
     {{"passed", NUMBER(passed_checks)}, {"failed", NUMBER(failed_checks)}}},
    {"turbotls_server_flights_total",
     "First flights asked for by UDP: whole by UDP; repaired, with a chunk that had been lost; "
     "partial, TCP brought some; silent, nothing came by UDP.",
     EXPOSITION_COUNTER,
     true,
     "came",
     {{"whole", NUMBER(whole)},
      {"repaired", NUMBER(repaired)},
      {"partial", NUMBER(partial)},
      {"silent", NUMBER(silent)}}},
    {"turbotls_server_udp_paused",
     "Its addresses that are not asked by UDP for a while.",
     EXPOSITION_GAUGE,
     true,
     NULL,
     {{"", NUMBER(udp_paused)}}},
};

/* Named twice in one upstream it is still one server: the first of it counts. */
static bool is_repeated(const struct totals_upstream *u, size_t server)
{
    for (size_t i = 0; i < server; i++)
        if (strcmp(u->servers[i].text, u->servers[server].text) == 0)
            return true;
    return false;
}

static void write_server(FILE *out, const struct metric *m, const char *upstream,
                         const struct totals_server *s)
{
    for (size_t i = 0; i < sizeof(m->values) / sizeof(m->values[0]); i++) {
        uint64_t value;
        if (m->values[i].text == NULL)
            return;
        memcpy(&value, (const char *)s + m->values[i].offset, sizeof(value));
        exposition_count(out, m->name,
                         EXPOSITION_LABELS({"upstream", upstream}, {"server", s->text},
                                           {m->label, m->values[i].text}),
                         value);
    }
}

static void write_metric(FILE *out, const struct metric *m, const struct totals *t)
{
    exposition_family(out, m->name, m->type, m->help);
    for (size_t i = 0; i < t->config->upstream_count; i++) {
        const struct totals_upstream *u = &t->upstreams[i];
        if (m->turbo_only && u->settings->kind != ENDPOINT_TURBO)
            continue;
        for (size_t server = 0; server < u->server_count; server++)
            if (!is_repeated(u, server))
                write_server(out, m, u->settings->name, &u->servers[server]);
    }
}

void metrics_write_upstreams(const struct totals *t, FILE *out)
{
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        write_metric(out, &metrics[i], t);
    exposition_family(out, "turbotls_upstream_pending", EXPOSITION_GAUGE,
                      "Connections to it whose clients have not joined by TCP yet.");
    for (size_t i = 0; i < t->config->upstream_count; i++)
        exposition_count(out, "turbotls_upstream_pending",
                         EXPOSITION_LABELS({"upstream", t->upstreams[i].settings->name}),
                         t->upstreams[i].pending);
}
