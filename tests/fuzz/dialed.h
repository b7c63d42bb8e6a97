/*
 * What the harness of fuzz_client.c knows of a session, told by nobody but itself, and what must be
 * true of it after every event.
 */
#ifndef FUZZ_DIALED_H
#define FUZZ_DIALED_H

#include "tests/fuzz/support.h"
#include "turbo/client.h"
#include "turbo/wire.h"

enum { PUSHED_MAX = 80 * 1024, S2C_STREAM = 7 /* check_byte's number of it */ };

struct dialed {
    struct turbo_client *client;
    struct turbo_client_config config;
    const struct hello *hello;
    turbo_time now, up_at, asked_at;
    enum turbo_client_state last;
    bool up, tcp_over, ended;

    uint8_t *pushed; /* the C→S stream */
    size_t pushed_length, tcp_taken, tombstone_taken;

    struct turbo_id id; /* known once a request was seen */
    bool asked, aborted;
    uint32_t requests, request_bytes, highest;

    uint16_t chunk_length;
    uint64_t fed; /* bit k-1: a response with number k was taken, true or not */
    bool lied;
    size_t consumed, seen;
    size_t frozen; /* of S→C by UDP, from the opening on */
    bool tombstone;
};

/* Response `k` of the true S→C stream: chunks of two lengths, in turns. Returns its length. */
size_t dialed_response(const struct dialed *s, uint32_t k, uint8_t out[static TURBO_DATAGRAM_MAX]);
/* A datagram was polled. */
void dialed_check_request(struct dialed *s, const uint8_t *datagram, size_t length);
/* Something happened: looks at everything the session shows. */
void dialed_check(struct dialed *s);

#endif
