/*
 * What a client end remembers of one upstream address, and what follows for the next connection
 * to it (protocol §4.8, §6.5, §6.8, §6.9).
 *
 *   configure ──▶ a session ──▶ its report ──▶ note
 *
 * A plain value: copy it, throw it away, keep as many as there is room for. All zero bytes is an
 * address never heard of.
 */
#ifndef TURBO_LEARNED_H
#define TURBO_LEARNED_H

#include "turbo/client.h"

struct turbo_learned_flight {
    uint32_t bytes;
    uint8_t chunks;
};

struct turbo_learned {
    bool speaks; /* it has answered by UDP: it speaks TurboTLS */

    /* Of the last few connections; number n is at n % TURBO_LEARNED_FLIGHTS. */
    struct turbo_learned_flight flights[TURBO_LEARNED_FLIGHTS];
    turbo_time rtts[TURBO_LEARNED_FLIGHTS];
    uint32_t flight_count, rtt_count;

    /* How much later than TCP flights came, and how much that varies; RFC 6298's estimators. */
    turbo_time late_mean, late_deviation;
    bool late_known;

    /* No UDP for a while (protocol §6.9). */
    uint8_t silent_in_row;   /* connections without anything by UDP */
    uint8_t partial_in_row;  /* connections with a part of the flight only */
    uint8_t pauses_in_row;   /* each is twice as long as the one before */
    uint8_t resets;          /* pauses because TCP failed where UDP had answered; as above */
    uint8_t good_in_row;     /* flights that came whole since; some are the end of `resets` */
    bool worked;             /* UDP has, since the last pause */
    bool elsewhere;          /* the last pause was for that */
    turbo_time failed_at;    /* what began before has failed for the same reason; 0: never */
    turbo_time paused_until; /* 0: not */
    turbo_time trial_until;  /* the pause is over, and a connection is finding out; 0: not */
};

/*
 * Fills in what `config` says of the upstream for a session that begins now: flight, requests,
 * round trip and wait; or that UDP is paused. After a pause one session is the trial.
 */
void turbo_learned_configure(struct turbo_learned *learned, turbo_time now,
                             struct turbo_client_config *config);
/* A session has ended, or is settled, that was configured from here. Once for each. */
void turbo_learned_note(struct turbo_learned *learned, turbo_time now,
                        const struct turbo_client_report *report);
/* Is UDP paused? For logs and metrics. */
bool turbo_learned_paused(const struct turbo_learned *learned, turbo_time now);

#endif
