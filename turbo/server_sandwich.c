/* What the Sandwich dialect does otherwise than profile 1, at the server end: protocol §11. */
#include <string.h>

#include "turbo/server_session.h"

/* ---- one session ---- */

bool sandwich_listens(const struct turbo_server *s)
{
    return s->dialect == TURBO_DIALECT_SANDWICH && s->state == SERVER_JOINED && !s->client.complete;
}

/* What is missing of the first requests, when the client has gone on: it was padding. */
static bool has_gone_on(const struct turbo_server *s)
{
    return s->hello.state == TURBO_HELLO_COMPLETE && s->c2s.contiguous < SANDWICH_FIRST_FLIGHT &&
           reassembly_highest(&s->c2s) > SANDWICH_FIRST_FLIGHT;
}

bool sandwich_advance(struct turbo_server *s)
{
    if (has_gone_on(s))
        reassembly_skip(&s->c2s, SANDWICH_FIRST_FLIGHT);
    size_t length = reassembly_contiguous_bytes(&s->c2s);
    if (length == s->c2s_watched)
        return false;
    client_flight_client(&s->client, s->c2s.buffer + s->c2s_watched, length - s->c2s_watched);
    s->c2s_watched = length;
    return true;
}

bool sandwich_may_be_complete(const struct turbo_server *s)
{
    return client_flight_may_be_complete(&s->client) && !reassembly_has_gap(&s->c2s);
}

bool sandwich_is_too_large(const struct turbo_server *s)
{
    if (s->dialect != TURBO_DIALECT_SANDWICH || s->client.complete)
        return false;
    return s->s2c.length == TURBO_STREAM_KEPT_MAX ||
           (s->s2c.chunk_count == TURBO_CHUNKS_MAX &&
            retained_offset_after(&s->s2c, TURBO_CHUNKS_MAX) < s->s2c.length);
}

/* ---- whose is a datagram? Protocol §11.9 ---- */

enum { FLAGS_AT = TURBO_ID_BYTES, SEQUENCE_AT = FLAGS_AT + 1, HELLO_TYPE_AT = 5, CLIENT_HELLO = 1 };

static bool starts_hello(const uint8_t *data, size_t length)
{
    return length > HELLO_TYPE_AT && turbo_starts_record(data, length) &&
           data[HELLO_TYPE_AT] == CLIENT_HELLO;
}

static bool is_known(const struct turbo_endpoint *e, const struct turbo_id *id)
{
    return session_map_find(&e->sessions, id, NULL) || session_map_find(&e->ended, id, NULL);
}

/* Nobody knows the id: by what is where the one or the other has its header. */
static bool looks_like_sandwich(const struct turbo_datagram *request, const uint8_t *data,
                                size_t length)
{
    bool small = data[SEQUENCE_AT] == 0 && data[SEQUENCE_AT + 1] == 0;
    if (small && data[FLAGS_AT] == 0 &&
        starts_hello(data + TURBO_HEADER_BYTES, length - TURBO_HEADER_BYTES))
        return false;
    if (request->sequence == 1)
        return starts_hello(request->payload, request->length);
    if (small && (data[FLAGS_AT] == 0 || data[FLAGS_AT] == TURBO_FLAG_ABORT))
        return false;
    return request->sequence <= SANDWICH_FIRST_FLIGHT;
}

bool sandwich_sort(const struct turbo_endpoint *e, struct turbo_datagram *request,
                   const uint8_t *data, size_t length)
{
    struct turbo_datagram other;
    if (!sandwich_request_decode(request, data, length))
        return false;
    if (is_known(e, &request->id))
        return true;
    if (!e->config.sandwich)
        return false;
    if (turbo_request_decode(&other, data, length) && is_known(e, &other.id))
        return false;
    return looks_like_sandwich(request, data, length);
}

/* ---- whose address is proved? ---- */

bool sandwich_take_accepted(struct turbo_endpoint *e, turbo_time now,
                            const struct turbo_address *peer)
{
    for (size_t i = 0; i < SANDWICH_ACCEPTED_MAX; i++) {
        struct accepted *a = &e->accepted[i];
        if (a->sessions_left == 0 || now >= a->since + SANDWICH_ACCEPTED_TIME ||
            !turbo_address_same_ip(&a->peer, peer))
            continue;
        a->sessions_left--;
        return true;
    }
    return false;
}

void turbo_endpoint_accepted(struct turbo_endpoint *e, turbo_time now,
                             const struct turbo_address *peer)
{
    if (!e->config.sandwich)
        return;
    struct accepted *a = &e->accepted[e->accepted_next];
    *a =
        (struct accepted){.peer = *peer, .since = now, .sessions_left = SANDWICH_ACCEPTED_SESSIONS};
    e->accepted_next = (e->accepted_next + 1) % SANDWICH_ACCEPTED_MAX;
    struct turbo_server *s;
    uint32_t at = 0;
    while (a->sessions_left > 0 &&
           (s = endpoint_next_unmarked(e, &at, TURBO_DIALECT_SANDWICH, NULL, 0, peer)) != NULL) {
        if (s->budget.is_proved)
            continue;
        a->sessions_left--;
        server_prove(s, now, peer);
    }
}

void turbo_endpoint_set_sandwich(struct turbo_endpoint *e, bool sandwich, turbo_time silent_time)
{
    e->config.sandwich = sandwich;
    e->config.silent_time = silent_time;
}
