/* A session's states at the server end: every transition of protocol §7 there is for a caller. */
#include "tests/unit/support/edge.h"

static struct edge e;
static struct hello hello;
static struct turbo_id id;
static struct turbo_server *s;

#define T(milliseconds) (TURBO_SECOND * 5 + (milliseconds)*TURBO_MILLISECOND)

static void set_up(void)
{
    edge_start(&e, EDGE_SESSIONS, EDGE_ENDED);
    s = NULL;
}

static void tear_down(void)
{
    if (s != NULL)
        turbo_server_release(s, T(100000));
    edge_stop(&e);
}

#define TEST(name) TEST_BETWEEN(name, set_up(), tear_down())

static struct turbo_endpoint_counters counters(void)
{
    return turbo_endpoint_counters(e.endpoint);
}

static void request(turbo_time now, uint32_t sequence)
{
    struct turbo_path path = check_path(1, 1);
    edge_request(&e, now, &path, &id, &hello, sequence);
}

/* ---- ways into each state ---- */

static void reach_gathering(void)
{
    hello_make(&hello, &(struct hello_spec){.server_name = "a.example", .size = 1900});
    id = edge_id(&hello);
    request(T(0), 1);
    edge_assert_no_event(&e);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 1);
}

static void reach_unseen(void)
{
    reach_gathering();
    request(T(1), 2);
}

static void reach_ready(void)
{
    reach_unseen();
    s = edge_event(&e, TURBO_EVENT_NEW);
    assert_string_equal(turbo_server_hello(s)->server_name, "a.example");
}

static void reach_answered(void)
{
    reach_ready();
    assert_int_equal(edge_push(s, T(2), 0, TURBO_RESPONSE_PAYLOAD_MAX), TURBO_RESPONSE_PAYLOAD_MAX);
    assert_int_equal(edge_poll_all(&e, T(2)), 1);
}

static void reach_joined(void)
{
    struct turbo_server *joined = NULL;
    reach_answered();
    assert_int_equal(edge_tombstone(&e, T(100), &id, true, 1, &joined), TURBO_JOIN_SESSION);
    assert_ptr_equal(joined, s);
    assert_true(turbo_server_joined(s));
}

static void reach_ended(void)
{
    reach_answered();
    edge_abort(&e, T(3), &id);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
}

/* Datagrams with this id start nothing and are not answered (7.3). */
static void assert_remembered(turbo_time now)
{
    uint64_t late = counters().late, sessions = counters().sessions;
    request(now, 1);
    request(now, 2);
    assert_int_equal(counters().late, late + 2);
    assert_int_equal(counters().sessions, sessions);
    edge_assert_no_event(&e);
    assert_int_equal(edge_poll_all(&e, now), 0);
}

TEST(chunks_that_tcp_brings_again_are_counted)
{
    struct turbo_server *joined = NULL;
    reach_ready();
    request(T(1), 3);
    assert_int_equal(edge_push(s, T(2), 0, (size_t)3 * TURBO_RESPONSE_PAYLOAD_MAX),
                     (size_t)3 * TURBO_RESPONSE_PAYLOAD_MAX);
    assert_int_equal(edge_poll_all(&e, T(2)), 3);
    assert_int_equal(counters().chunks, 0); /* TCP has not told yet */
    assert_int_equal(edge_tombstone(&e, T(100), &id, true, 1, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(counters().chunks, 3);
    assert_int_equal(counters().chunks_again, 2);
}

TEST(chunks_that_all_arrived_are_not_brought_again)
{
    reach_joined();
    assert_int_equal(counters().chunks, 1);
    assert_int_equal(counters().chunks_again, 0);
}

/* ---- GATHERING ---- */

TEST(a_complete_hello_is_announced_once) /* §7.2a */
{
    const uint8_t *data;
    reach_ready();
    edge_assert_no_event(&e);
    request(T(1), 1);
    edge_assert_no_event(&e);
    assert_int_equal(turbo_server_peek(s, &data), hello.length);
    assert_memory_equal(data, hello.bytes, hello.length);
}

TEST(what_proves_to_be_no_hello_ends_without_an_answer) /* §7.1a, 7.3 */
{
    hello_make(&hello, &(struct hello_spec){.size = 1900});
    hello.bytes[5] = 2;
    id = edge_id(&hello);
    request(T(0), 1);
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().sessions, 1);
    assert_int_equal(edge_poll_all(&e, T(0)), 0);
    edge_assert_no_event(&e);
    request(T(1), 1); /* its id is not remembered: junk must not fill the table */
    assert_int_equal(counters().sessions, 2);
    assert_int_equal(counters().late, 0);
}

TEST(a_hello_that_becomes_too_large_ends_without_an_answer) /* §7.1a */
{
    struct turbo_path path = check_path(1, 1);
    hello_make(&hello, &(struct hello_spec){.size = TURBO_HELLO_MAX + 1});
    id = edge_id(&hello);
    edge_request(&e, T(0), &path, &id, &hello, 1);
    assert_int_equal(e.alive, 0);
    assert_int_equal(edge_poll_all(&e, T(0)), 0);
}

TEST(an_abort_while_gathering_ends_it_silently) /* §3.8 */
{
    reach_gathering();
    edge_abort(&e, T(1), &id);
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().aborted, 1);
    edge_assert_no_event(&e);
}

TEST(a_hello_that_stays_incomplete_ends_after_10_s) /* §7.3 */
{
    reach_gathering();
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(10000));
    turbo_endpoint_tick(e.endpoint, T(10000) - 1);
    assert_int_equal(e.alive, 1);
    turbo_endpoint_tick(e.endpoint, T(10000));
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().expired, 1);
    edge_assert_no_event(&e);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), TURBO_NEVER);
}

TEST(tcp_starts_afresh_where_the_hello_is_incomplete) /* §5.8 */
{
    reach_gathering();
    assert_int_equal(edge_tombstone(&e, T(1), &id, true, 0, &s), TURBO_JOIN_FRESH);
    assert_int_equal(e.alive, 0);
    assert_remembered(T(2));
    assert_null(s);
}

TEST(a_classic_opening_starts_afresh_where_the_hello_is_incomplete) /* §5.8 */
{
    reach_gathering();
    assert_int_equal(turbo_endpoint_adopt(e.endpoint, T(1), hello.bytes, hello.length, NULL, &s),
                     TURBO_JOIN_FRESH);
    assert_int_equal(e.alive, 0);
    assert_remembered(T(2));
}

TEST(what_went_by_tcp_elsewhere_ends_where_the_hello_is_incomplete) /* §5.8 */
{
    reach_gathering();
    turbo_endpoint_went_by_tcp(e.endpoint, T(1), &id);
    assert_int_equal(e.alive, 0);
    assert_remembered(T(2));
}

TEST(a_tombstone_that_cannot_be_continued_ends_a_session_not_passed_on) /* §5.9 */
{
    for (int unseen = 0; unseen < 2; unseen++) {
        for (uint32_t n = 0; n < 2; n++) {
            hello_make(&hello,
                       &(struct hello_spec){.random = n + 2 * (unsigned)unseen, .size = 1900});
            id = edge_id(&hello);
            request(T(0), 1);
            if (unseen)
                request(T(0), 2);
            assert_int_equal(edge_tombstone(&e, T(1), &id, n > 0, n, &s), TURBO_JOIN_RESET);
            assert_int_equal(e.alive, 0);
            edge_assert_no_event(&e);
            assert_remembered(T(2));
        }
    }
    assert_int_equal(counters().unknown, 4);
}

/* ---- READY, not handed out yet ---- */

TEST(before_it_is_handed_out_a_session_ends_without_an_event) /* §7.3 */
{
    reach_unseen();
    turbo_endpoint_tick(e.endpoint, T(10000));
    assert_int_equal(e.alive, 0);
    edge_assert_no_event(&e);
}

TEST(before_it_is_handed_out_an_abort_holds_against_late_copies) /* §3.8, 7.3 */
{
    reach_unseen();
    edge_abort(&e, T(2), &id);
    assert_int_equal(e.alive, 0);
    edge_assert_no_event(&e);
    assert_remembered(T(3));
}

TEST(what_tcp_can_no_longer_join_is_abandoned) /* §7.5 */
{
    reach_ready();
    turbo_endpoint_abandon(e.endpoint, T(3));
    edge_event(&e, TURBO_EVENT_ENDED);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 0);
}

TEST(before_it_is_handed_out_tcp_starts_afresh) /* §5.8 */
{
    reach_unseen();
    assert_int_equal(edge_tombstone(&e, T(2), &id, true, 0, &s), TURBO_JOIN_FRESH);
    assert_int_equal(e.alive, 0);
    assert_remembered(T(3));
}

/* ---- READY ---- */

TEST(a_first_response_makes_it_live_30_s_from_then) /* §7.3 */
{
    reach_answered();
    turbo_endpoint_tick(e.endpoint, T(10)); /* hold and quiet */
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(2 + 30000));
    assert_int_equal(turbo_server_report(s).first_response_us, 2 * TURBO_MILLISECOND);
    turbo_endpoint_tick(e.endpoint, T(2 + 30000) - 1);
    edge_assert_no_event(&e);
    turbo_endpoint_tick(e.endpoint, T(2 + 30000));
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
    assert_int_equal(counters().expired, 1);
}

TEST(a_session_that_cannot_answer_ends_after_10_s) /* §7.3 */
{
    reach_ready();
    turbo_endpoint_tick(e.endpoint, T(10000) - 1);
    edge_assert_no_event(&e);
    turbo_endpoint_tick(e.endpoint, T(10000));
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 0);
}

TEST(a_session_joins_before_its_first_response) /* §5.5 */
{
    struct turbo_server *joined = NULL;
    reach_ready();
    assert_int_equal(edge_tombstone(&e, T(2), &id, true, 0, &joined), TURBO_JOIN_SESSION);
    assert_ptr_equal(joined, s);
    assert_int_equal(turbo_server_report(s).joined_us, 0);
    assert_int_equal(turbo_server_replay_left(s), hello.length);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 0);
}

TEST(an_abort_ends_it_and_tells_the_caller) /* §3.8, 7.3 */
{
    reach_ready();
    edge_abort(&e, T(2), &id);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
    edge_assert_no_event(&e);
    assert_int_equal(counters().aborted, 1);
    turbo_server_release(s, T(2));
    s = NULL;
    assert_remembered(T(3));
}

TEST(without_a_tls_server_the_client_is_refused_once) /* §7.2e */
{
    struct turbo_datagram response;
    struct turbo_path path, asked = check_path(1, 1);
    reach_ready();
    turbo_server_refuse(s);
    turbo_server_refuse(s);
    assert_int_equal(edge_poll(&e, T(2), &response, &path), TURBO_HEADER_BYTES);
    assert_int_equal(response.flags, TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED);
    assert_memory_equal(response.id.bytes, id.bytes, TURBO_ID_BYTES);
    assert_memory_equal(&path.peer, &asked.peer, sizeof(path.peer));
    assert_int_equal(edge_poll_all(&e, T(2)), 0);
    assert_int_equal(counters().refused, 1);
    edge_assert_no_event(&e);
    turbo_server_release(s, T(2));
    s = NULL;
    assert_remembered(T(3));
}

/* ---- ANSWERED ---- */

TEST(a_session_that_answered_is_not_refused) /* §7.2e */
{
    reach_answered();
    turbo_server_refuse(s);
    assert_int_equal(edge_poll_all(&e, T(3)), 0);
    assert_int_equal(edge_push(s, T(3), 0, 10), 10);
}

TEST(a_tombstone_joins_what_was_answered) /* §5.5 */
{
    reach_joined();
    struct turbo_server_report report = turbo_server_report(s);
    assert_int_equal(report.outcome, TURBO_OUTCOME_TURBO);
    assert_int_equal(report.joined_us, 98 * TURBO_MILLISECOND);
    assert_int_equal(counters().joined, 1);
}

TEST(an_abort_ends_what_was_answered) /* §3.8 */
{
    reach_ended();
    assert_int_equal(counters().aborted, 1);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 0);
}

/* ---- JOINED, ENDED ---- */

TEST(after_the_join_udp_is_over) /* §5.13, 7.3 */
{
    reach_joined();
    assert_remembered(T(101));
    edge_abort(&e, T(101), &id);
    turbo_endpoint_tick(e.endpoint, T(60000));
    edge_assert_no_event(&e);
    turbo_server_refuse(s);
    assert_int_equal(edge_poll_all(&e, T(60000)), 0);
    assert_true(turbo_server_joined(s));
    assert_int_equal(edge_push(s, T(60000), 0, 10), 0);
    assert_int_equal(turbo_server_room(s), 0);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), TURBO_NEVER);
}

TEST(after_the_end_nothing_comes_of_it) /* §7.3 */
{
    reach_ended();
    assert_remembered(T(4));
    edge_abort(&e, T(4), &id);
    turbo_server_refuse(s);
    turbo_endpoint_tick(e.endpoint, T(60000));
    edge_assert_no_event(&e);
    assert_int_equal(edge_poll_all(&e, T(60000)), 0);
    assert_int_equal(edge_push(s, T(60000), 0, 10), 0);
    assert_int_equal(turbo_server_room(s), 0);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), TURBO_NEVER);
}

TEST(a_second_join_starts_afresh_only_where_nothing_was_consumed) /* §5.8, 5.9 */
{
    struct turbo_server *again = NULL;
    for (int ended = 0; ended < 2; ended++) {
        if (ended) {
            turbo_server_release(s, T(200));
            edge_stop(&e);
            edge_start(&e, EDGE_SESSIONS, EDGE_ENDED);
            reach_ended();
        } else {
            reach_joined();
        }
        assert_int_equal(edge_tombstone(&e, T(200), &id, true, 1, &again), TURBO_JOIN_RESET);
        assert_int_equal(edge_tombstone(&e, T(200), &id, false, 0, &again), TURBO_JOIN_RESET);
        assert_int_equal(edge_tombstone(&e, T(200), &id, true, 0, &again), TURBO_JOIN_FRESH);
        assert_int_equal(
            turbo_endpoint_adopt(e.endpoint, T(200), hello.bytes, hello.length, NULL, &again),
            TURBO_JOIN_FRESH);
        assert_null(again);
        assert_int_equal(e.alive, 1); /* it is the caller's */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(chunks_that_tcp_brings_again_are_counted),
        CASE(chunks_that_all_arrived_are_not_brought_again),
        CASE(a_complete_hello_is_announced_once),
        CASE(what_proves_to_be_no_hello_ends_without_an_answer),
        CASE(a_hello_that_becomes_too_large_ends_without_an_answer),
        CASE(an_abort_while_gathering_ends_it_silently),
        CASE(a_hello_that_stays_incomplete_ends_after_10_s),
        CASE(tcp_starts_afresh_where_the_hello_is_incomplete),
        CASE(a_classic_opening_starts_afresh_where_the_hello_is_incomplete),
        CASE(what_went_by_tcp_elsewhere_ends_where_the_hello_is_incomplete),
        CASE(a_tombstone_that_cannot_be_continued_ends_a_session_not_passed_on),
        CASE(before_it_is_handed_out_a_session_ends_without_an_event),
        CASE(before_it_is_handed_out_an_abort_holds_against_late_copies),
        CASE(what_tcp_can_no_longer_join_is_abandoned),
        CASE(before_it_is_handed_out_tcp_starts_afresh),
        CASE(a_first_response_makes_it_live_30_s_from_then),
        CASE(a_session_that_cannot_answer_ends_after_10_s),
        CASE(a_session_joins_before_its_first_response),
        CASE(an_abort_ends_it_and_tells_the_caller),
        CASE(without_a_tls_server_the_client_is_refused_once),
        CASE(a_session_that_answered_is_not_refused),
        CASE(a_tombstone_joins_what_was_answered),
        CASE(an_abort_ends_what_was_answered),
        CASE(after_the_join_udp_is_over),
        CASE(after_the_end_nothing_comes_of_it),
        CASE(a_second_join_starts_afresh_only_where_nothing_was_consumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
