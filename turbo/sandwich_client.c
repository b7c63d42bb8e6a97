#include "turbo/client_session.h"
#include "turbo/wire.h"

enum { RECORD_HEADER = 5, RECORD_LENGTH_AT = 3 };

/* An interval is not doubled more often: behind the tombstone the server end does not wait for
 * long. */
enum { DOUBLINGS_MAX = 6, DOUBLINGS_MAX_OPEN = 2 };

static turbo_time earlier(turbo_time a, turbo_time b)
{
    return a < b ? a : b;
}

static turbo_time later(turbo_time a, turbo_time b)
{
    return a > b ? a : b;
}

static bool handshaking(const struct turbo_client *c)
{
    return c->state == TURBO_CLIENT_ASKING || c->state == TURBO_CLIENT_WAITING;
}

/* 0: not known. */
static turbo_time round_trip(const struct turbo_client *c)
{
    return c->report.tcp_up_us > 0 ? c->report.tcp_up_us : c->config.rtt_us;
}

void sandwich_client_init(struct turbo_client *c)
{
    c->sandwich.repeat_at = c->sandwich.hole_at = TURBO_NEVER;
    if (!client_is_sandwich(c))
        return;
    c->config.paused = c->config.unknown = false; /* there is no other way */
    c->s2c_limit = 0;
}

bool sandwich_client_fits(size_t hello_bytes)
{
    return hello_bytes <= (size_t)SANDWICH_FIRST_FLIGHT * SANDWICH_PAYLOAD_MAX;
}

void sandwich_client_fail(struct turbo_client *c, enum turbo_reason reason, turbo_time now)
{
    c->wait_end = c->redial_at = TURBO_NEVER;
    client_decide(c, TURBO_OUTCOME_FAILED, reason);
    client_handle(c, EVENT_HOPELESS, now);
}

/* A response will not come any more, or none will. Another session may have more luck, as long as
 * the app knows nothing of this one. */
static void fail_as_lost(struct turbo_client *c, enum turbo_reason reason, turbo_time now)
{
    c->report.again = !c->report.delivered && c->config.attempt < SANDWICH_RESTARTS_MAX;
    sandwich_client_fail(c, reason, now);
}

/* ---- intervals ---- */

static turbo_time repeat_time(const struct turbo_client *c)
{
    unsigned most = c->state == TURBO_CLIENT_OPEN ? DOUBLINGS_MAX_OPEN : DOUBLINGS_MAX;
    unsigned doublings = c->sandwich.stalls < most ? c->sandwich.stalls : most;
    return later(2 * round_trip(c), SANDWICH_REPEAT_MIN) << doublings;
}

/* Something has happened. */
static void moved(struct turbo_client *c, turbo_time now)
{
    struct sandwich_client *s = &c->sandwich;
    s->stalls = 0;
    s->moved_at = now;
    s->repeat_at = now + repeat_time(c);
}

static turbo_time hole_time(const struct turbo_client *c)
{
    return later(3 * round_trip(c) / 2, SANDWICH_HOLE_MIN);
}

static bool has_hole(const struct turbo_client *c)
{
    return reassembly_has_gap(&c->s2c);
}

/* ---- C→S ---- */

/* The offset behind the whole records among `length` bytes; a record begins at `from`. */
static size_t whole_records(const uint8_t *stream, size_t from, size_t length)
{
    while (length - from >= RECORD_HEADER) {
        const uint8_t *payload_length = stream + from + RECORD_LENGTH_AT;
        size_t record = RECORD_HEADER + (size_t)(payload_length[0] << 8 | payload_length[1]);
        if (record > length - from)
            break;
        from += record;
    }
    return from;
}

static size_t pushed_bytes(const struct turbo_client *c)
{
    return c->out_end - STREAM_START;
}

/* The last flight was so large: the next one may be. */
static uint32_t first_flight(const struct turbo_client *c)
{
    uint32_t wanted = c->config.expected_chunks + SANDWICH_SPARE;
    if (wanted > TURBO_CHUNKS_MAX / 2)
        wanted = TURBO_CHUNKS_MAX / 2; /* the rest is for the client's own flights */
    return wanted > SANDWICH_FIRST_FLIGHT ? wanted : SANDWICH_FIRST_FLIGHT;
}

/* A session of profile 1 has zeros there. */
static struct turbo_id usable_id(struct turbo_id id)
{
    uint8_t any = 0;
    for (size_t i = TURBO_ID_BYTES; i < SANDWICH_ID_BYTES; i++)
        any |= id.bytes[i];
    if (any == 0)
        id.bytes[SANDWICH_ID_BYTES - 1] = 1;
    return id;
}

void sandwich_client_ask(struct turbo_client *c, turbo_time now)
{
    struct sandwich_client *s = &c->sandwich;
    c->id = usable_id(c->config.id);
    sandwich_requests_carry(&s->requests, c->hello.length); /* it fits */
    sandwich_requests_pad(&s->requests, first_flight(c));
    moved(c, now);
}

/* Permits for more responses, before the server end runs out of them. */
static void give_credit(struct turbo_client *c, bool stalled)
{
    struct sandwich_client *s = &c->sandwich;
    uint32_t highest = reassembly_highest(&c->s2c);
    if (stalled || highest + SANDWICH_SPARE > s->requests.count)
        sandwich_requests_pad(&s->requests, highest + SANDWICH_FIRST_FLIGHT);
}

/* The client's handshake has ended where it was read up to. */
static void end_handshake(struct turbo_client *c)
{
    struct turbo_client_report *r = &c->report;
    c->sandwich.over = true;
    r->flight_known = r->flight_by_udp = true;
    r->flight_chunks = c->s2c.contiguous;
    r->flight_bytes = (uint32_t)reassembly_contiguous_bytes(&c->s2c);
}

/* What the app has said since: how much of it is its handshake? */
static void read_app(struct turbo_client *c)
{
    struct sandwich_client *s = &c->sandwich;
    if (s->over)
        return;
    const uint8_t *new = client_stream(c) + s->carried;
    s->carried += client_flight_client(&s->flight, new, pushed_bytes(c) - s->carried);
    if (s->flight.complete)
        end_handshake(c);
}

/* Whole records leave, and what is cut short by the app's end. False: they are too many. */
static bool carry_app(struct turbo_client *c, turbo_time now)
{
    struct sandwich_client *s = &c->sandwich;
    s->c2s_whole = whole_records(client_stream(c), s->c2s_whole, s->carried);
    size_t end = s->over || c->ended ? s->carried : s->c2s_whole;
    if (!s->over && c->out_end == OUT_BYTES)
        return false;
    if (end <= sandwich_requests_end(&s->requests))
        return true;
    s->reacted = false;
    moved(c, now);
    return sandwich_requests_carry(&s->requests, end);
}

/* ---- the end of it ---- */

/* Tickets may be on their way, or TLS 1.2's last word: where nothing waits for TCP, they may come.
 */
static turbo_time ticket_time(const struct turbo_client *c)
{
    return c->sandwich.reacted ? TURBO_WAIT_MIN : 3 * round_trip(c) / 2 + TURBO_WAIT_MIN;
}

/* The app has something for TCP; or its end, and then it will not end its handshake either. */
static bool wants_tcp(const struct turbo_client *c)
{
    const struct sandwich_client *s = &c->sandwich;
    if (!s->over)
        return c->ended && c->report.responded;
    return c->ended || pushed_bytes(c) > s->carried;
}

static void look_for_end(struct turbo_client *c, turbo_time now)
{
    if (!handshaking(c) || c->answered)
        return;
    if (wants_tcp(c)) {
        c->answered = true;
        client_handle(c, EVENT_ANSWER, now);
    } else if (c->sandwich.over && c->state == TURBO_CLIENT_WAITING) {
        c->wait_end = earlier(c->wait_end, now + ticket_time(c));
    }
}

void sandwich_client_look(struct turbo_client *c, turbo_time now)
{
    if (!handshaking(c))
        return;
    read_app(c);
    if (carry_app(c, now))
        look_for_end(c, now);
    else
        sandwich_client_fail(c, TURBO_REASON_FLIGHT_TOO_LARGE, now);
}

/* Its end goes behind what is repeated: not too late. */
void sandwich_client_ended(struct turbo_client *c, turbo_time now)
{
    if (client_measuring(c))
        c->measure_end = earlier(c->measure_end, now + TURBO_MEASURE_TIME);
    sandwich_client_look(c, now);
}

size_t sandwich_client_kept(const struct turbo_client *c)
{
    return client_is_sandwich(c) && client_measuring(c) ? c->sandwich.carried : 0;
}

/* The handshake stays in front of it. */
void sandwich_client_open(struct turbo_client *c, turbo_time now)
{
    struct sandwich_client *s = &c->sandwich;
    struct turbo_tombstone tombstone = {
        .dialect = TURBO_DIALECT_SANDWICH, .id = c->id, .consumed = c->s2c.contiguous};
    uint8_t *rest = c->out + STREAM_START + s->carried;
    memmove(rest + SANDWICH_TOMBSTONE_BYTES, rest, pushed_bytes(c) - s->carried);
    sandwich_tombstone_encode(&tombstone, rest);
    c->out_start = STREAM_START + s->carried;
    c->out_end += SANDWICH_TOMBSTONE_BYTES;
    s->hole_at = TURBO_NEVER;
    client_decide(c, s->over ? TURBO_OUTCOME_TURBO : TURBO_OUTCOME_RESUMED, TURBO_REASON_NONE);
    if (!s->over || !s->reacted)
        c->measure_end = now + (c->ended ? TURBO_MEASURE_TIME : SANDWICH_REPEAT_TIME);
}

/* ---- UDP ---- */

size_t sandwich_client_poll(struct turbo_client *c, uint8_t out[static TURBO_DATAGRAM_MAX])
{
    struct request request;
    if ((!handshaking(c) && !client_measuring(c)) ||
        !sandwich_requests_next(&c->sandwich.requests, &request))
        return 0;
    struct turbo_datagram datagram = {.dialect = TURBO_DIALECT_SANDWICH,
                                      .id = c->id,
                                      .sequence = request.sequence,
                                      .payload = client_stream(c) + request.offset,
                                      .length = request.length};
    return turbo_datagram_encode(&datagram, out);
}

/* Behind the client's handshake it says that all of it has come: the server end had nothing to say
 * before. Else it says nothing of the requests: not every server end waits for one for each. */
static void acknowledge(struct turbo_client *c)
{
    struct sandwich_client *s = &c->sandwich;
    s->reacted = true;
    if (!s->over)
        return;
    sandwich_requests_acknowledge(&s->requests);
    if (c->state == TURBO_CLIENT_OPEN)
        client_measure_stop(c); /* nothing is to be repeated any more */
}

/* Bytes that are in order since the last response. */
static void read_server(struct turbo_client *c, size_t before)
{
    struct sandwich_client *s = &c->sandwich;
    size_t length = reassembly_contiguous_bytes(&c->s2c);
    client_flight_server(&s->flight, c->s2c.buffer + before, length - before);
    if (s->flight.complete && !s->over)
        end_handshake(c);
    s->s2c_whole = whole_records(c->s2c.buffer, s->s2c_whole, length);
    if (handshaking(c) && !has_hole(c) && s->s2c_whole == length)
        c->s2c_limit = length;
}

static void look_for_hole(struct turbo_client *c, turbo_time now, bool filled)
{
    struct sandwich_client *s = &c->sandwich;
    if (!has_hole(c) || s->over || !handshaking(c))
        s->hole_at = TURBO_NEVER;
    else if (filled || s->hole_at == TURBO_NEVER)
        s->hole_at = now + hole_time(c);
}

/* False: it contradicts what came before. */
static bool take_response(struct turbo_client *c, turbo_time now, const struct turbo_datagram *d)
{
    size_t before = reassembly_contiguous_bytes(&c->s2c);
    enum reassembly_result result = reassembly_push(&c->s2c, d->sequence, d->payload, d->length);
    if (result != REASSEMBLY_NEW)
        return result == REASSEMBLY_REPEAT;
    c->taken_at = now;
    if (!c->report.responded) {
        c->report.responded = true;
        c->report.first_response_us = now - c->report.asked_at;
    }
    moved(c, now);
    read_server(c, before);
    acknowledge(c);
    give_credit(c, false);
    look_for_hole(c, now, reassembly_contiguous_bytes(&c->s2c) > before);
    client_handle(c, EVENT_RESPONSE, now);
    sandwich_client_look(c, now);
    return true;
}

bool sandwich_client_datagram(struct turbo_client *c, turbo_time now, const uint8_t *data,
                              size_t length)
{
    struct turbo_datagram d;
    if (!c->report.asked || !sandwich_response_decode(&d, data, length) ||
        !turbo_id_equal(&d.id, &c->id))
        return false;
    if (!turbo_client_uses_udp(c))
        return true;
    if (d.sequence <= TURBO_CHUNKS_MAX)
        return take_response(c, now, &d);
    if (handshaking(c))
        sandwich_client_fail(c, TURBO_REASON_FLIGHT_TOO_LARGE, now);
    return true;
}

/* ---- stalls ---- */

/* Is it the server end that has something to say? Else the app may be thinking. Without TCP it is
 * TCP that is waited for. */
static bool awaits_server(const struct turbo_client *c)
{
    const struct sandwich_client *s = &c->sandwich;
    if (c->state != TURBO_CLIENT_WAITING || s->over)
        return false;
    return !s->reacted || reassembly_contiguous_bytes(&c->s2c) > s->s2c_whole;
}

/* A request was repeated to no avail: it was the response that was lost. More often in the second
 * attempt: what seemed lost may have been slow. */
static bool is_lost(const struct turbo_client *c)
{
    return c->sandwich.stalls > SANDWICH_REPEATS << c->config.attempt && !c->report.delivered &&
           c->config.attempt < SANDWICH_RESTARTS_MAX;
}

static void fail_as_silent(struct turbo_client *c, turbo_time now)
{
    if (!c->report.responded)
        fail_as_lost(c, TURBO_REASON_NO_RESPONSE, now);
    else if (c->s2c.contiguous == TURBO_CHUNKS_MAX)
        sandwich_client_fail(c, TURBO_REASON_FLIGHT_TOO_LARGE, now);
    else
        fail_as_lost(c, TURBO_REASON_DATAGRAM_LOST, now);
}

/* The last bytes of a client that does not end its handshake as others do, and no ticket tells. */
static void assume_end(struct turbo_client *c)
{
    struct sandwich_client *s = &c->sandwich;
    if (!s->over && s->flight.encrypted && s->c2s_whole == s->carried)
        end_handshake(c);
}

static void stalled(struct turbo_client *c, turbo_time now)
{
    struct sandwich_client *s = &c->sandwich;
    bool too_long = now - s->moved_at >= SANDWICH_SILENCE_TIME;
    s->stalls++;
    s->repeat_at = now + repeat_time(c);
    assume_end(c);
    if (awaits_server(c) && (is_lost(c) || too_long)) {
        fail_as_silent(c, now);
        return;
    }
    if (too_long && c->state == TURBO_CLIENT_WAITING)
        s->repeat_at = TURBO_NEVER; /* the app is thinking */
    sandwich_requests_repeat(&s->requests);
    if (c->report.responded)
        give_credit(c, true);
    look_for_end(c, now);
}

/* ---- time ---- */

turbo_time sandwich_client_deadline(const struct turbo_client *c)
{
    const struct sandwich_client *s = &c->sandwich;
    if (!handshaking(c) && !client_measuring(c))
        return TURBO_NEVER;
    return earlier(s->repeat_at, s->hole_at);
}

void sandwich_client_tick(struct turbo_client *c, turbo_time now)
{
    if (now < sandwich_client_deadline(c))
        return;
    if (now >= c->sandwich.hole_at)
        fail_as_lost(c, TURBO_REASON_DATAGRAM_LOST, now);
    else
        stalled(c, now);
}
