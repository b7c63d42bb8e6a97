#include "tests/unit/support/sandwich_end.h"

void sandwich_end_start(struct world *w, struct sandwich_end *end)
{
    struct turbo_endpoint_config config;
    *end = (struct sandwich_end){.session = NULL};
    turbo_endpoint_config_init(&config);
    config.sessions_max = EDGE_SESSIONS;
    config.ended_max = EDGE_ENDED;
    config.sandwich = true;
    edge_start_with(&end->edge, &config);
    w->own = end;
}

void sandwich_end_stop(struct world *w)
{
    if (w->own->session != NULL)
        turbo_server_release(w->own->session, w->now);
    edge_stop(&w->own->edge);
}

static void take_events(struct world *w)
{
    struct sandwich_end *end = w->own;
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(end->edge.endpoint, &session)) != TURBO_EVENT_NONE) {
        if (event == TURBO_EVENT_NEW) {
            assert_null(end->session);
            assert_false(end->lost);
            end->session = session;
        } else if (event == TURBO_EVENT_ENDED) {
            turbo_server_release(session, w->now);
            end->session = NULL;
            end->lost = true;
        }
    }
}

static void from_client(struct world *w)
{
    const uint8_t *data;
    size_t length = turbo_server_peek(w->own->session, &data);
    if (length > 0) {
        world_hear(w, APP, data, length);
        turbo_server_consume(w->own->session, length);
        w->by_udp += length;
    }
    if (w->own->joined && !turbo_server_awaits_udp(w->own->session)) {
        world_hear(w, APP, w->held, w->held_length);
        w->held_length = 0;
    }
}

static void to_client(struct world *w)
{
    struct sandwich_end *end = w->own;
    struct stream_said *s = &w->streams[SERVER];
    const uint8_t *data;
    world_speak(w, SERVER);
    end->pushed +=
        turbo_server_push(end->session, w->now, s->bytes + end->pushed, s->said - end->pushed);
    if (!end->joined)
        return;
    size_t length = turbo_server_tcp_peek(end->session, &data);
    world_send_tcp(w, SERVER, data, length);
    turbo_server_tcp_consume(end->session, length);
    data = s->bytes + end->pushed;
    length = s->said - end->pushed;
    world_send_tcp(w, SERVER, data, length);
    if (length > 0 && turbo_server_awaits_udp(end->session))
        turbo_server_answered(end->session, w->now, data, length);
    end->pushed = s->said;
}

static void serve(struct world *w)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_path path;
    size_t length;
    take_events(w);
    if (w->own->session != NULL) {
        from_client(w);
        to_client(w);
    }
    while ((length = turbo_endpoint_poll_datagram(w->own->edge.endpoint, w->now, out, &path)) > 0) {
        w->responded++;
        world_send_datagram(w, SERVER, out, length);
    }
    take_events(w);
}

void sandwich_end_datagram(struct world *w, const uint8_t *data, size_t length)
{
    struct turbo_path path = check_path(1, 1);
    turbo_endpoint_datagram(w->own->edge.endpoint, w->now, &path, data, length);
    serve(w);
}

void sandwich_end_accepted(struct world *w)
{
    struct turbo_path path = check_path(1, 2);
    turbo_endpoint_accepted(w->own->edge.endpoint, w->now, &path.peer);
    serve(w);
}

static void join(struct world *w)
{
    struct turbo_tombstone tombstone;
    struct turbo_server *session;
    if (w->held_length < SANDWICH_TOMBSTONE_BYTES)
        return;
    assert_true(sandwich_tombstone_decode(&tombstone, w->held));
    assert_int_equal(turbo_endpoint_join(w->own->edge.endpoint, w->now, &tombstone, NULL, &session),
                     TURBO_JOIN_SESSION);
    assert_ptr_equal(session, w->own->session);
    w->own->joined = true;
    w->last = (int)tombstone.consumed;
    w->held_length -= SANDWICH_TOMBSTONE_BYTES;
    memmove(w->held, w->held + SANDWICH_TOMBSTONE_BYTES, w->held_length);
}

void sandwich_end_tcp(struct world *w, const uint8_t *data, size_t length)
{
    memcpy(w->held + w->held_length, data, length);
    w->held_length += length;
    if (!w->own->joined)
        join(w);
    serve(w);
}

turbo_time sandwich_end_deadline(const struct world *w)
{
    return turbo_endpoint_deadline(w->own->edge.endpoint);
}

void sandwich_end_tick(struct world *w)
{
    turbo_endpoint_tick(w->own->edge.endpoint, w->now);
    serve(w);
}
