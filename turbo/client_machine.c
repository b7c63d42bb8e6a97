#include "turbo/client_session.h"

#include <assert.h>

#include "turbo/wire.h"

enum { STATE_COUNT = TURBO_CLIENT_FAILED + 1 };

typedef void action(struct turbo_client *c, turbo_time now);

/* FORBIDDEN is zero, so a cell that nobody wrote is one: it asserts. */
enum cell_kind { FORBIDDEN, IGNORED, GOES };

struct cell {
    enum cell_kind kind;
    enum turbo_client_state next;
    action *act;
};

static action ask, ask_again, dial_again, expect_tcp, restart_wait, compose_opening,
    compose_classic, compose_opaque, tell_abort, stop_asking;

/* clang-format off */
#define GO(next_)       {GOES, TURBO_CLIENT_##next_, NULL}
#define DO(next_, act_) {GOES, TURBO_CLIENT_##next_, (act_)}
#define IGNORE          {IGNORED, TURBO_CLIENT_FAILED, NULL}
/* clang-format on */

/* Protocol §6 as a table; §11 in the same states. */
static const struct cell table[STATE_COUNT][EVENT_COUNT] =
    {
        [TURBO_CLIENT_HELLO_DIALING] =
            {
                [EVENT_HELLO_GOES_BY_UDP] = DO(ASKING, ask),
                [EVENT_HELLO_GOES_BY_TCP] = GO(DIALING),
                [EVENT_TCP_UP] = GO(HELLO_UP),
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_SYN_LATE] = DO(HELLO_DIALING, dial_again),
                [EVENT_HOPELESS] = GO(FAILED),
                [EVENT_ABORT] = GO(FAILED),
            },
        [TURBO_CLIENT_HELLO_UP] =
            {
                [EVENT_HELLO_GOES_BY_UDP] = DO(WAITING, ask),
                [EVENT_HELLO_GOES_BY_TCP] = DO(OPEN, compose_classic),
                [EVENT_TCP_SPOKE] = DO(OPEN, compose_opaque),
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_HOPELESS] = GO(FAILED),
                [EVENT_ABORT] = GO(FAILED),
            },
        [TURBO_CLIENT_ASKING] =
            {
                [EVENT_TCP_UP] = DO(WAITING, restart_wait),
                [EVENT_TCP_UP_ANSWERED] = DO(OPEN, compose_opening),
                [EVENT_TCP_FAILED] = DO(FAILED, tell_abort),
                [EVENT_SYN_LATE] = DO(ASKING, ask_again),
                [EVENT_RESPONSE] = DO(ASKING, expect_tcp),
                [EVENT_UDP_DEAD] = DO(DIALING, stop_asking),
                [EVENT_ANSWER] = GO(ASKING),
                [EVENT_HOPELESS] = GO(FAILED),
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
                [EVENT_HOPELESS] = GO(FAILED),
                [EVENT_ABORT] = DO(FAILED, tell_abort),
            },
        [TURBO_CLIENT_DIALING] =
            {
                [EVENT_TCP_UP] = DO(OPEN, compose_classic),
                [EVENT_TCP_FAILED] = GO(FAILED),
                [EVENT_SYN_LATE] = DO(DIALING, dial_again),
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
                [EVENT_HOPELESS] = IGNORE,
                [EVENT_ABORT] = IGNORE,
            },
};

void client_handle(struct turbo_client *c, enum client_event event, turbo_time now)
{
    const struct cell *cell = &table[c->state][event];
    assert(cell->kind != FORBIDDEN);
    if (cell->kind != GOES)
        return;
    c->state = cell->next;
    if (cell->act != NULL)
        cell->act(c, now);
}

void client_decide(struct turbo_client *c, enum turbo_outcome outcome, enum turbo_reason reason)
{
    if (c->report.outcome == TURBO_OUTCOME_NONE)
        c->report.outcome = outcome;
    if (c->report.reason == TURBO_REASON_NONE)
        c->report.reason = reason;
}

/* ---- actions ---- */

static turbo_time earlier(turbo_time a, turbo_time b)
{
    return a < b ? a : b;
}

/* As learned; at first contact max(5 ms, RTT / 8); `always`: a flat 50 ms. */
static turbo_time wait_time(const struct turbo_client *c)
{
    if (c->config.always)
        return TURBO_WAIT_MAX;
    if (c->config.wait_us != 0)
        return c->config.wait_us;
    turbo_time wait = c->report.tcp_up_us / TURBO_WAIT_RTT_DIVISOR;
    return wait < TURBO_WAIT_MIN ? TURBO_WAIT_MIN : earlier(wait, TURBO_WAIT_MAX);
}

static void restart_wait(struct turbo_client *c, turbo_time now)
{
    if (client_is_sandwich(c))
        return; /* TCP waits for the client's handshake */
    turbo_time began = c->up_at > c->report.asked_at ? c->up_at : c->report.asked_at;
    c->wait_end = earlier(now + wait_time(c), began + TURBO_WAIT_MAX);
}

static void ask(struct turbo_client *c, turbo_time now)
{
    c->report.asked_at = now;
    c->report.asked = true;
    if (client_is_sandwich(c)) {
        sandwich_client_ask(c, now);
        return;
    }
    turbo_id_from_hello(&c->id, c->config.sha256, client_stream(c), c->hello.length);
    c->plan = request_plan_make(c->hello.length, c->config.expected_chunks,
                                c->config.expected_bytes, c->config.requests_max);
    if (c->state == TURBO_CLIENT_WAITING)
        restart_wait(c, now);
}

static void dial_again(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->redialed = c->redial_due = true;
    c->redial_at = TURBO_NEVER;
}

/* The path may have lost the requests together with the SYN. */
static void ask_again(struct turbo_client *c, turbo_time now)
{
    dial_again(c, now);
    if (c->report.responded)
        return;
    c->requests_sent = 0;
    sandwich_requests_repeat(&c->sandwich.requests);
}

/* UDP has taken a round trip and the TLS server's time: TCP should be up about now. */
static void expect_tcp(struct turbo_client *c, turbo_time now)
{
    turbo_time due = c->dialed_at + c->report.first_response_us + TURBO_SYN_SLACK;
    if (c->redialed)
        return;
    c->redial_at = earlier(c->redial_at, due > now ? due : now);
}

/* From here on no byte is taken from UDP (protocol §6.6). */
static void stop_udp(struct turbo_client *c)
{
    c->s2c_limit = reassembly_contiguous_bytes(&c->s2c);
    c->wait_end = TURBO_NEVER;
}

static void compose_classic(struct turbo_client *c, turbo_time now)
{
    stop_udp(c);
    client_decide(c, TURBO_OUTCOME_CLASSIC, TURBO_REASON_NO_RESPONSE);
    /* With another reason UDP is over, or was never begun. */
    if (c->report.reason == TURBO_REASON_NO_RESPONSE)
        client_measure_start(c, now);
}

static void compose_opaque(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->s2c_limit = 0;
    c->wait_end = TURBO_NEVER;
    client_decide(c, TURBO_OUTCOME_OPAQUE, TURBO_REASON_SERVER_FIRST);
}

static void compose_opening(struct turbo_client *c, turbo_time now)
{
    if (client_is_sandwich(c)) {
        stop_udp(c);
        sandwich_client_open(c, now);
        return;
    }
    if (!c->report.responded) {
        compose_classic(c, now);
        return;
    }
    stop_udp(c);
    struct turbo_tombstone tombstone = {.id = c->id, .replay = true, .consumed = c->s2c.contiguous};
    c->out_start = 0;
    turbo_tombstone_encode(&tombstone, c->out);
    client_decide(c, c->answered ? TURBO_OUTCOME_TURBO : TURBO_OUTCOME_RESUMED, TURBO_REASON_NONE);
    client_measure_start(c, now);
    if (c->answered)
        client_measure_answer(c);
}

static void stop_asking(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->requests_sent = c->plan.requests;
}

static void tell_abort(struct turbo_client *c, turbo_time now)
{
    (void)now;
    c->abort_due = !client_is_sandwich(c); /* which has no such word */
    c->wait_end = TURBO_NEVER;
}
