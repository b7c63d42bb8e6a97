/* A session's bytes at the server end: chunks, permits, what is kept, what TCP repeats. */
#include "tests/unit/support/edge.h"

static struct edge e;
static struct hello hello;
static struct turbo_id id;
static struct turbo_server *s;

#define T(microseconds) (TURBO_SECOND * 5 + (microseconds))

enum { CHUNK = TURBO_RESPONSE_PAYLOAD_MAX };

static void begin(size_t hello_size)
{
    hello_make(&hello, &(struct hello_spec){.server_name = "a.example", .size = hello_size});
    id = edge_id(&hello);
    edge_start(&e, EDGE_SESSIONS, EDGE_ENDED);
    s = edge_session(&e, T(0), &hello);
}

static void end(void)
{
    turbo_server_release(s, T(0));
    edge_stop(&e);
}

#define TEST(name) TEST_BETWEEN(name, begin(1000), end())

/* More requests: copies of chunk 1, each a permit and 3048 bytes. */
static void permit(turbo_time now, int count)
{
    struct turbo_path path = check_path(1, 1);
    while (count-- > 0)
        edge_request(&e, now, &path, &id, &hello, 1);
}

static void assert_response(turbo_time now, uint32_t sequence, size_t from, size_t length)
{
    struct turbo_datagram response;
    assert_int_equal(edge_poll(&e, now, &response, NULL), TURBO_HEADER_BYTES + length);
    assert_int_equal(response.flags, TURBO_FLAG_PROFILE1);
    assert_int_equal(response.sequence, sequence);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(response.payload[i], check_byte(EDGE_S2C_STREAM, from + i));
}

static void join(uint32_t n, bool replay)
{
    struct turbo_server *joined = NULL;
    assert_int_equal(edge_tombstone(&e, T(90000), &id, replay, n, &joined), TURBO_JOIN_SESSION);
    assert_ptr_equal(joined, s);
}

TEST(full_chunks_leave_at_once_and_a_shorter_one_after_half_a_millisecond) /* §7.2b */
{
    permit(T(0), 3);
    assert_int_equal(edge_push(s, T(0), 0, CHUNK + 100), CHUNK + 100);
    assert_response(T(0), 1, 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 0);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(TURBO_HOLD_TIME));
    turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME - 1));
    assert_int_equal(edge_poll_all(&e, T(TURBO_HOLD_TIME - 1)), 0);
    turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME));
    assert_response(T(TURBO_HOLD_TIME), 2, CHUNK, 100);
    assert_int_equal(edge_poll_all(&e, T(TURBO_HOLD_TIME)), 0);
}

TEST(more_bytes_fill_a_chunk_that_is_held) /* §7.2b */
{
    permit(T(0), 3);
    edge_push(s, T(0), 0, 100);
    assert_int_equal(edge_poll_all(&e, T(0)), 0);
    edge_push(s, T(300), 100, CHUNK - 100);
    assert_response(T(300), 1, 0, CHUNK);
    /* The next piece has a hold of its own. */
    edge_push(s, T(400), CHUNK, 50);
    turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME + 399));
    assert_int_equal(edge_poll_all(&e, T(TURBO_HOLD_TIME + 399)), 0);
    turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME + 400));
    assert_response(T(TURBO_HOLD_TIME + 400), 2, CHUNK, 50);
}

TEST(there_is_no_response_without_a_permit) /* §4.1 */
{
    edge_push(s, T(0), 0, (size_t)3 * CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    for (uint32_t k = 2; k <= 3; k++) {
        permit(T(10), 1);
        assert_response(T(10), k, (k - 1) * (size_t)CHUNK, CHUNK);
        assert_int_equal(edge_poll_all(&e, T(10)), 0);
    }
}

TEST(a_chunk_cut_small_for_want_of_a_permit_is_not_sent_small_later) /* §7.2b: cut when sent */
{
    struct turbo_path path = check_path(1, 1);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    edge_push(s, T(1), CHUNK, 10);
    turbo_endpoint_tick(e.endpoint, T(2000)); /* it may leave short, but nothing pays for it */
    edge_push(s, T(2000), CHUNK + 10, CHUNK);
    edge_request(&e, T(2001), &path, &id, &hello, 1);
    assert_response(T(2001), 2, CHUNK, CHUNK);
}

TEST(three_bytes_for_one_and_no_more) /* §4.1 */
{
    struct turbo_path path = check_path(7, 7);
    /* Empty requests: many permits, 48 bytes each. */
    edge_push(s, T(0), 0, (size_t)4 * CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    for (uint32_t k = 2; k < 26; k++)
        edge_request(&e, T(1), &path, &id, &hello, k);
    assert_int_equal(edge_poll_all(&e, T(1)), 0); /* 24 × 48 is 1152 */
    edge_request(&e, T(1), &path, &id, &hello, 26);
    assert_int_equal(edge_poll_all(&e, T(1)), 1); /* 1200 */
    edge_request(&e, T(1), &path, &id, &hello, 27);
    assert_int_equal(edge_poll_all(&e, T(1)), 0);
}

TEST(spare_permits_repeat_chunks_in_rounds_when_all_is_quiet) /* §4.5 */
{
    permit(T(0), 6);
    edge_push(s, T(0), 0, CHUNK + 10);
    turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME));
    assert_int_equal(edge_poll_all(&e, T(TURBO_HOLD_TIME)), 2);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(TURBO_QUIET_TIME));
    turbo_endpoint_tick(e.endpoint, T(TURBO_QUIET_TIME - 1));
    assert_int_equal(edge_poll_all(&e, T(TURBO_QUIET_TIME - 1)), 0);
    turbo_endpoint_tick(e.endpoint, T(TURBO_QUIET_TIME));
    struct turbo_datagram parity; /* of which elsewhere */
    assert_true(edge_poll(&e, T(TURBO_QUIET_TIME), &parity, NULL) > 0);
    for (int round = 0; round < 2; round++) {
        assert_response(T(TURBO_QUIET_TIME), 1, 0, CHUNK);
        assert_response(T(TURBO_QUIET_TIME), 2, CHUNK, 10);
    }
    assert_int_equal(edge_poll_all(&e, T(TURBO_QUIET_TIME)), 0);
    /* New bytes end the quiet. */
    edge_push(s, T(20000), CHUNK + 10, 20);
    permit(T(20000), 2);
    assert_int_equal(edge_poll_all(&e, T(20000)), 0);
    turbo_endpoint_tick(e.endpoint, T(20000 + TURBO_HOLD_TIME));
    assert_response(T(20000 + TURBO_HOLD_TIME), 3, CHUNK + 10, 20);
    assert_int_equal(edge_poll_all(&e, T(20000 + TURBO_HOLD_TIME)), 0);
}

TEST(nothing_is_repeated_before_everything_was_sent) /* §4.5 */
{
    struct turbo_path path = check_path(1, 1);
    permit(T(0), 1);
    edge_push(s, T(0), 0, (size_t)3 * CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 2);
    turbo_endpoint_tick(e.endpoint, T(50000));
    edge_request(&e, T(50000), &path, &id, &hello, 9); /* a permit, but not the bytes */
    permit(T(50000), 1);
    assert_response(T(50000), 3, (size_t)2 * CHUNK, CHUNK);
}

TEST(at_most_64_kib_and_64_chunks_are_kept_for_tcp) /* §3.3, 7.2c */
{
    struct turbo_datagram response;
    uint32_t highest = 0;
    permit(T(0), 200);
    assert_int_equal(turbo_server_room(s), TURBO_STREAM_KEPT_MAX);
    assert_int_equal(edge_push(s, T(0), 0, TURBO_STREAM_KEPT_MAX + 10), TURBO_STREAM_KEPT_MAX);
    assert_int_equal(turbo_server_room(s), 0);
    assert_int_equal(edge_push(s, T(0), 0, 1), 0);
    turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME));
    while (edge_poll(&e, T(TURBO_HOLD_TIME), &response, NULL) > 0)
        highest = response.sequence;
    assert_int_equal(highest, (TURBO_STREAM_KEPT_MAX + CHUNK - 1) / CHUNK);
    join(highest, true);
    edge_assert_tcp(s, 0, 0);
}

TEST(after_64_short_chunks_the_rest_waits_for_tcp) /* §3.3, 4.4 */
{
    size_t sent = 0;
    permit(T(0), 200);
    for (turbo_time now = 0; now < 100 * TURBO_HOLD_TIME; now += TURBO_HOLD_TIME) {
        turbo_endpoint_tick(e.endpoint, T(now));
        sent += edge_poll_all(&e, T(now));
        assert_int_equal(edge_push(s, T(now), (size_t)(now / TURBO_HOLD_TIME) * 10, 10), 10);
    }
    assert_int_equal(sent, TURBO_CHUNKS_MAX);
    join(TURBO_CHUNKS_MAX, true);
    edge_assert_tcp(s, 640, 360);
}

TEST(tcp_goes_on_behind_chunk_n_whatever_was_sent) /* §5.5 */
{
    for (uint32_t n = 0; n <= 3; n++) {
        if (n > 0) {
            end();
            begin(1000);
        }
        permit(T(0), 2);
        edge_push(s, T(0), 0, (size_t)2 * CHUNK + 300);
        turbo_endpoint_tick(e.endpoint, T(TURBO_HOLD_TIME));
        assert_int_equal(edge_poll_all(&e, T(TURBO_HOLD_TIME)), 3);
        edge_push(s, T(TURBO_HOLD_TIME), (size_t)2 * CHUNK + 300, 50);
        edge_assert_tcp(s, 0, 0); /* not before the join */
        join(n, true);
        size_t from = n == 3 ? (size_t)2 * CHUNK + 300 : n * (size_t)CHUNK;
        size_t left = (size_t)2 * CHUNK + 350 - from;
        edge_assert_tcp(s, from, left);
        turbo_server_tcp_consume(s, 20);
        edge_assert_tcp(s, from + 20, left - 20);
        assert_int_equal(turbo_server_report(s).outcome, TURBO_OUTCOME_RESUMED);
    }
}

TEST(a_number_above_the_highest_chunk_sent_cannot_be_continued) /* §5.9 */
{
    struct turbo_server *joined = NULL;
    edge_push(s, T(0), 0, (size_t)2 * CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    assert_int_equal(edge_tombstone(&e, T(10), &id, true, 2, &joined), TURBO_JOIN_RESET);
    assert_int_equal(turbo_endpoint_counters(e.endpoint).unknown, 1);
    join(1, true); /* the session was left as it was */
}

TEST(the_tls_servers_end_is_kept_for_tcp) /* §7.2d */
{
    for (int i = 0; i < 2; i++) {
        enum turbo_end how = i == 0 ? TURBO_END_FIN : TURBO_END_RESET;
        if (i > 0) {
            end();
            begin(1000);
        }
        assert_int_equal(turbo_server_end(s), TURBO_END_NONE);
        edge_push(s, T(0), 0, 700);
        turbo_server_push_end(s, how);
        turbo_endpoint_tick(e.endpoint, T(5000));
        assert_int_equal(edge_poll_all(&e, T(5000)), 1);
        edge_assert_no_event(&e);
        join(0, true);
        edge_assert_tcp(s, 0, 700);
        assert_int_equal(turbo_server_end(s), how);
    }
}

TEST(what_tcp_repeats_is_compared_in_any_pieces) /* §5.6 */
{
    join(0, true);
    size_t left = hello.length;
    for (size_t n = 1; left > 0; left -= n, n = n + 3 < left ? n + 3 : left) {
        assert_int_equal(turbo_server_replay_left(s), left);
        assert_true(turbo_server_replay(s, hello.bytes + hello.length - left, n));
    }
    assert_int_equal(turbo_server_replay_left(s), 0);
    assert_true(turbo_server_replay(s, NULL, 0));
}

TEST(any_difference_is_noticed) /* §5.6 */
{
    for (size_t at = 0; at < hello.length; at += at < 990 ? 33 : 1) {
        if (at > 0) {
            end();
            begin(1000);
        }
        join(0, true);
        hello.bytes[at] ^= 0x80;
        assert_false(turbo_server_replay(s, hello.bytes, hello.length));
    }
}

TEST(an_identical_classic_opening_adopts_the_session) /* §5.4 */
{
    struct turbo_server *adopted = NULL;
    permit(T(0), 3);
    edge_push(s, T(0), 0, (size_t)2 * CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 2);
    assert_int_equal(
        turbo_endpoint_adopt(e.endpoint, T(10), hello.bytes, hello.length, NULL, &adopted),
        TURBO_JOIN_SESSION);
    assert_ptr_equal(adopted, s);
    edge_assert_tcp(s, 0, (size_t)2 * CHUNK);
    assert_int_equal(turbo_server_replay_left(s), hello.length);
    assert_int_equal(turbo_server_report(s).reason, TURBO_REASON_ADOPTED);
    assert_int_equal(turbo_endpoint_counters(e.endpoint).adopted, 1);
    assert_int_equal(turbo_endpoint_counters(e.endpoint).joined, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(full_chunks_leave_at_once_and_a_shorter_one_after_half_a_millisecond),
        CASE(more_bytes_fill_a_chunk_that_is_held),
        CASE(there_is_no_response_without_a_permit),
        CASE(a_chunk_cut_small_for_want_of_a_permit_is_not_sent_small_later),
        CASE(three_bytes_for_one_and_no_more),
        CASE(spare_permits_repeat_chunks_in_rounds_when_all_is_quiet),
        CASE(nothing_is_repeated_before_everything_was_sent),
        CASE(at_most_64_kib_and_64_chunks_are_kept_for_tcp),
        CASE(after_64_short_chunks_the_rest_waits_for_tcp),
        CASE(tcp_goes_on_behind_chunk_n_whatever_was_sent),
        CASE(a_number_above_the_highest_chunk_sent_cannot_be_continued),
        CASE(the_tls_servers_end_is_kept_for_tcp),
        CASE(what_tcp_repeats_is_compared_in_any_pieces),
        CASE(any_difference_is_noticed),
        CASE(an_identical_classic_opening_adopts_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
