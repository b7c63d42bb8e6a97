/*
 * The client end in the Sandwich dialect as a list of events, in any order that its header allows.
 * The peer answers truly, or lies. Whatever happens: requests carry the C→S stream in order and say
 * the same each time, TCP carries on where they end, S→C bytes are the right ones, and no wait is
 * without an end.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "turbo/client.h"
#include "turbo/wire.h"

enum event {
    PUSH_HELLO,
    PUSH_RECORD, /* of any type and length */
    PUSH_RAW,
    RESPONSE, /* the next one */
    RESPONSE_ANY,
    RESPONSE_MUTATED,
    DATAGRAM_RAW,
    POLL,
    CONSUME,
    TCP_CONSUME,
    TICK,
    TCP_UP,
    TCP_READABLE,
    TCP_READ,
    TCP_FAILED,
    UNREACHABLE,
    PUSH_END,
    ABORT,
    EVENTS
};

enum {
    PUSHED_MAX = 96 * 1024,
    S2C_MAX = 80 * 1024,
    INDEX_MAX = 255,
    FINISHED = 53,
    FINISHED_384 = 69,
    ID_STREAM = 3
};

struct sandwich {
    struct turbo_client *client;
    struct turbo_client_config config;
    const struct hello *hello;
    turbo_time now;
    enum turbo_client_state last;
    bool up, over, ended, lied;

    uint8_t pushed[PUSHED_MAX];
    size_t pushed_length;
    uint8_t s2c[S2C_MAX];
    size_t chunk, consumed;
    uint32_t next_response;

    uint32_t requests;         /* the highest index seen */
    size_t end[INDEX_MAX + 1]; /* C→S offset behind request i */
    bool opened;
    size_t tcp_from; /* C→S offset */
    size_t tcp_taken, frozen;
};

/* ---- the server end ---- */

static size_t put_record(uint8_t *out, uint8_t type, size_t length)
{
    memcpy(out, (uint8_t[]){type, 3, 3, (uint8_t)(length >> 8), (uint8_t)length}, 5);
    check_fill(out + 5, type, length, length);
    return length + 5;
}

/* A ServerHello of a suite by the options, then records of one length. */
static void make_s2c(struct sandwich *s, uint8_t options)
{
    static const uint16_t suites[] = {0x1301, 0x1302, 0xc02f, 0x1303};
    size_t n = put_record(s->s2c, 22, 90), length = 40u + (options >> 4) * 250u;
    uint16_t suite = suites[options & 3];
    memcpy(s->s2c + 5, (uint8_t[]){2, 0, 0, 86, 3, 3}, 6);
    s->s2c[5 + 38] = 32;
    s->s2c[5 + 71] = (uint8_t)(suite >> 8);
    s->s2c[5 + 72] = (uint8_t)suite;
    while (n + length + 5 <= sizeof(s->s2c))
        n += put_record(s->s2c + n, (options & 3) == 2 ? 22 : 23, length);
    s->chunk = (options & 4) != 0 ? SANDWICH_PAYLOAD_MAX : 300;
}

static size_t response(const struct sandwich *s, uint32_t k, uint8_t out[static TURBO_DATAGRAM_MAX])
{
    struct turbo_datagram d = {.dialect = TURBO_DIALECT_SANDWICH,
                               .id = s->config.id,
                               .sequence = k,
                               .payload = s->s2c + (k - 1) * s->chunk,
                               .length = s->chunk};
    return turbo_datagram_encode(&d, out);
}

static void give(struct sandwich *s, const uint8_t *datagram, size_t length)
{
    uint8_t *copy = malloc(length + (length == 0)); /* a byte read behind it is seen */
    assert(copy != NULL);
    if (length > 0)
        memcpy(copy, datagram, length);
    struct turbo_datagram d;
    bool ours = sandwich_response_decode(&d, copy, length) && turbo_id_equal(&d.id, &s->config.id);
    bool taken = turbo_client_datagram(s->client, s->now, copy, length);
    assert(ours || !taken);
    if (taken && d.sequence <= TURBO_CHUNKS_MAX &&
        (d.length != s->chunk ||
         memcmp(d.payload, s->s2c + (d.sequence - 1) * s->chunk, d.length) != 0))
        s->lied = true;
    free(copy);
}

static void respond(struct sandwich *s, enum event event, struct input *in)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    uint32_t k = event == RESPONSE ? s->next_response++ % TURBO_CHUNKS_MAX + 1u
                                   : input_byte(in) % TURBO_CHUNKS_MAX + 1u;
    size_t length = response(s, k, out);
    if (event == RESPONSE_MUTATED) {
        out[input_word(in) % length] ^= input_byte(in);
        length -= input_byte(in) % 3;
    }
    give(s, out, length);
}

/* ---- the app ---- */

static void push(struct sandwich *s, const uint8_t *data, size_t length)
{
    size_t left = PUSHED_MAX - s->pushed_length, room = turbo_client_room(s->client);
    length = length < left ? length : left;
    if (length > 0)
        memcpy(s->pushed + s->pushed_length, data, length);
    size_t took = turbo_client_push(s->client, s->now, data, length);
    assert(took == (length < room ? length : room));
    s->pushed_length += took;
}

static void push_hello(struct sandwich *s, size_t most)
{
    size_t left = s->hello->length > s->pushed_length ? s->hello->length - s->pushed_length : 0;
    push(s, s->hello->bytes + s->hello->length - left, left < most ? left : most);
}

static void push_record(struct sandwich *s, struct input *in)
{
    static const uint8_t types[] = {20, 21, 22, 23};
    static const size_t lengths[] = {1, FINISHED, FINISHED_384, 0};
    uint8_t bytes[5 + 8192], choice = input_byte(in);
    size_t length = lengths[choice >> 2 & 3];
    if (length == 0)
        length = input_length(in);
    push(s, bytes, put_record(bytes, types[choice & 3], length));
}

/* ---- what must be true ---- */

static void check_request(struct sandwich *s, const uint8_t *bytes, size_t length)
{
    struct turbo_datagram d;
    assert(length <= SANDWICH_DATAGRAM_MAX && sandwich_request_decode(&d, bytes, length));
    assert(turbo_id_equal(&d.id, &s->config.id) && d.sequence <= TURBO_CHUNKS_MAX);
    assert(d.sequence <= s->requests + 1);
    size_t start = s->end[d.sequence - 1];
    if (d.sequence > s->requests)
        s->end[++s->requests] = start + d.length;
    assert(s->end[d.sequence] == start + d.length && s->end[d.sequence] <= s->pushed_length);
    assert(d.length == 0 || memcmp(d.payload, s->pushed + start, d.length) == 0);
    assert(!s->opened || s->end[d.sequence] <= s->tcp_from);
}

static void poll(struct sandwich *s, bool all)
{
    uint8_t *out = malloc(TURBO_DATAGRAM_MAX);
    size_t length;
    assert(out != NULL);
    while ((length = turbo_client_poll_datagram(s->client, out)) > 0) {
        check_request(s, out, length);
        if (!all)
            break;
    }
    free(out);
}

static void check_opening(struct sandwich *s)
{
    const uint8_t *data;
    struct turbo_tombstone tombstone;
    size_t length = turbo_client_tcp_peek(s->client, &data);
    assert(s->up && length >= SANDWICH_TOMBSTONE_BYTES);
    assert(sandwich_tombstone_decode(&tombstone, data));
    assert(turbo_id_equal(&tombstone.id, &s->config.id));
    s->opened = true;
    s->tcp_from = s->pushed_length - (length - SANDWICH_TOMBSTONE_BYTES);
    if (turbo_client_uses_udp(s->client)) {
        poll(s, true);
        assert(s->end[s->requests] == s->tcp_from); /* no byte is left out */
    }
    s->frozen = s->consumed + turbo_client_peek(s->client, &data);
    assert(s->lied || s->frozen == tombstone.consumed * s->chunk);
}

static void check_tcp(const struct sandwich *s)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(s->client, &data);
    if (s->last != TURBO_CLIENT_OPEN) {
        assert(length == 0);
        return;
    }
    size_t front =
        s->tcp_taken < SANDWICH_TOMBSTONE_BYTES ? SANDWICH_TOMBSTONE_BYTES - s->tcp_taken : 0;
    size_t from = s->tcp_from + (front > 0 ? 0 : s->tcp_taken - SANDWICH_TOMBSTONE_BYTES);
    assert(length == front + s->pushed_length - from);
    assert(length == front || memcmp(data + front, s->pushed + from, length - front) == 0);
}

static void check(struct sandwich *s)
{
    const uint8_t *data;
    enum turbo_client_state state = turbo_client_state(s->client);
    assert(state != TURBO_CLIENT_DIALING);
    assert(s->last < TURBO_CLIENT_OPEN || state == s->last || state == TURBO_CLIENT_FAILED);
    bool opens = state == TURBO_CLIENT_OPEN && s->last != state;
    s->last = state;
    if (opens)
        check_opening(s);
    check_tcp(s);
    size_t n = turbo_client_peek(s->client, &data);
    if (n > 0 && !s->lied)
        assert(memcmp(data, s->s2c + s->consumed, n) == 0);
    if (state == TURBO_CLIENT_OPEN)
        assert(s->consumed + n == s->frozen);
    struct turbo_client_report report = turbo_client_report(s->client);
    if (state == TURBO_CLIENT_FAILED)
        assert(n == 0 && !turbo_client_uses_udp(s->client) &&
               turbo_client_deadline(s->client) == TURBO_NEVER);
    assert(!report.again || (state == TURBO_CLIENT_FAILED && !report.delivered &&
                             s->config.attempt < SANDWICH_RESTARTS_MAX));
}

/* ---- events ---- */

static void tick(struct sandwich *s, turbo_time step)
{
    turbo_time until = s->now + step, deadline;
    while ((deadline = turbo_client_deadline(s->client)) <= until) {
        s->now = deadline > s->now ? deadline : s->now;
        turbo_client_tick(s->client, s->now);
        check(s);
        assert(turbo_client_deadline(s->client) > s->now);
    }
    s->now = until;
}

static void consume(struct sandwich *s, size_t most)
{
    const uint8_t *data;
    size_t n = turbo_client_peek(s->client, &data);
    n = n < most ? n : most;
    turbo_client_consume(s->client, n);
    s->consumed += n;
}

static void tcp_consume(struct sandwich *s, size_t most)
{
    const uint8_t *data;
    size_t n = turbo_client_tcp_peek(s->client, &data);
    n = n < most ? n : most;
    turbo_client_tcp_consume(s->client, n);
    s->tcp_taken += n;
}

static void handle_tcp(struct sandwich *s, enum event event)
{
    if (event == TCP_UP && !s->up && !s->over) {
        s->up = true;
        turbo_client_tcp_up(s->client, s->now);
    } else if (event == TCP_READABLE && s->up && !s->over && s->last != TURBO_CLIENT_OPEN) {
        turbo_client_tcp_readable(s->client, s->now);
    } else if (event == TCP_FAILED && !s->over) {
        s->over = true;
        turbo_client_tcp_failed(s->client, s->now);
    }
}

static void handle(struct sandwich *s, enum event event, struct input *in)
{
    const uint8_t *data;
    size_t length;
    switch (event) {
    case PUSH_HELLO: push_hello(s, input_length(in)); break;
    case PUSH_RECORD: push_record(s, in); break;
    case PUSH_RAW:
        data = input_bytes(in, input_byte(in) & 31, &length);
        push(s, data, length);
        break;
    case RESPONSE:
    case RESPONSE_ANY:
    case RESPONSE_MUTATED: respond(s, event, in); break;
    case DATAGRAM_RAW:
        data = input_bytes(in, input_byte(in), &length);
        give(s, data, length);
        break;
    case POLL: poll(s, (input_byte(in) & 1) != 0); break;
    case CONSUME: consume(s, input_length(in)); break;
    case TCP_CONSUME: tcp_consume(s, input_length(in)); break;
    case TICK: tick(s, input_byte(in) * 20 * TURBO_MILLISECOND); break;
    case TCP_READ:
        if (s->last == TURBO_CLIENT_OPEN && !s->over)
            turbo_client_tcp_read(s->client, s->now, input_length(in));
        break;
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
    struct sandwich *s = calloc(1, sizeof(*s));
    assert(s != NULL);
    s->now = 5 * TURBO_SECOND;
    s->hello = fuzz_hello(input_byte(&in));
    uint8_t options = input_byte(&in);
    make_s2c(s, options);
    turbo_client_config_init(&s->config, check_sha256);
    s->config.dialect = TURBO_DIALECT_SANDWICH;
    s->config.attempt = (options >> 3 & 1) * SANDWICH_RESTARTS_MAX;
    check_fill(s->config.id.bytes, ID_STREAM, 0, SANDWICH_ID_BYTES);
    void *memory = malloc(turbo_client_bytes());
    assert(memory != NULL);
    s->client = turbo_client_init(memory, &s->config, s->now);
    while (in.left > 0) {
        handle(s, input_byte(&in) % EVENTS, &in);
        check(s);
    }
    tick(s, 60 * TURBO_SECOND);
    assert(s->last != TURBO_CLIENT_OPEN || !turbo_client_uses_udp(s->client));
    turbo_client_abort(s->client, s->now);
    check(s);
    free(memory);
    free(s);
    return 0;
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const uint8_t usual[] = {
        7, 0x54, PUSH_HELLO, 255, PUSH_HELLO, 255, POLL, 1, TCP_UP, RESPONSE, RESPONSE, RESPONSE, CONSUME, 255,
        PUSH_RECORD, 0, PUSH_RECORD, 7, POLL, 1, PUSH_RECORD, 15, 200, TCP_CONSUME, 255, RESPONSE, TCP_READ, 100,
        PUSH_RECORD, 15, 255, TCP_CONSUME, 255, PUSH_END};
    static const uint8_t tls_1_2[] = {
        0, 0x22, PUSH_HELLO, 255, PUSH_HELLO, 255, POLL, 1, RESPONSE, RESPONSE, RESPONSE, CONSUME, 255, PUSH_RECORD, 14, 90,
        PUSH_RECORD, 0, PUSH_RECORD, 6, TCP_UP, POLL, 1, TICK, 3, RESPONSE, TICK, 1, TCP_CONSUME, 255, PUSH_RECORD, 15, 60};
    static const uint8_t lost[] = {
        1, 0x14, PUSH_HELLO, 255, PUSH_HELLO, 255, POLL, 1, TCP_UP, RESPONSE_ANY, 1, TICK, 200, POLL, 1, TICK, 200};
    static const uint8_t silent[] = {
        1, 0x1c, PUSH_HELLO, 255, PUSH_HELLO, 255, POLL, 1, TCP_UP, TICK, 200, POLL, 1, TICK, 200, POLL, 1, TICK, 255};
    static const uint8_t padded[] = {
        2, 0x04, PUSH_HELLO, 255, PUSH_HELLO, 255, POLL, 1, TCP_UP, RESPONSE, CONSUME, 255, PUSH_RECORD, 15, 200, POLL, 1,
        TICK, 20, TICK, 20, TCP_CONSUME, 255, TICK, 255, TICK, 255, TICK, 255};
    static const uint8_t lies[] = {
        3, 0x14, PUSH_HELLO, 255, PUSH_HELLO, 255, POLL, 0, RESPONSE_MUTATED, 0, 0, 30, 1, 0, RESPONSE_ANY, 0, CONSUME, 9,
        TCP_UP, PUSH_END, TCP_CONSUME, 255, UNREACHABLE, TCP_FAILED, ABORT};
    /* clang-format on */
    seed_write(usual, sizeof(usual));
    seed_write(tls_1_2, sizeof(tls_1_2));
    seed_write(lost, sizeof(lost));
    seed_write(silent, sizeof(silent));
    seed_write(padded, sizeof(padded));
    seed_write(lies, sizeof(lies));
}
