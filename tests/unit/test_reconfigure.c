/* From one configuration to the next: what is kept, what is dropped, what is new. */
#include "tests/unit/support/wire_client.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "tunnel/net/socket.h"

#define UPSTREAM "upstream { name: 'u' server { address: '127.0.0.1:%u' } } "
#define TCP_AT(address_, more_)                                                                    \
    "listener { protocol: TCP address: '" address_ "' route { upstream: 'u' } " more_ "} "
#define TURBO_AT(address_, more_)                                                                  \
    "listener { address: '" address_ "' route { upstream: 'u' } " more_ "} "

enum { MANY = 40 };

static struct wire_client wire;

static void start(struct fixture *f, const char *listeners)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "%s" UPSTREAM, listeners, f->server_port);
    wire_client_init(&wire, 1);
    fixture_configure(f, "%s", text);
    fixture_serve(f);
}

static void change(struct fixture *f, const char *listeners)
{
    fixture_reconfigure(f, "%s" UPSTREAM, listeners, f->server_port);
}

static struct peer *connected(struct fixture *f, uint16_t port)
{
    struct peer *client = fixture_connect(f, "127.0.0.1", port);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, f->served_count);
    UNTIL(f, peer_heard(server, "PING"));
    return client;
}

static bool is_refused(struct fixture *f, uint16_t port)
{
    struct peer *client = fixture_connect(f, "127.0.0.1", port);
    UNTIL(f, client->error != 0 || peer_is_up(client));
    return client->error == ECONNREFUSED;
}

static uint64_t active(const struct fixture *f)
{
    uint64_t sum = 0;
    for (const struct route_stats *r = stats_first(f->worker->stats); r != NULL; r = r->next)
        sum += r->active;
    return sum;
}

static void assert_nothing_is_left(struct fixture *f)
{
    UNTIL(f, f->worker->connections == 0 && f->worker->leaving_count == 0);
    assert_int_equal(active(f), 0);
    assert_int_equal(f->worker->generation->references, 1 + f->worker->listener_count);
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Whoever waits to be accepted meanwhile keeps nobody awake. */
static void assert_sleeps_until_accepting(struct fixture *f)
{
    fixture_let_happen(f);
    ev_timer_stop(f->loop, &f->beat);
    unsigned turns = ev_iteration(f->loop);
    while (!f->worker->accepting)
        ev_run(f->loop, EVRUN_ONCE);
    assert_in_range(ev_iteration(f->loop) - turns, 0, 8);
    ev_timer_start(f->loop, &f->beat);
}

/* ---- kept ---- */

static void a_kept_listener_has_its_socket_and_the_new_routes(void **state)
{
    struct fixture *f = *state;
    uint16_t other;
    int server = fixture_other_server(&other);
    start(f, TURBO_AT("127.0.0.1:0", ""));
    struct listener *listener = f->worker->listeners[0];
    uint16_t port = fixture_port(f, 0);
    struct peer *waiting = fixture_client(f);
    UNTIL(f, f->worker->connections == 1);
    struct peer *queued = fixture_client(f); /* the kernel has it */
    fixture_reconfigure(f, TURBO_AT("127.0.0.1:0", "") UPSTREAM, other);
    assert_ptr_equal(f->worker->listeners[0], listener);
    assert_int_equal(fixture_port(f, 0), port);
    assert_int_equal(f->worker->leaving_count, 0);
    wire_client_hello(&wire, waiting); /* as it was when it came */
    UNTIL(f, wire_client_passed(&wire, fixture_server(f, 0), ""));
    wire_client_hello(&wire, queued); /* as it is when it is accepted */
    struct peer *served = fixture_other_accepts(f, server);
    UNTIL(f, wire_client_passed(&wire, served, ""));
    peer_reset(waiting);
    peer_reset(queued);
    assert_nothing_is_left(f);
    close(server);
}

static void its_sessions_by_udp_go_on(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", ""));
    struct peer *server = wire_client_begin(&wire, f);
    change(f, TURBO_AT("127.0.0.1:0", "idle_timeout_seconds: 9 "));
    struct peer *client = wire_client_join(&wire, f, fixture_port(f, 0));
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    peer_reset(client);
    assert_nothing_is_left(f);
}

static void its_rules_are_for_who_comes_from_now_on(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", ""));
    struct peer *client = connected(f, fixture_port(f, 0));
    struct peer *waiting = fixture_client(f);
    UNTIL(f, f->worker->connections == 2);
    change(f, TURBO_AT("127.0.0.1:0", "access_rule { action: DENY } "));
    struct peer *denied = fixture_client(f);
    UNTIL(f, peer_was_reset(denied));
    assert_true(fixture_logged(f, "outcome=failed reason=denied"));
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&wire));
    assert_int_equal(f->served_count, 1);
    peer_say(waiting, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 1), "PING"));
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
    peer_reset(client);
    peer_reset(waiting);
    assert_nothing_is_left(f);
}

static void its_rates_are_the_new_ones(void **state)
{
    struct fixture *f = *state;
    static struct wire_client second;
    start(f, TURBO_AT("127.0.0.1:0", ""));
    wire_client_init(&second, 2);
    change(f, TURBO_AT("127.0.0.1:0", "session_rate: 1 "));
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    wire_client_ask(&second, f, "127.0.0.1", fixture_udp_port(f, 0));
    UNTIL(f, wire_client_was_refused(&second));
    assert_true(fixture_logged(f, "limit=rate"));
}

static void its_room_for_sessions_is_the_one_it_was_opened_with(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", ""));
    change(f, TURBO_AT("127.0.0.1:0", "session_rate: 9 "));
    assert_false(fixture_logged(f, "max_sessions"));
    change(f, TURBO_AT("127.0.0.1:0", "max_sessions: 9 "));
    assert_true(fixture_logged(f, "max_sessions takes effect with the next start"));
    wire_client_begin(&wire, f);
}

static void the_places_of_listeners_may_change(void **state)
{
    struct fixture *f = *state;
    start(f, TCP_AT("127.0.0.1:0", "") TURBO_AT("127.0.0.2:0", ""));
    struct listener *first = f->worker->listeners[0], *second = f->worker->listeners[1];
    change(f, TURBO_AT("127.0.0.2:0", "") TCP_AT("127.0.0.3:0", "") TCP_AT("127.0.0.1:0", ""));
    assert_int_equal(f->worker->listener_count, 3);
    assert_ptr_equal(f->worker->listeners[0], second);
    assert_ptr_equal(f->worker->listeners[2], first);
    assert_int_equal(listener_settings(first)->kind, ENDPOINT_TCP);
    assert_ptr_equal(listener_settings(first), &f->config->listeners[2]);
    connected(f, fixture_port(f, 2));
}

static void the_same_names_go_on_counting(void **state)
{
    struct fixture *f = *state;
    start(f, TCP_AT("127.0.0.1:0", "name: 'a' "));
    struct peer *client = connected(f, fixture_port(f, 0));
    change(f, TCP_AT("127.0.0.1:0", "name: 'a' idle_timeout_seconds: 9 "));
    struct peer *second = connected(f, fixture_port(f, 0));
    assert_int_equal(active(f), 2);
    peer_reset(client);
    peer_reset(second);
    assert_nothing_is_left(f);
    const struct route_stats *r = stats_first(f->worker->stats);
    while (strcmp(r->route, "u") != 0)
        r = r->next;
    assert_int_equal(r->connections[TURBO_OUTCOME_OPAQUE][TURBO_REASON_PLAIN_UPSTREAM], 2);
}

/* ---- dropped ---- */

static void a_dropped_listener_goes_with_its_last_connection(void **state)
{
    struct fixture *f = *state;
    start(f, TCP_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    uint16_t port = fixture_port(f, 0);
    struct peer *client = connected(f, port);
    change(f, TCP_AT("127.0.0.2:0", ""));
    assert_true(is_refused(f, port));
    assert_int_equal(f->worker->leaving_count, 1);
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
    peer_finish(client);
    peer_finish(f->served[0]);
    assert_nothing_is_left(f);
}

static void one_without_connections_goes_at_once(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    uint16_t port = fixture_port(f, 0);
    size_t files = open_files();
    change(f, TCP_AT("127.0.0.2:0", ""));
    UNTIL(f, f->worker->leaving_count == 0);
    assert_int_equal(open_files(), files - 3);
    assert_true(is_refused(f, port));
}

static void its_pending_sessions_can_be_joined(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    uint16_t port = fixture_port(f, 0), udp = fixture_udp_port(f, 0);
    static struct wire_client second;
    wire_client_init(&second, 2);
    struct peer *server = wire_client_begin(&wire, f);
    change(f, TCP_AT("127.0.0.2:0", ""));
    wire_client_ask(&second, f, "127.0.0.1", udp);
    UNTIL(f, wire_client_was_refused(&second));
    struct peer *silent = fixture_connect(f, "127.0.0.1", port);
    struct peer *classic = fixture_connect(f, "127.0.0.1", port);
    wire_client_hello(&second, classic);
    UNTIL(f, peer_was_reset(classic));
    assert_false(peer_was_reset(silent));
    struct peer *client = wire_client_join(&wire, f, port);
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    UNTIL(f, peer_was_reset(silent)); /* it has nothing to join */
    assert_true(is_refused(f, port));
    assert_int_equal(f->served_count, 1);
    UNTIL(f, listener_udp(f->worker->leaving[0]) == NULL); /* its session is a socket now */
    peer_say(server, "more");
    UNTIL(f, peer_heard(client, "more"));
    peer_reset(client);
    assert_nothing_is_left(f);
}

static void they_are_awaited_for_a_while_only(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    uint16_t port = fixture_port(f, 0);
    struct peer *server = wire_client_begin(&wire, f);
    f->worker->handover_timeout_s = 0.02;
    change(f, TCP_AT("127.0.0.2:0", ""));
    UNTIL(f, peer_was_reset(server));
    assert_true(is_refused(f, port));
    assert_nothing_is_left(f);
}

/* Its last session ends in its own callback. */
static void an_abort_ends_it_as_well(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    struct peer *server = wire_client_begin(&wire, f);
    change(f, TCP_AT("127.0.0.2:0", ""));
    wire_client_request(&wire, TURBO_FLAG_ABORT, 9, NULL, 0);
    UNTIL(f, peer_was_reset(server));
    assert_nothing_is_left(f);
}

static void it_may_come_back_while_connections_of_before_go_on(void **state)
{
    struct fixture *f = *state;
    char at[256];
    uint16_t port = fixture_free_port();
    (void)snprintf(at, sizeof(at), TURBO_AT("127.0.0.1:%u", "") TCP_AT("127.0.0.2:0", ""), port);
    start(f, at);
    struct peer *client = connected(f, port);
    change(f, TCP_AT("127.0.0.2:0", ""));
    assert_true(is_refused(f, port));
    change(f, at);
    assert_int_equal(f->worker->leaving_count, 1);
    connected(f, port);
    wire_client_ask(&wire, f, "127.0.0.1", port);
    fixture_server(f, 2);
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
}

/* A session that is no socket yet keeps what it needs, but not the port. */
static void and_while_a_session_of_before_goes_on(void **state)
{
    struct fixture *f = *state;
    char at[256];
    uint16_t port = fixture_free_port();
    (void)snprintf(at, sizeof(at), TURBO_AT("127.0.0.1:%u", "") TCP_AT("127.0.0.2:0", ""), port);
    start(f, at);
    struct peer *server = wire_client_begin(&wire, f);
    struct peer *client = fixture_client(f);
    wire_client_tombstone(&wire, client, 1); /* the stream is still to be repeated */
    UNTIL(f, fixture_upstream(f)->pending == 0);
    change(f, TCP_AT("127.0.0.2:0", ""));
    fixture_let_happen(f);
    assert_non_null(listener_udp(f->worker->leaving[0]));
    change(f, at);
    wire_client_hello(&wire, client);
    peer_say(client, "answer");
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
    wire_client_init(&wire, 2);
    wire_client_ask(&wire, f, "127.0.0.1", port);
    fixture_server(f, 1);
}

static void leaving_listeners_pause_with_the_others(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    uint16_t port = fixture_port(f, 0);
    struct peer *server = wire_client_begin(&wire, f);
    change(f, TCP_AT("127.0.0.2:0", ""));
    worker_exhausted(f->worker, EMFILE);
    assert_false(f->worker->accepting);
    struct peer *client = wire_client_join(&wire, f, port);
    UNTIL(f, peer_is_up(client));
    UNTIL(f, f->worker->accepting); /* tried again soon */
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
}

/* ---- new ---- */

static void a_new_listener_accepts(void **state)
{
    struct fixture *f = *state;
    start(f, TCP_AT("127.0.0.2:0", ""));
    change(f, TCP_AT("127.0.0.2:0", "") TURBO_AT("127.0.0.1:0", ""));
    connected(f, fixture_port(f, 1));
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 1));
    fixture_server(f, 1);
    assert_int_equal(fixture_log_count(f, " listening "), 2);
}

static void a_new_listener_waits_where_nothing_is_accepted(void **state)
{
    struct fixture *f = *state;
    start(f, TCP_AT("127.0.0.2:0", ""));
    worker_exhausted(f->worker, EMFILE);
    change(f, TCP_AT("127.0.0.2:0", "") TCP_AT("127.0.0.1:0", ""));
    struct peer *client = fixture_connect(f, "127.0.0.1", fixture_port(f, 1));
    UNTIL(f, peer_is_up(client));
    assert_false(f->worker->accepting);
    assert_int_equal(f->worker->connections, 0);
    assert_sleeps_until_accepting(f);
    UNTIL(f, f->worker->connections == 1);
}

static void a_port_in_use_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint16_t taken = 0, unused = fixture_free_port();
    int fd = fixture_refusing_port("127.0.0.1", &taken);
    start(f, TURBO_AT("127.0.0.1:0", "") TCP_AT("127.0.0.2:0", ""));
    const struct generation *generation = f->worker->generation;
    struct listener *first = f->worker->listeners[0], *second = f->worker->listeners[1];
    struct peer *waiting = fixture_client(f);
    size_t files = open_files(), most = f->worker->connections_max;
    fixture_configure(f,
                      TCP_AT("127.0.0.2:0", "access_rule { action: DENY } ")
                          TURBO_AT("127.0.0.1:%u", "") TCP_AT("127.0.0.1:%u", "")
                              TCP_AT("127.0.0.3:0", "") UPSTREAM,
                      unused, taken, f->server_port);
    assert_false(worker_reconfigure(f->worker, f->config));
    assert_true(fixture_logged(f, "cannot listen on the TCP port"));
    assert_ptr_equal(f->worker->generation, generation);
    assert_int_equal(f->worker->listener_count, 2);
    assert_ptr_equal(f->worker->listeners[0], first);
    assert_ptr_equal(f->worker->listeners[1], second);
    assert_int_equal(f->worker->leaving_count, 0);
    assert_int_equal(f->worker->connections_max, most);
    assert_int_equal(open_files(), files);
    assert_int_equal(f->config->references, 1);
    assert_true(is_refused(f, unused));
    peer_say(waiting, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    fixture_server(f, 1);
    close(fd);
}

static void an_address_that_overlaps_takes_two_steps(void **state)
{
    struct fixture *f = *state;
    char at[256];
    uint16_t port = fixture_free_port();
    (void)snprintf(at, sizeof(at), TCP_AT("127.0.0.1:%u", ""), port);
    start(f, at);
    fixture_configure(f, TCP_AT("0.0.0.0:%u", "") UPSTREAM, port, f->server_port);
    assert_false(worker_reconfigure(f->worker, f->config));
    assert_true(fixture_logged(f, "hint=\"this proxy listens there now: drop that in one reload"));
    connected(f, port);
}

/* ---- the same port as another kind ---- */

static void from_tcp_to_turbo_no_connection_is_lost(void **state)
{
    struct fixture *f = *state;
    char before[256], after[256];
    uint16_t port = fixture_free_port();
    (void)snprintf(before, sizeof(before), TCP_AT("127.0.0.1:%u", ""), port);
    (void)snprintf(after, sizeof(after), TURBO_AT("127.0.0.1:%u", ""), port);
    start(f, before);
    struct peer *client = fixture_client(f); /* the kernel has it */
    peer_say(client, "PING");
    change(f, after);
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    peer_reset(client);
    UNTIL(f, fixture_logged(f, "listener=turbo:")); /* the new one has accepted it */
    wire_client_begin(&wire, f);
}

/* The old one does not take what is the new one's, whatever waits to join. */
static void from_turbo_to_tcp_every_connection_is_served(void **state)
{
    struct fixture *f = *state;
    char before[256], after[256];
    uint16_t port = fixture_free_port();
    (void)snprintf(before, sizeof(before), TURBO_AT("127.0.0.1:%u", ""), port);
    (void)snprintf(after, sizeof(after), TCP_AT("127.0.0.1:%u", ""), port);
    start(f, before);
    struct peer *server = wire_client_begin(&wire, f);
    change(f, after);
    for (int i = 0; i < 8; i++)
        connected(f, port);
    UNTIL(f, peer_was_reset(server));
    assert_int_equal(fixture_log_count(f, "info connection client="), 1);
}

static void another_udp_port_has_the_same_tcp_socket(void **state)
{
    struct fixture *f = *state;
    char before[256], after[256];
    uint16_t port = fixture_free_port(), udp = fixture_free_port();
    (void)snprintf(before, sizeof(before), TURBO_AT("127.0.0.1:%u", ""), port);
    (void)snprintf(after, sizeof(after), TURBO_AT("127.0.0.1:%u", "udp_port: %u "), port, udp);
    start(f, before);
    struct peer *client = fixture_client(f);
    change(f, after);
    peer_say(client, "PING");
    UNTIL(f, peer_heard(fixture_server(f, 0), "PING"));
    assert_int_equal(fixture_udp_port(f, 0), udp);
    struct peer *server = wire_client_begin(&wire, f);
    wire_client_join(&wire, f, port);
    UNTIL(f, wire_client_passed(&wire, server, "answer"));
}

/* libev finds a socket that is still in its epoll set by another number, and goes on. */
static void the_loop_sleeps_afterwards(void **state)
{
    struct fixture *f = *state;
    char before[256], after[256];
    uint16_t port = fixture_free_port();
    (void)snprintf(before, sizeof(before), TCP_AT("127.0.0.1:%u", ""), port);
    (void)snprintf(after, sizeof(after), TURBO_AT("127.0.0.1:%u", ""), port);
    start(f, before);
    connected(f, port);
    change(f, after);
    worker_exhausted(f->worker, EMFILE); /* nobody takes the next one for a while */
    struct peer *client = fixture_client(f);
    UNTIL(f, peer_is_up(client));
    assert_sleeps_until_accepting(f);
}

/* ---- when it may not be ---- */

static void never_called(void *owner)
{
    (void)owner;
    fail();
}

static void one_that_is_going_away_stays_as_it_is(void **state)
{
    struct fixture *f = *state;
    start(f, TURBO_AT("127.0.0.1:0", ""));
    wire_client_begin(&wire, f);
    const struct generation *generation = f->worker->generation;
    worker_quiesce(f->worker, never_called, f);
    assert_false(worker_reconfigure(f->worker, f->config));
    worker_unquiesce(f->worker);
    assert_true(worker_reconfigure(f->worker, f->config));
    assert_ptr_not_equal(f->worker->generation, generation);
    generation = f->worker->generation;
    worker_drain(f->worker);
    assert_false(worker_reconfigure(f->worker, f->config));
    assert_ptr_equal(f->worker->generation, generation);
    assert_int_equal(fixture_log_count(f, "the proxy is going away"), 2);
}

/* ---- many ---- */

static void turn_over(struct fixture *f, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        change(f, i % 2 == 0 ? TCP_AT("127.0.0.1:0", "name: 'a' ") TURBO_AT("127.0.0.3:0", "")
                             : TCP_AT("127.0.0.1:0", "name: 'b' ") TURBO_AT("127.0.0.2:0", ""));
        UNTIL(f, f->worker->leaving_count == 0);
    }
    fixture_let_happen(f);
}

static void one_after_the_other_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, TCP_AT("127.0.0.1:0", "name: 'b' ") TURBO_AT("127.0.0.2:0", ""));
    turn_over(f, 4);
    size_t files = open_files();
    size_t bytes = mallinfo2().uordblks;
    turn_over(f, MANY);
    assert_int_equal(open_files(), files);
    assert_in_range(mallinfo2().uordblks, 0, bytes + 4096);
    assert_int_equal(f->worker->generation->references, 3);
}

static void connections_of_many_configurations_live_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct peer *clients[8];
    start(f, TURBO_AT("127.0.0.1:0", ""));
    for (unsigned i = 0; i < COUNT(clients); i++) {
        clients[i] = connected(f, fixture_port(f, i % 2));
        change(f, i % 2 == 0 ? TURBO_AT("127.0.0.2:0", "") TURBO_AT("127.0.0.1:0", "")
                             : TURBO_AT("127.0.0.1:0", ""));
    }
    for (unsigned i = 0; i < COUNT(clients); i++) {
        peer_say(f->served[i], "PONG");
        UNTIL(f, peer_heard(clients[i], "PONG"));
        if (i % 2 == 0)
            peer_reset(clients[i]);
        else
            peer_reset(f->served[i]);
    }
    assert_nothing_is_left(f);
}

/* The last test: a hard limit is for good. */
static void too_few_files_change_nothing(void **state)
{
    struct fixture *f = *state;
    char text[8192] = "";
    if (fixture_under_valgrind())
        skip();
    start(f, TCP_AT("127.0.0.1:0", ""));
    size_t most = f->worker->connections_max;
    for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof(text) - length, TCP_AT("127.0.0.%zu:0", ""), i + 1);
    }
    struct rlimit few = {.rlim_cur = 100, .rlim_max = 100};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    fixture_configure(f, "%s" UPSTREAM, text, f->server_port);
    assert_false(worker_reconfigure(f->worker, f->config));
    assert_true(fixture_logged(f, "raise ulimit -n"));
    assert_int_equal(f->worker->listener_count, 1);
    assert_int_equal(f->worker->connections_max, most);
    connected(f, fixture_port(f, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_kept_listener_has_its_socket_and_the_new_routes),
        FIXTURE_CASE(its_sessions_by_udp_go_on),
        FIXTURE_CASE(its_rules_are_for_who_comes_from_now_on),
        FIXTURE_CASE(its_rates_are_the_new_ones),
        FIXTURE_CASE(its_room_for_sessions_is_the_one_it_was_opened_with),
        FIXTURE_CASE(the_places_of_listeners_may_change),
        FIXTURE_CASE(the_same_names_go_on_counting),
        FIXTURE_CASE(a_dropped_listener_goes_with_its_last_connection),
        FIXTURE_CASE(one_without_connections_goes_at_once),
        FIXTURE_CASE(its_pending_sessions_can_be_joined),
        FIXTURE_CASE(they_are_awaited_for_a_while_only),
        FIXTURE_CASE(an_abort_ends_it_as_well),
        FIXTURE_CASE(it_may_come_back_while_connections_of_before_go_on),
        FIXTURE_CASE(and_while_a_session_of_before_goes_on),
        FIXTURE_CASE(leaving_listeners_pause_with_the_others),
        FIXTURE_CASE(a_new_listener_accepts),
        FIXTURE_CASE(a_new_listener_waits_where_nothing_is_accepted),
        FIXTURE_CASE(a_port_in_use_changes_nothing),
        FIXTURE_CASE(an_address_that_overlaps_takes_two_steps),
        FIXTURE_CASE(from_tcp_to_turbo_no_connection_is_lost),
        FIXTURE_CASE(from_turbo_to_tcp_every_connection_is_served),
        FIXTURE_CASE(another_udp_port_has_the_same_tcp_socket),
        FIXTURE_CASE(the_loop_sleeps_afterwards),
        FIXTURE_CASE(one_that_is_going_away_stays_as_it_is),
        FIXTURE_CASE(one_after_the_other_leaves_nothing),
        FIXTURE_CASE(connections_of_many_configurations_live_side_by_side),
        FIXTURE_CASE(too_few_files_change_nothing),
    };
    return cmocka_run_group_tests_name("reconfigure", tests, NULL, NULL);
}
