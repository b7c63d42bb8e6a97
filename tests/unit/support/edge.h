/*
 * An endpoint under test: its clients, its TLS servers and the clock are in the test's hands.
 */
#ifndef TEST_EDGE_H
#define TEST_EDGE_H

#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"
#include "turbo/server.h"
#include "turbo/wire.h"

enum {
    EDGE_SESSIONS = 4,
    EDGE_ENDED = 16,
    EDGE_S2C_STREAM = 91, /* check_byte's number for S→C bytes */
};

struct edge {
    void *memory;
    struct turbo_endpoint *endpoint;
    size_t alive; /* sessions whose memory is taken */
    bool starved; /* no memory is given */
};

void edge_start(struct edge *e, uint32_t sessions_max, uint32_t ended_max);
/* With these limits; the rest of it is filled in. */
void edge_start_with(struct edge *e, const struct turbo_endpoint_config *limits);
/* Ends the endpoint; the memory of every session must be back then. */
void edge_stop(struct edge *e);

struct turbo_id edge_id(const struct hello *hello);
void edge_datagram(struct edge *e, turbo_time now, const struct turbo_path *path,
                   const struct turbo_datagram *request);
/* Request `sequence` of `hello`, cut at 1184 bytes; beyond its end an empty one. */
void edge_request(struct edge *e, turbo_time now, const struct turbo_path *path,
                  const struct turbo_id *id, const struct hello *hello, uint32_t sequence);
void edge_abort(struct edge *e, turbo_time now, const struct turbo_id *id);
/* A session with this ClientHello has come whole and was handed out. */
struct turbo_server *edge_session(struct edge *e, turbo_time now, const struct hello *hello);

/* No event, or one of this kind, which is for the session returned. */
void edge_assert_no_event(struct edge *e);
struct turbo_server *edge_event(struct edge *e, enum turbo_event event);

/* The TLS server sends bytes from..from+length of its stream; returns how many were taken. */
size_t edge_push(struct turbo_server *session, turbo_time now, size_t from, size_t length);
/* Polls one datagram; 0: none. `out` is valid until the next call. */
size_t edge_poll(struct edge *e, turbo_time now, struct turbo_datagram *out,
                 struct turbo_path *path);
size_t edge_poll_all(struct edge *e, turbo_time now);
/* What TCP gets is the stream from `from` on, `length` bytes. */
void edge_assert_tcp(const struct turbo_server *session, size_t from, size_t length);

enum turbo_join edge_tombstone(struct edge *e, turbo_time now, const struct turbo_id *id,
                               bool replay, uint32_t n, struct turbo_server **session);

#endif
