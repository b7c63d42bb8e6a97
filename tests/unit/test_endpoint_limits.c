/* Who is not let in, which counter tells it, and how often it is said: protocol §7.1, 7.3. */
#include "tests/unit/support/edge.h"

static struct edge e;

#define T(milliseconds) (TURBO_SECOND * 100 + (milliseconds)*TURBO_MILLISECOND)

static struct turbo_endpoint_config limits(void)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    return config;
}

static struct turbo_endpoint_counters counters(void)
{
    return turbo_endpoint_counters(e.endpoint);
}

/* A ClientHello, the `n`th, comes from `path`. */
static void ask_by(turbo_time now, unsigned n, const struct turbo_path *path)
{
    struct hello hello;
    hello_simple(&hello, n);
    struct turbo_id id = edge_id(&hello);
    edge_request(&e, now, path, &id, &hello, 1);
}

/* From an address of its own. */
static void ask(turbo_time now, unsigned n)
{
    struct turbo_path path = check_path((uint8_t)n, 1);
    ask_by(now, n, &path);
}

/* It is let in. */
static struct turbo_server *admitted(turbo_time now, unsigned n)
{
    ask(now, n);
    struct turbo_server *s = edge_event(&e, TURBO_EVENT_NEW);
    assert_int_equal(edge_poll_all(&e, now), 0);
    return s;
}

/* So far so many were refused for this reason, and none for another; all of them were told. */
static void assert_limited(enum turbo_limit limit, uint64_t times)
{
    struct turbo_endpoint_counters c = counters();
    for (int i = 0; i < TURBO_LIMIT_COUNT; i++)
        assert_int_equal(c.limited[i], i == (int)limit ? times : 0);
    assert_int_equal(c.refused, times);
    assert_int_equal(c.refused_silent, 0);
}

static void assert_refused(turbo_time now)
{
    struct turbo_datagram response;
    edge_assert_no_event(&e);
    assert_int_equal(edge_poll(&e, now, &response, NULL), TURBO_HEADER_BYTES);
    assert_int_equal(response.flags, TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED);
    assert_int_equal(edge_poll_all(&e, now), 0);
}

#define TEST(name) TEST_BETWEEN(name, (void)0, edge_stop(&e))

/* ---- each limit ---- */

TEST(a_server_that_goes_away_lets_nobody_in)
{
    struct turbo_endpoint_config config = limits();
    edge_start_with(&e, &config);
    turbo_endpoint_drain(e.endpoint);
    ask(T(0), 1);
    assert_refused(T(0));
    assert_limited(TURBO_LIMIT_DRAINING, 1);
}

TEST(sessions_are_limited_in_number)
{
    struct turbo_endpoint_config config = limits();
    config.sessions_max = 2;
    edge_start_with(&e, &config);
    struct turbo_server *s = admitted(T(0), 1);
    turbo_server_release(admitted(T(0), 2), T(1));
    ask(T(2), 3); /* gathering or not, it counts */
    ask(T(2), 4);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(2));
    assert_refused(T(2));
    assert_limited(TURBO_LIMIT_SESSIONS, 1);
    turbo_server_release(s, T(3));
}

TEST(the_memory_of_all_sessions_is_limited)
{
    struct turbo_endpoint_config config = limits();
    config.memory_max = 2 * turbo_server_bytes() + turbo_server_bytes() - 1;
    edge_start_with(&e, &config);
    struct turbo_server *s[] = {admitted(T(0), 1), admitted(T(0), 2)};
    ask(T(1), 3);
    assert_refused(T(1));
    assert_limited(TURBO_LIMIT_MEMORY, 1);
    turbo_server_release(s[0], T(2));
    s[0] = admitted(T(3), 3);
    ask(T(3), 4);
    assert_refused(T(3));
    for (size_t i = 0; i < COUNT(s); i++)
        turbo_server_release(s[i], T(4));
}

TEST(exactly_as_much_memory_as_there_is_may_be_used)
{
    struct turbo_endpoint_config config = limits();
    config.memory_max = turbo_server_bytes();
    edge_start_with(&e, &config);
    turbo_server_release(admitted(T(0), 1), T(0));
}

TEST(memory_that_cannot_be_had_is_the_same_limit)
{
    struct turbo_endpoint_config config = limits();
    edge_start_with(&e, &config);
    e.starved = true;
    ask(T(0), 1);
    assert_refused(T(0));
    assert_limited(TURBO_LIMIT_MEMORY, 1);
    e.starved = false;
    turbo_server_release(admitted(T(1), 1), T(1)); /* it was not taken for used */
}

TEST(new_sessions_a_second_are_limited_in_all)
{
    struct turbo_endpoint_config config = limits();
    config.rate = 2;
    edge_start_with(&e, &config);
    turbo_server_release(admitted(T(0), 1), T(0));
    turbo_server_release(admitted(T(0), 2), T(0));
    ask(T(499), 3);
    assert_refused(T(499));
    assert_limited(TURBO_LIMIT_RATE, 1);
    turbo_server_release(admitted(T(500), 3), T(500));
}

TEST(new_sessions_a_second_are_limited_by_source)
{
    struct turbo_endpoint_config config = limits();
    struct turbo_path path = check_path(9, 1);
    config.source_rate = 1;
    edge_start_with(&e, &config);
    ask_by(T(0), 1, &path);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(0));
    path.peer.port = 2;
    ask_by(T(999), 2, &path);
    assert_refused(T(999));
    assert_limited(TURBO_LIMIT_SOURCE, 1);
    turbo_server_release(admitted(T(999), 3), T(999));
}

TEST(new_sessions_a_second_are_limited_by_site)
{
    struct turbo_endpoint_config config = limits();
    struct turbo_path path = {.peer.ip = {0x20, 1, 0xd, 0xb8}};
    config.site_rate = 1;
    edge_start_with(&e, &config);
    ask_by(T(0), 1, &path);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(0));
    path.peer.ip[7] = 5; /* another /64 */
    ask_by(T(1), 2, &path);
    assert_refused(T(1));
    assert_limited(TURBO_LIMIT_SITE, 1);
    path.peer.ip[5] = 5; /* another /48 */
    ask_by(T(1), 2, &path);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(1));
}

TEST(the_tls_server_may_be_what_is_limited) /* §7.1c, 7.2e */
{
    struct turbo_endpoint_config config = limits();
    edge_start_with(&e, &config);
    struct turbo_server *s = admitted(T(0), 1);
    turbo_server_refuse(s);
    turbo_server_release(s, T(0));
    assert_refused(T(0));
    assert_limited(TURBO_LIMIT_TLS_SERVER, 1);
}

TEST(who_is_refused_may_come_again_once_there_is_room)
{
    struct turbo_endpoint_config config = limits();
    config.sessions_max = 1;
    edge_start_with(&e, &config);
    struct turbo_server *s = admitted(T(0), 1);
    ask(T(1), 2);
    assert_refused(T(1));
    turbo_server_release(s, T(2));
    turbo_server_release(admitted(T(3), 2), T(3)); /* its id has not ended */
}

TEST(what_asks_for_no_session_meets_no_limit)
{
    struct turbo_endpoint_config config = limits();
    config.rate = 1;
    edge_start_with(&e, &config);
    struct turbo_server *s = admitted(T(0), 1);
    ask(T(0), 1); /* the same again */
    edge_push(s, T(0), 0, 100);
    turbo_endpoint_tick(e.endpoint, T(1));
    assert_true(edge_poll_all(&e, T(1)) > 0);
    turbo_server_release(s, T(1));
    ask(T(1), 1); /* ended */
    assert_int_equal(edge_poll_all(&e, T(1)), 0);
    assert_limited(TURBO_LIMIT_COUNT, 0);
}

/* ---- ended ids: §7.3 ---- */

TEST(while_the_table_of_ended_ids_is_full_nobody_is_let_in)
{
    struct turbo_endpoint_config config = limits();
    config.ended_max = 2;
    edge_start_with(&e, &config);
    turbo_server_release(admitted(T(0), 1), T(0));
    turbo_server_release(admitted(T(10), 2), T(10));
    ask(T(20), 3);
    assert_refused(T(20));
    assert_limited(TURBO_LIMIT_ENDED, 1);
    turbo_server_release(admitted(T(0) + TURBO_ENDED_TIME, 3), T(40000));
}

TEST(an_id_that_found_no_room_keeps_everybody_out_for_30_s)
{
    struct turbo_endpoint_config config = limits();
    config.ended_max = 2;
    edge_start_with(&e, &config);
    struct turbo_server *s[] = {admitted(T(0), 1), admitted(T(0), 2), admitted(T(0), 3)};
    turbo_server_release(s[0], T(0));
    turbo_server_release(s[1], T(0));
    turbo_server_release(s[2], T(29000)); /* forgotten at once */
    /* The table has been empty since T(30000), but a copy of 3's request may be on its way. */
    ask(T(31000), 4);
    assert_refused(T(31000));
    ask(T(29000) + TURBO_ENDED_TIME - 1, 4);
    assert_refused(T(60000));
    assert_limited(TURBO_LIMIT_ENDED, 2);
    turbo_server_release(admitted(T(29000) + TURBO_ENDED_TIME, 4), T(60000));
}

/* ---- REFUSED: §7.1d ---- */

/* So many are refused at once; returns to how many that was said. */
static size_t refuse(turbo_time now, unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        ask(now, 1000 + n);
    return edge_poll_all(&e, now);
}

TEST(refusals_have_a_rate_of_their_own_and_are_silent_beyond_it)
{
    struct turbo_endpoint_config config = limits();
    config.refusal_rate = 10;
    edge_start_with(&e, &config);
    turbo_endpoint_drain(e.endpoint);
    assert_int_equal(refuse(T(0), 15), 10);
    assert_int_equal(counters().refused, 10);
    assert_int_equal(counters().refused_silent, 5);
    assert_int_equal(refuse(T(99), 3), 0); /* nor are those before kept for later */
    assert_int_equal(refuse(T(100), 3), 1);
    assert_int_equal(refuse(T(600), 30), 5);
    assert_int_equal(refuse(T(3600000), 30), 10);
    assert_int_equal(counters().refused, 26);
    assert_int_equal(counters().limited[TURBO_LIMIT_DRAINING], 15 + 3 + 3 + 30 + 30);
    assert_int_equal(counters().refused_silent, 15 + 3 + 3 + 30 + 30 - 26);
}

TEST(refusals_do_not_hold_up_responses)
{
    struct turbo_endpoint_config config = limits();
    struct turbo_datagram response;
    config.refusal_rate = 1;
    edge_start_with(&e, &config);
    struct turbo_server *s = admitted(T(0), 1);
    turbo_endpoint_drain(e.endpoint);
    assert_int_equal(refuse(T(0), 2), 1);
    ask(T(1), 1000);
    edge_push(s, T(1), 0, 100);
    turbo_endpoint_tick(e.endpoint, T(2));
    assert_true(edge_poll(&e, T(2), &response, NULL) > 0);
    assert_int_equal(response.flags, TURBO_FLAG_PROFILE1);
    assert_int_equal(edge_poll_all(&e, T(2)), 0);
    turbo_server_release(s, T(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_server_that_goes_away_lets_nobody_in),
        CASE(sessions_are_limited_in_number),
        CASE(the_memory_of_all_sessions_is_limited),
        CASE(exactly_as_much_memory_as_there_is_may_be_used),
        CASE(memory_that_cannot_be_had_is_the_same_limit),
        CASE(new_sessions_a_second_are_limited_in_all),
        CASE(new_sessions_a_second_are_limited_by_source),
        CASE(new_sessions_a_second_are_limited_by_site),
        CASE(the_tls_server_may_be_what_is_limited),
        CASE(who_is_refused_may_come_again_once_there_is_room),
        CASE(what_asks_for_no_session_meets_no_limit),
        CASE(while_the_table_of_ended_ids_is_full_nobody_is_let_in),
        CASE(an_id_that_found_no_room_keeps_everybody_out_for_30_s),
        CASE(refusals_have_a_rate_of_their_own_and_are_silent_beyond_it),
        CASE(refusals_do_not_hold_up_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
