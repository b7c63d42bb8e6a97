#include "tests/sim/arrival.h"

#include "tests/sim/world.h"

enum { READ_BYTES = 4096 };

static struct world *world_of(const struct arrival *a)
{
    return a->edge->world;
}

static struct connection *connection_of(const struct arrival *a)
{
    return &world_of(a)->connections[a->tcp->who];
}

/* ---- its ends ---- */

static void close_trial(struct arrival *a)
{
    if (a->trial != NULL)
        serving_close_trial(a->trial);
    a->trial = NULL;
}

static void dismiss(struct arrival *a)
{
    close_trial(a);
    a->tcp = NULL;
    edge_kick(a->edge);
}

static void end(struct arrival *a, bool reset)
{
    if (reset) {
        tcp_abort(a->tcp, TCP_SERVER);
    } else {
        tcp_finish(a->tcp, TCP_SERVER);
        tcp_leave(a->tcp, TCP_SERVER);
    }
    dismiss(a);
}

void arrival_abort(struct arrival *a)
{
    if (a->tcp != NULL)
        end(a, true);
}

/* A connection of its own: what came goes to the TLS server first. */
static void become_relay(struct arrival *a)
{
    struct tcp *tcp = a->tcp;
    if (a->late) {
        end(a, true);
        return;
    }
    tcp_unread(tcp, TCP_SERVER, a->length);
    if (a->trial != NULL) {
        world_count(world_of(a), COVER_TRIAL_USED);
        struct serving *trial = a->trial;
        a->trial = NULL;
        dismiss(a);
        serving_use_trial(trial, tcp);
        return;
    }
    serving_start_tcp(a->edge, connection_of(a), tcp);
    dismiss(a);
}

static void join(struct arrival *a, struct turbo_server *session)
{
    struct tcp *tcp = a->tcp;
    if (a->trial != NULL)
        world_count(world_of(a), COVER_TRIAL_CLOSED);
    tcp_unread(tcp, TCP_SERVER, a->length);
    dismiss(a);
    serving_join(turbo_server_user(session), tcp);
}

/* ---- what the first bytes say ---- */

static void judge(struct arrival *a, size_t from);

static void count_join(struct arrival *a, enum path fresh, size_t blocks_before,
                       enum turbo_join how)
{
    if (how != TURBO_JOIN_FRESH)
        return;
    world_count(world_of(a), fresh);
    if (a->edge->blocks_out < blocks_before)
        world_count(world_of(a), COVER_DROPPED_BY_OPENING);
}

static void classic(struct arrival *a)
{
    struct turbo_server *session;
    enum turbo_join how = TURBO_JOIN_FRESH;
    size_t blocks = a->edge->blocks_out;
    if (a->opening.hello.state == TURBO_HELLO_COMPLETE)
        how = turbo_endpoint_adopt(a->edge->endpoint, world_of(a)->clock.now, a->bytes,
                                   a->opening.hello.length, NULL, &session);
    TRACE(&world_of(a)->journal, a->tcp->who, "a classic opening%s",
          how == TURBO_JOIN_SESSION ? " adopts its session" : "");
    count_join(a, COVER_CLASSIC_FRESH, blocks, how);
    if (how == TURBO_JOIN_SESSION)
        join(a, session);
    else
        become_relay(a);
}

static void cannot_continue(struct arrival *a)
{
    TRACE(&world_of(a)->journal, a->tcp->who, "a tombstone that cannot be continued");
    world_count(world_of(a), COVER_CANNOT_CONTINUE);
    end(a, true);
}

static void tombstone(struct arrival *a)
{
    struct turbo_server *session;
    const struct turbo_tombstone *t = &a->opening.tombstone;
    size_t blocks = a->edge->blocks_out;
    if (a->afresh) {
        become_relay(a);
        return;
    }
    a->bytes += TURBO_TOMBSTONE_BYTES;
    a->length -= TURBO_TOMBSTONE_BYTES;
    enum turbo_join how =
        turbo_endpoint_join(a->edge->endpoint, world_of(a)->clock.now, t, NULL, &session);
    TRACE(&world_of(a)->journal, a->tcp->who, "a tombstone, n = %u", t->consumed);
    count_join(a, COVER_TOMBSTONE_FRESH, blocks, how);
    if (t->consumed == 0)
        world_count(world_of(a), COVER_TOMBSTONE_ZERO);
    switch (how) {
    case TURBO_JOIN_SESSION: join(a, session); break;
    case TURBO_JOIN_FRESH:
        a->afresh = true;
        turbo_opening_init(&a->opening);
        judge(a, 0);
        break;
    case TURBO_JOIN_RESET: cannot_continue(a); break;
    }
}

static void judge(struct arrival *a, size_t from)
{
    turbo_opening_push(&a->opening, a->bytes + from, a->length - from, turbo_endpoint_prefix_known,
                       a->edge->endpoint);
    switch (a->opening.kind) {
    case TURBO_OPENING_MORE: break;
    case TURBO_OPENING_CLASSIC: classic(a); break;
    case TURBO_OPENING_TOMBSTONE: tombstone(a); break;
    case TURBO_OPENING_OTHER: become_relay(a); break;
    }
}

/* ---- events ---- */

static void ended_early(struct arrival *a)
{
    if (a->length > 0 || a->edge->plan->sniff > 0)
        become_relay(a);
    else
        end(a, false);
}

static void on_readable(void *owner)
{
    struct arrival *a = owner;
    while (a->tcp != NULL) {
        const uint8_t *data;
        long n = tcp_read(a->tcp, TCP_SERVER, &data, READ_BYTES);
        if (n == TCP_AGAIN)
            return;
        if (n == TCP_RESET) {
            end(a, true);
        } else if (n == TCP_END) {
            ended_early(a);
        } else {
            size_t from = a->length;
            a->bytes = a->length == 0 && !a->afresh ? data : a->bytes;
            a->length += (size_t)n;
            judge(a, from);
        }
    }
}

static void on_timeout(void *owner, uint64_t unused)
{
    struct arrival *a = owner;
    (void)unused;
    if (a->tcp == NULL)
        return;
    TRACE(&world_of(a)->journal, a->tcp->who, "the opening takes too long");
    connection_of(a)->excuses |= EXCUSE_OPENING_TIME;
    end(a, true);
}

static void on_silence(void *owner, uint64_t unused)
{
    struct arrival *a = owner;
    (void)unused;
    if (a->tcp == NULL || a->length > 0 || a->afresh)
        return;
    TRACE(&world_of(a)->journal, a->tcp->who, "the client is silent: a trial");
    world_count(world_of(a), COVER_TRIAL_DIAL);
    a->trial = serving_start_trial(a->edge, connection_of(a), a);
}

void arrival_server_spoke(struct arrival *a)
{
    become_relay(a);
}

void arrival_trial_ended(struct arrival *a)
{
    close_trial(a);
}

void arrival_start(struct arrival *a, struct edge *e, struct tcp *tcp)
{
    *a = (struct arrival){.edge = e, .tcp = tcp, .late = e->draining};
    turbo_opening_init(&a->opening);
    tcp_own(tcp, TCP_SERVER, on_readable, a);
    clock_after(&e->world->clock, TURBO_OPENING_TIME, on_timeout, a, 0);
    if (e->plan->sniff > 0 && !a->late)
        clock_after(&e->world->clock, e->plan->sniff, on_silence, a, 0);
    on_readable(a);
}
