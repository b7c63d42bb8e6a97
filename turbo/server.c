#include <assert.h>
#include <string.h>

#include "turbo/parity.h"
#include "turbo/server_session.h"

static void want_send(struct turbo_server *s, turbo_time now)
{
    if (server_is_pending(s) && !queue_holds(&s->send))
        queue_add(&s->endpoint->sending, &s->send, now);
}

void server_leave_timers(struct turbo_server *s)
{
    queue_remove(&s->life);
    queue_remove(&s->hold);
    queue_remove(&s->still);
    queue_remove(&s->send);
    unmarked_remove(&s->endpoint->unmarked[s->dialect], &s->unmarked);
}

/* ---- the endpoint's entry points ---- */

size_t turbo_server_bytes(void)
{
    return sizeof(struct turbo_server) + TURBO_STREAM_KEPT_MAX +
           reassembly_bytes(TURBO_REQUEST_CHUNKS_MAX, TURBO_REQUEST_PAYLOAD_MAX);
}

size_t turbo_sandwich_server_bytes(void)
{
    return sizeof(struct turbo_server) + TURBO_STREAM_KEPT_MAX +
           reassembly_bytes(TURBO_CHUNKS_MAX, SANDWICH_PAYLOAD_MAX);
}

void server_begin(struct turbo_server *s, struct turbo_endpoint *endpoint, turbo_time now,
                  enum turbo_dialect dialect, const struct turbo_id *id)
{
    memset(s, 0, sizeof(*s));
    s->endpoint = endpoint;
    s->dialect = s->report.dialect = dialect;
    s->id = *id;
    s->created_at = now;
    uint8_t *buffers = (uint8_t *)(s + 1);
    retained_init(&s->s2c, buffers);
    s->s2c.dialect = dialect;
    buffers += TURBO_STREAM_KEPT_MAX;
    if (server_is_sandwich(s))
        reassembly_init(&s->c2s, buffers, TURBO_CHUNKS_MAX, SANDWICH_PAYLOAD_MAX);
    else
        reassembly_init(&s->c2s, buffers, TURBO_REQUEST_CHUNKS_MAX, TURBO_REQUEST_PAYLOAD_MAX);
    turbo_client_hello_init(&s->hello);
    queue_add(&endpoint->pending, &s->life, now);
    unmarked_add(&endpoint->unmarked[dialect], &s->unmarked, id);
    endpoint->drafts++;
}

static void hello_is_complete(struct turbo_server *s, turbo_time now)
{
    if (server_is_sandwich(s)) {
        sandwich_advance(s);
        server_handle(s, s->hello.early_data ? EVENT_MALFORMED : EVENT_HELLO_COMPLETE, now);
        return;
    }
    struct turbo_id id;
    turbo_id_from_hello(&id, s->endpoint->config.sha256, s->c2s.buffer, s->hello.length);
    s->hashed = turbo_id_equal(&id, &s->id);
    if (s->hashed) {
        unmarked_remove(&s->endpoint->unmarked[s->dialect], &s->unmarked);
        s->endpoint->drafts--;
    }
    server_handle(s, EVENT_HELLO_COMPLETE, now);
}

static void parse_hello(struct turbo_server *s, turbo_time now)
{
    size_t n = reassembly_contiguous_bytes(&s->c2s) - s->c2s_parsed;
    s->c2s_parsed += turbo_client_hello_push(&s->hello, s->c2s.buffer + s->c2s_parsed, n);
    if (s->hello.state == TURBO_HELLO_COMPLETE)
        hello_is_complete(s, now);
    else if (s->hello.state != TURBO_HELLO_MORE)
        server_handle(s, EVENT_MALFORMED, now);
}

/* Sandwich: may `peer` be sent anything, and what has come? */
static void sandwich_request(struct turbo_server *s, turbo_time now,
                             const struct turbo_address *peer)
{
    if (!s->budget.is_proved && sandwich_take_accepted(s->endpoint, now, peer))
        server_prove(s, now, peer);
    if (s->state == SERVER_GATHERING || !sandwich_advance(s))
        return;
    if (s->client.complete && s->state == SERVER_JOINED)
        queue_remove(&s->hold);
    endpoint_session_has_more(s, now);
}

/* False: it is not to be kept. */
static bool keep_request(struct turbo_server *s, turbo_time now,
                         const struct turbo_datagram *request)
{
    if (request->sequence > TURBO_CHUNKS_MAX) { /* Sandwich */
        if (request->length > 0)
            server_handle(s, EVENT_TOO_LARGE, now);
        return false;
    }
    switch (reassembly_push(&s->c2s, request->sequence, request->payload, request->length)) {
    case REASSEMBLY_NEW:
    case REASSEMBLY_REPEAT: return true;
    case REASSEMBLY_CONFLICT:
    case REASSEMBLY_BEYOND: break;
    }
    s->endpoint->counters.junk++;
    return false;
}

static void earn(struct turbo_server *s, const struct turbo_path *path, size_t bytes)
{
    struct turbo_endpoint *e = s->endpoint;
    uint8_t known = s->budget.count;
    if (!budget_earn(&s->budget, path, bytes))
        e->counters.addresses_beyond++;
    if (s->budget.count > known && s->unmarked != 0)
        unmarked_heard(&e->unmarked[s->dialect], s->unmarked, endpoint_source(e, &path->peer));
}

void server_request(struct turbo_server *s, turbo_time now, const struct turbo_path *path,
                    const struct turbo_datagram *request, size_t bytes)
{
    struct turbo_endpoint_counters *counters = &s->endpoint->counters;
    if (!server_is_pending(s) && !sandwich_listens(s)) {
        counters->late++;
        return;
    }
    /* The TLS server's words are for whom was vouched for, and nobody else. */
    if (s->vouched && !turbo_address_same_ip(&path->peer, &s->vouched_for)) {
        counters->junk++;
        return;
    }
    if ((request->flags & TURBO_FLAG_ABORT) != 0) {
        server_handle(s, EVENT_ABORT, now);
        return;
    }
    if (!keep_request(s, now, request))
        return;
    counters->requests++;
    s->path = *path;
    earn(s, path, bytes);
    want_send(s, now);
    if (server_is_sandwich(s))
        sandwich_request(s, now, &path->peer);
    if (s->state == SERVER_GATHERING)
        parse_hello(s, now);
}

void server_prove(struct turbo_server *s, turbo_time now, const struct turbo_address *peer)
{
    s->budget.is_proved = true;
    s->budget.proved = *peer;
    if (s->state == SERVER_ANSWERED)
        server_wait_for_tcp(s, now);
    want_send(s, now);
}

bool server_join(struct turbo_server *s, turbo_time now, uint32_t consumed, bool replay)
{
    if (consumed > s->s2c.chunk_count)
        return false;
    /* Without REPLAY the stream goes on where UDP ended, which must have come whole. A Sandwich
     * client has said all by UDP, and TCP waits for what has not come. */
    if (!replay && !server_is_sandwich(s) && (s->hashed || reassembly_has_gap(&s->c2s)))
        return false;
    bool all = consumed > 0 && retained_offset_after(&s->s2c, consumed) == s->s2c.length;
    bool saved = server_is_sandwich(s) || all; /* tickets always come again there */
    s->report.outcome = saved ? TURBO_OUTCOME_TURBO : TURBO_OUTCOME_RESUMED;
    s->s2c_tcp = retained_offset_after(&s->s2c, consumed);
    if (!server_is_sandwich(s)) {
        s->endpoint->counters.chunks += s->s2c.chunk_count;
        s->endpoint->counters.chunks_again += s->s2c.chunk_count - consumed;
    }
    server_handle(s, EVENT_JOIN, now);
    s->c2s_replay_end = replay ? server_c2s_bytes(s) : 0;
    return true;
}

static bool may_cut(const struct turbo_server *s)
{
    size_t uncut = retained_uncut(&s->s2c);
    size_t most = server_is_sandwich(s) ? SANDWICH_PAYLOAD_MAX : TURBO_RESPONSE_PAYLOAD_MAX;
    return uncut >= most || (uncut > 0 && s->flush);
}

static size_t send(struct turbo_server *s, turbo_time now, const struct turbo_datagram *response,
                   uint8_t out[static TURBO_DATAGRAM_MAX])
{
    s->endpoint->counters.responses++;
    server_handle(s, EVENT_RESPONSE_SENT, now);
    return turbo_datagram_encode(response, out);
}

static size_t send_chunk(struct turbo_server *s, turbo_time now, uint32_t number,
                         uint8_t out[static TURBO_DATAGRAM_MAX])
{
    struct turbo_datagram response = {
        .dialect = s->dialect, .id = s->id, .flags = TURBO_FLAG_PROFILE1, .sequence = number};
    response.payload = retained_chunk(&s->s2c, number, &response.length);
    return send(s, now, &response, out);
}

static size_t poll_new_chunk(struct turbo_server *s, turbo_time now,
                             uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path)
{
    size_t header = server_is_sandwich(s) ? SANDWICH_HEADER_BYTES : TURBO_HEADER_BYTES;
    if (!budget_spend(&s->budget, header + retained_next(&s->s2c), path))
        return 0;
    uint32_t number = retained_cut(&s->s2c);
    if (retained_uncut(&s->s2c) == 0) {
        s->flush = false;
        queue_remove(&s->hold);
    }
    return send_chunk(s, now, number, out);
}

static size_t poll_parity(struct turbo_server *s, turbo_time now,
                          uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path)
{
    uint8_t payload[TURBO_REQUEST_PAYLOAD_MAX];
    struct turbo_datagram response = {.id = s->id,
                                      .flags = TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY,
                                      .sequence = s->s2c.chunk_count,
                                      .payload = payload,
                                      .length = parity_length(&s->s2c)};
    if (!budget_spend_spare(&s->budget, TURBO_HEADER_BYTES + response.length, path))
        return 0;
    parity_make(&s->s2c, payload, response.length);
    s->parity_sent = true;
    s->endpoint->counters.parities++;
    return send(s, now, &response, out);
}

/* Permits to spare repeat what was sent, in rounds. */
static size_t poll_repeat(struct turbo_server *s, turbo_time now,
                          uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path)
{
    uint32_t number = s->next_repeat + 1;
    size_t length;
    retained_chunk(&s->s2c, number, &length);
    if (!budget_spend(&s->budget, TURBO_HEADER_BYTES + length, path))
        return 0;
    s->next_repeat = number % s->s2c.chunk_count;
    return send_chunk(s, now, number, out);
}

size_t server_poll_datagram(struct turbo_server *s, turbo_time now,
                            uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path)
{
    if (!server_is_pending(s))
        return 0;
    if (may_cut(s))
        return poll_new_chunk(s, now, out, path);
    if (s->s2c.chunk_count == 0 || retained_uncut(&s->s2c) > 0)
        return 0;
    if (!s->quiet || server_is_sandwich(s)) /* whose clients take a chunk once only */
        return 0;
    if (!s->parity_sent) {
        size_t length = poll_parity(s, now, out, path);
        if (length > 0)
            return length;
    }
    return poll_repeat(s, now, out, path);
}

void server_hold_over(struct turbo_server *s, turbo_time now)
{
    queue_remove(&s->hold);
    s->flush = true;
    want_send(s, now);
}

void server_still(struct turbo_server *s, turbo_time now)
{
    queue_remove(&s->still);
    s->quiet = true;
    want_send(s, now);
}

void server_expire(struct turbo_server *s, turbo_time now)
{
    server_handle(s, EVENT_EXPIRE, now);
}

/* TCP's bytes may be read now. */
static void go_on_by_tcp(struct turbo_server *s, turbo_time now)
{
    queue_remove(&s->hold);
    endpoint_session_has_more(s, now);
}

void server_overtaken(struct turbo_server *s, turbo_time now)
{
    if (!sandwich_may_be_complete(s)) {
        server_handle(s, EVENT_EXPIRE, now);
        return;
    }
    s->client.complete = true;
    go_on_by_tcp(s, now);
}

/* ---- the caller's entry points ---- */

void turbo_server_set_user(struct turbo_server *s, void *user)
{
    s->user = user;
}

void *turbo_server_user(const struct turbo_server *s)
{
    return s->user;
}

const struct turbo_client_hello *turbo_server_hello(const struct turbo_server *s)
{
    return &s->hello;
}

struct turbo_path turbo_server_path(const struct turbo_server *s)
{
    return s->path;
}

struct turbo_id turbo_server_id(const struct turbo_server *s)
{
    return s->id;
}

void turbo_server_vouch(struct turbo_server *s)
{
    s->vouched = true;
    s->vouched_for = s->path.peer;
    budget_keep(&s->budget, &s->vouched_for);
}

bool turbo_server_joined(const struct turbo_server *s)
{
    return s->state == SERVER_JOINED;
}

bool turbo_server_awaits_udp(const struct turbo_server *s)
{
    return s->state == SERVER_JOINED && sandwich_listens(s);
}

void turbo_server_answered(struct turbo_server *s, turbo_time now, const uint8_t *data,
                           size_t length)
{
    if (!turbo_server_awaits_udp(s))
        return;
    client_flight_server(&s->client, data, length);
    if (s->client.complete)
        go_on_by_tcp(s, now);
}

struct turbo_server_report turbo_server_report(const struct turbo_server *s)
{
    return s->report;
}

/*
 * This profile's requests carry the ClientHello and nothing else. What a draft client sent behind
 * it waits for TCP, so that UDP is never the cause of a replay (protocol §3.10). In the Sandwich
 * dialect UDP alone carries the client's handshake, without early data.
 */
size_t server_c2s_bytes(const struct turbo_server *s)
{
    if (server_is_sandwich(s) ? s->state == SERVER_GATHERING
                              : s->hashed || s->state != SERVER_JOINED)
        return s->hello.length;
    return reassembly_contiguous_bytes(&s->c2s);
}

size_t turbo_server_peek(const struct turbo_server *s, const uint8_t **data)
{
    *data = s->c2s.buffer + s->c2s_consumed;
    return server_c2s_bytes(s) - s->c2s_consumed;
}

void turbo_server_consume(struct turbo_server *s, size_t length)
{
    s->c2s_consumed += length;
    assert(s->c2s_consumed <= server_c2s_bytes(s));
}

size_t turbo_server_room(const struct turbo_server *s)
{
    return server_is_pending(s) ? TURBO_STREAM_KEPT_MAX - s->s2c.length : 0;
}

size_t turbo_server_push(struct turbo_server *s, turbo_time now, const uint8_t *data, size_t length)
{
    size_t n = server_is_pending(s) ? retained_append(&s->s2c, data, length) : 0;
    if (n == 0)
        return 0;
    s->quiet = false;
    if (server_is_sandwich(s))
        client_flight_server(&s->client, data, n);
    if (sandwich_is_too_large(s)) {
        server_handle(s, EVENT_TOO_LARGE, now);
        return n;
    }
    bool ended = flight_end_push(&s->flight, data, n);
    queue_remove(&s->still);
    queue_add(ended ? &s->endpoint->ending : &s->endpoint->stilling, &s->still, now);
    if (ended) {
        s->flush = true;
        queue_remove(&s->hold);
    }
    if (!s->flush && !queue_holds(&s->hold))
        queue_add(&s->endpoint->holding, &s->hold, now);
    want_send(s, now);
    return n;
}

void turbo_server_push_end(struct turbo_server *s, enum turbo_end end)
{
    s->s2c_end = end;
}

enum turbo_end turbo_server_end(const struct turbo_server *s)
{
    return s->s2c_end;
}

size_t turbo_server_tcp_peek(const struct turbo_server *s, const uint8_t **data)
{
    if (s->state != SERVER_JOINED)
        return 0;
    *data = s->s2c.buffer + s->s2c_tcp;
    return s->s2c.length - s->s2c_tcp;
}

void turbo_server_tcp_consume(struct turbo_server *s, size_t length)
{
    s->s2c_tcp += length;
    assert(s->s2c_tcp <= s->s2c.length);
}

size_t turbo_server_replay_left(const struct turbo_server *s)
{
    return s->c2s_replay_end - s->c2s_replayed;
}

bool turbo_server_replay(struct turbo_server *s, const uint8_t *data, size_t length)
{
    assert(length <= turbo_server_replay_left(s));
    if (length > 0 && memcmp(s->c2s.buffer + s->c2s_replayed, data, length) != 0)
        return false;
    s->c2s_replayed += length;
    return true;
}

void turbo_server_refuse(struct turbo_server *s)
{
    struct turbo_path path = s->path;
    struct turbo_datagram request = {.dialect = s->dialect, .id = s->id};
    if (s->state != SERVER_READY)
        return; /* something was said already */
    if (server_is_sandwich(s) || budget_spend(&s->budget, TURBO_HEADER_BYTES, &path))
        endpoint_refuse(s->endpoint, TURBO_LIMIT_TLS_SERVER, &request, &path);
    server_leave_timers(s);
    server_handle(s, EVENT_REFUSE, 0);
}
