/* A SYN that seems to be lost, and requests that may be lost with it: protocol §6.8. */
#include "tests/unit/support/dialer.h"

static struct dialer d;

#define T(milliseconds) (DIAL_START + (milliseconds)*TURBO_MILLISECOND)

#define TEST(name) TEST_BETWEEN(name, (void)0, dialer_stop(&d))

/* To an upstream whose round trip is known, in milliseconds; 0: it is not. */
static void dial(uint64_t rtt, bool speaks)
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, check_sha256);
    config.rtt_us = rtt * TURBO_MILLISECOND;
    config.speaks = speaks;
    dialer_start(&d, &config);
}

static bool due(turbo_time now)
{
    turbo_client_tick(d.client, now);
    return turbo_client_dial_again(d.client);
}

static void assert_due_at(turbo_time at)
{
    assert_int_equal(turbo_client_deadline(d.client), at);
    assert_false(due(at - 1));
    assert_true(due(at));
}

/* And never again. */
static void assert_no_more(void)
{
    assert_false(turbo_client_dial_again(d.client));
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    assert_false(due(T(9000)));
}

TEST(the_syn_counts_as_lost_after_one_and_a_half_round_trips)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    assert_due_at(T(150));
    assert_no_more();
}

TEST(on_a_short_path_it_is_10_ms_after_one) /* a busy machine is not a lost SYN */
{
    dial(2, true);
    dialer_hello(&d, T(1));
    assert_due_at(T(12));
}

TEST(it_need_not_wait_for_the_hello)
{
    dial(100, true);
    assert_due_at(T(150));
    dialer_hello(&d, T(160));
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN); /* once */
    assert_no_more();
}

TEST(a_round_trip_nobody_knows_or_a_server_nobody_knows_gives_no_reason)
{
    dial(0, true);
    dialer_hello(&d, T(1));
    assert_no_more();
    dialer_stop(&d);
    dial(100, false); /* a second SYN for whatever is slow */
    dialer_hello(&d, T(1));
    assert_no_more();
}

TEST(requests_without_a_response_are_repeated_with_it_once)
{
    uint8_t first[TURBO_REQUESTS_UNPROVEN][TURBO_DATAGRAM_MAX], again[TURBO_DATAGRAM_MAX];
    size_t lengths[TURBO_REQUESTS_UNPROVEN];
    dial(100, true);
    dialer_hello(&d, T(1));
    for (size_t i = 0; i < COUNT(first); i++)
        assert_true((lengths[i] = turbo_client_poll_datagram(d.client, first[i])) > 0);
    assert_int_equal(dialer_poll_all(&d), 0);
    assert_true(due(T(150)));
    for (size_t i = 0; i < COUNT(first); i++) {
        assert_int_equal(turbo_client_poll_datagram(d.client, again), lengths[i]);
        assert_memory_equal(again, first[i], lengths[i]);
    }
    assert_int_equal(dialer_poll_all(&d), 0);
    assert_no_more();
    assert_int_equal(dialer_poll_all(&d), 0);
}

TEST(after_a_response_they_are_not)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    dialer_poll_all(&d);
    assert_true(dialer_response(&d, T(145), 1));
    assert_true(due(T(150)));
    assert_int_equal(dialer_poll_all(&d), 0);
    assert_true(dialer_response(&d, T(151), 2)); /* does not bring about another */
    assert_no_more();
}

TEST(a_response_shows_what_the_round_trip_is)
{
    dial(0, false);
    dialer_hello(&d, T(1));
    dialer_poll_all(&d);
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    assert_true(dialer_response(&d, T(31), 1)); /* 30 ms behind the requests */
    assert_due_at(T(40));
    assert_int_equal(dialer_poll_all(&d), 0);
    assert_no_more();
}

TEST(the_earlier_of_the_two_times_counts)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    assert_true(dialer_response(&d, T(31), 1));
    assert_due_at(T(40));
    dialer_stop(&d);
    dial(20, true); /* a TLS server that takes its time says nothing of the path */
    dialer_hello(&d, T(1));
    assert_true(dialer_response(&d, T(25), 1));
    assert_due_at(T(30));
}

TEST(a_late_hello_makes_it_due_with_the_response)
{
    dial(0, false);
    dialer_hello(&d, T(500));
    assert_true(dialer_response(&d, T(530), 1));
    assert_int_equal(turbo_client_deadline(d.client), T(530)); /* not in the past */
    assert_true(due(T(530)));
}

TEST(once_tcp_is_up_it_is_no_more_due)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    turbo_client_tcp_up(d.client, T(100));
    assert_int_equal(turbo_client_deadline(d.client), T(112) + 500); /* the wait: 100 ms / 8 */
    assert_false(due(T(110)));
    dialer_stop(&d);
    dial(100, true);
    turbo_client_tick(d.client, T(150));
    turbo_client_tcp_up(d.client, T(150)); /* before anybody asked */
    assert_no_more();
}

TEST(whichever_comes_up_is_the_sessions_tcp_and_its_round_trip_counts_from_the_first)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    assert_true(due(T(150)));
    assert_true(dialer_response(&d, T(240), 1));
    dialer_read(&d);
    dialer_write(&d, T(241), 40);
    turbo_client_tcp_up(d.client, T(250));
    dialer_assert_opening(&d, 1);
    assert_int_equal(turbo_client_report(d.client).tcp_up_us, 250 * TURBO_MILLISECOND);
}

TEST(without_udp_only_the_connect_is_repeated)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    dialer_poll_all(&d);
    assert_true(dialer_refused(&d, T(90)));
    assert_due_at(T(150));
    assert_int_equal(dialer_poll_all(&d), 0);
    assert_int_equal(turbo_client_state(d.client), TURBO_CLIENT_DIALING);
}

TEST(a_connect_that_failed_or_an_app_that_left_ends_it)
{
    dial(100, true);
    dialer_hello(&d, T(1));
    turbo_client_tcp_failed(d.client, T(20));
    assert_no_more();
    dialer_stop(&d);
    dial(100, true);
    dialer_hello(&d, T(1));
    turbo_client_abort(d.client, T(20));
    assert_no_more();
    dialer_assert_abort(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_syn_counts_as_lost_after_one_and_a_half_round_trips),
        CASE(on_a_short_path_it_is_10_ms_after_one),
        CASE(it_need_not_wait_for_the_hello),
        CASE(a_round_trip_nobody_knows_or_a_server_nobody_knows_gives_no_reason),
        CASE(requests_without_a_response_are_repeated_with_it_once),
        CASE(after_a_response_they_are_not),
        CASE(a_response_shows_what_the_round_trip_is),
        CASE(the_earlier_of_the_two_times_counts),
        CASE(a_late_hello_makes_it_due_with_the_response),
        CASE(once_tcp_is_up_it_is_no_more_due),
        CASE(whichever_comes_up_is_the_sessions_tcp_and_its_round_trip_counts_from_the_first),
        CASE(without_udp_only_the_connect_is_repeated),
        CASE(a_connect_that_failed_or_an_app_that_left_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
