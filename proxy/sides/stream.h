/*
 * What the sides have in common: a TCP socket, watched by the loop, whose results are told in the
 * relay's words (SIDE_END, SIDE_AGAIN, SIDE_RESET).
 */
#ifndef PROXY_SIDES_STREAM_H
#define PROXY_SIDES_STREAM_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/sides/side.h"

struct stream {
    ev_io io;     /* io.fd -1: no socket; io.data is the owner's */
    bool blocked; /* it took less than it was given */
    bool drained; /* it gave less than was asked for: nothing to read until the loop says so */
    bool unread;  /* nobody wants to read, though the loop may still tell: see stream_watch */
    bool ended;   /* it has given its end, and is ready to be read for good */
    bool hangup;  /* its owner's: a reset alone is told of (net/hangup.h) */
    bool lost;    /* the loop need not say anything any more: it is read until it fails */
};

/* Without a socket yet. */
void stream_init(struct stream *stream,
                 void (*callback)(struct ev_loop *loop, ev_io *io, int events), void *data);
/* Takes the socket over. */
void stream_open(struct stream *stream, int fd);
/* One that the loop has watched before, for somebody else: it is not registered once more. */
void stream_go_on(struct stream *stream, int fd);
static inline int stream_fd(const struct stream *stream)
{
    return stream->io.fd;
}
/* First thing in the owner's callback. False: it is nothing that was waited for (stream_watch). */
bool stream_ready(struct stream *stream, struct ev_loop *loop, int events);
/* It was reset; what it said before may still be read, all at once. */
void stream_lost(struct stream *stream);
/* Gives the socket up to the caller: -1 when there is none. */
int stream_release(struct stream *stream, struct ev_loop *loop);
/* Closes the socket, if there is one; with `reset` the peer is told that it was not in order. */
void stream_close(struct stream *stream, struct ev_loop *loop, bool reset);
/*
 * What the callback is to be called for. Without a socket nothing. Each change costs a system call,
 * and most waits that end are soon begun again: a socket that is no longer to be read goes on being
 * watched until something comes.
 */
void stream_watch(struct stream *stream, struct ev_loop *loop, bool readable, bool writable);

/* Bytes, or one of the SIDE_ results. */
ssize_t stream_read(struct stream *stream, uint8_t *buffer, size_t capacity);
/* As a read of one byte, which stays where it is. */
ssize_t stream_peek(struct stream *stream);
ssize_t stream_read_pipe(struct stream *stream, int write_end, size_t capacity);
/* Bytes taken, all or fewer (then it is `blocked`), or SIDE_RESET. */
ssize_t stream_write(struct stream *stream, const uint8_t *data, size_t length);
/* The end that follows at once is to go with these bytes. */
ssize_t stream_write_last(struct stream *stream, const uint8_t *data, size_t length);
ssize_t stream_write_pipe(struct stream *stream, int read_end, size_t length);

#endif
