/* Both ends and a network between them: what must be true under every schedule (protocol §12). */
#include "tests/unit/support/net.h"

#define RTT (2 * NET_ONE_WAY)

enum { CHUNK = TURBO_RESPONSE_PAYLOAD_MAX };

/* Everything arrived, once, over one connection to the TLS server (12.1 – 12.3). */
static void assert_whole(const struct net_plan *plan, const struct net_result *r)
{
    assert_int_equal(r->app_got, plan->flight + plan->reply);
    assert_int_equal(r->server_got, plan->hello + plan->answer);
    assert_int_equal(r->servers, 1);
    assert_int_equal(r->app_end, plan->end);
    assert_int_equal(r->server_end, plan->half_close ? TURBO_END_FIN : TURBO_END_NONE);
    /* Never later than classic TLS by more than the wait, pieces included (12.6). */
    turbo_time late = plan->tcp_up > RTT ? plan->tcp_up - RTT : 0;
    turbo_time classic = 3 * NET_ONE_WAY + RTT + plan->pieces * 2 * TURBO_MILLISECOND;
    assert_true(r->server_answer_at <= classic + late + plan->app_start + TURBO_WAIT_MAX);
}

static struct net_result run_whole(const struct net_plan *plan)
{
    struct net_result r = net_run(plan);
    assert_whole(plan, &r);
    return r;
}

static void a_round_trip_is_saved(void **state)
{
    struct net_plan plan = net_usual();
    struct net_result r = run_whole(&plan);
    (void)state;
    assert_int_equal(r.client.outcome, TURBO_OUTCOME_TURBO);
    assert_int_equal(r.edge.joined, 1);
    /* The flight is there about when TCP is up, and the answer half a round trip later. */
    assert_true(r.app_flight_at < RTT + 6 * TURBO_MILLISECOND);
    assert_true(r.server_answer_at < RTT + NET_ONE_WAY + 6 * TURBO_MILLISECOND);
}

static void any_one_request_may_be_lost(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    for (size_t size = 600; size < 8000; size += 1500) {
        plan.hello = size;
        for (unsigned i = 0; i < TURBO_REQUESTS_MAX; i++) {
            plan.lose_requests = UINT64_C(1) << i;
            struct net_result r = run_whole(&plan);
            assert_int_equal(r.client.outcome, TURBO_OUTCOME_TURBO);
            assert_true(r.app_flight_at < RTT + 10 * TURBO_MILLISECOND);
        }
    }
}

static void any_one_response_may_be_lost(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    for (unsigned chunks = 1; chunks < 12; chunks += 5) {
        plan.flight = chunks * (size_t)CHUNK - 7;
        for (unsigned i = 0; i < 16; i++) {
            plan.lose_responses = UINT64_C(1) << i;
            struct net_result r = run_whole(&plan);
            assert_true(r.edge.joined == 1 || r.edge.adopted == 1);
        }
    }
}

static void any_pattern_of_loss_is_survived(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    for (uint64_t requests = 0; requests < 128; requests += 5) {
        for (uint64_t responses = 0; responses < 64; responses++) {
            plan.hello = requests % 2 == 0 ? 600 : 3000;
            plan.lose_requests = requests;
            plan.lose_responses = responses;
            run_whole(&plan);
        }
    }
}

static void repeated_datagrams_change_nothing(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.repeat_requests = plan.repeat_responses = NET_ALL;
    struct net_result r = run_whole(&plan);
    assert_int_equal(r.client.outcome, TURBO_OUTCOME_TURBO);
    plan.hello = 4000;
    plan.flight = 20000;
    run_whole(&plan);
    for (uint64_t mask = 0; mask < 64; mask++) {
        plan.repeat_requests = mask;
        plan.repeat_responses = ~mask;
        run_whole(&plan);
    }
}

static void reordered_datagrams_change_nothing(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    for (uint64_t mask = 0; mask < 256; mask++) {
        plan.hello = 600 + 1000 * (mask % 6);
        plan.flight = 1000 + 1500 * (mask % 7);
        plan.delay_requests = mask;
        plan.delay_responses = mask * 37;
        plan.repeat_responses = mask * 101;
        struct net_result r = run_whole(&plan);
        assert_int_equal(r.edge.joined + r.edge.adopted, 1);
    }
}

static void requests_may_be_later_than_tcp(void **state) /* §12.3 */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.delay_requests = NET_ALL;
    for (plan.delay = 0; plan.delay < 300 * TURBO_MILLISECOND; plan.delay += 3 * TURBO_MILLISECOND)
        run_whole(&plan);
    plan.hello = 3000;
    plan.delay_requests = 2; /* one of three chunks; the copies are lost */
    plan.lose_requests = ~UINT64_C(7);
    for (plan.delay = 0; plan.delay < 300 * TURBO_MILLISECOND; plan.delay += 3 * TURBO_MILLISECOND)
        run_whole(&plan);
}

static void tcp_may_come_up_at_any_time(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    for (turbo_time up = TURBO_MILLISECOND; up < 400 * TURBO_MILLISECOND;
         up += 3 * TURBO_MILLISECOND) {
        for (uint64_t lose = 0; lose < 4; lose++) {
            plan.tcp_up = up;
            plan.lose_responses = lose;
            run_whole(&plan);
        }
    }
}

static void with_tcp_up_first_it_is_classic(void **state) /* §6.2 */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.tcp_up = TURBO_MILLISECOND;
    plan.app_start = 2 * TURBO_MILLISECOND;
    struct net_result r = run_whole(&plan);
    assert_int_equal(r.client.reason, TURBO_REASON_TCP_FIRST);
    assert_int_equal(r.requests, 0);
    assert_int_equal(r.responses, 0);
    plan.always = true;
    r = run_whole(&plan);
    assert_true(r.requests > 0);
    assert_int_equal(r.edge.adopted + r.edge.joined, 1);
}

static void udp_blocked_either_way_is_classic(void **state) /* §6.5, 5.4 */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.lose_requests = NET_ALL;
    struct net_result r = run_whole(&plan);
    assert_int_equal(r.client.reason, TURBO_REASON_NO_RESPONSE);
    assert_int_equal(r.edge.sessions, 0);

    plan.lose_requests = 0;
    plan.lose_responses = NET_ALL;
    r = run_whole(&plan);
    assert_int_equal(r.client.reason, TURBO_REASON_NO_RESPONSE);
    assert_int_equal(r.edge.adopted, 1); /* the same connection to the TLS server */
}

static void responses_later_than_the_wait_are_adopted_too(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.tcp_up = 10 * TURBO_MILLISECOND;
    struct net_result r = run_whole(&plan);
    assert_int_equal(r.edge.adopted, 1);
}

static void flights_of_1_to_20_chunks_arrive(void **state)
{
    (void)state;
    for (unsigned chunks = 1; chunks <= 20; chunks++) {
        for (int shorter = 0; shorter < 6; shorter++) {
            struct net_plan plan = net_usual();
            plan.hello = shorter % 2 == 0 ? 200 : 600; /* bytes are short, or permits */
            plan.flight = chunks * (size_t)CHUNK - (size_t)shorter * 190;
            plan.pieces = 1 + chunks % 3;
            struct net_result r = run_whole(&plan);
            /* As much as a small ClientHello can pay for, once with each request (4.6). */
            size_t paid = (size_t)3 * r.requests * (16 + plan.hello);
            size_t needed = plan.flight + (size_t)16 * (chunks + plan.pieces) + 1200;
            if (r.requests > chunks + plan.pieces && paid >= needed)
                assert_int_equal(r.client.outcome, TURBO_OUTCOME_TURBO);
        }
    }
}

static void hellos_of_1_to_8_chunks_arrive(void **state)
{
    struct net_plan plan = net_usual();
    (void)state;
    for (plan.hello = 500; plan.hello <= 8 * 1184; plan.hello += 171) {
        struct net_result r = run_whole(&plan);
        assert_int_equal(r.client.outcome, TURBO_OUTCOME_TURBO);
    }
    plan.hello = 8 * 1184 + 1;
    struct net_result r = run_whole(&plan);
    assert_int_equal(r.client.reason, TURBO_REASON_HELLO_TOO_LARGE);
    plan.hello = 20000;
    r = run_whole(&plan);
    assert_int_equal(r.requests, 0);
}

static void more_than_64_kib_wait_for_tcp_and_arrive(void **state) /* §7.2c */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.flight = 200000;
    plan.pieces = 7;
    plan.answer = 100000; /* and more than the client end holds */
    run_whole(&plan);
}

static void the_opening_may_be_read_in_any_pieces(void **state) /* §5.1 */
{
    struct net_plan plan = net_usual();
    (void)state;
    for (plan.segment = 1; plan.segment < 40; plan.segment++) {
        plan.lose_responses = 0; /* a tombstone */
        struct net_result r = run_whole(&plan);
        assert_int_equal(r.edge.joined, 1);
        plan.lose_responses = NET_ALL; /* adoption */
        r = run_whole(&plan);
        assert_int_equal(r.edge.adopted, 1);
    }
}

static void a_request_from_another_port_is_answered_there(void **state) /* §4.2 */
{
    struct net_plan plan = net_usual();
    (void)state;
    for (uint64_t mask = 0; mask < 128; mask++) {
        plan.other_port = mask;
        run_whole(&plan);
    }
}

static void a_half_close_travels_behind_the_answer(void **state) /* §3.8 */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.half_close = true;
    for (plan.lose_responses = 0; plan.lose_responses < 16; plan.lose_responses++)
        run_whole(&plan);
    plan.answer = 0; /* nothing but the FIN */
    for (plan.lose_responses = 0; plan.lose_responses < 16; plan.lose_responses++) {
        struct net_result r = net_run(&plan);
        assert_int_equal(r.server_end, TURBO_END_FIN);
        assert_int_equal(r.server_got, plan.hello);
    }
}

static void the_tls_servers_end_comes_behind_its_bytes(void **state) /* §7.2d */
{
    static const enum turbo_end ends[] = {TURBO_END_FIN, TURBO_END_RESET};
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct net_plan plan = net_usual();
        plan.end = ends[i];
        for (plan.lose_responses = 0; plan.lose_responses < 32; plan.lose_responses++)
            run_whole(&plan);
        plan.end_with_flight = true; /* an alert, say */
        plan.reply = plan.answer = 0;
        for (plan.lose_responses = 0; plan.lose_responses < 32; plan.lose_responses++) {
            struct net_result r = net_run(&plan);
            assert_int_equal(r.app_got, plan.flight);
            assert_int_equal(r.app_end, ends[i]);
            assert_int_equal(r.servers, 1);
        }
    }
}

static void an_app_that_resets_takes_the_tls_server_with_it(void **state) /* §3.8, 7.3 */
{
    struct net_plan plan = net_usual();
    (void)state;
    for (turbo_time at = 51; at < 300; at += 3) {
        plan.app_reset = at * TURBO_MILLISECOND;
        for (uint64_t lose = 0; lose < 4; lose++) {
            plan.lose_responses = lose;
            struct net_result r = net_run(&plan);
            assert_true(r.servers == 1);
            assert_int_equal(r.server_end, TURBO_END_RESET);
            assert_int_equal(r.edge.expired, 0); /* it was told */
            assert_int_equal(r.edge.aborted + r.edge.joined + r.edge.adopted, 1);
        }
    }
}

static void a_refused_session_is_classic(void **state) /* §6.7a, 7.1c, 7.2e */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.no_room = true;
    struct net_result r = run_whole(&plan);
    assert_int_equal(r.client.reason, TURBO_REASON_REFUSED);
    plan.no_room = false;
    plan.no_server = true;
    r = run_whole(&plan);
    assert_int_equal(r.client.reason, TURBO_REASON_REFUSED);
    assert_int_equal(r.edge.sessions, 1);
}

static void lost_state_is_a_reset_once_bytes_were_consumed(void **state) /* §5.8, 5.9, 12.2 */
{
    struct net_plan plan = net_usual();
    (void)state;
    plan.edge_restart = 120 * TURBO_MILLISECOND;
    struct net_result r = net_run(&plan);
    assert_int_equal(r.app_end, TURBO_END_RESET);
    assert_int_equal(r.app_got, plan.flight);
    assert_int_equal(r.edge.unknown, 1);

    plan.lose_responses = ~UINT64_C(2); /* only chunk 2 came: nothing was consumed */
    plan.pieces = 1;
    r = net_run(&plan);
    assert_int_equal(r.client.outcome, TURBO_OUTCOME_RESUMED);
    assert_int_equal(r.app_got, plan.flight + plan.reply);
    assert_int_equal(r.servers, 2); /* the exception of 12.3 */
    plan.lose_responses = NET_ALL;  /* classic */
    r = net_run(&plan);
    assert_int_equal(r.app_got, plan.flight + plan.reply);
    assert_int_equal(r.servers, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_round_trip_is_saved),
        CASE(any_one_request_may_be_lost),
        CASE(any_one_response_may_be_lost),
        CASE(any_pattern_of_loss_is_survived),
        CASE(repeated_datagrams_change_nothing),
        CASE(reordered_datagrams_change_nothing),
        CASE(requests_may_be_later_than_tcp),
        CASE(tcp_may_come_up_at_any_time),
        CASE(with_tcp_up_first_it_is_classic),
        CASE(udp_blocked_either_way_is_classic),
        CASE(responses_later_than_the_wait_are_adopted_too),
        CASE(flights_of_1_to_20_chunks_arrive),
        CASE(hellos_of_1_to_8_chunks_arrive),
        CASE(more_than_64_kib_wait_for_tcp_and_arrive),
        CASE(the_opening_may_be_read_in_any_pieces),
        CASE(a_request_from_another_port_is_answered_there),
        CASE(a_half_close_travels_behind_the_answer),
        CASE(the_tls_servers_end_comes_behind_its_bytes),
        CASE(an_app_that_resets_takes_the_tls_server_with_it),
        CASE(a_refused_session_is_classic),
        CASE(lost_state_is_a_reset_once_bytes_were_consumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
