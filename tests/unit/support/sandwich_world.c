#include "tests/unit/support/sandwich_world.h"

#include <stdlib.h>

#include "tests/unit/support/sandwich_end.h"
#include "turbo/wire.h"

enum { HEADER = 5 };

/* ---- what is said ---- */

static size_t record(uint8_t *out, uint8_t type, size_t length)
{
    out[0] = type;
    out[1] = out[2] = 3;
    out[3] = (uint8_t)(length >> 8);
    out[4] = (uint8_t)length;
    check_fill(out + HEADER, type, length, length);
    return HEADER + length;
}

/* RFC 9846 §4.2.2, as far as it is looked at. */
static size_t server_hello(uint8_t *out, size_t suite)
{
    enum { LENGTH = 90, SESSION_ID = 38, SUITE = 39 + 32 };
    size_t n = record(out, 22, LENGTH);
    uint8_t *m = out + HEADER;
    memcpy(m, (uint8_t[]){2, 0, 0, LENGTH - 4, 3, 3}, 6);
    m[SESSION_ID] = 32;
    m[SUITE] = (uint8_t)(suite >> 8);
    m[SUITE + 1] = (uint8_t)suite;
    return n;
}

static size_t say(uint8_t *out, const struct line *line)
{
    static struct hello hello;
    switch (line->kind) {
    case LINE_HELLO:
        hello_make(&hello,
                   &(struct hello_spec){.server_name = "example.test", .size = line->length});
        memcpy(out, hello.bytes, hello.length);
        return hello.length;
    case LINE_SERVER_HELLO: return server_hello(out, line->length);
    case LINE_CCS:
        record(out, 20, 1);
        out[HEADER] = 1;
        return HEADER + 1;
    case LINE_HANDSHAKE: return record(out, 22, line->length);
    case LINE_ENCRYPTED:
    case LINE_DATA: return record(out, 23, line->length);
    case LINE_END: break;
    }
    return 0;
}

static bool is_end(const struct line *line)
{
    return line->who == SERVER && line->kind == LINE_HELLO;
}

static unsigned lines_heard(const struct stream_said *s)
{
    unsigned lines = 0;
    while (lines < s->lines && s->line_end[lines] <= s->heard)
        lines++;
    return lines;
}

/* The next line of `who`; NULL: none is due. */
static const struct line *due(struct world *w, enum speaker who)
{
    unsigned seen = 0;
    for (const struct line *line = w->lines; !is_end(line); line++) {
        if (line->who != who || seen++ < w->next_line[who])
            continue;
        return lines_heard(&w->streams[1 - who]) >= line->heard ? line : NULL;
    }
    return NULL;
}

void world_speak(struct world *w, enum speaker who)
{
    struct stream_said *s = &w->streams[who];
    const struct line *line;
    while ((line = due(w, who)) != NULL) {
        w->app_ended |= line->kind == LINE_END;
        s->said += say(s->bytes + s->said, line);
        s->line_end[s->lines++] = s->said;
        w->next_line[who]++;
    }
}

void world_hear(struct world *w, enum speaker from, const uint8_t *data, size_t length)
{
    struct stream_said *s = &w->streams[from];
    assert_true(s->heard + length <= s->said);
    assert_memory_equal(data, s->bytes + s->heard, length);
    s->heard += length;
}

size_t world_said(const struct world *w, enum speaker who, unsigned lines)
{
    return w->streams[who].line_end[lines - 1];
}

/* ---- the network ---- */

static void send(struct world *w, enum packet_kind kind, turbo_time delay, const uint8_t *data,
                 size_t length)
{
    assert_true(w->packet_count < WORLD_PACKETS);
    struct packet *p = &w->packets[w->packet_count++];
    p->kind = kind;
    p->at = w->now + delay;
    p->length = length;
    if (length > 0)
        memcpy(p->bytes, data, length);
}

/* xorshift32. */
static uint32_t chance(struct world *w)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 17;
    w->seed ^= w->seed << 5;
    return w->seed;
}

static bool is_lost(struct world *w, enum speaker from, unsigned index, unsigned copy)
{
    const struct loss *l = &w->loses;
    bool lost = l->last > 0 && from == l->from && index >= l->first && index <= l->last &&
                (l->copies == 0 || copy <= l->copies);
    lost |= w->seed > 0 && chance(w) % 256 < w->lost_of_256[from];
    w->lost[from] += lost;
    return lost;
}

void world_send_datagram(struct world *w, enum speaker from, const uint8_t *data, size_t length)
{
    unsigned index = data[SANDWICH_ID_BYTES];
    assert_true(length >= SANDWICH_HEADER_BYTES && length <= SANDWICH_DATAGRAM_MAX);
    assert_memory_equal(data, w->config.id.bytes, SANDWICH_ID_BYTES);
    unsigned copy = ++w->copies[from][index];
    turbo_time delay = WORLD_DELAY + (w->jitter > 0 ? chance(w) % w->jitter : 0);
    if (!is_lost(w, from, index, copy))
        send(w, from == APP ? TO_SERVER : TO_CLIENT, delay, data, length);
}

void world_send_tcp(struct world *w, enum speaker from, const uint8_t *data, size_t length)
{
    enum { SEGMENT = 1400 };
    for (size_t at = 0; at < length; at += SEGMENT) {
        size_t n = length - at < SEGMENT ? length - at : SEGMENT;
        send(w, from == APP ? TCP_TO_SERVER : TCP_TO_CLIENT, WORLD_DELAY, data + at, n);
    }
}

/* ---- the server ---- */

static void respond(struct world *w)
{
    struct stream_said *s = &w->streams[SERVER];
    uint8_t out[TURBO_DATAGRAM_MAX];
    world_speak(w, SERVER);
    while (w->last < 0 && w->response_end[w->responses] < s->said) {
        size_t left = s->said - w->response_end[w->responses];
        size_t length = left < SANDWICH_PAYLOAD_MAX ? left : SANDWICH_PAYLOAD_MAX;
        w->response_end[w->responses + 1] = w->response_end[w->responses] + length;
        w->responses++;
    }
    while (w->last < 0 && w->responded < w->responses && w->responded < w->in_order) {
        size_t start = w->response_end[w->responded];
        struct turbo_datagram d = {.dialect = TURBO_DIALECT_SANDWICH,
                                   .id = w->config.id,
                                   .sequence = ++w->responded,
                                   .payload = s->bytes + start,
                                   .length = w->response_end[w->responded] - start};
        world_send_datagram(w, SERVER, out, turbo_datagram_encode(&d, out));
    }
    if (w->last >= 0) {
        world_send_tcp(w, SERVER, s->bytes + w->tcp_sent, s->said - w->tcp_sent);
        w->tcp_sent = s->said;
    }
}

/* Its handshake reads UDP alone: what TCP brings before its end waits for it. */
static bool handshakes(const struct world *w)
{
    unsigned lines = 0;
    for (const struct line *line = w->lines; !is_end(line); line++)
        lines += line->who == APP && line->kind != LINE_DATA && line->kind != LINE_END;
    return !w->app_ended && lines_heard(&w->streams[APP]) < lines;
}

static size_t take_tombstone(struct world *w)
{
    struct turbo_tombstone tombstone;
    if (w->held_length < SANDWICH_TOMBSTONE_BYTES)
        return 0;
    assert_true(sandwich_tombstone_decode(&tombstone, w->held));
    assert_true(turbo_id_equal(&tombstone.id, &w->config.id));
    assert_true(tombstone.consumed <= w->responded);
    w->last = (int)tombstone.consumed;
    w->tcp_sent = w->response_end[w->last];
    return SANDWICH_TOMBSTONE_BYTES;
}

static void look_at_tcp(struct world *w)
{
    if (handshakes(w))
        return;
    size_t at = w->last < 0 ? take_tombstone(w) : 0;
    if (w->last >= 0) {
        world_hear(w, APP, w->held + at, w->held_length - at);
        w->held_length = 0;
    }
    respond(w);
}

static void server_datagram(struct world *w, const uint8_t *data, size_t length)
{
    unsigned index = data[SANDWICH_ID_BYTES];
    if (!w->present[index]) {
        w->present[index] = true;
        w->lengths[index] = length - SANDWICH_HEADER_BYTES;
        memcpy(w->payloads[index], data + SANDWICH_HEADER_BYTES, w->lengths[index]);
    }
    assert_int_equal(w->lengths[index], length - SANDWICH_HEADER_BYTES);
    assert_memory_equal(w->payloads[index], data + SANDWICH_HEADER_BYTES, w->lengths[index]);
    while (w->in_order + 1 < WORLD_INDEX && w->present[w->in_order + 1]) {
        w->in_order++;
        if (w->lengths[w->in_order] == 0)
            continue;
        world_hear(w, APP, w->payloads[w->in_order], w->lengths[w->in_order]);
        w->by_udp += w->lengths[w->in_order];
    }
    respond(w);
    look_at_tcp(w);
}

static void server_tcp(struct world *w, const struct packet *p)
{
    memcpy(w->held + w->held_length, p->bytes, p->length);
    w->held_length += p->length;
    look_at_tcp(w);
}

/* ---- the client ---- */

static void write_tcp(struct world *w)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(w->client, &data);
    world_send_tcp(w, APP, data, length);
    if (length > 0)
        turbo_client_tcp_consume(w->client, length);
}

static void send_all(struct world *w)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    size_t length;
    while ((length = turbo_client_poll_datagram(w->client, out)) > 0) {
        w->requests++;
        world_send_datagram(w, APP, out, length);
    }
    write_tcp(w);
}

static bool push(struct world *w)
{
    struct stream_said *s = &w->streams[APP];
    size_t left = s->said - w->app_pushed;
    if (w->push_most > 0 && left > w->push_most)
        left = w->push_most;
    size_t n = turbo_client_push(w->client, w->now, s->bytes + w->app_pushed, left);
    w->app_pushed += n;
    send_all(w);
    return n > 0;
}

static void step(struct world *w)
{
    const uint8_t *data;
    bool more = true;
    while (more && turbo_client_state(w->client) != TURBO_CLIENT_FAILED) {
        bool ended = w->app_ended;
        world_speak(w, APP);
        more = push(w);
        if (w->app_ended && !ended)
            turbo_client_push_end(w->client, w->now);
        size_t n = turbo_client_peek(w->client, &data);
        if (n > 0) {
            world_hear(w, SERVER, data, n);
            turbo_client_consume(w->client, n);
            more = true;
        }
        send_all(w);
    }
}

static void client_tcp(struct world *w, struct packet *p)
{
    const uint8_t *data;
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_OPEN);
    assert_int_equal(turbo_client_peek(w->client, &data), 0); /* UDP's bytes come first */
    world_hear(w, SERVER, p->bytes, p->length);
    turbo_client_tcp_read(w->client, w->now, p->length);
}

/* ---- time ---- */

static void arrive(struct world *w, struct packet *p)
{
    enum packet_kind kind = p->kind;
    p->kind = GONE;
    switch (kind) {
    case TO_SERVER:
        if (w->own != NULL)
            sandwich_end_datagram(w, p->bytes, p->length);
        else
            server_datagram(w, p->bytes, p->length);
        break;
    case TO_CLIENT:
        assert_true(turbo_client_datagram(w->client, w->now, p->bytes, p->length));
        break;
    case TCP_TO_SERVER:
        if (w->own != NULL)
            sandwich_end_tcp(w, p->bytes, p->length);
        else
            server_tcp(w, p);
        break;
    case TCP_ACCEPTED: sandwich_end_accepted(w); break;
    case TCP_TO_CLIENT: client_tcp(w, p); break;
    case TCP_IS_UP: turbo_client_tcp_up(w->client, w->now); break;
    case GONE: break;
    }
    step(w);
}

/* The first of those that arrive first. */
static struct packet *next_packet(struct world *w)
{
    struct packet *first = NULL;
    while (w->packet_count > 0 && w->packets[w->packet_count - 1].kind == GONE)
        w->packet_count--;
    for (unsigned i = 0; i < w->packet_count; i++) {
        struct packet *p = &w->packets[i];
        if (p->kind != GONE && (first == NULL || p->at < first->at))
            first = p;
    }
    return first;
}

void world_run(struct world *w, unsigned milliseconds)
{
    turbo_time until = WORLD_START + milliseconds * TURBO_MILLISECOND;
    for (;;) {
        struct packet *p = next_packet(w);
        turbo_time deadline = turbo_client_deadline(w->client);
        turbo_time own = w->own != NULL ? sandwich_end_deadline(w) : TURBO_NEVER;
        deadline = own < deadline ? own : deadline;
        turbo_time next = p != NULL && p->at <= deadline ? p->at : deadline;
        if (next > until || turbo_client_state(w->client) == TURBO_CLIENT_FAILED)
            break;
        w->now = next > w->now ? next : w->now;
        if (p != NULL && p->at == next) {
            arrive(w, p);
            continue;
        }
        if (own <= w->now)
            sandwich_end_tick(w);
        turbo_client_tick(w->client, w->now);
        assert_true(turbo_client_deadline(w->client) > w->now); /* it does not spin */
        (void)turbo_client_dial_again(w->client);
        step(w);
    }
    w->now = until > w->now ? until : w->now;
}

const struct line world_retried[] = {{APP, 0, LINE_HELLO, 1800},
                                     {SERVER, 1, LINE_SERVER_HELLO, AES_256},
                                     {SERVER, 1, LINE_CCS, 0},
                                     {APP, 2, LINE_CCS, 0},
                                     {APP, 2, LINE_HELLO, 1800},
                                     {SERVER, 3, LINE_SERVER_HELLO, AES_256},
                                     {SERVER, 3, LINE_ENCRYPTED, 16000},
                                     {SERVER, 3, LINE_ENCRYPTED, 4000},
                                     {APP, 5, LINE_ENCRYPTED, 5000},
                                     {APP, 5, LINE_ENCRYPTED, 281},
                                     {APP, 5, LINE_ENCRYPTED, FINISHED_384},
                                     {APP, 5, LINE_DATA, 100},
                                     {SERVER, 6, LINE_DATA, 239},
                                     {SERVER, 7, LINE_DATA, 16384},
                                     {APP, 7, LINE_DATA, 16384},
                                     {SERVER, 8, LINE_DATA, 50},
                                     END};

struct world *world_new(const struct line *lines)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->lines = lines;
    w->now = WORLD_START;
    w->last = -1;
    w->tcp_delay = 2 * WORLD_DELAY;
    turbo_client_config_init(&w->config, check_sha256);
    w->config.dialect = TURBO_DIALECT_SANDWICH;
    check_fill(w->config.id.bytes, 1, 0, SANDWICH_ID_BYTES);
    w->memory = malloc(turbo_client_bytes());
    assert_non_null(w->memory);
    memset(w->memory, 0xa5, turbo_client_bytes());
    return w;
}

void world_begin(struct world *w)
{
    w->client = turbo_client_init(w->memory, &w->config, w->now);
    if (w->tcp_delay != TURBO_NEVER)
        send(w, TCP_IS_UP, w->tcp_delay, NULL, 0);
    if (w->own != NULL && w->tcp_delay != TURBO_NEVER)
        send(w, TCP_ACCEPTED, w->tcp_delay - WORLD_DELAY, NULL, 0);
    step(w);
}

void world_draw(struct world *w, uint32_t seed, unsigned requests, unsigned responses)
{
    w->seed = seed * 2654435761u | 1;
    w->lost_of_256[APP] = requests;
    w->lost_of_256[SERVER] = responses;
    w->jitter = seed % 3 * 8 * TURBO_MILLISECOND;
    w->push_most = seed % 7 * 300;
    w->config.attempt = responses == 0 ? SANDWICH_RESTARTS_MAX : 0; /* else it would begin anew */
}

void world_free(struct world *w)
{
    free(w->memory);
    free(w);
}

void world_assert_done(struct world *w)
{
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_OPEN);
    assert_null(due(w, APP));
    assert_null(due(w, SERVER));
    assert_int_equal(w->streams[APP].heard, w->streams[APP].said);
    assert_int_equal(w->streams[SERVER].heard, w->streams[SERVER].said);
    for (const struct line *line = w->lines; !is_end(line); line++)
        if (line->who == SERVER)
            assert_true(w->streams[SERVER].lines > 0);
}

void world_assert_outcome(const struct world *w, enum turbo_client_state state,
                          enum turbo_outcome outcome, enum turbo_reason reason)
{
    struct turbo_client_report report = turbo_client_report(w->client);
    assert_string_equal(turbo_reason_text(report.reason), turbo_reason_text(reason));
    assert_string_equal(turbo_outcome_text(report.outcome), turbo_outcome_text(outcome));
    assert_int_equal(turbo_client_state(w->client), state);
}

void world_assert_turbo(struct world *w)
{
    world_assert_outcome(w, TURBO_CLIENT_OPEN, TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    world_assert_done(w);
    assert_true(turbo_client_settled(w->client));
}
