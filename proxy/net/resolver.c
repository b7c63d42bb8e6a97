#include "proxy/net/resolver.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

#include "proxy/net/dns.h"
#include "proxy/net/name.h"
#include "proxy/net/svcb.h"

enum { RESOLVER_TAG = 0x7e501e00, QUERY_TAG = 0x7e501e01 };
enum { CHAINS = 512, CLASS_IN = 1 };

static const char too_many[] = "Too many names are being looked up";

TAILQ_HEAD(query_list, resolver_query);
TAILQ_HEAD(entry_list, entry);
LIST_HEAD(entry_chain, entry);

/* A name of the cache, or on the way into it: its addresses, or the record of a service there. */
struct entry {
    TAILQ_ENTRY(entry) by_use;
    LIST_ENTRY(entry) in_chain;
    struct resolver *resolver;
    struct query_list waiting; /* for the look-up under way */
    size_t users;              /* queries that point here; none: it may be forgotten */
    bool asking;               /* c-ares points here */
    double expires;            /* on clock_s() */
    uint16_t port;             /* of the service; 0: this is about addresses */
    bool known;                /* of a record */
    struct svcb record;
    struct address *addresses;
    size_t count;
    const char *error;
    char host[];
};

struct resolver_query {
    uint32_t tag;
    TAILQ_ENTRY(resolver_query) link;
    struct query_list *list; /* the list it is in */
    struct resolver *resolver;
    struct entry *entry;    /* NULL: it has an answer of its own: */
    struct address literal; /* this ... */
    const char *error;      /* ... unless there is none */
    resolver_done *done;    /* NULL: it is about a record */
    resolver_discovered *discovered;
    void *owner;
};

struct resolver {
    uint32_t tag;
    struct ev_loop *loop;
    struct dns *dns;
    ev_check answer;           /* answers `ready` after the next poll ... */
    ev_idle awake;             /* ... which this keeps from waiting */
    struct query_list ready;   /* to be answered then */
    struct entry_list entries; /* most recently used first */
    struct entry_chain chains[CHAINS];
    size_t entry_count;
    size_t query_count;
};

/* Not the loop's clock: that one is wall time, and jumps with it. */
static double clock_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- answers ---- */

static void query_move(struct resolver_query *query, struct query_list *list)
{
    if (query->list != NULL)
        TAILQ_REMOVE(query->list, query, link);
    TAILQ_INSERT_TAIL(list, query, link);
    query->list = list;
}

static void query_move_all(struct query_list *from, struct query_list *to)
{
    struct resolver_query *query;

    while ((query = TAILQ_FIRST(from)) != NULL)
        query_move(query, to);
}

static void query_free(struct resolver_query *query)
{
    TAILQ_REMOVE(query->list, query, link);
    if (query->entry != NULL)
        query->entry->users--;
    query->resolver->query_count--;
    query->tag = 0;
    free(query);
}

static void answer_addresses(struct resolver_query *query)
{
    struct address addresses[RESOLVER_ADDRESSES_MAX] = {query->literal};
    const struct entry *entry = query->entry;
    size_t count = query->error == NULL ? 1 : 0;
    const char *error = query->error;
    resolver_done *done = query->done;
    void *owner = query->owner;

    if (entry != NULL) {
        count = entry->count;
        error = count == 0 ? entry->error : NULL;
        if (count > 0)
            memcpy(addresses, entry->addresses, count * sizeof(addresses[0]));
    }
    query_free(query);
    done(owner, addresses, count, error);
}

static void answer_record(struct resolver_query *query)
{
    const struct entry *entry = query->entry;
    bool known = entry != NULL && entry->known;
    struct svcb record = known ? entry->record : (struct svcb){.turbo = false};
    resolver_discovered *done = query->discovered;
    void *owner = query->owner;

    query_free(query);
    done(owner, known, record.turbo, record.udp_port);
}

static void answer_ready(struct ev_loop *loop, ev_check *check, int events)
{
    struct resolver *resolver = check->data;
    struct query_list batch = TAILQ_HEAD_INITIALIZER(batch);
    struct resolver_query *query;
    (void)events;

    assert(resolver->tag == RESOLVER_TAG);
    ev_check_stop(loop, &resolver->answer);
    ev_idle_stop(loop, &resolver->awake);
    /* Queries that are added meanwhile wait for the next iteration, or a retry could hold the loop
     * up. Each is ended before its owner is told, who may do anything with the resolver. */
    query_move_all(&resolver->ready, &batch);
    while ((query = TAILQ_FIRST(&batch)) != NULL) {
        assert(query->tag == QUERY_TAG);
        if (query->done != NULL)
            answer_addresses(query);
        else
            answer_record(query);
    }
}

static void stay_awake(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)loop, (void)idle, (void)events;
}

static void schedule_answers(struct resolver *resolver)
{
    if (TAILQ_EMPTY(&resolver->ready))
        return;
    ev_check_start(resolver->loop, &resolver->answer);
    ev_idle_start(resolver->loop, &resolver->awake);
}

/* ---- the cache ---- */

/* Who wants collisions gets them, among no more than RESOLVER_NAMES_MAX. */
static struct entry_chain *chain_of(struct resolver *resolver, const char *host, uint16_t port)
{
    return &resolver->chains[name_hash(host, port) % CHAINS];
}

static void entry_free(struct entry *entry)
{
    free(entry->addresses);
    free(entry);
}

static void entry_forget(struct entry *entry)
{
    TAILQ_REMOVE(&entry->resolver->entries, entry, by_use);
    LIST_REMOVE(entry, in_chain);
    entry->resolver->entry_count--;
    entry_free(entry);
}

/* For one more, below `limit`: the least recently used that are not in use go. False: too many are.
 */
static bool make_room(struct resolver *resolver, size_t limit)
{
    struct entry *entry = TAILQ_LAST(&resolver->entries, entry_list), *before;

    for (; entry != NULL && resolver->entry_count >= limit; entry = before) {
        before = TAILQ_PREV(entry, entry_list, by_use);
        if (entry->users == 0 && !entry->asking)
            entry_forget(entry);
    }
    return resolver->entry_count < limit;
}

static struct entry *entry_find(struct resolver *resolver, const char *host, uint16_t port)
{
    struct entry *entry;

    LIST_FOREACH(entry, chain_of(resolver, host, port), in_chain)
    if (entry->port == port && strcasecmp(entry->host, host) == 0)
        break;
    if (entry != NULL) {
        TAILQ_REMOVE(&resolver->entries, entry, by_use);
        TAILQ_INSERT_HEAD(&resolver->entries, entry, by_use);
    }
    return entry;
}

static struct entry *entry_new(struct resolver *resolver, const char *host, uint16_t port)
{
    size_t size = strlen(host) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + size);

    if (entry == NULL)
        return NULL;
    entry->resolver = resolver;
    entry->port = port;
    memcpy(entry->host, host, size);
    TAILQ_INIT(&entry->waiting);
    TAILQ_INSERT_HEAD(&resolver->entries, entry, by_use);
    LIST_INSERT_HEAD(chain_of(resolver, host, port), entry, in_chain);
    resolver->entry_count++;
    return entry;
}

/* Owners are told from the loop, not from here: c-ares may be done within the call that asks it. */
static void entry_answered(struct entry *entry, uint32_t ttl_s)
{
    if (ttl_s > RESOLVER_TTL_MAX_S)
        ttl_s = RESOLVER_TTL_MAX_S;
    if (ttl_s < RESOLVER_TTL_MIN_S)
        ttl_s = RESOLVER_TTL_MIN_S;
    entry->asking = false;
    entry->expires = clock_s() + ttl_s;
    query_move_all(&entry->waiting, &entry->resolver->ready);
    schedule_answers(entry->resolver);
}

/* ---- addresses ---- */

static size_t count_addresses(const struct ares_addrinfo *info)
{
    size_t count = 0;

    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next)
        count++;
    return count < RESOLVER_ADDRESSES_MAX ? count : RESOLVER_ADDRESSES_MAX;
}

/* Takes the addresses over; returns the smallest TTL on the way to them, or that of a failure. */
static int take_addresses(struct entry *entry, const struct ares_addrinfo *info)
{
    size_t room = count_addresses(info);
    struct address *list = calloc(room + 1, sizeof(*list));
    int ttl = INT_MAX;

    if (list == NULL) {
        entry->error = ares_strerror(ARES_ENOMEM);
        return RESOLVER_FAILURE_TTL_S;
    }
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL && entry->count < room;
         node = node->ai_next) {
        struct address *address = &list[entry->count];

        address_from_sockaddr(address, node->ai_addr, node->ai_addrlen);
        if (address_family(address) == AF_UNSPEC)
            continue;
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
        entry->count++;
    }
    entry->addresses = list;
    return ttl < 0 ? 0 : ttl;
}

static void resolved(void *data, int status, int timeouts, struct ares_addrinfo *info)
{
    struct entry *entry = data;
    int ttl = RESOLVER_FAILURE_TTL_S;
    (void)timeouts;

    free(entry->addresses);
    entry->addresses = NULL;
    entry->count = 0;
    entry->error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
    if (status == ARES_SUCCESS && info != NULL)
        ttl = take_addresses(entry, info);
    if (info != NULL)
        ares_freeaddrinfo(info);
    entry_answered(entry, (uint32_t)ttl);
}

static void ask_addresses(struct entry *entry)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    ares_getaddrinfo(dns_channel(entry->resolver->dns), entry->host, NULL, &hints, resolved, entry);
}

/* ---- HTTPS records ---- */

static void discovered(void *data, int status, int timeouts, unsigned char *message, int length)
{
    struct entry *entry = data;
    bool answered = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
    (void)timeouts;

    entry->known = answered && message != NULL && length > 0 &&
                   svcb_read(message, (size_t)length, entry->port, &entry->record);
    entry_answered(entry, entry->known ? entry->record.ttl_s : RESOLVER_FAILURE_TTL_S);
}

static void ask_record(struct entry *entry)
{
    char name[SVCB_NAME_BYTES];

    if (svcb_query_name(entry->host, entry->port, name))
        ares_query(dns_channel(entry->resolver->dns), name, CLASS_IN, SVCB_TYPE_HTTPS, discovered,
                   entry);
    else
        discovered(entry, ARES_EBADNAME, 0, NULL, 0);
}

/* ---- queries ---- */

static struct resolver_query *query_new(struct resolver *resolver, void *owner)
{
    struct resolver_query *query = calloc(1, sizeof(*query));

    if (query == NULL)
        return NULL;
    query->tag = QUERY_TAG;
    query->resolver = resolver;
    query->owner = owner;
    resolver->query_count++;
    query_move(query, &resolver->ready);
    return query;
}

/* Connects the query with its name, which is asked for unless the last answer is good still; a new
 * one has its place below `limit`. False: out of memory. */
static bool query_look_up(struct resolver_query *query, const char *host, uint16_t port,
                          size_t limit)
{
    struct resolver *resolver = query->resolver;
    struct entry *entry = entry_find(resolver, host, port);

    if (entry == NULL && !make_room(resolver, limit)) {
        query->error = too_many;
        return true;
    }
    if (entry == NULL)
        entry = entry_new(resolver, host, port);
    if (entry == NULL)
        return false;
    query->entry = entry;
    entry->users++;
    if (!entry->asking && clock_s() >= entry->expires) {
        entry->asking = true;
        query_move(query, &entry->waiting);
        if (port == 0)
            ask_addresses(entry);
        else
            ask_record(entry);
        dns_asked(resolver->dns);
    } else if (entry->asking) {
        query_move(query, &entry->waiting);
    }
    return true;
}

static struct resolver_query *resolve(struct resolver *resolver, const char *host, size_t limit,
                                      resolver_done *done, void *owner)
{
    struct resolver_query *query = query_new(resolver, owner);

    if (query == NULL)
        return NULL;
    query->done = done;
    if (!address_from_literal(&query->literal, host, 0) && !query_look_up(query, host, 0, limit)) {
        query_free(query);
        return NULL;
    }
    schedule_answers(resolver);
    return query;
}

struct resolver_query *resolver_resolve(struct resolver *resolver, const char *host,
                                        resolver_done *done, void *owner)
{
    return resolve(resolver, host, RESOLVER_NAMES_MAX, done, owner);
}

struct resolver_query *resolver_resolve_requested(struct resolver *resolver, const char *host,
                                                  resolver_done *done, void *owner)
{
    return resolve(resolver, host, RESOLVER_REQUESTED_MAX, done, owner);
}

struct resolver_query *resolver_discover(struct resolver *resolver, const char *host, uint16_t port,
                                         resolver_discovered *done, void *owner)
{
    struct resolver_query *query = query_new(resolver, owner);
    char name[SVCB_NAME_BYTES];

    assert(port != 0);
    if (query == NULL)
        return NULL;
    query->discovered = done;
    if (svcb_query_name(host, port, name) &&
        !query_look_up(query, host, port, RESOLVER_REQUESTED_MAX)) {
        query_free(query);
        return NULL;
    }
    schedule_answers(resolver);
    return query;
}

bool resolver_recall(struct resolver *resolver, const char *host, uint16_t port, bool *turbo,
                     uint16_t *udp_port)
{
    const struct entry *entry = entry_find(resolver, host, port);

    if (entry == NULL || entry->asking || !entry->known || clock_s() >= entry->expires)
        return false;
    *turbo = entry->record.turbo;
    *udp_port = entry->record.udp_port;
    return true;
}

void resolver_cancel(struct resolver_query *query)
{
    assert(query->tag == QUERY_TAG);
    query_free(query);
}

/* ---- the resolver ---- */

bool resolver_set_servers(struct resolver *resolver, const char *servers)
{
    return ares_set_servers_ports_csv(dns_channel(resolver->dns), servers) == ARES_SUCCESS;
}

struct resolver *resolver_create(struct ev_loop *loop, uint32_t mark, const char **error)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    *error = ares_strerror(ARES_ENOMEM);
    if (resolver != NULL)
        resolver->dns = dns_create(loop, RESOLVER_TRY_MS, RESOLVER_TRIES, mark, error);
    if (resolver == NULL || resolver->dns == NULL) {
        free(resolver);
        return NULL;
    }
    resolver->tag = RESOLVER_TAG;
    resolver->loop = loop;
    TAILQ_INIT(&resolver->ready);
    TAILQ_INIT(&resolver->entries);
    ev_check_init(&resolver->answer, answer_ready);
    ev_idle_init(&resolver->awake, stay_awake);
    resolver->answer.data = resolver;
    return resolver;
}

void resolver_destroy(struct resolver *resolver)
{
    struct entry *entry, *next;

    if (resolver == NULL)
        return;
    assert(resolver->tag == RESOLVER_TAG && resolver->query_count == 0);
    dns_destroy(resolver->dns); /* ends look-ups nobody waits for */
    for (entry = TAILQ_FIRST(&resolver->entries); entry != NULL; entry = next) {
        next = TAILQ_NEXT(entry, by_use);
        entry_free(entry);
    }
    ev_check_stop(resolver->loop, &resolver->answer);
    ev_idle_stop(resolver->loop, &resolver->awake);
    resolver->tag = 0;
    free(resolver);
}
