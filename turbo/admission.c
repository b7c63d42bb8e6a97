#include "turbo/admission.h"

#include <assert.h>
#include <string.h>

#include "turbo/rate.h"

enum { SITE_BYTES = 6, SUBNET_BYTES = 8, IPV4_BYTES = 4, IPV4_AT = 12 };

struct columns {
    uint32_t row[ADMISSION_ROWS];
};

static bool is_ipv4(const struct turbo_address *address)
{
    static const uint8_t mapped[IPV4_AT] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address->ip, mapped, sizeof(mapped)) == 0;
}

/* Where the first `length` bytes at `from` are counted. */
static struct columns columns_of(const struct sketch *s, const uint8_t *from, size_t length)
{
    uint8_t key[KEYED_HASH_INPUT_BYTES] = {0};
    memcpy(key, from, length);
    key[KEYED_HASH_INPUT_BYTES - 1] = (uint8_t)length; /* an IPv4 address is no prefix of IPv6 */
    struct columns columns;
    for (size_t i = 0; i < ADMISSION_ROWS; i++)
        columns.row[i] = keyed_hash_of(&s->hashes[i], key) % ADMISSION_COLUMNS;
    return columns;
}

/* The least that any counter says: the others were counted up by others as well. */
static turbo_time least(const struct sketch *s, const struct columns *c)
{
    turbo_time first = s->paid_at[0][c->row[0]];
    for (size_t i = 1; i < ADMISSION_ROWS; i++)
        if (s->paid_at[i][c->row[i]] < first)
            first = s->paid_at[i][c->row[i]];
    return first;
}

static void count(struct sketch *s, const struct columns *c, turbo_time now)
{
    turbo_time paid_at = rate_after(least(s, c), now, s->per_second);
    for (size_t i = 0; i < ADMISSION_ROWS; i++)
        if (s->paid_at[i][c->row[i]] < paid_at)
            s->paid_at[i][c->row[i]] = paid_at;
}

static struct columns source_columns(const struct admission *a, const struct turbo_address *peer)
{
    if (is_ipv4(peer))
        return columns_of(&a->sources, peer->ip + IPV4_AT, IPV4_BYTES);
    return columns_of(&a->sources, peer->ip, SUBNET_BYTES);
}

static void sketch_init(struct sketch *s, uint32_t per_second, const uint8_t *seed)
{
    s->per_second = per_second;
    for (size_t i = 0; i < ADMISSION_ROWS; i++)
        keyed_hash_init(&s->hashes[i], seed + i * KEYED_HASH_SEED_BYTES);
}

void admission_init(struct admission *a, const struct turbo_endpoint_config *config,
                    const uint8_t seed[static ADMISSION_SEED_BYTES])
{
    static_assert(ADMISSION_SEED_BYTES == ADMISSION_ROWS * KEYED_HASH_SEED_BYTES, "one a row");
    memset(a, 0, sizeof(*a));
    a->per_second = config->rate;
    sketch_init(&a->sources, config->source_rate, seed);
    sketch_init(&a->sites, config->site_rate, seed);
}

void admission_set_rates(struct admission *a, uint32_t rate, uint32_t source_rate,
                         uint32_t site_rate)
{
    a->per_second = rate;
    a->sources.per_second = source_rate;
    a->sites.per_second = site_rate;
}

enum turbo_limit admission_ask(struct admission *a, turbo_time now,
                               const struct turbo_address *peer)
{
    bool ipv4 = is_ipv4(peer);
    struct columns source = source_columns(a, peer);
    struct columns site = columns_of(&a->sites, peer->ip, SITE_BYTES);
    if (!rate_allows(a->paid_at, now, a->per_second))
        return TURBO_LIMIT_RATE;
    if (!rate_allows(least(&a->sources, &source), now, a->sources.per_second))
        return TURBO_LIMIT_SOURCE;
    if (!ipv4 && !rate_allows(least(&a->sites, &site), now, a->sites.per_second))
        return TURBO_LIMIT_SITE;
    a->paid_at = rate_after(a->paid_at, now, a->per_second);
    count(&a->sources, &source, now);
    if (!ipv4)
        count(&a->sites, &site, now);
    return TURBO_LIMIT_COUNT;
}

void admission_prove(struct admission *a, turbo_time now, const struct turbo_address *peer)
{
    struct columns source = source_columns(a, peer);
    for (size_t i = 0; i < ADMISSION_ROWS; i++)
        a->proven_until[i][source.row[i]] = now + TURBO_PROVEN_TIME;
}

bool admission_is_proven(const struct admission *a, turbo_time now,
                         const struct turbo_address *peer)
{
    struct columns source = source_columns(a, peer);
    for (size_t i = 0; i < ADMISSION_ROWS; i++)
        if (now >= a->proven_until[i][source.row[i]])
            return false;
    return true;
}

const char *turbo_limit_text(enum turbo_limit limit)
{
    switch (limit) {
    case TURBO_LIMIT_DRAINING: return "draining";
    case TURBO_LIMIT_SESSIONS: return "sessions";
    case TURBO_LIMIT_MEMORY: return "memory";
    case TURBO_LIMIT_ENDED: return "ended-ids";
    case TURBO_LIMIT_RATE: return "rate";
    case TURBO_LIMIT_SOURCE: return "source-rate";
    case TURBO_LIMIT_SITE: return "site-rate";
    case TURBO_LIMIT_TLS_SERVER: return "tls-server";
    case TURBO_LIMIT_COUNT: break;
    }
    return "-";
}
