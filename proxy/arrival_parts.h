/*
 * What the parts of arrivals share: arrival.c, one of them, from stage to stage; arrival_prelude.c,
 * what it says before TLS; arrival_request.c, where it wants to go; arrival_opening.c, what its
 * first bytes are; arrival_move.c, from one worker to another; arrivals.c, what happens to many.
 */
#ifndef PROXY_ARRIVAL_PARTS_H
#define PROXY_ARRIVAL_PARTS_H

#include <ev.h>

#include "proxy/arrival.h"
#include "proxy/connection.h"
#include "proxy/sides/side.h"
#include "turbo/opening.h"
#include "turbo/server.h"

struct resolver_query;
struct server;
struct talk;

enum { ARRIVAL_TAG = 0x41727269 /* "Arri" */ };

/* What comes next of a connection, in this order. */
enum arrival_stage {
    ARRIVAL_HEADER,   /* a PROXY header, where one is due */
    ARRIVAL_REQUEST,  /* where the client wants to go, where the listener asks */
    ARRIVAL_STARTTLS, /* what leads to STARTTLS, where the listener speaks it */
    ARRIVAL_OPENING,  /* TLS, a tombstone, or something else */
    ARRIVAL_LEAVING,  /* it has been told why it leads nowhere: until the client has gone */
};

struct arrival {
    struct side_owner owner; /* of `far` */
    uint32_t tag;
    struct worker *worker;
    struct connection connection;
    struct connection_asked asked; /* the connection's */
    struct arrival *next, *previous;
    int fd;
    uint8_t *bytes; /* all that came, less a tombstone that starts afresh */
    size_t length, capacity;
    struct turbo_opening opening;
    enum arrival_stage stage;
    bool spoke;      /* something was read */
    bool at_home;    /* no other worker has its session, if there is one */
    bool stayed;     /* though its id may be another worker's: no session waits anywhere */
    bool afresh;     /* after a tombstone for nothing consumed: the stream follows, no other */
    bool only_joins; /* a session: the listener was leaving, or full */
    bool only_tls;   /* behind STARTTLS */
    const char *only_alpn;         /* and must offer this; NULL: any */
    enum turbo_reason otherwise;   /* if it does not: it is reset */
    struct talk *talk;             /* of the stage; NULL: none */
    struct resolver_query *query;  /* for the host asked for; NULL: none is under way */
    struct resolver_query *record; /* the same for what discovery will ask for, so that the answers
                                      come together */
    struct side *far;              /* connected, or being, before the client has spoken */
    struct upstream *far_upstream; /* to this one; held by the generation */
    struct server *server;         /* that it was connected to when it reported; held; NULL: none */
    ev_io io;
    ev_timer timeout, sniff;
};

/* NULL: it is not a turbo listener's. */
struct turbo_endpoint *arrival_endpoint(const struct arrival *arrival);
/* It is none of its worker's any more; its socket, its connection and its bytes are left. */
void arrival_leave(struct arrival *arrival);
/* The same, and frees it, but for what was taken out of it: its socket and its connection. */
void arrival_dismiss(struct arrival *arrival);
/* It leads nowhere. It is a connection all the same, and has its access line. */
void arrival_end(struct arrival *arrival, enum turbo_reason reason, bool reset);
/* From now on it has only the time that is for reading an answer. */
void arrival_limit_leaving(struct arrival *arrival);

/* ---- arrival.c ---- */

/* A new one of `listener`, which takes over `fd`. NULL: out of memory, and `fd` is reset. */
struct arrival *arrival_create(struct listener *listener, int fd);
/* Its connection is set: it is one of the worker's from now on. */
void arrival_begin(struct arrival *arrival);
/* From now on `wake` hears of the far side. */
void arrival_heed_far(struct arrival *arrival, void (*wake)(struct side_owner *owner));
/* What the far side knows goes into the record. */
void arrival_report_far(struct arrival *arrival);
/* It goes nowhere: the far side is destroyed, and names are no longer asked for. */
void arrival_drop_plans(struct arrival *arrival);
/* The stage is over. May end the arrival. */
void arrival_next_stage(struct arrival *arrival);
/* The stage has left `rest` of what it read, and behind it the last `unread` bytes of what came
 * before it: both belong to the next. False: out of memory. */
bool arrival_keep(struct arrival *arrival, const uint8_t *rest, size_t length, size_t unread);
/* The client's connection, and what it has asked for, go to a relay. */
void arrival_become_relay(struct arrival *arrival, enum turbo_outcome outcome,
                          enum turbo_reason reason);
/* The first `length` bytes have been dealt with. */
void arrival_drop_front(struct arrival *arrival, size_t length);

/* ---- arrival_opening.c ---- */

/* Looks at the bytes from `from` on: what are they? May end the arrival. */
void arrival_judge(struct arrival *arrival, size_t from);
/* The same once that is known. */
void arrival_act(struct arrival *arrival);
/* NULL: it has none, or not all of it is there. */
const struct turbo_client_hello *arrival_hello(const struct arrival *arrival);

/* ---- arrival_move.c ---- */

/*
 * As far as it has come, does it belong to another worker, which has the session of its id if there
 * is one? Then it has gone there, and is no more here.
 */
bool arrival_moves(struct arrival *arrival);
/*
 * It is classic, and served here though another worker may have its id: whoever has it hears that
 * UDP can start no session with it. False: here one has to look for a session.
 */
bool arrival_goes_on_here(struct arrival *arrival);
/* It may not be judged yet: one byte more will tell whose it is. */
bool arrival_is_undecided(const struct arrival *arrival);

/* ---- arrival_prelude.c ---- */

/* Speaks it at this stage. May end the arrival. */
void arrival_speak(struct arrival *arrival, const struct prelude_part *part);
/* Goes on with it: the socket is ready, or the request is answered. May end the arrival. */
void arrival_converse(struct arrival *arrival);

/* ---- arrival_request.c ---- */

/* The prelude has told where the client wants to go. May end the arrival. */
void arrival_asked(struct arrival *arrival);
/* As long as there is no answer: the time for it is over. False: nothing was asked for. */
bool arrival_answer_late(struct arrival *arrival);
/* An address that it was redirected from. False: it was not, and has been ended. */
bool arrival_find_destination(struct arrival *arrival);

#endif
