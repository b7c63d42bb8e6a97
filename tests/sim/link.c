#include "tests/sim/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LOST_IN_BURST = 750 };

/* Less than the time an ended id is remembered, or a repeat could begin a session (§7.3). */
#define STALE_MAX (29 * TURBO_SECOND)

void datagram_pool_init(struct datagram_pool *pool)
{
    pool->free = NULL;
    pool->used = 0;
}

static struct datagram *take(struct datagram_pool *pool)
{
    struct datagram *d = pool->free;
    if (d != NULL) {
        pool->free = d->next_free;
        return d;
    }
    if (pool->used == DATAGRAMS_MAX)
        abort(); /* no plan sends so many at once */
    return &pool->all[pool->used++];
}

static void give_back(struct datagram_pool *pool, struct datagram *d)
{
    d->next_free = pool->free;
    pool->free = d;
}

void link_init(struct link *link, const struct link_plan *plan, struct clock *clock,
               struct datagram_pool *pool, uint64_t seed)
{
    *link = (struct link){.plan = plan, .clock = clock, .pool = pool};
    link->rng = (struct rng){seed};
}

static void arrive(void *owner, uint64_t detail)
{
    struct link *link = owner;
    struct datagram *d = &link->pool->all[detail];
    link->deliver(link->receiver, d);
    give_back(link->pool, d);
}

static bool is_lost(struct link *link)
{
    const struct link_plan *p = link->plan;
    uint32_t i = link->sent++;
    if (rng_chance(&link->rng, link->in_burst ? p->burst_ends : p->burst_begins))
        link->in_burst = !link->in_burst;
    bool lost = rng_chance(&link->rng, p->loss) ||
                (rng_chance(&link->rng, LOST_IN_BURST) && link->in_burst) ||
                (i < 64 && (p->lost >> i & 1) != 0);
    return lost || link->passed++ >= p->passes;
}

/* A bit of the header or of the payload; or another id, which is as hard to guess as any. */
static void spoil(struct link *link, struct datagram *d)
{
    const struct link_plan *p = link->plan;
    if (rng_chance(&link->rng, p->corrupt) && d->length > 0) {
        size_t reach = rng_chance(&link->rng, 500) ? TURBO_HEADER_BYTES : d->length;
        size_t at = rng_below(&link->rng, reach < d->length ? reach : d->length);
        d->bytes[at] ^= (uint8_t)(1u << rng_below(&link->rng, 8));
    }
    if (rng_chance(&link->rng, p->forge) && d->length >= TURBO_ID_BYTES) {
        rng_fill(&link->rng, d->bytes, TURBO_ID_BYTES);
        d->bytes[0] = (uint8_t)((d->bytes[0] & 0x3f) | 0x80);
        d->bytes[2] |= 0x80;
    }
    if (rng_chance(&link->rng, p->truncate))
        d->length = (uint16_t)rng_below(&link->rng, d->length);
}

static void carry(struct link *link, const uint8_t *bytes, size_t length, uint16_t port,
                  turbo_time late)
{
    const struct link_plan *p = link->plan;
    struct datagram *d = take(link->pool);
    late += rng_below(&link->rng, p->jitter + 1);
    d->port = port;
    d->length = (uint16_t)length;
    memcpy(d->bytes, bytes, length);
    if (rng_chance(&link->rng, p->reorder))
        late += rng_below(&link->rng, 2 * p->delay + 1);
    if (p->corrupt + p->forge + p->truncate > 0)
        spoil(link, d);
    clock_after(link->clock, p->delay + late, arrive, link, (uint64_t)(d - link->pool->all));
}

const char *link_send(struct link *link, const uint8_t *bytes, size_t length, uint16_t port)
{
    assert(length <= TURBO_DATAGRAM_MAX);
    if (is_lost(link))
        return ", lost";
    carry(link, bytes, length, port, 0);
    if (rng_chance(&link->rng, link->plan->stale))
        carry(link, bytes, length, port, rng_below(&link->rng, STALE_MAX));
    if (!rng_chance(&link->rng, link->plan->duplicate))
        return "";
    carry(link, bytes, length, port, 0);
    return ", twice";
}
