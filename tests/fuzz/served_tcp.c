/* TCP connections to the endpoint: what they open with, and what comes of it. */
#include "tests/fuzz/served.h"
#include "turbo/opening.h"

static void join(struct edge_model *m, struct turbo_server *session, const struct turbo_id *id,
                 uint32_t consumed)
{
    struct served *s = model_find(m, id);
    assert(s != NULL && s->session == session);
    model_join(s, consumed);
}

static void adopt(struct edge_model *m, const uint8_t *stream, size_t hello)
{
    struct turbo_server *session = NULL;
    struct turbo_id id;
    turbo_id_from_hello(&id, check_sha256, stream, hello);
    if (turbo_endpoint_adopt(m->endpoint, m->now, stream, hello, NULL, &session) ==
        TURBO_JOIN_SESSION) {
        struct served *s = model_find(m, &id);
        assert(s != NULL && s->c2s_length == hello && memcmp(s->c2s, stream, hello) == 0);
        join(m, session, &id, 0);
        assert(turbo_server_replay_left(session) == hello);
    } else if (model_find(m, &id) == NULL) {
        model_remember(m, &id);
    }
}

/* Reads what opens a connection as a listener does; `cut` bytes come first. */
static void open_tcp(struct edge_model *m, const uint8_t *stream, size_t length, size_t cut,
                     bool afresh)
{
    struct turbo_opening opening;
    struct turbo_server *session = NULL;
    turbo_opening_init(&opening);
    cut = cut < length ? cut : length;
    size_t used =
        turbo_opening_push(&opening, stream, cut, turbo_endpoint_prefix_known, m->endpoint);
    turbo_opening_push(&opening, stream + used, length - used, turbo_endpoint_prefix_known,
                       m->endpoint);
    struct turbo_id id = {{0}}; /* a pending session's is always found, a draft's too */
    memcpy(id.bytes, stream, TURBO_ID_BYTES);
    struct served *s = model_find(m, &id);
    bool pending = s != NULL && !s->joined && !s->over;
    assert(!pending || opening.kind == TURBO_OPENING_TOMBSTONE);
    if (opening.kind == TURBO_OPENING_CLASSIC && opening.hello.state == TURBO_HELLO_COMPLETE)
        adopt(m, stream, opening.hello.length);
    if (opening.kind != TURBO_OPENING_TOMBSTONE || afresh)
        return;
    const struct turbo_tombstone *t = &opening.tombstone;
    assert(turbo_id_equal(&t->id, &id));
    switch (turbo_endpoint_join(m->endpoint, m->now, t, NULL, &session)) {
    case TURBO_JOIN_SESSION:
        assert(pending);
        join(m, session, &t->id, t->consumed);
        assert(turbo_server_replay_left(session) == (t->replay ? s->c2s_length : 0));
        break;
    case TURBO_JOIN_FRESH:
        assert(t->replay && t->consumed == 0 && !pending);
        if (s == NULL)
            model_remember(m, &t->id);
        open_tcp(m, stream + TURBO_TOMBSTONE_BYTES, length - TURBO_TOMBSTONE_BYTES, cut, true);
        break;
    case TURBO_JOIN_RESET: assert(!pending || t->consumed > s->chunk_count || !t->replay); break;
    }
}

void model_open_tcp(struct edge_model *m, const uint8_t *stream, size_t length, size_t cut)
{
    open_tcp(m, stream, length, cut, false);
}
