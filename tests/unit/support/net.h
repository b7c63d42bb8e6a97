/*
 * A client session and an endpoint, joined by a network in virtual time, with an app and a TLS
 * server that know nothing of it. One run is one connection; a plan says what befalls it.
 *
 * The app sends a ClientHello, waits for the whole flight, sends its answer and reads the reply.
 * While it runs, it is asserted that both ends receive nothing but the right bytes in the right
 * order, and that no address gets more datagrams than it sent, nor more than three times the bytes
 * (protocol §12.1, 12.4).
 */
#ifndef TEST_NET_H
#define TEST_NET_H

#include "tests/unit/support/dialer.h"
#include "tests/unit/support/edge.h"
#include "turbo/opening.h"

#define NET_ONE_WAY (50 * TURBO_MILLISECOND)
#define NET_ALL     UINT64_MAX

struct net_plan {
    size_t hello; /* bytes of the ClientHello; the other ones count after it */
    size_t flight, answer, reply;
    unsigned pieces;      /* the flight leaves the TLS server in so many pieces, 2 ms apart */
    turbo_time app_start; /* when the app sends its ClientHello */
    turbo_time tcp_up;    /* when TCP is up; 0: after a round trip */
    bool always;

    /* What happens to datagram i of a direction: bit i. */
    uint64_t lose_requests, lose_responses;
    uint64_t repeat_requests, repeat_responses;
    uint64_t delay_requests, delay_responses;
    turbo_time delay;    /* how much longer delayed datagrams take */
    uint64_t other_port; /* requests that come from another port */

    bool no_room;            /* the endpoint refuses new sessions */
    bool no_server;          /* the first connection to the TLS server cannot be made */
    enum turbo_end end;      /* how the TLS server ends: */
    bool end_with_flight;    /*   with its flight, not after its reply */
    bool half_close;         /* the app sends FIN behind its answer */
    turbo_time app_reset;    /* when the app gives up; 0: never */
    turbo_time edge_restart; /* when the edge loses its state; 0: never */
    size_t segment;          /* how the edge's TCP is cut when it is read; 0: as it comes */
};

struct net_result {
    size_t app_got, server_got;
    enum turbo_end app_end, server_end; /* what they were told */
    unsigned servers;                   /* connections that got bytes of the ClientHello */
    turbo_time app_flight_at;           /* when the app had the flight */
    turbo_time server_answer_at;        /* when the TLS server had the answer; 0: never */
    unsigned requests, responses;       /* that left */
    struct turbo_client_report client;
    struct turbo_endpoint_counters edge;
};

/* A small ClientHello, a flight of three chunks, an answer and a reply. */
struct net_plan net_usual(void);
struct net_result net_run(const struct net_plan *plan);

#endif
