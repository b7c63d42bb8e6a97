#include "tests/sim/edge.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sha256.h"
#include "tests/sim/world.h"

static turbo_time now(const struct edge *e)
{
    return e->world->clock.now;
}

/* ---- memory of sessions ---- */

static void *acquire(void *owner, size_t bytes)
{
    struct edge *e = owner;
    void *memory = rng_chance(&e->rng, e->plan->starved) ? NULL : malloc(bytes);
    e->blocks_out += memory != NULL;
    return memory;
}

static void release(void *owner, void *memory)
{
    struct edge *e = owner;
    e->blocks_out--;
    free(memory);
}

/* ---- draining, as in worker.c ---- */

static void stop_listening(struct edge *e, bool even_if_pending)
{
    if (!e->listening || (turbo_endpoint_pending(e->endpoint) > 0 && !even_if_pending))
        return;
    TRACE(&e->world->journal, -1, "drained: TCP is not listened to any more");
    turbo_endpoint_abandon(e->endpoint, now(e));
    e->listening = false;
    for (size_t i = 0; i < e->arrival_count; i++)
        if (e->arrivals[i].late)
            arrival_abort(&e->arrivals[i]);
}

static void hand_over_timeout(void *owner, uint64_t unused)
{
    struct edge *e = owner;
    (void)unused;
    stop_listening(e, true);
    edge_kick(e);
}

static void drain(void *owner, uint64_t unused)
{
    struct edge *e = owner;
    (void)unused;
    TRACE(&e->world->journal, -1, "draining");
    world_count(e->world, COVER_DRAINED);
    e->draining = true;
    turbo_endpoint_drain(e->endpoint);
    world_excuse_all(e->world, EXCUSE_DRAIN);
    clock_after(&e->world->clock, TURBO_HANDOVER_TIME, hand_over_timeout, e, 0);
    edge_kick(e);
}

/* ---- UDP ---- */

static void start_connection(struct edge *e, struct turbo_server *session)
{
    struct connection *c = world_connection_at(e->world, turbo_server_path(session).peer.port);
    TRACE(&e->world->journal, c->index, "a ClientHello has come by UDP");
    if (e->pending < e->plan->pending_max) {
        serving_start_session(e, c, session);
        return;
    }
    turbo_server_refuse(session);
    turbo_server_release(session, now(e));
}

static void handle_events(struct edge *e)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(e->endpoint, &session)) != TURBO_EVENT_NONE) {
        if (event == TURBO_EVENT_NEW)
            start_connection(e, session);
        else
            serving_session_ended(turbo_server_user(session));
    }
}

static void send_datagrams(struct edge *e)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_path path;
    size_t length;
    while ((length = turbo_endpoint_poll_datagram(e->endpoint, now(e), bytes, &path)) > 0) {
        struct connection *c = world_connection_at(e->world, path.peer.port);
        world_account_response(e->world, path.peer.port, length);
        const char *fate = link_send(&c->responses, bytes, length, path.peer.port);
        TRACE(&e->world->journal, c->index, "response: %zu bytes, flags %02x, number %u%s", length,
              bytes[12], bytes[15], fate);
        world_count(e->world, COVER_RESPONSES);
    }
}

static void service(void *owner, uint64_t unused)
{
    struct edge *e = owner;
    (void)unused;
    turbo_endpoint_tick(e->endpoint, now(e));
    handle_events(e);
    send_datagrams(e);
    alarm_set(&e->alarm, turbo_endpoint_deadline(e->endpoint));
    if (e->draining)
        stop_listening(e, false);
}

static void kicked(void *owner, uint64_t unused)
{
    struct edge *e = owner;
    e->kicked = false;
    service(e, unused);
}

void edge_kick(struct edge *e)
{
    if (e->kicked)
        return;
    e->kicked = true;
    clock_after(&e->world->clock, 0, kicked, e, 0);
}

/* Counts every datagram but those that wait. */
static uint64_t said_something_of(const struct edge *e)
{
    struct turbo_endpoint_counters n = turbo_endpoint_counters(e->endpoint);
    return n.requests + n.junk + n.late + n.orphans_dropped + n.aborted + n.limited[0] +
           n.limited[1] + n.limited[2] + n.limited[3] + n.limited[4] + n.limited[5] + n.limited[6];
}

void edge_datagram(void *owner, const struct datagram *datagram)
{
    struct edge *e = owner;
    const struct connection *c = world_connection_at(e->world, datagram->port);
    struct turbo_path path = world_path(c, datagram->port);
    TRACE(&e->world->journal, c->index, "request comes: %u bytes, flags %02x, number %u",
          datagram->length, datagram->bytes[12], datagram->bytes[15]);
    world_account_request(e->world, datagram);
    uint64_t before = said_something_of(e);
    turbo_endpoint_datagram(e->endpoint, now(e), &path, datagram->bytes, datagram->length);
    if (said_something_of(e) == before)
        world_count(e->world, COVER_ORPHANS); /* kept until its chunk 1 comes */
    if (e->plan->eager)
        service(e, 0);
    else
        edge_kick(e);
}

/* ---- TCP ---- */

static bool listens(void *owner)
{
    const struct edge *e = owner;
    return e->listening;
}

static void accept(void *owner, struct tcp *tcp)
{
    struct edge *e = owner;
    if (e->arrival_count == ARRIVALS_MAX || !e->listening) {
        tcp_abort(tcp, TCP_SERVER);
        return;
    }
    arrival_start(&e->arrivals[e->arrival_count++], e, tcp);
}

struct serving *edge_new_serving(struct edge *e)
{
    if (e->serving_count < SERVINGS_MAX)
        return &e->servings[e->serving_count++];
    journal_breach(&e->world->journal, -1, "12.3", "ever more connections to TLS servers");
    return NULL;
}

/* ---- its life ---- */

static void begin(struct edge *e)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    rng_fill(&e->rng, config.seed, sizeof(config.seed));
    config.sha256 = sim_sha256;
    config.sessions_max = e->plan->sessions_max;
    config.ended_max = e->plan->ended_max;
    config.memory_max = (uint64_t)e->plan->memory_sessions * turbo_server_bytes();
    config.rate = e->plan->rate;
    config.source_rate = e->plan->source_rate;
    config.site_rate = e->plan->site_rate;
    config.refusal_rate = e->plan->refusal_rate;
    config.acquire = acquire;
    config.release = release;
    config.owner = e;
    assert(turbo_endpoint_bytes(&config) <= ENDPOINT_BYTES);
    e->endpoint = turbo_endpoint_init(e->memory, &config);
}

static void add_counters(struct turbo_endpoint_counters *sum,
                         const struct turbo_endpoint_counters *more)
{
    /* All of them are numbers of one type that only grow. */
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)more;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
        to[i] += from[i];
}

struct turbo_endpoint_counters edge_counters(const struct edge *e)
{
    struct turbo_endpoint_counters sum = e->counters;
    struct turbo_endpoint_counters last = turbo_endpoint_counters(e->endpoint);
    add_counters(&sum, &last);
    return sum;
}

static void restart(void *owner, uint64_t unused)
{
    struct edge *e = owner;
    (void)unused;
    TRACE(&e->world->journal, -1, "the server end restarts: all its state is lost");
    world_count(e->world, COVER_RESTART);
    world_excuse_all(e->world, EXCUSE_RESTART);
    for (size_t i = 0; i < e->arrival_count; i++)
        arrival_abort(&e->arrivals[i]);
    for (size_t i = 0; i < e->serving_count; i++)
        serving_kill(&e->servings[i]);
    e->counters = edge_counters(e);
    turbo_endpoint_fini(e->endpoint);
    edge_check_empty(e);
    begin(e);
}

void edge_init(struct edge *e, struct world *world)
{
    memset(e, 0, offsetof(struct edge, arrivals));
    e->blocks_out = 0;
    e->world = world;
    e->plan = &world->plan->edge;
    e->rng = rng_seeded(world->plan->seed, 4);
    e->listening = true;
    e->listener = (struct tcp_listener){e, listens, accept};
    alarm_init(&e->alarm, &world->clock, service, e);
    begin(e);
    if (e->plan->restart_at != 0)
        clock_after(&world->clock, e->plan->restart_at, restart, e, 0);
    if (e->plan->drain_at != 0)
        clock_after(&world->clock, e->plan->drain_at, drain, e, 0);
}

void edge_check_empty(struct edge *e)
{
    struct journal *j = &e->world->journal;
    for (size_t i = 0; i < e->arrival_count; i++)
        if (e->arrivals[i].tcp != NULL)
            journal_breach(j, e->arrivals[i].tcp->who, "12.5", "an arrival is left over");
    for (size_t i = 0; i < e->serving_count; i++)
        if (!e->servings[i].over)
            journal_breach(j, e->servings[i].connection->index, "12.5",
                           "a connection to a TLS server is left over");
    if (e->blocks_out > 0 || turbo_endpoint_pending(e->endpoint) > 0)
        journal_breach(j, -1, "12.5", "%zu sessions are left over", e->blocks_out);
    if (turbo_endpoint_deadline(e->endpoint) != TURBO_NEVER)
        journal_breach(j, -1, "12.5", "the endpoint still waits for something");
}
