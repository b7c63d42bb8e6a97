#include <assert.h>

#include "turbo/server_session.h"

enum { STATE_COUNT = SERVER_ENDED + 1 };

typedef void action(struct turbo_server *s, turbo_time now);

/* FORBIDDEN is zero, so a cell that nobody wrote is one: it asserts. */
enum cell_kind { FORBIDDEN, IGNORED, GOES };

struct cell {
    enum cell_kind kind;
    enum server_state next;
    action *act;
};

static action announce, drop, drop_large, count_expired, count_aborted, first_response, leave_udp;

/* clang-format off */
#define GO(next_)       {GOES, SERVER_##next_, NULL}
#define DO(next_, act_) {GOES, SERVER_##next_, (act_)}
#define IGNORE          {IGNORED, SERVER_ENDED, NULL}
/* clang-format on */

/* Protocol §7 as a table. A join while GATHERING or unseen is a fresh start: see endpoint.c. */
static const struct cell table[STATE_COUNT][EVENT_COUNT] = {
    [SERVER_GATHERING] =
        {
            [EVENT_HELLO_COMPLETE] = DO(READY, announce),
            [EVENT_MALFORMED] = DO(ENDED, drop),
            [EVENT_ABORT] = DO(ENDED, count_aborted),
            [EVENT_EXPIRE] = DO(ENDED, count_expired),
            [EVENT_TOO_LARGE] = DO(ENDED, drop_large),
        },
    [SERVER_READY] =
        {
            [EVENT_RESPONSE_SENT] = DO(ANSWERED, first_response),
            [EVENT_JOIN] = DO(JOINED, leave_udp),
            [EVENT_ABORT] = DO(ENDED, count_aborted),
            [EVENT_EXPIRE] = DO(ENDED, count_expired),
            [EVENT_TOO_LARGE] = DO(ENDED, drop_large),
            [EVENT_REFUSE] = GO(ENDED),
        },
    [SERVER_ANSWERED] =
        {
            [EVENT_RESPONSE_SENT] = GO(ANSWERED),
            [EVENT_JOIN] = DO(JOINED, leave_udp),
            [EVENT_ABORT] = DO(ENDED, count_aborted),
            [EVENT_EXPIRE] = DO(ENDED, count_expired),
            [EVENT_TOO_LARGE] = DO(ENDED, drop_large),
        },
    [SERVER_JOINED] =
        {
            [EVENT_ABORT] = IGNORE,                    /* TCP has the word now */
            [EVENT_EXPIRE] = DO(ENDED, count_expired), /* Sandwich: UDP's rest has not come */
            [EVENT_TOO_LARGE] = DO(ENDED, drop_large),
        },
    [SERVER_ENDED] =
        {
            [EVENT_ABORT] = IGNORE,
            [EVENT_REFUSE] = IGNORE,
        },
};

void server_handle(struct turbo_server *s, enum server_event event, turbo_time now)
{
    const struct cell *cell = &table[s->state][event];
    assert(cell->kind != FORBIDDEN);
    if (cell->kind != GOES)
        return;
    s->state = cell->next;
    if (cell->act != NULL)
        cell->act(s, now);
}

/* ---- actions ---- */

static void announce(struct turbo_server *s, turbo_time now)
{
    queue_add(&s->endpoint->events, &s->event, now);
}

static void drop(struct turbo_server *s, turbo_time now)
{
    server_leave_timers(s);
    endpoint_session_ended(s, now);
}

static void drop_large(struct turbo_server *s, turbo_time now)
{
    s->report.outcome = TURBO_OUTCOME_FAILED;
    s->report.reason = TURBO_REASON_FLIGHT_TOO_LARGE;
    drop(s, now);
}

static void count_expired(struct turbo_server *s, turbo_time now)
{
    s->endpoint->counters.expired++;
    drop(s, now);
}

static void count_aborted(struct turbo_server *s, turbo_time now)
{
    s->endpoint->counters.aborted++;
    s->aborted = true;
    drop(s, now);
}

void server_wait_for_tcp(struct turbo_server *s, turbo_time now)
{
    if (server_is_sandwich(s) && !s->budget.is_proved)
        return;
    queue_remove(&s->life);
    queue_add(server_is_sandwich(s) ? &s->endpoint->proved : &s->endpoint->answered, &s->life, now);
}

static void first_response(struct turbo_server *s, turbo_time now)
{
    s->answered_at = now;
    s->report.first_response_us = now - s->created_at;
    server_wait_for_tcp(s, now);
}

static void leave_udp(struct turbo_server *s, turbo_time now)
{
    server_leave_timers(s);
    queue_add(&s->endpoint->joined, &s->life, now);
    if (server_is_sandwich(s)) { /* its client may have been idle for long */
        if (!s->client.complete)
            queue_add(&s->endpoint->overtaken, &s->hold, now);
        return;
    }
    s->report.joined_us = s->answered_at == 0 ? 0 : now - s->answered_at;
}
