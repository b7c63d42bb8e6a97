#include "tests/unit/support/edge.h"

#include <stdlib.h>

static void *acquire(void *owner, size_t bytes)
{
    struct edge *e = owner;
    void *memory = e->starved ? NULL : malloc(bytes);
    if (memory != NULL) {
        memset(memory, 0xa5, bytes);
        e->alive++;
    }
    return memory;
}

static void release(void *owner, void *memory)
{
    struct edge *e = owner;
    e->alive--;
    free(memory);
}

void edge_start(struct edge *e, uint32_t sessions_max, uint32_t ended_max)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    config.sessions_max = sessions_max;
    config.ended_max = ended_max;
    edge_start_with(e, &config);
}

void edge_start_with(struct edge *e, const struct turbo_endpoint_config *limits)
{
    struct turbo_endpoint_config config = *limits;
    *e = (struct edge){0};
    config.sha256 = check_sha256;
    check_fill(config.seed, 1000, 0, sizeof(config.seed));
    config.acquire = acquire;
    config.release = release;
    config.owner = e;
    e->memory = malloc(turbo_endpoint_bytes(&config));
    assert_non_null(e->memory);
    memset(e->memory, 0xa5, turbo_endpoint_bytes(&config));
    e->endpoint = turbo_endpoint_init(e->memory, &config);
}

void edge_stop(struct edge *e)
{
    turbo_endpoint_fini(e->endpoint);
    assert_int_equal(e->alive, 0);
    free(e->memory);
}

struct turbo_id edge_id(const struct hello *hello)
{
    struct turbo_id id;
    turbo_id_from_hello(&id, check_sha256, hello->bytes, hello->length);
    return id;
}

void edge_datagram(struct edge *e, turbo_time now, const struct turbo_path *path,
                   const struct turbo_datagram *request)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    size_t length = turbo_datagram_encode(request, bytes);
    turbo_endpoint_datagram(e->endpoint, now, path, bytes, length);
}

void edge_request(struct edge *e, turbo_time now, const struct turbo_path *path,
                  const struct turbo_id *id, const struct hello *hello, uint32_t sequence)
{
    struct turbo_datagram request = {.id = *id, .sequence = sequence};
    size_t at = (size_t)(sequence - 1) * TURBO_REQUEST_PAYLOAD_MAX;
    if (at < hello->length) {
        size_t left = hello->length - at;
        request.payload = hello->bytes + at;
        request.length = left < TURBO_REQUEST_PAYLOAD_MAX ? left : TURBO_REQUEST_PAYLOAD_MAX;
    }
    edge_datagram(e, now, path, &request);
}

void edge_abort(struct edge *e, turbo_time now, const struct turbo_id *id)
{
    struct turbo_datagram request = {.id = *id, .flags = TURBO_FLAG_ABORT, .sequence = 30};
    struct turbo_path path = check_path(1, 1);
    edge_datagram(e, now, &path, &request);
}

struct turbo_server *edge_session(struct edge *e, turbo_time now, const struct hello *hello)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(hello);
    size_t chunks = (hello->length + TURBO_REQUEST_PAYLOAD_MAX - 1) / TURBO_REQUEST_PAYLOAD_MAX;
    for (uint32_t k = 1; k <= chunks; k++)
        edge_request(e, now, &path, &id, hello, k);
    return edge_event(e, TURBO_EVENT_NEW);
}

void edge_assert_no_event(struct edge *e)
{
    struct turbo_server *unused;
    assert_int_equal(turbo_endpoint_poll_event(e->endpoint, &unused), TURBO_EVENT_NONE);
}

struct turbo_server *edge_event(struct edge *e, enum turbo_event event)
{
    struct turbo_server *session = NULL;
    assert_int_equal(turbo_endpoint_poll_event(e->endpoint, &session), event);
    return session;
}

size_t edge_push(struct turbo_server *session, turbo_time now, size_t from, size_t length)
{
    static uint8_t bytes[2 * TURBO_STREAM_KEPT_MAX];
    assert_true(length <= sizeof(bytes));
    check_fill(bytes, EDGE_S2C_STREAM, from, length);
    return turbo_server_push(session, now, bytes, length);
}

size_t edge_poll(struct edge *e, turbo_time now, struct turbo_datagram *out,
                 struct turbo_path *path)
{
    static uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_path unused;
    size_t n = turbo_endpoint_poll_datagram(e->endpoint, now, bytes, path ? path : &unused);
    if (n > 0)
        assert_true(turbo_response_decode(out, bytes, n));
    return n;
}

size_t edge_poll_all(struct edge *e, turbo_time now)
{
    struct turbo_datagram unused;
    size_t count = 0;
    while (edge_poll(e, now, &unused, NULL) > 0)
        count++;
    return count;
}

void edge_assert_tcp(const struct turbo_server *session, size_t from, size_t length)
{
    const uint8_t *data;
    assert_int_equal(turbo_server_tcp_peek(session, &data), length);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(data[i], check_byte(EDGE_S2C_STREAM, from + i));
}

enum turbo_join edge_tombstone(struct edge *e, turbo_time now, const struct turbo_id *id,
                               bool replay, uint32_t n, struct turbo_server **session)
{
    struct turbo_tombstone tombstone = {.id = *id, .replay = replay, .consumed = n};
    return turbo_endpoint_join(e->endpoint, now, &tombstone, NULL, session);
}
