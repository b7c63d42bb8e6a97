/* Connections that begin with a PROXY header, or should, or should not. */
#include "tests/unit/support/wire_client.h"

#include "proxy/ops/stats.h"

#define FRONT  "127.0.0.2"
#define HEADER "PROXY TCP4 198.51.100.7 203.0.113.1 1000 443\r\n"
/* The wire client is at home at 127.0.0.1. */
#define HOME_HEADER "PROXY TCP4 127.0.0.1 127.0.0.1 1000 443\r\n"

static const uint8_t local_header[16] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51,
                                         0x55, 0x49, 0x54, 0x0a, 0x20, 0x00, 0x00, 0x00};

static struct wire_client wire;

static void start(struct fixture *f, const char *more)
{
    wire_client_init(&wire, 1);
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' route { upstream: 'u' } "
                      "proxy_protocol_from: '" FRONT "' %s } "
                      "upstream { name: 'u' server { address: '127.0.0.1:%u' } }",
                      more, f->server_port);
    fixture_serve(f);
}

static struct peer *front(struct fixture *f)
{
    return fixture_connect_from(f, FRONT, fixture_port(f, 0));
}

static void trickle(struct fixture *f, struct peer *peer, const void *data, size_t length)
{
    UNTIL(f, peer_is_up(peer));
    for (size_t i = 0; i < length; i++, ev_run(f->loop, EVRUN_NOWAIT))
        peer_send(peer, (const uint8_t *)data + i, 1);
}

static bool nothing_is_left(struct fixture *f)
{
    return f->worker->connections == 0 && f->worker->arrivals == NULL;
}

/* It is reset, with one line that says so, and no server hears of it. */
static void assert_turned_away(struct fixture *f, struct peer *client, const char *reason)
{
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
    assert_int_equal(fixture_log_count(f, "info connection client="), 1);
    assert_true(fixture_logged(f, reason));
}

/* ---- from whom it is due ---- */

static void it_tells_who_the_client_is(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    peer_say(client, HEADER);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "client=198.51.100.7:1000 "));
    assert_true(fixture_logged(f, "outcome=classic"));
}

static void it_may_come_a_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    trickle(f, client, HEADER, strlen(HEADER));
    assert_int_equal(f->served_count, 0);
    trickle(f, client, wire.hello.bytes, wire.hello.length);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    peer_reset(client);
    UNTIL(f, fixture_logged(f, "client=198.51.100.7:1000 "));
}

static void what_follows_may_be_something_else(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    peer_say(client, HEADER "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
}

static void behind_it_the_client_may_end(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    peer_say(client, HEADER);
    peer_finish(client);
    UNTIL(f, client->ended && nothing_is_left(f));
    assert_int_equal(f->served_count, 0);
    assert_true(fixture_logged(f, "client=198.51.100.7:1000 "));
    assert_true(fixture_logged(f, "reason=client-silent"));
}

static void nothing_behind_it_takes_too_long(void **state)
{
    struct fixture *f = *state;
    start(f, "opening_timeout_seconds: 0.02");
    struct peer *client = front(f);
    peer_say(client, HEADER);
    assert_turned_away(f, client, "reason=opening-timeout");
    assert_true(fixture_logged(f, "client=198.51.100.7:1000 "));
}

static void half_of_it_takes_too_long(void **state)
{
    struct fixture *f = *state;
    start(f, "opening_timeout_seconds: 0.02");
    struct peer *client = front(f);
    peer_send(client, HEADER, 20);
    assert_turned_away(f, client, "reason=opening-timeout");
    assert_true(fixture_logged(f, "client=" FRONT));
}

static void half_of_it_and_an_end_is_none(void **state)
{
    struct fixture *f = *state;
    start(f, "sniff_timeout_seconds: 1");
    struct peer *client = front(f);
    peer_send(client, HEADER, 20);
    peer_finish(client);
    assert_turned_away(f, client, "outcome=failed reason=proxy-header");
}

static void without_it_nobody_is_heard(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    wire_client_hello(&wire, client);
    assert_turned_away(f, client, "outcome=failed reason=proxy-header");
}

static void a_broken_one_is_none(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    peer_say(client, "PROXY TCP4 198.51.100.7 203.0.113.1 1000 66000\r\nPING");
    assert_turned_away(f, client, "outcome=failed reason=proxy-header");
}

static void a_local_one_is_the_fronts_own(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    peer_send(client, local_header, sizeof(local_header));
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    assert_true(fixture_logged(f, "client=" FRONT ":"));
}

static void it_is_due_once(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = front(f);
    peer_say(client, HEADER HEADER);
    assert_turned_away(f, client, "outcome=failed reason=proxy-header");
}

/* ---- from others ---- */

static void others_may_not_send_it(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = fixture_client(f);
    peer_say(client, HEADER "PING");
    assert_turned_away(f, client, "client=127.0.0.1:");
    assert_true(fixture_logged(f, "outcome=failed reason=proxy-header"));
}

static void nor_in_pieces(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    for (size_t i = 0; i < strlen(HEADER) && client->error == 0; i++, fixture_let_happen(f))
        peer_send(client, &HEADER[i], 1);
    assert_turned_away(f, client, "reason=proxy-header");
}

static void others_need_none(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = fixture_client(f);
    wire_client_hello(&wire, client);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
}

/* ---- and the rules ---- */

static void the_rules_are_for_whom_it_names(void **state)
{
    struct fixture *f = *state;
    start(f, "access_rule { action: DENY network: '198.51.100.0/24' }");
    struct peer *client = front(f);
    peer_say(client, HEADER); /* it need not say more */
    assert_turned_away(f, client, "outcome=failed reason=denied");
}

static void not_for_the_front_itself(void **state)
{
    struct fixture *f = *state;
    start(f, "access_rule { action: DENY network: '" FRONT "' }");
    struct peer *client = front(f);
    peer_say(client, HEADER "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    peer_reset(client);
    UNTIL(f, nothing_is_left(f));
    client = front(f);
    peer_send(client, local_header, sizeof(local_header)); /* which has something to say */
    UNTIL(f, peer_was_reset(client) && nothing_is_left(f));
    assert_true(fixture_logged(f, "reason=denied"));
    assert_int_equal(f->served_count, 1);
}

/* A session is no way around them. */
static void who_is_denied_may_not_join(void **state)
{
    struct fixture *f = *state;
    start(f, "access_rule { action: DENY network: '198.51.100.0/24' }");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = front(f);
    peer_say(client, HEADER);
    wire_client_tombstone(&wire, client, 1);
    UNTIL(f, peer_was_reset(client));
    assert_true(fixture_logged(f, "reason=denied"));
    assert_false(peer_was_reset(server));
}

/* ---- sessions ---- */

static void a_tombstone_behind_it_joins(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = front(f);
    peer_say(client, HEADER); /* not vouched for: from anywhere */
    wire_client_tombstone(&wire, client, 1);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    assert_int_equal(f->served_count, 1);
}

static void it_may_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[TURBO_TOMBSTONE_BYTES];
    start(f, "");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = front(f);
    turbo_tombstone_encode(&(struct turbo_tombstone){.id = wire.id, .replay = true}, bytes);
    trickle(f, client, HEADER, strlen(HEADER));
    trickle(f, client, bytes, sizeof(bytes));
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer") && peer_heard(client, "flight"));
}

/* Where a rule asks for addresses the one in the header counts. */
static void a_session_vouched_for_is_joined_from_its_address(void **state)
{
    struct fixture *f = *state;
    start(f, "access_rule { action: DENY network: '192.0.2.0/24' }");
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *elsewhere = front(f);
    peer_say(elsewhere, HEADER);
    wire_client_tombstone(&wire, elsewhere, 1);
    UNTIL(f, peer_was_reset(elsewhere));
    assert_true(fixture_logged(f, "reason=unknown-session"));
    struct peer *classic = front(f);
    peer_say(classic, HEADER);
    wire_client_hello(&wire, classic);
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 1), "")); /* afresh, not adopted */
    struct peer *home = front(f);
    peer_say(home, HOME_HEADER);
    wire_client_tombstone(&wire, home, 1);
    wire_client_hello(&wire, home);
    peer_say(home, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
}

/* ---- servers that speak first ---- */

static void the_trial_begins_behind_it(void **state)
{
    struct fixture *f = *state;
    start(f, "sniff_timeout_seconds: 0.001");
    struct peer *client = front(f);
    UNTIL(f, f->worker->connections == 1);
    turbo_time later = f->worker->now + 10 * TURBO_MILLISECOND;
    UNTIL(f, f->worker->now > later);
    assert_int_equal(f->served_count, 0);
    peer_say(client, HEADER);
    peer_say(fixture_server(f, 0), "220 hello");
    UNTIL(f, peer_heard(client, "220 hello"));
}

static void there_is_none_for_who_is_denied(void **state)
{
    struct fixture *f = *state;
    start(f, "sniff_timeout_seconds: 0.001 "
             "access_rule { action: DENY network: '198.51.100.0/24' }");
    struct peer *client = front(f);
    peer_say(client, HEADER);
    assert_turned_away(f, client, "reason=denied");
}

/* ---- a plain listener ---- */

static void a_plain_listener_reads_it_as_well(void **state)
{
    struct fixture *f = *state;
    start(f, "protocol: TCP");
    struct peer *client = front(f), *other = fixture_client(f);
    trickle(f, client, HEADER, strlen(HEADER));
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    peer_say(other, "PONG");
    UNTIL(f, peer_heard(fixture_server(f, 1), "PONG"));
    peer_reset(client);
    UNTIL(f, fixture_logged(f, "client=198.51.100.7:1000 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(it_tells_who_the_client_is),
        FIXTURE_CASE(it_may_come_a_byte_at_a_time),
        FIXTURE_CASE(what_follows_may_be_something_else),
        FIXTURE_CASE(behind_it_the_client_may_end),
        FIXTURE_CASE(nothing_behind_it_takes_too_long),
        FIXTURE_CASE(half_of_it_takes_too_long),
        FIXTURE_CASE(half_of_it_and_an_end_is_none),
        FIXTURE_CASE(without_it_nobody_is_heard),
        FIXTURE_CASE(a_broken_one_is_none),
        FIXTURE_CASE(a_local_one_is_the_fronts_own),
        FIXTURE_CASE(it_is_due_once),
        FIXTURE_CASE(others_may_not_send_it),
        FIXTURE_CASE(nor_in_pieces),
        FIXTURE_CASE(others_need_none),
        FIXTURE_CASE(the_rules_are_for_whom_it_names),
        FIXTURE_CASE(not_for_the_front_itself),
        FIXTURE_CASE(who_is_denied_may_not_join),
        FIXTURE_CASE(a_tombstone_behind_it_joins),
        FIXTURE_CASE(it_may_come_in_pieces),
        FIXTURE_CASE(a_session_vouched_for_is_joined_from_its_address),
        FIXTURE_CASE(the_trial_begins_behind_it),
        FIXTURE_CASE(there_is_none_for_who_is_denied),
        FIXTURE_CASE(a_plain_listener_reads_it_as_well),
    };
    return cmocka_run_group_tests_name("arrivals with a PROXY header", tests, NULL, NULL);
}
