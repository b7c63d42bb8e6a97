/* What an endpoint does with datagrams and openings of any id: protocol §2 – §5, §7. */
#include "tests/unit/support/edge.h"

static struct edge e;
static struct hello hello, other;

#define T(milliseconds) (TURBO_SECOND * 100 + (milliseconds)*TURBO_MILLISECOND)

static void set_up(void)
{
    edge_start(&e, EDGE_SESSIONS, EDGE_ENDED);
    hello_simple(&hello, 0);
    hello_simple(&other, 1000);
}

#define TEST(name) TEST_BETWEEN(name, set_up(), edge_stop(&e))

static struct turbo_endpoint_counters counters(void)
{
    return turbo_endpoint_counters(e.endpoint);
}

static void send(turbo_time now, const struct turbo_id *id, uint32_t sequence, const void *payload,
                 size_t length)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_datagram request = {
        .id = *id, .sequence = sequence, .payload = payload, .length = length};
    edge_datagram(&e, now, &path, &request);
}

/* ---- first datagrams ---- */

TEST(what_is_no_request_is_junk) /* §3.2, 3.3, 3.12 */
{
    uint8_t bytes[TURBO_DATAGRAM_MAX + 1] = {0};
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    uint64_t junk = 0;
    turbo_endpoint_datagram(e.endpoint, T(0), &path, bytes, 0);
    turbo_endpoint_datagram(e.endpoint, T(0), &path, bytes, 15);
    turbo_endpoint_datagram(e.endpoint, T(0), &path, bytes, sizeof(bytes));
    assert_int_equal(counters().junk, 3);
    memcpy(bytes, id.bytes, TURBO_ID_BYTES);
    memcpy(bytes + TURBO_HEADER_BYTES, hello.bytes, hello.length);
    for (unsigned flags = 1; flags < 256; flags++) {
        bytes[12] = (uint8_t)flags;
        bytes[15] = 1;
        turbo_endpoint_datagram(e.endpoint, T(0), &path, bytes, TURBO_HEADER_BYTES + hello.length);
    }
    bytes[12] = 0;
    bytes[15] = 0;
    turbo_endpoint_datagram(e.endpoint, T(0), &path, bytes, TURBO_HEADER_BYTES + hello.length);
    bytes[15] = 65;
    turbo_endpoint_datagram(e.endpoint, T(0), &path, bytes, TURBO_HEADER_BYTES + hello.length);
    junk = counters().junk;
    assert_int_equal(junk, 3 + 255 + 2);
    assert_int_equal(e.alive, 0);
    assert_int_equal(edge_poll_all(&e, T(0)), 0);
}

TEST(a_chunk_1_must_begin_like_a_handshake_record) /* §7.1a */
{
    static const struct {
        uint8_t bytes[3];
        size_t length;
        bool good;
    } firsts[] = {{{0}, 0, false},       {{0x16}, 1, true},       {{0x17}, 1, false},
                  {{0x16, 3}, 2, true},  {{0x16, 2}, 2, false},   {{0x16, 3, 1}, 3, true},
                  {{0x15, 3}, 2, false}, {{0x16, 2, 3}, 3, false}};
    uint64_t sessions = 0, junk = 0;
    for (size_t i = 0; i < COUNT(firsts); i++) {
        struct turbo_id id = edge_id(&hello);
        id.bytes[11] = (uint8_t)i;
        send(T(0), &id, 1, firsts[i].bytes, firsts[i].length);
        sessions += firsts[i].good;
        junk += !firsts[i].good;
        assert_int_equal(counters().sessions, sessions);
        assert_int_equal(counters().junk, junk);
    }
    assert_int_equal(edge_poll_all(&e, T(0)), 0);
}

TEST(an_id_that_begins_like_a_record_is_dropped) /* §2.5 */
{
    struct turbo_id id = {{0x16, 3, 1}};
    send(T(0), &id, 1, hello.bytes, hello.length);
    send(T(0), &id, 2, NULL, 0);
    assert_int_equal(counters().junk, 2);
    assert_int_equal(e.alive, 0);
    id.bytes[1] = 4;
    send(T(0), &id, 1, hello.bytes, hello.length);
    assert_int_equal(e.alive, 1);
}

TEST(an_abort_without_a_session_is_dropped) /* §3.8 */
{
    struct turbo_id id = edge_id(&hello);
    edge_abort(&e, T(0), &id);
    assert_int_equal(counters().late, 1);
    assert_non_null(edge_session(&e, T(1), &hello));
    struct turbo_server *s = NULL;
    assert_int_equal(edge_tombstone(&e, T(2), &id, true, 0, &s), TURBO_JOIN_SESSION);
    turbo_server_release(s, T(3));
}

/* ---- orphans: §7.1b ---- */

TEST(requests_wait_a_second_for_their_chunk_1)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id;
    hello_make(&hello, &(struct hello_spec){.size = 4 * TURBO_REQUEST_PAYLOAD_MAX});
    id = edge_id(&hello);
    for (uint32_t k = 4; k > 0; k--)
        edge_request(&e, T(0) + (k == 1 ? TURBO_ORPHAN_TIME - 1 : 0), &path, &id, &hello, k);
    struct turbo_server *s = edge_event(&e, TURBO_EVENT_NEW);
    /* Each earned its permit: 4 and the bytes for them (4.3). */
    assert_true(edge_push(s, T(1500), 0, 60000) == 60000);
    assert_int_equal(edge_poll_all(&e, T(1500)), 4);
    turbo_server_release(s, T(1500));
}

TEST(requests_do_not_wait_longer)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id;
    hello_make(&hello, &(struct hello_spec){.size = 1900});
    id = edge_id(&hello);
    edge_request(&e, T(0), &path, &id, &hello, 2);
    edge_request(&e, T(0) + TURBO_ORPHAN_TIME, &path, &id, &hello, 1);
    edge_assert_no_event(&e);
    edge_request(&e, T(1001), &path, &id, &hello, 2);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(1001));
}

TEST(sixty_four_requests_wait_and_no_more)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id;
    hello_make(&hello, &(struct hello_spec){.size = 1900});
    id = edge_id(&hello);
    for (unsigned i = 0; i < TURBO_ORPHANS_MAX; i++) {
        struct turbo_id stray = edge_id(&other);
        stray.bytes[11] = (uint8_t)i;
        send(T(0), &stray, 2, "x", 1);
    }
    assert_int_equal(counters().orphans_dropped, 0);
    edge_request(&e, T(1), &path, &id, &hello, 2);
    assert_int_equal(counters().orphans_dropped, 1);
    edge_request(&e, T(2), &path, &id, &hello, 1);
    edge_assert_no_event(&e);
    edge_request(&e, T(0) + TURBO_ORPHAN_TIME, &path, &id, &hello, 2); /* its session is there */
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(1100));
    send(T(0) + TURBO_ORPHAN_TIME, &id, 2, "x", 1);
    assert_int_equal(counters().orphans_dropped, 1); /* the old ones made room */
}

static void send_strays(turbo_time now, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct turbo_id stray = edge_id(&other);
        stray.bytes[11] = (uint8_t)i;
        send(now, &stray, 2, "x", 1);
    }
}

TEST(a_place_is_free_again_when_its_session_has_come_or_its_second_is_over)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id;
    hello_make(&hello, &(struct hello_spec){.size = 1900});
    id = edge_id(&hello);
    edge_request(&e, T(0), &path, &id, &hello, 2);
    send_strays(T(1), 1, TURBO_ORPHANS_MAX + 3);
    assert_int_equal(counters().orphans_dropped, 3);
    edge_request(&e, T(2), &path, &id, &hello, 1);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(2));
    send_strays(T(3), 100, 102);
    assert_int_equal(counters().orphans_dropped, 4);
    send_strays(T(1) + TURBO_ORPHAN_TIME - 1, 102, 103);
    assert_int_equal(counters().orphans_dropped, 5);
    send_strays(T(1) + TURBO_ORPHAN_TIME, 103, 104 + TURBO_ORPHANS_MAX);
    assert_int_equal(counters().orphans_dropped, 7); /* but for the one of T(3) */
}

TEST(orphans_that_complete_nonsense_end_with_it)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    send(T(0), &id, 2, "not a ClientHello", 17);
    send(T(0), &id, 3, "nor this", 8);
    hello.length = 20;
    edge_request(&e, T(1), &path, &id, &hello, 1);
    assert_int_equal(e.alive, 0);
    edge_assert_no_event(&e);
}

/* ---- REFUSED: §7.1c, 7.1d, 4.3 ---- */

static void assert_refused(turbo_time now, unsigned random)
{
    struct turbo_datagram response;
    struct turbo_path to, path = check_path((uint8_t)random, 77);
    struct turbo_id id;
    hello_simple(&other, random);
    id = edge_id(&other);
    edge_request(&e, now, &path, &id, &other, 1);
    assert_int_equal(edge_poll(&e, now, &response, &to), TURBO_HEADER_BYTES);
    assert_int_equal(response.flags, TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED);
    assert_memory_equal(response.id.bytes, id.bytes, TURBO_ID_BYTES);
    assert_memory_equal(&to, &path, sizeof(to));
    assert_int_equal(edge_poll_all(&e, now), 0);
}

TEST(beyond_the_limit_on_sessions_new_ones_are_refused)
{
    struct turbo_server *s[EDGE_SESSIONS];
    for (unsigned i = 0; i < EDGE_SESSIONS; i++) {
        hello_simple(&hello, i);
        s[i] = edge_session(&e, T(0), &hello);
    }
    assert_refused(T(1), 100);
    assert_int_equal(counters().refused, 1);
    turbo_server_release(s[0], T(2));
    hello_simple(&hello, 101);
    s[0] = edge_session(&e, T(3), &hello);
    for (unsigned i = 0; i < EDGE_SESSIONS; i++)
        turbo_server_release(s[i], T(4));
}

TEST(without_memory_new_ones_are_refused)
{
    e.starved = true;
    assert_refused(T(0), 1);
    e.starved = false;
    turbo_server_release(edge_session(&e, T(1), &hello), T(1));
}

TEST(while_draining_new_ones_are_refused_and_old_ones_go_on) /* §7.5 */
{
    struct turbo_server *s = edge_session(&e, T(0), &hello);
    turbo_endpoint_drain(e.endpoint);
    assert_refused(T(1), 1);
    assert_int_equal(edge_push(s, T(1), 0, TURBO_RESPONSE_PAYLOAD_MAX), TURBO_RESPONSE_PAYLOAD_MAX);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 1);
    turbo_server_release(s, T(2));
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 0);
}

TEST(one_that_stays_after_all_lets_new_ones_in_again)
{
    struct turbo_server *s = edge_session(&e, T(0), &hello);
    turbo_endpoint_drain(e.endpoint);
    turbo_endpoint_resume(e.endpoint);
    struct turbo_path path = check_path(2, 1);
    struct turbo_id id = edge_id(&hello);
    id.bytes[11] ^= 1;
    edge_request(&e, T(1), &path, &id, &hello, 1);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 2);
    turbo_server_release(s, T(2));
}

TEST(many_refusals_at_once_become_silence)
{
    struct turbo_path path = check_path(1, 1);
    turbo_endpoint_drain(e.endpoint);
    for (unsigned i = 0; i < 40; i++) {
        struct turbo_id id = edge_id(&hello);
        id.bytes[11] = (uint8_t)i;
        edge_request(&e, T(0), &path, &id, &hello, 1);
    }
    assert_int_equal(edge_poll_all(&e, T(0)), 32);
    assert_int_equal(counters().refused, 32);
    assert_int_equal(counters().refused_silent, 8);
}

/* ---- ended ids: §7.3 ---- */

TEST(an_ended_id_is_remembered_for_30_s)
{
    turbo_server_release(edge_session(&e, T(0), &hello), T(10));
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    edge_request(&e, T(10) + TURBO_ENDED_TIME - 1, &path, &id, &hello, 1);
    assert_int_equal(counters().late, 1);
    edge_assert_no_event(&e);
    edge_request(&e, T(10) + TURBO_ENDED_TIME, &path, &id, &hello, 1);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(40000));
}

TEST(the_id_of_a_classic_opening_is_remembered) /* §5.3 */
{
    struct turbo_server *s = NULL;
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    assert_int_equal(turbo_endpoint_adopt(e.endpoint, T(0), hello.bytes, hello.length, NULL, &s),
                     TURBO_JOIN_FRESH);
    edge_request(&e, T(1), &path, &id, &hello, 1);
    assert_int_equal(counters().late, 1);
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().adopted, 0);
}

TEST(an_id_that_went_by_tcp_elsewhere_is_remembered) /* §5.3 */
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    turbo_endpoint_went_by_tcp(e.endpoint, T(0), &id);
    edge_request(&e, T(1), &path, &id, &hello, 1);
    assert_int_equal(counters().late, 1);
    assert_int_equal(e.alive, 0);
}

TEST(a_session_that_was_passed_on_before_waits_on)
{
    struct turbo_server *s = edge_session(&e, T(0), &hello), *adopted = NULL;
    struct turbo_id id = edge_id(&hello);
    turbo_endpoint_went_by_tcp(e.endpoint, T(1), &id);
    assert_int_equal(
        turbo_endpoint_adopt(e.endpoint, T(2), hello.bytes, hello.length, NULL, &adopted),
        TURBO_JOIN_SESSION);
    assert_ptr_equal(adopted, s);
    turbo_server_release(s, T(3));
}

TEST(each_classic_opening_is_remembered_for_30_s) /* §5.3 */
{
    struct turbo_server *s = NULL;
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    turbo_time again = T(0) + TURBO_ENDED_TIME - 1;
    turbo_endpoint_adopt(e.endpoint, T(0), hello.bytes, hello.length, NULL, &s);
    turbo_endpoint_adopt(e.endpoint, again, hello.bytes, hello.length, NULL, &s);
    edge_request(&e, again + TURBO_ENDED_TIME - 1, &path, &id, &hello, 1);
    assert_int_equal(counters().late, 1);
    assert_int_equal(e.alive, 0);
}

TEST(a_full_table_of_ended_ids_refuses_new_sessions_until_there_is_room)
{
    for (unsigned i = 0; i < EDGE_ENDED; i++) {
        hello_simple(&hello, i);
        turbo_server_release(edge_session(&e, T(0), &hello), T(i));
    }
    assert_refused(T(20), 100);
    assert_refused(T(0) + TURBO_ENDED_TIME - 1, 100);
    hello_simple(&hello, 200);
    turbo_server_release(edge_session(&e, T(0) + TURBO_ENDED_TIME, &hello), T(40000));
}

/* ---- openings for no session: §5.8, 5.9 ---- */

TEST(a_tombstone_for_no_session_starts_afresh_only_with_replay_and_0)
{
    struct turbo_server *s = NULL;
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&hello);
    assert_int_equal(edge_tombstone(&e, T(0), &id, true, 1, &s), TURBO_JOIN_RESET);
    assert_int_equal(edge_tombstone(&e, T(0), &id, false, 0, &s), TURBO_JOIN_RESET);
    assert_int_equal(edge_tombstone(&e, T(0), &id, false, 3, &s), TURBO_JOIN_RESET);
    assert_int_equal(counters().unknown, 3);
    assert_int_equal(edge_tombstone(&e, T(0), &id, true, 0, &s), TURBO_JOIN_FRESH);
    assert_int_equal(counters().unknown, 3);
    edge_request(&e, T(1), &path, &id, &hello, 1);
    assert_int_equal(counters().late, 1);
    assert_null(s);
}

TEST(another_hello_is_not_adopted) /* §5.4 */
{
    struct turbo_server *s = edge_session(&e, T(0), &hello), *adopted = NULL;
    assert_int_equal(
        turbo_endpoint_adopt(e.endpoint, T(1), other.bytes, other.length, NULL, &adopted),
        TURBO_JOIN_FRESH);
    assert_null(adopted);
    assert_false(turbo_server_joined(s));
    turbo_server_release(s, T(1));
}

TEST(a_session_under_a_stolen_id_is_not_adopted) /* §5.4: no draft session is */
{
    struct turbo_server *adopted = NULL;
    struct turbo_id id = edge_id(&hello);
    send(T(0), &id, 1, other.bytes, other.length);
    struct turbo_server *s = edge_event(&e, TURBO_EVENT_NEW);
    assert_int_equal(
        turbo_endpoint_adopt(e.endpoint, T(1), hello.bytes, hello.length, NULL, &adopted),
        TURBO_JOIN_FRESH);
    assert_null(adopted);
    turbo_server_release(s, T(1));
}

/* ---- addresses: §4.2, 3.11 ---- */

TEST(a_fifth_address_earns_nothing)
{
    struct turbo_server *s = edge_session(&e, T(0), &hello); /* from the first */
    struct turbo_id id = edge_id(&hello);
    for (uint8_t client = 2; client <= 6; client++) {
        struct turbo_path path = check_path(client, 9);
        edge_request(&e, T(1), &path, &id, &hello, 1);
    }
    assert_int_equal(counters().addresses_beyond, 2);
    assert_int_equal(edge_push(s, T(2), 0, 100), 100);
    turbo_endpoint_tick(e.endpoint, T(100));
    bool answered[8] = {false};
    struct turbo_datagram response;
    struct turbo_path to;
    while (edge_poll(&e, T(100), &response, &to) > 0)
        answered[to.peer.ip[15]] = true;
    assert_true(answered[1] && answered[2] && answered[3] && answered[4]);
    assert_false(answered[5] || answered[6]);
    turbo_server_release(s, T(101));
}

TEST(an_endpoint_gives_back_what_it_still_owns)
{
    struct turbo_path path = check_path(1, 1);
    struct turbo_id id = edge_id(&other);
    edge_request(&e, T(0), &path, &id, &other, 1); /* announced, not handed out */
    hello_make(&hello, &(struct hello_spec){.size = 1900});
    id = edge_id(&hello);
    edge_request(&e, T(0), &path, &id, &hello, 1); /* still gathering */
    assert_int_equal(e.alive, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_no_request_is_junk),
        CASE(a_chunk_1_must_begin_like_a_handshake_record),
        CASE(an_id_that_begins_like_a_record_is_dropped),
        CASE(an_abort_without_a_session_is_dropped),
        CASE(requests_wait_a_second_for_their_chunk_1),
        CASE(requests_do_not_wait_longer),
        CASE(sixty_four_requests_wait_and_no_more),
        CASE(a_place_is_free_again_when_its_session_has_come_or_its_second_is_over),
        CASE(orphans_that_complete_nonsense_end_with_it),
        CASE(beyond_the_limit_on_sessions_new_ones_are_refused),
        CASE(without_memory_new_ones_are_refused),
        CASE(while_draining_new_ones_are_refused_and_old_ones_go_on),
        CASE(one_that_stays_after_all_lets_new_ones_in_again),
        CASE(many_refusals_at_once_become_silence),
        CASE(an_ended_id_is_remembered_for_30_s),
        CASE(the_id_of_a_classic_opening_is_remembered),
        CASE(an_id_that_went_by_tcp_elsewhere_is_remembered),
        CASE(a_session_that_was_passed_on_before_waits_on),
        CASE(each_classic_opening_is_remembered_for_30_s),
        CASE(a_full_table_of_ended_ids_refuses_new_sessions_until_there_is_room),
        CASE(a_tombstone_for_no_session_starts_afresh_only_with_replay_and_0),
        CASE(another_hello_is_not_adopted),
        CASE(a_session_under_a_stolen_id_is_not_adopted),
        CASE(a_fifth_address_earns_nothing),
        CASE(an_endpoint_gives_back_what_it_still_owns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
