/* Parity at the client end: what it brings back, and what it counts for: protocol §9.3, 9.4. */
#include "tests/unit/support/dialer.h"

static struct dialer d;

#define T(milliseconds) (DIAL_START + (milliseconds)*TURBO_MILLISECOND)

enum { CHUNK = TURBO_RESPONSE_PAYLOAD_MAX, PARITY = TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY };

static void set_up(void)
{
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN);
}

#define TEST(name) TEST_BETWEEN(name, set_up(), dialer_stop(&d))

static struct turbo_client_report report(void)
{
    return turbo_client_report(d.client);
}

static void respond(turbo_time now, uint32_t number)
{
    assert_true(dialer_response(&d, now, number));
}

/* Parity of chunks 1..count, all of them full, comes as that of 1..covered. */
static bool parity_as(turbo_time now, uint32_t count, uint32_t covered)
{
    uint8_t sum[2 + CHUNK] = {0}, chunk[CHUNK];
    for (uint32_t k = 1; k <= count; k++) {
        check_fill(chunk, DIAL_S2C_STREAM, (k - 1) * sizeof(chunk), sizeof(chunk));
        sum[0] ^= CHUNK >> 8;
        sum[1] ^= (uint8_t)CHUNK;
        for (size_t i = 0; i < CHUNK; i++)
            sum[2 + i] ^= chunk[i];
    }
    return dialer_datagram(&d, now, PARITY, covered, sum, sizeof(sum));
}

static bool parity(turbo_time now, uint32_t count)
{
    return parity_as(now, count, count);
}

TEST(parity_makes_up_for_any_one_chunk_whatever_comes_first)
{
    for (uint32_t lost = 1; lost <= 3; lost++) {
        for (int parity_first = 0; parity_first < 2; parity_first++) {
            dialer_stop(&d);
            dialer_start_plainly(&d);
            dialer_hello(&d, T(1));
            if (parity_first)
                assert_true(parity(T(30), 3));
            for (uint32_t k = 1; k <= 3; k++)
                if (k != lost)
                    respond(T(30), k);
            if (!parity_first)
                assert_true(parity(T(30), 3));
            assert_int_equal(dialer_read(&d), 3 * CHUNK);
            assert_true(report().rebuilt);
            respond(T(30), 4);
            assert_true(report().rebuilt); /* still */
            respond(T(31), lost);          /* it comes after all: the same */
            dialer_write(&d, T(31), 80);
            turbo_client_tcp_up(d.client, T(40));
            dialer_assert_opening(&d, 4); /* it counts in n */
        }
    }
}

TEST(parity_alone_is_a_response) /* §9.4 */
{
    turbo_client_tcp_up(d.client, T(40));
    assert_true(parity(T(44), 3));
    assert_true(report().responded);
    assert_int_equal(turbo_client_deadline(d.client), T(49)); /* the wait begins again */
    assert_true(parity(T(46), 3));
    assert_int_equal(turbo_client_deadline(d.client), T(49)); /* a repeat restarts nothing */
    assert_true(dialer_refused(&d, T(47)));
    turbo_client_tick(d.client, T(49));
    dialer_assert_opening(&d, 0);
    assert_false(report().rebuilt);
}

TEST(only_the_first_parity_is_taken) /* §3.4, 9.1 */
{
    assert_true(parity(T(30), 3));
    assert_false(parity(T(31), 2));
    assert_false(parity_as(T(31), 3, 2)); /* nor the same for other chunks */
    respond(T(32), 1);
    assert_false(report().rebuilt); /* of two chunks, it would have brought the second */
    respond(T(33), 3);
    assert_int_equal(dialer_read(&d), 3 * CHUNK);
}

TEST(a_chunk_that_contradicts_a_rebuilt_one_is_dropped) /* §3.4 */
{
    static const uint8_t other[CHUNK];
    parity(T(30), 2);
    respond(T(30), 1);
    assert_false(dialer_datagram(&d, T(31), TURBO_FLAG_PROFILE1, 2, other, CHUNK));
    assert_int_equal(dialer_read(&d), 2 * CHUNK);
}

TEST(parity_that_comes_late_completes_the_measure_and_not_the_stream) /* §6.6 */
{
    respond(T(30), 1);
    turbo_client_tcp_up(d.client, T(40));
    turbo_client_tick(d.client, T(45));
    dialer_assert_opening(&d, 1);
    respond(T(50), 3);
    assert_true(parity(T(51), 3));
    assert_int_equal(dialer_read(&d), CHUNK);
    turbo_client_tcp_read(d.client, T(80), 2 * CHUNK);
    dialer_write(&d, T(81), 80);
    assert_true(report().flight_by_udp);
    assert_int_equal(report().flight_chunks, 3);
    assert_int_equal(report().late_us, 11 * TURBO_MILLISECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(parity_makes_up_for_any_one_chunk_whatever_comes_first),
        CASE(parity_alone_is_a_response),
        CASE(only_the_first_parity_is_taken),
        CASE(a_chunk_that_contradicts_a_rebuilt_one_is_dropped),
        CASE(parity_that_comes_late_completes_the_measure_and_not_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
