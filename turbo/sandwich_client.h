/*
 * The client end in the Sandwich dialect (protocol §11): what differs from profile 1. The states,
 * and what the caller sees, are the same (client_session.h); here is what travels by UDP until the
 * client's handshake has ended.
 *
 *   C→S  ClientHello, empty requests …, the client's records up to its Finished │ tombstone, the
 * rest ───────────────────────── requests, by UDP ──────────────────────────  │ ───── TCP ──────
 *
 * A server end sends nothing twice. The app is given nothing while a response is missing or a
 * record is not whole, so that a lost response mostly shows while everything can begin anew.
 */
#ifndef TURBO_SANDWICH_CLIENT_H
#define TURBO_SANDWICH_CLIENT_H

#include "turbo/client_flight.h"
#include "turbo/sandwich_requests.h"

struct turbo_client;

struct sandwich_client {
    struct sandwich_requests requests;
    struct client_flight flight;
    size_t carried;       /* C→S bytes that are the client's handshake, as far as is known */
    size_t c2s_whole;     /* of those, in whole records */
    size_t s2c_whole;     /* S→C bytes in whole records */
    bool over;            /* the client's handshake: what follows is TCP's */
    bool reacted;         /* a response has come since requests with bytes were last made */
    uint8_t stalls;       /* repeats since anything has happened */
    turbo_time moved_at;  /* that was then */
    turbo_time repeat_at; /* TURBO_NEVER: nothing is to be repeated */
    turbo_time hole_at;   /* the missing response counts as lost; TURBO_NEVER: none is missing */
};

/* In either dialect. */
void sandwich_client_init(struct turbo_client *c);

/* ---- called by the state machine ---- */

/* The ClientHello is complete, and fits. */
void sandwich_client_ask(struct turbo_client *c, turbo_time now);
/* Puts the tombstone in front of what TCP is to carry. */
void sandwich_client_open(struct turbo_client *c, turbo_time now);

/* ---- called with the caller's news ---- */

/* Does a ClientHello of this size go by UDP? */
bool sandwich_client_fits(size_t hello_bytes);
/* There is no other way: `reason` is why it fails. */
void sandwich_client_fail(struct turbo_client *c, enum turbo_reason reason, turbo_time now);
/* The app has sent bytes; or TCP is up. */
void sandwich_client_look(struct turbo_client *c, turbo_time now);
/* The app has ended its stream. */
void sandwich_client_ended(struct turbo_client *c, turbo_time now);
/* Bytes at the start of the C→S stream that may have to be repeated: they stay where they are. */
size_t sandwich_client_kept(const struct turbo_client *c);
size_t sandwich_client_poll(struct turbo_client *c, uint8_t out[static TURBO_DATAGRAM_MAX]);
/* As turbo_client_datagram. */
bool sandwich_client_datagram(struct turbo_client *c, turbo_time now, const uint8_t *data,
                              size_t length);
turbo_time sandwich_client_deadline(const struct turbo_client *c);
void sandwich_client_tick(struct turbo_client *c, turbo_time now);

#endif
