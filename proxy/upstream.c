#include "proxy/upstream.h"

#include <stdlib.h>

#include "proxy/balance.h"
#include "proxy/sides/plain.h"
#include "proxy/sides/turbo_client.h"

/* ---- its life ---- */

/* The server that `before` has as well, or a new one. NULL: out of memory. */
static struct server *find_or_create(const struct upstream *before, enum endpoint_kind kind,
                                     const struct config_server *settings)
{
    for (size_t i = 0; before != NULL && i < before->settings->server_count; i++)
        if (server_is(before->servers[i], kind, settings))
            return server_hold(before->servers[i]);
    return server_create(kind, settings);
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
        u->servers[i] = find_or_create(before, u->settings->kind, &u->settings->servers[i]);
        if (u->servers[i] == NULL) {
            upstream_release(u);
            return NULL;
        }
    }
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
    for (size_t i = 0; i < u->settings->server_count; i++)
        server_release(u->servers[i]);
    config_release(u->config);
    free(u);
}

/* ---- connections ---- */

struct server *upstream_pick(struct upstream *u, turbo_time now, uint64_t *tried)
{
    uint32_t weights[CONFIG_SERVERS_MAX];
    uint64_t eligible = 0;
    for (size_t i = 0; i < u->settings->server_count; i++) {
        weights[i] = u->settings->servers[i].weight;
        if ((*tried >> i & 1) == 0 && health_is_up(&u->servers[i]->health, now))
            eligible |= UINT64_C(1) << i;
    }
    size_t chosen = balance_pick(weights, u->settings->server_count, eligible, u->credit);
    if (chosen == BALANCE_NONE)
        return NULL;
    *tried |= UINT64_C(1) << chosen;
    return u->servers[chosen];
}

struct side *upstream_open(struct upstream *u, struct worker *worker, const uint8_t *prelude,
                           size_t length)
{
    if (u->settings->kind == ENDPOINT_TURBO)
        return turbo_client_side(worker, u);
    return plain_connecting(worker, u, prelude, length);
}

bool upstream_has_room(const struct upstream *u, bool proven)
{
    return u->pending < (proven ? TURBO_PENDING_DEFAULT : TURBO_PENDING_UNPROVEN);
}

void upstream_failed(const struct upstream *u, struct log *log, const char *error)
{
    log_event(log, LOG_LEVEL_WARNING, "cannot connect to the upstream",
              LOG_TEXT("upstream", u->servers[0]->text), LOG_TEXT("error", error));
}
