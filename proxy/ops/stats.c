#include "proxy/ops/stats.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/ops/access.h"

enum { LISTS = 512 /* of routes; there are 64 × 1,024 at most, a few as a rule */ };

const uint32_t stats_bounds_us[STATS_BUCKETS] = {1000,    2500,    5000,    10000,   25000,
                                                 50000,   75000,   100000,  250000,  500000,
                                                 1000000, 2500000, 5000000, 10000000};

struct stats {
    struct route_stats *first, *last;
    struct route_stats *alike[LISTS];
};

struct stats *stats_create(void)
{
    return calloc(1, sizeof(struct stats));
}

void stats_destroy(struct stats *stats)
{
    assert(stats == NULL || stats->first == NULL);
    free(stats);
}

/* FNV-1a, of the final zero byte as well: where one name ends counts. */
static uint32_t hash(uint32_t so_far, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    do
        so_far = (so_far ^ *at) * 16777619u;
    while (*at++ != '\0');
    return so_far;
}

static struct route_stats **list_of(struct stats *stats, const char *listener, const char *route)
{
    return &stats->alike[hash(hash(2166136261u, listener), route) % LISTS];
}

static void link_in(struct stats *stats, struct route_stats *r)
{
    struct route_stats **list = list_of(stats, r->listener, r->route);
    r->next_alike = *list;
    *list = r;
    r->previous = stats->last;
    if (stats->last != NULL)
        stats->last->next = r;
    else
        stats->first = r;
    stats->last = r;
}

static void unlink_from(struct stats *stats, struct route_stats *r)
{
    struct route_stats **at = list_of(stats, r->listener, r->route);
    while (*at != r)
        at = &(*at)->next_alike;
    *at = r->next_alike;
    if (r->previous != NULL)
        r->previous->next = r->next;
    else
        stats->first = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
    else
        stats->last = r->previous;
}

static void route_free(struct route_stats *r)
{
    free(r->listener);
    free(r->route);
    free(r);
}

struct route_stats *stats_find(struct stats *stats, const char *listener, const char *route)
{
    struct route_stats *r = *list_of(stats, listener, route);
    while (r != NULL && (strcmp(r->listener, listener) != 0 || strcmp(r->route, route) != 0))
        r = r->next_alike;
    return r;
}

struct route_stats *stats_hold(struct stats *stats, const char *listener, const char *route)
{
    struct route_stats *r = stats_find(stats, listener, route);
    if (r != NULL)
        return stats_hold_again(r);
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->listener = strdup(listener);
    r->route = strdup(route);
    if (r->listener == NULL || r->route == NULL) {
        route_free(r);
        return NULL;
    }
    link_in(stats, r);
    return stats_hold_again(r);
}

struct route_stats *stats_hold_again(struct route_stats *r)
{
    if (r != NULL)
        r->references++;
    return r;
}

void stats_release(struct stats *stats, struct route_stats *r)
{
    if (r == NULL || --r->references > 0)
        return;
    unlink_from(stats, r);
    route_free(r);
}

const struct route_stats *stats_first(const struct stats *stats)
{
    return stats->first;
}

/* ---- adding up ---- */

static void histogram_sum(struct stats_histogram *to, const struct stats_histogram *from)
{
    for (int i = 0; i <= STATS_BUCKETS; i++)
        to->counts[i] += from->counts[i];
    to->sum_us += from->sum_us;
}

static void outcome_sum(struct route_stats *to, const struct route_stats *from, int outcome)
{
    to->ended[outcome] += from->ended[outcome];
    for (int reason = 0; reason < TURBO_REASON_COUNT; reason++)
        to->connections[outcome][reason] += from->connections[outcome][reason];
    histogram_sum(&to->first_response[outcome], &from->first_response[outcome]);
    histogram_sum(&to->first_answer[outcome], &from->first_answer[outcome]);
}

bool stats_add(struct stats *sums, const struct route_stats *route)
{
    struct route_stats *to = stats_hold(sums, route->listener, route->route);
    if (to == NULL)
        return false;
    to->active += route->active;
    to->round_trips_saved += route->round_trips_saved;
    to->saved_us += route->saved_us;
    to->bytes_c2s += route->bytes_c2s;
    to->bytes_s2c += route->bytes_s2c;
    for (int outcome = 0; outcome < TURBO_OUTCOME_COUNT; outcome++)
        if (route->ended[outcome] > 0) /* as a rule two or three of them */
            outcome_sum(to, route, outcome);
    return true;
}

void stats_forget(struct stats *sums)
{
    struct route_stats *next;
    for (struct route_stats *r = sums->first; r != NULL; r = next) {
        next = r->next;
        route_free(r);
    }
    *sums = (struct stats){.first = NULL};
}

/* ---- counting ---- */

static void histogram_add(struct stats_histogram *h, uint64_t us)
{
    if (us == 0)
        return;
    for (int i = 0; i < STATS_BUCKETS; i++)
        h->counts[i] += us <= stats_bounds_us[i];
    h->counts[STATS_BUCKETS]++;
    h->sum_us += us;
}

void stats_began(struct route_stats *r)
{
    if (r != NULL)
        r->active++;
}

void stats_left(struct route_stats *r)
{
    if (r == NULL)
        return;
    assert(r->active > 0);
    r->active--;
}

void stats_ended(struct route_stats *r, const struct access *access)
{
    if (r == NULL)
        return;
    stats_left(r);
    r->ended[access->outcome]++;
    r->connections[access->outcome][access->reason]++;
    r->bytes_c2s += access->bytes_c2s;
    r->bytes_s2c += access->bytes_s2c;
    if (access->outcome == TURBO_OUTCOME_TURBO) {
        r->round_trips_saved++;
        r->saved_us += access->rtt_us;
    }
    histogram_add(&r->first_response[access->outcome], access->first_response_us);
    histogram_add(&r->first_answer[access->outcome], access->first_answer_us);
}
