/* Sessions whose address was vouched for: who may join them, and who is heard (protocol §7.4). */
#include "tests/unit/support/edge.h"

enum { CLIENT = 1, OTHER = 2, T = 1000 };

static struct edge e;
static struct hello hello, large;

static struct turbo_server *vouched_session(const struct hello *from)
{
    struct turbo_server *session = edge_session(&e, T, from);
    turbo_server_vouch(session);
    return session;
}

static void answer(struct turbo_server *session)
{
    edge_push(session, T, 0, 3 * TURBO_RESPONSE_PAYLOAD_MAX);
}

static enum turbo_join join_from(const struct turbo_address *from, uint32_t n,
                                 struct turbo_server **session)
{
    struct turbo_tombstone tombstone = {.id = edge_id(&hello), .replay = true, .consumed = n};
    return turbo_endpoint_join(e.endpoint, T, &tombstone, from, session);
}

static enum turbo_join adopt_from(const struct turbo_address *from, struct turbo_server **session)
{
    return turbo_endpoint_adopt(e.endpoint, T, hello.bytes, hello.length, from, session);
}

static struct turbo_address address(uint8_t client, uint16_t port)
{
    return check_path(client, port).peer;
}

static void start(void)
{
    edge_start(&e, EDGE_SESSIONS, EDGE_ENDED);
    hello_make(&hello, &(struct hello_spec){.size = 1000, .random = 1});
    hello_make(&large, &(struct hello_spec){.size = TURBO_REQUEST_PAYLOAD_MAX + 500, .random = 2});
}

static void stop(void)
{
    edge_stop(&e);
}

TEST_BETWEEN(a_tombstone_from_elsewhere_is_reset_and_the_session_stays, start(), stop())
{
    struct turbo_server *session = vouched_session(&hello), *joined = NULL;
    struct turbo_address elsewhere = address(OTHER, 1), home = address(CLIENT, 4000);
    answer(session);
    edge_poll_all(&e, T);
    assert_int_equal(join_from(&elsewhere, 1, &joined), TURBO_JOIN_RESET);
    assert_int_equal(join_from(&elsewhere, 0, &joined), TURBO_JOIN_RESET);
    assert_int_equal(join_from(NULL, 1, &joined), TURBO_JOIN_RESET);
    assert_null(joined);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 1);
    assert_int_equal(turbo_endpoint_counters(e.endpoint).unknown, 3);
    assert_int_equal(join_from(&home, 1, &joined), TURBO_JOIN_SESSION);
    assert_ptr_equal(joined, session);
    assert_int_equal(join_from(&elsewhere, 0, &joined), TURBO_JOIN_RESET);
    turbo_server_release(session, T);
}

TEST_BETWEEN(one_that_is_not_vouched_for_is_joined_from_anywhere, start(), stop())
{
    struct turbo_server *session = edge_session(&e, T, &hello), *joined = NULL;
    struct turbo_address elsewhere = address(OTHER, 1);
    answer(session);
    assert_int_equal(join_from(&elsewhere, 0, &joined), TURBO_JOIN_SESSION);
    turbo_server_release(session, T);
}

TEST_BETWEEN(a_classic_opening_from_elsewhere_starts_afresh, start(), stop())
{
    struct turbo_server *session = vouched_session(&hello), *adopted = NULL;
    struct turbo_address elsewhere = address(OTHER, 1), home = address(CLIENT, 4000);
    answer(session);
    assert_int_equal(adopt_from(&elsewhere, &adopted), TURBO_JOIN_FRESH);
    assert_null(adopted);
    assert_int_equal(turbo_endpoint_pending(e.endpoint), 1);
    assert_int_equal(adopt_from(&home, &adopted), TURBO_JOIN_SESSION);
    assert_ptr_equal(adopted, session);
    turbo_server_release(session, T);
}

TEST_BETWEEN(the_address_counts_whole, start(), stop())
{
    struct turbo_server *session = vouched_session(&hello), *joined = NULL;
    struct turbo_address ipv6 = address(CLIENT, 1), scoped = address(CLIENT, 1);
    ipv6.ip[10] = ipv6.ip[11] = 0; /* the same last bytes, but not mapped */
    scoped.scope = 3;
    answer(session);
    assert_int_equal(join_from(&ipv6, 0, &joined), TURBO_JOIN_RESET);
    assert_int_equal(join_from(&scoped, 0, &joined), TURBO_JOIN_RESET);
    turbo_server_release(session, T);
}

/* Whoever forges the last chunk's address must not be sent the TLS server's answer at his own. */
TEST_BETWEEN(who_asked_before_from_elsewhere_is_not_answered, start(), stop())
{
    struct turbo_path elsewhere = check_path(OTHER, 1), home = check_path(CLIENT, 1), path;
    struct turbo_id id = edge_id(&large);
    struct turbo_datagram response;
    edge_request(&e, T, &elsewhere, &id, &large, 1);
    edge_request(&e, T, &home, &id, &large, 2);
    struct turbo_server *session = edge_event(&e, TURBO_EVENT_NEW);
    turbo_server_vouch(session);
    answer(session);
    size_t count = 0;
    while (edge_poll(&e, T, &response, &path) > 0) {
        assert_memory_equal(path.peer.ip, home.peer.ip, sizeof(home.peer.ip));
        count++;
    }
    assert_int_equal(count, 1); /* for its one request */
    turbo_server_release(session, T);
}

TEST_BETWEEN(who_asks_later_from_elsewhere_is_not_heard, start(), stop())
{
    struct turbo_path elsewhere = check_path(OTHER, 1), home = check_path(CLIENT, 1);
    struct turbo_id id = edge_id(&hello);
    struct turbo_server *session = vouched_session(&hello);
    answer(session);
    assert_int_equal(edge_poll_all(&e, T), 1);
    uint64_t junk = turbo_endpoint_counters(e.endpoint).junk;
    edge_request(&e, T, &elsewhere, &id, &hello, 2);
    assert_int_equal(edge_poll_all(&e, T), 0);
    assert_int_equal(turbo_endpoint_counters(e.endpoint).junk, junk + 1);
    home.peer.port = 77;
    edge_request(&e, T, &home, &id, &hello, 2); /* the port may be another one */
    assert_int_equal(turbo_endpoint_counters(e.endpoint).junk, junk + 1);
    turbo_server_release(session, T);
}

/* One that is not vouched for is answered wherever it asks. */
TEST_BETWEEN(others_may_move, start(), stop())
{
    struct turbo_path elsewhere = check_path(OTHER, 1), path;
    struct turbo_id id = edge_id(&hello);
    struct turbo_datagram response;
    struct turbo_server *session = edge_session(&e, T, &hello);
    answer(session);
    assert_int_equal(edge_poll_all(&e, T), 1);
    edge_request(&e, T, &elsewhere, &id, &hello, 1);
    assert_true(edge_poll(&e, T, &response, &path) > 0);
    assert_memory_equal(path.peer.ip, elsewhere.peer.ip, sizeof(path.peer.ip));
    turbo_server_release(session, T);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_tombstone_from_elsewhere_is_reset_and_the_session_stays),
        CASE(one_that_is_not_vouched_for_is_joined_from_anywhere),
        CASE(a_classic_opening_from_elsewhere_starts_afresh),
        CASE(the_address_counts_whole),
        CASE(who_asked_before_from_elsewhere_is_not_answered),
        CASE(who_asks_later_from_elsewhere_is_not_heard),
        CASE(others_may_move),
    };
    return cmocka_run_group_tests_name("sessions vouched for", tests, NULL, NULL);
}
