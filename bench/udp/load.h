/*
 * What bench/udp's parts share: a TLS server, its clients and a flood, of which none does any
 * cryptography but ids, so that what is measured is the proxy. A connection is a ClientHello of
 * HELLO_BYTES, a flight of FLIGHT_BYTES, an answer of ANSWER_BYTES and a reply of REPLY_BYTES.
 */
#ifndef BENCH_UDP_LOAD_H
#define BENCH_UDP_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "../core/stand_in.h"

enum { REPLY_BYTES = 200, HEADER_BYTES = 16, ID_BYTES = 12 };

struct order {
    uint16_t port;  /* of 127.0.0.1: the edge's; the TLS server's own */
    double rate;    /* a second; 0: as fast as it goes */
    double seconds; /* 0: until SIGTERM */
    uint32_t at_once;
    uint32_t wait_us;    /* so long a turbo client waits for the flight by UDP */
    bool turbo, classic; /* which clients there are; they take turns */
};

/* Each returns the exit code. */
int load_serve(const struct order *order);
int load_visit(const struct order *order);
int load_flood(const struct order *order, const char *kind);
/* Keeps `at_once` sessions pending that have not said all yet. */
int load_hold(const struct order *order);

/* ---- common.c ---- */

struct sockaddr_in load_address(uint16_t port);
/* Microseconds. */
uint64_t load_clock(void);
/* SIGTERM or SIGINT came, or `until` is over (0: never). */
bool load_is_over(uint64_t until);
/* -1: could not be made, and it was said why. Bound to `source`, an address in host order; 0: any.
 */
int load_udp_socket(const struct order *order, uint32_t source);
/* The first request of a session: header and ClientHello; returns its length. The id is the hash.
 */
enum { REQUEST_BYTES = HEADER_BYTES + HELLO_BYTES };
void load_request(uint8_t out[static REQUEST_BYTES], uint64_t number);
/* Another number for each process and call. */
uint64_t load_number(void);
_Noreturn void load_fail(const char *what);

#endif
