/* A connection that begins at one worker and goes on at another: it is lost on no way, and counted
 * on all. */
#include "tests/unit/support/worker_fixture.h"

#include <unistd.h>

#include "proxy/arrival_parts.h"
#include "proxy/crew.h"
#include "proxy/listener.h"
#include "proxy/listener_group.h"
#include "tests/unit/support/wire_client.h"
#include "turbo/opening.h"

/* Both workers are this thread's: what is on its way stays there until the other one's loop runs.
 */
static struct crew *crew;

static void start(struct fixture *f, const char *more)
{
    fixture_configure(
        f,
        "listener { address: '127.0.0.1:0' name: 'a' %s route { upstream: 'u' } } "
        "upstream { name: 'u' server { address: '127.0.0.1:%u' } } process { workers: 2 } "
        "drain_timeout_seconds: 1000",
        more, f->server_port);
    crew = crew_create(f->config, &f->log, 2);
    assert_non_null(crew);
    if (!crew_open(crew, NULL))
        fail_msg("%s", fixture_log(f));
    crew_accept(crew);
    f->loop = crew_worker(crew, 0)->loop;
}

static struct worker *worker(unsigned index)
{
    return crew_worker(crew, index);
}

static struct listener_group *group(void)
{
    return listener_group(worker(0)->listeners[0]);
}

/* The fixture's peers live in the first one's loop. */
static void end(struct fixture *f)
{
    for (struct peer *p = f->peers; p != NULL; p = p->next)
        peer_deafen(p);
    for (struct datagrams *d = f->datagrams; d != NULL; d = d->next)
        datagrams_close(d);
    crew_destroy(crew);
    crew = NULL;
}

static void turn(unsigned index)
{
    for (int i = 0; i < 16; i++)
        ev_run(worker(index)->loop, EVRUN_NOWAIT);
}

static bool is_on_its_way(unsigned to)
{
    return worker(to)->inbox.newest != NULL;
}

/* Two bytes of an id that nobody has. */
static const uint8_t second_ones[] = {0x80, 0x01};

static int sent; /* the descriptor of the last one */

/* It connects until it is the first one that has accepted it. */
static struct peer *connect_to_first(struct fixture *f)
{
    uint16_t port = address_port(listener_address(worker(0)->listeners[0]));
    for (;;) {
        struct peer *client = fixture_connect(f, "127.0.0.1", port);
        UNTIL(f, peer_is_up(client));
        turn(0);
        if (worker(0)->arrivals != NULL)
            return client;
        peer_reset(client);
        turn(1);
    }
}

/* A connection that the second one is to have. */
static struct peer *send_on_as(struct fixture *f, bool only_joins)
{
    struct peer *client = connect_to_first(f);
    worker(0)->arrivals->only_joins = only_joins;
    sent = worker(0)->arrivals->fd;
    peer_send(client, second_ones, sizeof(second_ones));
    turn(0);
    assert_true(is_on_its_way(1));
    return client;
}

static struct peer *send_on(struct fixture *f)
{
    return send_on_as(f, false);
}

static void it_is_counted_on_its_way(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = send_on(f);
    size_t others = worker(1)->connections;
    assert_int_equal(worker(0)->connections, 0);
    assert_int_equal(group()->connections, others + 1);
    assert_int_equal(worker(0)->mates->connections, others + 1);
    turn(1);
    assert_int_equal(worker(1)->connections, others + 1);
    assert_int_equal(group()->connections, others + 1);
    assert_int_equal(worker(0)->mates->connections, others + 1);
    peer_reset(client);
    UNTIL(f, (turn(1), worker(1)->connections == 0));
    assert_int_equal(group()->connections, 0);
    assert_int_equal(worker(0)->mates->connections, 0);
    end(f);
}

static void it_takes_no_more_than_its_place(void **state)
{
    struct fixture *f = *state;
    start(f, "max_connections: 1");
    send_on(f);
    assert_true(listener_is_full(worker(0)->listeners[0]));
    turn(1);
    assert_true(listener_is_full(worker(0)->listeners[0]));
    assert_int_equal(group()->connections, 1);
    end(f);
}

static size_t records(struct fixture *f)
{
    return fixture_log_count(f, " outcome=");
}

static void it_is_reset_where_nobody_takes_it_any_more(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = send_on(f);
    size_t before = records(f) + worker(1)->connections;
    end(f); /* the fixture sees that no descriptor is left */
    assert_true(peer_was_reset(client));
    assert_int_equal(records(f), before + 1);
    assert_true(fixture_logged(f, "connections are cut off by shutting down"));
}

static void a_drain_waits_for_it(void **state)
{
    struct fixture *f = *state;
    start(f, "opening_timeout_seconds: 1000");
    struct peer *client = send_on(f);
    crew_drain(crew);
    turn(0);
    assert_false(peer_was_reset(client));
    turn(1);
    assert_int_equal(worker(1)->connections, 1);
    turn(0);
    peer_reset(client);
    UNTIL(f, (turn(1), worker(1)->connections == 0));
    assert_int_equal(worker(0)->mates->connections, 0);
    assert_true(is_on_its_way(0) || worker(0)->draining);
    end(f);
}

static void listen_elsewhere(struct fixture *f)
{
    fixture_configure(
        f,
        "listener { protocol: TCP address: '127.0.0.2:0' route { upstream: 'u' } } "
        "upstream { name: 'u' server { address: '127.0.0.1:%u' } } process { workers: 2 }",
        f->server_port);
    assert_true(crew_reconfigure(crew, f->config));
}

/* What listened is the next one's, but what it has accepted is its own. */
static void it_arrives_where_its_listener_is_leaving(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    struct peer *client = send_on(f);
    struct listener_group *before = group();
    listen_elsewhere(f);
    turn(0);
    turn(1);
    assert_non_null(worker_listener(worker(1), before));
    assert_int_equal(worker(1)->connections, 1);
    assert_false(peer_was_reset(client));
    peer_reset(client);
    UNTIL(f, (turn(1), turn(0), worker(1)->leaving_count == 0 && worker(0)->leaving_count == 0));
    end(f);
}

/* The first one has not heard yet that no session waits any more, and accepts somebody. */
static void its_listener_stays_as_long_as_another_one_accepts(void **state)
{
    struct fixture *f = *state;
    start(f, "opening_timeout_seconds: 1000");
    uint16_t port = address_port(listener_address(worker(0)->listeners[0]));
    struct listener_group *before = group();
    before->pending++; /* a session of the second one's */
    listen_elsewhere(f);
    before->pending--;
    worker_check_drained(worker(1));
    turn(1);
    assert_false(listener_is_open(worker(1)->leaving[0]));
    assert_true(listener_is_open(worker(0)->leaving[0]));
    size_t ended = records(f);
    struct peer *client = fixture_connect(f, "127.0.0.1", port);
    UNTIL(f, peer_is_up(client));
    peer_send(client, second_ones, sizeof(second_ones));
    turn(0);
    assert_true(is_on_its_way(1));
    turn(1); /* it could only have joined */
    UNTIL(f, peer_was_reset(client));
    assert_int_equal(records(f), ended + 1);
    worker_check_drained(worker(0));
    UNTIL(f, (turn(1), worker(1)->leaving_count == 0 && worker(0)->leaving_count == 0));
    end(f);
}

/* Nobody waits for the rest of an id that can only be too late. */
static void who_may_only_join_ends_where_that_is_over(void **state)
{
    struct fixture *f = *state;
    start(f, "opening_timeout_seconds: 1000");
    struct peer *client = send_on_as(f, true);
    crew_drain(crew);
    turn(1);
    UNTIL(f, peer_was_reset(client));
    assert_int_equal(worker(0)->mates->connections, 0);
    end(f);
}

/* ---- a ClientHello that nobody waits for ---- */

/* Its id is the second one's, and the first has accepted it. */
static struct peer *send_hello(struct fixture *f, const struct hello *hello)
{
    struct peer *client = connect_to_first(f);
    peer_send(client, hello->bytes, hello->length);
    return client;
}

static void init_as_the_second_ones(struct wire_client *c)
{
    unsigned random = 0;
    do
        wire_client_init(c, random++);
    while (c->id.bytes[TURBO_SHARE_BYTE] % 2 != 1);
}

static uint64_t late_requests(unsigned index)
{
    return turbo_endpoint_counters(udp_endpoint_turbo(listener_udp(worker(index)->listeners[0])))
        .late;
}

static void its_id_is_told_and_it_stays(void **state)
{
    struct fixture *f = *state;
    struct wire_client c;
    init_as_the_second_ones(&c);
    start(f, "");
    c.udp = fixture_udp(f, "127.0.0.1", address_port(listener_address(worker(0)->listeners[0])));
    peer_deafen(send_hello(f, &c.hello));
    UNTIL(f, worker(0)->relays != NULL);
    assert_false(is_on_its_way(1));
    assert_non_null(worker(1)->inbox.left);
    assert_int_equal(late_requests(1), 0);
    wire_client_request(&c, 0, 1, c.hello.bytes, c.hello.length); /* what was left comes first */
    UNTIL(f, (turn(1), late_requests(1) == 1));
    assert_null(worker(1)->inbox.left);
    assert_null(worker(1)->relays);
    end(f);
}

/* ---- its descriptor ---- */

static void on_nothing(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)io;
    (void)events;
}

/* One that the second one has closed in the same turn: libev believes that it still watches it. */
static void it_is_heard_where_another_had_its_descriptor(void **state)
{
    struct fixture *f = *state;
    struct ev_io other;
    start(f, "");
    struct peer *client = send_on(f);
    struct message *message = atomic_exchange(&worker(1)->inbox.newest, NULL);
    assert_null(message->next);
    ev_io_init(&other, on_nothing, sent, EV_READ);
    ev_io_start(worker(1)->loop, &other);
    turn(1);
    worker_forget(worker(1), sent); /* as close(2) would do */
    ev_io_stop(worker(1)->loop, &other);
    size_t others = worker(1)->connections;
    message->deliver(message, worker(1));
    assert_int_equal(worker(1)->connections, others + 1);
    peer_reset(client);
    UNTIL(f, (turn(1), worker(1)->connections == 0));
    end(f);
}

static void it_moves_where_a_session_waits(void **state)
{
    struct fixture *f = *state;
    struct wire_client c;
    init_as_the_second_ones(&c);
    start(f, "");
    group()->pending = 1; /* anywhere, whatever it is */
    peer_deafen(send_hello(f, &c.hello));
    UNTIL(f, is_on_its_way(1));
    assert_null(worker(0)->relays);
    assert_null(worker(1)->inbox.left);
    turn(1);
    assert_non_null(worker(1)->relays);
    group()->pending = 0;
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(it_is_counted_on_its_way),
        FIXTURE_CASE(it_takes_no_more_than_its_place),
        FIXTURE_CASE(it_is_reset_where_nobody_takes_it_any_more),
        FIXTURE_CASE(a_drain_waits_for_it),
        FIXTURE_CASE(it_arrives_where_its_listener_is_leaving),
        FIXTURE_CASE(its_listener_stays_as_long_as_another_one_accepts),
        FIXTURE_CASE(who_may_only_join_ends_where_that_is_over),
        FIXTURE_CASE(its_id_is_told_and_it_stays),
        FIXTURE_CASE(it_is_heard_where_another_had_its_descriptor),
        FIXTURE_CASE(it_moves_where_a_session_waits),
    };
    return cmocka_run_group_tests_name("arrival, move", tests, NULL, NULL);
}
