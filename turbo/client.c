#include "turbo/client_session.h"

#include <assert.h>
#include <string.h>

#include "turbo/wire.h"

/* ---- set-up ---- */

void turbo_client_config_init(struct turbo_client_config *config, turbo_sha256 *sha256)
{
    *config = (struct turbo_client_config){
        .sha256 = sha256,
        .expected_chunks = TURBO_EXPECTED_CHUNKS,
        .expected_bytes = TURBO_EXPECTED_BYTES,
        .requests_max = TURBO_REQUESTS_UNPROVEN,
    };
}

size_t turbo_client_bytes(void)
{
    return sizeof(struct turbo_client) + OUT_BYTES +
           reassembly_bytes(TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
}

struct turbo_client *turbo_client_init(void *memory, const struct turbo_client_config *config,
                                       turbo_time now)
{
    struct turbo_client *c = memory;
    memset(c, 0, sizeof(*c));
    c->config = *config;
    c->dialed_at = now;
    c->wait_end = TURBO_NEVER;
    c->s2c_limit = SIZE_MAX;
    c->out = (uint8_t *)(c + 1);
    c->out_start = c->out_end = STREAM_START;
    turbo_client_hello_init(&c->hello);
    reassembly_init(&c->s2c, c->out + OUT_BYTES, TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    return c;
}

enum turbo_client_state turbo_client_state(const struct turbo_client *c)
{
    return c->state;
}

/* ---- the app's side ---- */

static bool reading_hello(const struct turbo_client *c)
{
    return c->state == TURBO_CLIENT_HELLO_DIALING || c->state == TURBO_CLIENT_HELLO_UP;
}

static void hello_goes_by_tcp(struct turbo_client *c, enum turbo_outcome outcome,
                              enum turbo_reason reason, turbo_time now)
{
    client_decide(c, outcome, reason);
    client_handle(c, EVENT_HELLO_GOES_BY_TCP, now);
}

static void judge_hello(struct turbo_client *c, turbo_time now)
{
    switch (c->hello.state) {
    case TURBO_HELLO_MORE: break;
    case TURBO_HELLO_NOT_TLS:
        hello_goes_by_tcp(c, TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS, now);
        break;
    case TURBO_HELLO_TOO_LARGE:
        hello_goes_by_tcp(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_HELLO_TOO_LARGE, now);
        break;
    case TURBO_HELLO_COMPLETE:
        if (!request_plan_fits(c->hello.length))
            hello_goes_by_tcp(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_HELLO_TOO_LARGE, now);
        else if (c->state == TURBO_CLIENT_HELLO_UP && !c->config.always)
            hello_goes_by_tcp(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_TCP_FIRST, now);
        else
            client_handle(c, EVENT_HELLO_GOES_BY_UDP, now);
        break;
    }
}

size_t turbo_client_room(const struct turbo_client *c)
{
    return c->state == TURBO_CLIENT_FAILED || c->ended ? 0 : OUT_BYTES - c->out_end;
}

/*
 * Is there more in these bytes than ChangeCipherSpec records? Those mean nothing in TLS 1.3 (RFC
 * 9846 §5), and some clients send one as soon as they have seen the ServerHello, with the rest of
 * the flight still to come: no answer yet (protocol §6.4).
 */
static bool is_answer(struct turbo_client *c, const uint8_t *data, size_t length)
{
    static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1};
    for (size_t i = 0; i < length; i++) {
        if (data[i] != ccs[c->ccs_matched])
            return true;
        c->ccs_matched = (uint8_t)((c->ccs_matched + 1) % sizeof(ccs));
    }
    return false;
}

size_t turbo_client_push(struct turbo_client *c, turbo_time now, const uint8_t *data, size_t length)
{
    size_t room = turbo_client_room(c);
    size_t n = length < room ? length : room;
    if (n == 0)
        return 0;
    memcpy(c->out + c->out_end, data, n);
    c->out_end += n;
    if (reading_hello(c)) {
        turbo_client_hello_push(&c->hello, data, n);
        judge_hello(c, now);
    } else if (c->report.delivered && !c->answered &&
               (c->state == TURBO_CLIENT_ASKING || c->state == TURBO_CLIENT_WAITING) &&
               is_answer(c, data, n)) {
        c->answered = true;
        client_handle(c, EVENT_ANSWER, now);
    }
    return n;
}

void turbo_client_push_end(struct turbo_client *c, turbo_time now)
{
    c->ended = true;
    if (reading_hello(c))
        hello_goes_by_tcp(c,
                          c->out_end == STREAM_START ? TURBO_OUTCOME_OPAQUE : TURBO_OUTCOME_CLASSIC,
                          TURBO_REASON_HELLO_CUT_SHORT, now);
}

void turbo_client_abort(struct turbo_client *c, turbo_time now)
{
    client_handle(c, EVENT_ABORT, now);
}

size_t turbo_client_peek(const struct turbo_client *c, const uint8_t **data)
{
    size_t limit = reassembly_contiguous_bytes(&c->s2c);
    if (limit > c->s2c_limit)
        limit = c->s2c_limit;
    if (c->state == TURBO_CLIENT_FAILED || limit <= c->s2c_consumed)
        return 0;
    *data = c->s2c.buffer + c->s2c_consumed;
    return limit - c->s2c_consumed;
}

void turbo_client_consume(struct turbo_client *c, size_t length)
{
    c->s2c_consumed += length;
    assert(c->s2c_consumed <= reassembly_contiguous_bytes(&c->s2c));
    c->report.delivered |= length > 0;
}

/* ---- UDP ---- */

size_t turbo_client_poll_datagram(struct turbo_client *c, uint8_t out[static TURBO_DATAGRAM_MAX])
{
    struct turbo_datagram datagram = {.id = c->id};
    if (c->abort_due) {
        c->abort_due = false;
        datagram.flags = TURBO_FLAG_ABORT;
        datagram.sequence = (uint32_t)c->plan.hello_chunks + c->plan.requests - c->plan.copies + 1;
        return turbo_datagram_encode(&datagram, out);
    }
    bool asking = c->state == TURBO_CLIENT_ASKING || c->state == TURBO_CLIENT_WAITING;
    if (!asking || c->requests_sent == c->plan.requests)
        return 0;
    struct request request = request_plan_at(&c->plan, c->requests_sent++);
    datagram.sequence = request.sequence;
    datagram.payload = client_stream(c) + request.offset;
    datagram.length = request.length;
    return turbo_datagram_encode(&datagram, out);
}

static void udp_dead(struct turbo_client *c, enum turbo_reason reason, turbo_time now)
{
    if (c->report.responded || !turbo_client_uses_udp(c))
        return;
    client_decide(c, TURBO_OUTCOME_CLASSIC, reason);
    client_handle(c, EVENT_UDP_DEAD, now);
}

bool turbo_client_datagram(struct turbo_client *c, turbo_time now, const uint8_t *data,
                           size_t length)
{
    struct turbo_datagram d;
    if (!c->report.asked || !turbo_response_decode(&d, data, length) ||
        !turbo_id_equal(&d.id, &c->id))
        return false;
    if ((d.flags & TURBO_FLAG_PROFILE1) == 0) {
        udp_dead(c, TURBO_REASON_DRAFT_SERVER, now);
        return true;
    }
    if ((d.flags & TURBO_FLAG_REFUSED) != 0) {
        udp_dead(c, TURBO_REASON_REFUSED, now);
        return true;
    }
    if (!turbo_client_uses_udp(c))
        return true;
    switch (reassembly_push(&c->s2c, d.sequence, d.payload, d.length)) {
    case REASSEMBLY_NEW: break;
    case REASSEMBLY_REPEAT: return true;
    case REASSEMBLY_CONFLICT:
    case REASSEMBLY_BEYOND: return false;
    }
    if (!c->report.responded) {
        c->report.responded = true;
        c->report.first_response_us = now - c->asked_at;
    }
    client_handle(c, EVENT_RESPONSE, now);
    return true;
}

void turbo_client_unreachable(struct turbo_client *c, turbo_time now)
{
    if (!c->report.asked)
        return; /* nothing depends on UDP yet; a request will fail the same way */
    udp_dead(c, TURBO_REASON_UNREACHABLE, now);
}

bool turbo_client_uses_udp(const struct turbo_client *c)
{
    return c->state <= TURBO_CLIENT_WAITING || c->abort_due;
}

/* ---- TCP ---- */

void turbo_client_tcp_up(struct turbo_client *c, turbo_time now)
{
    c->up_at = now;
    c->report.tcp_up_us = now - c->dialed_at;
    bool answered = c->state == TURBO_CLIENT_ASKING && c->answered;
    client_handle(c, answered ? EVENT_TCP_UP_ANSWERED : EVENT_TCP_UP, now);
}

void turbo_client_tcp_readable(struct turbo_client *c, turbo_time now)
{
    client_handle(c, c->report.delivered ? EVENT_TCP_SPOKE_LATE : EVENT_TCP_SPOKE, now);
}

void turbo_client_tcp_failed(struct turbo_client *c, turbo_time now)
{
    client_handle(c, EVENT_TCP_FAILED, now);
}

size_t turbo_client_tcp_peek(const struct turbo_client *c, const uint8_t **data)
{
    if (c->state != TURBO_CLIENT_OPEN)
        return 0;
    *data = c->out + c->out_start;
    return c->out_end - c->out_start;
}

void turbo_client_tcp_consume(struct turbo_client *c, size_t length)
{
    c->out_start += length;
    assert(c->out_start <= c->out_end);
    if (c->out_start == c->out_end) /* all taken: the room is there again */
        c->out_start = c->out_end = STREAM_START;
}

bool turbo_client_settled(const struct turbo_client *c)
{
    const uint8_t *unused;
    return c->state == TURBO_CLIENT_OPEN && c->out_start == c->out_end &&
           turbo_client_peek(c, &unused) == 0;
}

bool turbo_client_ended(const struct turbo_client *c)
{
    return c->ended;
}

/* ---- time, report ---- */

turbo_time turbo_client_deadline(const struct turbo_client *c)
{
    return c->wait_end;
}

void turbo_client_tick(struct turbo_client *c, turbo_time now)
{
    if (c->state == TURBO_CLIENT_WAITING && now >= c->wait_end)
        client_handle(c, EVENT_WAIT_OVER, now);
}

struct turbo_client_report turbo_client_report(const struct turbo_client *c)
{
    return c->report;
}

const struct turbo_client_hello *turbo_client_hello(const struct turbo_client *c)
{
    return &c->hello;
}

size_t turbo_client_unsent(const struct turbo_client *c, const uint8_t **data)
{
    size_t start = c->out_start > STREAM_START ? c->out_start : STREAM_START;
    *data = c->out + start;
    return c->out_end - start;
}
