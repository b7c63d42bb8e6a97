#include "tests/fuzz/dialed.h"

/* ---- what the server end has to say ---- */

/* Its stream, made once. */
static const uint8_t *s2c_stream(void)
{
    static uint8_t bytes[TURBO_CHUNKS_MAX * TURBO_RESPONSE_PAYLOAD_MAX];
    static bool made;
    if (!made)
        check_fill(bytes, S2C_STREAM, 0, sizeof(bytes));
    made = true;
    return bytes;
}

static size_t chunk_length(const struct dialed *s, uint32_t k)
{
    return k % 4 == 0 ? s->chunk_length / 2u : s->chunk_length;
}

static size_t chunk_offset(const struct dialed *s, uint32_t k)
{
    size_t at = 0;
    for (uint32_t i = 1; i < k; i++)
        at += chunk_length(s, i);
    return at;
}

size_t dialed_response(const struct dialed *s, uint32_t k, uint8_t out[static TURBO_DATAGRAM_MAX])
{
    struct turbo_datagram d = {.id = s->id,
                               .flags = TURBO_FLAG_PROFILE1,
                               .sequence = k,
                               .payload = s2c_stream() + chunk_offset(s, k),
                               .length = chunk_length(s, k)};
    return turbo_datagram_encode(&d, out);
}

size_t dialed_parity(const struct dialed *s, uint32_t m, uint8_t out[static TURBO_DATAGRAM_MAX])
{
    uint8_t payload[TURBO_REQUEST_PAYLOAD_MAX] = {0};
    struct turbo_datagram d = {.id = s->id,
                               .flags = TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY,
                               .sequence = m,
                               .payload = payload,
                               .length = 2u + chunk_length(s, 1)};
    const uint8_t *chunk = s2c_stream();
    for (uint32_t k = 1; k <= m; chunk += chunk_length(s, k++)) {
        size_t length = chunk_length(s, k);
        payload[0] ^= (uint8_t)(length >> 8);
        payload[1] ^= (uint8_t)length;
        for (size_t i = 0; i < length; i++)
            payload[2 + i] ^= chunk[i];
    }
    return turbo_datagram_encode(&d, out);
}

static bool is_true(const struct dialed *s, const struct turbo_datagram *d)
{
    uint8_t right[TURBO_DATAGRAM_MAX], given[TURBO_DATAGRAM_MAX];
    bool parity = (d->flags & TURBO_FLAG_PARITY) != 0;
    size_t length =
        parity ? dialed_parity(s, d->sequence, right) : dialed_response(s, d->sequence, right);
    return turbo_datagram_encode(d, given) == length && memcmp(given, right, length) == 0;
}

/* ---- what the client end has of it ---- */

static bool has(const struct dialed *s, uint32_t k)
{
    return (s->fed >> (k - 1) & 1) != 0;
}

static bool fits(const struct dialed *s, uint32_t k)
{
    return s->fed_bytes + chunk_length(s, k) <= TURBO_STREAM_KEPT_MAX;
}

static void add(struct dialed *s, uint32_t k)
{
    if (has(s, k) || (!s->lied && !fits(s, k)))
        return;
    s->fed |= UINT64_C(1) << (k - 1);
    s->fed_bytes += chunk_length(s, k);
}

static void rebuild(struct dialed *s)
{
    uint32_t missing = 0, count = 0;
    for (uint32_t k = 1; k <= s->parity; k++) {
        if (has(s, k))
            continue;
        missing = k;
        count++;
    }
    if (count == 1)
        add(s, missing);
}

static uint32_t in_order(const struct dialed *s)
{
    uint32_t n = 0;
    while (n < TURBO_CHUNKS_MAX && has(s, n + 1))
        n++;
    return n;
}

bool dialed_would_take(const struct dialed *s, const uint8_t *datagram, size_t length)
{
    struct turbo_datagram d;
    if (!s->asked || !turbo_response_decode(&d, datagram, length) || !turbo_id_equal(&d.id, &s->id))
        return false;
    if (s->lied || d.flags == 0 || d.sequence == 0 || !turbo_client_uses_udp(s->client))
        return true;
    if ((d.flags & TURBO_FLAG_PARITY) != 0)
        return s->parity == 0 ||
               (length == s->parity_length && memcmp(datagram, s->parity_datagram, length) == 0);
    return has(s, d.sequence) ? is_true(s, &d) : s->fed_bytes + d.length <= TURBO_STREAM_KEPT_MAX;
}

/* TCP should be up about now, or its SYN was lost (protocol §6.8). */
static void expect_tcp(struct dialed *s)
{
    turbo_time due = s->dialed_at + (s->now - s->asked_at) + TURBO_SYN_SLACK;
    due = due > s->now ? due : s->now;
    if (!s->redialed && due < s->redial_at)
        s->redial_at = due;
}

void dialed_take(struct dialed *s, const uint8_t *datagram, size_t length)
{
    struct turbo_datagram d;
    assert(turbo_response_decode(&d, datagram, length));
    if (d.flags == 0 || d.sequence == 0)
        return;
    s->lied |= !is_true(s, &d);
    if (!s->responded && s->last == TURBO_CLIENT_ASKING)
        expect_tcp(s);
    s->responded = true;
    if ((d.flags & TURBO_FLAG_PARITY) != 0) {
        s->parity = d.sequence;
        s->parity_length = length;
        memcpy(s->parity_datagram, datagram, length);
    } else {
        add(s, d.sequence);
    }
    rebuild(s);
}

/* ---- what the app says ---- */

void dialed_pushed(struct dialed *s, const uint8_t *data, size_t length)
{
    if (s->answered || s->consumed + s->tcp_read == 0)
        return;
    for (size_t i = 0; i < length && !s->answered; i++)
        s->answered = data[i] != (uint8_t) "\x14\x03\x03\x00\x01\x01"[s->ccs++ % 6];
    s->answered_after = s->consumed + s->tcp_read;
}

/* ---- what must be true ---- */

void dialed_check_request(struct dialed *s, const uint8_t *datagram, size_t length)
{
    struct turbo_datagram d;
    size_t hello = turbo_client_hello(s->client)->length;
    assert(turbo_request_decode(&d, datagram, length));
    if (!s->asked)
        turbo_id_from_hello(&s->id, check_sha256, s->pushed, hello);
    s->asked = true;
    assert(turbo_id_equal(&d.id, &s->id) && !s->config.paused);
    if (d.flags == TURBO_FLAG_ABORT) {
        assert(!s->aborted && s->last == TURBO_CLIENT_FAILED);
        assert(d.sequence > s->highest);
        s->aborted = true;
        return;
    }
    assert(s->last == TURBO_CLIENT_ASKING || s->last == TURBO_CLIENT_WAITING);
    s->requests++;
    s->request_bytes += (uint32_t)length;
    assert(s->requests <= TURBO_REQUESTS_MAX && s->request_bytes <= TURBO_REQUEST_BYTES_MAX);
    assert(s->requests <= s->config.requests_max ||
           s->requests <= (hello - 1) / TURBO_REQUEST_PAYLOAD_MAX + 1);
    s->highest = d.sequence > s->highest ? d.sequence : s->highest;
    if (d.length == 0)
        return;
    size_t offset = (d.sequence - 1) * (size_t)TURBO_REQUEST_PAYLOAD_MAX;
    assert(offset + d.length <= hello); /* nothing behind the ClientHello goes by UDP */
    assert(memcmp(d.payload, s->pushed + offset, d.length) == 0);
}

static void check_tombstone(struct dialed *s, const uint8_t *data)
{
    struct turbo_tombstone tombstone;
    assert(turbo_tombstone_decode(&tombstone, data) && tombstone.replay);
    assert(turbo_id_equal(&tombstone.id, &s->id) && s->responded);
    struct turbo_client_report report = turbo_client_report(s->client);
    assert(report.outcome == (s->answered ? TURBO_OUTCOME_TURBO : TURBO_OUTCOME_RESUMED));
    if (!s->lied)
        assert(tombstone.consumed == in_order(s));
    for (uint32_t k = 1; k <= tombstone.consumed; k++)
        assert(has(s, k) || k <= s->parity);
    if (!s->lied)
        assert(s->frozen == chunk_offset(s, tombstone.consumed + 1));
}

/* Once, when the opening has been composed. */
static void check_opening(struct dialed *s)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(s->client, &data);
    s->opened_at = s->now;
    s->frozen = s->consumed + turbo_client_peek(s->client, &data);
    turbo_client_tcp_peek(s->client, &data);
    s->tombstone = length == s->pushed_length + TURBO_TOMBSTONE_BYTES;
    bool silence = turbo_client_report(s->client).reason == TURBO_REASON_NO_RESPONSE;
    assert(turbo_client_uses_udp(s->client) == ((s->tombstone || silence) && !s->ended));
    if (s->tombstone) {
        check_tombstone(s, data);
        return;
    }
    assert(length == s->pushed_length);
    assert(s->frozen == 0); /* what the app was given must be accounted for */
}

/* Bytes are compared when they have become more or less. */
static void check_streams(struct dialed *s)
{
    const uint8_t *data;
    size_t length = turbo_client_unsent(s->client, &data);
    const uint8_t *unsent = data;
    bool changed = length != s->seen_c2s;
    s->seen_c2s = length;
    assert(length == s->pushed_length - s->tcp_taken);
    assert(!changed || length == 0 || memcmp(data, s->pushed + s->tcp_taken, length) == 0);

    size_t front = s->tombstone ? TURBO_TOMBSTONE_BYTES - s->tombstone_taken : 0;
    size_t tcp = turbo_client_tcp_peek(s->client, &data);
    assert(tcp == (s->last == TURBO_CLIENT_OPEN ? front + length : 0));
    assert(tcp <= front || data + front == unsent);

    size_t s2c = turbo_client_peek(s->client, &data);
    if (s->last == TURBO_CLIENT_OPEN)
        assert(s->consumed + s2c == s->frozen); /* no byte from UDP any more */
    if (s->last == TURBO_CLIENT_FAILED)
        assert(s2c == 0);
    if (!s->lied && s2c > 0 && s2c != s->seen_s2c)
        assert(memcmp(data, s2c_stream() + s->consumed, s2c) == 0);
    s->seen_s2c = s2c;
    assert(turbo_client_settled(s->client) == (s->last == TURBO_CLIENT_OPEN && tcp == 0 &&
                                               s2c == 0 && !turbo_client_uses_udp(s->client)));
}

static void check_deadline(const struct dialed *s)
{
    turbo_time deadline = turbo_client_deadline(s->client);
    turbo_time began = s->up_at > s->asked_at ? s->up_at : s->asked_at;
    bool udp = turbo_client_uses_udp(s->client);
    switch (s->last) {
    case TURBO_CLIENT_WAITING: assert(deadline <= began + TURBO_WAIT_MAX); break;
    case TURBO_CLIENT_OPEN:
        assert(deadline == (udp ? s->opened_at + TURBO_MEASURE_TIME : TURBO_NEVER));
        break;
    default: assert(deadline == s->redial_at); break;
    }
}

/* Measuring has an end as soon as there is nothing more to be seen. */
static void check_measuring(const struct dialed *s)
{
    bool seen = s->tcp_ended || s->ended || (s->answered && s->heard) ||
                s->tcp_read > TURBO_STREAM_KEPT_MAX;
    assert(!seen || !turbo_client_uses_udp(s->client));
}

void dialed_check(struct dialed *s)
{
    enum turbo_client_state state = turbo_client_state(s->client);
    if (s->last >= TURBO_CLIENT_OPEN) /* OPEN is left for FAILED only, FAILED never */
        assert(state == s->last || state == TURBO_CLIENT_FAILED);
    bool opened = state == TURBO_CLIENT_OPEN && s->last != TURBO_CLIENT_OPEN;
    if (state >= TURBO_CLIENT_ASKING && s->last < TURBO_CLIENT_ASKING)
        s->asked_at = s->now;
    s->last = state;
    if (opened)
        check_opening(s);
    if (state == TURBO_CLIENT_OPEN)
        check_measuring(s);
    check_deadline(s);
    check_streams(s);
}

static void check_flight(const struct dialed *s, const struct turbo_client_report *report)
{
    assert(s->answered && report->flight_bytes == s->answered_after);
    assert(report->flight_chunks >= 1 && report->flight_chunks <= TURBO_CHUNKS_MAX);
    if (s->lied)
        return;
    uint32_t n = in_order(s);
    assert(report->flight_by_udp == (chunk_offset(s, n + 1) >= report->flight_bytes));
    if (report->flight_by_udp)
        assert(chunk_offset(s, report->flight_chunks) < report->flight_bytes &&
               chunk_offset(s, report->flight_chunks + 1u) >= report->flight_bytes);
}

void dialed_check_report(const struct dialed *s, const struct turbo_client_report *report)
{
    assert(report->trial == s->config.trial);
    assert(!report->asked || !s->config.paused);
    assert(report->responded == s->responded);
    assert(report->tcp_up_us == (s->up ? s->up_at - s->dialed_at : 0));
    if (report->unheard)
        assert(s->last == TURBO_CLIENT_FAILED && (s->tombstone ? !s->heard : s->responded));
    if (report->flight_known)
        check_flight(s, report);
    if (report->late_known)
        assert(report->flight_by_udp && report->late_us <= s->now - s->up_at);
}
