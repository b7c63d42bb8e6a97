/*
 * The access record: what became of one connection, written as one log line at its end.
 */
#ifndef PROXY_OPS_ACCESS_H
#define PROXY_OPS_ACCESS_H

#include "proxy/ops/log.h"
#include "tunnel/net/address.h"
#include "turbo/client_hello.h"
#include "turbo/outcome.h"
#include "turbo/turbo.h"

struct access {
    struct address client;
    /* Not the record's: of the listener and the configuration that the connection holds. */
    const char *listener; /* its name */
    const char *route;    /* NULL: none was chosen */
    const char *upstream;
    char *server;        /* of the upstream: "tcp:192.0.2.1:443"; NULL: none was connected to */
    char *server_name;   /* from the ClientHello; NULL: none seen */
    char *requested;     /* HOST:PORT that the client has asked for; NULL: it has not */
    const char *dialect; /* of a client that began by UDP: "sandwich"; NULL: profile 1, or TCP */
    enum turbo_outcome outcome;
    enum turbo_reason reason;
    enum turbo_reason cut; /* NONE: it was not */
    /* What the listener saw; counts where the sides have nothing to say. */
    enum turbo_outcome listener_outcome;
    enum turbo_reason listener_reason;
    uint64_t
        rtt_us; /* TurboTLS leg: to a turbo upstream, else the accepted connection; 0: unknown */
    turbo_time started;        /* accepted, or first datagram */
    turbo_time first_request;  /* first C→S byte; 0: none */
    turbo_time first_response; /* first S→C byte; 0: none */
    turbo_time first_answer;   /* first C→S byte after that; 0: none */
    uint64_t bytes_c2s, bytes_s2c;
};

void access_init(struct access *access, const struct address *client, const char *listener,
                 const char *upstream, turbo_time now);
/* Once they are known; `upstream` may be NULL in access_init. */
void access_add_route(struct access *access, const char *route, const char *upstream);
/* Copied. The last one is the one that served. */
void access_add_server(struct access *access, const char *server);
/* Bytes went to the server end (C→S) or to the client end (S→C). */
void access_count_c2s(struct access *access, turbo_time now, size_t bytes);
void access_count_s2c(struct access *access, turbo_time now, size_t bytes);
/* Copied. */
void access_add_requested(struct access *access, const char *requested);
/* The first one that knows wins. */
void access_add_hello(struct access *access, const struct turbo_client_hello *hello);
/* The client began by UDP, and so it spoke. */
void access_add_dialect(struct access *access, enum turbo_dialect dialect);
void access_add_rtt(struct access *access, uint64_t rtt_us);
void access_add_outcome(struct access *access, enum turbo_outcome outcome,
                        enum turbo_reason reason);
/* It is cut while under way: its outcome stays, or is still told by a side; this is the reason. */
void access_cut(struct access *access, enum turbo_reason reason);
/* It came to nothing, whatever the sides may say. */
void access_fail(struct access *access, enum turbo_reason reason);
/* Writes the line and frees what the record owns; its numbers stay, for stats_ended. */
void access_end(struct access *access, struct log *log, turbo_time now);
/* Frees what the record owns, without a line. */
void access_free(struct access *access);

/* What the client waited for: microseconds from the first C→S byte on. 0: it never came. */
uint64_t access_first_response_us(const struct access *access);
uint64_t access_first_answer_us(const struct access *access);

#endif
