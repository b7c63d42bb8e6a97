/* The client end's bytes: what it sends, takes, holds and drops: protocol §3 – §6. */
#include "tests/unit/support/dialer.h"

static struct dialer d;

#define T(milliseconds) (DIAL_START + (milliseconds)*TURBO_MILLISECOND)

enum { CHUNK = TURBO_RESPONSE_PAYLOAD_MAX };

#define TEST(name) TEST_BETWEEN(name, (void)0, dialer_stop(&d))

/* Reads requests into a stream; returns how many came. */
static size_t collect(uint8_t *stream, size_t *length)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    size_t n, count = 0;
    *length = 0;
    while ((n = turbo_client_poll_datagram(d.client, out)) > 0) {
        struct turbo_datagram request;
        assert_true(turbo_request_decode(&request, out, n));
        assert_memory_equal(request.id.bytes, d.id.bytes, TURBO_ID_BYTES);
        assert_int_equal(request.flags, 0);
        size_t at = (size_t)(request.sequence - 1) * TURBO_REQUEST_PAYLOAD_MAX;
        if (request.length > 0)
            memcpy(stream + at, request.payload, request.length);
        if (at + request.length > *length && request.length > 0)
            *length = at + request.length;
        count++;
    }
    return count;
}

TEST(requests_carry_the_hello_and_nothing_after_it) /* §3.5 */
{
    static uint8_t stream[TURBO_CHUNKS_MAX * TURBO_REQUEST_PAYLOAD_MAX];
    for (size_t i = 0; i < hello_fixture_count(); i++) {
        size_t length;
        if (i > 0)
            dialer_stop(&d);
        dialer_start_plainly(&d);
        hello_fixture(i, &d.hello);
        size_t hello = d.hello.length;
        check_fill(d.hello.bytes + hello, 3, 0, 500); /* early data in the same segment */
        turbo_client_push(d.client, T(1), d.hello.bytes, hello + 500);
        turbo_id_from_hello(&d.id, check_sha256, d.hello.bytes, hello);
        assert_int_equal(collect(stream, &length), TURBO_REQUESTS_UNPROVEN);
        assert_int_equal(length, hello);
        assert_memory_equal(stream, d.hello.bytes, hello);
        turbo_client_tcp_up(d.client, T(40));
        turbo_client_tick(d.client, T(45));
        d.hello.length = hello + 500;
        dialer_assert_opening(&d, -1);
    }
}

TEST(nothing_leaves_before_the_hello_is_complete) /* §3.6 */
{
    dialer_start_plainly(&d);
    for (size_t i = 0; i + 1 < d.hello.length; i++) {
        assert_int_equal(turbo_client_push(d.client, T(1), d.hello.bytes + i, 1), 1);
        assert_int_equal(dialer_poll_all(&d), 0);
    }
    turbo_client_push(d.client, T(1), d.hello.bytes + d.hello.length - 1, 1);
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN);
}

TEST(an_abort_takes_the_number_after_the_last) /* §3.8 */
{
    struct turbo_client_config config;
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_datagram datagram = {0};
    uint32_t highest = 0;
    turbo_client_config_init(&config, check_sha256);
    config.requests_max = TURBO_REQUESTS_MAX;
    config.expected_chunks = 12;
    dialer_start(&d, &config);
    hello_make(&d.hello,
               &(struct hello_spec){.size = 2368}); /* two chunks, and empty ones in the end */
    dialer_hello(&d, T(1));
    for (size_t n; (n = turbo_client_poll_datagram(d.client, out)) > 0;) {
        assert_true(turbo_request_decode(&datagram, out, n));
        highest = datagram.sequence > highest ? datagram.sequence : highest;
    }
    assert_true(highest > 2);
    turbo_client_abort(d.client, T(2));
    size_t n = turbo_client_poll_datagram(d.client, out);
    assert_true(turbo_request_decode(&datagram, out, n));
    assert_int_equal(datagram.flags, TURBO_FLAG_ABORT);
    assert_int_equal(datagram.sequence, highest + 1);
}

TEST(chunks_are_delivered_as_they_become_contiguous) /* §6.3 */
{
    const uint8_t *data;
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_true(dialer_response(&d, T(2), 3));
    assert_int_equal(turbo_client_peek(d.client, &data), 0);
    assert_true(dialer_response(&d, T(3), 1));
    assert_int_equal(turbo_client_peek(d.client, &data), CHUNK);
    turbo_client_consume(d.client, 100);
    assert_int_equal(turbo_client_peek(d.client, &data), CHUNK - 100);
    assert_int_equal(data[0], check_byte(DIAL_S2C_STREAM, 100));
    assert_true(dialer_response(&d, T(4), 2));
    assert_int_equal(turbo_client_peek(d.client, &data), 3 * CHUNK - 100);
    for (size_t i = 100; i < 3 * CHUNK; i++)
        assert_int_equal(data[i - 100], check_byte(DIAL_S2C_STREAM, i));
}

TEST(the_opening_cuts_udp_off_and_forgets_what_is_behind_a_gap) /* §6.6 */
{
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_true(dialer_response(&d, T(2), 1));
    assert_true(dialer_response(&d, T(2), 3));
    assert_int_equal(dialer_read(&d), CHUNK);
    dialer_write(&d, T(3), 10);
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, 1);
    assert_true(dialer_response(&d, T(41), 2)); /* would close the gap */
    assert_int_equal(dialer_read(&d), 0);
}

TEST(what_is_not_a_response_of_this_session_is_dropped) /* §3.4, 3.11, 3.12 */
{
    uint8_t bytes[CHUNK + 1] = {0};
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    d.id.bytes[11] ^= 1;
    assert_false(dialer_response(&d, T(2), 1));
    assert_false(dialer_refused(&d, T(2)));
    d.id.bytes[11] ^= 1;
    assert_false(turbo_client_datagram(d.client, T(2), bytes, 15));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1, 0, bytes, 1));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1, 65, bytes, 1));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1, 1, bytes, CHUNK + 1));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY, 1, bytes, 1));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY, 0, bytes, 9));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY, 65, bytes, 9));
    assert_false(dialer_datagram(&d, T(2), TURBO_FLAG_PROFILE1 | 0x80, 1, bytes, 9));
    assert_false(turbo_client_report(d.client).responded);
    assert_true(dialer_response(&d, T(3), 1));
    assert_true(dialer_response(&d, T(3), 1));
    assert_false(dialer_datagram(&d, T(3), TURBO_FLAG_PROFILE1, 1, bytes, CHUNK));
    assert_int_equal(dialer_read(&d), CHUNK);
}

TEST(no_datagram_counts_before_requests_were_sent)
{
    dialer_start_plainly(&d);
    turbo_id_from_hello(&d.id, check_sha256, d.hello.bytes, d.hello.length);
    assert_false(dialer_response(&d, T(1), 1));
    memset(&d.id, 0, sizeof(d.id));
    assert_false(dialer_response(&d, T(1), 1));
}

TEST(a_new_response_restarts_the_wait_up_to_50_ms_in_all) /* §6.5 */
{
    turbo_time last = 0;
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    turbo_client_tcp_up(d.client, T(80)); /* RTT / 8 is 10 ms */
    assert_int_equal(turbo_client_deadline(d.client), T(90));
    assert_true(dialer_response(&d, T(85), 2));
    assert_int_equal(turbo_client_deadline(d.client), T(95));
    assert_true(dialer_response(&d, T(94), 2)); /* a repeat restarts nothing */
    assert_int_equal(turbo_client_deadline(d.client), T(95));
    for (uint32_t k = 3; k < 12; k++) {
        turbo_time deadline = turbo_client_deadline(d.client);
        turbo_client_tick(d.client, deadline - 1);
        assert_true(dialer_response(&d, deadline - 1, k));
        last = turbo_client_deadline(d.client);
    }
    assert_int_equal(last, T(130));
    turbo_client_tick(d.client, last);
    dialer_assert_opening(&d, 0);
}

TEST(the_wait_is_an_eighth_of_the_round_trip_between_5_and_50_ms) /* §6.5 */
{
    static const struct {
        uint64_t rtt, wait;
    } cases[] = {{1, 5}, {40, 5}, {48, 6}, {200, 25}, {400, 50}, {3000, 50}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (i > 0)
            dialer_stop(&d);
        dialer_start_plainly(&d);
        dialer_hello(&d, T(1));
        turbo_client_tcp_up(d.client, T(cases[i].rtt));
        assert_int_equal(turbo_client_deadline(d.client), T(cases[i].rtt + cases[i].wait));
    }
}

TEST(the_wait_is_as_learned_where_something_was) /* §6.5 */
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, check_sha256);
    config.wait_us = 31 * TURBO_MILLISECOND;
    dialer_start(&d, &config);
    dialer_hello(&d, T(1));
    turbo_client_tcp_up(d.client, T(40));
    assert_int_equal(turbo_client_deadline(d.client), T(71));
    assert_true(dialer_response(&d, T(50), 1));
    assert_int_equal(turbo_client_deadline(d.client), T(81));
    assert_true(dialer_response(&d, T(70), 2));
    assert_int_equal(turbo_client_deadline(d.client), T(90)); /* 50 ms in all */
}

TEST(what_tcp_took_makes_room) /* no stall while the app does not read */
{
    const uint8_t *data;
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_true(dialer_response(&d, T(2), 1));
    size_t more = TURBO_CLIENT_HELD_MAX - d.hello.length;
    assert_int_equal(turbo_client_room(d.client), more);
    assert_int_equal(dialer_write(&d, T(3), more + 1000), more);
    assert_int_equal(turbo_client_room(d.client), 0);
    assert_int_equal(dialer_write(&d, T(3), 1), 0);
    turbo_client_tcp_up(d.client, T(40));
    turbo_client_tick(d.client, T(50));
    dialer_assert_opening(&d, 1);
    size_t n = turbo_client_tcp_peek(d.client, &data);
    assert_int_equal(n, TURBO_TOMBSTONE_BYTES + TURBO_CLIENT_HELD_MAX);
    turbo_client_tcp_consume(d.client, n);
    turbo_client_tick(d.client, T(50) + TURBO_MEASURE_TIME);
    assert_false(turbo_client_settled(d.client)); /* the app has not read chunk 1 */
    assert_int_equal(turbo_client_room(d.client), TURBO_CLIENT_HELD_MAX);
    assert_int_equal(turbo_client_push(d.client, T(51), (const uint8_t *)"more", 4), 4);
    assert_int_equal(turbo_client_tcp_peek(d.client, &data), 4);
    assert_memory_equal(data, "more", 4);
    turbo_client_tcp_consume(d.client, 4);
    assert_int_equal(dialer_read(&d), CHUNK);
    assert_true(turbo_client_settled(d.client));
}

TEST(the_opening_may_leave_byte_by_byte) /* §5.1 */
{
    const uint8_t *data;
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_true(dialer_response(&d, T(2), 1));
    assert_int_equal(dialer_read(&d), CHUNK);
    turbo_client_tcp_up(d.client, T(40));
    assert_int_equal(turbo_client_tcp_peek(d.client, &data), 0);
    dialer_write(&d, T(41), 10);
    turbo_client_tcp_read(d.client, T(42), 1); /* no more to be measured */
    size_t left = TURBO_TOMBSTONE_BYTES + d.hello.length + 10;
    for (; left > 0; left--) {
        assert_int_equal(turbo_client_tcp_peek(d.client, &data), left);
        assert_false(turbo_client_settled(d.client));
        turbo_client_tcp_consume(d.client, 1);
    }
    assert_true(turbo_client_settled(d.client));
}

TEST(unsent_is_what_another_attempt_must_say_again) /* §6.1e */
{
    const uint8_t *data;
    dialer_start_plainly(&d);
    assert_int_equal(turbo_client_unsent(d.client, &data), 0);
    dialer_hello(&d, T(1));
    dialer_write(&d, T(2), 30);
    assert_int_equal(turbo_client_unsent(d.client, &data), d.hello.length + 30);
    assert_memory_equal(data, d.hello.bytes, d.hello.length);
    assert_true(dialer_response(&d, T(3), 1));
    turbo_client_tcp_up(d.client, T(40));
    turbo_client_tick(d.client, T(90)); /* a tombstone goes before it, but is not of it */
    turbo_client_tcp_consume(d.client, TURBO_TOMBSTONE_BYTES - 1);
    assert_int_equal(turbo_client_unsent(d.client, &data), d.hello.length + 30);
    turbo_client_tcp_consume(d.client, 1 + 7);
    assert_int_equal(turbo_client_unsent(d.client, &data), d.hello.length + 30 - 7);
    assert_int_equal(data[0], d.hello.bytes[7]);
}

TEST(after_the_apps_end_no_byte_is_taken)
{
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    turbo_client_push_end(d.client, T(2));
    assert_true(turbo_client_ended(d.client));
    assert_int_equal(turbo_client_state(d.client), TURBO_CLIENT_ASKING);
    assert_int_equal(turbo_client_room(d.client), 0);
    assert_int_equal(dialer_write(&d, T(3), 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(requests_carry_the_hello_and_nothing_after_it),
        CASE(nothing_leaves_before_the_hello_is_complete),
        CASE(an_abort_takes_the_number_after_the_last),
        CASE(chunks_are_delivered_as_they_become_contiguous),
        CASE(the_opening_cuts_udp_off_and_forgets_what_is_behind_a_gap),
        CASE(what_is_not_a_response_of_this_session_is_dropped),
        CASE(no_datagram_counts_before_requests_were_sent),
        CASE(a_new_response_restarts_the_wait_up_to_50_ms_in_all),
        CASE(the_wait_is_an_eighth_of_the_round_trip_between_5_and_50_ms),
        CASE(the_wait_is_as_learned_where_something_was),
        CASE(what_tcp_took_makes_room),
        CASE(the_opening_may_leave_byte_by_byte),
        CASE(unsent_is_what_another_attempt_must_say_again),
        CASE(after_the_apps_end_no_byte_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
