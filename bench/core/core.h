/*
 * What is measured of libturbo alone: work that is the same each time, whatever machine it is on.
 * Ids are made by a stand-in for SHA-256, so that the figures are turbo/'s own.
 */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include <stddef.h>
#include <stdint.h>

/* Does one kind of work `times` times. */
typedef void core_work(uint32_t times);

/*
 * A handshake: a client end and a server end, a TLS 1.3 flight of three chunks; all that the first
 * two round trips take, from the ClientHello to the join, at both ends.
 */
core_work core_handshake;
/* The same; the flight's second chunk is lost and rebuilt from parity. */
core_work core_handshake_lost;

/* Datagrams that an endpoint drops: one is one time. */
core_work core_junk_random;  /* random bytes */
core_work core_junk_orphan;  /* a good header, chunk 2 of nothing; as many wait as may */
core_work core_junk_payload; /* chunk 1, and it is not TLS */
core_work core_junk_hello;   /* a ClientHello beyond the rate */

/* Datagrams that a handshake takes at each of its ends, requests and responses. */
uint32_t core_handshake_datagrams(void);
/* A ClientHello that has come, with its flight: bytes of the blocks' pages that were touched. */
size_t core_server_touched(void);
size_t core_client_touched(void);

/* Something was not as it must be: says so and ends the program. */
_Noreturn void core_fail(const char *what);

#endif
