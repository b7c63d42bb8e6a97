#include "proxy/net/resolver.h"

#include <ares.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

enum { RESOLVER_TAG = 0x7e501e00, QUERY_TAG = 0x7e501e01 };
enum { SOCKETS_MAX = 64 /* of c-ares: one for UDP and one for TCP to each server */ };

TAILQ_HEAD(query_list, resolver_query);
TAILQ_HEAD(name_list, name);

/* A name of the cache, or on the way into it. */
struct name {
    TAILQ_ENTRY(name) entry;
    struct resolver *resolver;
    struct query_list waiting; /* for the look-up under way */
    size_t users;              /* queries that point here; none: it may be forgotten */
    bool asking;               /* c-ares points here */
    double expires;            /* on clock_s() */
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    size_t count;
    const char *error;
    char host[];
};

struct resolver_query {
    uint32_t tag;
    TAILQ_ENTRY(resolver_query) entry;
    struct query_list *list; /* the list it is in */
    struct resolver *resolver;
    struct name *name;      /* NULL: a literal */
    struct address literal; /* its own answer then */
    resolver_done *done;
    void *owner;
};

struct resolver {
    uint32_t tag;
    struct ev_loop *loop;
    ares_channel channel;
    /* Room of its own: a socket that nobody watches is deaf for as long as c-ares keeps it. */
    ev_io watches[SOCKETS_MAX]; /* with descriptor -1: free */
    ev_timer timeout;           /* when c-ares wants to be called again */
    ev_check answer;            /* answers `ready` after the next poll ... */
    ev_idle awake;              /* ... which this keeps from waiting */
    struct query_list ready;    /* to be answered then */
    struct name_list names;     /* most recently used first */
    size_t name_count;
    size_t query_count;
};

/* Not the loop's clock: that one is wall time, and jumps with it. */
static double clock_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void query_move(struct resolver_query *query, struct query_list *list)
{
    if (query->list != NULL)
        TAILQ_REMOVE(query->list, query, entry);
    TAILQ_INSERT_TAIL(list, query, entry);
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
    TAILQ_REMOVE(query->list, query, entry);
    if (query->name != NULL)
        query->name->users--;
    query->resolver->query_count--;
    query->tag = 0;
    free(query);
}

/* Ends the query, then tells its owner, who may do anything with the resolver. */
static void query_answer(struct resolver_query *query)
{
    struct address addresses[RESOLVER_ADDRESSES_MAX] = {query->literal};
    size_t count = 1;
    const char *error = NULL;
    resolver_done *done = query->done;
    void *owner = query->owner;

    assert(query->tag == QUERY_TAG);
    if (query->name != NULL) {
        count = query->name->count;
        error = count == 0 ? query->name->error : NULL;
        memcpy(addresses, query->name->addresses, count * sizeof(addresses[0]));
    }
    query_free(query);
    done(owner, addresses, count, error);
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
    /* Queries that `done` adds wait for the next iteration, or a retry could hold the loop up. */
    query_move_all(&resolver->ready, &batch);
    while ((query = TAILQ_FIRST(&batch)) != NULL)
        query_answer(query);
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

static void schedule_timeout(struct resolver *resolver)
{
    struct timeval wait;

    ev_timer_stop(resolver->loop, &resolver->timeout);
    if (ares_timeout(resolver->channel, NULL, &wait) == NULL)
        return;
    ev_timer_set(&resolver->timeout, (double)wait.tv_sec + (double)wait.tv_usec / 1e6, 0);
    ev_timer_start(resolver->loop, &resolver->timeout);
}

static void timed_out(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct resolver *resolver = timer->data;
    (void)loop, (void)events;

    assert(resolver->tag == RESOLVER_TAG);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    schedule_timeout(resolver);
}

static void socket_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct resolver *resolver = io->data;
    int fd = io->fd; /* `io` may be gone after the call */
    (void)loop;

    assert(resolver->tag == RESOLVER_TAG);
    ares_process_fd(resolver->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    schedule_timeout(resolver);
}

static ev_io *watch_of(struct resolver *resolver, int fd)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (resolver->watches[i].fd == fd)
            return &resolver->watches[i];
    return NULL;
}

/* c-ares tells what it waits for on a socket; for nothing: it is about to close it. */
static void socket_changed(void *data, ares_socket_t fd, int readable, int writable)
{
    struct resolver *resolver = data;
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    ev_io *watch = watch_of(resolver, fd);

    if (watch == NULL)
        watch = watch_of(resolver, -1);
    if (watch == NULL)
        return; /* the look-up fails when its time is over */
    ev_io_stop(resolver->loop, watch);
    ev_io_set(watch, events == 0 ? -1 : fd, events);
    if (events != 0)
        ev_io_start(resolver->loop, watch);
}

static void name_forget(struct name *name)
{
    TAILQ_REMOVE(&name->resolver->names, name, entry);
    name->resolver->name_count--;
    free(name);
}

/* Forgets the least recently used names until there is room for one; those in use stay. */
static void names_make_room(struct resolver *resolver)
{
    struct name *name = TAILQ_LAST(&resolver->names, name_list), *before;

    for (; name != NULL && resolver->name_count >= RESOLVER_NAMES_MAX; name = before) {
        before = TAILQ_PREV(name, name_list, entry);
        if (name->users == 0 && !name->asking)
            name_forget(name);
    }
}

static struct name *name_find(struct resolver *resolver, const char *host)
{
    struct name *name;

    TAILQ_FOREACH(name, &resolver->names, entry)
    if (strcasecmp(name->host, host) == 0)
        break;
    if (name != NULL) {
        TAILQ_REMOVE(&resolver->names, name, entry);
        TAILQ_INSERT_HEAD(&resolver->names, name, entry);
    }
    return name;
}

static struct name *name_new(struct resolver *resolver, const char *host)
{
    size_t size = strlen(host) + 1;
    struct name *name;

    names_make_room(resolver);
    name = calloc(1, sizeof(*name) + size);
    if (name == NULL)
        return NULL;
    name->resolver = resolver;
    memcpy(name->host, host, size);
    TAILQ_INIT(&name->waiting);
    TAILQ_INSERT_HEAD(&resolver->names, name, entry);
    resolver->name_count++;
    return name;
}

/* Takes the addresses over; returns the smallest TTL on the way to them. */
static int name_take(struct name *name, const struct ares_addrinfo *info)
{
    int ttl = RESOLVER_TTL_MAX_S;

    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        struct address *address = &name->addresses[name->count];

        if (name->count == RESOLVER_ADDRESSES_MAX)
            break;
        address_from_sockaddr(address, node->ai_addr, node->ai_addrlen);
        if (address_family(address) == AF_UNSPEC)
            continue;
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
        name->count++;
    }
    return ttl < RESOLVER_TTL_MIN_S ? RESOLVER_TTL_MIN_S : ttl;
}

/* c-ares is done, perhaps from within name_ask. Owners are told from the loop, not from here. */
static void name_answered(void *data, int status, int timeouts, struct ares_addrinfo *info)
{
    struct name *name = data;
    int ttl = RESOLVER_FAILURE_TTL_S;
    (void)timeouts;

    name->asking = false;
    name->count = 0;
    name->error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
    if (status == ARES_SUCCESS && info != NULL)
        ttl = name_take(name, info);
    if (info != NULL)
        ares_freeaddrinfo(info);
    name->expires = clock_s() + ttl;
    query_move_all(&name->waiting, &name->resolver->ready);
    schedule_answers(name->resolver);
}

static void name_ask(struct name *name)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    name->asking = true;
    ares_getaddrinfo(name->resolver->channel, name->host, NULL, &hints, name_answered, name);
    schedule_timeout(name->resolver);
}

struct resolver_query *resolver_resolve(struct resolver *resolver, const char *host,
                                        resolver_done *done, void *owner)
{
    struct resolver_query *query = calloc(1, sizeof(*query));
    struct name *name;

    if (query == NULL)
        return NULL;
    *query = (struct resolver_query){
        .tag = QUERY_TAG, .resolver = resolver, .done = done, .owner = owner};
    if (!address_from_literal(&query->literal, host, 0)) {
        name = name_find(resolver, host);
        if (name == NULL)
            name = name_new(resolver, host);
        if (name == NULL) {
            free(query);
            return NULL;
        }
        if (!name->asking && clock_s() >= name->expires)
            name_ask(name);
        name->users++;
        query->name = name;
    }
    resolver->query_count++;
    query_move(query, query->name != NULL && query->name->asking ? &query->name->waiting
                                                                 : &resolver->ready);
    schedule_answers(resolver);
    return query;
}

void resolver_cancel(struct resolver_query *query)
{
    assert(query->tag == QUERY_TAG);
    query_free(query);
}

bool resolver_set_servers(struct resolver *resolver, const char *servers)
{
    return ares_set_servers_ports_csv(resolver->channel, servers) == ARES_SUCCESS;
}

struct resolver *resolver_create(struct ev_loop *loop, const char **error)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    struct ares_options options = {.timeout = RESOLVER_TRY_MS,
                                   .tries = RESOLVER_TRIES,
                                   .sock_state_cb = socket_changed,
                                   .sock_state_cb_data = resolver};
    int status = ARES_ENOMEM;

    /* No ares_library_init: it counts in a global, and has work to do on Windows only. */
    if (resolver != NULL)
        status = ares_init_options(&resolver->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        *error = ares_strerror(status);
        free(resolver);
        return NULL;
    }
    resolver->tag = RESOLVER_TAG;
    resolver->loop = loop;
    TAILQ_INIT(&resolver->ready);
    TAILQ_INIT(&resolver->names);
    ev_init(&resolver->timeout, timed_out);
    ev_check_init(&resolver->answer, answer_ready);
    ev_idle_init(&resolver->awake, stay_awake);
    resolver->timeout.data = resolver->answer.data = resolver;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        ev_io_init(&resolver->watches[i], socket_ready, -1, 0);
        resolver->watches[i].data = resolver;
    }
    return resolver;
}

void resolver_destroy(struct resolver *resolver)
{
    struct name *name, *next;

    if (resolver == NULL)
        return;
    assert(resolver->tag == RESOLVER_TAG && resolver->query_count == 0);
    ares_destroy(resolver->channel); /* ends look-ups nobody waits for and closes the sockets */
    for (name = TAILQ_FIRST(&resolver->names); name != NULL; name = next) {
        next = TAILQ_NEXT(name, entry);
        free(name);
    }
    ev_timer_stop(resolver->loop, &resolver->timeout);
    ev_check_stop(resolver->loop, &resolver->answer);
    ev_idle_stop(resolver->loop, &resolver->awake);
    resolver->tag = 0;
    free(resolver);
}
