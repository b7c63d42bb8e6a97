/* Parity at the server end: when it leaves, what it says and who pays: protocol §4.1, 4.5, 9. */
#include "tests/unit/support/edge.h"

static struct edge e;
static struct hello hello;
static struct turbo_id id;
static struct turbo_server *s;

#define T(microseconds) (TURBO_SECOND * 5 + (microseconds))

enum { CHUNK = TURBO_RESPONSE_PAYLOAD_MAX, PARITY = TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY };

/* One permit and three times the bytes are there already: the ClientHello's own. */
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

static struct turbo_endpoint_counters counters(void)
{
    return turbo_endpoint_counters(e.endpoint);
}

/* Copies of the ClientHello: each a permit and 3048 bytes. */
static void permit(turbo_time now, int count)
{
    struct turbo_path path = check_path(1, 1);
    while (count-- > 0)
        edge_request(&e, now, &path, &id, &hello, 1);
}

/* Time goes by; returns how many datagrams leave then. */
static size_t tick(turbo_time now)
{
    turbo_endpoint_tick(e.endpoint, now);
    return edge_poll_all(&e, now);
}

/* The next datagram is the parity of chunks 1..m, each full but the last, which has `last` bytes.
 */
static void assert_parity(turbo_time now, uint32_t m, size_t last)
{
    struct turbo_datagram response;
    uint8_t sum[2 + CHUNK] = {0};
    size_t longest = m > 1 ? CHUNK : last;
    for (uint32_t k = 1; k <= m; k++) {
        size_t length = k < m ? CHUNK : last;
        sum[0] ^= (uint8_t)(length >> 8);
        sum[1] ^= (uint8_t)length;
        for (size_t i = 0; i < length; i++)
            sum[2 + i] ^= check_byte(EDGE_S2C_STREAM, (k - 1) * (size_t)CHUNK + i);
    }
    turbo_endpoint_tick(e.endpoint, now);
    assert_int_equal(edge_poll(&e, now, &response, NULL), TURBO_HEADER_BYTES + 2 + longest);
    assert_int_equal(response.flags, PARITY);
    assert_int_equal(response.sequence, m);
    assert_memory_equal(response.id.bytes, id.bytes, TURBO_ID_BYTES);
    assert_memory_equal(response.payload, sum, 2 + longest);
}

/* ---- when ---- */

TEST(it_leaves_3_ms_after_the_last_byte) /* §9.1 */
{
    permit(T(0), 4);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    edge_push(s, T(700), CHUNK, CHUNK); /* it begins anew */
    assert_int_equal(edge_poll_all(&e, T(700)), 1);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(700 + TURBO_QUIET_TIME));
    assert_int_equal(tick(T(699 + TURBO_QUIET_TIME)), 0);
    assert_parity(T(700 + TURBO_QUIET_TIME), 2, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(700 + TURBO_QUIET_TIME)), 2); /* permits to spare */
    assert_int_equal(counters().parities, 1);
    assert_int_equal(counters().responses, 5);
}

TEST(where_the_records_show_the_flights_end_it_leaves_after_1_ms) /* §7.2f */
{
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40};
    struct turbo_datagram response;
    permit(T(0), 1);
    assert_int_equal(turbo_server_push(s, T(0), alert, sizeof(alert)), sizeof(alert));
    assert_int_equal(edge_poll_all(&e, T(0)), 1); /* nor is it held */
    permit(T(1), 1);
    assert_int_equal(tick(T(TURBO_QUIET_TIME_ENDED - 1)), 0);
    turbo_endpoint_tick(e.endpoint, T(TURBO_QUIET_TIME_ENDED));
    assert_int_equal(edge_poll(&e, T(TURBO_QUIET_TIME_ENDED), &response, NULL),
                     TURBO_HEADER_BYTES + 2 + sizeof(alert));
    assert_int_equal(response.flags, PARITY);
}

TEST(it_covers_any_number_of_chunks_and_is_as_long_as_the_longest) /* §9.2 */
{
    static const size_t flights[] = {1, 50, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 70, 9 * CHUNK};
    for (size_t i = 0; i < COUNT(flights); i++) {
        end();
        begin(1000);
        permit(T(0), 14);
        uint32_t chunks = (uint32_t)((flights[i] + CHUNK - 1) / CHUNK);
        edge_push(s, T(0), 0, flights[i]);
        assert_int_equal(edge_poll_all(&e, T(0)) + tick(T(TURBO_HOLD_TIME)), chunks);
        assert_parity(T(TURBO_QUIET_TIME), chunks, flights[i] - (chunks - 1) * (size_t)CHUNK);
    }
}

TEST(it_leaves_once_whatever_comes_after) /* §9.1 */
{
    permit(T(0), 9);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    assert_parity(T(3000), 1, CHUNK);
    edge_push(s, T(3500), CHUNK, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(3500)), 1);
    assert_int_equal(tick(T(6400)), 0);
    permit(T(6450), 3);
    assert_int_equal(edge_poll_all(&e, T(6450)), 0);
    assert_true(tick(T(6500)) > 0); /* chunks, repeated */
    assert_int_equal(counters().parities, 1);
}

TEST(it_waits_until_everything_was_sent)
{
    edge_push(s, T(0), 0, 2 * CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1); /* one permit */
    assert_int_equal(tick(T(4000)), 0);
    permit(T(4000), 1);
    assert_int_equal(edge_poll_all(&e, T(4000)), 1); /* chunk 2 */
    permit(T(4100), 2);
    assert_parity(T(4100), 2, CHUNK);
}

TEST(new_bytes_put_it_off)
{
    permit(T(0), 1);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    assert_int_equal(tick(T(2900)), 0);
    edge_push(s, T(2950), CHUNK, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(2950)), 1);
    permit(T(2960), 2);
    assert_int_equal(tick(T(3000)), 0);
    assert_parity(T(5950), 2, CHUNK);
}

TEST(without_a_byte_there_is_none)
{
    permit(T(0), 9);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(TURBO_PENDING_TIME));
    assert_int_equal(tick(T(5000)), 0);
}

TEST(behind_the_join_there_is_none)
{
    struct turbo_server *joined = NULL;
    permit(T(0), 4);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    assert_int_equal(edge_tombstone(&e, T(500), &id, true, 1, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), TURBO_NEVER);
    assert_int_equal(tick(T(6000)), 0);
}

/* ---- who pays ---- */

TEST(the_last_permit_is_not_spent_on_it) /* §9.1: a chunk may follow */
{
    struct turbo_datagram response;
    permit(T(0), 1);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    turbo_endpoint_tick(e.endpoint, T(3000));
    assert_true(edge_poll(&e, T(3000), &response, NULL) > 0);
    assert_int_equal(response.flags,
                     TURBO_FLAG_PROFILE1); /* a repeat costs no more, and says more */
    permit(T(3100), 2);                    /* now there are two, and still no byte came */
    assert_parity(T(3100), 1, CHUNK);
    edge_push(s, T(3200), CHUNK, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(3200)), 1);
    assert_int_equal(edge_poll_all(&e, T(3200)), 0);
}

TEST(permits_of_two_addresses_are_not_two_of_one) /* §4.2 */
{
    struct turbo_path other = check_path(1, 2);
    struct turbo_datagram response;
    struct turbo_path to;
    permit(T(0), 1);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1); /* one is left there */
    edge_request(&e, T(10), &other, &id, &hello, 1);
    assert_int_equal(tick(T(3000)), 2); /* repeats */
    assert_int_equal(counters().parities, 0);
    edge_request(&e, T(3100), &other, &id, &hello, 1);
    edge_request(&e, T(3100), &other, &id, &hello, 1);
    assert_true(edge_poll(&e, T(3100), &response, &to) > 0);
    assert_int_equal(response.flags, PARITY);
    assert_int_equal(to.peer.port, other.peer.port);
}

TEST(it_is_never_beyond_three_times_the_bytes) /* §4.1 */
{
    struct turbo_path path = check_path(1, 1);
    end();
    begin(400); /* 3 × 416 is 1248: one chunk, and 50 bytes */
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    for (uint32_t k = 2; k < 26; k++) /* 24 × 48 is 1152: 1202 in all */
        edge_request(&e, T(1), &path, &id, &hello, k);
    assert_parity(T(3000), 1, CHUNK); /* 1200 */
    end();
    begin(400);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    for (uint32_t k = 2; k < 25; k++)
        edge_request(&e, T(1), &path, &id, &hello, k);
    assert_int_equal(tick(T(3000)), 0); /* 1154 */
    assert_int_equal(counters().parities, 0);
}

/* A flight of 500 bytes takes 516 of 648, and its parity is 518; each empty request brings 48. */
static void earn_beyond_a_flight(uint32_t requests)
{
    struct turbo_path path = check_path(1, 1);
    end();
    begin(200);
    edge_push(s, T(0), 0, 500);
    assert_int_equal(tick(T(TURBO_HOLD_TIME)), 1);
    for (uint32_t k = 2; k < 2 + requests; k++)
        edge_request(&e, T(600), &path, &id, &hello, k);
}

TEST(where_the_bytes_are_short_chunks_are_repeated_without_it)
{
    struct turbo_datagram response;
    earn_beyond_a_flight(9);
    assert_parity(T(3000), 1, 500);
    earn_beyond_a_flight(8);
    assert_int_equal(tick(T(1000)), 0);
    turbo_endpoint_tick(e.endpoint, T(TURBO_QUIET_TIME));
    assert_int_equal(edge_poll(&e, T(TURBO_QUIET_TIME), &response, NULL), 516);
    assert_int_equal(response.flags, TURBO_FLAG_PROFILE1);
    assert_int_equal(edge_poll_all(&e, T(TURBO_QUIET_TIME)), 0);
}

TEST(spare_permits_repeat_chunks_behind_it) /* §4.5 */
{
    struct turbo_datagram response;
    permit(T(0), 3);
    edge_push(s, T(0), 0, CHUNK);
    assert_int_equal(edge_poll_all(&e, T(0)), 1);
    assert_parity(T(TURBO_QUIET_TIME), 1, CHUNK);
    for (int i = 0; i < 2; i++) {
        assert_true(edge_poll(&e, T(TURBO_QUIET_TIME), &response, NULL) > 0);
        assert_int_equal(response.flags, TURBO_FLAG_PROFILE1);
    }
    assert_int_equal(edge_poll_all(&e, T(TURBO_QUIET_TIME)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_leaves_3_ms_after_the_last_byte),
        CASE(where_the_records_show_the_flights_end_it_leaves_after_1_ms),
        CASE(it_covers_any_number_of_chunks_and_is_as_long_as_the_longest),
        CASE(it_leaves_once_whatever_comes_after),
        CASE(it_waits_until_everything_was_sent),
        CASE(new_bytes_put_it_off),
        CASE(without_a_byte_there_is_none),
        CASE(behind_the_join_there_is_none),
        CASE(the_last_permit_is_not_spent_on_it),
        CASE(permits_of_two_addresses_are_not_two_of_one),
        CASE(it_is_never_beyond_three_times_the_bytes),
        CASE(where_the_bytes_are_short_chunks_are_repeated_without_it),
        CASE(spare_permits_repeat_chunks_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
