/*
 * TCP connections that have not said what they are yet: a tombstone, TLS, or something else.
 */
#ifndef TUNNEL_IO_OPENINGS_H
#define TUNNEL_IO_OPENINGS_H

#include "tunnel/net/address.h"
#include "turbo/opening.h"
#include "turbo/server.h"

struct opening {
    struct opening *next, *previous; /* by age */
    int fd;
    struct address peer;
    struct turbo_opening opening;
    bool afresh; /* a tombstone for nothing was in front of these bytes */
    turbo_time since;
    uint8_t *bytes; /* malloc'ed */
    size_t length, capacity;
};

struct openings {
    struct opening *oldest, *newest;
    uint32_t count;
};

/* NULL: no memory; `fd` stays the caller's. */
struct opening *openings_add(struct openings *list, int fd, const struct address *peer,
                             turbo_time now);
/* Out of the list, and freed, but for what the caller has taken: `fd` set to -1, `bytes` to NULL.
 */
void openings_remove(struct openings *list, struct opening *opening, bool reset);

enum opening_news {
    OPENING_MORE,      /* wait for more */
    OPENING_CLASSIC,   /* TLS: bytes and all */
    OPENING_TOMBSTONE, /* as above; the tombstone was taken off the bytes */
    OPENING_OTHER,     /* neither */
    OPENING_ENDED,     /* it ended or failed before it said anything of use */
};

/* Reads what there is, as far as it is needed. */
enum opening_news opening_read(struct opening *opening, struct turbo_endpoint *endpoint);
/* Judges the bytes behind the tombstone as a new opening. */
enum opening_news opening_judge_afresh(struct opening *opening, struct turbo_endpoint *endpoint);

#endif
