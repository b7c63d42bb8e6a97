#include "tests/sim/serving.h"

#include "tests/sim/world.h"
#include "turbo/server_session.h"

#define LOOK_TIME       (20 * TURBO_MILLISECOND)
#define LAST_WORDS_TIME (5 * TURBO_SECOND)

static void pump(void *owner);

static struct world *world_of(const struct serving *s)
{
    return s->edge->world;
}

static turbo_time now(const struct serving *s)
{
    return world_of(s)->clock.now;
}

/* ---- ends ---- */

static void no_longer_pending(struct serving *s)
{
    if (s->pending)
        s->edge->pending--;
    s->pending = false;
}

static void release_session(struct serving *s)
{
    no_longer_pending(s);
    if (s->session != NULL)
        turbo_server_release(s->session, now(s));
    s->session = NULL;
    edge_kick(s->edge);
}

static void end(struct serving *s)
{
    s->over = true;
    release_session(s);
    if (s->up)
        actor_told(&s->server, TURBO_END_RESET);
}

static void reset_tcp(struct serving *s)
{
    if (s->tcp != NULL)
        tcp_abort(s->tcp, TCP_SERVER);
    end(s);
}

/* Both streams have ended in order. */
static void end_well(struct serving *s)
{
    tcp_leave(s->tcp, TCP_SERVER);
    release_session(s);
    s->over = true;
}

/* ---- the TLS server's reset: what it said before comes first ---- */

static size_t left_for_tcp(const struct serving *s)
{
    const uint8_t *unused;
    return s->session == NULL ? 0 : turbo_server_tcp_peek(s->session, &unused);
}

static void flush(struct serving *s)
{
    const uint8_t *data;
    size_t length = s->session == NULL ? 0 : turbo_server_tcp_peek(s->session, &data);
    long n = length == 0 ? 0 : tcp_write(s->tcp, TCP_SERVER, data, length);
    if (n > 0)
        turbo_server_tcp_consume(s->session, (size_t)n);
}

static void look_again(void *owner, uint64_t unused)
{
    (void)unused;
    pump(owner);
}

static bool client_has_reset(struct serving *s)
{
    const uint8_t *unused;
    long n;
    while ((n = tcp_read(s->tcp, TCP_SERVER, &unused, SIZE_MAX)) > 0)
        continue;
    return n == TCP_RESET;
}

static void pump_doomed(struct serving *s)
{
    if (s->tcp == NULL)
        return; /* until one joins, or the session expires */
    flush(s);
    if (client_has_reset(s)) {
        end(s);
        return;
    }
    if (s->doomed_until == 0) {
        s->doomed_until = now(s) + LAST_WORDS_TIME;
        world_count(world_of(s), COVER_LAST_WORDS);
    }
    bool delivered = left_for_tcp(s) == 0 && tcp_delivered(s->tcp, TCP_SERVER);
    if (delivered || now(s) >= s->doomed_until)
        reset_tcp(s);
    else
        clock_after(&world_of(s)->clock, LOOK_TIME, look_again, s, 0);
}

static void server_resets(struct serving *s)
{
    bool on_udp = s->session != NULL && s->tcp == NULL;
    if (on_udp || left_for_tcp(s) > 0 ||
        (s->session != NULL && !tcp_delivered(s->tcp, TCP_SERVER))) {
        s->doomed = true;
        pump_doomed(s);
    } else {
        reset_tcp(s);
    }
}

/* ---- C→S ---- */

/* One ClientHello reaches at most one TLS server (protocol §12.3). */
static void count_hello(struct serving *s)
{
    struct connection *c = s->connection;
    if (s->got_hello || c->plan->hello == 0)
        return;
    s->got_hello = true;
    if (c->hello_reached++ > 0 && !c->server_lost && !c->plan->hostile)
        journal_breach(&world_of(s)->journal, c->index, "12.3",
                       "its ClientHello reaches another TLS server connection");
}

static void to_server(struct serving *s, const uint8_t *data, size_t length)
{
    count_hello(s);
    actor_receive(&s->server, data, length);
}

/* True: what TCP repeats is over. */
static bool replay(struct serving *s)
{
    size_t left;
    while (s->session != NULL && (left = turbo_server_replay_left(s->session)) > 0) {
        const uint8_t *data;
        long n = tcp_read(s->tcp, TCP_SERVER, &data, left);
        if (n == TCP_AGAIN)
            return false;
        if (n <= 0 || !turbo_server_replay(s->session, data, (size_t)n)) {
            TRACE(&world_of(s)->journal, s->connection->index, "REPLAY differs, or has ended");
            reset_tcp(s);
            return false;
        }
    }
    return true;
}

static void from_client(struct serving *s)
{
    const uint8_t *data;
    if (!actor_reads(&s->server))
        return;
    size_t length = s->session == NULL ? 0 : turbo_server_peek(s->session, &data);
    if (length > 0) {
        to_server(s, data, length);
        turbo_server_consume(s->session, length);
    }
    while (s->tcp != NULL && !s->over && replay(s)) {
        long n = tcp_read(s->tcp, TCP_SERVER, &data, SIZE_MAX);
        if (n == TCP_AGAIN)
            return;
        if (n == TCP_RESET) {
            end(s);
            return;
        }
        if (n == TCP_END) {
            actor_told(&s->server, TURBO_END_FIN);
            return;
        }
        to_server(s, data, (size_t)n);
    }
}

/* ---- S→C ---- */

static bool to_client(struct serving *s, const uint8_t *data, size_t length)
{
    long n = 0;
    if (s->session != NULL && s->tcp == NULL) {
        n = (long)turbo_server_push(s->session, now(s), data, length);
        edge_kick(s->edge);
        if ((size_t)n < length)
            world_count(world_of(s), COVER_KEPT_FULL);
    } else if (s->tcp != NULL && left_for_tcp(s) == 0) {
        n = tcp_write(s->tcp, TCP_SERVER, data, length);
    }
    if (n > 0)
        actor_taken(&s->server, (size_t)n);
    return n > 0;
}

static void pass_server_end_on(struct serving *s)
{
    enum turbo_end how = actor_end(&s->server);
    if (how == TURBO_END_RESET) {
        server_resets(s);
        return;
    }
    if (how == TURBO_END_FIN && !s->heard) {
        s->heard = true;
        if (s->session != NULL)
            turbo_server_push_end(s->session, TURBO_END_FIN);
    }
    if (s->heard && s->session == NULL && s->tcp != NULL && !s->fin_sent) {
        s->fin_sent = true;
        tcp_finish(s->tcp, TCP_SERVER);
    }
}

static void from_server(struct serving *s)
{
    const uint8_t *data;
    size_t n;
    while ((n = actor_offer(&s->server, &data)) > 0 && to_client(s, data, n))
        continue;
    pass_server_end_on(s);
}

/* ---- both ---- */

/* As turbo_server_side_settled: only a socket is left. */
static void settle(struct serving *s)
{
    const uint8_t *unused;
    if (s->session == NULL || s->tcp == NULL || left_for_tcp(s) > 0 ||
        turbo_server_replay_left(s->session) > 0 || turbo_server_peek(s->session, &unused) > 0)
        return;
    TRACE(&world_of(s)->journal, s->connection->index, "the server's session has settled");
    release_session(s);
}

static void pump_trial(struct serving *s)
{
    const uint8_t *unused;
    if (actor_offer(&s->server, &unused) > 0)
        arrival_server_spoke(s->trial);
    else if (actor_end(&s->server) != TURBO_END_NONE)
        arrival_trial_ended(s->trial);
}

static void pump(void *owner)
{
    struct serving *s = owner;
    if (s->over)
        return;
    if (s->doomed) {
        pump_doomed(s);
        return;
    }
    if (s->up && s->trial != NULL) {
        pump_trial(s);
        return;
    }
    if (s->tcp != NULL) {
        flush(s);
        replay(s);
    }
    if (s->up && !s->over)
        from_client(s);
    if (!s->over)
        settle(s);
    if (s->up && !s->over)
        from_server(s);
    if (!s->over && s->fin_sent && s->server.told == TURBO_END_FIN)
        end_well(s);
}

/* ---- connecting ---- */

static void unreached(struct serving *s)
{
    struct connection *c = s->connection;
    TRACE(&world_of(s)->journal, c->index, "the TLS server cannot be reached");
    world_count(world_of(s), COVER_NO_SERVER);
    c->excuses |= EXCUSE_NO_SERVER;
    if (s->trial != NULL) {
        arrival_trial_ended(s->trial);
        return;
    }
    if (s->session != NULL && s->tcp == NULL)
        turbo_server_refuse(s->session);
    reset_tcp(s);
}

static void dialled(void *owner, uint64_t reached)
{
    struct serving *s = owner;
    struct connection *c = s->connection;
    if (s->over)
        return;
    if (!reached) {
        unreached(s);
        return;
    }
    world_count(world_of(s), COVER_TLS_SERVERS);
    TRACE(&world_of(s)->journal, c->index, "a connection to the TLS server is up");
    s->up = true;
    actor_start(&s->server, &c->plan->server, c->content.s2c, c->content.c2s, c->plan->app.total);
    pump(s);
}

static struct serving *start(struct edge *e, struct connection *c)
{
    struct serving *s = edge_new_serving(e);
    if (s == NULL)
        return NULL;
    *s = (struct serving){.edge = e, .connection = c, .server.round = s->server.round};
    actor_init(&s->server, &e->world->clock, &e->world->journal, c->index, "the TLS server");
    s->server.wake = pump;
    s->server.owner = s;
    s->server.hostile = c->plan->hostile;
    bool reached = c->dials++ >= c->plan->no_server;
    clock_after(&e->world->clock, c->plan->dial, dialled, s, reached);
    return s;
}

static void own_tcp(struct serving *s, struct tcp *tcp)
{
    s->tcp = tcp;
    s->connection->server = &s->server;
    tcp_own(tcp, TCP_SERVER, pump, s);
}

void serving_start_session(struct edge *e, struct connection *c, struct turbo_server *session)
{
    struct serving *s = start(e, c);
    if (s == NULL)
        return;
    s->session = session;
    s->pending = true;
    e->pending++;
    turbo_server_set_user(session, s);
}

void serving_start_tcp(struct edge *e, struct connection *c, struct tcp *tcp)
{
    struct serving *s = start(e, c);
    if (s != NULL)
        own_tcp(s, tcp);
}

struct serving *serving_start_trial(struct edge *e, struct connection *c, struct arrival *arrival)
{
    struct serving *s = start(e, c);
    if (s != NULL)
        s->trial = arrival;
    return s;
}

void serving_use_trial(struct serving *s, struct tcp *tcp)
{
    s->trial = NULL;
    own_tcp(s, tcp);
    pump(s);
}

void serving_close_trial(struct serving *s)
{
    s->trial = NULL;
    end(s);
}

/* ---- what the server end tells it ---- */

static void replay_timeout(void *owner, uint64_t unused)
{
    struct serving *s = owner;
    (void)unused;
    if (s->over || s->session == NULL || turbo_server_replay_left(s->session) == 0)
        return;
    s->connection->excuses |= EXCUSE_OPENING_TIME;
    reset_tcp(s);
}

void serving_join(struct serving *s, struct tcp *tcp)
{
    no_longer_pending(s);
    own_tcp(s, tcp);
    tcp_shift(tcp, TCP_SERVER, (int64_t)s->server.taken - (int64_t)left_for_tcp(s));
    pump(s);
    if (s->over || s->session == NULL || turbo_server_replay_left(s->session) == 0)
        return;
    world_count(world_of(s), COVER_REPLAY_IN_PIECES);
    clock_after(&world_of(s)->clock, TURBO_OPENING_TIME, replay_timeout, s, 0);
}

void serving_session_ended(struct serving *s)
{
    struct connection *c = s->connection;
    TRACE(&world_of(s)->journal, c->index, "the server's session is %s",
          s->session->aborted ? "aborted" : "over: its time is up");
    if (!s->session->aborted) {
        c->excuses |= s->edge->draining ? EXCUSE_DRAIN : EXCUSE_EXPIRED;
        c->server_lost = true;
    }
    end(s);
}

void serving_kill(struct serving *s)
{
    if (!s->over)
        reset_tcp(s);
}
