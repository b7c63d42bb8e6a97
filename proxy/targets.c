#include "proxy/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/net/name.h"

enum { BUCKETS = 512, ADDRESSES_MAX = 512 };

TAILQ_HEAD(target_list, kept);

struct kept {
    TAILQ_ENTRY(kept) used;  /* most recently used first */
    struct kept *next_alike; /* of those in the same bucket */
    struct server *server;   /* held */
};

struct targets {
    unsigned references;
    struct server *total; /* held */
    struct target_list list;
    size_t count;
    struct kept *buckets[BUCKETS];
};

static struct kept **place_of(struct targets *t, const char *host, uint16_t port)
{
    struct kept **place = &t->buckets[name_hash(host, port) % BUCKETS];
    while (*place != NULL &&
           ((*place)->server->port != port || strcmp((*place)->server->host, host) != 0))
        place = &(*place)->next_alike;
    return place;
}

struct targets *targets_create(enum endpoint_kind kind)
{
    const struct config_server all = {.host = "*"};
    struct targets *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->references = 1;
    TAILQ_INIT(&t->list);
    t->total = server_create(kind, &all, ADDRESSES_MAX);
    if (t->total == NULL) {
        free(t);
        return NULL;
    }
    (void)snprintf(t->total->text, sizeof(t->total->text), "requested");
    return t;
}

struct targets *targets_hold(struct targets *t)
{
    t->references++;
    return t;
}

static void forget(struct targets *t, struct kept *kept)
{
    *place_of(t, kept->server->host, kept->server->port) = kept->next_alike;
    TAILQ_REMOVE(&t->list, kept, used);
    t->count--;
    server_release(kept->server);
    free(kept);
}

void targets_release(struct targets *t)
{
    struct kept *kept;
    if (t == NULL || --t->references > 0)
        return;
    while ((kept = TAILQ_FIRST(&t->list)) != NULL)
        forget(t, kept);
    server_release(t->total);
    free(t);
}

bool targets_are(const struct targets *t, enum endpoint_kind kind)
{
    return t != NULL && t->total->kind == kind;
}

static struct kept *add(struct targets *t, const char *host, uint16_t port)
{
    const struct config_server settings = {.host = host, .port = port, .udp_port = port};
    struct kept *kept = calloc(1, sizeof(*kept));
    if (kept == NULL)
        return NULL;
    kept->server = server_create_in(t->total, &settings);
    if (kept->server == NULL) {
        free(kept);
        return NULL;
    }
    if (t->count == TARGETS_MAX)
        forget(t, TAILQ_LAST(&t->list, target_list));
    *place_of(t, host, port) = kept;
    TAILQ_INSERT_HEAD(&t->list, kept, used);
    t->count++;
    return kept;
}

struct server *targets_find(struct targets *t, const char *host, uint16_t port)
{
    struct kept *kept = *place_of(t, host, port);
    if (kept == NULL) {
        kept = add(t, host, port);
        return kept == NULL ? NULL : server_hold(kept->server);
    }
    TAILQ_REMOVE(&t->list, kept, used);
    TAILQ_INSERT_HEAD(&t->list, kept, used);
    return server_hold(kept->server);
}

struct server *targets_total(const struct targets *t)
{
    return t->total;
}
