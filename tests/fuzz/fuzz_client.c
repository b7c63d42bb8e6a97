/*
 * The client end as a list of events, in any order that its header allows, in several connections
 * to one upstream, each configured by what the ones before have taught. The peer answers truly, or
 * lies; then only the order of things and the C→S stream are checked.
 */
#include "tests/fuzz/dialed.h"

#include <stdlib.h>

#include "turbo/learned.h"

enum event {
    PUSH_HELLO, /* bytes of the ClientHello, then the app's */
    PUSH_REST,  /* all of the ClientHello that is left */
    PUSH_RAW,
    PUSH_CCS,
    RESPONSE, /* a true one */
    RESPONSE_MUTATED,
    PARITY,
    PARITY_MUTATED,
    FORGED, /* true, but for another session */
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
    TCP_READ,
    TCP_FAILED,
    UNREACHABLE,
    PUSH_END,
    ABORT,
    NEXT, /* this connection ends, another begins */
    EVENTS
};

enum { CONNECTIONS_MAX = 12 };
enum { APP_STREAM = 5 }; /* check_byte's number for what the app sends behind its ClientHello */

/* ---- events ---- */

static void push(struct dialed *s, const uint8_t *data, size_t length)
{
    size_t room = turbo_client_room(s->client);
    length = length < PUSHED_MAX - s->pushed_length ? length : PUSHED_MAX - s->pushed_length;
    memcpy(s->pushed + s->pushed_length, data, length);
    size_t took = turbo_client_push(s->client, s->now, data, length);
    assert(took == (length < room ? length : room));
    dialed_pushed(s, data, took);
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

static void respond(struct dialed *s, const uint8_t *datagram, size_t length)
{
    bool right = dialed_would_take(s, datagram, length);
    bool udp = turbo_client_uses_udp(s->client);
    uint8_t *copy = malloc(length + (length == 0)); /* a byte read behind it is seen */
    assert(copy != NULL);
    if (length > 0)
        memcpy(copy, datagram, length);
    bool taken = turbo_client_datagram(s->client, s->now, copy, length);
    free(copy);
    assert(taken == right || (s->lied && right));
    if (taken && udp)
        dialed_take(s, datagram, length);
}

static size_t mutate(uint8_t *datagram, size_t length, struct input *in)
{
    size_t at = input_word(in) % (length + 1);
    if (at == length)
        return input_length(in) % (length + 1);
    datagram[at] ^= input_byte(in);
    return length;
}

static void respond_somehow(struct dialed *s, enum event event, struct input *in)
{
    uint8_t datagram[TURBO_DATAGRAM_MAX];
    uint32_t k = input_byte(in) % TURBO_CHUNKS_MAX + 1u;
    bool parity = event == PARITY || event == PARITY_MUTATED;
    size_t length = parity ? dialed_parity(s, k, datagram) : dialed_response(s, k, datagram);
    if (event == DRAFT_RESPONSE)
        datagram[12] = 0;
    if (event == FORGED)
        datagram[k % TURBO_ID_BYTES] ^= 0x10;
    if (event == RESPONSE_MUTATED || event == PARITY_MUTATED)
        length = mutate(datagram, length, in);
    if (event == REFUSED) {
        struct turbo_datagram d = {.id = s->id, .flags = TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED};
        length = turbo_datagram_encode(&d, datagram);
    }
    respond(s, datagram, length);
}

/* Something happened. */
static void look(struct dialed *s)
{
    if (turbo_client_dial_again(s->client)) {
        assert(!s->redialed && !s->up && s->redial_at <= s->now);
        s->redialed = true;
        s->redial_at = TURBO_NEVER;
        if (s->last == TURBO_CLIENT_ASKING && !s->responded)
            s->requests = s->request_bytes = 0; /* once more */
    }
    assert(!turbo_client_dial_again(s->client));
    dialed_check(s);
}

static void tick(struct dialed *s, turbo_time step)
{
    turbo_time until = s->now + step, deadline;
    while ((deadline = turbo_client_deadline(s->client)) <= until) {
        s->now = deadline > s->now ? deadline : s->now;
        turbo_client_tick(s->client, s->now);
        look(s);
        assert(s->last != TURBO_CLIENT_WAITING && turbo_client_deadline(s->client) > s->now);
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
    if (s->tcp_over)
        return;
    if (event == TCP_UP && !s->up) {
        s->up = true;
        s->up_at = s->now;
        s->redial_at = TURBO_NEVER;
        turbo_client_tcp_up(s->client, s->now);
    } else if (event == TCP_READABLE && s->up && before) {
        turbo_client_tcp_readable(s->client, s->now);
    } else if (event == TCP_FAILED) {
        s->tcp_over = true;
        s->redial_at = TURBO_NEVER;
        turbo_client_tcp_failed(s->client, s->now);
    }
}

static void tcp_read(struct dialed *s, size_t length)
{
    if (s->last != TURBO_CLIENT_OPEN || s->tcp_over || s->tcp_ended)
        return;
    s->heard = true;
    s->tcp_ended = length == 0;
    s->tcp_read += length;
    turbo_client_tcp_read(s->client, s->now, length);
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

static void abort_session(struct dialed *s)
{
    s->redial_at = TURBO_NEVER;
    turbo_client_abort(s->client, s->now);
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
    case PARITY:
    case PARITY_MUTATED:
    case FORGED:
    case REFUSED:
    case DRAFT_RESPONSE: respond_somehow(s, event, in); break;
    case DATAGRAM_RAW:
        data = input_bytes(in, input_byte(in), &length);
        respond(s, data, length);
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
    case TCP_READ: tcp_read(s, input_length(in)); break;
    case UNREACHABLE: turbo_client_unreachable(s->client, s->now); break;
    case PUSH_END:
        if (!s->ended)
            turbo_client_push_end(s->client, s->now);
        s->ended = true;
        break;
    case ABORT: abort_session(s); break;
    default: handle_tcp(s, event); break;
    }
}

/* ---- connections ---- */

static void check_config(const struct turbo_client_config *config, const struct turbo_learned *l)
{
    assert(!config->paused || !config->trial);
    assert(config->wait_us == 0 ||
           (config->wait_us >= TURBO_WAIT_MIN && config->wait_us <= TURBO_WAIT_MAX));
    assert(config->requests_max == (l->speaks ? TURBO_REQUESTS_MAX : TURBO_REQUESTS_UNPROVEN));
    assert(config->expected_chunks >= 1 && config->expected_chunks <= TURBO_CHUNKS_MAX);
    assert(config->expected_bytes >= 1);
}

/* The upstream is well known: 20 chunks, 30 ms away, and late by up to 40 ms. */
static void learn_something(struct turbo_learned *l, uint8_t options, turbo_time now)
{
    struct turbo_client_report report = {.outcome = TURBO_OUTCOME_TURBO,
                                         .tcp_up_us = 30 * TURBO_MILLISECOND,
                                         .asked = true,
                                         .responded = true,
                                         .asked_at = now,
                                         .flight_known = true,
                                         .flight_by_udp = (options & 4) != 0,
                                         .flight_chunks = 20,
                                         .flight_bytes = 22000,
                                         .late_known = (options & 4) != 0,
                                         .late_us = (options >> 4) * 2667u};
    if ((options & 2) != 0)
        turbo_learned_note(l, now, &report);
}

static void begin(struct dialed *s, struct turbo_learned *l, uint8_t hello, uint8_t options,
                  turbo_time now)
{
    uint8_t *pushed = s->pushed; /* the one block serves all */
    *s = (struct dialed){.now = now, .dialed_at = now, .hello = fuzz_hello(hello)};
    s->pushed = pushed;
    s->chunk_length = (uint16_t)(TURBO_RESPONSE_PAYLOAD_MAX - (options >> 4) * 78);
    turbo_client_config_init(&s->config, check_sha256);
    turbo_learned_configure(l, now, &s->config);
    check_config(&s->config, l);
    s->config.always = (options & 1) != 0;
    s->redial_at = TURBO_NEVER;
    if (s->config.speaks && s->config.rtt_us != 0)
        s->redial_at =
            now + (s->config.rtt_us / 2 > TURBO_SYN_SLACK ? s->config.rtt_us * 3 / 2
                                                          : s->config.rtt_us + TURBO_SYN_SLACK);
    void *memory = malloc(turbo_client_bytes());
    assert(memory != NULL);
    s->client = turbo_client_init(memory, &s->config, now);
}

static void end(struct dialed *s, struct turbo_learned *l)
{
    tick(s, TURBO_WAIT_MAX + TURBO_MEASURE_TIME); /* no wait is without an end */
    assert(s->last != TURBO_CLIENT_WAITING);
    assert(s->last != TURBO_CLIENT_OPEN || !turbo_client_uses_udp(s->client));
    if (!turbo_client_settled(s->client))
        abort_session(s);
    look(s);
    struct turbo_client_report report = turbo_client_report(s->client);
    dialed_check_report(s, &report);
    turbo_learned_note(l, s->now, &report);
    free(s->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct turbo_learned learned = {0};
    struct dialed s = {.pushed = malloc(PUSHED_MAX)};
    assert(s.pushed != NULL);
    uint8_t hello = input_byte(&in), options = input_byte(&in);
    learn_something(&learned, options, 4 * TURBO_SECOND);
    begin(&s, &learned, hello, options, 5 * TURBO_SECOND);
    for (unsigned connections = 1; in.left > 0;) {
        enum event event = input_byte(&in) % EVENTS;
        if (event != NEXT) {
            handle(&s, event, &in);
            look(&s);
        } else if (connections++ < CONNECTIONS_MAX) {
            turbo_time pause = input_byte(&in) * 3 * TURBO_SECOND;
            end(&s, &learned);
            begin(&s, &learned, hello++, options, s.now + pause);
        }
    }
    end(&s, &learned);
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
    static const uint8_t rebuilt[] = { /* chunk 2 is lost, parity comes; once more, and late */
        1, 0x16, PUSH_REST, POLL, POLL, RESPONSE, 0, CONSUME, 255, RESPONSE, 2, FORGED, 1, PARITY, 2,
        CONSUME, 255, TCP_UP, PUSH_HELLO, 60, PARITY, 3, TCP_CONSUME, 255, TCP_READ, 60, NEXT, 1,
        PUSH_REST, POLL, TICK, 150, TCP_UP, TICK, 255, PARITY, 1, RESPONSE, 0, TCP_READ, 255,
        TCP_CONSUME, 255, PUSH_HELLO, 60, TCP_CONSUME, 255, NEXT, 0};
    static const uint8_t silent[] = { /* until UDP is paused, and the trial after */
        0, 0, PUSH_REST, POLL, TICK, 140, TCP_UP, TICK, 180, TCP_CONSUME, 255, TCP_READ, 255, NEXT, 0,
        PUSH_REST, POLL, TICK, 140, TCP_UP, TICK, 180, TCP_CONSUME, 255, NEXT, 0, PUSH_REST, TICK,
        140, TCP_UP, TCP_CONSUME, 255, NEXT, 11, PUSH_REST, POLL, TCP_UP, TICK, 180, NEXT, 19,
        PUSH_REST, TICK, 140, TCP_UP, NEXT, 9, PUSH_REST, POLL, RESPONSE, 0, CONSUME, 255, TCP_UP,
        PUSH_HELLO, 9, NEXT, 0};
    static const uint8_t syn_lost[] = {
        2, 0x86, PUSH_REST, POLL, POLL, TICK, 180, POLL, POLL, POLL, RESPONSE, 0, TCP_UP, TICK, 200,
        TCP_FAILED, NEXT, 0, PUSH_REST, TICK, 200, NEXT, 250, PUSH_REST, POLL, RESPONSE, 0, TICK, 150};
    static const uint8_t reset[] = { /* behind the tombstone: TCP was heard before, then was not */
        7, 0, PUSH_REST, POLL, RESPONSE, 0, CONSUME, 255, TCP_UP, TICK, 200, TCP_CONSUME, 255, TCP_READ,
        60, TCP_FAILED, NEXT, 0, PUSH_REST, POLL, RESPONSE, 0, CONSUME, 255, TCP_UP, TICK, 200,
        TCP_FAILED, NEXT, 1, PUSH_REST};
    /* clang-format on */
    seed_write(rebuilt, sizeof(rebuilt));
    seed_write(silent, sizeof(silent));
    seed_write(syn_lost, sizeof(syn_lost));
    seed_write(reset, sizeof(reset));
    seed_write(usual, sizeof(usual));
    seed_write(waits, sizeof(waits));
    seed_write(refused, sizeof(refused));
    seed_write(lies, sizeof(lies));
    seed_write(aborts, sizeof(aborts));
}
