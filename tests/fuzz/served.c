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

/* The payload of a number stays as it was first sent, and follows the one before it. */
static void check_chunk(struct served *s, const struct turbo_datagram *d)
{
    assert(d->sequence >= 1 && d->sequence <= s->chunk_count + 1);
    size_t start = s->chunk_end[d->sequence - 1];
    if (d->sequence == s->chunk_count + 1) {
        s->chunk_count++;
        s->chunk_end[d->sequence] = start + d->length;
    }
    assert(d->length > 0 && s->chunk_end[d->sequence] == start + d->length);
    assert(start + d->length <= s->pushed);
    for (size_t i = 0; i < d->length; i++)
        assert(d->payload[i] == check_byte(s->stream, start + i));
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
    if ((d.flags & TURBO_FLAG_REFUSED) != 0)
        return;
    struct served *s = model_find(m, &d.id);
    assert(s != NULL && !s->joined && !s->over);
    check_chunk(s, &d);
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
        assert(data[i] == check_byte(s->stream, from + i));
    assert(length == 0 || data[length - 1] == check_byte(s->stream, s->pushed - 1));
}

void model_forget(struct edge_model *m, struct served *s)
{
    s->session = NULL;
    free(s->c2s);
    model_remember(m, &s->id);
}
