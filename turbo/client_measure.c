/*
 * After the opening a session goes on taking the measure of the flight: how large it is, whether
 * UDP would have brought all of it and how much later than TCP, and whether TCP is heard at all
 * behind the tombstone. It delivers nothing by that; it fills in the report that
 * turbo_learned_note reads.
 */
#include "turbo/client_session.h"

void client_measure_start(struct turbo_client *c, turbo_time now)
{
    if (!c->ended)
        c->measure_end = now + TURBO_MEASURE_TIME;
}

/* Chunks that hold the first `bytes` of the stream; what UDP has not brought is cut evenly. */
static uint32_t chunks_needed(const struct reassembly *r, size_t bytes)
{
    size_t covered = reassembly_contiguous_bytes(r);
    if (covered < bytes) {
        size_t rest = bytes - covered + TURBO_RESPONSE_PAYLOAD_MAX - 1;
        uint32_t chunks = r->contiguous + (uint32_t)(rest / TURBO_RESPONSE_PAYLOAD_MAX);
        uint32_t highest = reassembly_highest(r);
        chunks = chunks > highest ? chunks : highest;
        return chunks < TURBO_CHUNKS_MAX ? chunks : TURBO_CHUNKS_MAX;
    }
    uint32_t chunks = 0;
    while (chunks < r->contiguous && (chunks == 0 || r->end[chunks - 1] < bytes))
        chunks++;
    return chunks;
}

static void judge_flight(struct turbo_client *c)
{
    struct turbo_client_report *r = &c->report;
    r->flight_chunks = (uint8_t)chunks_needed(&c->s2c, r->flight_bytes);
    r->flight_by_udp = reassembly_contiguous_bytes(&c->s2c) >= r->flight_bytes;
    r->late_known = r->responded && r->flight_by_udp;
    r->late_us = c->taken_at > c->up_at ? c->taken_at - c->up_at : 0;
}

void client_measure_stop(struct turbo_client *c)
{
    if (client_measuring(c) && c->report.flight_known)
        judge_flight(c); /* once more: late responses may have come */
    c->measure_end = TURBO_NEVER;
}

void client_measure_answer(struct turbo_client *c)
{
    c->report.flight_known = true;
    c->report.flight_bytes = (uint32_t)c->answered_bytes;
    judge_flight(c);
    if (c->heard)
        client_measure_stop(c);
}

void turbo_client_tcp_read(struct turbo_client *c, turbo_time now, size_t length)
{
    (void)now;
    c->heard = true;
    if (!client_measuring(c))
        return;
    if (!c->report.flight_known)
        c->tcp_bytes += length;
    if (length == 0 || c->report.flight_known || c->tcp_bytes > TURBO_STREAM_KEPT_MAX ||
        client_is_sandwich(c))
        client_measure_stop(c);
}
