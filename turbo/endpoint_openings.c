/* What the first bytes on TCP mean to an endpoint: protocol §5 and §7.4. */
#include <string.h>

#include "turbo/server_session.h"

/* TCP has the word for this id: UDP must not start a connection to the TLS server any more. */
static void end_on_udp(struct turbo_endpoint *e, turbo_time now, struct turbo_server *s,
                       const struct turbo_id *id)
{
    if (s != NULL)
        turbo_server_release(s, now);
    endpoint_remember_ended(e, now, id);
}

/* The TLS server has not heard of this session, so TCP may start afresh. */
static enum turbo_join start_afresh(struct turbo_endpoint *e, turbo_time now,
                                    struct turbo_server *s, const struct turbo_id *id)
{
    end_on_udp(e, now, s, id);
    return TURBO_JOIN_FRESH;
}

static enum turbo_join cannot_continue(struct turbo_endpoint *e)
{
    e->counters.unknown++;
    return TURBO_JOIN_RESET;
}

/* The port is another one, by TCP. */
static bool may_join(const struct turbo_server *s, const struct turbo_address *from)
{
    return !s->vouched || (from != NULL && turbo_address_same_ip(from, &s->vouched_for));
}

enum turbo_join turbo_endpoint_join(struct turbo_endpoint *e, turbo_time now,
                                    const struct turbo_tombstone *tombstone,
                                    const struct turbo_address *from, struct turbo_server **session)
{
    struct turbo_server *s = endpoint_find(e, &tombstone->id);
    bool afresh = tombstone->replay && tombstone->consumed == 0;
    if (s == NULL || !s->accepted) {
        if (afresh)
            return start_afresh(e, now, s, &tombstone->id);
        if (s != NULL)
            end_on_udp(e, now, s, &tombstone->id);
        return cannot_continue(e);
    }
    if (!may_join(s, from))
        return cannot_continue(e);
    if (s->state > SERVER_ANSWERED && afresh)
        return TURBO_JOIN_FRESH; /* joined or ended already; its id is taken as it is */
    if (s->state > SERVER_ANSWERED || !server_join(s, now, tombstone->consumed, tombstone->replay))
        return cannot_continue(e);
    e->counters.joined++;
    *session = s;
    return TURBO_JOIN_SESSION;
}

enum turbo_join turbo_endpoint_adopt(struct turbo_endpoint *e, turbo_time now,
                                     const uint8_t *stream, size_t hello_length,
                                     const struct turbo_address *from,
                                     struct turbo_server **session)
{
    struct turbo_id id;
    turbo_id_from_hello(&id, e->config.sha256, stream, hello_length);
    struct turbo_server *s = endpoint_find(e, &id);
    if (s == NULL || !s->accepted)
        return start_afresh(e, now, s, &id);
    if (!may_join(s, from) || s->state > SERVER_ANSWERED || !s->hashed ||
        s->hello.length != hello_length || memcmp(s->c2s.buffer, stream, hello_length) != 0 ||
        !server_join(s, now, 0, true))
        return TURBO_JOIN_FRESH; /* joined or ended already, or vouched for; its id is taken */
    s->report.outcome = TURBO_OUTCOME_CLASSIC;
    s->report.reason = TURBO_REASON_ADOPTED;
    e->counters.adopted++;
    *session = s;
    return TURBO_JOIN_SESSION;
}

void turbo_endpoint_went_by_tcp(struct turbo_endpoint *e, turbo_time now, const struct turbo_id *id)
{
    struct turbo_server *s = endpoint_find(e, id);
    if (s == NULL || !s->accepted) /* else it has a connection to the TLS server, and will end */
        end_on_udp(e, now, s, id);
}

void turbo_endpoint_prove(struct turbo_endpoint *e, turbo_time now,
                          const struct turbo_address *peer)
{
    admission_prove(e->admission, now, peer);
}

bool turbo_endpoint_is_proven(const struct turbo_endpoint *e, turbo_time now,
                              const struct turbo_address *peer)
{
    return admission_is_proven(e->admission, now, peer);
}

uint64_t endpoint_source(const struct turbo_endpoint *e, const struct turbo_address *peer)
{
    return unmarked_source(keyed_hash_of(&e->sessions.hash, peer->ip));
}

struct turbo_server *endpoint_next_unmarked(const struct turbo_endpoint *e, uint32_t *at,
                                            enum turbo_dialect dialect, const uint8_t *bytes,
                                            size_t length, const struct turbo_address *from)
{
    struct unmarked_prefix prefix = unmarked_prefix(bytes, length, turbo_id_bytes(dialect),
                                                    from == NULL ? 0 : endpoint_source(e, from));
    unmarked_place *place;
    while ((place = unmarked_next(&e->unmarked[dialect], at, &prefix)) != NULL) {
        struct turbo_server *s = QUEUE_OWNER(place, struct turbo_server, unmarked);
        if (from == NULL || budget_knows(&s->budget, from))
            return s;
    }
    return NULL;
}

/* Is there such a session, which the opener itself has asked for? */
static bool is_waited_for(const struct turbo_opener *opener, enum turbo_dialect dialect,
                          const uint8_t *bytes, size_t length)
{
    uint32_t at = 0;
    if (opener->endpoint->unmarked[dialect].count == 0) /* as mostly */
        return false;
    return endpoint_next_unmarked(opener->endpoint, &at, dialect, bytes, length, opener->from) !=
           NULL;
}

/* What has the fixed bits, or begins like TLS, turbo_opening knows by itself. */
enum turbo_prefix turbo_opener_prefix_known(void *owner, const uint8_t *bytes, size_t length)
{
    const struct turbo_opener *opener = owner;
    if (is_waited_for(opener, TURBO_DIALECT_SANDWICH, bytes, length))
        return TURBO_PREFIX_SANDWICH;
    if (turbo_starts_record(bytes, length) || turbo_looks_like_id(bytes, length))
        return TURBO_PREFIX_NONE;
    return is_waited_for(opener, TURBO_DIALECT_PROFILE1, bytes, length) ? TURBO_PREFIX_DRAFT
                                                                        : TURBO_PREFIX_NONE;
}

enum turbo_prefix turbo_endpoint_prefix_known(void *owner, const uint8_t *bytes, size_t length)
{
    struct turbo_opener anybody = {.endpoint = owner};
    return turbo_opener_prefix_known(&anybody, bytes, length);
}
