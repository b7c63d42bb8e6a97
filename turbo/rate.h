/*
 * A rate limit in one number: when what was let through so far will be paid for (the generic cell
 * rate algorithm, ITU-T I.371). As many as one second's worth may come at once.
 */
#ifndef TURBO_RATE_H
#define TURBO_RATE_H

#include "turbo/turbo.h"

static inline bool rate_allows(turbo_time paid_at, turbo_time now, uint32_t per_second)
{
    return paid_at + TURBO_SECOND / per_second <= now + TURBO_SECOND;
}

static inline turbo_time rate_after(turbo_time paid_at, turbo_time now, uint32_t per_second)
{
    return (paid_at > now ? paid_at : now) + TURBO_SECOND / per_second;
}

#endif
