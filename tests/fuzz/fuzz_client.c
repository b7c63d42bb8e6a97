/*
 * The client end as a list of events, in any order that its header allows. Its peer answers truly,
 * or lies; then only the order of things and the C→S stream are checked.
 */
#include "tests/fuzz/dialed.h"

#include <stdlib.h>

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

enum { APP_STREAM = 5 }; /* check_byte's number for what the app sends behind its ClientHello */

/* ---- events ---- */

static void push(struct dialed *s, const uint8_t *data, size_t length)
{
    size_t room = turbo_client_room(s->client);
    length = length < PUSHED_MAX - s->pushed_length ? length : PUSHED_MAX - s->pushed_length;
    memcpy(s->pushed + s->pushed_length, data, length);
    size_t took = turbo_client_push(s->client, s->now, data, length);
    assert(took == (length < room ? length : room));
    s->pushed_length += took;
}

static void push_next(struct dialed *s, size_t length)
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

static void respond(struct dialed *s, const uint8_t *datagram, size_t length, bool truly)
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

static void respond_somehow(struct dialed *s, enum event event, struct input *in)
{
    uint8_t datagram[TURBO_DATAGRAM_MAX];
    uint32_t k = input_byte(in) % TURBO_CHUNKS_MAX + 1u;
    size_t length = dialed_response(s, k, datagram);
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

static void tick(struct dialed *s, turbo_time step)
{
    turbo_time until = s->now + step, deadline;
    while ((deadline = turbo_client_deadline(s->client)) <= until) {
        s->now = deadline > s->now ? deadline : s->now;
        turbo_client_tick(s->client, s->now);
        dialed_check(s);
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

static void handle_tcp(struct dialed *s, enum event event)
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

static void tcp_consume(struct dialed *s, size_t length)
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

static void poll(struct dialed *s)
{
    uint8_t *out = malloc(TURBO_DATAGRAM_MAX);
    assert(out != NULL);
    size_t length = turbo_client_poll_datagram(s->client, out);
    if (length > 0)
        dialed_check_request(s, out, length);
    free(out);
}

static void handle(struct dialed *s, enum event event, struct input *in)
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
    struct dialed s = {.now = 5 * TURBO_SECOND, .hello = fuzz_hello(input_byte(&in))};
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
        dialed_check(&s);
    }
    tick(&s, TURBO_WAIT_MAX + 1); /* no wait is without an end */
    assert(turbo_client_state(s.client) != TURBO_CLIENT_WAITING);
    free(memory);
    free(s.pushed);
    return 0;
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const uint8_t usual[] = {
        7, 0, PUSH_REST, POLL, POLL, POLL, RESPONSE, 0, CONSUME, 255, RESPONSE, 1, CONSUME, 255,
        TICK, 140, TCP_UP, PUSH_CCS, RESPONSE, 2, CONSUME, 255, PUSH_HELLO, 60, RESPONSE, 3,
        TCP_CONSUME, 255, TCP_CONSUME, 255, CONSUME, 255, PUSH_HELLO, 255, TCP_CONSUME, 9, PUSH_END,
        CONSUME, 255};
    static const uint8_t waits[] = {
        0, 2, PUSH_REST, POLL, POLL, POLL, TCP_UP, TICK, 130, RESPONSE, 1, TICK, 131, RESPONSE, 0,
        CONSUME, 40, TICK, 200, CONSUME, 255, TCP_CONSUME, 3, TCP_CONSUME, 255};
    static const uint8_t refused[] = {
        1, 1, PUSH_HELLO, 200, TCP_UP, PUSH_HELLO, 255, POLL, REFUSED, TCP_CONSUME, 255, RESPONSE, 0};
    static const uint8_t lies[] = {
        2, 0xf2, PUSH_HELLO, 255, POLL, POLL, RESPONSE_MUTATED, 0, 0, 20, 1, RESPONSE, 0, CONSUME, 3,
        TCP_UP, TCP_READABLE, POLL, TICK, 1};
    static const uint8_t aborts[] = {
        3, 0, PUSH_HELLO, 255, POLL, UNREACHABLE, TCP_FAILED, POLL, ABORT, POLL};
    /* clang-format on */
    seed_write(usual, sizeof(usual));
    seed_write(waits, sizeof(waits));
    seed_write(refused, sizeof(refused));
    seed_write(lies, sizeof(lies));
    seed_write(aborts, sizeof(aborts));
}
