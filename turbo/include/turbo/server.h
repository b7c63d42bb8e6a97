/*
 * The server end: an endpoint for one UDP port, and the sessions that begin on it (protocol §7).
 *
 *   UDP requests ──datagram──▶ ┌──────────┐ ──poll_event──▶ NEW: connect to the TLS server
 *  UDP responses ◀─poll_dgram─ │ endpoint │ ──poll_event──▶ ENDED: drop that connection
 *   TCP openings ──join,adopt▶ └────┬─────┘
 *                                   │ sessions
 *   ClientHello ◀──peek/consume── ┌─┴───────┐ ──tcp_peek/consume──▶ S→C that UDP did not bring
 *   S→C bytes ───push/push_end──▶ │ session │ ◀──replay──────────── C→S that UDP brought before
 *                                 └─────────┘
 *
 * An endpoint owns its sessions until turbo_endpoint_poll_event hands one out as NEW; from then on
 * the caller has it and ends it with turbo_server_release, also after ENDED. After a join the
 * caller moves the rest of both streams itself: what TCP brings behind the replayed bytes goes
 * straight to the TLS server, and S→C bytes go straight to TCP once turbo_server_tcp_peek is empty.
 */
#ifndef TURBO_SERVER_H
#define TURBO_SERVER_H

#include "turbo/client_hello.h"
#include "turbo/opening.h"
#include "turbo/outcome.h"
#include "turbo/turbo.h"

struct turbo_endpoint;
struct turbo_server;

enum { TURBO_SEED_BYTES = 160 };

struct turbo_endpoint_config {
    turbo_sha256 *sha256;
    uint8_t seed[TURBO_SEED_BYTES]; /* random, secret: keys of the hash tables */
    uint32_t sessions_max;          /* sessions at once */
    uint32_t ended_max;             /* ended ids remembered */
    uint64_t memory_max;            /* bytes of all sessions' blocks */
    /* New sessions a second, at least 1: in all; from one IPv4 address or IPv6 /64; one IPv6 /48.
     */
    uint32_t rate, source_rate, site_rate;
    uint32_t refusal_rate; /* REFUSED a second, at least 1 */
    bool sandwich;         /* serve clients of the Sandwich dialect as well (protocol §11) */
    /* How long a TCP connection may say nothing: so long a session of that dialect waits for it. */
    turbo_time silent_time;
    /* Memory for one session, turbo_server_bytes() each, or turbo_sandwich_server_bytes(); NULL
     * refuses the session. */
    void *(*acquire)(void *owner, size_t bytes);
    void (*release)(void *owner, void *memory);
    void *owner;
};

/* Why a new session was refused. */
enum turbo_limit {
    TURBO_LIMIT_DRAINING,   /* the server is going away */
    TURBO_LIMIT_SESSIONS,   /* as many sessions as may be */
    TURBO_LIMIT_MEMORY,     /* their memory, or none to be had */
    TURBO_LIMIT_ENDED,      /* no more ended ids can be remembered */
    TURBO_LIMIT_RATE,       /* new sessions a second, in all */
    TURBO_LIMIT_SOURCE,     /* … from one IPv4 address or IPv6 /64 */
    TURBO_LIMIT_SITE,       /* … from one IPv6 /48 */
    TURBO_LIMIT_TLS_SERVER, /* the caller refused it */
    TURBO_LIMIT_COUNT
};

/* "draining", "sessions", … */
const char *turbo_limit_text(enum turbo_limit limit);

/* Everything that happened to datagrams and openings, for metrics; each only grows. */
struct turbo_endpoint_counters {
    uint64_t requests;         /* well-formed, of a session */
    uint64_t junk;             /* malformed, contradictory or beyond a limit; dropped */
    uint64_t late;             /* of an ended or joined session; dropped */
    uint64_t orphans_dropped;  /* came before chunk 1, and there was no room or time */
    uint64_t addresses_beyond; /* from more addresses than one session answers; earned nothing */
    uint64_t responses;
    uint64_t sessions;                   /* begun */
    uint64_t sandwich;                   /* those of them of the Sandwich dialect */
    uint64_t limited[TURBO_LIMIT_COUNT]; /* sessions not begun, or given up again, by reason */
    uint64_t refused;                    /* REFUSED was sent */
    uint64_t refused_silent;             /* not even that: too many a second */
    uint64_t parities;                   /* of the responses */
    /* Chunks that had been sent by UDP when TCP joined, and those of them that TCP brings again:
     * they were lost, or late, or came behind one that was. */
    uint64_t chunks, chunks_again;
    uint64_t joined;  /* by tombstone */
    uint64_t adopted; /* by an identical classic opening */
    uint64_t expired;
    uint64_t aborted;
    uint64_t unknown; /* tombstones for no session, or that cannot be continued */
};

/* A config with default limits; sha256, seed and memory are the caller's to fill in. */
void turbo_endpoint_config_init(struct turbo_endpoint_config *config);

size_t turbo_endpoint_bytes(const struct turbo_endpoint_config *config);
size_t turbo_server_bytes(void);
size_t turbo_sandwich_server_bytes(void);
struct turbo_endpoint *turbo_endpoint_init(void *memory,
                                           const struct turbo_endpoint_config *config);
/* Releases the sessions the endpoint still owns. Those handed out must have been released. */
void turbo_endpoint_fini(struct turbo_endpoint *endpoint);

/* ---- UDP ---- */

void turbo_endpoint_datagram(struct turbo_endpoint *endpoint, turbo_time now,
                             const struct turbo_path *path, const uint8_t *data, size_t length);
/* The next datagram to send, and where; returns its length, 0 when there is none now. */
size_t turbo_endpoint_poll_datagram(struct turbo_endpoint *endpoint, turbo_time now,
                                    uint8_t out[static TURBO_DATAGRAM_MAX],
                                    struct turbo_path *path);

/* ---- events and time ---- */

enum turbo_event {
    TURBO_EVENT_NONE,
    TURBO_EVENT_NEW,   /* its ClientHello is complete: route it, connect, then push and peek */
    TURBO_EVENT_ENDED, /* expired or aborted by the client: reset the TLS server, release it */
    TURBO_EVENT_MORE, /* UDP brought more C→S bytes, or all: peek, and ask turbo_server_awaits_udp
                       */
};

enum turbo_event turbo_endpoint_poll_event(struct turbo_endpoint *endpoint,
                                           struct turbo_server **session);
/* When to call turbo_endpoint_tick, and then poll events and datagrams. */
turbo_time turbo_endpoint_deadline(const struct turbo_endpoint *endpoint);
void turbo_endpoint_tick(struct turbo_endpoint *endpoint, turbo_time now);
/* From now on new sessions are REFUSED (protocol §7.5). */
void turbo_endpoint_drain(struct turbo_endpoint *endpoint);
/* No longer: it does not go away after all. */
void turbo_endpoint_resume(struct turbo_endpoint *endpoint);
/* TCP cannot join any more: ends the sessions that wait for it. Poll events after. */
void turbo_endpoint_abandon(struct turbo_endpoint *endpoint, turbo_time now);
/* New sessions a second from now on: in all, from one source, from one site. */
void turbo_endpoint_set_rates(struct turbo_endpoint *endpoint, uint32_t rate, uint32_t source_rate,
                              uint32_t site_rate);
/* Whether the Sandwich dialect is served from now on; sessions that there are go on. */
void turbo_endpoint_set_sandwich(struct turbo_endpoint *endpoint, bool sandwich,
                                 turbo_time silent_time);
/* Sessions that have not been released. */
uint32_t turbo_endpoint_sessions(const struct turbo_endpoint *endpoint);
/* Of these, those that no TCP connection has joined yet. */
uint32_t turbo_endpoint_pending(const struct turbo_endpoint *endpoint);
/* Are there any? Without counting them. */
bool turbo_endpoint_is_pending(const struct turbo_endpoint *endpoint);
struct turbo_endpoint_counters turbo_endpoint_counters(const struct turbo_endpoint *endpoint);

/* ---- TCP openings ---- */

enum turbo_join {
    TURBO_JOIN_SESSION, /* `*session` goes on over this connection */
    TURBO_JOIN_FRESH,   /* nothing was consumed: read the stream behind it as a new opening */
    TURBO_JOIN_RESET,   /* cannot be continued: reset the connection, count, log */
};

/* An opening was a tombstone. A session whose address is vouched for (turbo_server_vouch) is joined
 * from there only: `from` is who opened TCP, NULL anybody else. */
enum turbo_join turbo_endpoint_join(struct turbo_endpoint *endpoint, turbo_time now,
                                    const struct turbo_tombstone *tombstone,
                                    const struct turbo_address *from,
                                    struct turbo_server **session);
/*
 * An opening was classic, with its ClientHello complete in `stream`. SESSION: a pending session
 * began with the same bytes; feed them all to turbo_server_replay. FRESH: a connection of its own;
 * from now on UDP cannot start one for the same ClientHello.
 */
enum turbo_join turbo_endpoint_adopt(struct turbo_endpoint *endpoint, turbo_time now,
                                     const uint8_t *stream, size_t hello_length,
                                     const struct turbo_address *from,
                                     struct turbo_server **session);
/* The same where no session can have begun with these bytes, or none that waits for TCP: UDP cannot
 * start one for the ClientHello with this id (turbo_id_from_hello). */
void turbo_endpoint_went_by_tcp(struct turbo_endpoint *endpoint, turbo_time now,
                                const struct turbo_id *id);
/*
 * A TCP connection from `peer` has opened, however: nobody forges that address, nor its source (an
 * IPv4 address, an IPv6 /64). For a while sessions from there are told from a flood.
 */
void turbo_endpoint_prove(struct turbo_endpoint *endpoint, turbo_time now,
                          const struct turbo_address *peer);
bool turbo_endpoint_is_proven(const struct turbo_endpoint *endpoint, turbo_time now,
                              const struct turbo_address *peer);
/*
 * A TCP connection from `peer` has been accepted, and has not said anything yet. Sessions of the
 * Sandwich dialect from the same address, which begin at about the same time, may be sent the whole
 * of their flight now (protocol §11.7e): poll datagrams.
 */
void turbo_endpoint_accepted(struct turbo_endpoint *endpoint, turbo_time now,
                             const struct turbo_address *peer);
/*
 * Who opens a TCP connection. Only ids that `from` itself has sent, at whatever port, are waited
 * for: else anybody could send one that begins like what other clients say (protocol §5.2).
 */
struct turbo_opener {
    const struct turbo_endpoint *endpoint;
    const struct turbo_address *from; /* NULL: not known, so that any id counts */
};
/* A turbo_prefix_known for turbo_opening_push; `owner` is a turbo_opener. */
enum turbo_prefix turbo_opener_prefix_known(void *owner, const uint8_t *bytes, size_t length);
/* The same with the endpoint as `owner`, and any id. */
enum turbo_prefix turbo_endpoint_prefix_known(void *owner, const uint8_t *bytes, size_t length);

/* ---- sessions ---- */

void turbo_server_set_user(struct turbo_server *session, void *user);
void *turbo_server_user(const struct turbo_server *session);
const struct turbo_client_hello *turbo_server_hello(const struct turbo_server *session);
/* Where the session was heard last: the client's address. */
struct turbo_path turbo_server_path(const struct turbo_server *session);
bool turbo_server_joined(const struct turbo_server *session);
struct turbo_id turbo_server_id(const struct turbo_server *session);
/*
 * The address it was heard from last was told to the TLS server, or decided the way that it takes:
 * whoever joins it must come from there, and requests from elsewhere are not heard any more
 * (protocol §7.4).
 */
void turbo_server_vouch(struct turbo_server *session);

/*
 * Sandwich dialect: TCP has joined, and the client's handshake has not come whole by UDP. TCP's C→S
 * bytes go behind it: leave them unread until TURBO_EVENT_MORE; ENDED comes where it takes too
 * long.
 */
bool turbo_server_awaits_udp(const struct turbo_server *session);
/* Meanwhile: S→C bytes that went straight to TCP. They tell that the handshake is over, where its
 * records do not. */
void turbo_server_answered(struct turbo_server *session, turbo_time now, const uint8_t *data,
                           size_t length);

/* C→S bytes that UDP brought, for the TLS server. */
size_t turbo_server_peek(const struct turbo_server *session, const uint8_t **data);
void turbo_server_consume(struct turbo_server *session, size_t length);
/* How many S→C bytes turbo_server_push would take now. */
size_t turbo_server_room(const struct turbo_server *session);
/* S→C bytes from the TLS server. Returns how many were taken; 0: full, or joined. */
size_t turbo_server_push(struct turbo_server *session, turbo_time now, const uint8_t *data,
                         size_t length);
/* The TLS server's end: kept like bytes, for TCP to deliver (protocol §7.2). */
void turbo_server_push_end(struct turbo_server *session, enum turbo_end end);
enum turbo_end turbo_server_end(const struct turbo_server *session);
/* There is no TLS server to be had: tell the client. Release the session after. */
void turbo_server_refuse(struct turbo_server *session);

/* S→C bytes for TCP, after the join. */
size_t turbo_server_tcp_peek(const struct turbo_server *session, const uint8_t **data);
void turbo_server_tcp_consume(struct turbo_server *session, size_t length);
/* How many C→S bytes on TCP are a repetition of what UDP brought. */
size_t turbo_server_replay_left(const struct turbo_server *session);
/* Compares such bytes, at most replay_left. False: they differ; reset both ends. */
bool turbo_server_replay(struct turbo_server *session, const uint8_t *data, size_t length);

struct turbo_server_report {
    enum turbo_dialect dialect;
    enum turbo_outcome outcome;
    enum turbo_reason reason;
    turbo_time first_response_us; /* first request to first response; 0: none */
    turbo_time joined_us;         /* first response to TCP's opening: the round trip; 0: not
                                     known */
};

struct turbo_server_report turbo_server_report(const struct turbo_server *session);
/* Ends the session; its id is remembered as ended. The pointer is void afterwards. */
void turbo_server_release(struct turbo_server *session, turbo_time now);

#endif
