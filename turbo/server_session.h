/*
 * What the parts of the server end share. The endpoint finds sessions and owns the queues:
 * endpoint.c for datagrams and time, endpoint_openings.c for TCP. A session knows the protocol of
 * one: server.c is what happens to it, folded into events; server_machine.c is what an event does,
 * as a table; server_sandwich.c is what differs in the Sandwich dialect.
 */
#ifndef TURBO_SERVER_SESSION_H
#define TURBO_SERVER_SESSION_H

#include "turbo/admission.h"
#include "turbo/budget.h"
#include "turbo/client_flight.h"
#include "turbo/flight_end.h"
#include "turbo/queue.h"
#include "turbo/reassembly.h"
#include "turbo/retained.h"
#include "turbo/server.h"
#include "turbo/session_map.h"
#include "turbo/unmarked.h"
#include "turbo/wire.h"

enum server_state {
    SERVER_GATHERING, /* the ClientHello is not complete */
    SERVER_READY,     /* it is; no response was sent yet */
    SERVER_ANSWERED,  /* responses were sent: never evicted, kept for TCP */
    SERVER_JOINED,    /* TCP goes on; UDP is over */
    SERVER_ENDED,     /* expired, aborted, malformed or refused */
};

struct turbo_server {
    struct turbo_endpoint *endpoint;
    void *user;
    enum turbo_dialect dialect;
    enum server_state state;
    bool accepted; /* handed out as NEW */
    bool aborted;  /* by the client */
    bool vouched;  /* joined from `vouched_for` only */
    bool hashed;   /* the id is the ClientHello's hash: this profile, adoptable */
    struct turbo_id id;
    struct turbo_path path;
    struct turbo_address vouched_for;
    struct turbo_client_hello hello;
    struct turbo_server_report report;
    turbo_time created_at, answered_at;

    struct reassembly c2s;
    size_t c2s_parsed, c2s_consumed, c2s_replayed;
    size_t c2s_replay_end; /* how much TCP repeats; set by the join */
    struct budget budget;
    struct client_flight client; /* Sandwich: where the client's handshake ends */
    size_t c2s_watched;          /* so much of C→S it has seen */

    struct retained s2c;
    size_t s2c_tcp; /* offset of the next byte for TCP; set by the join */
    enum turbo_end s2c_end;
    struct flight_end flight;
    bool flush; /* a partial chunk may leave */
    bool quiet; /* nothing more seems to come: parity, and permits to spare repeat chunks */
    uint32_t next_repeat; /* chunk number - 1 */
    bool parity_sent;

    struct queue_node life;  /* in endpoint->pending, ->answered, ->proved or ->joined */
    struct queue_node hold;  /* in endpoint->holding; joined: in ->overtaken */
    struct queue_node still; /* in endpoint->ending or ->stilling: quiet begins when due */
    struct queue_node send;  /* in endpoint->sending */
    struct queue_node event; /* in endpoint->events */
    unmarked_place unmarked; /* in endpoint->unmarked */
};

enum { DIALECTS = TURBO_DIALECT_SANDWICH + 1 };

struct orphan {
    enum turbo_dialect dialect;
    struct turbo_id id;
    struct turbo_path path;
    turbo_time since;
    uint16_t length; /* 0: free */
    uint8_t data[TURBO_DATAGRAM_MAX];
};

struct refusal {
    struct turbo_id id;
    struct turbo_path path;
};

enum { REFUSALS_MAX = 32 }; /* waiting to be sent; more are silent */

/* A TCP connection that has been accepted, as long as it may prove an address. */
struct accepted {
    struct turbo_address peer;
    turbo_time since;
    uint8_t sessions_left; /* that it may still prove it for; 0: none */
};

struct turbo_endpoint {
    struct turbo_endpoint_config config;
    struct turbo_endpoint_counters counters;
    struct session_map sessions;
    struct session_map ended;
    uint64_t memory; /* of the sessions' blocks */
    struct admission *admission;
    turbo_time refusals_paid_at; /* the rate limit of REFUSED */
    turbo_time ended_overflow;   /* an ended id found no room, the last time; 0: never */
    uint32_t drafts;             /* sessions whose id has not, or not yet, proved to be a hash */
    struct unmarked unmarked[DIALECTS]; /* the pending ones of them */
    bool draining;
    /* Each session is in one of these, by age; `proved`: Sandwich, answered, TCP is there. */
    struct queue pending, answered, proved, joined;
    struct queue holding, ending, stilling, overtaken, sending, events;
    struct refusal refusals[REFUSALS_MAX];
    uint8_t refusal_count;
    struct orphan *orphans;
    turbo_time orphans_full_until; /* so that a flood of them costs no search each */
    struct accepted accepted[SANDWICH_ACCEPTED_MAX];
    uint32_t accepted_next;
};

/* ---- server_machine.c ---- */

/* What can happen to a session, with the facts that matter folded in. */
enum server_event {
    EVENT_HELLO_COMPLETE,
    EVENT_MALFORMED, /* the bytes are no ClientHello after all */
    EVENT_RESPONSE_SENT,
    EVENT_JOIN,
    EVENT_ABORT,
    EVENT_EXPIRE,
    EVENT_TOO_LARGE, /* UDP alone may carry the handshake, and cannot */
    EVENT_REFUSE,
    EVENT_COUNT
};

void server_handle(struct turbo_server *s, enum server_event event, turbo_time now);
/* Answered: so long TCP may take. Where a Sandwich client has no TCP connection it has the time of
 * one that was not answered. */
void server_wait_for_tcp(struct turbo_server *s, turbo_time now);

/* ---- server.c ---- */

/* Sets up a session in `s`, which is followed by its buffers. */
void server_begin(struct turbo_server *s, struct turbo_endpoint *endpoint, turbo_time now,
                  enum turbo_dialect dialect, const struct turbo_id *id);
/* A well-formed datagram of this session; `bytes` is its size on the wire. */
void server_request(struct turbo_server *s, turbo_time now, const struct turbo_path *path,
                    const struct turbo_datagram *request, size_t bytes);
/* TCP takes over after `consumed` chunks. False: this session cannot go on that way. */
bool server_join(struct turbo_server *s, turbo_time now, uint32_t consumed, bool replay);
/* The next response, or 0 when permits, budget or bytes are lacking. */
size_t server_poll_datagram(struct turbo_server *s, turbo_time now,
                            uint8_t out[static TURBO_DATAGRAM_MAX], struct turbo_path *path);
void server_hold_over(struct turbo_server *s, turbo_time now);
void server_still(struct turbo_server *s, turbo_time now);
void server_expire(struct turbo_server *s, turbo_time now);
/* Joined, and UDP should have brought the rest of the client's handshake by now. */
void server_overtaken(struct turbo_server *s, turbo_time now);
/* `peer`, at whatever port, is the client's address. */
void server_prove(struct turbo_server *s, turbo_time now, const struct turbo_address *peer);
/* Not joined, and not over. */
static inline bool server_is_pending(const struct turbo_server *s)
{
    return s->state <= SERVER_ANSWERED;
}

static inline bool server_is_sandwich(const struct turbo_server *s)
{
    return s->dialect == TURBO_DIALECT_SANDWICH;
}

/* C→S bytes that UDP brought and that count. */
size_t server_c2s_bytes(const struct turbo_server *s);

/* Takes it out of every queue but that of events. */
void server_leave_timers(struct turbo_server *s);

/* ---- server_sandwich.c ---- */

/* A request was kept: what is in order now? True: more than before, or the handshake is over. */
bool sandwich_advance(struct turbo_server *s);
/* What has come may be the whole handshake of a client that does not end it as others do. */
bool sandwich_may_be_complete(const struct turbo_server *s);
/* UDP may yet bring C→S bytes that count. */
bool sandwich_listens(const struct turbo_server *s);
/* The server has said more than UDP carries, before the client's handshake was over. */
bool sandwich_is_too_large(const struct turbo_server *s);
/* A datagram that belongs to no session: whose is it? False: nobody's. */
bool sandwich_sort(const struct turbo_endpoint *e, struct turbo_datagram *request,
                   const uint8_t *data, size_t length);
/* A TCP connection from this host was accepted a short while ago, and proves it for one session
 * more: that one has been counted. */
bool sandwich_take_accepted(struct turbo_endpoint *e, turbo_time now,
                            const struct turbo_address *peer);

/* ---- endpoint.c ---- */

/* For the endpoint's tables of ids without marks. */
uint64_t endpoint_source(const struct turbo_endpoint *e, const struct turbo_address *peer);
/*
 * The next session of the dialect, from `*at` (0 at first) on, whose id has no marks and begins
 * with these bytes, and that `from` has asked for; NULL: anybody. They come in no order.
 */
struct turbo_server *endpoint_next_unmarked(const struct turbo_endpoint *e, uint32_t *at,
                                            enum turbo_dialect dialect, const uint8_t *bytes,
                                            size_t length, const struct turbo_address *from);
/* NULL: there is none. */
struct turbo_server *endpoint_find(const struct turbo_endpoint *e, const struct turbo_id *id);
/* UDP must not start a connection with this id any more. */
void endpoint_remember_ended(struct turbo_endpoint *e, turbo_time now, const struct turbo_id *id);

/* The caller, which has the session, looks what it has. */
void endpoint_session_has_more(struct turbo_server *s, turbo_time now);
/* Queues a REFUSED, or counts that there is no room for it. */
void endpoint_refuse(struct turbo_endpoint *e, enum turbo_limit limit,
                     const struct turbo_datagram *request, const struct turbo_path *path);
/* Ends sessions the caller has not seen; tells it about the others. */
void endpoint_session_ended(struct turbo_server *s, turbo_time now);

#endif
