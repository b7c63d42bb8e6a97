/*
 * Within the plain side only: plain.c is what the relay and the loop see of it, plain_opening.c
 * what there is to do before it is nothing but a socket.
 */
#ifndef PROXY_SIDES_PLAIN_PARTS_H
#define PROXY_SIDES_PLAIN_PARTS_H

#include <stdbool.h>

#include "proxy/sides/side.h"
#include "proxy/sides/stream.h"

struct reach;
struct starttls;
struct upstream;
struct upstream_call;
struct worker;

enum { PLAIN_TAG = 0x506c6169 /* "Plai" */ };

struct plain_opening {
    struct worker *worker;
    struct upstream *upstream; /* held up to the server's TLS; NULL: accepted */
    struct reach *reach;       /* while connecting */
    uint8_t *prelude;          /* until the server has been sent all of it */
    size_t prelude_length, prelude_used;
    struct starttls *starttls; /* comes next, until the server is ready for TLS */
    bool tls_due;              /* from then on, until its first byte */
    uint8_t *early;            /* read from it before, and not yet again */
    size_t early_length, early_used;
};

struct plain {
    struct side base;
    struct stream tcp; /* no socket while connecting; io.data is the opening */
};

/* NULL: there is nothing left to do, and it takes no memory. */
static inline struct plain_opening *plain_opening(const struct plain *p)
{
    return p->tcp.io.data;
}

/* Its turn to be written to has not come. */
static inline bool plain_is_waiting(const struct plain *p)
{
    const struct plain_opening *o = plain_opening(p);
    return o != NULL && (o->reach != NULL || o->prelude != NULL || o->starttls != NULL);
}

/* Nor can it be read from the socket. */
static inline bool plain_is_silent(const struct plain *p)
{
    const struct plain_opening *o = plain_opening(p);
    return o != NULL && (o->reach != NULL || o->starttls != NULL);
}

/* ---- plain_opening.c ---- */

/* With nothing to do yet. NULL: no memory. */
struct plain_opening *plain_opening_add(struct plain *p, struct worker *worker);
/* What is to be said to a server of `upstream` first: the call's prelude, and what leads to
 * STARTTLS. False: no memory. */
bool plain_opening_expect(struct plain *p, struct upstream *upstream,
                          const struct upstream_call *call);
/* The socket is there, and may have become ready: says what comes before the relay's bytes, and
 * tells the side's owner, as the last thing. */
void plain_opening_speak(struct plain *p);
/* While there are bytes that were read before: takes up to `capacity` (> 0) of them out. */
ssize_t plain_opening_read_early(struct plain *p, uint8_t *buffer, size_t capacity);
/* The server has said this (length > 0). True: it is not the TLS that was due, and the side is
 * lost, as one that was never reached. */
bool plain_opening_is_injected(struct plain *p, uint8_t first);
/* While it is the opening's turn to read or write, what it waits for takes the owner's wishes'
 * place. */
void plain_opening_wishes(const struct plain_opening *o, bool *readable, bool *writable);
/* With whatever is left of it. NULL: nothing happens. */
void plain_opening_destroy(struct plain_opening *o);

#endif
