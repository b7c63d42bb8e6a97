/*
 * What the load generator and the backend say to each other through a relay: it looks like TLS 1.3
 * and costs nothing, so that what is measured is the relay.
 *
 *   client ──ClientHello, 517 bytes, SNI──▶ backend
 *   client ◀─ServerHello … Finished, 3,000── backend
 *   client ──CCS, Finished, 100──▶ backend          then what the kind says
 *
 * What shall follow stands in the ClientHello's session id, which relays pass on unread; one
 * backend serves every kind.
 */
#ifndef BENCH_RELAY_TALK_H
#define BENCH_RELAY_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALK_NAME "relay.bench.test"

enum { TALK_HELLO_BYTES = 517, TALK_FLIGHT_BYTES = 3000, TALK_ANSWER_BYTES = 100 };

enum talk_kind {
    TALK_CLOSE = 1, /* the client says that this is all; the backend closes, too */
    TALK_UP,        /* the client sends `bytes`; the backend answers with one */
    TALK_DOWN,      /* the backend sends `bytes` */
    TALK_ECHO,      /* each time that the client has sent `bytes`, the backend sends as many */
};

struct talk {
    enum talk_kind kind;
    uint64_t bytes;
};

/* `serial` makes each one's random different; TurboTLS knows a ClientHello again. */
void talk_hello(uint8_t out[static TALK_HELLO_BYTES], const struct talk *talk, uint64_t serial);
/* False: that is no ClientHello of talk_hello's. */
bool talk_from_hello(const uint8_t hello[static TALK_HELLO_BYTES], struct talk *talk);
void talk_flight(uint8_t out[static TALK_FLIGHT_BYTES]);
void talk_answer(uint8_t out[static TALK_ANSWER_BYTES]);

#endif
