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
    turbo_time now, dialed_at, up_at, asked_at, opened_at;
    enum turbo_client_state last;
    bool up, tcp_over, ended;

    uint8_t *pushed; /* the C→S stream */
    size_t pushed_length, tcp_taken, tombstone_taken;

    struct turbo_id id; /* known once a request was seen */
    bool asked, aborted;
    uint32_t requests, request_bytes, highest;

    turbo_time redial_at; /* when a second connect is due; TURBO_NEVER: not */
    bool redialed;

    uint16_t chunk_length;
    bool responded, lied;
    uint64_t fed; /* bit k-1: chunk k has come, by itself or by parity */
    size_t fed_bytes;
    uint32_t parity; /* the first one covers chunks 1..parity; 0: none has come */
    uint8_t parity_datagram[TURBO_DATAGRAM_MAX];
    size_t parity_length;
    size_t consumed;
    size_t frozen; /* of S→C by UDP, from the opening on */
    bool tombstone;
    size_t seen_c2s, seen_s2c; /* what was there the last time */

    size_t tcp_read; /* S→C by TCP */
    bool heard, tcp_ended;
    size_t ccs;            /* bytes of ChangeCipherSpec that followed what the app was given */
    bool answered;         /* by other bytes */
    size_t answered_after; /* so many S→C bytes */
};

/* Response `k` of the true S→C stream: chunks of two lengths, in turns. Returns its length. */
size_t dialed_response(const struct dialed *s, uint32_t k, uint8_t out[static TURBO_DATAGRAM_MAX]);
/* The true parity of chunks 1..m. */
size_t dialed_parity(const struct dialed *s, uint32_t m, uint8_t out[static TURBO_DATAGRAM_MAX]);

/* The app has pushed these bytes, and they were taken. */
void dialed_pushed(struct dialed *s, const uint8_t *data, size_t length);
/* Before a response is given to the session: will it take it? Once lied to, it may. */
bool dialed_would_take(const struct dialed *s, const uint8_t *datagram, size_t length);
/* It was taken by a session that uses UDP. */
void dialed_take(struct dialed *s, const uint8_t *datagram, size_t length);
/* A datagram was polled. */
void dialed_check_request(struct dialed *s, const uint8_t *datagram, size_t length);
/* Something happened: looks at everything the session shows. */
void dialed_check(struct dialed *s);
/* What the session says about itself at its end. */
void dialed_check_report(const struct dialed *s, const struct turbo_client_report *report);

#endif
