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

/* Small, since every connection has one for as long as it lasts: what can be told at the end from
 * what the connection holds anyway is not in it. Times of more than 71 minutes are told as that. */
struct access {
    struct address client;
    char *server_name;        /* from the ClientHello; NULL: none seen, or nobody wants it */
    char *requested;          /* HOST:PORT that the client has asked for; NULL: it has not */
    turbo_time started;       /* accepted, or first datagram */
    turbo_time first_request; /* first C→S byte; 0: none */
    uint64_t bytes_c2s, bytes_s2c;
    /* What the client waited for, from its first byte on: the first S→C byte, and its own first
     * byte after that. 0: it never came, or the server spoke first. */
    uint32_t first_response_us, first_answer_us;
    uint32_t
        rtt_us; /* TurboTLS leg: to a turbo upstream, else the accepted connection; 0: unknown */
    uint8_t outcome; /* enum turbo_outcome */
    uint8_t reason;  /* enum turbo_reason, like the next */
    uint8_t cut;     /* NONE: it was not */
    /* What the listener saw; counts where the sides have nothing to say. */
    uint8_t listener_outcome, listener_reason;
    bool is_tls;   /* it was placed by its ClientHello */
    bool sandwich; /* the client began by UDP, in this dialect */
};

/* What a connection knows of where it came from and went; NULL: it got no further. */
struct access_names {
    const char *listener;
    const char *route;
    const char *upstream;
    const char *server; /* of the upstream: "tcp:192.0.2.1:443" */
};

void access_init(struct access *access, const struct address *client, turbo_time now);
/* Bytes went to the server end (C→S) or to the client end (S→C). */
void access_count_c2s(struct access *access, turbo_time now, size_t bytes);
void access_count_s2c(struct access *access, turbo_time now, size_t bytes);
/* Copied. */
void access_add_requested(struct access *access, const char *requested);
/* The first one that knows wins; the name is kept where `log` is going to have it. */
void access_add_hello(struct access *access, const struct turbo_client_hello *hello,
                      const struct log *log);
/* The client began by UDP, and so it spoke. */
void access_add_dialect(struct access *access, enum turbo_dialect dialect);
void access_add_rtt(struct access *access, uint64_t rtt_us);
/* Is the round trip not known yet, and does somebody want to know: `log`, or stats_ended? */
bool access_wants_rtt(const struct access *access, const struct log *log);
void access_add_outcome(struct access *access, enum turbo_outcome outcome,
                        enum turbo_reason reason);
/* It is cut while under way: its outcome stays, or is still told by a side; this is the reason. */
void access_cut(struct access *access, enum turbo_reason reason);
/* It came to nothing, whatever the sides may say. */
void access_fail(struct access *access, enum turbo_reason reason);
/* Writes the line and frees what the record owns; its numbers stay, for stats_ended. */
void access_end(struct access *access, const struct access_names *names, struct log *log,
                turbo_time now);
/* Frees what the record owns, without a line. */
void access_free(struct access *access);

#endif
