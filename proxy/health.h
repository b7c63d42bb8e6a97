/*
 * Is a server to be used? After so many failures in a row it is left out for a while, then one
 * connection tries it; each further failure doubles the while, a success ends it all.
 */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/config/config.h"
#include "turbo/turbo.h"

struct health {
    uint32_t failures;    /* in a row */
    turbo_time out_until; /* 0: in use */
    turbo_time back_off;  /* the last one; 0: none yet */
    bool on_trial;        /* one connection is trying it */
};

bool health_is_up(const struct health *health, turbo_time now);
/* A connection is about to be made although, or when, the back-off has passed. */
void health_trying(struct health *health, turbo_time now);
/* True: its state has changed, which is worth a line in the log. */
bool health_failed(struct health *health, const struct config_health *settings, turbo_time now);
bool health_succeeded(struct health *health);

#endif
