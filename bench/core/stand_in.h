/* What the work is made of: a ClientHello, a flight, a stand-in for SHA-256. */
#ifndef BENCH_CORE_STAND_IN_H
#define BENCH_CORE_STAND_IN_H

#include <stddef.h>
#include <stdint.h>

enum { HELLO_BYTES = 517, FLIGHT_BYTES = 3000, ANSWER_BYTES = 300 };

/* A ClientHello as browsers pad it; another `number`, another one. */
void stand_in_hello(uint8_t out[static HELLO_BYTES], uint64_t number);
/* ServerHello to Finished, in records. */
void stand_in_flight(uint8_t out[static FLIGHT_BYTES]);
void stand_in_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32]);
/* The next of a row of numbers that look random. */
uint64_t stand_in_random(uint64_t *state);

#endif
