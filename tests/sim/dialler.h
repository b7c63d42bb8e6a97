/*
 * The client end of a connection: what proxy/sides/turbo_client.c and the relay do around a
 * turbo_client, with the app on the other side. In a classic run, or when the session has settled,
 * bytes go from the app to TCP and back.
 */
#ifndef SIM_DIALLER_H
#define SIM_DIALLER_H

#include "tests/sim/clock.h"
#include "turbo/client.h"
#include "turbo/learned.h"

struct connection;
struct datagram;
struct tcp;

struct dialler {
    struct connection *connection;
    struct turbo_client *session; /* NULL: settled, over, or a classic run */
    struct turbo_client_config config;
    struct turbo_client_report report; /* of the session that was */
    turbo_time started;
    unsigned address;        /* which of the upstream's is being tried */
    struct tcp *attempts[2]; /* NULL: none (any more) */
    unsigned tried;          /* connects to this address */
    struct tcp *tcp;         /* that came up */
    struct alarm alarm;
    unsigned requests;
    bool udp_open, opened;
    bool end_pushed, fin_sent, app_told;

    bool over;
};

void dialler_init(struct dialler *dialler, struct connection *connection);
/* These are happenings, and have a dialler as their owner. */
/* The app connects: the SYN leaves. */
void dialler_start(void *owner, uint64_t unused);
/* The app has something to say, or has given up. */
void dialler_wake(void *owner);
void dialler_datagram(void *owner, const struct datagram *datagram);
/* ICMP: nobody listens there. */
void dialler_unreachable(void *owner, uint64_t unused);

#endif
