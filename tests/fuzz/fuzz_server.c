/*
 * The server end as a list of events: datagrams of several clients from several addresses, TCP
 * openings, a TLS server that answers, time, and memory that runs out.
 */
#include "tests/fuzz/served.h"

#include <stdlib.h>

enum event {
    REQUEST,
    FLIGHT, /* all of a ClientHello's chunks, and empty requests */
    REQUEST_MUTATED,
    DATAGRAM_RAW,
    CLIENT_ABORT,
    TOMBSTONE, /* followed by the stream */
    CLASSIC,
    POLL_EVENTS,
    POLL_DATAGRAMS,
    PUSH,
    PUSH_END,
    CONSUME,
    TCP_CONSUME,
    REPLAY,
    RELEASE,
    TICK,
    LINGER, /* time passes, and nobody looks */
    REFUSE_NEXT,
    DRAIN,
    ABANDON,
    MEMORY,
    EVENTS
};

static struct edge_model m;
static bool refuse_next;

static void *acquire(void *owner, size_t bytes)
{
    assert(owner == &m && bytes == turbo_server_bytes());
    if (m.no_memory)
        return NULL;
    m.alive++;
    assert(m.alive <= m.endpoint->config.sessions_max);
    assert(m.alive * bytes <= m.endpoint->config.memory_max);
    return malloc(bytes);
}

static void release(void *owner, void *memory)
{
    assert(owner == &m && m.alive > 0);
    m.alive--;
    free(memory);
}

/* ---- datagrams ---- */

static void receive(struct input *in, const uint8_t *data, size_t length)
{
    unsigned address = input_byte(in) % ADDRESSES, alive = m.alive;
    struct turbo_path path = model_path(address);
    struct turbo_datagram d;
    uint8_t *copy = malloc(length + (length == 0)); /* a byte read behind it is seen */
    assert(copy != NULL);
    if (length > 0)
        memcpy(copy, data, length);
    struct turbo_endpoint_counters before = turbo_endpoint_counters(m.endpoint);
    model_request(&m, &path, copy, length);
    turbo_endpoint_datagram(m.endpoint, m.now, &path, copy, length);
    model_admission(&m, address, &before, alive);
    if (turbo_endpoint_counters(m.endpoint).aborted > before.aborted &&
        turbo_request_decode(&d, copy, length)) {
        struct served *s = model_find(&m, &d.id);
        if (s != NULL)
            s->over = true;
        else
            model_remember(&m, &d.id);
    }
    free(copy);
}

static void request(const struct client *c, enum event event, struct input *in)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    uint32_t first = 1, last = (uint32_t)(c->length / c->chunk) + 3;
    if (event != FLIGHT)
        first = last = input_byte(in) % TURBO_CHUNKS_MAX + 1u;
    for (uint32_t k = first; k <= last; k++) {
        size_t length = client_request(c, k, out);
        if (event == REQUEST_MUTATED) {
            size_t at = input_word(in) % (length + 1);
            if (at == length)
                length = input_length(in) % (length + 1);
            else
                out[at] ^= input_byte(in);
        }
        receive(in, out, length);
    }
}

static void poll_datagrams(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *out = malloc(TURBO_DATAGRAM_MAX);
        assert(out != NULL);
        struct turbo_path path;
        size_t length = turbo_endpoint_poll_datagram(m.endpoint, m.now, out, &path);
        if (length > 0)
            model_response(&m, &path, out, length);
        free(out);
    }
}

/* ---- events and sessions ---- */

static void end(struct served *s)
{
    turbo_server_release(s->session, m.now);
    model_forget(&m, s);
}

static void poll_events(void)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(m.endpoint, &session)) != TURBO_EVENT_NONE) {
        if (event == TURBO_EVENT_ENDED) {
            struct served *s = turbo_server_user(session);
            assert(s->session == session && !s->joined);
            s->over = true;
            continue;
        }
        struct served *s = model_serve(&m, session);
        if (refuse_next) {
            turbo_server_refuse(session);
            end(s);
        }
        refuse_next = false;
    }
}

static void push(struct served *s, size_t length)
{
    uint8_t bytes[8192];
    size_t room = turbo_server_room(s->session);
    for (size_t i = 0; i < length; i++)
        bytes[i] = model_s2c(s->stream, s->pushed + i);
    size_t took = turbo_server_push(s->session, m.now, bytes, length);
    assert(took == (length < room ? length : room));
    model_push(&m, s, took);
}

static void replay(struct served *s, struct input *in)
{
    size_t left = turbo_server_replay_left(s->session), length = input_length(in);
    uint8_t flip = input_byte(in);
    length = length < left ? length : left;
    if (length == 0)
        return;
    uint8_t *bytes = malloc(length);
    assert(bytes != NULL);
    memcpy(bytes, s->c2s + s->replayed, length);
    bytes[flip % length] ^= flip >> 6;
    bool same = turbo_server_replay(s->session, bytes, length);
    free(bytes);
    assert(same == (flip >> 6 == 0));
    s->replayed += same ? length : 0;
    if (!same)
        end(s); /* both ends are reset */
}

static void with_session(struct served *s, enum event event, struct input *in)
{
    const uint8_t *data;
    size_t left;
    switch (event) {
    case PUSH: push(s, input_length(in)); break;
    case PUSH_END: turbo_server_push_end(s->session, TURBO_END_FIN); break;
    case CONSUME:
        left = s->c2s_length - s->c2s_taken;
        left = left == 0 ? 0 : input_length(in) % (left + 1);
        turbo_server_consume(s->session, left);
        s->c2s_taken += left;
        break;
    case TCP_CONSUME:
        left = turbo_server_tcp_peek(s->session, &data);
        left = left == 0 ? 0 : input_length(in) % (left + 1);
        turbo_server_tcp_consume(s->session, left);
        s->tcp_taken += left;
        break;
    case REPLAY: replay(s, in); break;
    case RELEASE: end(s); break;
    default: break;
    }
}

/* ---- TCP ---- */

static void tombstone(const struct client *c, struct input *in)
{
    static uint8_t bytes[TURBO_TOMBSTONE_BYTES + sizeof(c->stream)];
    uint8_t what = input_byte(in);
    struct turbo_tombstone t = {.id = c->id, .replay = what >> 7 == 0, .consumed = what & 0x3f};
    turbo_tombstone_encode(&t, bytes);
    memcpy(bytes + TURBO_TOMBSTONE_BYTES, c->stream, c->length);
    bytes[TURBO_TOMBSTONE_BYTES + 20] ^= what >> 6 & 1; /* another random: another ClientHello */
    model_open_tcp(&m, bytes, TURBO_TOMBSTONE_BYTES + c->length, input_length(in));
}

/* ---- time ---- */

static turbo_time input_time(struct input *in)
{
    uint8_t byte = input_byte(in); /* up to 1.3 ms, 64 ms or 38 s */
    if (byte < 128)
        return byte * 10u;
    return byte < 192 ? (byte - 127u) * TURBO_MILLISECOND : (byte - 191u) * 600 * TURBO_MILLISECOND;
}

static void tick(turbo_time step)
{
    turbo_time until = m.now + step, deadline;
    while ((deadline = turbo_endpoint_deadline(m.endpoint)) <= until) {
        m.now = deadline > m.now ? deadline : m.now;
        turbo_endpoint_tick(m.endpoint, m.now);
        assert(turbo_endpoint_deadline(m.endpoint) > m.now);
        poll_events();
    }
    m.now = until;
}

/* ---- the list ---- */

static void handle(enum event event, struct input *in)
{
    size_t length;
    uint8_t which = input_byte(in);
    const struct client *c = &clients[which % CLIENTS];
    struct served *s = &m.served[which % SESSIONS];
    switch (event) {
    case REQUEST:
    case FLIGHT:
    case REQUEST_MUTATED: request(c, event, in); break;
    case DATAGRAM_RAW: {
        const uint8_t *data = input_bytes(in, which & 63, &length);
        receive(in, data, length);
        break;
    }
    case CLIENT_ABORT: {
        uint8_t out[TURBO_DATAGRAM_MAX];
        struct turbo_datagram d = {.id = c->id, .flags = TURBO_FLAG_ABORT, .sequence = 20};
        receive(in, out, turbo_datagram_encode(&d, out));
        break;
    }
    case TOMBSTONE: tombstone(c, in); break;
    case CLASSIC: model_open_tcp(&m, c->stream, c->length, input_length(in)); break;
    case POLL_EVENTS: poll_events(); break;
    case POLL_DATAGRAMS: poll_datagrams(which & 31); break;
    case TICK: tick(input_time(in)); break;
    case LINGER: m.now += input_time(in); break;
    case REFUSE_NEXT: refuse_next = true; break;
    case DRAIN:
        if ((which & 15) == 15) /* rarely: nothing begins after it */
            turbo_endpoint_drain(m.endpoint);
        m.draining |= (which & 15) == 15;
        break;
    case ABANDON:
        turbo_endpoint_abandon(m.endpoint, m.now);
        for (size_t i = 0; i < SESSIONS; i++)
            m.served[i].over |= !m.served[i].joined;
        break;
    case MEMORY: m.no_memory = (which & 1) != 0; break;
    default:
        if (s->session != NULL)
            with_session(s, event, in);
        break;
    }
}

static void check_all(void)
{
    unsigned pending = turbo_endpoint_pending(m.endpoint), served = 0;
    for (size_t i = 0; i < SESSIONS; i++) {
        if (m.served[i].session == NULL)
            continue;
        model_check(&m.served[i]);
        served++;
    }
    assert(served <= m.alive && pending <= m.alive);
    struct turbo_endpoint_counters counters = turbo_endpoint_counters(m.endpoint);
    assert(counters.parities == m.parities && counters.refused == m.refused);
}

/* Divisors of a second, so that credit and what the endpoint keeps agree to the microsecond. */
static void low_limits(struct turbo_endpoint_config *config, uint8_t options)
{
    static const uint32_t rates[] = {TURBO_RATE_DEFAULT, 5, 2, 1};
    config->rate = rates[options & 3];
    config->source_rate = rates[options >> 2 & 3];
    config->site_rate = rates[options >> 4 & 3];
    config->refusal_rate = rates[options >> 6];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct turbo_endpoint_config config;
    clients_make();
    memset(m.served, 0, sizeof(m.served));
    m.account_count = m.remembered_count = m.streams = 0;
    m.no_memory = m.draining = refuse_next = false;
    m.parities = m.refused = 0;
    m.now = 40 * TURBO_SECOND;
    turbo_endpoint_config_init(&config);
    config.sha256 = check_sha256;
    uint8_t options = input_byte(&in);
    config.sessions_max = SESSIONS - (options & 1);
    config.memory_max = turbo_server_bytes() * (SESSIONS - (options >> 1 & 3)) + (options >> 3);
    low_limits(&config, input_byte(&in));
    config.ended_max = ENDED;
    config.acquire = acquire;
    config.release = release;
    config.owner = &m;
    check_fill(config.seed, 9, 0, sizeof(config.seed));
    void *memory = malloc(turbo_endpoint_bytes(&config));
    assert(memory != NULL);
    m.endpoint = turbo_endpoint_init(memory, &config);
    model_rates(&m, &config);
    while (in.left > 0) {
        handle(input_byte(&in) % EVENTS, &in);
        check_all();
    }
    tick(TURBO_ANSWERED_TIME); /* every session ends */
    assert(turbo_endpoint_pending(m.endpoint) == 0);
    poll_events();
    for (size_t i = 0; i < SESSIONS; i++)
        if (m.served[i].session != NULL)
            end(&m.served[i]);
    turbo_endpoint_fini(m.endpoint);
    assert(m.alive == 0);
    free(memory);
    return 0;
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const uint8_t joined[] = {
        0, 0, FLIGHT, 0, 0, 0, 0, POLL_EVENTS, 0, CONSUME, 0, 255, PUSH, 0, 170, POLL_DATAGRAMS, 9,
        TICK, 0, 60, POLL_DATAGRAMS, 9, TICK, 0, 140, POLL_DATAGRAMS, 9, TOMBSTONE, 0, 1, 99,
        REPLAY, 0, 255, 0, TCP_CONSUME, 0, 255, PUSH_END, 0, RELEASE, 0, FLIGHT, 0, 0, 0, 0, 0};
    static const uint8_t adopted[] = {
        0, 0, REQUEST, 1, 1, 2, FLIGHT, 1, 0, 1, 2, 3, 4, 5, 6, POLL_EVENTS, 0, PUSH, 0, 255,
        POLL_DATAGRAMS, 31, CLASSIC, 1, 200, TCP_CONSUME, 0, 255, REPLAY, 0, 20, 255};
    static const uint8_t drafts[] = {
        1, 0, FLIGHT, 4, 0, 0, 0, 0, 0, 0, FLIGHT, 5, 1, 1, 1, 1, 1, 1, POLL_EVENTS, 0, PUSH, 1, 200,
        TICK, 0, 120, POLL_DATAGRAMS, 9, TOMBSTONE, 4, 129, 3, TOMBSTONE, 5, 0, 3, CONSUME, 0, 200,
        REPLAY, 1, 255, 0};
    static const uint8_t ends[] = {
        0, 0, FLIGHT, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, POLL_EVENTS, 0, CLIENT_ABORT, 2, 0, RELEASE, 0,
        REFUSE_NEXT, 0, FLIGHT, 0, 0, 0, 0, POLL_EVENTS, 0, POLL_DATAGRAMS, 3, MEMORY, 1, FLIGHT, 1,
        0, 0, 0, 0, POLL_DATAGRAMS, 9, MEMORY, 0, REQUEST, 3, 0, 0, TICK, 0, 210, TICK, 0, 255,
        CLASSIC, 0, 9, TICK, 0, 240, FLIGHT, 0, 0, 0, 0, POLL_EVENTS, 0, ABANDON, 0, DRAIN, 15};
    static const uint8_t again[] = {
        0, 0, CLASSIC, 0, 9, TICK, 0, 240, CLASSIC, 0, 9, TICK, 0, 195, FLIGHT, 0, 0, 0, 0,
        POLL_EVENTS, 0, TICK, 0, 240, FLIGHT, 0, 0, 0, 0, POLL_EVENTS, 0};
    static const uint8_t limits[] = {
        2, 0xfa, FLIGHT, 0, 4, 4, 4, 4, FLIGHT, 1, 5, 5, 5, 5, FLIGHT, 2, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6,
        POLL_DATAGRAMS, 31, REQUEST, 3, 0, 0, REQUEST, 3, 0, 1, TICK, 0, 193, REQUEST, 3, 0, 2,
        POLL_DATAGRAMS, 31, FLIGHT, 1, 7, 7, 7, 7, POLL_DATAGRAMS, 31, POLL_EVENTS, 0};
    static const uint8_t parity[] = {
        0, 0, FLIGHT, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, POLL_EVENTS, 0, PUSH, 0, 170, TICK, 0, 60,
        PUSH, 0, 90, TICK, 0, 60, POLL_DATAGRAMS, 9, TICK, 0, 127, POLL_DATAGRAMS, 1, PUSH, 0, 40,
        TICK, 0, 135, POLL_DATAGRAMS, 31, CLASSIC, 2, 255};
    /* clang-format on */
    seed_write(limits, sizeof(limits));
    seed_write(parity, sizeof(parity));
    seed_write(joined, sizeof(joined));
    seed_write(adopted, sizeof(adopted));
    seed_write(drafts, sizeof(drafts));
    seed_write(ends, sizeof(ends));
    seed_write(again, sizeof(again));
}
