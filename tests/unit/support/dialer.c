#include "tests/unit/support/dialer.h"

#include <stdlib.h>

enum { C2S_STREAM = 78 };

void dialer_start(struct dialer *d, const struct turbo_client_config *config)
{
    d->memory = malloc(turbo_client_bytes());
    assert_non_null(d->memory);
    memset(d->memory, 0xa5, turbo_client_bytes());
    d->client = turbo_client_init(d->memory, config, DIAL_START);
    hello_simple(&d->hello, 0);
}

void dialer_start_plainly(struct dialer *d)
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, check_sha256);
    dialer_start(d, &config);
}

void dialer_start_always(struct dialer *d)
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, check_sha256);
    config.always = true;
    dialer_start(d, &config);
}

void dialer_stop(struct dialer *d)
{
    free(d->memory);
}

void dialer_hello(struct dialer *d, turbo_time now)
{
    size_t n = turbo_client_push(d->client, now, d->hello.bytes, d->hello.length);
    assert_int_equal(n, d->hello.length);
    turbo_id_from_hello(&d->id, check_sha256, d->hello.bytes, d->hello.length);
}

size_t dialer_poll_all(struct dialer *d)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    size_t count = 0;
    while (turbo_client_poll_datagram(d->client, out) > 0)
        count++;
    return count;
}

bool dialer_datagram(struct dialer *d, turbo_time now, uint8_t flags, uint32_t sequence,
                     const uint8_t *payload, size_t length)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram datagram = {
        .id = d->id, .flags = flags, .sequence = sequence, .payload = payload, .length = length};
    size_t n = turbo_datagram_encode(&datagram, bytes);
    return turbo_client_datagram(d->client, now, bytes, n);
}

bool dialer_response(struct dialer *d, turbo_time now, uint32_t sequence)
{
    uint8_t payload[TURBO_RESPONSE_PAYLOAD_MAX];
    check_fill(payload, DIAL_S2C_STREAM, (sequence - 1) * sizeof(payload), sizeof(payload));
    return dialer_datagram(d, now, TURBO_FLAG_PROFILE1, sequence, payload, sizeof(payload));
}

bool dialer_refused(struct dialer *d, turbo_time now)
{
    return dialer_datagram(d, now, TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED, 0, NULL, 0);
}

size_t dialer_read(struct dialer *d)
{
    const uint8_t *data;
    size_t total = 0, n;
    while ((n = turbo_client_peek(d->client, &data)) > 0) {
        for (size_t i = 0; i < n && total == 0; i++)
            assert_int_equal(data[i], check_byte(DIAL_S2C_STREAM, i));
        turbo_client_consume(d->client, n);
        total += n;
    }
    return total;
}

size_t dialer_write(struct dialer *d, turbo_time now, size_t length)
{
    static uint8_t bytes[HELLO_ROOM];
    assert_true(length <= sizeof(bytes));
    check_fill(bytes, C2S_STREAM, 0, length);
    return turbo_client_push(d->client, now, bytes, length);
}

void dialer_assert_abort(struct dialer *d)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_datagram datagram;
    assert_true(turbo_client_uses_udp(d->client));
    size_t n = turbo_client_poll_datagram(d->client, out);
    assert_int_equal(n, TURBO_HEADER_BYTES);
    assert_true(turbo_request_decode(&datagram, out, n));
    assert_memory_equal(datagram.id.bytes, d->id.bytes, TURBO_ID_BYTES);
    assert_int_equal(datagram.flags, TURBO_FLAG_ABORT);
    assert_int_equal(turbo_client_poll_datagram(d->client, out), 0);
    assert_false(turbo_client_uses_udp(d->client));
}

void dialer_assert_opening(struct dialer *d, int n)
{
    const uint8_t *data;
    assert_int_equal(turbo_client_state(d->client), TURBO_CLIENT_OPEN);
    size_t length = turbo_client_tcp_peek(d->client, &data);
    if (n >= 0) {
        struct turbo_tombstone tombstone;
        assert_true(length >= TURBO_TOMBSTONE_BYTES);
        assert_true(turbo_tombstone_decode(&tombstone, data));
        assert_memory_equal(tombstone.id.bytes, d->id.bytes, TURBO_ID_BYTES);
        assert_true(tombstone.replay);
        assert_int_equal(tombstone.consumed, n);
        data += TURBO_TOMBSTONE_BYTES;
        length -= TURBO_TOMBSTONE_BYTES;
    }
    size_t hello = length < d->hello.length ? length : d->hello.length;
    assert_memory_equal(data, d->hello.bytes, hello);
    for (size_t i = hello; i < length; i++)
        assert_int_equal(data[i], check_byte(C2S_STREAM, i - hello));
}
