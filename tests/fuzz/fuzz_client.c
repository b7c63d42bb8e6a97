/*
 * The client end as a list of events, in any order that its header allows. Its peer answers truly,
 * or lies; then only the order of things and the C→S stream are checked.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "turbo/client.h"
#include "turbo/wire.h"

enum event {
    PUSH_HELLO, /* bytes of the ClientHello, then the app's */
    PUSH_REST,  /* all of the ClientHello that is left */
    PUSH_RAW,
    PUSH_CCS,
    RESPONSE, /* a true one */
    RESPONSE_MUTATED,
    DATAGRAM_RAW,
    REFUSED,
    DRAFT_RESPONSE,
    POLL,
    CONSUME,
    TCP_CONSUME,
    TICK,   /* time passes, and every deadline is kept */
    LINGER, /* time passes, and nobody looks */
    TCP_UP,
    TCP_READABLE,
    TCP_FAILED,
    UNREACHABLE,
    PUSH_END,
    ABORT,
    EVENTS
};

enum { PUSHED_MAX = 80 * 1024, APP_STREAM = 5, S2C_STREAM = 7 };

/* Everything that happened, as the harness knows it. */
struct session {
    struct turbo_client *client;
    struct turbo_client_config config;
    const struct hello *hello;
    turbo_time now, up_at, asked_at;
    enum turbo_client_state last;
    bool up, tcp_over, ended;

    uint8_t *pushed; /* the C→S stream */
    size_t pushed_length, tcp_taken, tombstone_taken;

    struct turbo_id id; /* known once a request was seen */
    bool asked, aborted;
    uint32_t requests, request_bytes, highest;

    uint16_t chunk_length;
    uint64_t fed; /* bit k-1: a response with number k was taken, true or not */
    bool lied;
    size_t consumed;
    size_t frozen; /* of S→C by UDP, from the opening on */
    bool tombstone;
};

/* ---- the true S→C stream: chunks of two lengths, in turns ---- */

static size_t chunk_length(const struct session *s, uint32_t k)
{
    return k % 4 == 0 ? s->chunk_length / 2u : s->chunk_length;
}

static size_t chunk_offset(const struct session *s, uint32_t k)
{
    size_t at = 0;
    for (uint32_t i = 1; i < k; i++)
        at += chunk_length(s, i);
    return at;
}

static size_t true_response(const struct session *s, uint32_t k, uint8_t out[TURBO_DATAGRAM_MAX])
{
    uint8_t payload[TURBO_RESPONSE_PAYLOAD_MAX];
    struct turbo_datagram d = {
        .id = s->id, .flags = TURBO_FLAG_PROFILE1, .sequence = k, .payload = payload};
    d.length = chunk_length(s, k);
    check_fill(payload, S2C_STREAM, chunk_offset(s, k), d.length);
    return turbo_datagram_encode(&d, out);
}

/* ---- what must be true ---- */

static void check_request(struct session *s, const uint8_t *datagram, size_t length)
{
    struct turbo_datagram d;
    size_t hello = turbo_client_hello(s->client)->length;
    assert(turbo_request_decode(&d, datagram, length));
    if (!s->asked)
        turbo_id_from_hello(&s->id, check_sha256, s->pushed, hello);
    s->asked = true;
    assert(turbo_id_equal(&d.id, &s->id));
    if (d.flags == TURBO_FLAG_ABORT) {
        assert(!s->aborted && s->last == TURBO_CLIENT_FAILED);
        assert(d.sequence > s->highest);
        s->aborted = true;
        return;
    }
    assert(s->last == TURBO_CLIENT_ASKING || s->last == TURBO_CLIENT_WAITING);
    s->requests++;
    s->request_bytes += (uint32_t)length;
    assert(s->requests <= TURBO_REQUESTS_MAX && s->request_bytes <= TURBO_REQUEST_BYTES_MAX);
    assert(s->requests <= s->config.requests_max ||
           s->requests <= (hello - 1) / TURBO_REQUEST_PAYLOAD_MAX + 1);
    s->highest = d.sequence > s->highest ? d.sequence : s->highest;
    if (d.length == 0)
        return;
    size_t offset = (d.sequence - 1) * (size_t)TURBO_REQUEST_PAYLOAD_MAX;
    assert(offset + d.length <= hello); /* nothing behind the ClientHello goes by UDP */
    assert(memcmp(d.payload, s->pushed + offset, d.length) == 0);
}

/* Once, when the opening has been composed. */
static void check_opening(struct session *s)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(s->client, &data);
    s->frozen = s->consumed + turbo_client_peek(s->client, &data);
    turbo_client_tcp_peek(s->client, &data);
    s->tombstone = length == s->pushed_length + TURBO_TOMBSTONE_BYTES;
    if (!s->tombstone) {
        assert(length == s->pushed_length);
        assert(s->frozen == 0); /* what the app was given must be accounted for */
        return;
    }
    struct turbo_tombstone tombstone;
    assert(turbo_tombstone_decode(&tombstone, data) && tombstone.replay);
    assert(turbo_id_equal(&tombstone.id, &s->id));
    for (uint32_t k = 1; k <= tombstone.consumed; k++)
        assert((s->fed >> (k - 1) & 1) != 0);
    if (!s->lied)
        assert(s->frozen == chunk_offset(s, tombstone.consumed + 1));
}

static void check_streams(const struct session *s)
{
    const uint8_t *data;
    size_t length = turbo_client_unsent(s->client, &data);
    assert(length == s->pushed_length - s->tcp_taken);
    assert(length == 0 || memcmp(data, s->pushed + s->tcp_taken, length) == 0);

    size_t front = s->tombstone ? TURBO_TOMBSTONE_BYTES - s->tombstone_taken : 0;
    size_t tcp = turbo_client_tcp_peek(s->client, &data);
    assert(tcp == (s->last == TURBO_CLIENT_OPEN ? front + length : 0));
    assert(tcp <= front || memcmp(data + front, s->pushed + s->tcp_taken, length) == 0);

    size_t s2c = turbo_client_peek(s->client, &data);
    if (s->last == TURBO_CLIENT_OPEN)
        assert(s->consumed + s2c == s->frozen); /* no byte from UDP any more */
    if (s->last == TURBO_CLIENT_FAILED)
        assert(s2c == 0);
    for (size_t i = 0; !s->lied && i < s2c; i++)
        assert(data[i] == check_byte(S2C_STREAM, s->consumed + i));
    assert(turbo_client_settled(s->client) ==
           (s->last == TURBO_CLIENT_OPEN && tcp == 0 && s2c == 0));
}

static void check(struct session *s)
{
    enum turbo_client_state state = turbo_client_state(s->client);
    if (s->last >= TURBO_CLIENT_OPEN) /* OPEN is left for FAILED only, FAILED never */
        assert(state == s->last || state == TURBO_CLIENT_FAILED);
    bool opened = state == TURBO_CLIENT_OPEN && s->last != TURBO_CLIENT_OPEN;
    if (state >= TURBO_CLIENT_ASKING && s->last < TURBO_CLIENT_ASKING)
        s->asked_at = s->now;
    s->last = state;
    if (opened)
        check_opening(s);
    turbo_time deadline = turbo_client_deadline(s->client);
    assert((deadline != TURBO_NEVER) == (state == TURBO_CLIENT_WAITING));
    if (state == TURBO_CLIENT_WAITING)
        assert(deadline <= (s->up_at > s->asked_at ? s->up_at : s->asked_at) + TURBO_WAIT_MAX);
    if (state == TURBO_CLIENT_OPEN)
        assert(!turbo_client_uses_udp(s->client));
    check_streams(s);
}

/* ---- events ---- */

static void push(struct session *s, const uint8_t *data, size_t length)
{
    size_t room = turbo_client_room(s->client);
    length = length < PUSHED_MAX - s->pushed_length ? length : PUSHED_MAX - s->pushed_length;
    memcpy(s->pushed + s->pushed_length, data, length);
    size_t took = turbo_client_push(s->client, s->now, data, length);
    assert(took == (length < room ? length : room));
    s->pushed_length += took;
}

static void push_next(struct session *s, size_t length)
{
    uint8_t bytes[8192];
    if (s->pushed_length < s->hello->length) {
        size_t left = s->hello->length - s->pushed_length;
        push(s, s->hello->bytes + s->pushed_length, length < left ? length : left);
        return;
    }
    check_fill(bytes, APP_STREAM, s->pushed_length, length);
    push(s, bytes, length);
}

static void respond(struct session *s, const uint8_t *datagram, size_t length, bool truly)
{
    struct turbo_datagram d;
    uint8_t *copy = malloc(length + (length == 0)); /* a byte read behind it is seen */
    assert(copy != NULL);
    if (length > 0)
        memcpy(copy, datagram, length);
    bool taken = turbo_client_datagram(s->client, s->now, copy, length);
    assert(!taken ||
           (s->asked && turbo_response_decode(&d, copy, length) && turbo_id_equal(&d.id, &s->id)));
    free(copy);
    if (!taken)
        return;
    if (turbo_response_decode(&d, datagram, length) && d.sequence > 0)
        s->fed |= UINT64_C(1) << (d.sequence - 1);
    s->lied |= !truly;
}

static void respond_somehow(struct session *s, enum event event, struct input *in)
{
    uint8_t datagram[TURBO_DATAGRAM_MAX];
    uint32_t k = input_byte(in) % TURBO_CHUNKS_MAX + 1u;
    size_t length = true_response(s, k, datagram);
    if (event == DRAFT_RESPONSE)
        datagram[12] = 0;
    if (event == RESPONSE_MUTATED) {
        size_t at = input_word(in) % (length + 1);
        if (at == length)
            length = input_length(in) % (length + 1);
        else
            datagram[at] ^= input_byte(in);
    }
    if (event == REFUSED) {
        struct turbo_datagram d = {.id = s->id, .flags = TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED};
        length = turbo_datagram_encode(&d, datagram);
    }
    respond(s, datagram, length, event != RESPONSE_MUTATED);
}

static void tick(struct session *s, turbo_time step)
{
    turbo_time until = s->now + step, deadline;
    while ((deadline = turbo_client_deadline(s->client)) <= until) {
        s->now = deadline > s->now ? deadline : s->now;
        turbo_client_tick(s->client, s->now);
        check(s);
        assert(s->last != TURBO_CLIENT_WAITING);
    }
    s->now = until;
    turbo_client_tick(s->client, s->now);
    assert(turbo_client_state(s->client) == s->last);
}

static turbo_time input_time(struct input *in)
{
    uint8_t byte = input_byte(in); /* up to 127 µs, or up to 128 ms */
    return byte < 128 ? byte : (byte - 127u) * TURBO_MILLISECOND;
}

static void handle_tcp(struct session *s, enum event event)
{
    bool before = s->last != TURBO_CLIENT_OPEN;
    if (event == TCP_UP && !s->up && !s->tcp_over) {
        s->up = true;
        s->up_at = s->now;
        turbo_client_tcp_up(s->client, s->now);
    } else if (event == TCP_READABLE && s->up && before) {
        turbo_client_tcp_readable(s->client, s->now);
    } else if (event == TCP_FAILED && before) {
        s->tcp_over = true;
        turbo_client_tcp_failed(s->client, s->now);
    }
}

static void tcp_consume(struct session *s, size_t length)
{
    const uint8_t *data;
    size_t tcp = turbo_client_tcp_peek(s->client, &data);
    length = length < tcp ? length : tcp;
    size_t front = s->tombstone ? TURBO_TOMBSTONE_BYTES - s->tombstone_taken : 0;
    front = length < front ? length : front;
    s->tombstone_taken += front;
    s->tcp_taken += length - front;
    turbo_client_tcp_consume(s->client, length);
}

static void poll(struct session *s)
{
    uint8_t *out = malloc(TURBO_DATAGRAM_MAX);
    assert(out != NULL);
    size_t length = turbo_client_poll_datagram(s->client, out);
    if (length > 0)
        check_request(s, out, length);
    free(out);
}

static void handle(struct session *s, enum event event, struct input *in)
{
    const uint8_t *data;
    size_t length;
    switch (event) {
    case PUSH_HELLO: push_next(s, input_length(in)); break;
    case PUSH_REST: push_next(s, s->hello->length % 8192); break;
    case PUSH_RAW:
        data = input_bytes(in, input_byte(in) & 31, &length);
        push(s, data, length);
        break;
    case PUSH_CCS: push(s, (const uint8_t *)"\x14\x03\x03\x00\x01\x01", 6); break;
    case RESPONSE:
    case RESPONSE_MUTATED:
    case REFUSED:
    case DRAFT_RESPONSE: respond_somehow(s, event, in); break;
    case DATAGRAM_RAW:
        data = input_bytes(in, input_byte(in), &length);
        respond(s, data, length, false);
        break;
    case POLL: poll(s); break;
    case CONSUME:
        length = turbo_client_peek(s->client, &data);
        if (length > 0)
            length = 1 + input_length(in) % length;
        s->consumed += length;
        turbo_client_consume(s->client, length);
        break;
    case TCP_CONSUME: tcp_consume(s, input_length(in)); break;
    case TICK: tick(s, input_time(in)); break;
    case LINGER: s->now += input_time(in); break;
    case UNREACHABLE: turbo_client_unreachable(s->client, s->now); break;
    case PUSH_END:
        if (!s->ended)
            turbo_client_push_end(s->client, s->now);
        s->ended = true;
        break;
    case ABORT: turbo_client_abort(s->client, s->now); break;
    default: handle_tcp(s, event); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct session s = {.now = 5 * TURBO_SECOND, .hello = fuzz_hello(input_byte(&in))};
    uint8_t options = input_byte(&in);
    s.chunk_length = (uint16_t)(TURBO_RESPONSE_PAYLOAD_MAX - (options >> 4) * 78);
    turbo_client_config_init(&s.config, check_sha256);
    s.config.always = (options & 1) != 0;
    s.config.requests_max = (options & 2) != 0 ? TURBO_REQUESTS_MAX : TURBO_REQUESTS_UNPROVEN;
    s.config.expected_chunks = (options & 4) != 0 ? 20 : TURBO_EXPECTED_CHUNKS;
    s.config.expected_bytes = (options & 8) != 0 ? 30000 : TURBO_EXPECTED_BYTES;
    void *memory = malloc(turbo_client_bytes());
    s.pushed = malloc(PUSHED_MAX);
    assert(memory != NULL && s.pushed != NULL);
    s.client = turbo_client_init(memory, &s.config, s.now);
    while (in.left > 0) {
        handle(&s, input_byte(&in) % EVENTS, &in);
        check(&s);
    }
    tick(&s, TURBO_WAIT_MAX + 1); /* no wait is without an end */
    assert(turbo_client_state(s.client) != TURBO_CLIENT_WAITING);
    free(memory);
    free(s.pushed);
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t usual[] = {
        7,        0,   PUSH_REST,  POLL, POLL,        POLL, RESPONSE,    0,        CONSUME,     255,
        RESPONSE, 1,   CONSUME,    255,  TICK,        140,  TCP_UP,      PUSH_CCS, RESPONSE,    2,
        CONSUME,  255, PUSH_HELLO, 60,   RESPONSE,    3,    TCP_CONSUME, 255,      TCP_CONSUME, 255,
        CONSUME,  255, PUSH_HELLO, 255,  TCP_CONSUME, 9,    PUSH_END,    CONSUME,  255};
    static const uint8_t waits[] = {
        0,        2,       PUSH_REST, POLL,        POLL,     POLL,        TCP_UP,  TICK, 130,
        RESPONSE, 1,       TICK,      131,         RESPONSE, 0,           CONSUME, 40,   TICK,
        200,      CONSUME, 255,       TCP_CONSUME, 3,        TCP_CONSUME, 255};
    static const uint8_t refused[] = {1,    1,       PUSH_HELLO,  200, TCP_UP,   PUSH_HELLO, 255,
                                      POLL, REFUSED, TCP_CONSUME, 255, RESPONSE, 0};
    static const uint8_t lies[] = {2, 0xf2,   PUSH_HELLO,   255,  POLL,     POLL, RESPONSE_MUTATED,
                                   0, 0,      20,           1,    RESPONSE, 0,    CONSUME,
                                   3, TCP_UP, TCP_READABLE, POLL, TICK,     1};
    static const uint8_t aborts[] = {3,           0,          PUSH_HELLO, 255,   POLL,
                                     UNREACHABLE, TCP_FAILED, POLL,       ABORT, POLL};
    seed_write(usual, sizeof(usual));
    seed_write(waits, sizeof(waits));
    seed_write(refused, sizeof(refused));
    seed_write(lies, sizeof(lies));
    seed_write(aborts, sizeof(aborts));
}
