/*
 * What the harness of fuzz_server.c knows of an endpoint's sessions, told by nobody but itself:
 * accounts of datagrams, the streams of each session, which ids must not start another, and how
 * many sessions and refusals a second there may be.
 */
#ifndef FUZZ_SERVED_H
#define FUZZ_SERVED_H

#include "tests/fuzz/support.h"
#include "turbo/server_session.h"

enum { SESSIONS = 5, ENDED = 6, ACCOUNTS_MAX = 4096, REMEMBERED_MAX = 4096 };

/* Clients: a stream each, sent in chunks under an id. The last ones have random ids, as drafts. */
enum { CLIENTS = 6, FIRST_DRAFT = 4, BEHIND_HELLO = 200 };

struct client {
    uint8_t stream[20 * 1024];
    size_t hello, length, chunk;
    struct turbo_id id;
};

extern struct client clients[CLIENTS];

void clients_make(void);
/* Request `sequence` of its stream; empty behind it. Returns its length. */
size_t client_request(const struct client *c, uint32_t sequence,
                      uint8_t out[static TURBO_DATAGRAM_MAX]);

/* S→C: noise, or for every other session small TLS records, every second as long as a Finished. */
uint8_t model_s2c(unsigned stream, size_t at);

/* A session that was handed out, until it is released. */
struct served {
    struct turbo_server *session;
    struct turbo_id id;
    unsigned stream;                        /* S→C: model_s2c's */
    uint32_t chunk_count;                   /* sent so far */
    size_t chunk_end[TURBO_CHUNKS_MAX + 1]; /* of each, once it was sent */
    size_t pushed, tcp_from, tcp_taken;     /* S→C bytes */
    turbo_time pushed_at;                   /* the last of them */
    turbo_time uncut_at;                    /* the first of those in no chunk yet */
    bool parity_sent;
    bool seemed_complete; /* since uncut_at */
    uint8_t *c2s;         /* as seen by peek */
    size_t c2s_length, c2s_taken, replayed;
    bool joined, over;
};

/* One address of one id: requests that could have earned, responses that were sent. */
struct account {
    struct turbo_id id;
    struct turbo_path path;
    uint32_t requests, responses;
    size_t request_bytes, response_bytes;
};

struct remembered {
    struct turbo_id id;
    turbo_time since;
};

/*
 * A rate as credit: one second's worth at most, spent by each and earned by time. (The endpoint
 * keeps the time at which all is paid for.)
 */
struct credit {
    uint32_t per_second;
    turbo_time at, saved;
};

/* Addresses of clients: ports of one IPv4 address, IPv6 addresses of one /64 and of one /48, … */
enum { ADDRESSES = 8, SOURCES = 6, SITES = 2 };

struct edge_model {
    struct turbo_endpoint *endpoint;
    turbo_time now;
    unsigned alive, streams; /* blocks acquired and not released; sessions served */
    bool no_memory, draining;
    struct credit rate, sources[SOURCES], sites[SITES], refusals;
    uint64_t parities, refused;
    struct served served[SESSIONS];
    struct account accounts[ACCOUNTS_MAX];
    size_t account_count;
    struct remembered remembered[REMEMBERED_MAX];
    size_t remembered_count;
};

struct turbo_path model_path(unsigned address);
/* All credit there can be, for the rates of `config`. */
void model_rates(struct edge_model *m, const struct turbo_endpoint_config *config);
/* A datagram from `address` has changed the counters: a session began, or was limited, rightly. */
void model_admission(struct edge_model *m, unsigned address,
                     const struct turbo_endpoint_counters *before, unsigned alive_before);

/* A datagram is about to be given to the endpoint. */
void model_request(struct edge_model *m, const struct turbo_path *path, const uint8_t *data,
                   size_t length);
/* A datagram came out. */
void model_response(struct edge_model *m, const struct turbo_path *path, const uint8_t *data,
                    size_t length);

/* NEW. */
struct served *model_serve(struct edge_model *m, struct turbo_server *session);
struct served *model_find(struct edge_model *m, const struct turbo_id *id);
/* The TLS server has sent `length` bytes, and they were taken. */
void model_push(struct edge_model *m, struct served *s, size_t length);
/* TCP took over behind chunk `consumed`. */
void model_join(struct served *s, uint32_t consumed);
/* A TCP connection comes with this stream, the first `cut` bytes by themselves. */
void model_open_tcp(struct edge_model *m, const uint8_t *stream, size_t length, size_t cut);
/* Looks at everything the session shows. */
void model_check(const struct served *s);
/* The session was released. */
void model_forget(struct edge_model *m, struct served *s);
/* From now on no datagram may start a session of this id. */
void model_remember(struct edge_model *m, const struct turbo_id *id);

#endif
