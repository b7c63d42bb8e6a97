/* The client end's states until TCP is up and requests were sent: protocol §6 as transitions. */
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

static void reach_hello_up(void)
{
    dialer_start_plainly(&d);
    turbo_client_tcp_up(d.client, T(40));
    assert_int_equal(state(), TURBO_CLIENT_HELLO_UP);
}

static void reach_asking(void)
{
    dialer_start_plainly(&d);
    dialer_hello(&d, T(1));
    assert_int_equal(state(), TURBO_CLIENT_ASKING);
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN);
}

static void deliver(turbo_time now)
{
    assert_true(dialer_response(&d, now, 1));
    assert_int_equal(dialer_read(&d), TURBO_RESPONSE_PAYLOAD_MAX);
}

#define TEST(name) TEST_BETWEEN(name, (void)0, dialer_stop(&d))

/* ---- HELLO_DIALING ---- */

TEST(a_complete_hello_is_asked_by_udp_while_tcp_connects) /* §6 */
{
    reach_asking();
    assert_true(turbo_client_report(d.client).asked);
    assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
}

TEST(while_udp_is_paused_a_hello_waits_for_tcp_alone) /* §6.9 */
{
    for (int always = 0; always < 2; always++) {
        struct turbo_client_config config;
        turbo_client_config_init(&config, check_sha256);
        config.paused = true;
        config.always = config.elsewhere = always;
        if (always)
            dialer_stop(&d);
        dialer_start(&d, &config);
        dialer_hello(&d, T(1));
        assert_int_equal(state(), TURBO_CLIENT_DIALING);
        assert_silent_on_udp();
        turbo_client_tcp_up(d.client, T(40));
        dialer_assert_opening(&d, -1);
        assert_outcome(TURBO_OUTCOME_CLASSIC,
                       always ? TURBO_REASON_UDP_ELSEWHERE : TURBO_REASON_UDP_PAUSED);
        assert_int_equal(turbo_client_deadline(d.client), TURBO_NEVER);
        assert_false(turbo_client_report(d.client).asked);
    }
}

TEST(a_trial_is_known_as_one_whatever_becomes_of_it) /* §6.9 */
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, check_sha256);
    config.trial = true;
    dialer_start(&d, &config);
    assert_true(turbo_client_report(d.client).trial);
}

TEST(other_first_bytes_wait_for_tcp_alone) /* §6.1b */
{
    dialer_start_plainly(&d);
    assert_int_equal(turbo_client_push(d.client, T(1), (const uint8_t *)"GET / ", 6), 6);
    assert_int_equal(state(), TURBO_CLIENT_DIALING);
    assert_silent_on_udp();
    assert_outcome(TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS);
}

TEST(a_hello_above_16_kib_waits_for_tcp_alone) /* §2.4 */
{
    dialer_start_plainly(&d);
    hello_make(&d.hello, &(struct hello_spec){.size = TURBO_HELLO_MAX + 1});
    dialer_hello(&d, T(1));
    assert_int_equal(state(), TURBO_CLIENT_DIALING);
    assert_silent_on_udp();
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_HELLO_TOO_LARGE);
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, -1);
}

TEST(a_hello_of_more_than_8_chunks_waits_for_tcp_alone) /* §3.6 */
{
    size_t most = (size_t)TURBO_HELLO_CHUNKS_MAX * TURBO_REQUEST_PAYLOAD_MAX;
    dialer_start_plainly(&d);
    hello_make(&d.hello, &(struct hello_spec){.size = most});
    dialer_hello(&d, T(1));
    assert_int_equal(state(), TURBO_CLIENT_ASKING);
    dialer_stop(&d);
    dialer_start_plainly(&d);
    hello_make(&d.hello, &(struct hello_spec){.size = most + 1});
    dialer_hello(&d, T(1));
    assert_int_equal(state(), TURBO_CLIENT_DIALING);
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_HELLO_TOO_LARGE);
}

TEST(an_app_that_ends_within_its_hello_is_relayed) /* §6.1b */
{
    dialer_start_plainly(&d);
    assert_int_equal(turbo_client_push(d.client, T(1), d.hello.bytes, 20), 20);
    turbo_client_push_end(d.client, T(2));
    assert_int_equal(state(), TURBO_CLIENT_DIALING);
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_HELLO_CUT_SHORT);
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, -1);
    assert_true(turbo_client_ended(d.client));
}

TEST(tcp_may_come_up_before_the_hello) /* §6.1 */
{
    reach_hello_up();
    assert_int_equal(turbo_client_report(d.client).tcp_up_us, 40 * TURBO_MILLISECOND);
}

TEST(a_failed_connect_fails_the_app_before_its_hello) /* §6.1d */
{
    dialer_start_plainly(&d);
    turbo_client_tcp_failed(d.client, T(1));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
}

TEST(an_abort_before_the_hello_says_nothing_by_udp) /* §3.8 */
{
    dialer_start_plainly(&d);
    turbo_client_abort(d.client, T(1));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
}

TEST(an_unusable_udp_socket_is_no_matter_before_the_hello) /* §6.7a */
{
    dialer_start_plainly(&d);
    turbo_client_unreachable(d.client, T(1));
    assert_int_equal(state(), TURBO_CLIENT_HELLO_DIALING);
    assert_outcome(TURBO_OUTCOME_NONE, TURBO_REASON_NONE);
    turbo_client_tcp_up(d.client, T(2));
    turbo_client_unreachable(d.client, T(3));
    assert_int_equal(state(), TURBO_CLIENT_HELLO_UP);
}

/* ---- HELLO_UP ---- */

TEST(with_tcp_up_first_a_hello_goes_classic_at_once) /* §6.2 */
{
    reach_hello_up();
    dialer_hello(&d, T(41));
    assert_outcome(TURBO_OUTCOME_CLASSIC, TURBO_REASON_TCP_FIRST);
    assert_silent_on_udp();
    dialer_assert_opening(&d, -1);
}

TEST(always_asks_even_with_tcp_up_and_waits_50_ms) /* §6.2 */
{
    dialer_start_always(&d);
    turbo_client_tcp_up(d.client, T(1));
    dialer_hello(&d, T(100));
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
    assert_int_equal(dialer_poll_all(&d), TURBO_REQUESTS_UNPROVEN);
    assert_int_equal(turbo_client_deadline(d.client), T(150)); /* §6.5: from the requests */
}

TEST(with_tcp_up_other_bytes_are_relayed_at_once) /* §6.1b */
{
    reach_hello_up();
    turbo_client_push(d.client, T(41), (const uint8_t *)"PING", 4);
    assert_int_equal(state(), TURBO_CLIENT_OPEN);
    assert_outcome(TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS);
}

TEST(with_tcp_up_a_silent_app_may_end) /* §6.1b */
{
    reach_hello_up();
    turbo_client_push_end(d.client, T(41));
    assert_int_equal(state(), TURBO_CLIENT_OPEN);
    assert_outcome(TURBO_OUTCOME_OPAQUE, TURBO_REASON_HELLO_CUT_SHORT);
    assert_true(turbo_client_settled(d.client));
    assert_true(turbo_client_ended(d.client));
}

TEST(a_server_that_speaks_first_is_relayed) /* §6.1c */
{
    reach_hello_up();
    assert_int_equal(turbo_client_push(d.client, T(41), d.hello.bytes, 20), 20);
    turbo_client_tcp_readable(d.client, T(42));
    assert_outcome(TURBO_OUTCOME_OPAQUE, TURBO_REASON_SERVER_FIRST);
    dialer_assert_opening(&d, -1);
}

TEST(a_reset_before_the_hello_fails_the_app) /* §6.1d */
{
    reach_hello_up();
    turbo_client_tcp_failed(d.client, T(41));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
}

TEST(an_abort_with_tcp_up_and_no_hello_says_nothing) /* §3.8 */
{
    reach_hello_up();
    turbo_client_abort(d.client, T(41));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    assert_silent_on_udp();
}

/* ---- ASKING ---- */

TEST(an_answer_waits_for_tcp_and_opens_with_it) /* §6.4 */
{
    reach_asking();
    deliver(T(30));
    assert_int_equal(dialer_write(&d, T(31), 80), 80);
    assert_int_equal(state(), TURBO_CLIENT_ASKING);
    turbo_client_tcp_up(d.client, T(40));
    dialer_assert_opening(&d, 1);
    assert_outcome(TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
}

TEST(bytes_before_any_delivery_are_no_answer) /* §6.4 */
{
    reach_asking();
    assert_int_equal(dialer_write(&d, T(2), 80), 80); /* early data, say */
    deliver(T(30));
    turbo_client_tcp_up(d.client, T(40));
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
}

TEST(a_half_close_is_no_answer) /* §6.4 */
{
    reach_asking();
    deliver(T(30));
    turbo_client_push_end(d.client, T(31));
    turbo_client_tcp_up(d.client, T(40));
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
}

TEST(a_failed_connect_while_asking_aborts) /* §6.1d, 3.8 */
{
    reach_asking();
    turbo_client_tcp_failed(d.client, T(30));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    dialer_assert_abort(&d);
}

TEST(responses_leave_asking_as_it_is)
{
    reach_asking();
    assert_true(dialer_response(&d, T(30), 1));
    assert_int_equal(state(), TURBO_CLIENT_ASKING);
    assert_int_equal(turbo_client_report(d.client).first_response_us, 29 * TURBO_MILLISECOND);
}

TEST(refused_unreachable_or_draft_ends_udp_while_asking) /* §6.7a, 6.10 */
{
    static const enum turbo_reason reasons[] = {TURBO_REASON_REFUSED, TURBO_REASON_UNREACHABLE,
                                                TURBO_REASON_DRAFT_SERVER};
    for (size_t i = 0; i < COUNT(reasons); i++) {
        if (i > 0)
            dialer_stop(&d);
        dialer_start_plainly(&d);
        dialer_hello(&d, T(1));
        if (i == 0)
            assert_true(dialer_refused(&d, T(30)));
        else if (i == 1)
            turbo_client_unreachable(d.client, T(30));
        else
            assert_true(dialer_datagram(&d, T(30), 0, 1, d.hello.bytes, 50));
        assert_int_equal(state(), TURBO_CLIENT_DIALING);
        assert_silent_on_udp();
        assert_int_equal(dialer_read(&d), 0);
        assert_outcome(TURBO_OUTCOME_CLASSIC, reasons[i]);
        assert_int_equal(turbo_client_report(d.client).refused, i == 0);
        assert_int_equal(turbo_client_report(d.client).draft, i == 2);
        turbo_client_tcp_up(d.client, T(40));
        dialer_assert_opening(&d, -1);
    }
}

TEST(what_ends_udp_is_ignored_after_a_response) /* §6.7b */
{
    reach_asking();
    assert_true(dialer_response(&d, T(30), 2));
    assert_true(dialer_refused(&d, T(31)));
    turbo_client_unreachable(d.client, T(32));
    assert_true(dialer_datagram(&d, T(33), 0, 1, d.hello.bytes, 50));
    assert_int_equal(state(), TURBO_CLIENT_ASKING);
    turbo_client_tcp_up(d.client, T(40));
    assert_true(dialer_refused(&d, T(41)));
    assert_int_equal(state(), TURBO_CLIENT_WAITING);
    assert_outcome(TURBO_OUTCOME_NONE, TURBO_REASON_NONE);
}

TEST(an_abort_while_asking_is_told) /* §3.8 */
{
    reach_asking();
    turbo_client_abort(d.client, T(30));
    assert_int_equal(state(), TURBO_CLIENT_FAILED);
    dialer_assert_abort(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_complete_hello_is_asked_by_udp_while_tcp_connects),
        CASE(while_udp_is_paused_a_hello_waits_for_tcp_alone),
        CASE(a_trial_is_known_as_one_whatever_becomes_of_it),
        CASE(other_first_bytes_wait_for_tcp_alone),
        CASE(a_hello_above_16_kib_waits_for_tcp_alone),
        CASE(a_hello_of_more_than_8_chunks_waits_for_tcp_alone),
        CASE(an_app_that_ends_within_its_hello_is_relayed),
        CASE(tcp_may_come_up_before_the_hello),
        CASE(a_failed_connect_fails_the_app_before_its_hello),
        CASE(an_abort_before_the_hello_says_nothing_by_udp),
        CASE(an_unusable_udp_socket_is_no_matter_before_the_hello),
        CASE(with_tcp_up_first_a_hello_goes_classic_at_once),
        CASE(always_asks_even_with_tcp_up_and_waits_50_ms),
        CASE(with_tcp_up_other_bytes_are_relayed_at_once),
        CASE(with_tcp_up_a_silent_app_may_end),
        CASE(a_server_that_speaks_first_is_relayed),
        CASE(a_reset_before_the_hello_fails_the_app),
        CASE(an_abort_with_tcp_up_and_no_hello_says_nothing),
        CASE(an_answer_waits_for_tcp_and_opens_with_it),
        CASE(bytes_before_any_delivery_are_no_answer),
        CASE(a_half_close_is_no_answer),
        CASE(a_failed_connect_while_asking_aborts),
        CASE(responses_leave_asking_as_it_is),
        CASE(refused_unreachable_or_draft_ends_udp_while_asking),
        CASE(what_ends_udp_is_ignored_after_a_response),
        CASE(an_abort_while_asking_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
