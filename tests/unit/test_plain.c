/* The plain side over real sockets, relayed to the upstream by a worker. */
#include "tests/unit/support/names.h"
#include "tests/unit/support/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/ops/access.h"
#include "proxy/relay.h"
#include "proxy/sides/plain.h"
#include "proxy/upstream.h"
#include "tunnel/net/socket.h"

enum { BULK = 3 << 20, LONG_PRELUDE = 16 << 20 };

struct ends {
    struct peer *client, *server;
};

/* A connection through the proxy, with a word said each way. */
static struct side *connecting(struct fixture *f, const uint8_t *prelude, size_t length)
{
    const struct upstream_call call = {.prelude = prelude, .prelude_length = length};
    return plain_connecting(f->worker, fixture_upstream(f), &call);
}

static struct ends connected(struct fixture *f)
{
    struct ends ends;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    ends.client = fixture_client(f);
    ends.server = fixture_server(f, 0);
    peer_say(ends.client, "ping");
    peer_say(ends.server, "pong");
    UNTIL(f, peer_heard(ends.server, "ping") && peer_heard(ends.client, "pong"));
    return ends;
}

/* ---- ends and resets ---- */

static void an_end_passes_and_the_other_direction_goes_on(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_finish(ends.client);
    UNTIL(f, ends.server->ended);
    peer_say(ends.server, " later");
    UNTIL(f, peer_heard(ends.client, "pong later"));
    assert_false(ends.client->ended);
    peer_finish(ends.server);
    UNTIL(f, ends.client->ended && f->worker->connections == 0);
    assert_false(peer_was_reset(ends.client) || peer_was_reset(ends.server));
}

static void the_server_may_end_first(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_finish(ends.server);
    UNTIL(f, ends.client->ended);
    peer_say(ends.client, " later");
    UNTIL(f, peer_heard(ends.server, "ping later"));
    peer_finish(ends.client);
    UNTIL(f, ends.server->ended && f->worker->connections == 0);
    assert_false(peer_was_reset(ends.client) || peer_was_reset(ends.server));
}

static void a_reset_by_the_client_is_one_to_the_server(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_reset(ends.client);
    UNTIL(f, peer_was_reset(ends.server) && f->worker->connections == 0);
    assert_false(ends.server->ended);
}

/* hangup.h: the copy of a process that is being started keeps a closed socket alive. */
static void a_reset_is_not_told_to_a_side_that_is_gone(void **state)
{
    struct fixture *f = *state;
    int fd;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct peer *peer = fixture_pair(f, &fd);
    struct side *side = plain_accepted(fd);
    assert_non_null(side);
    struct side_owner nobody = {.worker = f->worker};
    side->owner = &nobody; /* which would call nothing */
    plain_watch_reset(side);
    int copy = dup(fd);
    side->ops->destroy(side);
    peer_reset(peer);
    fixture_let_happen(f);
    close(copy);
}

static void a_reset_by_the_server_is_one_to_the_client(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_reset(ends.server);
    UNTIL(f, peer_was_reset(ends.client) && f->worker->connections == 0);
    assert_false(ends.client->ended);
}

/* Nobody reads from the client any more, and there is nothing to write to it. */
static void a_reset_behind_an_end_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_finish(ends.client);
    UNTIL(f, ends.server->ended);
    peer_reset(ends.client);
    UNTIL(f, peer_was_reset(ends.server) && f->worker->connections == 0);
}

static void a_reset_behind_the_servers_end_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_finish(ends.server);
    UNTIL(f, ends.client->ended);
    peer_reset(ends.server);
    UNTIL(f, peer_was_reset(ends.client) && f->worker->connections == 0);
}

static void a_reset_of_the_side_that_was_told_the_end_passes(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_finish(ends.client);
    UNTIL(f, ends.server->ended);
    peer_reset(ends.server);
    UNTIL(f, peer_was_reset(ends.client) && f->worker->connections == 0);
}

static void an_idle_half_closed_connection_does_not_spin(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_finish(ends.client);
    UNTIL(f, ends.server->ended);
    fixture_let_happen(f);
    ev_timer_stop(f->loop, &f->beat);
    ev_run(f->loop, EVRUN_NOWAIT);
    assert_int_equal(ev_pending_count(f->loop), 0);
    unsigned before = ev_iteration(f->loop);
    ev_timer_start(f->loop, &f->beat);
    ev_run(f->loop, EVRUN_ONCE); /* one beat, and nothing else wakes the loop before */
    assert_int_equal(ev_iteration(f->loop), before + 1);
}

/* ---- back-pressure ---- */

static void a_slow_reader_stops_its_writer_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    uint8_t *bulk = malloc(BULK);
    assert_non_null(bulk);
    check_fill(bulk, 1, 0, BULK);
    int small = 16 * 1024;
    setsockopt(ends.client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    peer_deafen(ends.client);
    for (int i = 0; i < 8; i++)
        peer_send(ends.server, bulk, BULK);
    peer_finish(ends.server);
    fixture_let_happen(f);
    assert_true(ends.server->sending_used < 8 * (size_t)BULK);
    peer_hear(ends.client);
    UNTIL(f, ends.client->ended);
    assert_int_equal(ends.client->length, 4 + 8 * (size_t)BULK);
    for (size_t i = 0; i < 8; i++)
        assert_memory_equal(ends.client->received + 4 + i * BULK, bulk, BULK);
    free(bulk);
}

static void both_may_push_at_the_same_time(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    uint8_t *bulk = malloc(BULK);
    assert_non_null(bulk);
    check_fill(bulk, 1, 0, BULK);
    peer_send(ends.server, bulk, BULK);
    peer_send(ends.client, bulk, BULK);
    UNTIL(f, ends.client->length == 4 + BULK && ends.server->length == 4 + BULK);
    assert_memory_equal(ends.client->received + 4, bulk, BULK);
    assert_memory_equal(ends.server->received + 4, bulk, BULK);
    free(bulk);
}

/* ---- connecting ---- */

static void bytes_and_the_end_that_came_before_the_upstream_was_up_wait(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    peer_say(client, "all at once");
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_true(peer_heard(server, "all at once"));
    assert_false(peer_was_reset(client));
}

static void an_end_without_a_byte_reaches_the_server(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    peer_finish(client);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    peer_say(server, "bye");
    peer_finish(server);
    UNTIL(f, client->ended && peer_heard(client, "bye") && f->worker->connections == 0);
}

static void a_refused_upstream_resets_the_client_and_is_logged(void **state)
{
    struct fixture *f = *state;
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", port);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_was_reset(client) && f->worker->connections == 0);
    assert_true(fixture_logged(f, "Connection refused"));
    close(refusing);
}

static void the_next_address_is_tried_when_one_refuses(void **state)
{
    struct fixture *f = *state;
    struct names names;
    uint16_t port = f->server_port;
    int refusing = fixture_refusing_port(NAMES_FIRST, &port);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:example.org:%u", port);
    names_start(&names, f);
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    peer_say(client, "found");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "found"));
    names_stop(&names);
    close(refusing);
}

/* ---- by itself ---- */

/* It is asked again and again. */
static void on_nothing(struct side_owner *owner)
{
    (void)owner;
}

static void bytes_read_before_come_first(void **state)
{
    struct fixture *f = *state;
    int fd;
    uint8_t buffer[16];
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct peer *peer = fixture_pair(f, &fd);
    peer_say(peer, "behind");
    struct side *side = plain_left_over(f->worker, fd, (uint8_t *)strdup("early"), 5, true);
    assert_false(side->ops->splices(side)); /* a pipe would leave them out */
    assert_int_equal(side->ops->read(side, buffer, 3), 3);
    assert_memory_equal(buffer, "ear", 3);
    assert_int_equal(side->ops->read(side, buffer, sizeof(buffer)), 2);
    assert_memory_equal(buffer, "ly", 2);
    assert_true(side->ops->splices(side));
    struct side_owner owner = {.wake = on_nothing, .worker = f->worker};
    side->owner = &owner;
    side->ops->watch(side, true, false);
    ssize_t n = SIDE_AGAIN;
    UNTIL(f, (n = side->ops->read(side, buffer, sizeof(buffer))) != SIDE_AGAIN);
    assert_int_equal(n, 6);
    assert_memory_equal(buffer, "behind", 6);
    side->ops->destroy(side);
    UNTIL(f, peer->ended);
}

static void a_side_destroyed_with_bytes_unread_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    int fd;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    fixture_pair(f, &fd);
    struct side *side = plain_left_over(f->worker, fd, (uint8_t *)strdup("early"), 5, true);
    side->ops->destroy(side);
    side = connecting(f, NULL, 0);
    assert_int_equal(side->ops->room(side), 0);
    assert_false(side->ops->splices(side));
    side->ops->destroy(side); /* while it connects */
    fixture_let_happen(f);
    assert_int_equal(f->served_count, 0);
}

/* As an arrival does before there is a relay: looks each time that it is woken. */
struct heard {
    struct side_owner owner; /* first, so that one is the other */
    struct side *side;
    int wakes, calls;
    bool alive;
};

static void on_wake(struct side_owner *owner)
{
    struct heard *heard = (struct heard *)owner;
    ssize_t bytes = heard->side->ops->peek(heard->side);
    heard->wakes++;
    if (bytes == SIDE_AGAIN) {
        heard->side->ops->watch(heard->side, true, false);
        return;
    }
    heard->side->ops->watch(heard->side, false, false);
    heard->calls++;
    heard->alive = bytes > 0;
}

static void listen_to(struct fixture *f, struct side *side, struct heard *heard)
{
    heard->side = side;
    heard->owner = (struct side_owner){.wake = on_wake, .worker = f->worker};
    side->owner = &heard->owner;
}

static struct side *watched(struct fixture *f, struct heard *heard)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = connecting(f, NULL, 0);
    listen_to(f, side, heard);
    fixture_server(f, 0);
    fixture_let_happen(f);
    assert_int_equal(heard->calls, 0);
    return side;
}

static void a_server_that_speaks_is_told_once_and_its_bytes_are_kept(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    uint8_t buffer[8];
    struct side *side = watched(f, &heard);
    peer_say(f->served[0], "220");
    peer_finish(f->served[0]);
    UNTIL(f, heard.calls > 0);
    assert_true(heard.alive);
    fixture_let_happen(f);
    assert_int_equal(heard.calls, 1);
    assert_int_equal(side->ops->read(side, buffer, sizeof(buffer)), 3);
    side->ops->destroy(side);
}

static void a_server_that_ends_without_a_word_has_not_spoken(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    struct side *side = watched(f, &heard);
    peer_finish(f->served[0]);
    UNTIL(f, heard.calls > 0);
    assert_false(heard.alive);
    side->ops->destroy(side);
}

static void a_server_that_resets_has_not_spoken(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    struct side *side = watched(f, &heard);
    peer_reset(f->served[0]);
    UNTIL(f, heard.calls > 0);
    assert_false(heard.alive);
    side->ops->destroy(side);
}

static void a_server_out_of_reach_has_not_spoken(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    uint16_t port = 0;
    int refusing = fixture_refusing_port("127.0.0.1", &port);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", port);
    struct side *side = connecting(f, NULL, 0);
    listen_to(f, side, &heard);
    UNTIL(f, heard.calls > 0);
    assert_false(heard.alive);
    side->ops->destroy(side);
    close(refusing);
}

static void the_round_trip_is_told_also_where_it_ends_with_a_reset(void **state)
{
    struct fixture *f = *state;
    struct ends ends = connected(f);
    peer_reset(ends.server);
    UNTIL(f, peer_was_reset(ends.client) && f->worker->connections == 0);
    assert_true(fixture_logged(f, " rtt_us="));
    assert_false(fixture_logged(f, " rtt_us=0 "));
}

/* ---- what the server is sent first ---- */

/* A far side of its own, with a near one in the test's hands. */
static struct side *opened(struct fixture *f, const char *prelude)
{
    struct side *side = connecting(f, (const uint8_t *)prelude, strlen(prelude));
    assert_non_null(side);
    assert_int_equal(side->ops->room(side), 0);
    return side;
}

static void the_prelude_comes_first_and_until_then_there_is_no_room(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = opened(f, "PROXY ");
    assert_int_equal(side->ops->write(side, (const uint8_t *)"early", 5), 0);
    UNTIL(f, side->ops->room(side) > 0);
    assert_true(side->ops->splices(side));
    assert_int_equal(side->ops->write(side, (const uint8_t *)"hello", 5), 5);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PROXY hello"));
    side->ops->destroy(side);
}

static void also_when_another_server_gets_the_connection(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    pool_start(f, &pool, "tcp");
    struct side *side = opened(f, "PROXY ");
    UNTIL(f, side->ops->room(side) > 0);
    assert_int_equal(side->ops->write(side, (const uint8_t *)"hello", 5), 5);
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PROXY hello"));
    side->ops->destroy(side);
    pool_stop(&pool);
}

/* More than a socket takes at once. */
static void a_long_prelude_goes_out_in_parts_and_in_order(void **state)
{
    struct fixture *f = *state;
    uint8_t *bulk = malloc(LONG_PRELUDE);
    assert_non_null(bulk);
    check_fill(bulk, 1, 0, LONG_PRELUDE);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = connecting(f, bulk, LONG_PRELUDE);
    struct heard heard = {0};
    listen_to(f, side, &heard); /* before there is a relay */
    struct peer *server = fixture_server(f, 0);
    peer_deafen(server);
    fixture_let_happen(f);
    assert_int_equal(side->ops->room(side), 0);
    assert_int_equal(side->ops->write(side, bulk, 1), 0);
    assert_false(side->ops->splices(side));
    peer_hear(server);
    UNTIL(f, server->length == LONG_PRELUDE);
    assert_int_equal(heard.calls, 0);
    UNTIL(f, side->ops->room(side) > 0);
    assert_int_equal(side->ops->write(side, (const uint8_t *)"!", 1), 1);
    UNTIL(f, server->length == LONG_PRELUDE + 1);
    assert_memory_equal(server->received, bulk, LONG_PRELUDE);
    assert_int_equal(server->received[LONG_PRELUDE], '!');
    peer_say(server, "220");
    UNTIL(f, heard.calls == 1);
    assert_true(heard.alive);
    side->ops->destroy(side);
    free(bulk);
}

/* There is room in the socket, but the loop has not told the side yet. */
static void nothing_is_written_in_the_middle_of_it(void **state)
{
    struct fixture *f = *state;
    uint8_t *bulk = calloc(1, LONG_PRELUDE);
    assert_non_null(bulk);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = connecting(f, bulk, LONG_PRELUDE);
    struct peer *server = fixture_server(f, 0);
    peer_deafen(server);
    fixture_let_happen(f);
    while (recv(server->fd, bulk, LONG_PRELUDE, 0) > 0)
        continue;
    assert_int_equal(side->ops->room(side), 0);
    assert_int_equal(side->ops->write(side, bulk, 1), 0);
    side->ops->destroy(side);
    free(bulk);
}

static void it_goes_on_when_a_relay_takes_over(void **state)
{
    struct fixture *f = *state;
    uint8_t *bulk = malloc(LONG_PRELUDE);
    assert_non_null(bulk);
    check_fill(bulk, 1, 0, LONG_PRELUDE);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *far = connecting(f, bulk, LONG_PRELUDE);
    struct peer *server = fixture_server(f, 0);
    int fd;
    peer_deafen(server);
    struct peer *client = fixture_pair(f, &fd);
    struct side *near = plain_accepted(fd);
    struct connection connection;
    struct connection_asked asked;
    connection_accepted(&connection, &asked, f->worker->listeners[0],
                        &(struct address){.length = 0}, fd);
    assert_int_equal(connection_place(&connection, NULL), TURBO_REASON_NONE);
    connection_arrived(&connection);
    relay_start(near, far, &connection);
    peer_say(client, "hello");
    peer_finish(client);
    fixture_let_happen(f);
    peer_hear(server);
    UNTIL(f, server->ended);
    assert_int_equal(server->length, LONG_PRELUDE + 5);
    assert_memory_equal(server->received, bulk, LONG_PRELUDE);
    assert_memory_equal(server->received + LONG_PRELUDE, "hello", 5);
    free(bulk);
}

static void a_server_that_resets_within_the_prelude_is_lost(void **state)
{
    struct fixture *f = *state;
    uint8_t *bulk = calloc(1, LONG_PRELUDE);
    assert_non_null(bulk);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct side *side = connecting(f, bulk, LONG_PRELUDE);
    struct heard heard = {0};
    listen_to(f, side, &heard);
    struct peer *server = fixture_server(f, 0);
    peer_deafen(server);
    peer_reset(server);
    UNTIL(f, heard.calls == 1);
    assert_false(heard.alive);
    side->ops->destroy(side);
    free(bulk);
}

/* ---- the server it is connected to ---- */

static void it_is_counted_until_the_connection_ends_and_named_in_the_access_line(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    char line[128];
    pool_start(f, &pool, "tcp");
    struct peer *client = fixture_client(f);
    struct peer *server = fixture_server(f, 0);
    peer_say(client, "hello");
    UNTIL(f, peer_heard(server, "hello"));
    assert_int_equal(pool_server(f, 0)->connections, 0);
    assert_int_equal(pool_server(f, 1)->connections, 1);
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, f->worker->connections == 0);
    assert_int_equal(pool_server(f, 1)->connections, 0);
    (void)snprintf(line, sizeof(line), " server=tcp:127.0.0.1:%u ", f->server_port);
    assert_true(fixture_logged(f, line));
    pool_stop(&pool);
}

static void it_outlives_the_configuration_that_named_it(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.1"}};
    pool_start(f, &pool, "tcp");
    struct upstream *other = upstream_create(f->config, 0, NULL);
    struct side *side = plain_connecting(f->worker, other, &(struct upstream_call){0});
    upstream_release(other);
    UNTIL(f, side->ops->room(side) > 0);
    assert_string_equal(side->server->host, "127.0.0.1");
    assert_int_equal(side->server->connections, 1);
    side->ops->destroy(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(an_end_passes_and_the_other_direction_goes_on),
        FIXTURE_CASE(the_server_may_end_first),
        FIXTURE_CASE(a_reset_by_the_client_is_one_to_the_server),
        FIXTURE_CASE(a_reset_by_the_server_is_one_to_the_client),
        FIXTURE_CASE(a_reset_is_not_told_to_a_side_that_is_gone),
        FIXTURE_CASE(a_reset_behind_an_end_is_noticed),
        FIXTURE_CASE(a_reset_behind_the_servers_end_is_noticed),
        FIXTURE_CASE(a_reset_of_the_side_that_was_told_the_end_passes),
        FIXTURE_CASE(an_idle_half_closed_connection_does_not_spin),
        FIXTURE_CASE(a_slow_reader_stops_its_writer_and_loses_nothing),
        FIXTURE_CASE(both_may_push_at_the_same_time),
        FIXTURE_CASE(bytes_and_the_end_that_came_before_the_upstream_was_up_wait),
        FIXTURE_CASE(an_end_without_a_byte_reaches_the_server),
        FIXTURE_CASE(a_refused_upstream_resets_the_client_and_is_logged),
        FIXTURE_CASE(the_next_address_is_tried_when_one_refuses),
        FIXTURE_CASE(bytes_read_before_come_first),
        FIXTURE_CASE(a_side_destroyed_with_bytes_unread_leaks_nothing),
        FIXTURE_CASE(a_server_that_speaks_is_told_once_and_its_bytes_are_kept),
        FIXTURE_CASE(a_server_that_ends_without_a_word_has_not_spoken),
        FIXTURE_CASE(a_server_that_resets_has_not_spoken),
        FIXTURE_CASE(a_server_out_of_reach_has_not_spoken),
        FIXTURE_CASE(the_round_trip_is_told_also_where_it_ends_with_a_reset),
        FIXTURE_CASE(the_prelude_comes_first_and_until_then_there_is_no_room),
        FIXTURE_CASE(also_when_another_server_gets_the_connection),
        FIXTURE_CASE(a_long_prelude_goes_out_in_parts_and_in_order),
        FIXTURE_CASE(nothing_is_written_in_the_middle_of_it),
        FIXTURE_CASE(it_goes_on_when_a_relay_takes_over),
        FIXTURE_CASE(a_server_that_resets_within_the_prelude_is_lost),
        FIXTURE_CASE(it_is_counted_until_the_connection_ends_and_named_in_the_access_line),
        FIXTURE_CASE(it_outlives_the_configuration_that_named_it),
    };
    return cmocka_run_group_tests_name("plain side", tests, NULL, NULL);
}
