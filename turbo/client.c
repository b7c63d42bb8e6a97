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
    return sizeof(struct turbo_client) + OUT_ROOM +
           reassembly_bytes(TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
}

/* Half a round trip, but on a short path more than a busy machine takes to notice. */
static turbo_time syn_slack(turbo_time rtt)
{
    return rtt / 2 > TURBO_SYN_SLACK ? rtt / 2 : TURBO_SYN_SLACK;
}

struct turbo_client *turbo_client_init(void *memory, const struct turbo_client_config *config,
                                       turbo_time now)
{
    struct turbo_client *c = memory;
    memset(c, 0, sizeof(*c));
    c->config = *config;
    c->dialed_at = now;
    c->report.trial = config->trial;
    c->report.dialect = config->dialect;
    c->wait_end = c->measure_end = c->redial_at = TURBO_NEVER;
    if (config->speaks && config->rtt_us != 0)
        c->redial_at = now + config->rtt_us + syn_slack(config->rtt_us);
    c->s2c_limit = SIZE_MAX;
    c->out = (uint8_t *)(c + 1);
    c->out_start = c->out_end = STREAM_START;
    turbo_client_hello_init(&c->hello);
    reassembly_init(&c->s2c, c->out + OUT_ROOM, TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    sandwich_client_init(c);
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
    if (client_is_sandwich(c)) {
        sandwich_client_fail(c, reason, now);
        return;
    }
    client_decide(c, outcome, reason);
    client_handle(c, EVENT_HELLO_GOES_BY_TCP, now);
}

static void judge_sandwich_hello(struct turbo_client *c, turbo_time now)
{
    if (!sandwich_client_fits(c->hello.length))
        sandwich_client_fail(c, TURBO_REASON_HELLO_TOO_LARGE, now);
    else if (c->hello.early_data)
        sandwich_client_fail(c, TURBO_REASON_EARLY_DATA, now);
    else
        client_handle(c, EVENT_HELLO_GOES_BY_UDP, now);
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
        if (client_is_sandwich(c))
            judge_sandwich_hello(c, now);
        else if (!request_plan_fits(c->hello.length))
            hello_goes_by_tcp(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_HELLO_TOO_LARGE, now);
        else if (c->config.unknown)
            hello_goes_by_tcp(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_NOT_KNOWN, now);
        else if (c->config.paused)
            hello_goes_by_tcp(
                c, TURBO_OUTCOME_CLASSIC,
                c->config.elsewhere ? TURBO_REASON_UDP_ELSEWHERE : TURBO_REASON_UDP_PAUSED, now);
        else if (c->state == TURBO_CLIENT_HELLO_UP && !c->config.always)
            hello_goes_by_tcp(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_TCP_FIRST, now);
        else
            client_handle(c, EVENT_HELLO_GOES_BY_UDP, now);
        break;
    }
}

size_t turbo_client_room(const struct turbo_client *c)
{
    bool full = c->out_end >= OUT_BYTES; /* more than that with a tombstone amid it */
    return c->state == TURBO_CLIENT_FAILED || c->ended || full ? 0 : OUT_BYTES - c->out_end;
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

/* Is the app still to answer its first flight, and would it matter? */
static bool awaits_answer(const struct turbo_client *c)
{
    if (c->answered || client_is_sandwich(c))
        return false;
    if (client_measuring(c))
        return c->report.delivered || c->tcp_bytes > 0;
    return c->report.delivered &&
           (c->state == TURBO_CLIENT_ASKING || c->state == TURBO_CLIENT_WAITING);
}

static void app_answers(struct turbo_client *c, turbo_time now)
{
    c->answered = true;
    c->answered_bytes = c->s2c_consumed + c->tcp_bytes;
    if (client_measuring(c))
        client_measure_answer(c);
    else
        client_handle(c, EVENT_ANSWER, now);
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
    } else if (awaits_answer(c) && is_answer(c, data, n)) {
        app_answers(c, now);
    }
    if (client_is_sandwich(c))
        sandwich_client_look(c, now);
    return n;
}

void turbo_client_push_end(struct turbo_client *c, turbo_time now)
{
    c->ended = true;
    if (client_is_sandwich(c))
        sandwich_client_ended(c, now);
    else
        client_measure_stop(c);
    if (reading_hello(c))
        hello_goes_by_tcp(c,
                          c->out_end == STREAM_START ? TURBO_OUTCOME_OPAQUE : TURBO_OUTCOME_CLASSIC,
                          TURBO_REASON_HELLO_CUT_SHORT, now);
}

void turbo_client_abort(struct turbo_client *c, turbo_time now)
{
    client_measure_stop(c);
    c->redial_at = TURBO_NEVER;
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
    if (client_is_sandwich(c))
        return sandwich_client_poll(c, out);
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
    client_measure_stop(c);
    if (client_is_sandwich(c)) {
        sandwich_client_fail(c, reason, now);
        return;
    }
    client_decide(c, TURBO_OUTCOME_CLASSIC, reason);
    client_handle(c, EVENT_UDP_DEAD, now);
}

static enum reassembly_result take_parity(struct turbo_client *c, const struct turbo_datagram *d)
{
    struct parity *p = &c->parity;
    if (p->covered != 0) {
        bool same = p->covered == d->sequence && p->length == d->length &&
                    memcmp(p->payload, d->payload, d->length) == 0;
        return same ? REASSEMBLY_REPEAT : REASSEMBLY_CONFLICT;
    }
    p->covered = d->sequence;
    p->length = (uint16_t)d->length;
    memcpy(p->payload, d->payload, d->length);
    return REASSEMBLY_NEW;
}

/* False: it contradicts what came before. */
static bool take_response(struct turbo_client *c, turbo_time now, const struct turbo_datagram *d)
{
    enum reassembly_result result =
        (d->flags & TURBO_FLAG_PARITY) != 0
            ? take_parity(c, d)
            : reassembly_push(&c->s2c, d->sequence, d->payload, d->length);
    if (result != REASSEMBLY_NEW)
        return result == REASSEMBLY_REPEAT;
    c->report.rebuilt |= parity_rebuild(&c->parity, &c->s2c);
    c->taken_at = now;
    if (!c->report.responded) {
        c->report.responded = true;
        c->report.first_response_us = now - c->report.asked_at;
    }
    client_handle(c, EVENT_RESPONSE, now);
    return true;
}

bool turbo_client_datagram(struct turbo_client *c, turbo_time now, const uint8_t *data,
                           size_t length)
{
    struct turbo_datagram d;
    if (client_is_sandwich(c))
        return sandwich_client_datagram(c, now, data, length);
    if (!c->report.asked || !turbo_response_decode(&d, data, length) ||
        !turbo_id_equal(&d.id, &c->id))
        return false;
    if ((d.flags & TURBO_FLAG_PROFILE1) == 0) {
        c->report.draft |= !c->report.responded;
        udp_dead(c, TURBO_REASON_DRAFT_SERVER, now);
        return true;
    }
    if ((d.flags & TURBO_FLAG_REFUSED) != 0) {
        c->report.refused |= !c->report.responded;
        udp_dead(c, TURBO_REASON_REFUSED, now);
        return true;
    }
    return !turbo_client_uses_udp(c) || take_response(c, now, &d);
}

void turbo_client_unreachable(struct turbo_client *c, turbo_time now)
{
    if (!c->report.asked)
        return; /* nothing depends on UDP yet; a request will fail the same way */
    udp_dead(c, TURBO_REASON_UNREACHABLE, now);
}

bool turbo_client_uses_udp(const struct turbo_client *c)
{
    bool may = !c->config.paused && !c->config.unknown;
    return (c->state <= TURBO_CLIENT_WAITING && may) || c->abort_due || client_measuring(c);
}

/* ---- TCP ---- */

bool turbo_client_dial_again(struct turbo_client *c)
{
    bool due = c->redial_due;
    c->redial_due = false;
    return due;
}

void turbo_client_tcp_up(struct turbo_client *c, turbo_time now)
{
    c->up_at = now;
    c->redial_at = TURBO_NEVER;
    c->redial_due = false;
    c->report.tcp_up_us = now - c->dialed_at;
    bool answered = c->state == TURBO_CLIENT_ASKING && c->answered;
    client_handle(c, answered ? EVENT_TCP_UP_ANSWERED : EVENT_TCP_UP, now);
    if (client_is_sandwich(c))
        sandwich_client_look(c, now);
}

/* What UDP has brought, the host that TCP reaches knows nothing of (protocol §6.9d). */
static void part(struct turbo_client *c)
{
    c->report.unheard = true;
    if (c->report.tcp_up_us == 0)
        return; /* it could not be connected to, which is said as ever */
    c->report.outcome = TURBO_OUTCOME_FAILED;
    c->report.reason = TURBO_REASON_UDP_ELSEWHERE;
}

void turbo_client_tcp_readable(struct turbo_client *c, turbo_time now)
{
    if (client_is_sandwich(c) && c->state != TURBO_CLIENT_OPEN)
        sandwich_client_fail(
            c, reading_hello(c) ? TURBO_REASON_SERVER_FIRST : TURBO_REASON_SERVER_ENDED, now);
    else if (!c->report.delivered)
        client_handle(c, EVENT_TCP_SPOKE, now);
    else {
        if (c->state == TURBO_CLIENT_WAITING)
            part(c);
        client_handle(c, EVENT_TCP_SPOKE_LATE, now);
    }
}

void turbo_client_tcp_failed(struct turbo_client *c, turbo_time now)
{
    bool tombstone =
        c->report.outcome == TURBO_OUTCOME_TURBO || c->report.outcome == TURBO_OUTCOME_RESUMED;
    bool early = (c->state == TURBO_CLIENT_ASKING || c->state == TURBO_CLIENT_WAITING) &&
                 c->report.responded;
    if (early || (client_measuring(c) && tombstone && !c->heard))
        part(c);
    client_measure_stop(c);
    c->redial_at = TURBO_NEVER;
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
    c->tcp_taken += length;
    if (c->answered && c->tcp_taken > TURBO_STREAM_KEPT_MAX && !client_is_sandwich(c))
        client_measure_stop(c);     /* an upload: it is TCP's alone the sooner the better */
    if (c->out_start == c->out_end) /* all taken: the room is there again */
        c->out_start = c->out_end = STREAM_START + sandwich_client_kept(c);
}

bool turbo_client_settled(const struct turbo_client *c)
{
    const uint8_t *unused;
    return c->state == TURBO_CLIENT_OPEN && c->out_start == c->out_end && !client_measuring(c) &&
           turbo_client_peek(c, &unused) == 0;
}

bool turbo_client_ended(const struct turbo_client *c)
{
    return c->ended;
}

/* ---- time, report ---- */

turbo_time turbo_client_deadline(const struct turbo_client *c)
{
    turbo_time first = c->wait_end < c->redial_at ? c->wait_end : c->redial_at;
    first = first < c->measure_end ? first : c->measure_end;
    turbo_time sandwich = sandwich_client_deadline(c);
    return first < sandwich ? first : sandwich;
}

void turbo_client_tick(struct turbo_client *c, turbo_time now)
{
    if (now >= c->redial_at)
        client_handle(c, EVENT_SYN_LATE, now);
    if (client_is_sandwich(c))
        sandwich_client_tick(c, now);
    if (c->state == TURBO_CLIENT_WAITING && now >= c->wait_end)
        client_handle(c, EVENT_WAIT_OVER, now);
    if (now >= c->measure_end)
        client_measure_stop(c);
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
