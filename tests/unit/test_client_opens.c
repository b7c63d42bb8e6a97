/* The client end's states from the wait to the opening and after: protocol §6 as transitions. */
#include "tests/unit/support/dialer.h"

static struct dialer d;

#define T(milliseconds) (DIAL_START + (milliseconds)*TURBO_MILLISECOND)

static enum turbo_client_state state(void)
{
    return turbo_client_state(d.client);
}

static void assert_outcome(enum turbo_outcome outcome, enum turbo_reason reason)
{
    struct turbo_client_report report = turbo_client_report(d.client);
    assert_string_equal(turbo_outcome_text(report.outcome), turbo_outcome_text(outcome));
    assert_string_equal(turbo_reason_text(report.reason), turbo_reason_text(reason));
}

static void assert_silent_on_udp(void)
{
    assert_int_equal(dialer_poll_all(&d), 0);
    assert_false(turbo_client_uses_udp(d.client));
}

/* ---- ways into each state; T(0) is the SYN ---- */

static void reach_asking(void)
{
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_int_equal(state(), TURBO_CLIENT_ASKING);
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN);
}

static void reach_waiting(void)
{
    reach_asking();
    turbo_client_tcp_up(d.client, T(40));
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
}

static void reach_dialing(void)
{
    reach_asking();
    assert_true(dialer_refused(&d, T(30)));
    assert_int_equal(state(), TURBO_CLIENT_DIALING);
}

static void reach_open(void)
{
    reach_waiting();
    assert_true(dialer_response(&d, T(41), 1));
    turbo_client_tick(d.client, T(90));
    assert_int_equal(state(), TURBO_CLIENT_OPEN);
}

static void deliver(turbo_time now)
{
    assert_true(dialer_response(&d, now, 1));
    assert_int_equal(dialer_read(&d), TURBO_RESPONSE_PAYLOAD_MAX);
}

#define TEST(name) TEST_BETWEEN(name, (void)0, dialer_stop(&d))

/* ---- WAITING ---- */

TEST(a_server_that_speaks_before_any_delivery_is_relayed) /* §6.1c */
{
    reach_waiting();
    assert_true(dialer_response(&d, T(41), 1));
    turbo_client_tcp_readable(d.client, T(42));
    assert_outcome(TURBO_OUTCOME_OPAQUE, TURBO_REASON_SERVER_FIRST);
    assert_int_equal(dialer_read(&d), 0);
    dialer_assert_opening(&d, -1);
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
}

TEST(a_server_that_speaks_after_a_delivery_is_another_one) /* §6.7c */
{
    reach_waiting();
    deliver(T(41));
    turbo_client_tcp_readable(d.client, T(42));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    dialer_assert_abort(&d);
}

TEST(a_reset_while_waiting_fails_the_app) /* §6.1d */
{
    reach_waiting();
    turbo_client_tcp_failed(d.client, T(41));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    dialer_assert_abort(&d);
}

TEST(what_ends_udp_opens_classically_while_waiting) /* §6.7a */
{
    reach_waiting();
    turbo_client_unreachable(d.client, T(41));
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_UNREACHABLE);
    dialer_assert_opening(&d, -1);
    assert_silent_on_udp();
}

TEST(an_answer_opens_at_once_while_waiting) /* §6.4 */
{
    reach_waiting();
    deliver(T(41));
    assert_int_equal(dialer_write(&d, T(42), 80), 80);
    assert_outcome(TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    dialer_assert_opening(&d, 1);
}

TEST(a_change_cipher_spec_alone_is_no_answer) /* §6.4 */
{
    static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1}, finished[] = {23, 3, 3};
    reach_waiting();
    deliver(T(41));
    assert_int_equal(turbo_client_push(d.client, T(42), ccs, 4), 4);
    assert_int_equal(turbo_client_push(d.client, T(42), ccs + 4, 2), 2);
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
    assert_true(dialer_response(&d, T(43), 2)); /* still taken */
    const uint8_t *data;
    assert_int_equal(turbo_client_peek(d.client, &data), TURBO_RESPONSE_PAYLOAD_MAX);
    assert_int_equal(turbo_client_push(d.client, T(44), finished, sizeof(finished)), 3);
    assert_outcome(TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
}

TEST(the_wait_ends_classically_without_a_response) /* §6.5 */
{
    reach_waiting();
    assert_int_equal(turbo_client_deadline(d.client), T(45));
    turbo_client_tick(d.client, T(45) - 1);
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
    turbo_client_tick(d.client, T(45));
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_NO_RESPONSE);
    dialer_assert_opening(&d, -1);
}

TEST(the_wait_ends_with_a_tombstone_after_a_response_though_n_may_be_0) /* §6.5 */
{
    reach_waiting();
    assert_true(dialer_response(&d, T(41), 2));
    turbo_client_tick(d.client, T(46));
    assert_outcome(TURBO_OUTCOME_RESUMED, TURBO_REASON_NONE);
    dialer_assert_opening(&d, 0);
}

TEST(an_abort_while_waiting_is_told) /* §3.8 */
{
    reach_waiting();
    turbo_client_abort(d.client, T(41));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    dialer_assert_abort(&d);
}

/* ---- DIALING, OPEN, FAILED ---- */

TEST(without_udp_tcp_opens_classically) /* §6.7a */
{
    reach_dialing();
    assert_true(dialer_response(&d, T(31), 1)); /* too late: ignored */
    turbo_client_unreachable(d.client, T(32));
    assert_int_equal(dialer_read(&d), 0);
    assert_int_equal(state(), TURBO_CLIENT_DIALING);
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, -1);
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_REFUSED);
}

TEST(a_failed_connect_or_an_abort_without_udp_says_nothing) /* §6.1d */
{
    reach_dialing();
    turbo_client_tcp_failed(d.client, T(40));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
    dialer_stop(&d);
    reach_dialing();
    turbo_client_abort(d.client, T(40));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
}

TEST(after_the_opening_nothing_counts_but_its_end) /* §6.6, 5.13 */
{
    reach_open();
    assert_true(dialer_response(&d, T(91), 2));
    turbo_client_tcp_readable(d.client, T(91));
    turbo_client_unreachable(d.client, T(91));
    assert_true(dialer_refused(&d, T(91)));
    assert_int_equal(turbo_client_deadline(d.client), T(90) + TURBO_MEASURE_TIME);
    turbo_client_tick(d.client, T(90) + TURBO_MEASURE_TIME);
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
    assert_int_equal(dialer_read(&d), TURBO_RESPONSE_PAYLOAD_MAX); /* chunk 1 */
    dialer_assert_opening(&d, 1);
    turbo_client_tcp_readable(d.client, T(92)); /* delivered now; still no matter */
    assert_silent_on_udp();
    turbo_client_abort(d.client, T(93));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
}

TEST(a_reset_after_the_opening_fails_the_app) /* §5.13 */
{
    reach_open();
    turbo_client_tcp_failed(d.client, T(91));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
    assert_int_equal(dialer_read(&d), 0);
}

TEST(a_failed_session_stays_so)
{
    const uint8_t *data;
    reach_waiting();
    turbo_client_abort(d.client, T(41));
    turbo_client_tcp_up(d.client, T(42));
    turbo_client_tcp_readable(d.client, T(42));
    turbo_client_tcp_failed(d.client, T(42));
    assert_true(dialer_response(&d, T(42), 1)); /* its ABORT is still to be sent */
    turbo_client_unreachable(d.client, T(42));
    dialer_assert_abort(&d);
    turbo_client_unreachable(d.client, T(43));
    turbo_client_abort(d.client, T(43));
    turbo_client_tick(d.client, T(500));
    turbo_client_push_end(d.client, T(500));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_int_equal(dialer_write(&d, T(501), 10), 0);
    assert_int_equal(turbo_client_tcp_peek(d.client, &data), 0);
    assert_int_equal(dialer_read(&d), 0);
    assert_silent_on_udp();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_server_that_speaks_before_any_delivery_is_relayed),
        CASE(a_server_that_speaks_after_a_delivery_is_another_one),
        CASE(a_reset_while_waiting_fails_the_app),
        CASE(what_ends_udp_opens_classically_while_waiting),
        CASE(an_answer_opens_at_once_while_waiting),
        CASE(a_change_cipher_spec_alone_is_no_answer),
        CASE(the_wait_ends_classically_without_a_response),
        CASE(the_wait_ends_with_a_tombstone_after_a_response_though_n_may_be_0),
        CASE(an_abort_while_waiting_is_told),
        CASE(without_udp_tcp_opens_classically),
        CASE(a_failed_connect_or_an_abort_without_udp_says_nothing),
        CASE(after_the_opening_nothing_counts_but_its_end),
        CASE(a_reset_after_the_opening_fails_the_app),
        CASE(a_failed_session_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
