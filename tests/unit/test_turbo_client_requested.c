/*
 * A far side to a server that a client has asked for: when its DNS record, or what is remembered,
 * leads to UDP. In a network of its own, with an address that counts as public.
 */
#include "tests/unit/support/wire_client.h"
#include "tests/unit/support/zone.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/memory.h"
#include "proxy/net/resolver.h"
#include "proxy/sides/side.h"
#include "proxy/target.h"
#include "proxy/targets.h"
#include "proxy/upstream.h"
#include "tunnel/net/socket.h"

#define PUBLIC "203.0.113.1"
#define OWN    "127.0.0.1"
#define NAME   "turbo.test"

/* ---- a network ---- */

static bool has_network;

/* Else the tests are left out: it takes root, or user namespaces. */
static int enter_network(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct ifreq up = {.ifr_name = "lo"}, more = {.ifr_name = "lo:1"};
    (void)state;
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && inet_pton(AF_INET, PUBLIC, &address.sin_addr) == 1);
    up.ifr_flags = IFF_UP | IFF_RUNNING;
    memcpy(&more.ifr_addr, &address, sizeof(address));
    has_network = ioctl(fd, SIOCSIFFLAGS, &up) == 0 && ioctl(fd, SIOCSIFADDR, &more) == 0;
    close(fd);
    return 0;
}

/* ---- a side ---- */

static struct zone zone;
static struct wire_client wire;
static struct side *side;
static struct datagrams *edge;
static uint16_t port, udp_port;
static char record_name[64];
static int server = -1;
static unsigned wakes;

static void on_wake(struct side_owner *owner)
{
    (void)owner;
    wakes++;
}

static int end(void **state)
{
    if (side != NULL)
        side->ops->destroy(side);
    side = NULL;
    if (zone.loop != NULL)
        zone_stop(&zone);
    zone.loop = NULL;
    socket_close(server);
    server = -1;
    return fixture_close(state);
}

#define REQUESTED_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, end)

/* The server is at `host`, and takes connections or is silent; the record says where it speaks
 * TurboTLS. */
static void start(struct fixture *f, const char *turbo, const char *host, bool is_silent)
{
    if (!has_network)
        skip();
    wire_client_init(&wire, 1);
    fixture_configure(f,
                      "listener { address: '127.0.0.1:0' protocol: TCP request: SOCKS5 "
                      "route { requested_host: '*' upstream: 'asked' } } "
                      "upstream { name: 'asked' protocol: TURBO requested: true turbo: %s }",
                      turbo);
    fixture_serve(f);
    port = 0;
    if (is_silent) {
        server = fixture_silent_port(f, host, &port);
    } else {
        struct address address;
        assert_true(address_from_literal(&address, host, 0));
        server = socket_listen_tcp(&address);
        port = address_port(&address);
    }
    edge = fixture_udp_server_at(f, host, &udp_port);
    (void)snprintf(record_name, sizeof(record_name), "_%u._https." NAME, port);
    zone_start(&zone, f);
    zone_add(&zone,
             &(struct zone_name){.name = record_name, .has_record = true, .udp_port = udp_port});
}

static void call(struct fixture *f, const char *host)
{
    struct address address;
    assert_true(address_from_literal(&address, host, port));
    struct target *target = target_create(NAME, port);
    assert_non_null(target);
    target->addresses[0] = address;
    target->address_count = 1;
    side = upstream_open(fixture_upstream(f), f->worker,
                         &(struct upstream_call){.target = target, .name = NAME});
    free(target);
    assert_non_null(side);
    wakes = 0;
    static struct side_owner owner;
    owner = (struct side_owner){.wake = on_wake, .worker = f->worker};
    side->owner = &owner;
}

static void is_calling(struct fixture *f)
{
    UNTIL(f, side->ops->room(side) > 0);
}

static void says(size_t from, size_t to)
{
    assert_int_equal(side->ops->write(side, wire.hello.bytes + from, to - from), to - from);
}

static void known(void *owner, bool known_, bool turbo, uint16_t udp)
{
    (void)turbo, (void)udp;
    *(bool *)owner = known_;
}

/* The resolver has it before anybody connects. */
static void learn_record(struct fixture *f)
{
    bool is_known = false;
    assert_non_null(resolver_discover(f->worker->resolver, NAME, port, known, &is_known));
    UNTIL(f, is_known);
}

static void learn_memory(struct fixture *f, const char *host)
{
    struct address address;
    assert_true(address_from_literal(&address, host, udp_port));
    struct server *it = targets_find(fixture_upstream(f)->targets, NAME, port);
    assert_non_null(it);
    memory_of(it->memory, &address)->learned.speaks = true;
    it->udp_port = udp_port;
    server_release(it);
}

static void assert_asked(struct fixture *f)
{
    struct turbo_datagram request;
    UNTIL(f, edge->count > 0);
    assert_true(turbo_request_decode(&request, edge->received[0].bytes, edge->received[0].length));
    assert_true(turbo_id_equal(&request.id, &wire.id));
    assert_memory_equal(request.payload, wire.hello.bytes, wire.hello.length);
    assert_true(side->ops->begins_early(side));
}

static void assert_not_asked(struct fixture *f)
{
    fixture_let_happen(f);
    assert_int_equal(edge->count, 0);
    assert_false(side->ops->begins_early(side));
}

/* ---- the record ---- */

static void one_that_is_known_counts_from_the_start(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    learn_record(f);
    call(f, PUBLIC);
    is_calling(f);
    assert_true(side->ops->begins_early(side));
    says(0, wire.hello.length);
    assert_asked(f);
}

static void one_that_comes_while_tcp_connects_counts_too(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    is_calling(f);
    UNTIL(f, zone.held_count > 0);
    assert_not_asked(f);
    wakes = 0;
    zone_release(&zone);
    UNTIL(f, side->ops->begins_early(side));
    assert_true(wakes > 0); /* who waits for it is told */
    says(0, wire.hello.length);
    assert_asked(f);
}

/* What the client has said by then is not lost, however much it was. */
static void what_was_said_before_goes_by_udp(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    is_calling(f);
    says(0, 300);
    UNTIL(f, zone.held_count > 0);
    zone_release(&zone);
    UNTIL(f, side->ops->begins_early(side));
    says(300, wire.hello.length);
    assert_asked(f);
}

static void also_when_it_was_all(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    is_calling(f);
    says(0, wire.hello.length);
    UNTIL(f, zone.held_count > 0);
    assert_not_asked(f);
    zone_release(&zone);
    assert_asked(f);
}

static void one_that_comes_when_tcp_is_up_is_too_late(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, false);
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    struct peer *there = fixture_other_accepts(f, server);
    UNTIL(f, side->server != NULL && zone.held_count > 0);
    zone_release(&zone);
    fixture_let_happen(f);
    says(0, wire.hello.length);
    UNTIL(f, peer_heard_bytes(there, wire.hello.bytes, wire.hello.length));
    assert_int_equal(edge->count, 0);
}

/* Whose name it is does not say whose address it is. */
static void none_leads_to_an_address_that_is_not_public(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", OWN, true);
    learn_record(f);
    call(f, OWN);
    is_calling(f);
    says(0, wire.hello.length);
    assert_not_asked(f);
}

static void nor_if_it_comes_later(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", OWN, true);
    zone.holds = DNS_HTTPS;
    call(f, OWN);
    is_calling(f);
    says(0, wire.hello.length);
    UNTIL(f, zone.held_count > 0);
    zone_release(&zone);
    assert_not_asked(f);
}

/* ---- what is remembered ---- */

static void one_that_has_answered_before_is_asked(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    learn_memory(f, PUBLIC);
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    is_calling(f);
    says(0, wire.hello.length);
    assert_asked(f);
}

static void unless_its_record_says_no_more(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    zone.names[0].udp_port = 0;
    learn_memory(f, PUBLIC);
    learn_record(f);
    call(f, PUBLIC);
    is_calling(f);
    assert_false(side->ops->begins_early(side));
    says(0, wire.hello.length);
    assert_not_asked(f);
}

/* ---- the policy ---- */

static void auto_asks_nobody_who_is_not_known(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    zone.count = 0;
    call(f, PUBLIC);
    is_calling(f);
    says(0, wire.hello.length);
    UNTIL(f, zone.asked > 0);
    assert_not_asked(f);
}

static void try_asks_whoever_it_is(void **state)
{
    struct fixture *f = *state;
    start(f, "TRY", OWN, true);
    zone.count = 0;
    call(f, OWN);
    is_calling(f);
    assert_true(side->ops->begins_early(side)); /* at the port of TCP, where nobody is */
}

static void always_asks_even_when_tcp_is_up(void **state)
{
    struct fixture *f = *state;
    start(f, "ALWAYS", PUBLIC, false);
    learn_record(f);
    call(f, PUBLIC);
    fixture_other_accepts(f, server);
    UNTIL(f, side->server != NULL);
    says(0, wire.hello.length);
    UNTIL(f, edge->count > 0);
}

static void never_is_tcp(void **state)
{
    struct fixture *f = *state;
    start(f, "NEVER", PUBLIC, false);
    learn_record(f);
    call(f, PUBLIC);
    fixture_other_accepts(f, server);
    UNTIL(f, side->server != NULL);
    assert_null(side->ops->begins_early);
    assert_int_equal(edge->count, 0);
}

/* ---- giving up ---- */

static void give_up(struct fixture *f)
{
    side->ops->destroy(side);
    side = NULL;
    zone_release(&zone);
    fixture_let_happen(f);
    assert_int_equal(targets_total(fixture_upstream(f)->targets)->connections, 0);
}

static void it_may_be_given_up_at_any_time(void **state)
{
    struct fixture *f = *state;
    start(f, "AUTO", PUBLIC, true);
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    give_up(f); /* before the SYN */
    zone.holds = DNS_HTTPS;
    call(f, PUBLIC);
    is_calling(f);
    says(0, 100);
    give_up(f); /* before the record */
    UNTIL(f, zone.asked > 0);
    learn_record(f);
    call(f, PUBLIC);
    is_calling(f);
    says(0, wire.hello.length);
    UNTIL(f, edge->count > 0);
    give_up(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REQUESTED_CASE(one_that_is_known_counts_from_the_start),
        REQUESTED_CASE(one_that_comes_while_tcp_connects_counts_too),
        REQUESTED_CASE(what_was_said_before_goes_by_udp),
        REQUESTED_CASE(also_when_it_was_all),
        REQUESTED_CASE(one_that_comes_when_tcp_is_up_is_too_late),
        REQUESTED_CASE(none_leads_to_an_address_that_is_not_public),
        REQUESTED_CASE(nor_if_it_comes_later),
        REQUESTED_CASE(one_that_has_answered_before_is_asked),
        REQUESTED_CASE(unless_its_record_says_no_more),
        REQUESTED_CASE(auto_asks_nobody_who_is_not_known),
        REQUESTED_CASE(try_asks_whoever_it_is),
        REQUESTED_CASE(always_asks_even_when_tcp_is_up),
        REQUESTED_CASE(never_is_tcp),
        REQUESTED_CASE(it_may_be_given_up_at_any_time),
    };
    return cmocka_run_group_tests_name("turbo_client_requested", tests, enter_network, NULL);
}
