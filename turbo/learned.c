#include "turbo/learned.h"

static turbo_time distance(turbo_time a, turbo_time b)
{
    return a > b ? a - b : b - a;
}

/* ---- what the next connection is told ---- */

static struct turbo_learned_flight expected_flight(const struct turbo_learned *l)
{
    struct turbo_learned_flight largest = {0};
    uint32_t known =
        l->flight_count < TURBO_LEARNED_FLIGHTS ? l->flight_count : TURBO_LEARNED_FLIGHTS;
    for (uint32_t i = 0; i < known; i++) {
        if (l->flights[i].bytes > largest.bytes)
            largest.bytes = l->flights[i].bytes;
        if (l->flights[i].chunks > largest.chunks)
            largest.chunks = l->flights[i].chunks;
    }
    return largest;
}

/* The smallest: a connect whose SYN was lost says nothing about the path. 0: not known. */
static turbo_time round_trip(const struct turbo_learned *l)
{
    turbo_time smallest = 0;
    uint32_t known = l->rtt_count < TURBO_LEARNED_FLIGHTS ? l->rtt_count : TURBO_LEARNED_FLIGHTS;
    for (uint32_t i = 0; i < known; i++)
        if (smallest == 0 || l->rtts[i] < smallest)
            smallest = l->rtts[i];
    return smallest;
}

/* Mean + 4 deviations. Where flights come later than any wait, none is worth it. */
static turbo_time wait_for_flight(const struct turbo_learned *l)
{
    turbo_time wait = l->late_mean + 4 * l->late_deviation;
    if (wait < TURBO_WAIT_MIN || l->late_mean > TURBO_WAIT_MAX)
        return TURBO_WAIT_MIN;
    return wait < TURBO_WAIT_MAX ? wait : TURBO_WAIT_MAX;
}

bool turbo_learned_paused(const struct turbo_learned *l, turbo_time now)
{
    return l->paused_until != 0 && (now < l->paused_until || now < l->trial_until);
}

void turbo_learned_configure(struct turbo_learned *l, turbo_time now,
                             struct turbo_client_config *config)
{
    config->paused = turbo_learned_paused(l, now);
    config->elsewhere = config->paused && l->elsewhere;
    config->trial = l->paused_until != 0 && !config->paused;
    if (config->trial)
        l->trial_until = now + TURBO_PAUSE_MIN;
    config->speaks = l->speaks;
    if (l->speaks)
        config->requests_max = TURBO_REQUESTS_MAX;
    config->rtt_us = round_trip(l);
    if (l->late_known)
        config->wait_us = wait_for_flight(l);
    if (l->flight_count > 0) {
        struct turbo_learned_flight flight = expected_flight(l);
        config->expected_chunks = flight.chunks;
        config->expected_bytes = flight.bytes;
    }
}

/* ---- what a connection has shown ---- */

static void pause(struct turbo_learned *l, turbo_time now, turbo_time length)
{
    l->failed_at = now;
    l->paused_until = now + length;
    l->trial_until = 0;
    l->silent_in_row = l->partial_in_row = 0;
    l->worked = l->elsewhere = false;
}

/* Each pause is twice as long as the one before; `before` counts them, up to the longest. */
static void pause_again(struct turbo_learned *l, turbo_time now, uint8_t *before)
{
    turbo_time length = TURBO_PAUSE_MIN << *before;
    if (length < TURBO_PAUSE_MAX)
        ++*before;
    pause(l, now, length < TURBO_PAUSE_MAX ? length : TURBO_PAUSE_MAX);
}

/* Did it begin after the last failure? A stall lets all connections of a moment fail: that is one
 * failure, the one that is told first. */
static bool is_later(const struct turbo_learned *l, const struct turbo_client_report *report)
{
    return report->asked_at >= l->failed_at;
}

/* `in_row` connections have failed, the last one just now. */
static void failed(struct turbo_learned *l, turbo_time now,
                   const struct turbo_client_report *report, uint8_t *in_row, uint8_t enough)
{
    if (!is_later(l, report))
        return;
    l->failed_at = now;
    if (++*in_row >= enough || report->trial)
        pause_again(l, now, &l->pauses_in_row);
}

/*
 * UDP and TCP seem to reach different hosts. One success does not refute that, since by chance they
 * may reach the same; least of all one that was under way. But a TLS server that resets a client
 * looks alike: no long pause at first.
 */
static void torn(struct turbo_learned *l, turbo_time now, const struct turbo_client_report *report)
{
    if (!is_later(l, report))
        return;
    l->good_in_row = 0;
    pause_again(l, now, &l->resets);
    l->elsewhere = true;
}

static void succeeded(struct turbo_learned *l, const struct turbo_client_report *report)
{
    if (l->elsewhere && !is_later(l, report))
        return;
    if (l->good_in_row < TURBO_LEARNED_FLIGHTS)
        l->good_in_row++;
    if (l->good_in_row == TURBO_LEARNED_FLIGHTS)
        l->resets = 0;
    l->silent_in_row = l->partial_in_row = l->pauses_in_row = 0;
    l->failed_at = l->paused_until = l->trial_until = 0;
    l->elsewhere = false;
    l->worked = true;
}

/* RFC 6298 §2. */
static void learn_lateness(struct turbo_learned *l, turbo_time late)
{
    if (!l->late_known) {
        l->late_mean = late;
        l->late_deviation = late / 2;
        l->late_known = true;
        return;
    }
    l->late_deviation = (3 * l->late_deviation + distance(l->late_mean, late)) / 4;
    l->late_mean = (7 * l->late_mean + late) / 8;
}

static void learn_flight(struct turbo_learned *l, const struct turbo_client_report *report)
{
    l->flights[l->flight_count++ % TURBO_LEARNED_FLIGHTS] = (struct turbo_learned_flight){
        .bytes = report->flight_bytes, .chunks = report->flight_chunks};
    if (report->late_known && report->dialect == TURBO_DIALECT_PROFILE1)
        learn_lateness(l, report->late_us);
}

/* What is to be thought of UDP after this connection; nothing when it was not put to the test. */
static void judge(struct turbo_learned *l, turbo_time now, const struct turbo_client_report *report)
{
    if (report->responded)
        l->silent_in_row = 0;
    if (report->draft)
        pause(l, now, TURBO_PAUSE_MAX);
    else if (report->unheard)
        torn(l, now, report);
    else if (!report->asked || report->refused || report->tcp_up_us == 0)
        return;
    else if (!report->responded && report->outcome == TURBO_OUTCOME_CLASSIC)
        failed(l, now, report, &l->silent_in_row,
               l->worked ? TURBO_SILENT_PROVEN : TURBO_SILENT_IN_ROW);
    else if (report->flight_known && report->flight_by_udp)
        succeeded(l, report);
    else if (report->flight_known)
        failed(l, now, report, &l->partial_in_row, TURBO_PARTIAL_IN_ROW);
}

void turbo_learned_note(struct turbo_learned *l, turbo_time now,
                        const struct turbo_client_report *report)
{
    if (report->trial)
        l->trial_until = 0; /* whatever it has shown, another may try */
    if (report->tcp_up_us > 0)
        l->rtts[l->rtt_count++ % TURBO_LEARNED_FLIGHTS] = report->tcp_up_us;
    if (report->asked && report->flight_known)
        learn_flight(l, report);
    if (report->dialect != TURBO_DIALECT_PROFILE1)
        return; /* it has no choice, and says nothing of profile 1 */
    l->speaks |= report->responded || report->refused;
    judge(l, now, report);
}
