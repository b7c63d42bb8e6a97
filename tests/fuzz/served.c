#include "tests/fuzz/served.h"

#include <stdlib.h>

struct client clients[CLIENTS];

void clients_make(void)
{
    static const size_t hellos[CLIENTS] = {1, 0, 8, 11, 2, 1};
    if (clients[0].length > 0)
        return;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        const struct hello *hello = fuzz_hello(hellos[i]);
        memcpy(c->stream, hello->bytes, hello->length);
        check_fill(c->stream + hello->length, 3, 0, BEHIND_HELLO);
        c->hello = hello->length;
        c->length = hello->length + BEHIND_HELLO;
        c->chunk = i < FIRST_DRAFT ? TURBO_REQUEST_PAYLOAD_MAX : 150;
        turbo_id_from_hello(&c->id, check_sha256, c->stream, c->hello);
        if (i >= FIRST_DRAFT)
            memcpy(c->id.bytes, i == FIRST_DRAFT ? "a draft's id" : "a draft's ID", TURBO_ID_BYTES);
    }
}

size_t client_request(const struct client *c, uint32_t sequence,
                      uint8_t out[static TURBO_DATAGRAM_MAX])
{
    /* This profile's clients send their ClientHello only. */
    size_t end = c >= &clients[FIRST_DRAFT] ? c->length : c->hello;
    size_t start = (sequence - 1) * c->chunk;
    struct turbo_datagram d = {.id = c->id, .sequence = sequence};
    if (start < end) {
        d.payload = c->stream + start;
        d.length = end - start < c->chunk ? end - start : c->chunk;
    }
    return turbo_datagram_encode(&d, out);
}

/* ---- rates ---- */

static const struct {
    const char *ip;
    uint8_t source, site; /* its number; SITES: none */
    uint16_t port;
} addresses[ADDRESSES] = {
    {"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 0, SITES, 7},
    {"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 0, SITES, 8},
    {"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\2", 1, SITES, 7},
    {"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\3", 2, SITES, 7},
    {"\x20\1\xd\xb8\0\1\0\1\0\0\0\0\0\0\0\1", 3, 0, 7},
    {"\x20\1\xd\xb8\0\1\0\1\0\0\0\0\0\0\0\2", 3, 0, 7},
    {"\x20\1\xd\xb8\0\1\0\2\0\0\0\0\0\0\0\1", 4, 0, 7},
    {"\x20\1\xd\xb8\0\2\0\1\0\0\0\0\0\0\0\1", 5, 1, 7},
};

struct turbo_path model_path(unsigned address)
{
    struct turbo_path path = check_path(0, addresses[address].port);
    memcpy(path.peer.ip, addresses[address].ip, sizeof(path.peer.ip));
    return path;
}

static struct credit credit_of(uint32_t per_second, turbo_time now)
{
    return (struct credit){.per_second = per_second, .at = now, .saved = TURBO_SECOND};
}

static bool credit_has(struct credit *c, turbo_time now)
{
    c->saved += now - c->at;
    c->saved = c->saved < TURBO_SECOND ? c->saved : TURBO_SECOND;
    c->at = now;
    return c->saved >= TURBO_SECOND / c->per_second;
}

static bool credit_spend(struct credit *c, turbo_time now)
{
    bool had = credit_has(c, now);
    c->saved -= had ? TURBO_SECOND / c->per_second : 0;
    return had;
}

void model_rates(struct edge_model *m, const struct turbo_endpoint_config *config)
{
    m->rate = credit_of(config->rate, m->now);
    m->refusals = credit_of(config->refusal_rate, m->now);
    for (size_t i = 0; i < SOURCES; i++)
        m->sources[i] = credit_of(config->source_rate, m->now);
    for (size_t i = 0; i < SITES; i++)
        m->sites[i] = credit_of(config->site_rate, m->now);
}

/* What limits a session from `address`, TURBO_LIMIT_COUNT: nothing. Then it is paid for. */
static enum turbo_limit rate_limit(struct edge_model *m, unsigned address)
{
    struct credit *source = &m->sources[addresses[address].source];
    struct credit *site =
        addresses[address].site < SITES ? &m->sites[addresses[address].site] : NULL;
    if (!credit_has(&m->rate, m->now))
        return TURBO_LIMIT_RATE;
    if (!credit_has(source, m->now))
        return TURBO_LIMIT_SOURCE;
    if (site != NULL && !credit_spend(site, m->now))
        return TURBO_LIMIT_SITE;
    credit_spend(&m->rate, m->now);
    credit_spend(source, m->now);
    return TURBO_LIMIT_COUNT;
}

static enum turbo_limit right_limit(struct edge_model *m, unsigned address, unsigned alive)
{
    const struct turbo_endpoint_config *config = &m->endpoint->config;
    if (m->draining)
        return TURBO_LIMIT_DRAINING;
    if (alive == config->sessions_max)
        return TURBO_LIMIT_SESSIONS;
    if ((alive + 1) * turbo_server_bytes() > config->memory_max)
        return TURBO_LIMIT_MEMORY;
    enum turbo_limit limit = rate_limit(m, address);
    return limit == TURBO_LIMIT_COUNT && m->no_memory ? TURBO_LIMIT_MEMORY : limit;
}

void model_admission(struct edge_model *m, unsigned address,
                     const struct turbo_endpoint_counters *before, unsigned alive_before)
{
    struct turbo_endpoint_counters after = turbo_endpoint_counters(m->endpoint);
    enum turbo_limit limit = 0;
    while (limit < TURBO_LIMIT_COUNT && after.limited[limit] == before->limited[limit])
        limit++;
    if (limit == TURBO_LIMIT_COUNT && after.sessions == before->sessions)
        return;                     /* it asked for none */
    if (limit == TURBO_LIMIT_ENDED) /* ids are remembered longer than the model knows */
        return;
    assert(limit == right_limit(m, address, alive_before));
}

static bool same_path(const struct turbo_path *a, const struct turbo_path *b)
{
    return a->peer.port == b->peer.port && memcmp(a->peer.ip, b->peer.ip, 16) == 0 &&
           a->local.port == b->local.port && memcmp(a->local.ip, b->local.ip, 16) == 0;
}

/* ---- accounts ---- */

static struct account *account_of(struct edge_model *m, const struct turbo_id *id,
                                  const struct turbo_path *path)
{
    for (size_t i = 0; i < m->account_count; i++)
        if (turbo_id_equal(&m->accounts[i].id, id) && same_path(&m->accounts[i].path, path))
            return &m->accounts[i];
    return NULL;
}

void model_request(struct edge_model *m, const struct turbo_path *path, const uint8_t *data,
                   size_t length)
{
    struct turbo_datagram d;
    if (!turbo_request_decode(&d, data, length) || d.flags != 0)
        return;
    struct account *account = account_of(m, &d.id, path);
    if (account == NULL) {
        assert(m->account_count < ACCOUNTS_MAX);
        account = &m->accounts[m->account_count++];
        *account = (struct account){.id = d.id, .path = *path};
    }
    account->requests++;
    account->request_bytes += length;
}

enum { SHORT_RECORD = 5 + 30, FINISHED_RECORD = 5 + 53 };

uint8_t model_s2c(unsigned stream, size_t at)
{
    static const uint8_t first[5] = {22, 3, 3, 0, SHORT_RECORD - 5};
    static const uint8_t second[5] = {23, 3, 3, 0, FINISHED_RECORD - 5};
    size_t within = at % (SHORT_RECORD + FINISHED_RECORD);
    if (stream % 2 == 0 && within < 5)
        return first[within];
    if (stream % 2 == 0 && within >= SHORT_RECORD && within < SHORT_RECORD + 5)
        return second[within - SHORT_RECORD];
    return check_byte(stream, at);
}

/* Do the records so far show that the flight is complete (protocol §7.2f)? */
static bool flight_seems_complete(const struct served *s)
{
    size_t at = 0, length = 0;
    uint8_t type = 0, before = 0;
    while (at + 5 <= s->pushed) {
        before = type;
        type = model_s2c(s->stream, at);
        length = model_s2c(s->stream, at + 3) * 256u + model_s2c(s->stream, at + 4);
        at += 5 + length;
    }
    if (at != s->pushed || at == 0)
        return false;
    bool done = length >= 4;
    for (size_t i = 0; done && i < 4; i++)
        done = model_s2c(s->stream, at - 4 + i) == (i == 0 ? 14 : 0);
    return type == 21 || (type == 23 && (length == 53 || length == 69)) ||
           (type == 22 && (before == 20 || done));
}

/* Is every byte in a chunk, as far as there are numbers for chunks? */
static bool all_cut(const struct served *s)
{
    return s->chunk_count == TURBO_CHUNKS_MAX || s->chunk_end[s->chunk_count] == s->pushed;
}

/* The payload of a number stays as it was first sent, and follows the one before it. */
static void check_chunk(struct served *s, const struct turbo_datagram *d, turbo_time now)
{
    assert(d->sequence >= 1 && d->sequence <= s->chunk_count + 1);
    size_t start = s->chunk_end[d->sequence - 1];
    if (d->sequence == s->chunk_count + 1) {
        assert(d->length == TURBO_RESPONSE_PAYLOAD_MAX || now >= s->uncut_at + TURBO_HOLD_TIME ||
               s->seemed_complete);
        s->chunk_count++;
        s->chunk_end[d->sequence] = start + d->length;
    } else {
        turbo_time quiet = flight_seems_complete(s) ? TURBO_QUIET_TIME_ENDED : TURBO_QUIET_TIME;
        assert(all_cut(s) && now >= s->pushed_at + quiet);
    }
    assert(d->length > 0 && s->chunk_end[d->sequence] == start + d->length);
    assert(start + d->length <= s->pushed);
    for (size_t i = 0; i < d->length; i++)
        assert(d->payload[i] == model_s2c(s->stream, start + i));
}

/* All chunks cut so far, once, and not while more is coming. */
static void check_parity(struct served *s, const struct turbo_datagram *d, turbo_time now)
{
    uint8_t sum[TURBO_REQUEST_PAYLOAD_MAX] = {0};
    size_t longest = 0;
    turbo_time quiet = flight_seems_complete(s) ? TURBO_QUIET_TIME_ENDED : TURBO_QUIET_TIME;
    assert(!s->parity_sent && now >= s->pushed_at + quiet);
    assert(d->sequence == s->chunk_count && all_cut(s));
    for (uint32_t k = 1; k <= s->chunk_count; k++) {
        size_t start = s->chunk_end[k - 1], length = s->chunk_end[k] - start;
        sum[0] ^= (uint8_t)(length / 256);
        sum[1] ^= (uint8_t)(length % 256);
        for (size_t i = 0; i < length; i++)
            sum[2 + i] ^= model_s2c(s->stream, start + i);
        longest = length > longest ? length : longest;
    }
    assert(d->length == 2 + longest && memcmp(d->payload, sum, d->length) == 0);
    s->parity_sent = true;
}

void model_response(struct edge_model *m, const struct turbo_path *path, const uint8_t *data,
                    size_t length)
{
    struct turbo_datagram d;
    assert(turbo_response_decode(&d, data, length));
    assert((d.flags & TURBO_FLAG_PROFILE1) != 0);
    struct account *account = account_of(m, &d.id, path);
    assert(account != NULL);
    account->responses++;
    account->response_bytes += length;
    assert(account->responses <= account->requests);
    assert(account->response_bytes <= TURBO_BUDGET_FACTOR * account->request_bytes);
    if ((d.flags & TURBO_FLAG_REFUSED) != 0) {
        assert(credit_spend(&m->refusals, m->now));
        m->refused++;
        return;
    }
    struct served *s = model_find(m, &d.id);
    assert(s != NULL && !s->joined && !s->over);
    if ((d.flags & TURBO_FLAG_PARITY) == 0) {
        check_chunk(s, &d, m->now);
        return;
    }
    assert(account->responses < account->requests); /* it leaves a permit */
    check_parity(s, &d, m->now);
    m->parities++;
}

/* ---- sessions ---- */

struct served *model_find(struct edge_model *m, const struct turbo_id *id)
{
    for (size_t i = 0; i < SESSIONS; i++)
        if (m->served[i].session != NULL && turbo_id_equal(&m->served[i].id, id))
            return &m->served[i];
    return NULL;
}

static bool is_remembered(const struct edge_model *m, const struct turbo_id *id)
{
    for (size_t i = 0; i < m->remembered_count; i++)
        if (turbo_id_equal(&m->remembered[i].id, id) &&
            m->now < m->remembered[i].since + TURBO_ENDED_TIME)
            return true;
    return false;
}

void model_remember(struct edge_model *m, const struct turbo_id *id)
{
    const struct session_map *ended = &m->endpoint->ended;
    if (!session_map_find(ended, id, NULL)) {
        assert(ended->count == ended->capacity); /* bounded: then nothing new is admitted */
        return;
    }
    assert(m->remembered_count < REMEMBERED_MAX);
    m->remembered[m->remembered_count++] = (struct remembered){*id, m->now};
}

/* What UDP has brought for the TLS server, as far as it may have it now. */
static void read_c2s(struct served *s)
{
    const uint8_t *data;
    size_t length = turbo_server_peek(s->session, &data);
    free(s->c2s);
    s->c2s = malloc(s->c2s_taken + length + 1);
    assert(s->c2s != NULL);
    memcpy(s->c2s, data - s->c2s_taken, s->c2s_taken + length);
    s->c2s_length = s->c2s_taken + length;
}

struct served *model_serve(struct edge_model *m, struct turbo_server *session)
{
    struct served *s = NULL;
    assert(!is_remembered(m, &session->id));
    assert(model_find(m, &session->id) == NULL);
    for (size_t i = 0; i < SESSIONS && s == NULL; i++)
        s = m->served[i].session == NULL ? &m->served[i] : NULL;
    assert(s != NULL); /* never more than the endpoint's limit */
    *s = (struct served){.session = session, .id = session->id, .stream = 100 + m->streams++};
    turbo_server_set_user(session, s);
    const struct turbo_client_hello *hello = turbo_server_hello(session);
    assert(hello->state == TURBO_HELLO_COMPLETE);
    read_c2s(s);
    assert(s->c2s_length == hello->length); /* nothing behind it before TCP joins */
    struct turbo_id id;
    turbo_id_from_hello(&id, check_sha256, s->c2s, s->c2s_length);
    assert(session->hashed == turbo_id_equal(&id, &s->id));
    return s;
}

void model_push(struct edge_model *m, struct served *s, size_t length)
{
    if (length == 0)
        return;
    if (all_cut(s)) {
        s->uncut_at = m->now;
        s->seemed_complete = false;
    }
    s->pushed += length;
    s->pushed_at = m->now;
    s->seemed_complete |= flight_seems_complete(s);
}

void model_join(struct served *s, uint32_t consumed)
{
    size_t hello = s->c2s_length;
    assert(!s->joined && !s->over && consumed <= s->chunk_count);
    s->joined = true;
    s->tcp_from = s->chunk_end[consumed];
    read_c2s(s);
    assert(s->c2s_length >= hello && (s->c2s_length == hello || !s->session->hashed));
}

void model_check(const struct served *s)
{
    const uint8_t *data;
    assert(turbo_server_user(s->session) == s);
    assert(turbo_server_joined(s->session) == s->joined);
    size_t length = turbo_server_peek(s->session, &data);
    assert(length == s->c2s_length - s->c2s_taken);
    assert(length == 0 || memcmp(data, s->c2s + s->c2s_taken, length) == 0);
    length = turbo_server_tcp_peek(s->session, &data);
    if (!s->joined) {
        assert(length == 0);
        return;
    }
    size_t from = s->tcp_from + s->tcp_taken;
    assert(turbo_server_room(s->session) == 0);
    assert(length == s->pushed - from);
    for (size_t i = 0; i < length; i += 97)
        assert(data[i] == model_s2c(s->stream, from + i));
    assert(length == 0 || data[length - 1] == model_s2c(s->stream, s->pushed - 1));
}

void model_forget(struct edge_model *m, struct served *s)
{
    s->session = NULL;
    free(s->c2s);
    model_remember(m, &s->id);
}
