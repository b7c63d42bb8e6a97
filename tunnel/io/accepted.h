/*
 * A connection that a listener has accepted: TCP from the start, or a TurboTLS session that begins
 * by UDP and becomes a TCP socket.
 *
 * While there is a session it is its listener's lock that guards it: the listener finds it (join,
 * end) from whatever thread drives it. `session` and `tcp` are the listener's until the join; then
 * its user's alone, under the lock, until the session is settled; then no lock is needed.
 */
#ifndef TUNNEL_IO_ACCEPTED_H
#define TUNNEL_IO_ACCEPTED_H

#include "tunnel/io/descriptor.h"
#include "tunnel/net/address.h"
#include "turbo/server.h"

struct turbo_listener;

struct accepted_io {
    struct tunnel_io base;
    struct turbo_listener *listener; /* held while there is a session; NULL: plain TCP */
    struct turbo_server *session;    /* NULL: there is none any more, or it has ended */
    struct descriptor tcp;           /* none: nobody has joined */
    struct address peer;
    uint8_t *early; /* bytes that TCP has brought while it was an opening */
    size_t early_length, early_used;
    int wake_fd;  /* an eventfd: the listener has news; -1: no session */
    bool ended;   /* the session is over, and no TCP has joined */
    bool taken;   /* its user has it */
    bool left;    /* its user has closed it; the listener delivers what it has said */
    bool watched; /* for that, TCP is among what the listener watches */
    int error;    /* of the socket */
    uint64_t began_us, joined_us;
    uint64_t deliver_until_us;  /* left, and joined: the reader has so long */
    enum turbo_outcome outcome; /* once the session is gone */
    enum turbo_reason reason;
    struct accepted_io *next, *previous; /* in one of its listener's lists */
};

/* A TCP connection. Takes `fd` and `early` over (malloc'ed, may be NULL). NULL: no memory; they
 * stay the caller's. */
struct accepted_io *accepted_tcp(int fd, const struct address *peer, uint8_t *early, size_t length);
/* A session of `listener`, which has been held for it. NULL: no memory or descriptor. */
struct accepted_io *accepted_session(struct turbo_listener *listener, struct turbo_server *session,
                                     uint64_t now);

/* Under the lock: the session goes on over `fd`; takes both over. */
void accepted_join(struct accepted_io *accepted, int fd, uint8_t *early, size_t length,
                   uint64_t now);
/* Under the lock: S→C bytes that UDP did not bring go to TCP. OK: there are none left. */
enum tunnel_result accepted_flush(struct accepted_io *accepted);
/* Under the lock: tells the user that something has changed. */
void accepted_wake(struct accepted_io *accepted);
/* Frees it with its socket; the session is gone. */
void accepted_free(struct accepted_io *accepted, bool reset);

bool accepted_report(const struct tunnel_io *io, struct tunnel_io_report *report);

#endif
