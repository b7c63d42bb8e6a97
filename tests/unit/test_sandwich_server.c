/* The Sandwich dialect at the server end: protocol §11.7, §11.9. */
#include "tests/unit/support/edge.h"

static struct edge e;
static struct hello hello;
static struct turbo_path path;
static struct turbo_id id;

#define T(milliseconds) (TURBO_SECOND * 100 + (milliseconds)*TURBO_MILLISECOND)

static void set_up(void)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    config.sessions_max = EDGE_SESSIONS;
    config.ended_max = EDGE_ENDED;
    config.sandwich = true;
    edge_start_with(&e, &config);
    hello_simple(&hello, 0);
    path = check_path(1, 1);
    check_fill(id.bytes, 77, 0, sizeof(id.bytes));
}

#define TEST(name) TEST_BETWEEN(name, set_up(), edge_stop(&e))

static struct turbo_endpoint_counters counters(void)
{
    return turbo_endpoint_counters(e.endpoint);
}

static void send_id(turbo_time now, const struct turbo_id *to, uint32_t index, const void *payload,
                    size_t length)
{
    struct turbo_datagram request = {.dialect = TURBO_DIALECT_SANDWICH,
                                     .id = *to,
                                     .sequence = index,
                                     .payload = payload,
                                     .length = length};
    edge_datagram(&e, now, &path, &request);
}

static void send(turbo_time now, uint32_t index, const void *payload, size_t length)
{
    send_id(now, &id, index, payload, length);
}

/* The first flight: the ClientHello in chunks, then empty datagrams. */
static void send_hello(turbo_time now)
{
    for (uint32_t i = 1; i <= SANDWICH_FIRST_FLIGHT; i++) {
        size_t at = (size_t)(i - 1) * SANDWICH_PAYLOAD_MAX;
        size_t left = at < hello.length ? hello.length - at : 0;
        send(now, i, left > 0 ? hello.bytes + at : NULL,
             left < SANDWICH_PAYLOAD_MAX ? left : SANDWICH_PAYLOAD_MAX);
    }
}

static void accept_tcp(turbo_time now)
{
    struct turbo_address peer = path.peer;
    peer.port = 999; /* another one than by UDP */
    turbo_endpoint_accepted(e.endpoint, now, &peer);
}

static struct turbo_server *session(turbo_time now)
{
    send_hello(now);
    struct turbo_server *s = edge_event(&e, TURBO_EVENT_NEW);
    assert_non_null(s);
    turbo_server_consume(s, hello.length);
    return s;
}

/* The same, with its TCP connection. */
static struct turbo_server *proved_session(turbo_time now)
{
    accept_tcp(now);
    return session(now);
}

/* The next response; 0: none. */
static size_t poll(turbo_time now, struct turbo_datagram *out)
{
    static uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_path to;
    turbo_endpoint_tick(e.endpoint, now);
    size_t n = turbo_endpoint_poll_datagram(e.endpoint, now, bytes, &to);
    if (n == 0)
        return 0;
    assert_true(sandwich_response_decode(out, bytes, n));
    assert_true(turbo_id_equal(&out->id, &id));
    assert_memory_equal(to.peer.ip, path.peer.ip, sizeof(to.peer.ip));
    return n;
}

static size_t poll_all(turbo_time now)
{
    struct turbo_datagram unused;
    size_t count = 0;
    while (poll(now, &unused) > 0)
        count++;
    return count;
}

/* ---- streams made of records ---- */

static uint8_t flight[2 * TURBO_STREAM_KEPT_MAX];
static size_t flight_length;

static void record(uint8_t type, size_t payload)
{
    const uint8_t header[] = {type, 3, 3, (uint8_t)(payload >> 8), (uint8_t)payload};
    memcpy(flight + flight_length, header, sizeof(header));
    check_fill(flight + flight_length + sizeof(header), 31, flight_length, payload);
    flight_length += sizeof(header) + payload;
}

/* ServerHello with TLS_AES_128_GCM_SHA256, and the ChangeCipherSpec that pretends to be TLS 1.2. */
static void server_hello(void)
{
    static const uint8_t message[] = {2, 0, 0, 118};
    flight_length = 0;
    record(22, 122);
    memcpy(flight + 5, message, sizeof(message));
    flight[5 + 38] = 0;
    flight[5 + 39] = 0x13;
    flight[5 + 40] = 0x01;
    record(20, 1);
}

static void small_flight(void)
{
    server_hello();
    record(23, 30);
    record(23, 800);
    record(23, 53);
}

static void push_flight(struct turbo_server *s, turbo_time now)
{
    assert_int_equal(turbo_server_push(s, now, flight, flight_length), flight_length);
}

/* CCS, Finished. */
static const uint8_t *client_finished(size_t *length)
{
    static uint8_t bytes[6 + 5 + 53] = {20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53};
    *length = sizeof(bytes);
    return bytes;
}

static void send_finished(turbo_time now, uint32_t index)
{
    size_t length;
    const uint8_t *bytes = client_finished(&length);
    send(now, index, bytes, length);
}

static enum turbo_join tombstone(turbo_time now, uint32_t last, struct turbo_server **joined)
{
    struct turbo_tombstone t = {.dialect = TURBO_DIALECT_SANDWICH, .id = id, .consumed = last};
    return turbo_endpoint_join(e.endpoint, now, &t, &path.peer, joined);
}

static void assert_c2s(struct turbo_server *s, const void *bytes, size_t length)
{
    const uint8_t *data;
    assert_int_equal(turbo_server_peek(s, &data), length);
    assert_memory_equal(data, bytes, length);
    turbo_server_consume(s, length);
}

static void assert_ends_at(const struct turbo_server *s, turbo_time at)
{
    turbo_endpoint_tick(e.endpoint, at - 1);
    edge_assert_no_event(&e);
    turbo_endpoint_tick(e.endpoint, at);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
}

/* ---- flights ---- */

TEST(a_flight_comes_by_udp_and_the_rest_by_tcp)
{
    struct turbo_datagram r;
    struct turbo_server *joined, *s = proved_session(T(0));
    size_t length, finished;
    const uint8_t *bytes = client_finished(&finished), *tcp;
    small_flight();
    push_flight(s, T(1));
    size_t at = 0;
    uint32_t index = 0;
    while ((length = poll(T(1), &r)) > 0) {
        assert_int_equal(r.sequence, ++index);
        assert_memory_equal(r.payload, flight + at, r.length);
        at += r.length;
    }
    assert_int_equal(at, flight_length);
    send_finished(T(2), 15);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    assert_c2s(s, bytes, finished);
    static const uint8_t ticket[200] = {23, 3, 3, 0, 195};
    assert_int_equal(turbo_server_push(s, T(3), ticket, sizeof(ticket)), sizeof(ticket));
    assert_int_equal(poll_all(T(4)), 1);
    assert_int_equal(tombstone(T(5), index, &joined), TURBO_JOIN_SESSION);
    assert_ptr_equal(joined, s);
    assert_false(turbo_server_awaits_udp(s));
    assert_int_equal(turbo_server_replay_left(s), 0);
    assert_int_equal(turbo_server_tcp_peek(s, &tcp), sizeof(ticket));
    assert_memory_equal(tcp, ticket, sizeof(ticket));
    assert_int_equal(turbo_server_report(s).outcome, TURBO_OUTCOME_TURBO);
    assert_int_equal(turbo_server_report(s).dialect, TURBO_DIALECT_SANDWICH);
    assert_int_equal(counters().sandwich, 1);
    turbo_server_release(s, T(6));
}

TEST(each_encrypted_record_ends_its_datagram)
{
    static const size_t sizes[] = {127 + 6 + 35, 805, 58};
    struct turbo_datagram r;
    struct turbo_server *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_int_equal(poll(T(1), &r), SANDWICH_HEADER_BYTES + sizes[i]);
    assert_int_equal(poll(T(1), &r), 0);
    turbo_server_release(s, T(1));
}

TEST(a_flight_that_would_need_too_many_datagrams_is_packed)
{
    struct turbo_server *s = proved_session(T(0));
    struct turbo_datagram r;
    server_hello();
    for (size_t i = 0; i < 14; i++)
        record(23, 200);
    push_flight(s, T(1));
    /* 15 records in 14 datagrams would be one too many only with the first on its own. */
    for (size_t i = 0; i < 14; i++)
        assert_int_equal(poll(T(2), &r), 17 + 205 + (i == 0 ? 133 : 0));
    turbo_server_release(s, T(1));

    id.bytes[0] ^= 1;
    s = proved_session(T(10));
    server_hello();
    for (size_t i = 0; i < 15; i++)
        record(23, 200);
    push_flight(s, T(11));
    assert_int_equal(poll(T(11), &r), 17 + 1024);
    turbo_server_release(s, T(11));
}

TEST(a_flight_of_more_than_14_datagrams_goes_on)
{
    struct turbo_server *s = proved_session(T(0));
    struct turbo_datagram r;
    server_hello();
    record(23, 30000);
    record(23, 53);
    push_flight(s, T(1));
    size_t at = 0, count = (flight_length + 1023) / 1024;
    for (uint32_t i = 1; i <= count; i++) {
        assert_true(poll(T(1), &r) > 0);
        assert_int_equal(r.sequence, i);
        assert_memory_equal(r.payload, flight + at, r.length);
        at += r.length;
    }
    assert_int_equal(at, flight_length);
    assert_int_equal(poll(T(1), &r), 0);
    turbo_server_release(s, T(1));
}

TEST(nothing_is_ever_sent_twice)
{
    struct turbo_server *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    assert_int_equal(poll_all(T(1)), 3);
    send_hello(T(2));
    for (unsigned ms = 2; ms < 100; ms++) {
        turbo_endpoint_tick(e.endpoint, T(ms));
        assert_int_equal(poll_all(T(ms)), 0);
    }
    assert_int_equal(counters().parities, 0);
    turbo_server_release(s, T(100));
}

/* ---- the budget ---- */

TEST(unproved_an_address_gets_three_times_what_it_sent)
{
    struct turbo_server *s = session(T(0));
    struct turbo_datagram r;
    size_t sent = 0, n;
    server_hello();
    record(23, 6000);
    push_flight(s, T(1));
    while ((n = poll(T(1), &r)) > 0)
        sent += n;
    size_t received = hello.length + (size_t)SANDWICH_FIRST_FLIGHT * SANDWICH_HEADER_BYTES;
    assert_true(sent > 0 && sent <= 3 * received && sent + 1041 > 3 * received);
    struct turbo_address other = check_path(2, 1).peer;
    turbo_endpoint_accepted(e.endpoint, T(2), &other); /* of somebody else */
    assert_int_equal(poll_all(T(2)), 0);
    accept_tcp(T(3));
    while ((n = poll(T(4), &r)) > 0)
        sent += n - SANDWICH_HEADER_BYTES;
    assert_true(sent > flight_length);
    turbo_server_release(s, T(3));
}

TEST(a_connection_proves_all_that_its_host_has_begun) /* §11.7e */
{
    enum { OTHERS = 2, COUNT_ };
    struct turbo_server *sessions[COUNT_];
    size_t sent[COUNT_] = {0}, n;
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_path to;
    struct turbo_datagram r;
    server_hello();
    record(23, 6000);
    for (uint8_t i = 0; i < COUNT_; i++) {
        id.bytes[0] = i;
        path = check_path(i == OTHERS ? 2 : 1, 1);
        sessions[i] = session(T(0));
        push_flight(sessions[i], T(1));
    }
    path = check_path(1, 1);
    accept_tcp(T(2));
    turbo_endpoint_tick(e.endpoint, T(4));
    while ((n = turbo_endpoint_poll_datagram(e.endpoint, T(4), bytes, &to)) > 0) {
        assert_true(sandwich_response_decode(&r, bytes, n));
        sent[r.id.bytes[0]] += r.length;
    }
    for (uint8_t i = 0; i < COUNT_; i++) {
        assert_int_equal(sent[i] == flight_length, i != OTHERS);
        turbo_server_release(sessions[i], T(4));
    }
}

TEST(unproved_there_are_no_more_responses_than_requests)
{
    struct turbo_server *s;
    send(T(0), 1, hello.bytes, hello.length);
    s = edge_event(&e, TURBO_EVENT_NEW);
    for (size_t i = 0; i < 3; i++) {
        static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40};
        turbo_server_push(s, T(1), alert, sizeof(alert));
        assert_int_equal(poll_all(T(1)), i == 0 ? 1 : 0);
    }
    send(T(2), 2, NULL, 0);
    assert_int_equal(poll_all(T(2)), 1);
    turbo_server_release(s, T(2));
}

TEST(an_accepted_connection_is_good_for_ten_seconds)
{
    accept_tcp(T(0));
    struct turbo_server *s = session(T(9999));
    server_hello();
    record(23, 6000);
    push_flight(s, T(9999));
    assert_int_equal(poll_all(T(10001)), 6);
    turbo_server_release(s, T(9999));

    id.bytes[0] ^= 1;
    s = session(T(10001));
    push_flight(s, T(10001));
    assert_true(poll_all(T(10003)) < 6);
    turbo_server_release(s, T(10003));
}

TEST(an_accepted_connection_is_good_for_a_few_sessions)
{
    struct turbo_server *waiting = session(T(0)); /* it counts as well */
    const struct turbo_id its_id = id;
    accept_tcp(T(0));
    server_hello();
    record(23, 6000);
    for (uint32_t i = 0; i < SANDWICH_ACCEPTED_SESSIONS; i++) {
        id.bytes[0]++;
        struct turbo_server *s = session(T(1));
        push_flight(s, T(1));
        assert_int_equal(poll_all(T(3)) == 6, i < SANDWICH_ACCEPTED_SESSIONS - 1);
        turbo_server_release(s, T(4));
    }
    id = its_id;
    push_flight(waiting, T(4));
    assert_int_equal(poll_all(T(6)), 6);
    turbo_server_release(waiting, T(6));
}

TEST(so_many_connections_are_remembered)
{
    for (uint32_t others = SANDWICH_ACCEPTED_MAX - 1; others <= SANDWICH_ACCEPTED_MAX; others++) {
        accept_tcp(T(0));
        for (uint32_t i = 0; i < others; i++) {
            struct turbo_address other = check_path(2, (uint16_t)i).peer;
            turbo_endpoint_accepted(e.endpoint, T(1), &other);
        }
        struct turbo_server *s = session(T(2));
        server_hello();
        record(23, 6000);
        push_flight(s, T(2));
        assert_int_equal(poll_all(T(4)) == 6, others < SANDWICH_ACCEPTED_MAX);
        turbo_server_release(s, T(4));
        id.bytes[0] ^= 1;
    }
}

/* ---- C→S ---- */

TEST(chunks_come_in_any_order)
{
    struct turbo_server *s;
    for (uint32_t i = SANDWICH_FIRST_FLIGHT; i > 1; i--)
        send(T(0), i, i == 2 ? hello.bytes + 100 : NULL, i == 2 ? hello.length - 100 : 0);
    assert_int_equal(e.alive, 0);
    send(T(1), 1, hello.bytes, 100);
    s = edge_event(&e, TURBO_EVENT_NEW);
    assert_c2s(s, hello.bytes, hello.length);
    assert_int_equal(counters().requests, SANDWICH_FIRST_FLIGHT);
    turbo_server_release(s, T(1));
}

TEST(holes_in_the_padding_are_stepped_over)
{
    struct turbo_server *s;
    size_t length;
    const uint8_t *bytes = client_finished(&length);
    send(T(0), 1, hello.bytes, hello.length);
    send(T(0), 7, NULL, 0);
    s = edge_event(&e, TURBO_EVENT_NEW);
    turbo_server_consume(s, hello.length);
    accept_tcp(T(0));
    small_flight();
    push_flight(s, T(1));
    send(T(2), 15, bytes, 10);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    assert_c2s(s, bytes, 10);
    send(T(2), 17, bytes + 20, length - 20); /* this hole is none of padding */
    edge_assert_no_event(&e);
    send(T(3), 5, NULL, 0);   /* late padding */
    send(T(3), 4, "junk", 4); /* was empty */
    assert_int_equal(counters().junk, 1);
    edge_assert_no_event(&e);
    send(T(4), 16, bytes + 10, 10);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    assert_c2s(s, bytes + 10, length - 10);
    turbo_server_release(s, T(4));
}

TEST(a_hole_in_the_client_hello_is_waited_for)
{
    send(T(0), 1, hello.bytes, 50);
    send(T(0), 3, hello.bytes + 60, hello.length - 60);
    send(T(0), 15, NULL, 0);
    edge_assert_no_event(&e);
    send(T(1), 2, hello.bytes + 50, 10);
    struct turbo_server *s = edge_event(&e, TURBO_EVENT_NEW);
    assert_c2s(s, hello.bytes, hello.length);
    turbo_server_release(s, T(1));
}

/* ---- tombstones ---- */

TEST(tcp_that_overtakes_udp_waits_for_it)
{
    struct turbo_server *joined, *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    assert_int_equal(poll_all(T(1)), 3);
    assert_int_equal(tombstone(T(2), 3, &joined), TURBO_JOIN_SESSION);
    assert_true(turbo_server_awaits_udp(s));
    edge_assert_no_event(&e);
    send(T(3), 15, "\x14\x03\x03\0\1\1", 6);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    assert_true(turbo_server_awaits_udp(s));
    turbo_server_consume(s, 6);
    size_t length;
    const uint8_t *bytes = client_finished(&length);
    send(T(4), 16, bytes + 6, length - 6);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    assert_false(turbo_server_awaits_udp(s));
    assert_c2s(s, bytes + 6, length - 6);
    send(T(5), 17, "late", 4);
    assert_int_equal(counters().late, 1);
    edge_assert_no_event(&e);
    turbo_endpoint_tick(e.endpoint, T(2) + SANDWICH_HANDSHAKE_TIME);
    edge_assert_no_event(&e);
    turbo_server_release(s, T(6));
}

TEST(it_does_not_wait_for_ever)
{
    struct turbo_server *joined, *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    poll_all(T(1));
    assert_int_equal(tombstone(T(2), 3, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(turbo_endpoint_deadline(e.endpoint), T(2) + SANDWICH_HANDSHAKE_TIME);
    assert_ends_at(s, T(2) + SANDWICH_HANDSHAKE_TIME);
    turbo_server_release(s, T(3));
}

TEST(the_servers_answer_by_tcp_tells_that_the_handshake_is_over)
{
    static const uint8_t certificate[5 + 900] = {23, 3, 3, 900 >> 8, 900 & 0xff};
    struct turbo_server *joined, *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    poll_all(T(1));
    assert_int_equal(tombstone(T(2), 3, &joined), TURBO_JOIN_SESSION);
    turbo_server_answered(s, T(2), certificate, 10); /* to nothing yet */
    send(T(3), 15, certificate, sizeof(certificate));
    edge_event(&e, TURBO_EVENT_MORE);
    assert_true(turbo_server_awaits_udp(s));
    turbo_server_answered(s, T(4), certificate, sizeof(certificate));
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    assert_false(turbo_server_awaits_udp(s));
    turbo_server_release(s, T(5));
}

TEST(in_the_end_an_encrypted_record_counts_as_the_handshake)
{
    static const uint8_t certificate[5 + 900] = {23, 3, 3, 900 >> 8, 900 & 0xff};
    for (unsigned whole = 0; whole < 2; whole++) {
        struct turbo_server *joined, *s = proved_session(T(0));
        small_flight();
        push_flight(s, T(1));
        poll_all(T(1));
        assert_int_equal(tombstone(T(2), 3, &joined), TURBO_JOIN_SESSION);
        send(T(3), 15, certificate, whole ? sizeof(certificate) : 100);
        edge_event(&e, TURBO_EVENT_MORE);
        turbo_endpoint_tick(e.endpoint, T(2) + SANDWICH_HANDSHAKE_TIME - 1);
        edge_assert_no_event(&e);
        turbo_endpoint_tick(e.endpoint, T(2) + SANDWICH_HANDSHAKE_TIME);
        assert_ptr_equal(edge_event(&e, whole ? TURBO_EVENT_MORE : TURBO_EVENT_ENDED), s);
        assert_false(turbo_server_awaits_udp(s));
        turbo_server_release(s, T(3));
        id.bytes[0] ^= 1;
    }
}

TEST(what_is_behind_the_last_consumed_goes_by_tcp)
{
    for (uint32_t last = 0; last <= 4; last++) {
        struct turbo_server *joined, *s = proved_session(T(100 * last));
        const uint8_t *tcp;
        static const size_t behind[] = {1031, 863, 58, 0};
        small_flight();
        push_flight(s, T(100 * last));
        assert_int_equal(poll_all(T(100 * last)), 3);
        enum turbo_join join = tombstone(T(100 * last), last, &joined);
        assert_int_equal(join, last <= 3 ? TURBO_JOIN_SESSION : TURBO_JOIN_RESET);
        if (last <= 3) {
            assert_int_equal(turbo_server_tcp_peek(s, &tcp), behind[last]);
            assert_memory_equal(tcp, flight + flight_length - behind[last], behind[last]);
        }
        turbo_server_release(s, T(100 * last));
        id.bytes[3]++;
    }
    assert_int_equal(counters().unknown, 1);
}

TEST(a_tombstone_for_nobody_is_reset)
{
    struct turbo_server *joined;
    assert_int_equal(tombstone(T(0), 0, &joined), TURBO_JOIN_RESET);
    send(T(0), 1, hello.bytes, 20);
    assert_int_equal(e.alive, 1);
    assert_int_equal(tombstone(T(0), 0, &joined), TURBO_JOIN_RESET); /* not complete */
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().unknown, 2);
}

TEST(a_second_tombstone_is_reset)
{
    struct turbo_server *joined, *s = proved_session(T(0));
    assert_int_equal(tombstone(T(1), 0, &joined), TURBO_JOIN_SESSION);
    assert_int_equal(tombstone(T(1), 0, &joined), TURBO_JOIN_RESET);
    turbo_server_release(s, T(1));
    assert_int_equal(tombstone(T(1), 0, &joined), TURBO_JOIN_RESET);
    send_hello(T(2)); /* its id has ended */
    edge_assert_no_event(&e);
    assert_int_equal(counters().late, SANDWICH_FIRST_FLIGHT);
}

TEST(a_session_vouched_for_is_joined_from_its_address_only)
{
    struct turbo_server *joined, *s = proved_session(T(0));
    struct turbo_address other = check_path(2, 1).peer;
    struct turbo_tombstone t = {.dialect = TURBO_DIALECT_SANDWICH, .id = id};
    turbo_server_vouch(s);
    assert_int_equal(turbo_endpoint_join(e.endpoint, T(1), &t, &other, &joined), TURBO_JOIN_RESET);
    assert_int_equal(tombstone(T(1), 0, &joined), TURBO_JOIN_SESSION);
    turbo_server_release(s, T(1));
}

/* ---- time ---- */

TEST(without_a_tcp_connection_it_ends_after_ten_seconds)
{
    struct turbo_server *s = session(T(0));
    small_flight();
    push_flight(s, T(1));
    assert_true(poll_all(T(1)) > 0);
    assert_ends_at(s, T(0) + TURBO_PENDING_TIME);
    turbo_server_release(s, T(1));
}

TEST(with_one_it_lives_as_long_as_tcp_may_be_silent)
{
    turbo_endpoint_set_sandwich(e.endpoint, true, 20 * TURBO_SECOND);
    for (unsigned before = 0; before < 2; before++) {
        struct turbo_server *s = before ? proved_session(T(0)) : session(T(0));
        small_flight();
        push_flight(s, T(1));
        assert_true(poll_all(T(1)) > 0);
        if (!before)
            accept_tcp(T(1));
        assert_int_equal(turbo_endpoint_pending(e.endpoint), 1);
        assert_true(turbo_endpoint_is_pending(e.endpoint));
        assert_ends_at(s, T(1) + 20 * TURBO_SECOND);
        turbo_server_release(s, T(1));
        id.bytes[0] ^= 1;
    }
}

TEST(the_end_of_the_endpoint_is_theirs)
{
    struct turbo_server *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    poll_all(T(1));
    turbo_endpoint_abandon(e.endpoint, T(2));
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
    turbo_server_release(s, T(2));
    send_id(T(3), &(struct turbo_id){{9, [15] = 9}}, 1, hello.bytes, 20); /* never handed out */
}

/* ---- limits ---- */

TEST(there_is_no_word_for_a_refusal)
{
    turbo_endpoint_drain(e.endpoint);
    send_hello(T(0));
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().limited[TURBO_LIMIT_DRAINING], 1);
    assert_int_equal(poll_all(T(0)), 0);
    turbo_endpoint_resume(e.endpoint);
    id.bytes[0] ^= 1;
    struct turbo_server *s = session(T(1));
    turbo_server_refuse(s);
    turbo_server_release(s, T(1));
    assert_int_equal(counters().limited[TURBO_LIMIT_TLS_SERVER], 1);
    assert_int_equal(poll_all(T(1)), 0);
    assert_int_equal(counters().refused, 0);
}

TEST(a_flight_that_udp_cannot_carry_ends_it)
{
    struct turbo_server *s = proved_session(T(0));
    server_hello();
    for (size_t i = 0; i < 5; i++)
        record(23, 16000);
    assert_int_equal(turbo_server_push(s, T(1), flight, flight_length), TURBO_STREAM_KEPT_MAX);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
    assert_int_equal(turbo_server_report(s).outcome, TURBO_OUTCOME_FAILED);
    assert_int_equal(turbo_server_report(s).reason, TURBO_REASON_FLIGHT_TOO_LARGE);
    assert_int_equal(poll_all(T(1)), 0);
    turbo_server_release(s, T(1));
}

TEST(what_a_server_says_to_an_idle_client_waits)
{
    struct turbo_server *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    poll_all(T(1));
    send_finished(T(2), 15);
    edge_event(&e, TURBO_EVENT_MORE);
    flight_length = 0;
    for (size_t i = 0; i < 5; i++)
        record(23, 16000);
    size_t room = turbo_server_room(s);
    assert_int_equal(turbo_server_push(s, T(3), flight, flight_length), room);
    assert_int_equal(turbo_server_room(s), 0);
    assert_true(poll_all(T(3)) <= TURBO_CHUNKS_MAX);
    edge_assert_no_event(&e);
    turbo_server_release(s, T(3));
}

TEST(a_client_that_says_more_than_64_chunks_is_ended)
{
    struct turbo_server *s = session(T(0));
    send(T(1), 65, NULL, 0);
    send(T(1), 255, NULL, 0);
    edge_assert_no_event(&e);
    send(T(2), 65, "x", 1);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_ENDED), s);
    assert_int_equal(turbo_server_report(s).reason, TURBO_REASON_FLIGHT_TOO_LARGE);
    turbo_server_release(s, T(2));
}

TEST(early_data_is_not_served)
{
    const struct hello_spec spec = {.early_data = true};
    hello_make(&hello, &spec);
    send_hello(T(0));
    edge_assert_no_event(&e);
    assert_int_equal(e.alive, 0);
}

TEST(contradictions_are_dropped)
{
    struct turbo_server *s = session(T(0));
    send(T(1), 1, "other", 5);
    send(T(1), 2, "other", 5);
    assert_int_equal(counters().junk, 2);
    edge_assert_no_event(&e);
    turbo_server_release(s, T(1));
}

TEST(every_chunk_that_may_come_has_its_place)
{
    static uint8_t chunk[SANDWICH_PAYLOAD_MAX];
    struct turbo_server *s = session(T(0));
    size_t expected = 0;
    for (uint32_t i = TURBO_CHUNKS_MAX; i > SANDWICH_FIRST_FLIGHT; i--) {
        send(T(1), i, chunk, sizeof(chunk));
        expected += sizeof(chunk);
    }
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    const uint8_t *data;
    assert_int_equal(turbo_server_peek(s, &data), expected);
    turbo_server_release(s, T(1));
}

TEST(sessions_count_with_the_memory_they_take)
{
    struct turbo_endpoint_config config;
    edge_stop(&e);
    turbo_endpoint_config_init(&config);
    config.sandwich = true;
    config.memory_max = turbo_sandwich_server_bytes() + turbo_server_bytes() - 1;
    assert_true(turbo_sandwich_server_bytes() > turbo_server_bytes());
    edge_start_with(&e, &config);
    struct turbo_server *s = session(T(0));
    struct hello other;
    hello_simple(&other, 1);
    struct turbo_id hashed = edge_id(&other);
    edge_request(&e, T(0), &path, &hashed, &other, 1);
    assert_int_equal(e.alive, 1);
    assert_int_equal(counters().limited[TURBO_LIMIT_MEMORY], 1);
    turbo_server_release(s, T(0));
    edge_request(&e, T(1), &path, &hashed, &other, 1);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(1));
}

/* ---- both on one port ---- */

TEST(both_dialects_are_told_apart)
{
    struct hello other;
    hello_simple(&other, 1);
    struct turbo_server *sandwich = session(T(0)), *profile1 = edge_session(&e, T(0), &other);
    assert_int_equal(turbo_server_report(sandwich).dialect, TURBO_DIALECT_SANDWICH);
    assert_int_equal(turbo_server_report(profile1).dialect, TURBO_DIALECT_PROFILE1);
    assert_int_equal(counters().sandwich, 1);
    assert_int_equal(counters().junk, 0);
    turbo_server_release(sandwich, T(0));
    turbo_server_release(profile1, T(0));
}

/* Where profile 1 has its flags and number, a random id may have the same. */
TEST(an_id_that_looks_like_a_header_of_profile_1_is_served)
{
    memset(id.bytes + 12, 0, 3);
    struct turbo_server *s = session(T(0));
    assert_int_equal(turbo_server_report(s).dialect, TURBO_DIALECT_SANDWICH);
    turbo_server_release(s, T(0));
}

TEST(fragments_that_come_first_wait_for_either)
{
    struct hello other;
    const struct hello_spec large = {.size = 3000, .random = 2};
    hello_make(&other, &large);
    struct turbo_id hashed = edge_id(&other);
    for (uint32_t k = 3; k >= 1; k--)
        edge_request(&e, T(0), &path, &hashed, &other, k);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(0));
    hello_make(&hello, &large);
    for (uint32_t i = 3; i >= 1; i--)
        send(T(0), i, hello.bytes + (i - 1) * 1000, 1000);
    turbo_server_release(edge_event(&e, TURBO_EVENT_NEW), T(0));
    assert_int_equal(counters().junk, 0);
    send_id(T(0), &(struct turbo_id){{7, [13] = 7}}, 15, NULL, 0); /* nobody's */
    assert_int_equal(counters().junk, 1);
}

TEST(switched_off_it_serves_only_those_there_are)
{
    struct turbo_server *s = proved_session(T(0));
    small_flight();
    push_flight(s, T(1));
    poll_all(T(1));
    turbo_endpoint_set_sandwich(e.endpoint, false, TURBO_OPENING_TIME);
    send_finished(T(2), 15);
    assert_ptr_equal(edge_event(&e, TURBO_EVENT_MORE), s);
    turbo_server_release(s, T(2));
    id.bytes[0] ^= 1;
    send_hello(T(3));
    assert_int_equal(e.alive, 0);
    assert_int_equal(counters().junk, SANDWICH_FIRST_FLIGHT);
}

/* ---- openings ---- */

static enum turbo_opening_kind opening_of(const uint8_t *bytes, size_t length, size_t *used,
                                          struct turbo_opening *out)
{
    turbo_opening_init(out);
    *used = 0;
    while (*used < length && out->kind == TURBO_OPENING_MORE)
        *used += turbo_opening_push(out, bytes + *used, 1, turbo_endpoint_prefix_known, e.endpoint);
    return out->kind;
}

TEST(tombstones_of_pending_sessions_are_17_bytes)
{
    static const uint8_t beginnings[][3] = {
        {0x16, 0x03, 0x01}, {0x80, 0, 0x80}, {'G', 'E', 'T'}, {0, 0, 0}};
    for (size_t i = 0; i < COUNT(beginnings); i++) {
        struct turbo_opening opening;
        uint8_t bytes[SANDWICH_TOMBSTONE_BYTES + 1];
        size_t used;
        memcpy(id.bytes, beginnings[i], 3);
        struct turbo_server *s = session(T(0));
        memcpy(bytes, id.bytes, sizeof(id.bytes));
        bytes[16] = 200;
        assert_int_equal(opening_of(bytes, sizeof(bytes), &used, &opening),
                         TURBO_OPENING_TOMBSTONE);
        assert_int_equal(used, 17);
        assert_int_equal(opening.tombstone.dialect, TURBO_DIALECT_SANDWICH);
        assert_true(turbo_id_equal(&opening.tombstone.id, &id));
        assert_int_equal(opening.tombstone.consumed, 200);
        for (size_t n = 1; n <= 17; n++)
            assert_int_equal(turbo_endpoint_prefix_known(e.endpoint, bytes, n),
                             TURBO_PREFIX_SANDWICH);
        turbo_server_release(s, T(0));
        assert_int_equal(turbo_endpoint_prefix_known(e.endpoint, bytes, 3), TURBO_PREFIX_NONE);
        assert_int_not_equal(opening_of(bytes, sizeof(bytes), &used, &opening),
                             TURBO_OPENING_TOMBSTONE);
    }
}

TEST(an_id_is_waited_for_from_whoever_sent_it) /* §5.2 */
{
    struct turbo_address other = path.peer, port = path.peer;
    struct turbo_opener anybody = {.endpoint = e.endpoint};
    struct turbo_opener itself = {.endpoint = e.endpoint, .from = &port};
    struct turbo_opener stranger = {.endpoint = e.endpoint, .from = &other};
    port.port ^= 1;
    other.ip[15] ^= 1;
    memcpy(id.bytes, "GET / HTTP/1.1\r\n", sizeof(id.bytes));
    struct turbo_server *s = session(T(0));
    for (size_t n = 1; n <= sizeof(id.bytes); n++) {
        assert_int_equal(turbo_opener_prefix_known(&anybody, id.bytes, n), TURBO_PREFIX_SANDWICH);
        assert_int_equal(turbo_opener_prefix_known(&itself, id.bytes, n), TURBO_PREFIX_SANDWICH);
        assert_int_equal(turbo_opener_prefix_known(&stranger, id.bytes, n), TURBO_PREFIX_NONE);
    }
    turbo_server_release(s, T(1));
}

TEST(an_opening_that_begins_like_a_pending_id_is_told_when_it_differs)
{
    struct turbo_opening opening;
    struct hello other;
    size_t used;
    hello_simple(&other, 5);
    for (size_t same = 1; same <= 15; same++) {
        check_fill(id.bytes, 50 + (unsigned)same, 0, sizeof(id.bytes));
        memcpy(id.bytes, other.bytes, same);
        id.bytes[same] = (uint8_t)~other.bytes[same];
        struct turbo_server *s = session(T(same));
        assert_int_equal(opening_of(other.bytes, other.length, &used, &opening),
                         TURBO_OPENING_CLASSIC);
        assert_int_equal(used, other.length);
        turbo_server_release(s, T(same));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_flight_comes_by_udp_and_the_rest_by_tcp),
        CASE(each_encrypted_record_ends_its_datagram),
        CASE(a_flight_that_would_need_too_many_datagrams_is_packed),
        CASE(a_flight_of_more_than_14_datagrams_goes_on),
        CASE(nothing_is_ever_sent_twice),
        CASE(unproved_an_address_gets_three_times_what_it_sent),
        CASE(a_connection_proves_all_that_its_host_has_begun),
        CASE(unproved_there_are_no_more_responses_than_requests),
        CASE(an_accepted_connection_is_good_for_ten_seconds),
        CASE(an_accepted_connection_is_good_for_a_few_sessions),
        CASE(so_many_connections_are_remembered),
        CASE(chunks_come_in_any_order),
        CASE(holes_in_the_padding_are_stepped_over),
        CASE(a_hole_in_the_client_hello_is_waited_for),
        CASE(tcp_that_overtakes_udp_waits_for_it),
        CASE(it_does_not_wait_for_ever),
        CASE(the_servers_answer_by_tcp_tells_that_the_handshake_is_over),
        CASE(in_the_end_an_encrypted_record_counts_as_the_handshake),
        CASE(what_is_behind_the_last_consumed_goes_by_tcp),
        CASE(a_tombstone_for_nobody_is_reset),
        CASE(a_second_tombstone_is_reset),
        CASE(a_session_vouched_for_is_joined_from_its_address_only),
        CASE(without_a_tcp_connection_it_ends_after_ten_seconds),
        CASE(with_one_it_lives_as_long_as_tcp_may_be_silent),
        CASE(the_end_of_the_endpoint_is_theirs),
        CASE(there_is_no_word_for_a_refusal),
        CASE(a_flight_that_udp_cannot_carry_ends_it),
        CASE(what_a_server_says_to_an_idle_client_waits),
        CASE(a_client_that_says_more_than_64_chunks_is_ended),
        CASE(early_data_is_not_served),
        CASE(contradictions_are_dropped),
        CASE(every_chunk_that_may_come_has_its_place),
        CASE(sessions_count_with_the_memory_they_take),
        CASE(both_dialects_are_told_apart),
        CASE(an_id_that_looks_like_a_header_of_profile_1_is_served),
        CASE(fragments_that_come_first_wait_for_either),
        CASE(switched_off_it_serves_only_those_there_are),
        CASE(tombstones_of_pending_sessions_are_17_bytes),
        CASE(an_id_is_waited_for_from_whoever_sent_it),
        CASE(an_opening_that_begins_like_a_pending_id_is_told_when_it_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
