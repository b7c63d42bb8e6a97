/*
 * libturbo: the TurboTLS protocol, sans-IO.
 *
 * Nothing in this library opens a socket, reads a clock, draws a random number or allocates
 * memory. Time is an argument, deadlines are return values, bytes are pushed in and pulled out,
 * and every object lives in a block of memory whose size is known beforehand. The same objects run
 * under unit tests, a simulator in virtual time, fuzzers and the proxy's event loop.
 *
 * docs/protocol.md is the authority for what is sent; "protocol §n" in comments refers to it.
 * An object and everything it hands out belongs to one thread at a time.
 */
#ifndef TURBO_TURBO_H
#define TURBO_TURBO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "turbo/protocol.h"

/* Microseconds on the caller's monotonic clock. */
typedef uint64_t turbo_time;
#define TURBO_NEVER UINT64_MAX

/* What is spoken between two ends. */
enum turbo_dialect {
    TURBO_DIALECT_PROFILE1, /* protocol §2 to §10; drafts as well, where they differ by nothing */
    TURBO_DIALECT_SANDWICH, /* protocol §11 */
};

/* Names a session on UDP and in the tombstone (protocol §2, §11). */
struct turbo_id {
    uint8_t bytes[SANDWICH_ID_BYTES]; /* profile 1: TURBO_ID_BYTES of them, then zeros */
};

/* How long it is on the wire. */
static inline size_t turbo_id_bytes(enum turbo_dialect dialect)
{
    return dialect == TURBO_DIALECT_SANDWICH ? SANDWICH_ID_BYTES : TURBO_ID_BYTES;
}

/* An IP address and UDP or TCP port. IPv4 is mapped into IPv6 (RFC 4291 §2.5.5.2). */
struct turbo_address {
    uint8_t ip[16];
    uint32_t scope; /* interface of a link-local address, else 0 */
    uint16_t port;
};

/* The same host, at whatever port. */
static inline bool turbo_address_same_ip(const struct turbo_address *a,
                                         const struct turbo_address *b)
{
    return a->scope == b->scope && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* Where a datagram came from and which of our addresses it asked; a reply goes the way back. */
struct turbo_path {
    struct turbo_address peer;
    struct turbo_address local;
};

/* The first bytes on TCP of a session that began on UDP (protocol §5, §11). */
struct turbo_tombstone {
    enum turbo_dialect dialect;
    struct turbo_id id;
    bool replay;       /* the whole C→S stream follows; never in the Sandwich dialect */
    uint32_t consumed; /* S→C chunks 1..consumed have reached the client end */
};

/* How long it is on the wire. */
static inline size_t turbo_tombstone_bytes(enum turbo_dialect dialect)
{
    return dialect == TURBO_DIALECT_SANDWICH ? SANDWICH_TOMBSTONE_BYTES : TURBO_TOMBSTONE_BYTES;
}

/* SHA-256 of `length` bytes. Brought by the caller so that the library depends on no crypto. */
typedef void turbo_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32]);

/* How a byte stream ends: as TCP tells it. */
enum turbo_end {
    TURBO_END_NONE, /* it goes on */
    TURBO_END_FIN,  /* no more bytes (FIN); the other direction may go on */
    TURBO_END_RESET /* given up (RST) */
};

#endif
