/* Sessions whose id is not their ClientHello's hash: protocol §2.5, 3.9, 3.10, 5.2, 5.7. */
#include "tests/unit/support/edge.h"

static struct edge e;
static struct hello hello;

#define T(milliseconds) (TURBO_SECOND * 100 + (milliseconds)*TURBO_MILLISECOND)

static void set_up(void)
{
    edge_start(&e, EDGE_SESSIONS, EDGE_ENDED);
    hello_simple(&hello, 0);
}

#define TEST(name) TEST_BETWEEN(name, set_up(), edge_stop(&e))

static struct turbo_endpoint_counters counters(void)
{
    return turbo_endpoint_counters(e.endpoint);
}

static void send_from(uint8_t client, turbo_time now, const struct turbo_id *id, uint32_t sequence,
                      const void *payload, size_t length)
{
    struct turbo_path path = check_path(client, 1);
    struct turbo_datagram request = {
        .id = *id, .sequence = sequence, .payload = payload, .length = length};
    edge_datagram(&e, now, &path, &request);
}

static void send(turbo_time now, const struct turbo_id *id, uint32_t sequence, const void *payload,
                 size_t length)
{
    send_from(1, now, id, sequence, payload, length);
}

/* A ClientHello in a request of its own, with an id of the test's choice. */
static struct turbo_server *draft_session(turbo_time now, const char *id_text)
{
    struct turbo_id id = {{0}};
    memcpy(id.bytes, id_text, TURBO_ID_BYTES);
    send(now, &id, 1, hello.bytes, hello.length);
    return edge_event(&e, TURBO_EVENT_NEW);
}

TEST(a_draft_session_goes_on_behind_its_last_request_without_replay)
{
    const uint8_t *data;
    struct turbo_server *joined = NULL, *s = draft_session(T(0), "GET / HTTP/1");
    struct turbo_id id = {{0}};
    memcpy(id.bytes, "GET / HTTP/1", TURBO_ID_BYTES);
    send(T(1), &id, 2, "more", 4);
    assert_int_equal(turbo_server_peek(s, &data), hello.length); /* the rest waits (3.10) */
    turbo_server_consume(s, hello.length);
    assert_int_equal(turbo_server_peek(s, &data), 0);
    assert_int_equal(edge_tombstone(&e, T(2), &id, false, 0, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(turbo_server_replay_left(s), 0);
    assert_int_equal(turbo_server_peek(s, &data), 4);
    assert_memory_equal(data, "more", 4);
    turbo_server_release(s, T(2));
}

TEST(a_draft_session_with_a_request_missing_cannot_go_on_without_replay) /* §5.7 */
{
    struct turbo_server *joined = NULL, *s = draft_session(T(0), "GET / HTTP/1");
    struct turbo_id id = {{0}};
    memcpy(id.bytes, "GET / HTTP/1", TURBO_ID_BYTES);
    send(T(1), &id, 3, "more", 4);
    assert_int_equal(edge_tombstone(&e, T(2), &id, false, 0, &joined), TURBO_JOIN_RESET);
    assert_int_equal(edge_tombstone(&e, T(2), &id, true, 0, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(turbo_server_replay_left(s), hello.length);
    turbo_server_release(s, T(2));
}

TEST(an_empty_request_behind_a_gap_leaves_no_hole) /* §5.7 */
{
    struct turbo_server *joined = NULL, *s = draft_session(T(0), "GET / HTTP/1");
    struct turbo_id id = {{0}};
    memcpy(id.bytes, "GET / HTTP/1", TURBO_ID_BYTES);
    send(T(1), &id, 3, NULL, 0);
    assert_int_equal(edge_tombstone(&e, T(2), &id, false, 0, &joined), TURBO_JOIN_SESSION);
    turbo_server_release(s, T(2));
}

TEST(a_hashed_session_ignores_what_lies_beyond_its_hello) /* §3.10 */
{
    const uint8_t *data;
    struct turbo_server *joined = NULL, *s = edge_session(&e, T(0), &hello);
    struct turbo_id id = edge_id(&hello);
    send(T(1), &id, 2, "more", 4);
    assert_int_equal(edge_tombstone(&e, T(2), &id, true, 0, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(turbo_server_peek(s, &data), hello.length);
    assert_int_equal(turbo_server_replay_left(s), hello.length);
    turbo_server_release(s, T(2));
}

TEST(payloads_are_taken_in_requests_1_to_16_only) /* §3.9 */
{
    struct turbo_server *s = draft_session(T(0), "0123456789ab");
    struct turbo_id id = {{0}};
    memcpy(id.bytes, "0123456789ab", TURBO_ID_BYTES);
    send(T(1), &id, 16, "x", 1);
    send(T(1), &id, 17, "x", 1);
    assert_int_equal(counters().junk, 1);
    send(T(1), &id, 17, NULL, 0);
    send(T(1), &id, 17, "x", 1); /* not what it was before (3.4) */
    assert_int_equal(counters().junk, 2);
    assert_int_equal(counters().requests, 3);
    turbo_server_release(s, T(1));
}

TEST(pending_draft_ids_are_known_by_their_beginning) /* §5.2 */
{
    struct turbo_server *joined = NULL;
    const uint8_t *id = (const uint8_t *)"GET / HTTP/1";
    assert_false(turbo_endpoint_prefix_known(e.endpoint, id, 1));
    struct turbo_server *s = draft_session(T(0), "GET / HTTP/1");
    for (size_t n = 1; n <= TURBO_ID_BYTES; n++) {
        uint8_t wrong[TURBO_ID_BYTES];
        memcpy(wrong, id, TURBO_ID_BYTES);
        wrong[n - 1] ^= 1;
        assert_true(turbo_endpoint_prefix_known(e.endpoint, id, n));
        assert_false(turbo_endpoint_prefix_known(e.endpoint, wrong, n));
    }
    assert_true(
        turbo_endpoint_prefix_known(e.endpoint, (const uint8_t *)"GET / HTTP/1\0\0\0\1", 16));
    struct turbo_id same = {{0}};
    memcpy(same.bytes, id, TURBO_ID_BYTES);
    assert_int_equal(edge_tombstone(&e, T(1), &same, false, 0, &joined), TURBO_JOIN_SESSION);
    assert_false(turbo_endpoint_prefix_known(e.endpoint, id, 3)); /* not pending any more */
    turbo_server_release(s, T(1));
}

static bool is_known_to(uint8_t client, const struct turbo_id *id)
{
    struct turbo_address from = check_path(client, 2).peer;
    struct turbo_opener opener = {.endpoint = e.endpoint, .from = &from};
    bool known = turbo_opener_prefix_known(&opener, id->bytes, TURBO_ID_BYTES) != TURBO_PREFIX_NONE;
    for (size_t n = 1; known && n < TURBO_ID_BYTES; n++)
        assert_int_equal(turbo_opener_prefix_known(&opener, id->bytes, n), TURBO_PREFIX_DRAFT);
    return known;
}

/* Whoever's address it was: also one that comes later, and while others come and go. */
TEST(to_all_that_have_asked_for_them) /* §5.2 */
{
    static const char *const texts[] = {"GET / HTTP/1", "GET / HTTP/2", "GET /!HTTP/3"};
    struct turbo_server *sessions[COUNT(texts)];
    struct turbo_id ids[COUNT(texts)] = {0};
    for (uint8_t i = 0; i < COUNT(texts); i++) {
        sessions[i] = draft_session(T(0), texts[i]);
        memcpy(ids[i].bytes, texts[i], TURBO_ID_BYTES);
        send_from(10 + i, T(1), &ids[i], 2, NULL, 0);
        send_from(20 + i, T(1), &ids[i], 3, NULL, 0);
    }
    for (size_t gone = 0; gone <= COUNT(texts); gone++) {
        for (uint8_t i = 0; i < COUNT(texts); i++) {
            assert_int_equal(is_known_to(1, &ids[i]), i >= gone);
            assert_int_equal(is_known_to(10 + i, &ids[i]), i >= gone);
            assert_int_equal(is_known_to(20 + i, &ids[i]), i >= gone);
            for (uint8_t stranger = 30; stranger < 230; stranger++)
                assert_false(is_known_to(stranger, &ids[i]));
            assert_false(is_known_to(i == 0 ? 11 : 10, &ids[i]));
        }
        if (gone < COUNT(texts))
            turbo_server_release(sessions[gone], T(2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_draft_session_goes_on_behind_its_last_request_without_replay),
        CASE(a_draft_session_with_a_request_missing_cannot_go_on_without_replay),
        CASE(an_empty_request_behind_a_gap_leaves_no_hole),
        CASE(a_hashed_session_ignores_what_lies_beyond_its_hello),
        CASE(payloads_are_taken_in_requests_1_to_16_only),
        CASE(pending_draft_ids_are_known_by_their_beginning),
        CASE(to_all_that_have_asked_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
