/*
 * Both dialects at one endpoint: clients of each, a TLS server that answers with records or noise,
 * TCP connections that prove addresses, tombstones, time. Of the Sandwich sessions is checked what
 * their clients rely on: every byte once and in order, whichever way, and no index twice.
 */
#include <stdlib.h>

#include "tests/fuzz/support.h"
#include "turbo/server_session.h"

enum event {
    REQUEST,
    FLIGHT,
    PROFILE1,
    RAW,
    ACCEPT,
    TOMBSTONE,
    POLL_EVENTS,
    POLL_DATAGRAMS,
    PUSH,
    CONSUME,
    TCP_CONSUME,
    ANSWERED,
    RELEASE,
    TICK,
    SWITCH,
    DRAIN,
    EVENTS
};

enum { CLIENTS = 3, ADDRESSES = 3, SESSIONS = 4, C2S = 3000, CHUNK = 200 };

/* A Sandwich client, and its session as far as it was handed out. */
static struct client {
    struct turbo_id id;
    uint8_t c2s[C2S];
    struct turbo_server *session;
    size_t taken;                  /* C→S bytes that the TLS server has got */
    size_t pushed, sent, tcp_from; /* S→C */
    uint32_t index;
    size_t end[TURBO_CHUNKS_MAX + 1];
    bool joined, over;
    size_t tcp_taken;
} clients[CLIENTS];

static struct account {
    size_t received, sent;
    bool proved;
} accounts[CLIENTS][ADDRESSES];

static struct turbo_endpoint *endpoint;
static turbo_time now;
static unsigned alive;

static void *acquire(void *owner, size_t bytes)
{
    (void)owner;
    alive++;
    assert(alive <= SESSIONS);
    return malloc(bytes);
}

static void release(void *owner, void *memory)
{
    (void)owner;
    alive--;
    free(memory);
}

/* Records of lengths that matter, some of them of type 23. */
static uint8_t s2c_byte(size_t at)
{
    static const uint8_t first[] = {22, 3, 3, 0, 60}, second[] = {23, 3, 3, 0, 53};
    size_t within = at % (65 + 58);
    if (within < 5)
        return first[within];
    return within >= 65 && within < 70 ? second[within - 65] : check_byte(7, at);
}

static struct client *client_of(const struct turbo_id *id)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (turbo_id_equal(&clients[i].id, id))
            return &clients[i];
    return NULL;
}

/* ---- datagrams ---- */

static void receive(uint8_t address, const uint8_t *data, size_t length)
{
    struct turbo_path path = check_path(address % ADDRESSES, 1);
    struct turbo_datagram d;
    struct client *c = NULL;
    uint8_t *copy = malloc(length + (length == 0));
    assert(copy != NULL);
    if (length > 0)
        memcpy(copy, data, length);
    if (sandwich_request_decode(&d, copy, length))
        c = client_of(&d.id);
    if (c != NULL)
        accounts[c - clients][address % ADDRESSES].received += length;
    turbo_endpoint_datagram(endpoint, now, &path, copy, length);
    free(copy);
}

static void request(const struct client *c, uint32_t index, uint8_t address)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_datagram d = {.dialect = TURBO_DIALECT_SANDWICH, .id = c->id, .sequence = index};
    size_t hello = fuzz_hello(0)->length, at = (size_t)(index - 1) * CHUNK;
    if (index > SANDWICH_FIRST_FLIGHT) /* behind the ClientHello */
        at = hello + (size_t)(index - SANDWICH_FIRST_FLIGHT - 1) * CHUNK;
    size_t end = index > SANDWICH_FIRST_FLIGHT ? C2S : hello;
    if (index <= 255 && at < end) {
        d.payload = c->c2s + at;
        d.length = end - at < CHUNK ? end - at : CHUNK;
    }
    receive(address, out, turbo_datagram_encode(&d, out));
}

static void profile1(struct input *in)
{
    const struct hello *hello = fuzz_hello(input_byte(in));
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_datagram d = {.sequence = input_byte(in) % 4u + 1, .payload = hello->bytes};
    turbo_id_from_hello(&d.id, check_sha256, hello->bytes, hello->length);
    d.length = hello->length < 1184 ? hello->length : 1184;
    d.length = d.sequence == 1 ? d.length : 0;
    receive(1, out, turbo_datagram_encode(&d, out));
}

static void check_response(struct client *c, const struct turbo_path *path,
                           const struct turbo_datagram *d, size_t length)
{
    struct account *a = NULL;
    for (uint8_t i = 0; i < ADDRESSES; i++) {
        struct turbo_path other = check_path(i, 1);
        if (turbo_address_same_ip(&other.peer, &path->peer))
            a = &accounts[c - clients][i];
    }
    assert(a != NULL && c->session != NULL && !c->joined && !c->over);
    a->sent += length;
    assert(a->proved || a->sent <= 3 * a->received);
    assert(d->sequence == ++c->index); /* each once, in order */
    assert(c->sent + d->length <= c->pushed);
    for (size_t i = 0; i < d->length; i++)
        assert(d->payload[i] == s2c_byte(c->sent + i));
    c->sent += d->length;
    c->end[c->index] = c->sent;
}

static void poll_datagrams(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t out[TURBO_DATAGRAM_MAX];
        struct turbo_path path;
        struct turbo_datagram d;
        size_t length = turbo_endpoint_poll_datagram(endpoint, now, out, &path);
        if (length == 0)
            return;
        struct client *c = NULL;
        if (sandwich_response_decode(&d, out, length))
            c = client_of(&d.id);
        if (c != NULL)
            check_response(c, &path, &d, length);
        else
            assert(turbo_response_decode(&d, out, length));
    }
}

/* ---- sessions ---- */

/* What the TLS server gets is the client's stream. */
static void consume(struct client *c, size_t most)
{
    const uint8_t *data;
    size_t length = turbo_server_peek(c->session, &data);
    assert(c->taken + length <= C2S);
    assert(length == 0 || memcmp(data, c->c2s + c->taken, length) == 0);
    length = length < most ? length : most;
    turbo_server_consume(c->session, length);
    c->taken += length;
}

static void forget(struct client *c)
{
    turbo_server_release(c->session, now);
    c->session = NULL;
    c->taken = c->pushed = c->sent = c->index = c->tcp_from = c->tcp_taken = 0;
    c->joined = c->over = false;
    memset(accounts[c - clients], 0, sizeof(accounts[0]));
}

static void poll_events(void)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(endpoint, &session)) != TURBO_EVENT_NONE) {
        struct turbo_id id = turbo_server_id(session);
        struct client *c = client_of(&id);
        if (c == NULL) { /* of profile 1, or one of the input's own */
            if (event != TURBO_EVENT_MORE)
                turbo_server_release(session, now);
            continue;
        }
        assert((event == TURBO_EVENT_NEW) == (c->session == NULL));
        assert(turbo_server_report(session).dialect == TURBO_DIALECT_SANDWICH);
        c->session = session;
        c->over = event == TURBO_EVENT_ENDED;
        if (!c->over)
            consume(c, 0);
    }
}

static void push(struct client *c, size_t length)
{
    uint8_t bytes[8192];
    for (size_t i = 0; i < length; i++)
        bytes[i] = s2c_byte(c->pushed + i);
    c->pushed += turbo_server_push(c->session, now, bytes, length);
}

static void tcp_consume(struct client *c, size_t most)
{
    const uint8_t *data;
    size_t length = turbo_server_tcp_peek(c->session, &data), from = c->tcp_from + c->tcp_taken;
    if (!c->joined || c->over)
        return;
    assert(from + length == c->pushed);
    for (size_t i = 0; i < length; i++)
        assert(data[i] == s2c_byte(from + i));
    length = length < most ? length : most;
    turbo_server_tcp_consume(c->session, length);
    c->tcp_taken += length;
}

static void tombstone(struct client *c, uint8_t last)
{
    struct turbo_opening opening;
    struct turbo_server *session = NULL;
    uint8_t bytes[SANDWICH_TOMBSTONE_BYTES];
    struct turbo_tombstone t = {.dialect = TURBO_DIALECT_SANDWICH, .id = c->id, .consumed = last};
    sandwich_tombstone_encode(&t, bytes);
    turbo_opening_init(&opening);
    turbo_opening_push(&opening, bytes, sizeof(bytes), turbo_endpoint_prefix_known, endpoint);
    bool pending = c->session != NULL && !c->joined && !c->over;
    if (pending)
        assert(opening.kind == TURBO_OPENING_TOMBSTONE &&
               opening.tombstone.dialect == TURBO_DIALECT_SANDWICH);
    enum turbo_join join = turbo_endpoint_join(endpoint, now, &t, NULL, &session);
    assert(join != TURBO_JOIN_FRESH);
    assert((join == TURBO_JOIN_SESSION) == (pending && last <= c->index));
    if (join == TURBO_JOIN_RESET)
        return;
    assert(session == c->session);
    c->joined = true;
    c->tcp_from = c->end[last];
}

static void with_session(struct client *c, enum event event, struct input *in)
{
    static const uint8_t answer[40];
    switch (event) {
    case PUSH: push(c, input_length(in)); break;
    case CONSUME: consume(c, input_length(in)); break;
    case TCP_CONSUME: tcp_consume(c, input_length(in)); break;
    case ANSWERED: turbo_server_answered(c->session, now, answer, sizeof(answer)); break;
    case RELEASE: forget(c); break;
    default: break;
    }
}

/* ---- the list ---- */

static void accept_tcp(uint8_t address)
{
    struct turbo_address peer = check_path(address % ADDRESSES, 2).peer;
    turbo_endpoint_accepted(endpoint, now, &peer);
    for (size_t i = 0; i < CLIENTS; i++)
        accounts[i][address % ADDRESSES].proved = true; /* from now on, it may be */
}

static void handle(enum event event, struct input *in)
{
    uint8_t which = input_byte(in);
    struct client *c = &clients[which % CLIENTS];
    size_t length;
    switch (event) {
    case REQUEST: request(c, input_byte(in) % 70u + 1, which >> 4); break;
    case FLIGHT:
        for (uint32_t i = 1; i <= SANDWICH_FIRST_FLIGHT; i++)
            request(c, i, which >> 4);
        break;
    case PROFILE1: profile1(in); break;
    case RAW: {
        const uint8_t *data = input_bytes(in, which, &length);
        struct turbo_datagram d;
        if (!sandwich_request_decode(&d, data, length) || client_of(&d.id) == NULL)
            receive(which, data, length);
        break;
    }
    case ACCEPT: accept_tcp(which); break;
    case TOMBSTONE: tombstone(c, input_byte(in)); break;
    case POLL_EVENTS: poll_events(); break;
    case POLL_DATAGRAMS: poll_datagrams(which); break;
    case TICK:
        now += which < 128 ? which * 10u : (which - 127u) * 100 * TURBO_MILLISECOND;
        turbo_endpoint_tick(endpoint, now);
        poll_events();
        break;
    case SWITCH: turbo_endpoint_set_sandwich(endpoint, (which & 7) != 7, 20 * TURBO_SECOND); break;
    case DRAIN:
        if (which == 255)
            turbo_endpoint_drain(endpoint);
        break;
    default:
        if (c->session != NULL)
            with_session(c, event, in);
        break;
    }
}

static void start(void)
{
    struct turbo_endpoint_config config;
    memset(clients, 0, sizeof(clients));
    memset(accounts, 0, sizeof(accounts));
    now = 40 * TURBO_SECOND;
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct hello *hello = fuzz_hello(0);
        check_fill(clients[i].c2s, 3 + (unsigned)i, 0, C2S);
        memcpy(clients[i].c2s, hello->bytes, hello->length);
        check_fill(clients[i].id.bytes, 60 + (unsigned)i, 0, SANDWICH_ID_BYTES);
    }
    memcpy(clients[1].id.bytes, fuzz_hello(0)->bytes, 3); /* like TLS */
    memset(clients[2].id.bytes + 12, 0, 3);               /* like profile 1's header */
    turbo_endpoint_config_init(&config);
    config.sha256 = check_sha256;
    config.sandwich = true;
    config.sessions_max = SESSIONS;
    config.ended_max = 6;
    config.acquire = acquire;
    config.release = release;
    check_fill(config.seed, 9, 0, sizeof(config.seed));
    void *memory = malloc(turbo_endpoint_bytes(&config));
    assert(memory != NULL);
    endpoint = turbo_endpoint_init(memory, &config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    start();
    while (in.left > 0)
        handle(input_byte(&in) % EVENTS, &in);
    now += 70 * TURBO_SECOND; /* every session ends that nobody has joined */
    turbo_endpoint_tick(endpoint, now);
    assert(turbo_endpoint_pending(endpoint) == 0);
    poll_events();
    for (size_t i = 0; i < CLIENTS; i++)
        if (clients[i].session != NULL)
            forget(&clients[i]);
    turbo_endpoint_fini(endpoint);
    assert(alive == 0);
    free(endpoint);
    return 0;
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const uint8_t whole[] = {
        ACCEPT, 0, FLIGHT, 0, POLL_EVENTS, 0, CONSUME, 0, 255, PUSH, 0, 200, POLL_DATAGRAMS, 40,
        REQUEST, 0, 14, REQUEST, 0, 15, POLL_EVENTS, 0, CONSUME, 0, 255, PUSH, 0, 90, TICK, 90,
        POLL_DATAGRAMS, 40, TOMBSTONE, 0, 2, TCP_CONSUME, 0, 255, RELEASE, 0};
    static const uint8_t late[] = {
        FLIGHT, 1, REQUEST, 1, 3, POLL_EVENTS, 0, PUSH, 1, 250, POLL_DATAGRAMS, 40, ACCEPT, 0,
        POLL_DATAGRAMS, 40, TOMBSTONE, 1, 1, ANSWERED, 1, REQUEST, 1, 16, REQUEST, 1, 14,
        REQUEST, 1, 15, POLL_EVENTS, 0, CONSUME, 1, 255, TICK, 180, POLL_EVENTS, 0};
    static const uint8_t mixed[] = {
        PROFILE1, 0, 1, 0, FLIGHT, 2, REQUEST, 0x12, 15, PROFILE1, 0, 2, 0, POLL_EVENTS, 0, PUSH, 2, 9,
        TICK, 100, POLL_DATAGRAMS, 9, REQUEST, 2, 69, SWITCH, 7, FLIGHT, 0, POLL_EVENTS, 0, TICK, 255};
    /* clang-format on */
    seed_write(whole, sizeof(whole));
    seed_write(late, sizeof(late));
    seed_write(mixed, sizeof(mixed));
}
