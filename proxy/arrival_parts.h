/*
 * What the two parts of arrivals share: arrival.c, one of them; arrivals.c, what happens to many.
 */
#ifndef PROXY_ARRIVAL_PARTS_H
#define PROXY_ARRIVAL_PARTS_H

#include <ev.h>

#include "proxy/arrival.h"
#include "proxy/connection.h"
#include "turbo/opening.h"
#include "turbo/server.h"

enum { ARRIVAL_TAG = 0x41727269 /* "Arri" */ };

struct arrival {
    uint32_t tag;
    struct worker *worker;
    struct connection connection;
    struct arrival *next, *previous;
    int fd;
    uint8_t *bytes; /* all that came, less a tombstone that starts afresh */
    size_t length, capacity;
    struct turbo_opening opening;
    bool header_due; /* a PROXY header comes first */
    bool spoke;      /* something was read */
    bool afresh;     /* after a tombstone for nothing consumed: the stream follows, no other */
    bool only_joins; /* a session: the listener was leaving, or full */
    enum turbo_reason otherwise;     /* if it does not: it is reset */
    struct side *trial;              /* connected before the client has spoken */
    struct upstream *trial_upstream; /* to this one; held by the generation */
    ev_io io;
    ev_timer timeout, sniff;
};

/* NULL: it is not a turbo listener's. */
struct turbo_endpoint *arrival_endpoint(const struct arrival *arrival);
/* Frees it, but for what was taken out of it: its socket and its connection. */
void arrival_dismiss(struct arrival *arrival);
/* It leads nowhere. It is a connection all the same, and has its access line. */
void arrival_end(struct arrival *arrival, enum turbo_reason reason, bool reset);

#endif
