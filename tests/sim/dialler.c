#include "tests/sim/dialler.h"

#include <stdlib.h>

#include "tests/sim/properties.h"
#include "tests/sim/sha256.h"
#include "tests/sim/world.h"

static struct world *world_of(const struct dialler *d)
{
    return d->connection->world;
}

static turbo_time now(const struct dialler *d)
{
    return world_of(d)->clock.now;
}

static bool is_open(const struct dialler *d)
{
    return turbo_client_state(d->session) == TURBO_CLIENT_OPEN;
}

/* The first address is a dead host's then. */
static bool has_another_address(const struct dialler *d)
{
    return d->connection->plan->dead_address != HOST_ALIVE && d->address == 0;
}

/* ---- ends ---- */

/* The session has ended, or only TCP is left of it: what it has taught is kept. */
static void end_session(struct dialler *d)
{
    if (d->session == NULL)
        return;
    d->report = turbo_client_report(d->session);
    turbo_learned_note(&world_of(d)->learned[d->address], now(d), &d->report);
    free(d->session);
    d->session = NULL;
    d->udp_open = false;
}

static void leave_tcp(struct dialler *d, bool reset)
{
    for (size_t i = 0; i < 2; i++) {
        if (d->attempts[i] == NULL)
            continue;
        if (reset || d->attempts[i] != d->tcp)
            tcp_abort(d->attempts[i], TCP_CLIENT);
        else
            tcp_leave(d->attempts[i], TCP_CLIENT);
    }
}

static void end_connection(struct dialler *d, bool reset)
{
    d->over = true;
    leave_tcp(d, reset);
    end_session(d);
}

static void fail_connection(struct dialler *d)
{
    properties_check_failure(world_of(d), d->connection);
    actor_told(&d->connection->app, TURBO_END_RESET);
    end_connection(d, true);
}

/* ---- UDP ---- */

static uint16_t udp_port(const struct dialler *d)
{
    const struct connection *c = d->connection;
    unsigned rebound = c->plan->nat_every == 0 ? 0 : d->requests / c->plan->nat_every;
    unsigned last = PORTS_AN_ADDRESS - 1, first = d->address * PORTS_AN_ADDRESS;
    return (uint16_t)(FIRST_PORT + (unsigned)c->index * PORTS_A_CONNECTION + first +
                      (rebound < last ? rebound : last));
}

/* The socket of an earlier attempt is closed, and a NAT may have forgotten. */
static bool is_received(const struct dialler *d, uint16_t port)
{
    unsigned address = (port - (unsigned)FIRST_PORT) % PORTS_A_CONNECTION / PORTS_AN_ADDRESS;
    return d->udp_open && address == d->address &&
           (!d->connection->plan->nat_drops || port == udp_port(d));
}

static void send_datagrams(struct dialler *d)
{
    struct connection *c = d->connection;
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    size_t length;
    while ((length = turbo_client_poll_datagram(d->session, bytes)) > 0) {
        uint16_t port = udp_port(d);
        d->requests++;
        bool dead = has_another_address(d) && c->plan->dead_address != HOST_UDP_ONLY;
        const char *fate =
            dead ? ", nobody is there" : link_send(&c->requests, bytes, length, port);
        TRACE(&world_of(d)->journal, c->index, "request %u: %zu bytes, flags %02x, number %u%s",
              d->requests, length, bytes[12], bytes[15], fate);
        world_count(world_of(d), COVER_REQUESTS);
        if (c->plan->udp_unreachable)
            clock_after(&world_of(d)->clock, 2 * c->plan->requests.delay, dialler_unreachable, d,
                        0);
    }
}

static void step(struct dialler *d);

void dialler_datagram(void *owner, const struct datagram *datagram)
{
    struct dialler *d = owner;
    const struct connection *c = d->connection;
    if (!is_received(d, datagram->port))
        return;
    TRACE(&world_of(d)->journal, c->index, "response comes: %u bytes, flags %02x, number %u",
          datagram->length, datagram->bytes[12], datagram->bytes[15]);
    turbo_client_datagram(d->session, now(d), datagram->bytes, datagram->length);
    if (turbo_client_report(d->session).responded)
        world_of(d)->learned[d->address].speaks = true; /* others know at once */
    step(d);
}

void dialler_unreachable(void *owner, uint64_t unused)
{
    struct dialler *d = owner;
    (void)unused;
    if (!d->udp_open)
        return;
    TRACE(&world_of(d)->journal, d->connection->index, "ICMP: unreachable");
    turbo_client_unreachable(d->session, now(d));
    step(d);
}

/* ---- TCP ---- */

static void start_attempt(struct dialler *d, unsigned i)
{
    struct connection *c = d->connection;
    struct world *w = world_of(d);
    unsigned number = d->tried++;
    d->attempts[i] = &c->tcp[d->address][number];
    tcp_connect(d->attempts[i], &w->clock, &w->journal, &c->plan->tcp, world_host(c, d->address),
                c->index, d->address, number);
    tcp_own(d->attempts[i], TCP_CLIENT, dialler_wake, d);
}

/* The kernel's retries become ever more seldom (protocol §6.8). */
static void fresh_syn(void *owner, uint64_t address)
{
    struct dialler *d = owner;
    if (d->over || d->tcp != NULL || d->address != address || d->tried == TCP_ATTEMPTS)
        return;
    if (d->attempts[1] != NULL)
        tcp_abort(d->attempts[1], TCP_CLIENT);
    world_count(world_of(d), COVER_FRESH_SYN);
    start_attempt(d, 1);
    clock_after(&world_of(d)->clock, TURBO_FRESH_SYN_TIME, fresh_syn, d, address);
}

static void give_up_dialling(struct dialler *d)
{
    d->connection->excuses |= EXCUSE_NO_TCP;
    if (d->session == NULL) {
        fail_connection(d);
        return;
    }
    turbo_client_tcp_failed(d->session, now(d));
}

static void try_next_address(struct dialler *d);

static void address_failed(struct dialler *d)
{
    if (has_another_address(d))
        try_next_address(d);
    else
        give_up_dialling(d);
}

static void use(struct dialler *d, unsigned i)
{
    d->tcp = d->attempts[i];
    if (d->attempts[1 - i] != NULL)
        tcp_abort(d->attempts[1 - i], TCP_CLIENT);
    if (i == 1)
        world_count(world_of(d), COVER_SECOND_SYN_WON);
    if (d->session != NULL)
        turbo_client_tcp_up(d->session, now(d));
}

/* The first to come up is used. The second may fail; the first decides as it would alone. */
static void look_at_attempts(struct dialler *d)
{
    for (unsigned i = 0; i < 2; i++) {
        if (d->attempts[i] != NULL && d->attempts[i]->state == TCP_UP) {
            use(d, i);
            return;
        }
    }
    if (d->attempts[0] == NULL || d->attempts[0]->state != TCP_FAILED)
        return;
    world_count(world_of(d), COVER_TCP_REFUSED);
    address_failed(d);
}

static void dial_timeout(void *owner, uint64_t address)
{
    struct dialler *d = owner;
    if (d->over || d->tcp != NULL || d->address != address)
        return;
    TRACE(&world_of(d)->journal, d->connection->index, "TCP is not up in time");
    world_count(world_of(d), COVER_CONNECT_TIMEOUT);
    address_failed(d);
    step(d);
}

/* Before the opening anything that TCP has to say matters (protocol §6.1). */
static void tcp_spoke(struct dialler *d)
{
    if (d->tcp == NULL || turbo_client_state(d->session) >= TURBO_CLIENT_OPEN ||
        !tcp_readable(d->tcp, TCP_CLIENT))
        return;
    if (tcp_is_reset(d->tcp, TCP_CLIENT))
        turbo_client_tcp_failed(d->session, now(d));
    else
        turbo_client_tcp_readable(d->session, now(d));
}

/* The opening is about to leave: a tombstone stands in front of the stream. */
static void trace_opening(struct dialler *d, size_t length)
{
    const uint8_t *unused;
    size_t front = length - turbo_client_unsent(d->session, &unused);
    d->opened = true;
    tcp_shift(d->tcp, TCP_CLIENT, -(int64_t)front);
    TRACE(&world_of(d)->journal, d->connection->index, "opens %s with %zu bytes",
          front > 0 ? "by tombstone" : "classically", length);
}

/* True: TCP has taken some, and there is room for more. */
static bool flush_tcp(struct dialler *d)
{
    const uint8_t *data;
    size_t length = turbo_client_tcp_peek(d->session, &data);
    if (length == 0)
        return false;
    if (!d->opened)
        trace_opening(d, length);
    long n = tcp_write(d->tcp, TCP_CLIENT, data, length);
    if (n > 0)
        turbo_client_tcp_consume(d->session, (size_t)n);
    return n > 0;
}

/* ---- bytes ---- */

static void app_aborts(struct dialler *d)
{
    if (d->session != NULL) {
        turbo_client_abort(d->session, now(d));
        send_datagrams(d);
    }
    end_connection(d, true);
}

static bool from_app(struct dialler *d)
{
    struct actor *app = &d->connection->app;
    const uint8_t *data;
    size_t n = actor_offer(app, &data);
    long taken = 0;
    if (n == 0)
        return false;
    if (d->session != NULL)
        taken = (long)turbo_client_push(d->session, now(d), data, n);
    else if (d->tcp != NULL)
        taken = tcp_write(d->tcp, TCP_CLIENT, data, n);
    if (taken <= 0)
        return false;
    if (d->session != NULL && (size_t)taken < n)
        world_count(world_of(d), COVER_HELD_FULL);
    actor_taken(app, (size_t)taken);
    return true;
}

static void pass_app_end_on(struct dialler *d)
{
    if (!d->end_pushed && actor_end(&d->connection->app) == TURBO_END_FIN) {
        d->end_pushed = true;
        if (d->session != NULL)
            turbo_client_push_end(d->session, now(d));
    }
    if (d->end_pushed && d->session == NULL && d->tcp != NULL && !d->fin_sent) {
        d->fin_sent = true;
        tcp_finish(d->tcp, TCP_CLIENT);
    }
}

static bool from_udp(struct dialler *d)
{
    const uint8_t *data;
    size_t n = d->session == NULL ? 0 : turbo_client_peek(d->session, &data);
    if (n == 0 || !actor_reads(&d->connection->app))
        return false;
    actor_receive(&d->connection->app, data, n);
    turbo_client_consume(d->session, n);
    return true;
}

static bool tcp_has_failed(struct dialler *d)
{
    if (d->session != NULL)
        turbo_client_tcp_failed(d->session, now(d));
    fail_connection(d);
    return false;
}

static bool from_tcp(struct dialler *d)
{
    const uint8_t *data;
    if (d->tcp == NULL || (d->session != NULL && !is_open(d)) || !actor_reads(&d->connection->app))
        return false;
    if (d->app_told) /* nobody reads behind the end, but a reset is noticed */
        return tcp_is_reset(d->tcp, TCP_CLIENT) && tcp_has_failed(d);
    long n = tcp_read(d->tcp, TCP_CLIENT, &data, SIZE_MAX);
    if (n == TCP_AGAIN)
        return false;
    if (n == TCP_RESET)
        return tcp_has_failed(d);
    if (d->session != NULL)
        turbo_client_tcp_read(d->session, now(d), (size_t)n);
    if (n > 0)
        actor_receive(&d->connection->app, data, (size_t)n);
    d->app_told = n == TCP_END;
    if (d->app_told)
        actor_told(&d->connection->app, TURBO_END_FIN);
    return true;
}

/* ---- what is done after anything has happened ---- */

static bool settle(struct dialler *d)
{
    if (d->over || d->session == NULL || !turbo_client_settled(d->session))
        return false;
    TRACE(&world_of(d)->journal, d->connection->index, "the client's session has settled");
    end_session(d);
    return true;
}

/* As step() in turbo_client.c. */
static bool step_session(struct dialler *d)
{
    if (turbo_client_dial_again(d->session) && d->tcp == NULL && d->attempts[1] == NULL) {
        world_count(world_of(d), COVER_SECOND_SYN);
        start_attempt(d, 1);
    }
    send_datagrams(d);
    tcp_spoke(d);
    bool moved = is_open(d) && flush_tcp(d);
    send_datagrams(d);
    if (!turbo_client_uses_udp(d->session))
        d->udp_open = false;
    alarm_set(&d->alarm, turbo_client_deadline(d->session));
    return moved;
}

static void step(struct dialler *d)
{
    bool moved = true;
    while (!d->over && moved) {
        moved = from_app(d);
        pass_app_end_on(d);
        if (d->session != NULL)
            moved |= step_session(d);
        if (d->session != NULL && turbo_client_state(d->session) == TURBO_CLIENT_FAILED) {
            fail_connection(d);
            return;
        }
        moved |= from_udp(d) || from_tcp(d);
        if (actor_end(&d->connection->app) == TURBO_END_RESET && !d->over)
            app_aborts(d);
        moved |= settle(d);
    }
    if (d->session != NULL)
        properties_check_opening(d->connection);
    if (!d->over && d->fin_sent && d->app_told)
        end_connection(d, false);
}

void dialler_wake(void *owner)
{
    struct dialler *d = owner;
    if (d->over)
        return;
    if (d->tcp == NULL)
        look_at_attempts(d);
    step(d);
}

static void on_deadline(void *owner, uint64_t unused)
{
    struct dialler *d = owner;
    (void)unused;
    if (d->over || d->session == NULL)
        return;
    turbo_client_tick(d->session, now(d));
    step(d);
}

/* ---- its beginning ---- */

void dialler_init(struct dialler *d, struct connection *c)
{
    *d = (struct dialler){.connection = c};
    alarm_init(&d->alarm, &c->world->clock, on_deadline, d);
}

/* As on_started() in turbo_client.c: a SYN has left. */
static void start_session(struct dialler *d)
{
    struct turbo_learned *learned = &world_of(d)->learned[d->address];
    turbo_client_config_init(&d->config, sim_sha256);
    d->config.always = d->connection->plan->always;
    turbo_learned_configure(learned, now(d), &d->config);
    void *memory = malloc(turbo_client_bytes());
    if (memory == NULL)
        abort();
    d->session = turbo_client_init(memory, &d->config, now(d));
    d->udp_open = true;
}

static void start_address(struct dialler *d, turbo_time until)
{
    start_attempt(d, 0);
    clock_at(&world_of(d)->clock, until, dial_timeout, d, d->address);
    if (world_of(d)->classic)
        return; /* the kernel alone */
    clock_after(&world_of(d)->clock, TURBO_FRESH_SYN_TIME, fresh_syn, d, d->address);
    start_session(d);
}

/* What the app has said so far is said to the next host. */
static void say_again(struct dialler *d, struct turbo_client *before)
{
    const uint8_t *data;
    size_t length = turbo_client_unsent(before, &data);
    turbo_client_push(d->session, now(d), data, length);
    if (d->end_pushed)
        turbo_client_push_end(d->session, now(d));
    struct turbo_client_report report = turbo_client_report(before);
    turbo_learned_note(&world_of(d)->learned[d->address - 1], now(d), &report);
    free(before);
}

/* A new attempt (protocol §6.1). */
static void try_next_address(struct dialler *d)
{
    struct turbo_client *before = d->session;
    if (before != NULL && turbo_client_report(before).delivered) {
        world_count(world_of(d), COVER_BOUND_TO_HOST);
        give_up_dialling(d); /* the app has bytes of the host that has now failed */
        return;
    }
    if (before != NULL) {
        turbo_client_tcp_failed(before, now(d));
        send_datagrams(d);
    }
    leave_tcp(d, true);
    d->attempts[0] = d->attempts[1] = NULL;
    d->session = NULL;
    d->address++;
    d->tried = 0;
    d->connection->server_lost = true; /* another host is another TLS server (§6.1e) */
    world_count(world_of(d), COVER_NEXT_ADDRESS);
    start_address(d, d->started + TURBO_CONNECT_TIME);
    if (before != NULL)
        say_again(d, before);
}

void dialler_start(void *owner, uint64_t unused)
{
    struct dialler *d = owner;
    struct connection *c = d->connection;
    (void)unused;
    TRACE(&world_of(d)->journal, c->index, "the app connects");
    d->started = now(d);
    start_address(d,
                  now(d) + (has_another_address(d) ? TURBO_ADDRESS_TIME / 2 : TURBO_CONNECT_TIME));
    actor_start(&c->app, &c->plan->app, c->content.c2s, c->content.s2c, c->plan->server.total);
    step(d);
}
