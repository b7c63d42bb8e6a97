#include <assert.h>
#include <string.h>

#include "turbo/rate.h"
#include "turbo/server_session.h"

void turbo_endpoint_config_init(struct turbo_endpoint_config *config)
{
    memset(config, 0, sizeof(*config));
    config->sessions_max = TURBO_SESSIONS_DEFAULT;
    config->ended_max = TURBO_ENDED_DEFAULT;
    config->memory_max = TURBO_MEMORY_DEFAULT;
    config->rate = TURBO_RATE_DEFAULT;
    config->source_rate = TURBO_SOURCE_RATE_DEFAULT;
    config->site_rate = TURBO_SITE_RATE_DEFAULT;
    config->refusal_rate = TURBO_REFUSAL_RATE;
    config->silent_time = TURBO_OPENING_TIME;
}

/* The parts of an endpoint's block, each aligned as the first. */
static size_t aligned(size_t bytes)
{
    size_t unit = _Alignof(max_align_t);
    return (bytes + unit - 1) / unit * unit;
}

size_t turbo_endpoint_bytes(const struct turbo_endpoint_config *config)
{
    return aligned(sizeof(struct turbo_endpoint)) +
           aligned(session_map_bytes(config->sessions_max)) +
           aligned(session_map_bytes(config->ended_max)) + aligned(sizeof(struct admission)) +
           DIALECTS * aligned(unmarked_bytes(config->sessions_max)) +
           TURBO_ORPHANS_MAX * sizeof(struct orphan);
}

/* The parts of the block, and of the seed, one behind the other. */
static void lay_out(struct turbo_endpoint *e, const struct turbo_endpoint_config *config)
{
    static_assert(TURBO_SEED_BYTES == 2 * KEYED_HASH_SEED_BYTES + ADMISSION_SEED_BYTES,
                  "one seed for each map, and admission's");
    const uint8_t *seed = config->seed;
    uint8_t *at = (uint8_t *)e + aligned(sizeof(*e));
    session_map_init(&e->sessions, at, config->sessions_max, seed);
    at += aligned(session_map_bytes(config->sessions_max));
    seed += KEYED_HASH_SEED_BYTES;
    session_map_init(&e->ended, at, config->ended_max, seed);
    at += aligned(session_map_bytes(config->ended_max));
    seed += KEYED_HASH_SEED_BYTES;
    e->admission = (struct admission *)(void *)at;
    admission_init(e->admission, config, seed);
    at += aligned(sizeof(*e->admission));
    for (size_t i = 0; i < DIALECTS; i++) {
        unmarked_init(&e->unmarked[i], at, config->sessions_max);
        at += aligned(unmarked_bytes(config->sessions_max));
    }
    e->orphans = (struct orphan *)(void *)at;
}

struct turbo_endpoint *turbo_endpoint_init(void *memory, const struct turbo_endpoint_config *config)
{
    struct turbo_endpoint *e = memory;
    memset(e, 0, sizeof(*e));
    e->config = *config;
    lay_out(e, config);
    for (size_t i = 0; i < TURBO_ORPHANS_MAX; i++)
        e->orphans[i].length = 0;
    struct queue *queues[] = {&e->pending, &e->answered, &e->proved,    &e->joined,  &e->holding,
                              &e->ending,  &e->stilling, &e->overtaken, &e->sending, &e->events};
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        queue_init(queues[i]);
    return e;
}

static void release_all(struct queue *queue)
{
    struct queue_node *node;
    while ((node = queue_first(queue)) != NULL)
        turbo_server_release(QUEUE_OWNER(node, struct turbo_server, life), 0);
}

void turbo_endpoint_fini(struct turbo_endpoint *e)
{
    release_all(&e->pending);
    release_all(&e->answered);
    release_all(&e->proved);
    release_all(&e->joined);
}

/* ---- sessions and ids ---- */

struct turbo_server *endpoint_find(const struct turbo_endpoint *e, const struct turbo_id *id)
{
    void *session = NULL;
    return session_map_find(&e->sessions, id, &session) ? session : NULL;
}

static void forget_ended(struct turbo_endpoint *e, turbo_time now)
{
    if (now >= TURBO_ENDED_TIME)
        session_map_forget(&e->ended, now - TURBO_ENDED_TIME);
}

static bool has_ended(struct turbo_endpoint *e, turbo_time now, const struct turbo_id *id)
{
    void *unused;
    forget_ended(e, now);
    return session_map_find(&e->ended, id, &unused);
}

void endpoint_remember_ended(struct turbo_endpoint *e, turbo_time now, const struct turbo_id *id)
{
    forget_ended(e, now);
    session_map_remove(&e->ended, id); /* its time begins anew */
    if (!session_map_add(&e->ended, id, NULL, now))
        e->ended_overflow = now;
}

/* Could an id that must not start a connection any more have been forgotten? */
static bool ids_are_missing(struct turbo_endpoint *e, turbo_time now)
{
    forget_ended(e, now);
    return e->ended.count == e->ended.capacity ||
           (e->ended_overflow != 0 && now < e->ended_overflow + TURBO_ENDED_TIME);
}

static size_t server_bytes(enum turbo_dialect dialect)
{
    return dialect == TURBO_DIALECT_SANDWICH ? turbo_sandwich_server_bytes() : turbo_server_bytes();
}

/* May a session of so many bytes begin, from `peer`? TURBO_LIMIT_COUNT: it may. */
static enum turbo_limit admit(struct turbo_endpoint *e, turbo_time now, size_t bytes,
                              const struct turbo_address *peer)
{
    if (e->draining)
        return TURBO_LIMIT_DRAINING;
    if (e->sessions.count == e->sessions.capacity)
        return TURBO_LIMIT_SESSIONS;
    if (e->memory + bytes > e->config.memory_max)
        return TURBO_LIMIT_MEMORY;
    if (ids_are_missing(e, now))
        return TURBO_LIMIT_ENDED;
    return admission_ask(e->admission, now, peer);
}

void turbo_server_release(struct turbo_server *s, turbo_time now)
{
    struct turbo_endpoint *e = s->endpoint;
    server_leave_timers(s);
    queue_remove(&s->event);
    session_map_remove(&e->sessions, &s->id);
    if (s->accepted ||
        s->aborted) /* else no TLS server has heard of it, and junk must not fill the table */
        endpoint_remember_ended(e, now, &s->id);
    if (!s->hashed)
        e->drafts--;
    e->memory -= server_bytes(s->dialect);
    e->config.release(e->config.owner, s);
}

void endpoint_session_has_more(struct turbo_server *s, turbo_time now)
{
    if (s->accepted && !queue_holds(&s->event))
        queue_add(&s->endpoint->events, &s->event, now);
}

void endpoint_session_ended(struct turbo_server *s, turbo_time now)
{
    queue_remove(&s->event);
    if (s->accepted)
        queue_add(&s->endpoint->events, &s->event, now);
    else
        turbo_server_release(s, now);
}

/* ---- datagrams in ---- */

void endpoint_refuse(struct turbo_endpoint *e, enum turbo_limit limit,
                     const struct turbo_datagram *request, const struct turbo_path *path)
{
    e->counters.limited[limit]++;
    if (request->dialect == TURBO_DIALECT_SANDWICH)
        return; /* it has no such word */
    if (e->refusal_count == REFUSALS_MAX) {
        e->counters.refused_silent++;
        return;
    }
    e->refusals[e->refusal_count++] = (struct refusal){.id = request->id, .path = *path};
}

static bool orphan_alive(const struct orphan *o, turbo_time now)
{
    return o->length > 0 && now < o->since + TURBO_ORPHAN_TIME;
}

/* NULL: all places are taken, and until one is free nobody looks again. */
static struct orphan *free_orphan(struct turbo_endpoint *e, turbo_time now)
{
    if (now < e->orphans_full_until)
        return NULL;
    turbo_time first = TURBO_NEVER;
    for (size_t i = 0; i < TURBO_ORPHANS_MAX; i++) {
        struct orphan *o = &e->orphans[i];
        if (!orphan_alive(o, now))
            return o;
        first = o->since < first ? o->since : first;
    }
    e->orphans_full_until = first + TURBO_ORPHAN_TIME;
    return NULL;
}

static void keep_orphan(struct turbo_endpoint *e, turbo_time now, const struct turbo_path *path,
                        const struct turbo_datagram *request, const uint8_t *data, size_t length)
{
    struct orphan *o = free_orphan(e, now);
    if (o == NULL) {
        e->counters.orphans_dropped++;
        return;
    }
    o->dialect = request->dialect;
    o->id = request->id;
    o->path = *path;
    o->since = now;
    o->length = (uint16_t)length;
    memcpy(o->data, data, length);
}

static void feed_orphans(struct turbo_endpoint *e, turbo_time now, const struct turbo_id *id)
{
    for (size_t i = 0; i < TURBO_ORPHANS_MAX; i++) {
        struct orphan *o = &e->orphans[i];
        if (!orphan_alive(o, now) || !turbo_id_equal(&o->id, id))
            continue;
        struct turbo_server *s = endpoint_find(e, id);
        struct turbo_datagram request;
        bool good = o->dialect == TURBO_DIALECT_SANDWICH
                        ? sandwich_request_decode(&request, o->data, o->length)
                        : turbo_request_decode(&request, o->data, o->length);
        if (s != NULL && good)
            server_request(s, now, &o->path, &request, o->length);
        o->length = 0;
        e->orphans_full_until = 0;
    }
}

static void begin_session(struct turbo_endpoint *e, turbo_time now, const struct turbo_path *path,
                          const struct turbo_datagram *request, size_t bytes)
{
    size_t block = server_bytes(request->dialect);
    enum turbo_limit limit = admit(e, now, block, &path->peer);
    struct turbo_server *s = NULL;
    if (limit == TURBO_LIMIT_COUNT) {
        s = e->config.acquire(e->config.owner, block);
        limit = TURBO_LIMIT_MEMORY;
    }
    if (s == NULL) {
        endpoint_refuse(e, limit, request, path);
        return;
    }
    e->counters.sessions++;
    e->counters.sandwich += request->dialect == TURBO_DIALECT_SANDWICH;
    e->memory += block;
    server_begin(s, e, now, request->dialect, &request->id);
    session_map_add(&e->sessions, &request->id, s, now);
    server_request(s, now, path, request, bytes);
    feed_orphans(e, now, &request->id);
}

/* On TCP an id that begins like a record would not be found (protocol §2.5); one of the Sandwich
 * dialect is looked for first. */
static bool decode(const struct turbo_endpoint *e, struct turbo_datagram *request,
                   const uint8_t *data, size_t length)
{
    /* Only where there may be one: profile 1 alone costs no second look. */
    if ((e->config.sandwich || e->drafts > 0) && sandwich_sort(e, request, data, length))
        return true;
    return turbo_request_decode(request, data, length) &&
           !turbo_starts_record(request->id.bytes, TURBO_ID_BYTES);
}

void turbo_endpoint_datagram(struct turbo_endpoint *e, turbo_time now,
                             const struct turbo_path *path, const uint8_t *data, size_t length)
{
    struct turbo_datagram request;
    if (!decode(e, &request, data, length)) {
        e->counters.junk++;
        return;
    }
    struct turbo_server *s = endpoint_find(e, &request.id);
    if (s != NULL)
        server_request(s, now, path, &request, length);
    else if (has_ended(e, now, &request.id) || (request.flags & TURBO_FLAG_ABORT) != 0)
        e->counters.late++;
    else if (request.sequence > 1)
        keep_orphan(e, now, path, &request, data, length);
    else if (turbo_starts_record(request.payload, request.length))
        begin_session(e, now, path, &request, length);
    else
        e->counters.junk++;
}

/* ---- datagrams out ---- */

static size_t poll_refusal(struct turbo_endpoint *e, turbo_time now,
                           uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path)
{
    if (e->refusal_count == 0)
        return 0;
    if (!rate_allows(e->refusals_paid_at, now, e->config.refusal_rate)) {
        e->counters.refused_silent += e->refusal_count;
        e->refusal_count = 0;
        return 0;
    }
    e->refusals_paid_at = rate_after(e->refusals_paid_at, now, e->config.refusal_rate);
    const struct refusal *r = &e->refusals[--e->refusal_count];
    struct turbo_datagram datagram = {.id = r->id,
                                      .flags = TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED};
    *path = r->path;
    e->counters.refused++;
    return turbo_datagram_encode(&datagram, out);
}

size_t turbo_endpoint_poll_datagram(struct turbo_endpoint *e, turbo_time now,
                                    uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path)
{
    struct queue_node *node;
    while ((node = queue_first(&e->sending)) != NULL) {
        struct turbo_server *s = QUEUE_OWNER(node, struct turbo_server, send);
        size_t length = server_poll_datagram(s, now, out, path);
        if (length > 0)
            return length;
        queue_remove(node);
    }
    return poll_refusal(e, now, out, path);
}

/* ---- events and time ---- */

enum turbo_event turbo_endpoint_poll_event(struct turbo_endpoint *e, struct turbo_server **session)
{
    struct queue_node *node = queue_first(&e->events);
    if (node == NULL)
        return TURBO_EVENT_NONE;
    struct turbo_server *s = QUEUE_OWNER(node, struct turbo_server, event);
    queue_remove(node);
    bool first = !s->accepted;
    s->accepted = true;
    *session = s;
    if (s->state == SERVER_ENDED)
        return TURBO_EVENT_ENDED;
    return first ? TURBO_EVENT_NEW : TURBO_EVENT_MORE;
}

turbo_time turbo_endpoint_deadline(const struct turbo_endpoint *e)
{
    turbo_time times[] = {
        queue_deadline(&e->pending, TURBO_PENDING_TIME),
        queue_deadline(&e->answered, TURBO_ANSWERED_TIME),
        queue_deadline(&e->proved, e->config.silent_time),
        queue_deadline(&e->overtaken, SANDWICH_HANDSHAKE_TIME),
        queue_deadline(&e->holding, TURBO_HOLD_TIME),
        queue_deadline(&e->ending, TURBO_QUIET_TIME_ENDED),
        queue_deadline(&e->stilling, TURBO_QUIET_TIME),
    };
    turbo_time first = TURBO_NEVER;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        first = times[i] < first ? times[i] : first;
    return first;
}

void turbo_endpoint_tick(struct turbo_endpoint *e, turbo_time now)
{
    struct queue_node *node;
    while ((node = queue_due(&e->holding, now, TURBO_HOLD_TIME)) != NULL)
        server_hold_over(QUEUE_OWNER(node, struct turbo_server, hold), now);
    while ((node = queue_due(&e->ending, now, TURBO_QUIET_TIME_ENDED)) != NULL)
        server_still(QUEUE_OWNER(node, struct turbo_server, still), now);
    while ((node = queue_due(&e->stilling, now, TURBO_QUIET_TIME)) != NULL)
        server_still(QUEUE_OWNER(node, struct turbo_server, still), now);
    while ((node = queue_due(&e->pending, now, TURBO_PENDING_TIME)) != NULL)
        server_expire(QUEUE_OWNER(node, struct turbo_server, life), now);
    while ((node = queue_due(&e->answered, now, TURBO_ANSWERED_TIME)) != NULL)
        server_expire(QUEUE_OWNER(node, struct turbo_server, life), now);
    while ((node = queue_due(&e->proved, now, e->config.silent_time)) != NULL)
        server_expire(QUEUE_OWNER(node, struct turbo_server, life), now);
    while ((node = queue_due(&e->overtaken, now, SANDWICH_HANDSHAKE_TIME)) != NULL)
        server_overtaken(QUEUE_OWNER(node, struct turbo_server, hold), now);
}

void turbo_endpoint_abandon(struct turbo_endpoint *e, turbo_time now)
{
    struct queue_node *node;
    while ((node = queue_first(&e->pending)) != NULL ||
           (node = queue_first(&e->answered)) != NULL || (node = queue_first(&e->proved)) != NULL)
        server_expire(QUEUE_OWNER(node, struct turbo_server, life), now);
}

void turbo_endpoint_drain(struct turbo_endpoint *e)
{
    e->draining = true;
}

void turbo_endpoint_resume(struct turbo_endpoint *e)
{
    e->draining = false;
}

static uint32_t count(const struct queue *queue)
{
    uint32_t n = 0;
    for (const struct queue_node *node = queue->head.next; node != &queue->head; node = node->next)
        n++;
    return n;
}

uint32_t turbo_endpoint_sessions(const struct turbo_endpoint *e)
{
    return e->sessions.count;
}

bool turbo_endpoint_is_pending(const struct turbo_endpoint *e)
{
    return queue_first(&e->pending) != NULL || queue_first(&e->answered) != NULL ||
           queue_first(&e->proved) != NULL;
}

uint32_t turbo_endpoint_pending(const struct turbo_endpoint *e)
{
    return count(&e->pending) + count(&e->answered) + count(&e->proved);
}

struct turbo_endpoint_counters turbo_endpoint_counters(const struct turbo_endpoint *e)
{
    return e->counters;
}

void turbo_endpoint_set_rates(struct turbo_endpoint *e, uint32_t rate, uint32_t source_rate,
                              uint32_t site_rate)
{
    admission_set_rates(e->admission, rate, source_rate, site_rate);
}
