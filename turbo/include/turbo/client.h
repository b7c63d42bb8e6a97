/*
 * The client end of a TurboTLS session: the end that dials (protocol §6; §11 in the Sandwich
 * dialect).
 *
 *        app bytes (C→S) ──push──▶ ┌────────┐ ──poll_datagram──▶ UDP to the server end
 *                                  │ client │ ◀──datagram─────── UDP from it
 *   app bytes (S→C) ◀─peek/consume │        │ ──tcp_peek/consume─▶ TCP (the opening)
 *                                  └────────┘ ◀──tcp_up, tcp_readable, tcp_failed
 *
 * It decides when UDP starts and ends and how TCP is opened. After the opening it holds what is
 * still on its way, and no more is pushed through it than fits; once turbo_client_settled() both
 * directions are TCP's alone, byte for byte, and the session can be thrown away. Until then it
 * also takes the measure of the flight, for the connections that come after (learned.h).
 *
 * The caller starts the TCP connect before turbo_client_init, reads nothing from TCP before the
 * state is TURBO_CLIENT_OPEN, and calls turbo_client_tick at turbo_client_deadline.
 */
#ifndef TURBO_CLIENT_H
#define TURBO_CLIENT_H

#include "turbo/client_hello.h"
#include "turbo/outcome.h"
#include "turbo/turbo.h"

struct turbo_client;

enum turbo_client_state {
    TURBO_CLIENT_HELLO_DIALING, /* the ClientHello is being read, TCP connects */
    TURBO_CLIENT_HELLO_UP,      /* the ClientHello is being read, TCP is up */
    TURBO_CLIENT_ASKING,        /* requests were sent, TCP connects */
    TURBO_CLIENT_WAITING,       /* requests were sent, TCP is up, the app has not answered */
    TURBO_CLIENT_DIALING,       /* no (more) UDP; waiting for TCP to open classically */
    TURBO_CLIENT_OPEN,          /* the opening is composed: TCP only */
    TURBO_CLIENT_FAILED,        /* reset the app and TCP */
};

struct turbo_client_config {
    turbo_sha256 *sha256;
    enum turbo_dialect dialect;
    /*
     * The Sandwich dialect: the session's id, 16 random bytes, never used before; and how many
     * sessions before this one, for the same app bytes, have reported `again`. It has no other way
     * than UDP: what says when to use it has no effect.
     */
    struct turbo_id id;
    uint8_t attempt;
    /* Send requests even when TCP is up first, and then wait TURBO_WAIT_MAX (protocol §6.2). */
    bool always;
    /* No UDP for this connection: it failed before (protocol §6.9). */
    bool paused;
    bool elsewhere; /* `paused` because UDP and TCP seemed to reach different hosts (§6.9d) */
    bool trial;     /* the first after a pause */
    /* No UDP for this connection: nothing says that the server speaks TurboTLS (protocol §10.1). */
    bool unknown;
    /* The upstream is known to speak TurboTLS (protocol §6.8). */
    bool speaks;
    /* The flight this upstream is expected to send (protocol §4). */
    uint32_t expected_chunks, expected_bytes;
    /* TURBO_REQUESTS_UNPROVEN until the address has ever answered, then TURBO_REQUESTS_MAX. */
    uint32_t requests_max;
    turbo_time rtt_us;  /* the path's round trip; 0: not known */
    turbo_time wait_us; /* TCP is up, the app is silent: for how long; 0: by TCP's connect time */
};

/* A config with what first contact knows. */
void turbo_client_config_init(struct turbo_client_config *config, turbo_sha256 *sha256);

/* Bytes of memory a session needs; alignment as from malloc. */
size_t turbo_client_bytes(void);
/* `now`: the SYN has just left. The config is copied. */
struct turbo_client *turbo_client_init(void *memory, const struct turbo_client_config *config,
                                       turbo_time now);

enum turbo_client_state turbo_client_state(const struct turbo_client *client);

/* ---- the app's side ---- */

/* How many C→S bytes turbo_client_push would take now. */
size_t turbo_client_room(const struct turbo_client *client);
/* C→S bytes from the app. Returns how many were taken; 0 when full: ask again later. */
size_t turbo_client_push(struct turbo_client *client, turbo_time now, const uint8_t *data,
                         size_t length);
/* The app sends no more (FIN). What it sent before is still delivered, then the end. */
void turbo_client_push_end(struct turbo_client *client, turbo_time now);
/* The app is gone (reset). The server end is told (ABORT); poll datagrams once more, then drop. */
void turbo_client_abort(struct turbo_client *client, turbo_time now);
/* S→C bytes that came by UDP, in order. Returns how many; `*data` points to them. */
size_t turbo_client_peek(const struct turbo_client *client, const uint8_t **data);
/* The app has been given the first `length` of them. */
void turbo_client_consume(struct turbo_client *client, size_t length);

/* ---- UDP ---- */

/* The next datagram to send; returns its length, 0 when there is none now. */
size_t turbo_client_poll_datagram(struct turbo_client *client,
                                  uint8_t out[static TURBO_DATAGRAM_MAX]);
/*
 * A datagram came from the address asked. False: it was not a response of this session, or it
 * says what an earlier one contradicts; it was dropped, count it.
 */
bool turbo_client_datagram(struct turbo_client *client, turbo_time now, const uint8_t *data,
                           size_t length);
/* ICMP says that nobody listens there, or the datagram could not be sent at all. */
void turbo_client_unreachable(struct turbo_client *client, turbo_time now);
/* Does UDP still matter? When false the socket may be closed. */
bool turbo_client_uses_udp(const struct turbo_client *client);

/* ---- TCP ---- */

/*
 * Is a second connect due, because the SYN seems to be lost? True once at most, after any call
 * that takes the time. Whichever connect comes up first is the TCP of this session.
 */
bool turbo_client_dial_again(struct turbo_client *client);
void turbo_client_tcp_up(struct turbo_client *client, turbo_time now);
/* TCP has bytes or its end to be read while the state was not OPEN. */
void turbo_client_tcp_readable(struct turbo_client *client, turbo_time now);
/* The connect failed, or the connection was reset. */
void turbo_client_tcp_failed(struct turbo_client *client, turbo_time now);
/* OPEN, and `length` S→C bytes came from TCP and went to the app; 0 is TCP's end. */
void turbo_client_tcp_read(struct turbo_client *client, turbo_time now, size_t length);
/* Bytes to write to TCP, in one write where it takes them. 0 unless OPEN. */
size_t turbo_client_tcp_peek(const struct turbo_client *client, const uint8_t **data);
void turbo_client_tcp_consume(struct turbo_client *client, size_t length);

/*
 * OPEN, nothing is left here in either direction, and nothing is left to be learned, which takes
 * TURBO_MEASURE_TIME at most, nor to be repeated in the Sandwich dialect, which takes
 * SANDWICH_REPEAT_TIME at most: TCP carries on alone.
 */
bool turbo_client_settled(const struct turbo_client *client);
/* The app ended its stream: send FIN on TCP once settled. */
bool turbo_client_ended(const struct turbo_client *client);

/* ---- time ---- */

turbo_time turbo_client_deadline(const struct turbo_client *client);
void turbo_client_tick(struct turbo_client *client, turbo_time now);

/* ---- what happened ---- */

struct turbo_client_report {
    enum turbo_outcome outcome;
    enum turbo_reason reason;
    turbo_time tcp_up_us;         /* SYN to connected; 0: not yet. The round trip. */
    turbo_time first_response_us; /* requests to first response; 0: none */
    bool asked;                   /* requests were sent */
    bool responded;               /* a response came: this address speaks TurboTLS */
    bool delivered;               /* S→C bytes from UDP were given to the app */
    /* FAILED, but the app knows nothing yet: another session may have more luck, with a new id, a
     * new TCP connection, and what turbo_client_unsent gives. */
    bool again;

    /* For turbo_learned_note. */
    enum turbo_dialect dialect; /* as configured */
    turbo_time asked_at;
    bool trial;            /* as configured */
    bool rebuilt;          /* parity made up for a lost chunk */
    bool refused;          /* REFUSED came: it speaks TurboTLS, though not now */
    bool draft;            /* it answers as draft servers do */
    bool unheard;          /* UDP answered, and TCP failed without a byte */
    bool flight_known;     /* the app has answered: the next four are facts */
    bool flight_by_udp;    /* all of it came by UDP, be it after the opening */
    uint8_t flight_chunks; /* as many as it needs */
    uint32_t flight_bytes;
    bool late_known;
    turbo_time late_us; /* the last of it that UDP brought came so much later than TCP; or 0 */
};

struct turbo_client_report turbo_client_report(const struct turbo_client *client);
const struct turbo_client_hello *turbo_client_hello(const struct turbo_client *client);
/* C→S bytes taken and not yet consumed by TCP: to start again with another address. */
size_t turbo_client_unsent(const struct turbo_client *client, const uint8_t **data);

#endif
