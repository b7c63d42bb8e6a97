#include <stddef.h>
#include <string.h>

#include "proxy/ops/exposition.h"
#include "proxy/ops/metrics_parts.h"
#include "proxy/ops/totals.h"

/* Of a listener's counters, with at most one label more. */
struct udp_metric {
    const char *name, *help, *label;
    struct {
        const char *text;
        size_t offset; /* in struct turbo_endpoint_counters */
    } values[6];       /* as many as there are a `text` for; without a label: one */
};

#define COUNTER(field_) offsetof(struct turbo_endpoint_counters, field_)

static const struct udp_metric udp_metrics[] = {
    {"turbotls_udp_requests_total",
     "Datagrams that belong to a session.",
     NULL,
     {{"", COUNTER(requests)}}},
    {"turbotls_udp_responses_total",
     "Datagrams sent to clients.",
     NULL,
     {{"", COUNTER(responses)}}},
    {"turbotls_udp_parities_total",
     "Of the responses, those that make up for a lost one.",
     NULL,
     {{"", COUNTER(parities)}}},
    {"turbotls_udp_dropped_total",
     "Datagrams dropped: malformed, of a session that was over, or of one that never began.",
     "reason",
     {{"junk", COUNTER(junk)}, {"late", COUNTER(late)}, {"orphan", COUNTER(orphans_dropped)}}},
    {"turbotls_udp_unearned_total",
     "Requests from more addresses than a session answers.",
     NULL,
     {{"", COUNTER(addresses_beyond)}}},
    {"turbotls_udp_refused_total",
     "Sessions refused: told so, or not even that as there were too many.",
     "answer",
     {{"refused", COUNTER(refused)}, {"silence", COUNTER(refused_silent)}}},
    {"turbotls_sessions_total", "Sessions begun by UDP.", NULL, {{"", COUNTER(sessions)}}},
    {"turbotls_sessions_sandwich_total",
     "Those of them in the Sandwich dialect.",
     NULL,
     {{"", COUNTER(sandwich)}}},
    {"turbotls_sessions_ended_total",
     "Sessions that no longer wait for TCP: it joined them, opened as if there were none, or never "
     "came.",
     "how",
     {{"joined", COUNTER(joined)},
      {"adopted", COUNTER(adopted)},
      {"expired", COUNTER(expired)},
      {"aborted", COUNTER(aborted)}}},
    {"turbotls_joins_unknown_total",
     "TCP came for a session that is not there.",
     NULL,
     {{"", COUNTER(unknown)}}},
    {"turbotls_chunks_total",
     "Chunks of flights that had been sent by UDP when TCP joined.",
     NULL,
     {{"", COUNTER(chunks)}}},
    {"turbotls_chunks_again_total",
     "Of these, those that TCP brings again: lost, late, or behind one that was.",
     NULL,
     {{"", COUNTER(chunks_again)}}},
};

/* What the listeners of one name have counted; those that are no longer wanted are not among them,
 * whose numbers would go when they do. */
struct udp_sum {
    const char *listener;
    struct turbo_endpoint_counters counters;
    uint64_t pending;
};

static uint64_t get(const struct turbo_endpoint_counters *counters, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)counters + offset, sizeof(value));
    return value;
}

/* The one of this name, which is new if there was none. */
static struct udp_sum *sum_of(struct udp_sum *sums, size_t *count, const char *listener)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(sums[i].listener, listener) == 0)
            return &sums[i];
    sums[*count] = (struct udp_sum){.listener = listener};
    return &sums[(*count)++];
}

static size_t sum_up(const struct totals *t, struct udp_sum sums[static CONFIG_LISTENERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < t->listener_count; i++) {
        const struct totals_listener *l = &t->listeners[i];
        if (l->settings->kind != ENDPOINT_TURBO)
            continue;
        struct udp_sum *sum = sum_of(sums, &count, l->settings->name);
        totals_add_counters(&sum->counters, &l->counters);
        sum->pending += l->pending;
    }
    return count;
}

static void write_udp_metric(FILE *out, const struct udp_metric *m, const struct udp_sum *sums,
                             size_t count)
{
    exposition_family(out, m->name, EXPOSITION_COUNTER, m->help);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sizeof(m->values) / sizeof(m->values[0]); k++)
            if (m->values[k].text != NULL)
                exposition_count(out, m->name,
                                 EXPOSITION_LABELS({"listener", sums[i].listener},
                                                   {m->label, m->values[k].text}),
                                 get(&sums[i].counters, m->values[k].offset));
}

static void write_limits(FILE *out, const struct udp_sum *sums, size_t count)
{
    exposition_family(out, "turbotls_sessions_limited_total", EXPOSITION_COUNTER,
                      "Sessions not begun, or given up again, by the limit that was hit.");
    for (size_t i = 0; i < count; i++)
        for (int limit = 0; limit < TURBO_LIMIT_COUNT; limit++)
            exposition_count(
                out, "turbotls_sessions_limited_total",
                EXPOSITION_LABELS({"listener", sums[i].listener},
                                  {"limit", turbo_limit_text((enum turbo_limit)limit)}),
                sums[i].counters.limited[limit]);
}

void metrics_write_udp(const struct totals *t, FILE *out)
{
    struct udp_sum sums[CONFIG_LISTENERS_MAX];
    size_t count = sum_up(t, sums);
    for (size_t i = 0; i < sizeof(udp_metrics) / sizeof(udp_metrics[0]); i++)
        write_udp_metric(out, &udp_metrics[i], sums, count);
    write_limits(out, sums, count);
    exposition_family(out, "turbotls_sessions_pending", EXPOSITION_GAUGE,
                      "Sessions that wait for TCP.");
    for (size_t i = 0; i < count; i++)
        exposition_count(out, "turbotls_sessions_pending",
                         EXPOSITION_LABELS({"listener", sums[i].listener}), sums[i].pending);
}
