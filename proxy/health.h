/*
 * Is a server to be used? After so many failures in a row it is left out for a while (the
 * back-off), then one connection tries it; each time that one fails doubles the while, a success
 * ends it all. Time in, answers out: nothing here waits.
 *
 *   bool on_trial = health_try(health, now);  … connecting …  then one of
 *   health_succeeded, health_failed(…, on_trial, …), health_gave_up(…, on_trial)
 */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/config/config.h"
#include "turbo/turbo.h"

/* Zeroed: in use. */
struct health {
    uint32_t failures;    /* in a row, while in use */
    turbo_time out_until; /* 0: in use */
    turbo_time back_off;  /* the one under way, or the last one; 0: in use */
    bool on_trial;        /* one connection is trying it */
};

/* In use, or its back-off has passed and nobody is trying it yet. */
bool health_is_up(const struct health *health, turbo_time now);
/*
 * Somebody begins to connect, whether it is up or not: where nothing is up, what is left is tried.
 * True: the back-off has passed, and this is the one that tries it. Until it has told how that went
 * the server is left out for everybody else.
 */
bool health_try(struct health *health, turbo_time now);
/*
 * It could not be connected to. While it is left out only the failure of the one `on_trial` counts:
 * the others, that began before, or had nowhere else to go, say nothing new. True: it is left out
 * from now on, or for longer: a line in the log.
 */
bool health_failed(struct health *health, const struct config_health *settings, bool on_trial,
                   turbo_time now);
/* It has been connected to, by whomever. True: it was left out, and is back. */
bool health_succeeded(struct health *health);
/* Nobody will know: the client has left first, say. The next connection tries it. */
void health_gave_up(struct health *health, bool on_trial);

#endif
