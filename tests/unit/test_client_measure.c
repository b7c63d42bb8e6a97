/* What a connection teaches: the flight is measured until after the opening: protocol
 * §4.8, 6.5, 6.6, 6.9. */
#include "tests/unit/support/dialer.h"

static struct dialer d;

#define T(milliseconds) (DIAL_START + (milliseconds)*TURBO_MILLISECOND)

enum { CHUNK = TURBO_RESPONSE_PAYLOAD_MAX };

static void set_up(void)
{
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN);
}

#define TEST(name) TEST_BETWEEN(name, set_up(), dialer_stop(&d))

/* Another connection. */
static void again(void)
{
    dialer_stop(&d);
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
}

static struct turbo_client_report report(void)
{
    return turbo_client_report(d.client);
}

static bool measuring(void)
{
    return turbo_client_uses_udp(d.client);
}

static void respond(turbo_time now, uint32_t first, uint32_t last)
{
    for (uint32_t k = first; k <= last; k++)
        assert_true(dialer_response(&d, now, k));
}

/* TCP takes the opening. */
static void flush(void)
{
    const uint8_t *data;
    turbo_client_tcp_consume(d.client, turbo_client_tcp_peek(d.client, &data));
}

static void tcp_brings(turbo_time now, size_t length)
{
    turbo_client_tcp_read(d.client, now, length);
}

/* The app's answer to chunks 1..n waits for TCP, which comes up after 40 ms. */
static void open_with_answer(uint32_t n)
{
    respond(T(30), 1, n);
    assert_int_equal(dialer_read(&d), n * (size_t)CHUNK);
    dialer_write(&d, T(31), 80);
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, (int)n);
    flush();
}

/*
 * Nobody answers for as long as the wait is; TCP was up after 40 ms, and the wait is 5. Then it
 * gets tombstone(n), or the ClientHello alone when n is negative.
 */
static void open_after_the_wait(int n)
{
    turbo_client_tcp_up(d.client, T(40));
    turbo_client_tick(d.client, turbo_client_deadline(d.client));
    dialer_assert_opening(&d, n);
    flush();
}

static void assert_flight(uint32_t bytes, uint8_t chunks, bool by_udp)
{
    assert_false(measuring());
    assert_true(report().flight_known);
    assert_int_equal(report().flight_bytes, bytes);
    assert_int_equal(report().flight_chunks, chunks);
    assert_int_equal(report().flight_by_udp, by_udp);
}

static void assert_late(turbo_time by)
{
    assert_true(report().late_known);
    assert_int_equal(report().late_us, by);
}

/* ---- how long it takes ---- */

TEST(an_answered_session_settles_with_the_first_byte_from_tcp)
{
    open_with_answer(3);
    assert_true(measuring());
    assert_false(turbo_client_settled(d.client));
    tcp_brings(T(80), 1);
    assert_true(turbo_client_settled(d.client));
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    assert_flight(3 * CHUNK, 3, true);
    assert_late(0);
}

TEST(without_one_it_settles_after_2_s)
{
    open_with_answer(3);
    turbo_time end = T(40) + TURBO_MEASURE_TIME;
    assert_int_equal(turbo_client_deadline(d.client), end);
    turbo_client_tick(d.client, end - 1);
    assert_false(turbo_client_settled(d.client));
    turbo_client_tick(d.client, end);
    assert_true(turbo_client_settled(d.client));
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    assert_flight(3 * CHUNK, 3, true);
}

TEST(the_end_of_either_stream_ends_it)
{
    open_with_answer(2);
    tcp_brings(T(80), 0); /* FIN */
    assert_flight(2 * CHUNK, 2, true);
    again();
    open_with_answer(2);
    turbo_client_push_end(d.client, T(50));
    assert_flight(2 * CHUNK, 2, true);
    assert_true(turbo_client_settled(d.client));
}

TEST(an_end_before_there_is_an_answer_ends_it_as_well)
{
    open_after_the_wait(-1);
    tcp_brings(T(80), 0);
    assert_false(measuring());
    again();
    open_after_the_wait(-1);
    turbo_client_push_end(d.client, T(80));
    assert_false(measuring());
    assert_false(report().flight_known);
}

TEST(behind_an_end_before_the_opening_nothing_is_awaited)
{
    respond(T(30), 1, 2);
    assert_int_equal(dialer_read(&d), 2 * CHUNK);
    dialer_write(&d, T(31), 80);
    turbo_client_push_end(d.client, T(32));
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, 2);
    flush();
    assert_true(turbo_client_settled(d.client));
    assert_flight(2 * CHUNK, 2, true);
    again();
    turbo_client_push_end(d.client, T(2)); /* and without an answer */
    open_after_the_wait(-1);
    assert_true(turbo_client_settled(d.client));
    assert_false(report().flight_known);
}

TEST(where_udp_is_over_there_is_nothing_to_measure)
{
    assert_true(dialer_refused(&d, T(30)));
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, -1);
    flush();
    assert_true(turbo_client_settled(d.client));
}

TEST(a_reset_by_the_app_ends_it_and_is_no_fault_of_the_path)
{
    open_with_answer(2);
    turbo_client_abort(d.client, T(50));
    assert_int_equal(dialer_poll_all(&d), 0); /* TCP tells it */
    assert_flight(2 * CHUNK, 2, true);
    assert_false(report().unheard);
}

TEST(an_app_that_never_answers_teaches_nothing_of_the_flight)
{
    respond(T(41), 1, 2);
    assert_int_equal(dialer_read(&d), 2 * CHUNK);
    open_after_the_wait(2);
    tcp_brings(T(80), 500);
    assert_true(measuring());
    turbo_client_tick(d.client, turbo_client_deadline(d.client));
    assert_false(measuring());
    assert_false(report().flight_known);
    assert_false(report().late_known);
}

TEST(more_than_64_kib_before_an_answer_are_no_flight)
{
    open_after_the_wait(-1);
    tcp_brings(T(90), TURBO_STREAM_KEPT_MAX);
    assert_true(measuring());
    tcp_brings(T(91), 1);
    assert_false(measuring());
    dialer_write(&d, T(92), 80);
    assert_false(report().flight_known);
}

/* ---- the flight ---- */

TEST(what_comes_late_is_measured_and_not_delivered) /* §6.6, 6.9c */
{
    respond(T(41), 1, 1);
    assert_int_equal(dialer_read(&d), CHUNK);
    open_after_the_wait(1);
    respond(T(52), 2, 3);
    assert_int_equal(dialer_read(&d), 0);
    tcp_brings(T(80), 2 * CHUNK);
    assert_true(measuring());
    dialer_write(&d, T(81), 80); /* the app has the flight by now */
    assert_flight(3 * CHUNK, 3, true);
    assert_late(12 * TURBO_MILLISECOND);
}

TEST(an_answer_behind_the_opening_ends_the_flight_though_tcp_is_silent)
{
    respond(T(41), 1, 2);
    assert_int_equal(dialer_read(&d), 2 * CHUNK);
    open_after_the_wait(2);
    dialer_write(&d, T(60), 80);
    assert_true(report().flight_known);
    tcp_brings(T(80), 900); /* what follows the answer */
    assert_flight(2 * CHUNK, 2, true);
}

TEST(part_of_a_flight_is_told_from_all_of_it) /* §6.9b */
{
    respond(T(41), 1, 1);
    respond(T(41), 3, 3);
    assert_int_equal(dialer_read(&d), CHUNK);
    open_after_the_wait(1);
    tcp_brings(T(80), 2 * CHUNK);
    dialer_write(&d, T(81), 80);
    assert_flight(3 * CHUNK, 3, false);
    assert_false(report().late_known);
    assert_true(report().responded);
}

TEST(of_a_flight_by_tcp_alone_the_chunks_are_reckoned)
{
    open_after_the_wait(-1);
    tcp_brings(T(80), CHUNK);
    tcp_brings(T(81), CHUNK + 1);
    dialer_write(&d, T(82), 80);
    assert_flight(2 * CHUNK + 1, 3, false);
    assert_false(report().responded);
}

TEST(of_a_flight_that_needed_more_chunks_than_bytes_the_numbers_are_known)
{
    for (uint32_t k = 1; k <= 5; k += 4) /* 1 and 5 */
        dialer_datagram(&d, T(41), TURBO_FLAG_PROFILE1, k, (const uint8_t *)"few", 3);
    open_after_the_wait(1);
    tcp_brings(T(80), 100);
    dialer_write(&d, T(81), 80);
    assert_int_equal(report().flight_bytes, 100);
    assert_int_equal(report().flight_chunks, 5);
}

TEST(chunks_behind_the_flight_are_none_of_it)
{
    respond(T(30), 1, 2);
    assert_int_equal(dialer_read(&d), 2 * CHUNK);
    dialer_write(&d, T(31), 80);
    respond(T(32), 3, 4); /* the TLS server has more to say */
    turbo_client_tcp_up(d.client, T(40));
    tcp_brings(T(80), 10);
    assert_flight(2 * CHUNK, 2, true);
}

TEST(a_late_flight_needs_all_of_it_by_udp_though_nothing_in_time) /* classic, and yet UDP works */
{
    open_after_the_wait(-1);
    respond(T(60), 1, 2);
    tcp_brings(T(80), 2 * CHUNK);
    dialer_write(&d, T(81), 80);
    assert_flight(2 * CHUNK, 2, true);
    assert_late(20 * TURBO_MILLISECOND);
    assert_int_equal(report().outcome, TURBO_OUTCOME_CLASSIC);
    assert_int_equal(report().reason, TURBO_REASON_NO_RESPONSE);
}

/* ---- TCP behind the tombstone: §6.9d ---- */

static void assert_parted(void)
{
    assert_true(report().unheard);
    assert_int_equal(report().outcome, TURBO_OUTCOME_FAILED);
    assert_int_equal(report().reason, TURBO_REASON_UDP_ELSEWHERE);
}

TEST(a_reset_behind_the_tombstone_without_a_byte_is_told)
{
    open_with_answer(2);
    turbo_client_tcp_failed(d.client, T(80));
    assert_int_equal(turbo_client_state(d.client), TURBO_CLIENT_FAILED);
    assert_parted();
    turbo_client_tcp_failed(d.client, T(81)); /* it is told again, by whoever reads */
    assert_parted();
    again();
    respond(T(41), 1, 1);
    open_after_the_wait(1);
    turbo_client_tcp_failed(d.client, T(80));
    assert_parted();
}

TEST(a_reset_behind_a_byte_or_a_classic_opening_is_anyones)
{
    open_with_answer(2);
    tcp_brings(T(80), 1);
    turbo_client_tcp_failed(d.client, T(81));
    assert_false(report().unheard);
    again();
    respond(T(41), 1, 1);
    open_after_the_wait(1);
    tcp_brings(T(80), 1);
    assert_true(measuring()); /* the app has not answered */
    turbo_client_tcp_failed(d.client, T(81));
    assert_false(report().unheard);
    again();
    open_after_the_wait(-1);
    turbo_client_tcp_failed(d.client, T(80));
    assert_false(report().unheard);
}

TEST(tcp_that_fails_before_the_opening_though_udp_answers_is_told)
{
    respond(T(41), 1, 1);
    turbo_client_tcp_failed(d.client, T(80));
    assert_true(report().unheard);
    assert_int_equal(report().outcome, TURBO_OUTCOME_NONE); /* it was not connected to */
    again();
    turbo_client_tcp_failed(d.client, T(80));
    assert_false(report().unheard);
    again();
    respond(T(41), 1, 1);
    turbo_client_tcp_up(d.client, T(60));
    turbo_client_tcp_failed(d.client, T(61));
    assert_parted();
}

TEST(tcp_that_ends_or_speaks_though_udp_has_delivered_is_told) /* §6.7c */
{
    respond(T(41), 1, 1);
    assert_true(dialer_read(&d) > 0);
    turbo_client_tcp_up(d.client, T(60));
    turbo_client_tcp_readable(d.client, T(61));
    assert_int_equal(turbo_client_state(d.client), TURBO_CLIENT_FAILED);
    assert_parted();
    again();
    respond(T(41), 1, 1);
    turbo_client_tcp_up(d.client, T(60));
    turbo_client_tcp_readable(d.client, T(61)); /* nothing was delivered: it speaks first */
    assert_int_equal(turbo_client_state(d.client), TURBO_CLIENT_OPEN);
    assert_false(report().unheard);
}

TEST(a_reset_after_2_s_is_anyones)
{
    open_with_answer(2);
    turbo_client_tick(d.client, T(40) + TURBO_MEASURE_TIME);
    turbo_client_tcp_failed(d.client, T(40) + TURBO_MEASURE_TIME);
    assert_false(report().unheard);
}

TEST(a_late_refusal_says_why_it_was_silent) /* and UDP is not to blame */
{
    open_after_the_wait(-1);
    assert_true(dialer_refused(&d, T(60)));
    assert_true(report().refused);
    assert_false(measuring());
    assert_int_equal(report().reason, TURBO_REASON_NO_RESPONSE); /* the first word counts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answered_session_settles_with_the_first_byte_from_tcp),
        CASE(without_one_it_settles_after_2_s),
        CASE(the_end_of_either_stream_ends_it),
        CASE(an_end_before_there_is_an_answer_ends_it_as_well),
        CASE(behind_an_end_before_the_opening_nothing_is_awaited),
        CASE(where_udp_is_over_there_is_nothing_to_measure),
        CASE(a_reset_by_the_app_ends_it_and_is_no_fault_of_the_path),
        CASE(an_app_that_never_answers_teaches_nothing_of_the_flight),
        CASE(more_than_64_kib_before_an_answer_are_no_flight),
        CASE(what_comes_late_is_measured_and_not_delivered),
        CASE(an_answer_behind_the_opening_ends_the_flight_though_tcp_is_silent),
        CASE(part_of_a_flight_is_told_from_all_of_it),
        CASE(of_a_flight_by_tcp_alone_the_chunks_are_reckoned),
        CASE(of_a_flight_that_needed_more_chunks_than_bytes_the_numbers_are_known),
        CASE(chunks_behind_the_flight_are_none_of_it),
        CASE(a_late_flight_needs_all_of_it_by_udp_though_nothing_in_time),
        CASE(a_reset_behind_the_tombstone_without_a_byte_is_told),
        CASE(a_reset_behind_a_byte_or_a_classic_opening_is_anyones),
        CASE(tcp_that_fails_before_the_opening_though_udp_answers_is_told),
        CASE(tcp_that_ends_or_speaks_though_udp_has_delivered_is_told),
        CASE(a_reset_after_2_s_is_anyones),
        CASE(a_late_refusal_says_why_it_was_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
