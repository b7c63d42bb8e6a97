#include "tests/sim/tcp.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/rng.h"

enum { BLOCK = 1400, SYNS = 6, LOSSES_MAX = 6 };

#define RTO_MIN (200 * TURBO_MILLISECOND)

static const uint64_t FIN_BLOCK = UINT64_MAX, SYN_BLOCK = UINT64_MAX - 1;

static enum tcp_side other(enum tcp_side side)
{
    return side == TCP_CLIENT ? TCP_SERVER : TCP_CLIENT;
}

static void wake(struct tcp *tcp, enum tcp_side side)
{
    if (!tcp->closed[side] && tcp->wake[side] != NULL)
        tcp->wake[side](tcp->owner[side]);
}

/* ---- draws ---- */

static uint64_t draw(const struct tcp *tcp, unsigned what, uint64_t block, uint64_t number)
{
    return rng_mix(rng_mix(tcp->plan->draw, what), rng_mix(block, number));
}

/* One way, with the time that lost segments cost: RTO, doubled each time (RFC 6298). */
static turbo_time time_of(const struct tcp *tcp, enum tcp_side side, uint64_t block)
{
    const struct tcp_plan *p = tcp->plan;
    turbo_time rto = 4 * p->delay > RTO_MIN ? 4 * p->delay : RTO_MIN;
    turbo_time time = p->delay + draw(tcp, side, block, 0) % (p->jitter + 1);
    for (unsigned i = 1; i <= LOSSES_MAX; i++) {
        if (!rng_is_chance(draw(tcp, side, block, i), p->loss))
            break;
        time += rto << (i - 1);
    }
    return time;
}

/* ---- connecting ---- */

static void come_up(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    (void)detail;
    if (tcp->closed[TCP_CLIENT])
        return;
    TRACE(tcp->journal, tcp->who, "TCP is up (SYN %u)", tcp->attempt + 1);
    tcp->state = TCP_UP;
    wake(tcp, TCP_CLIENT);
}

static void fail(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    (void)detail;
    if (tcp->closed[TCP_CLIENT])
        return;
    TRACE(tcp->journal, tcp->who, "TCP: connection refused");
    tcp->state = TCP_FAILED;
    wake(tcp, TCP_CLIENT);
}

static void accept(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    (void)detail;
    if (!tcp->closed[TCP_CLIENT] && !tcp->reset[TCP_SERVER])
        tcp->listener->accept(tcp->listener->owner, tcp);
}

static void syn_arrives(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    (void)detail;
    if (!tcp->listener->listens(tcp->listener->owner)) {
        clock_after(tcp->clock, tcp->plan->delay, fail, tcp, 0);
        return;
    }
    clock_after(tcp->clock, tcp->plan->delay, come_up, tcp, 0);
    clock_after(tcp->clock, 2 * tcp->plan->delay, accept, tcp, 0);
}

void tcp_connect(struct tcp *tcp, struct clock *clock, struct journal *journal,
                 const struct tcp_plan *plan, const struct tcp_listener *listener, int who,

                 unsigned address, unsigned attempt)
{
    static const unsigned retry[SYNS] = {0, 1, 3, 7, 15, 31}; /* seconds, as Linux does */
    memset(tcp, 0, offsetof(struct tcp, flows));
    for (size_t i = 0; i < 2; i++)
        memset(&tcp->flows[i], 0, offsetof(struct tcp_flow, bytes));
    tcp->clock = clock;
    tcp->journal = journal;
    tcp->plan = plan;
    tcp->listener = listener;
    tcp->who = who;
    tcp->address = address;
    tcp->attempt = attempt;
    TRACE(journal, who, "SYN %u", attempt + 1);
    bool silent = plan->unreachable || listener->listens == NULL;
    for (unsigned i = 0; i < SYNS && !silent; i++) {
        if (rng_is_chance(draw(tcp, 8 + TCP_ATTEMPTS * address + attempt, SYN_BLOCK, i),
                          plan->syn_loss))
            continue;
        clock_after(clock, retry[i] * TURBO_SECOND + plan->delay, syn_arrives, tcp, 0);
        return;
    }
}

void tcp_own(struct tcp *tcp, enum tcp_side side, void (*wake_it)(void *owner), void *owner)
{
    tcp->wake[side] = wake_it;
    tcp->owner[side] = owner;
}

/* ---- bytes ---- */

enum { FROM_SERVER = 1, WITH_FIN = 2, DETAIL_BITS = 2 };

static void acknowledge(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    enum tcp_side side = (detail & FROM_SERVER) != 0 ? TCP_SERVER : TCP_CLIENT;
    tcp->flows[side].acknowledged = detail >> DETAIL_BITS;
    wake(tcp, side);
}

static void arrive(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    enum tcp_side side = (detail & FROM_SERVER) != 0 ? TCP_SERVER : TCP_CLIENT;
    struct tcp_flow *flow = &tcp->flows[side];
    if (tcp->reset[other(side)])
        return;
    flow->arrived = detail >> DETAIL_BITS;
    flow->fin_arrived = (detail & WITH_FIN) != 0;
    if (tcp->plan->window != TCP_WINDOW_ANY)
        clock_after(tcp->clock, tcp->plan->delay, acknowledge, tcp, detail);
    wake(tcp, other(side));
}

static void send_segment(struct tcp *tcp, enum tcp_side side, uint64_t block, unsigned fin)
{
    struct tcp_flow *flow = &tcp->flows[side];
    turbo_time at = tcp->clock->now + time_of(tcp, side, block);
    flow->last = at > flow->last ? at : flow->last;
    clock_at(tcp->clock, flow->last, arrive, tcp,
             flow->written << DETAIL_BITS | fin | (side == TCP_SERVER ? FROM_SERVER : 0));
}

void tcp_shift(struct tcp *tcp, enum tcp_side side, int64_t shift)
{
    tcp->flows[side].shift = shift;
}

/* What stands in front of the stream takes no room in the window. */
static size_t room_in_window(const struct tcp *tcp, const struct tcp_flow *flow)
{
    if (tcp->plan->window == TCP_WINDOW_ANY)
        return SIZE_MAX;
    size_t limit = tcp->plan->window + (flow->shift < 0 ? (size_t)-flow->shift : 0);
    size_t out = flow->written - flow->acknowledged;
    return limit > out ? limit - out : 0;
}

/* Up to where the next byte's block goes on. */
static size_t left_in_block(const struct tcp_flow *flow, uint64_t *block)
{
    int64_t place = (int64_t)flow->written + flow->shift;
    *block = place < 0 ? 0 : (uint64_t)place / BLOCK;
    return (size_t)((int64_t)(*block + 1) * BLOCK - place);
}

long tcp_write(struct tcp *tcp, enum tcp_side side, const uint8_t *data, size_t length)
{
    struct tcp_flow *flow = &tcp->flows[side];
    if (tcp->reset[side])
        return TCP_RESET;
    size_t room = room_in_window(tcp, flow), done = 0;
    length = length < room ? length : room;
    if (flow->written + length > TCP_FLOW_BYTES)
        abort();
    while (done < length) {
        uint64_t block;
        size_t n = left_in_block(flow, &block);
        n = n < length - done ? n : length - done;
        memcpy(flow->bytes + flow->written, data + done, n);
        flow->written += n;
        done += n;
        send_segment(tcp, side, block, 0);
    }
    return (long)done;
}

static size_t cut(const struct tcp *tcp, enum tcp_side side, size_t available)
{
    const struct tcp_flow *flow = &tcp->flows[side];
    if (tcp->plan->cut == 0)
        return available;
    size_t most = 1 + draw(tcp, 4 + side, flow->read, 0) % tcp->plan->cut;
    return available < most ? available : most;
}

long tcp_read(struct tcp *tcp, enum tcp_side side, const uint8_t **data, size_t capacity)
{
    struct tcp_flow *flow = &tcp->flows[other(side)];
    size_t available = flow->arrived - flow->read;
    if (available == 0 && tcp->reset[side])
        return TCP_RESET;
    if (available == 0)
        return flow->fin_arrived ? TCP_END : TCP_AGAIN;
    size_t n = cut(tcp, other(side), available);
    n = n < capacity ? n : capacity;
    *data = flow->bytes + flow->read;
    flow->read += n;
    return (long)n;
}

void tcp_unread(struct tcp *tcp, enum tcp_side side, size_t length)
{
    tcp->flows[other(side)].read -= length;
}

bool tcp_readable(const struct tcp *tcp, enum tcp_side side)
{
    const struct tcp_flow *flow = &tcp->flows[other(side)];
    return flow->arrived > flow->read || flow->fin_arrived || tcp->reset[side];
}

bool tcp_is_reset(const struct tcp *tcp, enum tcp_side side)
{
    const struct tcp_flow *flow = &tcp->flows[other(side)];
    return flow->arrived == flow->read && tcp->reset[side];
}

bool tcp_delivered(const struct tcp *tcp, enum tcp_side side)
{
    return tcp->flows[side].arrived == tcp->flows[side].written;
}

/* ---- ends ---- */

void tcp_finish(struct tcp *tcp, enum tcp_side side)
{
    struct tcp_flow *flow = &tcp->flows[side];
    if (flow->fin_written || tcp->reset[side])
        return;
    flow->fin_written = true;
    send_segment(tcp, side, FIN_BLOCK, WITH_FIN);
}

static void reset_arrives(void *owner, uint64_t detail)
{
    struct tcp *tcp = owner;
    tcp->reset[detail] = true;
    wake(tcp, (enum tcp_side)detail);
}

void tcp_abort(struct tcp *tcp, enum tcp_side side)
{
    if (tcp->closed[side])
        return;
    tcp->closed[side] = true;
    if (tcp->state == TCP_UP && !tcp->reset[side])
        clock_after(tcp->clock, tcp->plan->delay, reset_arrives, tcp, other(side));
}

void tcp_leave(struct tcp *tcp, enum tcp_side side)
{
    tcp->closed[side] = true;
}
