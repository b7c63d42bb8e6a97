/*
 * What the parts of a client share. client.c is what the caller sees: bytes, datagrams and TCP's
 * news, folded into events; client_machine.c is what an event does, as a table; client_measure.c is
 * what is learned for later connections; sandwich_client.c is what differs in the Sandwich dialect.
 */
#ifndef TURBO_CLIENT_SESSION_H
#define TURBO_CLIENT_SESSION_H

#include "turbo/chunks.h"
#include "turbo/client.h"
#include "turbo/parity.h"
#include "turbo/reassembly.h"
#include "turbo/sandwich_client.h"

struct turbo_client {
    struct turbo_client_config config;
    enum turbo_client_state state;
    struct turbo_client_report report;
    turbo_time dialed_at; /* the SYN left */
    turbo_time up_at;     /* TCP was up */
    turbo_time wait_end;  /* open anyway at this time (protocol §6.5) */
    turbo_time redial_at; /* the SYN counts as lost (protocol §6.8) */
    turbo_time taken_at;  /* UDP brought something new, the last time */

    struct turbo_client_hello hello;
    struct turbo_id id;
    struct request_plan plan;
    uint8_t requests_sent;
    bool redialed;       /* the second connect has been asked for */
    bool redial_due;     /* and not yet been taken note of */
    bool abort_due;      /* an ABORT datagram is to be sent */
    uint8_t ccs_matched; /* bytes of a ChangeCipherSpec record the app may be sending */
    bool answered;       /* the app sent bytes after it was given some */
    bool ended;          /* the app's FIN */

    /* After the opening: what the flight was like (client_measure.c). */
    turbo_time measure_end; /* TURBO_NEVER: not, or over */
    bool heard;             /* TCP has brought something */
    size_t tcp_bytes;       /* S→C, from TCP */
    size_t tcp_taken;       /* C→S, by TCP */
    size_t answered_bytes;  /* S→C, when the app answered */

    struct parity parity;
    struct reassembly s2c;
    size_t s2c_limit; /* bytes that may be delivered from UDP; fixed by the opening */
    size_t s2c_consumed;

    /* C→S bytes, with room in front for a tombstone: the opening is one piece of memory. */
    uint8_t *out;
    size_t out_start, out_end; /* what TCP has not taken yet; the stream starts at STREAM_START */

    struct sandwich_client sandwich; /* in the Sandwich dialect */
};

enum {
    STREAM_START = TURBO_TOMBSTONE_BYTES,
    OUT_BYTES = STREAM_START + TURBO_CLIENT_HELD_MAX,
    OUT_ROOM = OUT_BYTES + SANDWICH_TOMBSTONE_BYTES /* which is put amid the stream */
};

/* What can happen, with the facts that matter folded in. */
enum client_event {
    EVENT_HELLO_GOES_BY_UDP, /* the ClientHello is complete and requests are worth sending */
    EVENT_HELLO_GOES_BY_TCP, /* it is not TLS, too large, cut short, or TCP is up already */
    EVENT_TCP_UP,
    EVENT_TCP_UP_ANSWERED, /* the app's answer has been waiting for this */
    EVENT_TCP_SPOKE,       /* bytes or FIN before any opening; the app was given nothing */
    EVENT_TCP_SPOKE_LATE,  /* the same, but UDP has delivered: the two do not belong together */
    EVENT_TCP_FAILED,
    EVENT_SYN_LATE,
    EVENT_RESPONSE,
    EVENT_UDP_DEAD, /* REFUSED, unreachable or a draft server, and no response before */
    EVENT_ANSWER,
    EVENT_WAIT_OVER,
    EVENT_HOPELESS, /* in the Sandwich dialect: there is no way to go on */
    EVENT_ABORT,
    EVENT_COUNT
};

void client_handle(struct turbo_client *c, enum client_event event, turbo_time now);

/* How it went, and why: the first word counts. */
void client_decide(struct turbo_client *c, enum turbo_outcome outcome, enum turbo_reason reason);

/* ---- client_measure.c ---- */

void client_measure_start(struct turbo_client *c, turbo_time now);
/* What can be told is in the report; the session may settle. */
void client_measure_stop(struct turbo_client *c);
/* The app has answered a flight that UDP and TCP have brought so far. */
void client_measure_answer(struct turbo_client *c);
static inline bool client_measuring(const struct turbo_client *c)
{
    return c->measure_end != TURBO_NEVER;
}

static inline bool client_is_sandwich(const struct turbo_client *c)
{
    return c->config.dialect == TURBO_DIALECT_SANDWICH;
}

/* The C→S stream from its first byte; whole until TCP has taken some of it. In the Sandwich dialect
 * the client's handshake stays there as long as it may have to be repeated. */
static inline const uint8_t *client_stream(const struct turbo_client *c)
{
    return c->out + STREAM_START;
}

#endif
