#include "turbo/client.h"

#include <assert.h>
#include <string.h>

#include "turbo/chunks.h"
#include "turbo/reassembly.h"
#include "turbo/wire.h"

struct turbo_client {
    struct turbo_client_config config;
    enum turbo_client_state state;
    struct turbo_client_report report;
    turbo_time dialed_at; /* the SYN left */
    turbo_time up_at;     /* TCP was up */
    turbo_time asked_at;  /* the first request left */
    turbo_time wait_end;  /* open anyway at this time (protocol §6.5) */

    struct turbo_client_hello hello;
    struct turbo_id id;
    struct request_plan plan;
    uint8_t requests_sent;
    bool abort_due;      /* an ABORT datagram is to be sent */
    uint8_t ccs_matched; /* bytes of a ChangeCipherSpec record the app may be sending */
    bool answered;       /* the app sent bytes after it was given some */
    bool ended;          /* the app's FIN */

    struct reassembly s2c;
    size_t s2c_limit; /* bytes to deliver from UDP; fixed by the opening */
    size_t s2c_consumed;

    /* C→S bytes, with room in front for a tombstone: the opening is one piece of memory. */
    uint8_t *out;
    size_t out_start, out_end; /* what TCP has not taken yet; the stream starts at STREAM_START */
};

enum { STREAM_START = TURBO_TOMBSTONE_BYTES, OUT_BYTES = STREAM_START + TURBO_CLIENT_HELD_MAX };

/* What can happen, with the facts that matter folded in. */
enum event {
    EVENT_HELLO_GOES_BY_UDP, /* the ClientHello is complete and requests are worth sending */
    EVENT_HELLO_GOES_BY_TCP, /* it is not TLS, too large, cut short, or TCP is up already */
    EVENT_TCP_UP,
    EVENT_TCP_UP_ANSWERED, /* the app's answer has been waiting for this */
    EVENT_TCP_SPOKE,       /* bytes or FIN before any opening; the app was given nothing */
    EVENT_TCP_SPOKE_LATE,  /* the same, but UDP has delivered: the two do not belong together */
    EVENT_TCP_FAILED,
    EVENT_RESPONSE,
    EVENT_UDP_DEAD, /* REFUSED, unreachable or a draft server, and no response before */
    EVENT_ANSWER,
    EVENT_WAIT_OVER,
    EVENT_ABORT,
    EVENT_COUNT
};

enum { STATE_COUNT = TURBO_CLIENT_FAILED + 1 };

typedef void action(struct turbo_client *c, turbo_time now);

/* FORBIDDEN is zero, so a cell that nobody wrote is one: it asserts. */
enum cell_kind { FORBIDDEN, IGNORED, GOES };

struct cell {
    enum cell_kind kind;
    enum turbo_client_state next;
    action *act;
};

static action ask, start_wait, restart_wait, compose_opening, compose_classic, compose_opaque,
    tell_abort, udp_is_dead;

#define GO(next_)                                                                                  \
    {                                                                                              \
        GOES, TURBO_CLIENT_##next_, NULL                                                           \
    }
#define DO(next_, act_)                                                                            \
    {                                                                                              \
        GOES, TURBO_CLIENT_##next_, (act_)                                                         \
    }
#define IGNORE                                                                                     \
    {                                                                                              \
        IGNORED, TURBO_CLIENT_FAILED, NULL                                                         \
    }

/* Protocol §6 as a table. */
static const struct cell table[STATE_COUNT][EVENT_COUNT] =
    {
        [TURBO_CLIENT_HELLO_DIALING] =
            {
                [EVENT_HELLO_GOES_BY_UDP] = DO(ASKING, ask),
                [EVENT_HELLO_GOES_BY_TCP] = GO(DIALING),
                [EVENT_TCP_UP] = GO(HELLO_UP),
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_ABORT] = GO(FAILED),
            },
        [TURBO_CLIENT_HELLO_UP] =
            {
                [EVENT_HELLO_GOES_BY_UDP] = DO(WAITING, ask),
                [EVENT_HELLO_GOES_BY_TCP] = DO(OPEN, compose_classic),
                [EVENT_TCP_SPOKE] = DO(OPEN, compose_opaque),
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_ABORT] = GO(FAILED),
            },
        [TURBO_CLIENT_ASKING] =
            {
                [EVENT_TCP_UP] = DO(WAITING, start_wait),
                [EVENT_TCP_UP_ANSWERED] = DO(OPEN, compose_opening),
                [EVENT_TCP_FAILED] = DO(FAILED, tell_abort),
                [EVENT_RESPONSE] = GO(ASKING),
                [EVENT_UDP_DEAD] = DO(DIALING, udp_is_dead),
                [EVENT_ANSWER] = GO(ASKING),
                [EVENT_ABORT] = DO(FAILED, tell_abort),
            },
        [TURBO_CLIENT_WAITING] =
            {
                [EVENT_TCP_SPOKE] = DO(OPEN, compose_opaque),
                [EVENT_TCP_SPOKE_LATE] = DO(FAILED, tell_abort),
                [EVENT_TCP_FAILED] = DO(FAILED, tell_abort),
                [EVENT_RESPONSE] = DO(WAITING, restart_wait),
                [EVENT_UDP_DEAD] = DO(OPEN, compose_classic),
                [EVENT_ANSWER] = DO(OPEN, compose_opening),
                [EVENT_WAIT_OVER] = DO(OPEN, compose_opening),
                [EVENT_ABORT] = DO(FAILED, tell_abort),
            },
        [TURBO_CLIENT_DIALING] =
            {
                [EVENT_TCP_UP] = DO(OPEN, compose_classic),
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_RESPONSE] = IGNORE,
                [EVENT_UDP_DEAD] = IGNORE,
                [EVENT_ABORT] = GO(FAILED),
            },
        [TURBO_CLIENT_OPEN] =
            {
                [EVENT_TCP_SPOKE] = IGNORE,
                [EVENT_TCP_SPOKE_LATE] = IGNORE,
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_RESPONSE] = IGNORE,
                [EVENT_UDP_DEAD] = IGNORE,
                [EVENT_ABORT] = GO(FAILED),
            },
        [TURBO_CLIENT_FAILED] =
            {
                [EVENT_TCP_UP] = IGNORE,
                [EVENT_TCP_UP_ANSWERED] = IGNORE,
                [EVENT_TCP_SPOKE] = IGNORE,
                [EVENT_TCP_SPOKE_LATE] = IGNORE,
                [EVENT_TCP_FAILED] = IGNORE,
                [EVENT_RESPONSE] = IGNORE,
                [EVENT_UDP_DEAD] = IGNORE,
                [EVENT_ABORT] = IGNORE,
            },
};

static void handle(struct turbo_client *c, enum event event, turbo_time now)
{
    const struct cell *cell = &table[c->state][event];
    assert(cell->kind != FORBIDDEN);
    if (cell->kind != GOES)
        return;
    c->state = cell->next;
    if (cell->act != NULL)
        cell->act(c, now);
}

static void decide(struct turbo_client *c, enum turbo_outcome outcome, enum turbo_reason reason)
{
    if (c->report.outcome == TURBO_OUTCOME_NONE)
        c->report.outcome = outcome;
    if (c->report.reason == TURBO_REASON_NONE)
        c->report.reason = reason;
}

static const uint8_t *stream(const struct turbo_client *c)
{
    return c->out + STREAM_START;
}

static size_t stream_bytes(const struct turbo_client *c)
{
    return c->out_end - STREAM_START;
}

/* ---- actions ---- */

static turbo_time earlier(turbo_time a, turbo_time b)
{
    return a < b ? a : b;
}

/* First contact: max(5 ms, RTT / 8); `always`: a flat 50 ms. */
static turbo_time wait_time(const struct turbo_client *c)
{
    if (c->config.always)
        return TURBO_WAIT_MAX;
    turbo_time wait = c->report.tcp_up_us / TURBO_WAIT_RTT_DIVISOR;
    return wait < TURBO_WAIT_MIN ? TURBO_WAIT_MIN : earlier(wait, TURBO_WAIT_MAX);
}

static void restart_wait(struct turbo_client *c, turbo_time now)
{
    turbo_time began = c->up_at > c->asked_at ? c->up_at : c->asked_at;
    c->wait_end = earlier(now + wait_time(c), began + TURBO_WAIT_MAX);
}

static void start_wait(struct turbo_client *c, turbo_time now)
{
    restart_wait(c, now);
}

static void ask(struct turbo_client *c, turbo_time now)
{
    turbo_id_from_hello(&c->id, c->config.sha256, stream(c), c->hello.length);
    c->plan = request_plan_make(c->hello.length, c->config.expected_chunks,
                                c->config.expected_bytes, c->config.requests_max);
    c->asked_at = now;
    c->report.asked = true;
    if (c->state == TURBO_CLIENT_WAITING)
        start_wait(c, now);
}

/* From here on no byte is taken from UDP (protocol §6.6). */
static void stop_udp(struct turbo_client *c)
{
    c->s2c_limit = reassembly_contiguous_bytes(&c->s2c);
    c->wait_end = TURBO_NEVER;
}

static void compose_classic(struct turbo_client *c, turbo_time now)
{
    (void)now;
    stop_udp(c);
    decide(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_NO_RESPONSE);
}

static void compose_opaque(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->s2c_limit = 0;
    c->wait_end = TURBO_NEVER;
    decide(c, TURBO_OUTCOME_OPAQUE, TURBO_REASON_SERVER_FIRST);
}

static void compose_opening(struct turbo_client *c, turbo_time now)
{
    if (!c->report.responded) {
        compose_classic(c, now);
        return;
    }
    stop_udp(c);
    struct turbo_tombstone tombstone = {.id = c->id, .replay = true, .consumed = c->s2c.contiguous};
    c->out_start = 0;
    turbo_tombstone_encode(&tombstone, c->out);
    decide(c, c->answered ? TURBO_OUTCOME_TURBO : TURBO_OUTCOME_RESUMED, TURBO_REASON_NONE);
}

static void udp_is_dead(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->requests_sent = c->plan.requests;
}

static void tell_abort(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->abort_due = true;
    c->wait_end = TURBO_NEVER;
}

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
    decide(c, outcome, reason);
    handle(c, EVENT_HELLO_GOES_BY_TCP, now);
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
            handle(c, EVENT_HELLO_GOES_BY_UDP, now);
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
        handle(c, EVENT_ANSWER, now);
    }
    return n;
}

void turbo_client_push_end(struct turbo_client *c, turbo_time now)
{
    c->ended = true;
    if (reading_hello(c))
        hello_goes_by_tcp(c, stream_bytes(c) == 0 ? TURBO_OUTCOME_OPAQUE : TURBO_OUTCOME_CLASSIC,
                          TURBO_REASON_HELLO_CUT_SHORT, now);
}

void turbo_client_abort(struct turbo_client *c, turbo_time now)
{
    handle(c, EVENT_ABORT, now);
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
    datagram.payload = stream(c) + request.offset;
    datagram.length = request.length;
    return turbo_datagram_encode(&datagram, out);
}

static void udp_dead(struct turbo_client *c, enum turbo_reason reason, turbo_time now)
{
    if (c->report.responded || !turbo_client_uses_udp(c))
        return;
    decide(c, TURBO_OUTCOME_CLASSIC, reason);
    handle(c, EVENT_UDP_DEAD, now);
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
    handle(c, EVENT_RESPONSE, now);
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
    handle(c, answered ? EVENT_TCP_UP_ANSWERED : EVENT_TCP_UP, now);
}

void turbo_client_tcp_readable(struct turbo_client *c, turbo_time now)
{
    handle(c, c->report.delivered ? EVENT_TCP_SPOKE_LATE : EVENT_TCP_SPOKE, now);
}

void turbo_client_tcp_failed(struct turbo_client *c, turbo_time now)
{
    handle(c, EVENT_TCP_FAILED, now);
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
        handle(c, EVENT_WAIT_OVER, now);
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
