#include "proxy/ops/metrics.h"

#include "proxy/ops/exposition.h"
#include "proxy/ops/metrics_parts.h"
#include "proxy/ops/process.h"
#include "proxy/ops/stats.h"
#include "proxy/ops/totals.h"

enum { WORKER_NUMBER_BYTES = 12 };

/* ---- connections, by listener and route ---- */

#define ROUTE_OF(r_)                                                                               \
    {"listener", (r_)->listener},                                                                  \
    {                                                                                              \
        "route", (r_)->route                                                                       \
    }

static const char *reason_text(enum turbo_reason reason)
{
    return reason == TURBO_REASON_NONE ? "none" : turbo_reason_text(reason);
}

/* Those that there were, and turbo always: its rate is known from the first one on. */
static void write_endings(FILE *out, const struct route_stats *r)
{
    for (int outcome = 0; outcome < TURBO_OUTCOME_COUNT; outcome++)
        for (int reason = 0; reason < TURBO_REASON_COUNT; reason++)
            if (r->connections[outcome][reason] > 0 ||
                (outcome == TURBO_OUTCOME_TURBO && reason == TURBO_REASON_NONE))
                exposition_count(
                    out, "turbotls_connections_total",
                    EXPOSITION_LABELS(ROUTE_OF(r),
                                      {"outcome", turbo_outcome_text((enum turbo_outcome)outcome)},
                                      {"reason", reason_text((enum turbo_reason)reason)}),
                    r->connections[outcome][reason]);
}

static void write_bytes(FILE *out, const struct route_stats *r)
{
    exposition_count(out, "turbotls_bytes_total",
                     EXPOSITION_LABELS(ROUTE_OF(r), {"direction", "to_server"}), r->bytes_c2s);
    exposition_count(out, "turbotls_bytes_total",
                     EXPOSITION_LABELS(ROUTE_OF(r), {"direction", "to_client"}), r->bytes_s2c);
}

static void write_histograms(FILE *out, const char *name, const struct route_stats *r,
                             const struct stats_histogram by_outcome[static TURBO_OUTCOME_COUNT])
{
    for (int outcome = 0; outcome < TURBO_OUTCOME_COUNT; outcome++) {
        const struct stats_histogram *h = &by_outcome[outcome];
        if (h->counts[STATS_BUCKETS] == 0)
            continue;
        exposition_histogram(
            out, name,
            EXPOSITION_LABELS(ROUTE_OF(r),
                              {"outcome", turbo_outcome_text((enum turbo_outcome)outcome)}),
            &(struct exposition_histogram){.bounds_us = stats_bounds_us,
                                           .bounds = STATS_BUCKETS,
                                           .counts = h->counts,
                                           .sum_us = h->sum_us});
    }
}

static void write_connections(FILE *out, const struct route_stats *all)
{
    const struct route_stats *r;
    exposition_family(out, "turbotls_connections_active", EXPOSITION_GAUGE, "Connections now.");
    for (r = all; r != NULL; r = r->next)
        exposition_count(out, "turbotls_connections_active", EXPOSITION_LABELS(ROUTE_OF(r)),
                         r->active);
    exposition_family(out, "turbotls_connections_total", EXPOSITION_COUNTER,
                      "Connections that have ended, by how they went and why.");
    for (r = all; r != NULL; r = r->next)
        write_endings(out, r);
    exposition_family(out, "turbotls_round_trips_saved_total", EXPOSITION_COUNTER,
                      "Round trips that handshakes did without.");
    for (r = all; r != NULL; r = r->next)
        exposition_count(out, "turbotls_round_trips_saved_total", EXPOSITION_LABELS(ROUTE_OF(r)),
                         r->round_trips_saved);
    exposition_family(out, "turbotls_saved_seconds_total", EXPOSITION_COUNTER,
                      "How long these round trips would have been.");
    for (r = all; r != NULL; r = r->next)
        exposition_seconds(out, "turbotls_saved_seconds_total", EXPOSITION_LABELS(ROUTE_OF(r)),
                           r->saved_us);
    exposition_family(out, "turbotls_bytes_total", EXPOSITION_COUNTER,
                      "Bytes passed on by connections that have ended.");
    for (r = all; r != NULL; r = r->next)
        write_bytes(out, r);
    exposition_family(out, "turbotls_first_response_seconds", EXPOSITION_HISTOGRAM,
                      "From a client's first byte to the server's first.");
    for (r = all; r != NULL; r = r->next)
        write_histograms(out, "turbotls_first_response_seconds", r, r->first_response);
    exposition_family(out, "turbotls_first_answer_seconds", EXPOSITION_HISTOGRAM,
                      "From a client's first byte to its answer to the server's first flight.");
    for (r = all; r != NULL; r = r->next)
        write_histograms(out, "turbotls_first_answer_seconds", r, r->first_answer);
}

/* ---- the workers and their process ---- */

static void write_one(FILE *out, const char *name, enum exposition_type type, const char *help,
                      uint64_t value)
{
    exposition_family(out, name, type, help);
    exposition_count(out, name, NULL, value);
}

static void write_time(FILE *out, const char *name, enum exposition_type type, const char *help,
                       uint64_t us)
{
    exposition_family(out, name, type, help);
    exposition_seconds(out, name, NULL, us);
}

static void write_workers(FILE *out, const struct totals *t)
{
    write_one(out, "turbotls_connections_max", EXPOSITION_GAUGE,
              "Connections that the limit of open files allows.", t->connections_max);
    write_one(out, "turbotls_arrivals", EXPOSITION_GAUGE,
              "Connections whose first bytes have not told yet what they are.", t->arrivals);
    write_one(out, "turbotls_accepting", EXPOSITION_GAUGE,
              "0: out of descriptors or memory, until a connection ends.", t->accepting);
    write_one(out, "turbotls_draining", EXPOSITION_GAUGE, "1: stopping.", t->draining);
    write_one(out, "turbotls_pipes", EXPOSITION_GAUGE, "Pipes to splice through, idle ones too.",
              t->pipes);
    write_one(out, "turbotls_log_lines_dropped_total", EXPOSITION_COUNTER,
              "Log lines that their reader did not take.", t->lines_dropped);
}

/* Whether they share the work evenly. */
static void write_shares(FILE *out, const struct totals *t)
{
    write_one(out, "turbotls_workers", EXPOSITION_GAUGE, "Threads that share the connections.",
              t->workers);
    exposition_family(out, "turbotls_worker_connections", EXPOSITION_GAUGE,
                      "Connections that each of them has now.");
    for (unsigned i = 0; i < t->workers; i++) {
        char number[WORKER_NUMBER_BYTES];
        (void)snprintf(number, sizeof(number), "%u", i);
        exposition_count(out, "turbotls_worker_connections", EXPOSITION_LABELS({"worker", number}),
                         t->connections[i]);
    }
}

static void write_reloads(FILE *out, const struct process *p)
{
    exposition_family(out, "turbotls_reloads_total", EXPOSITION_COUNTER,
                      "Times that the configuration was read again.");
    exposition_count(out, "turbotls_reloads_total", EXPOSITION_LABELS({"result", "succeeded"}),
                     p->reloads);
    exposition_count(out, "turbotls_reloads_total", EXPOSITION_LABELS({"result", "failed"}),
                     p->failed_reloads);
    write_one(out, "turbotls_last_reload_succeeded", EXPOSITION_GAUGE,
              "0: the file is not what is in force.", !p->reload_failed);
    write_time(out, "turbotls_configuration_time_seconds", EXPOSITION_GAUGE,
               "Unix time at which what is in force was read.", p->reloaded_us);
}

/* As https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics names them. */
static void write_process(FILE *out, const struct process *p)
{
    uint64_t files = process_open_files(p), resident = process_resident_bytes(p);
    write_time(out, "process_cpu_seconds_total", EXPOSITION_COUNTER, "Time on the processor.",
               process_cpu_us());
    if (files > 0)
        write_one(out, "process_open_fds", EXPOSITION_GAUGE, "Open descriptors.", files);
    write_one(out, "process_max_fds", EXPOSITION_GAUGE, "Descriptors that may be open.",
              process_max_files());
    if (resident > 0)
        write_one(out, "process_resident_memory_bytes", EXPOSITION_GAUGE, "Memory in use.",
                  resident);
    write_time(out, "process_start_time_seconds", EXPOSITION_GAUGE,
               "Unix time at which it was started.", p->started_us);
}

void metrics_write(const struct totals *t, const struct process *process, FILE *out)
{
    exposition_family(out, "turbotls_build_info", EXPOSITION_GAUGE, "The version, as a label.");
    exposition_count(out, "turbotls_build_info", EXPOSITION_LABELS({"version", TURBOTLS_VERSION}),
                     1);
    write_connections(out, stats_first(t->routes));
    metrics_write_upstreams(t, out);
    metrics_write_udp(t, out);
    write_workers(out, t);
    write_shares(out, t);
    write_reloads(out, process);
    write_process(out, process);
}
