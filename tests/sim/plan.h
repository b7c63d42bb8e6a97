/*
 * What befalls a run, all of it decided before it begins: the network, both scripts, the server
 * end's limits. A plan is drawn from a seed (scenario.c) or written out (exhaustive.c).
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "turbo/turbo.h"

enum { CONNECTIONS_MAX = 12, STAGES_MAX = 6 };

#define LINK_ALL UINT32_MAX

/* Chances are per mille. */
struct link_plan {
    turbo_time delay, jitter;
    uint32_t loss, duplicate, reorder, truncate;
    uint32_t stale;                    /* comes once more, many seconds later */
    uint32_t burst_begins, burst_ends; /* within a burst three of four are lost (Gilbert-Elliott) */
    uint64_t lost;                     /* bit i: datagram i is lost */
    uint32_t passes;                   /* a firewall lets so many through */
    uint32_t corrupt, forge;           /* bits flipped; an id that nobody has */
};

/* One TCP connection's fate; see tcp.h for how the draw makes runs comparable. */
struct tcp_plan {
    uint64_t draw;
    turbo_time delay, jitter; /* one way */
    uint32_t syn_loss, loss;
    uint32_t window; /* bytes on their way at most */
    uint32_t cut;    /* a read brings at most so many bytes; 0: as it comes */
    bool unreachable;
};

/* What one TLS end does: stage after stage. */
struct stage {
    size_t after;     /* when so many bytes have come */
    turbo_time think; /* and so much later */
    size_t send;      /* it sends so many more */
};

struct script {
    struct stage stages[STAGES_MAX];
    size_t count;
    bool end_at_once;      /* FIN behind the last stage; else not before the peer's FIN has come */
    size_t total;          /* bytes of all stages */
    turbo_time reads_from; /* it reads nothing for so long after its start */
    turbo_time abort_at;   /* resets the connection so long after its start; 0: never */
    size_t abort_after;    /* … when so many bytes have come; 0: never */
};

/* What an upstream's first address is, when it has two. */
enum host {
    HOST_ALIVE,
    HOST_REFUSES,  /* TCP */
    HOST_SILENT,   /* nobody is there */
    HOST_UDP_ONLY, /* the server end's, but something on the way eats TCP */
};

struct connection_plan {
    uint64_t seed;
    turbo_time start;
    size_t hello;  /* bytes of the ClientHello; 0: the app waits for the server to speak */
    size_t record; /* content bytes of its records */
    bool ccs;      /* the app sends ChangeCipherSpec before it answers */
    bool retry;    /* the TLS server asks for a second ClientHello */
    bool pauses;   /* within its flight */
    bool always;   /* requests even though TCP is up */
    struct script app, server;
    turbo_time dial;    /* the server end takes so long to reach the TLS server */
    unsigned no_server; /* its first so many attempts fail */
    unsigned host;      /* which client address */
    bool ipv6;
    struct link_plan requests, responses;
    bool udp_unreachable; /* ICMP answers requests */
    unsigned nat_every;   /* a NAT gives another port every so many requests; 0: never */
    bool nat_drops;       /* and what comes to the old one is lost */
    struct tcp_plan tcp;
    enum host dead_address; /* of the first of two addresses; HOST_ALIVE: there is one */
    bool hostile;           /* its datagrams are corrupted: it may fail, nobody else may */
};

struct edge_plan {
    uint32_t sessions_max, ended_max, rate, source_rate, site_rate, refusal_rate, pending_max;
    uint32_t memory_sessions; /* memory for so many sessions */
    uint32_t starved;         /* per mille: no memory is given */
    turbo_time sniff;         /* 0: no sniff timeout */
    bool eager;               /* it answers each datagram before it looks at the next */
    turbo_time restart_at;    /* all state is lost; 0: never */
    turbo_time drain_at;      /* 0: never */
};

struct plan {
    uint64_t seed;
    const char *name; /* of the scenario */
    unsigned scenario;
    size_t count;
    struct connection_plan connections[CONNECTIONS_MAX];
    struct edge_plan edge;
};

#endif
