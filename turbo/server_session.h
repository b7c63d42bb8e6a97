/*
 * What endpoint.c and server.c share: the two structures, and the session's entry points.
 * The endpoint finds sessions and owns the queues; the session knows the protocol of one.
 */
#ifndef TURBO_SERVER_SESSION_H
#define TURBO_SERVER_SESSION_H

#include "turbo/admission.h"
#include "turbo/budget.h"
#include "turbo/flight_end.h"
#include "turbo/queue.h"
#include "turbo/reassembly.h"
#include "turbo/retained.h"
#include "turbo/server.h"
#include "turbo/session_map.h"
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

    struct retained s2c;
    size_t s2c_tcp; /* offset of the next byte for TCP; set by the join */
    enum turbo_end s2c_end;
    struct flight_end flight;
    bool flush; /* a partial chunk may leave */
    bool quiet; /* nothing more seems to come: parity, and permits to spare repeat chunks */
    uint32_t next_repeat; /* chunk number - 1 */
    bool parity_sent;

    struct queue_node life;  /* in endpoint->pending or ->answered */
    struct queue_node hold;  /* in endpoint->holding */
    struct queue_node still; /* in endpoint->ending or ->stilling: quiet begins when due */
    struct queue_node send;  /* in endpoint->sending */
    struct queue_node event; /* in endpoint->events */
};

struct orphan {
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

struct turbo_endpoint {
    struct turbo_endpoint_config config;
    struct turbo_endpoint_counters counters;
    struct session_map sessions;
    struct session_map ended;
    struct admission *admission;
    turbo_time refusals_paid_at; /* the rate limit of REFUSED */
    turbo_time ended_overflow;   /* an ended id found no room, the last time; 0: never */
    uint32_t drafts; /* pending sessions whose id has not, or not yet, proved to be a hash */
    bool draining;
    struct queue pending, answered, joined; /* each session is in one of them, by age */
    struct queue holding, ending, stilling, sending, events;
    struct refusal refusals[REFUSALS_MAX];
    uint8_t refusal_count;
    struct orphan *orphans;
};

/* Sets up a session in `s`, which is followed by its buffers. */
void server_begin(struct turbo_server *s, struct turbo_endpoint *endpoint, turbo_time now,
                  const struct turbo_id *id);
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
/* C→S bytes that UDP brought and that count. */
size_t server_c2s_bytes(const struct turbo_server *s);

/* Takes it out of every queue but that of events. */
void server_leave_timers(struct turbo_server *s);

/* Queues a REFUSED, or counts that there is no room for it. */
void endpoint_refuse(struct turbo_endpoint *e, enum turbo_limit limit, const struct turbo_id *id,
                     const struct turbo_path *path);
/* Ends sessions the caller has not seen; tells it about the others. */
void endpoint_session_ended(struct turbo_server *s, turbo_time now);

#endif
