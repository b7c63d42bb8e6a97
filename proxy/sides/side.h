/*
 * One end of a connection as the relay sees it: bytes come out, bytes go in, either direction ends.
 *
 * What lies behind is a TCP socket (plain), or a TurboTLS session that becomes one (turbo_client,
 * turbo_server). A side never calls the relay from within these functions; when something may have
 * become possible it calls side_wake from its own event, as the last thing it does there, because
 * the relay may destroy it.
 */
#ifndef PROXY_SIDES_SIDE_H
#define PROXY_SIDES_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "turbo/outcome.h"

struct access;
struct server;
struct side;
struct worker;

#define SIDE_NOBODY SIZE_MAX

/* Results of read and write beside a number of bytes. */
enum {
    SIDE_END = 0,        /* read: no more bytes will come (FIN) */
    SIDE_AGAIN = -1,     /* read: none now */
    SIDE_RESET = -2,     /* the peer is gone */
    SIDE_UNREACHED = -3, /* read: it could never be connected to */
};

struct side_ops {
    /* Takes up to `capacity` bytes (> 0) out. */
    ssize_t (*read)(struct side *side, uint8_t *buffer, size_t capacity);
    /* How many bytes `write` will surely, or for a socket probably, take now. */
    size_t (*room)(const struct side *side);
    /* Puts bytes in; returns how many it took, or SIDE_RESET. */
    ssize_t (*write)(struct side *side, const uint8_t *data, size_t length);
    /*
     * The same two through a pipe, for sides that are sockets; NULL: none. `splices` tells whether
     * the side is one now, with nothing read beforehand.
     */
    bool (*splices)(const struct side *side);
    ssize_t (*read_pipe)(struct side *side, int write_end, size_t capacity);
    ssize_t (*write_pipe)(struct side *side, int read_end, size_t length);
    /*
     * Both NULL, or neither. Once more, though the last read brought less than it might have: its
     * end may be right behind. And a write that `finish` or `destroy` follows at once, so that
     * bytes and end go together.
     */
    ssize_t (*read_on)(struct side *side, uint8_t *buffer, size_t capacity);
    ssize_t (*write_last)(struct side *side, const uint8_t *data, size_t length);
    /* No more bytes will be written: pass the end on behind them. Once. */
    void (*finish)(struct side *side);
    /* The other side was reset, or `unreached`: pass that on now. Destroy the side after it. */
    void (*reset)(struct side *side, bool unreached);
    /* As a read of one byte, which stays where it is. NULL: for sides that a relay has from the
     * start. */
    ssize_t (*peek)(struct side *side);
    /* May the client begin before it is connected, since its first bytes go by UDP? NULL: no. */
    bool (*begins_early)(const struct side *side);
    /*
     * Bytes that a reset would take back, since the peer has not acknowledged them; SIDE_NOBODY
     * when there is no peer to take them yet. NULL: never any.
     */
    size_t (*undelivered)(const struct side *side);
    /* Wake the owner when bytes can be read, or room has grown. */
    void (*watch)(struct side *side, bool readable, bool writable);
    /* Only a TCP socket is left of it: see hand_over. NULL: it never changes. */
    bool (*settled)(const struct side *side);
    /* Gives up the socket, and bytes read from it already (to be freed by the caller). */
    int (*hand_over)(struct side *side, uint8_t **early, size_t *length);
    /* Adds what it knows to the access record. */
    void (*report)(const struct side *side, struct access *access);
    void (*destroy)(struct side *side);
};

/* A member of a relay or of an arrival. */
struct side_owner {
    void (*wake)(struct side_owner *owner);
    struct worker *worker;
};

/* Small, as an idle connection has two. */
struct side {
    const struct side_ops *ops;
    struct side_owner *owner; /* whom side_wake tells; NULL: nobody yet */
    /* What it is connected to, for reach_end when it is destroyed; NULL: to a client, or nothing.
     */
    struct server *server;
    uint32_t tag; /* the kind's own */
    /*
     * SIDE_RESET or SIDE_UNREACHED: it is over, whether or not anybody reads from it now. Set by
     * the side before it wakes its owner; 0 while all is well.
     */
    int8_t lost;
    /* SIDE_UNREACHED: why (enum turbo_reason), NONE where it just could not be connected to; and
     * the errno of the last address that was tried, 0: its name was not found. */
    uint8_t reason;
    int16_t error;
};

static inline void side_wake(struct side *side)
{
    if (side->owner != NULL)
        side->owner->wake(side->owner);
}

/* SIDE_UNREACHED, for the access record. */
static inline enum turbo_reason side_unreached_reason(const struct side *side)
{
    return side->reason != TURBO_REASON_NONE ? (enum turbo_reason)side->reason
                                             : TURBO_REASON_UPSTREAM_UNREACHED;
}

#endif
