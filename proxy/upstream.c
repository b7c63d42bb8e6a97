#include "proxy/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/balance.h"
#include "proxy/health_check.h"
#include "proxy/sides/plain.h"
#include "proxy/sides/turbo_client.h"
#include "proxy/target.h"
#include "proxy/targets.h"
#include "proxy/worker.h"

enum { PENDING_LEAST = 8 }; /* a burst is not divided evenly */

static const turbo_time COMPLAINT_PAUSE = 10 * TURBO_SECOND;

/* ---- its life ---- */

static struct server *find(const struct upstream *u, enum endpoint_kind kind,
                           const struct config_server *settings)
{
    for (size_t i = 0; i < CONFIG_SERVERS_MAX && u->servers[i] != NULL; i++)
        if (server_is(u->servers[i], kind, settings))
            return u->servers[i];
    return NULL;
}

/* The server that `before` has as well, or `u` already; or a new one. NULL: out of memory. */
static struct server *find_or_create(const struct upstream *u, const struct upstream *before,
                                     const struct config_server *settings)
{
    struct server *server = find(u, u->settings->kind, settings);
    if (server == NULL && before != NULL)
        server = find(before, u->settings->kind, settings);
    return server != NULL ? server_hold(server)
                          : server_create(u->settings->kind, settings, MEMORY_ADDRESSES_MAX);
}

/* Else what one is owed was earned with another weight, and might take long to be spent. */
static bool has_same_shares(const struct upstream *u, const struct upstream *before)
{
    if (u->settings->server_count != before->settings->server_count)
        return false;
    for (size_t i = 0; i < u->settings->server_count; i++)
        if (u->servers[i] != before->servers[i] ||
            u->settings->servers[i].weight != before->settings->servers[i].weight)
            return false;
    return true;
}

/* Those of `before`, if it has any of this kind. False: out of memory. */
static bool take_targets(struct upstream *u, const struct upstream *before)
{
    if (!u->settings->requested)
        return true;
    if (before != NULL && targets_are(before->targets, u->settings->kind))
        u->targets = targets_hold(before->targets);
    else
        u->targets = targets_create(u->settings->kind);
    return u->targets != NULL;
}

struct upstream *upstream_create(struct config *config, size_t index, const struct upstream *before)
{
    struct upstream *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return NULL;
    u->references = 1;
    u->config = config_hold(config);
    u->settings = &config->upstreams[index];
    for (size_t i = 0; i < u->settings->server_count; i++) {
        u->servers[i] = find_or_create(u, before, &u->settings->servers[i]);
        if (u->servers[i] == NULL) {
            upstream_release(u);
            return NULL;
        }
    }
    if (!take_targets(u, before)) {
        upstream_release(u);
        return NULL;
    }
    if (before != NULL && has_same_shares(u, before))
        memcpy(u->credit, before->credit, sizeof(u->credit));
    return u;
}

struct upstream *upstream_hold(struct upstream *u)
{
    u->references++;
    return u;
}

void upstream_release(struct upstream *u)
{
    if (u == NULL || --u->references > 0)
        return;
    health_checks_stop(u);
    for (size_t i = 0; i < u->settings->server_count; i++)
        server_release(u->servers[i]);
    targets_release(u->targets);
    config_release(u->config);
    free(u);
}

/* ---- which one ---- */

static bool is_tried(uint64_t tried, size_t i)
{
    return (tried >> i & 1) != 0;
}

/* By weight. BALANCE_NONE: none of them is up. */
static size_t pick_up(struct upstream *u, turbo_time now, uint64_t tried)
{
    uint32_t weights[CONFIG_SERVERS_MAX];
    uint64_t eligible = 0;
    for (size_t i = 0; i < u->settings->server_count; i++) {
        weights[i] = u->settings->servers[i].weight;
        if (!is_tried(tried, i) && health_is_up(&u->servers[i]->health, now))
            eligible |= UINT64_C(1) << i;
    }
    return balance_pick(weights, u->settings->server_count, eligible, u->credit);
}

/* Of those that are out. */
static size_t pick_first_back(const struct upstream *u, uint64_t tried)
{
    size_t first = BALANCE_NONE;
    for (size_t i = 0; i < u->settings->server_count; i++)
        if (!is_tried(tried, i) &&
            (first == BALANCE_NONE ||
             u->servers[i]->health.out_until < u->servers[first]->health.out_until))
            first = i;
    return first;
}

struct server *upstream_pick(struct upstream *u, turbo_time now, uint64_t *tried)
{
    size_t chosen = pick_up(u, now, *tried);
    if (chosen == BALANCE_NONE)
        chosen = pick_first_back(u, *tried);
    if (chosen == BALANCE_NONE)
        return NULL;
    *tried |= UINT64_C(1) << chosen;
    return u->servers[chosen];
}

/* ---- connections ---- */

struct side *upstream_open(struct upstream *u, struct worker *worker,
                           const struct upstream_call *call)
{
    if (u->settings->turbo == CONFIG_TURBO_NEVER || call->plain)
        return plain_connecting(worker, u, call);
    return turbo_client_side(worker, u, call);
}

struct server *upstream_requested(struct upstream *u, const struct target *target)
{
    return targets_find(u->targets, target->host, target->port);
}

size_t upstream_reported(const struct upstream *u)
{
    return u->settings->requested ? 1 : u->settings->server_count;
}

const struct server *upstream_report(const struct upstream *u, size_t index, uint32_t *weight)
{
    *weight = u->settings->requested ? 1 : u->settings->servers[index].weight;
    return u->settings->requested ? targets_total(u->targets) : u->servers[index];
}

bool upstream_has_room(const struct upstream *u, bool proven, unsigned owners)
{
    uint32_t room = (proven ? TURBO_PENDING_DEFAULT : TURBO_PENDING_UNPROVEN) / owners;
    return u->pending < (room > PENDING_LEAST ? room : PENDING_LEAST);
}

/* ---- how it went ---- */

void upstream_connected(const struct upstream *u, struct server *s, struct worker *w)
{
    if (health_succeeded(&s->health))
        log_event(w->log, LOG_LEVEL_INFO, "a server is back",
                  LOG_TEXT("upstream", u->settings->name), LOG_TEXT("server", s->text));
}

/* Not for each of many connections. */
static bool may_complain(turbo_time *last, const struct worker *w)
{
    if (*last != 0 && w->now - *last < COMPLAINT_PAUSE)
        return false;
    *last = w->now;
    return true;
}

static void complain(const struct upstream *u, struct server *s, struct worker *w,
                     const char *error)
{
    if (!may_complain(&s->complained, w))
        return;
    log_event(w->log, LOG_LEVEL_WARNING, "cannot connect to a server",
              LOG_TEXT("upstream", u->settings->name), LOG_TEXT("server", s->text),
              LOG_TEXT("error", error));
}

void upstream_failed(const struct upstream *u, struct server *s, struct worker *w, bool on_trial,
                     const char *error)
{
    if (!health_failed(&s->health, &u->settings->health, on_trial, w->now)) {
        complain(u, s, w, error);
        return;
    }
    s->complained = w->now;
    log_event(w->log, LOG_LEVEL_WARNING, "a server is left out",
              LOG_TEXT("upstream", u->settings->name), LOG_TEXT("server", s->text),
              LOG_TEXT("error", error),
              LOG_NUMBER("back_off_ms", s->health.back_off / TURBO_MILLISECOND));
}

void upstream_refused(const struct upstream *u, struct server *s, struct worker *w,
                      const char *fault, const char *said)
{
    if (may_complain(&s->refused, w))
        log_event(w->log, LOG_LEVEL_WARNING,
                  "a server does not begin TLS as its upstream's starttls says",
                  LOG_TEXT("upstream", u->settings->name), LOG_TEXT("server", s->text),
                  LOG_TEXT("starttls", prelude_starttls_text(u->settings->starttls)),
                  LOG_TEXT("fault", fault), LOG_TEXT("said", said[0] == '\0' ? NULL : said));
}

void upstream_gave_up(const struct upstream *u, struct server *s, struct worker *w, bool on_trial,
                      const char *error)
{
    health_gave_up(&s->health, on_trial);
    complain(u, s, w, error);
}
