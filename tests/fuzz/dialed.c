#include "tests/fuzz/dialed.h"

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
    uint8_t payload[TURBO_RESPONSE_PAYLOAD_MAX];
    struct turbo_datagram d = {
        .id = s->id, .flags = TURBO_FLAG_PROFILE1, .sequence = k, .payload = payload};
    d.length = chunk_length(s, k);
    check_fill(payload, S2C_STREAM, chunk_offset(s, k), d.length);
    return turbo_datagram_encode(&d, out);
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
    assert(turbo_id_equal(&d.id, &s->id));
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

/* Once, when the opening has been composed. */
static void check_opening(struct dialed *s)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(s->client, &data);
    s->frozen = s->consumed + turbo_client_peek(s->client, &data);
    turbo_client_tcp_peek(s->client, &data);
    s->tombstone = length == s->pushed_length + TURBO_TOMBSTONE_BYTES;
    if (!s->tombstone) {
        assert(length == s->pushed_length);
        assert(s->frozen == 0); /* what the app was given must be accounted for */
        return;
    }
    struct turbo_tombstone tombstone;
    assert(turbo_tombstone_decode(&tombstone, data) && tombstone.replay);
    assert(turbo_id_equal(&tombstone.id, &s->id));
    for (uint32_t k = 1; k <= tombstone.consumed; k++)
        assert((s->fed >> (k - 1) & 1) != 0);
    if (!s->lied)
        assert(s->frozen == chunk_offset(s, tombstone.consumed + 1));
}

static void check_streams(struct dialed *s)
{
    const uint8_t *data;
    size_t length = turbo_client_unsent(s->client, &data);
    assert(length == s->pushed_length - s->tcp_taken);
    assert(length == 0 || memcmp(data, s->pushed + s->tcp_taken, length) == 0);

    size_t front = s->tombstone ? TURBO_TOMBSTONE_BYTES - s->tombstone_taken : 0;
    size_t tcp = turbo_client_tcp_peek(s->client, &data);
    assert(tcp == (s->last == TURBO_CLIENT_OPEN ? front + length : 0));
    assert(tcp <= front || memcmp(data + front, s->pushed + s->tcp_taken, length) == 0);

    size_t s2c = turbo_client_peek(s->client, &data);
    if (s->last == TURBO_CLIENT_OPEN)
        assert(s->consumed + s2c == s->frozen); /* no byte from UDP any more */
    if (s->last == TURBO_CLIENT_FAILED)
        assert(s2c == 0);
    /* What was looked at before is looked at in places only, for speed. */
    for (size_t i = 0; !s->lied && i < s2c; i += s->consumed + i < s->seen ? 61 : 1)
        assert(data[i] == check_byte(S2C_STREAM, s->consumed + i));
    s->seen = s->consumed + s2c;
    assert(turbo_client_settled(s->client) ==
           (s->last == TURBO_CLIENT_OPEN && tcp == 0 && s2c == 0));
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
    turbo_time deadline = turbo_client_deadline(s->client);
    assert((deadline != TURBO_NEVER) == (state == TURBO_CLIENT_WAITING));
    if (state == TURBO_CLIENT_WAITING)
        assert(deadline <= (s->up_at > s->asked_at ? s->up_at : s->asked_at) + TURBO_WAIT_MAX);
    if (state == TURBO_CLIENT_OPEN)
        assert(!turbo_client_uses_udp(s->client));
    check_streams(s);
}
