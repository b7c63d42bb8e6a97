/*
 * Which paths the runs have taken: a simulator that never met a case has proved nothing about it.
 */
#ifndef SIM_COVERAGE_H
#define SIM_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "turbo/turbo.h"

/* Name, whether a full run must have met it, and what is printed. */
#define COVERAGE_PATHS(X)                                                                          \
    X(OUTCOME_TURBO, true, "outcome: turbo, the flight came by UDP")                               \
    X(OUTCOME_RESUMED, true, "outcome: resumed on TCP")                                            \
    X(OUTCOME_CLASSIC, true, "outcome: classic")                                                   \
    X(OUTCOME_OPAQUE, true, "outcome: opaque, the server spoke first")                             \
    X(OUTCOME_FAILED, true, "connections that failed, all of them for a reason")                   \
    X(OUTCOME_ABORTED, true, "connections that an end aborted")                                    \
    X(ROUND_TRIP_SAVED, true, "a round trip saved against classic")                                \
    X(CLASSIC_TCP_FIRST, true, "classic: TCP was up first")                                        \
    X(CLASSIC_NO_RESPONSE, true, "classic: no response in time")                                   \
    X(CLASSIC_REFUSED, true, "classic: REFUSED")                                                   \
    X(CLASSIC_PAUSED, true, "classic: UDP is paused")                                              \
    X(CLASSIC_UNREACHABLE, true, "classic: ICMP")                                                  \
    X(CLASSIC_TOO_LARGE, true, "classic: the ClientHello is too large")                            \
    X(TRIAL, true, "the trial after a pause")                                                      \
    X(TRIAL_SUCCEEDED, true, "and UDP works again")                                                \
    X(REBUILT, true, "parity rebuilt a chunk")                                                     \
    X(PARITY_SENT, true, "parity sent")                                                            \
    X(SECOND_SYN, true, "a second SYN")                                                            \
    X(SECOND_SYN_WON, true, "and its connection won")                                              \
    X(FRESH_SYN, true, "a fresh SYN after 10 s")                                                   \
    X(TOMBSTONE, true, "joined by tombstone")                                                      \
    X(TOMBSTONE_ZERO, true, "a tombstone with n = 0")                                              \
    X(TOMBSTONE_FRESH, true, "a tombstone that starts afresh")                                     \
    X(ADOPTED, true, "adopted")                                                                    \
    X(CLASSIC_FRESH, true, "a classic opening with a connection of its own")                       \
    X(DROPPED_BY_OPENING, true, "an opening ended a session that was not passed on")               \
    X(CANNOT_CONTINUE, true, "a tombstone that cannot be continued")                               \
    X(REPLAY_IN_PIECES, true, "REPLAY came in several reads")                                      \
    X(ORPHANS, true, "a request before its chunk 1")                                               \
    X(SECOND_ADDRESS, true, "a session with more than one client address")                         \
    X(ADDRESSES_BEYOND, true, "more client addresses than one session answers")                    \
    X(LATE_DATAGRAMS, true, "datagrams of ended sessions")                                         \
    X(EXPIRED, true, "a session expired")                                                          \
    X(ABORT_DATAGRAM, true, "ABORT ended a session")                                               \
    X(NO_SERVER, true, "the TLS server cannot be reached")                                         \
    X(LIMIT_DRAINING, true, "refused: draining")                                                   \
    X(LIMIT_SESSIONS, true, "refused: sessions")                                                   \
    X(LIMIT_MEMORY, true, "refused: memory")                                                       \
    X(LIMIT_ENDED, true, "refused: ended ids")                                                     \
    X(LIMIT_RATE, true, "refused: rate")                                                           \
    X(LIMIT_SOURCE, true, "refused: source")                                                       \
    X(LIMIT_SITE, true, "refused: site")                                                           \
    X(LIMIT_TLS_SERVER, true, "refused: TLS server")                                               \
    X(REFUSED_SILENT, true, "refused in silence")                                                  \
    X(KEPT_FULL, true, "64 KiB kept, the TLS server waits for TCP")                                \
    X(HELD_FULL, true, "32 KiB held, the app waits for TCP")                                       \
    X(LAST_WORDS, true, "a reset waited for what was said before it")                              \
    X(TRIAL_DIAL, true, "sniff timeout: a connection on trial")                                    \
    X(TRIAL_USED, true, "and a classic opening used it")                                           \
    X(TRIAL_CLOSED, true, "and a session made it needless")                                        \
    X(RESTART, true, "the server end restarted")                                                   \
    X(DRAINED, true, "the server end drained")                                                     \
    X(HELLO_AGAIN, true, "HelloRetryRequest: a second ClientHello")                                \
    X(PAUSED_FLIGHT, true, "a pause within the flight")                                            \
    X(HOSTILE, true, "connections with corrupted datagrams")                                       \
    X(TCP_REFUSED, true, "TCP refused")                                                            \
    X(CONNECT_TIMEOUT, true, "TCP not up in time")                                                 \
    X(CCS, true, "ChangeCipherSpec before the answer")                                             \
    X(NEXT_ADDRESS, true, "the next address of the upstream")                                      \
    X(BOUND_TO_HOST, true, "no next address: the app has bytes of this one")                       \
    X(READS_LATE, true, "an end that does not read for a while")                                   \
    X(FAILED_ALONE, false, "failed where classic completed")                                       \
    X(TLS_SERVERS, false, "connections to TLS servers")                                            \
    X(REQUESTS, false, "requests that left")                                                       \
    X(RESPONSES, false, "responses that left")

#define COVERAGE_NAME(name, must, text) COVER_##name,
enum path { COVERAGE_PATHS(COVERAGE_NAME) COVER_COUNT };
#undef COVERAGE_NAME

enum { SCENARIOS_MAX = 24 };

struct coverage {
    uint64_t paths[COVER_COUNT];
    uint64_t runs, sessions, events, compared;
    uint64_t by_scenario[SCENARIOS_MAX]; /* sessions */
    const char *scenario_names[SCENARIOS_MAX];
    turbo_time worst_lateness; /* against classic, of a connection that completed */
    uint64_t worst_seed;
};

/* Prints a table. */
void coverage_print(const struct coverage *coverage);
/* Names every path that a full run must meet and this has not. True: there is none. */
bool coverage_is_whole(const struct coverage *coverage);

#endif
