/*
 * How many new sessions a second are let in: in all, from one source, from one site (protocol
 * §7.1).
 *
 * A source is an IPv4 address or an IPv6 /64, a site an IPv6 /48. Sources are counted in a sketch
 * of fixed size (count-min; each counter is a rate limit): a flood from a million addresses needs
 * no more memory than one from ten. Two sources that share counters share a rate only where they
 * share all of them; keys that nobody else knows decide who shares.
 */
#ifndef TURBO_ADMISSION_H
#define TURBO_ADMISSION_H

#include "turbo/keyed_hash.h"
#include "turbo/server.h"

enum { ADMISSION_ROWS = 2, ADMISSION_COLUMNS = 4096, ADMISSION_SEED_BYTES = 80 };

struct sketch {
    uint32_t per_second;
    struct keyed_hash hashes[ADMISSION_ROWS];
    turbo_time paid_at[ADMISSION_ROWS][ADMISSION_COLUMNS];
};

struct admission {
    uint32_t per_second;
    turbo_time paid_at;
    struct sketch sources, sites;
    /* Sources that TCP has shown to be real, placed as `sources` are; proven where all rows say so.
     */
    turbo_time proven_until[ADMISSION_ROWS][ADMISSION_COLUMNS];
};

/* Rates of `config`, each at least 1. */
void admission_init(struct admission *admission, const struct turbo_endpoint_config *config,
                    const uint8_t seed[static ADMISSION_SEED_BYTES]);
/* Each at least 1. */
void admission_set_rates(struct admission *admission, uint32_t rate, uint32_t source_rate,
                         uint32_t site_rate);
/*
 * May a session from `peer` begin? Then it is counted, and the result is TURBO_LIMIT_COUNT; else
 * it is the limit that says no, and nothing is counted.
 */
enum turbo_limit admission_ask(struct admission *admission, turbo_time now,
                               const struct turbo_address *peer);
/* The source of `peer` is real for TURBO_PROVEN_TIME from now on. */
void admission_prove(struct admission *admission, turbo_time now, const struct turbo_address *peer);
/* Wrong, saying true, once in a long while: where other sources have proven all its counters. */
bool admission_is_proven(const struct admission *admission, turbo_time now,
                         const struct turbo_address *peer);

#endif
