/*
 * What a TCP connection to a server end begins with (protocol §5), read as it arrives.
 */
#ifndef TURBO_OPENING_H
#define TURBO_OPENING_H

#include "turbo/client_hello.h"
#include "turbo/turbo.h"

enum turbo_opening_kind {
    TURBO_OPENING_MORE,      /* cannot be told yet */
    TURBO_OPENING_CLASSIC,   /* a ClientHello, complete or TOO_LARGE: see `hello` */
    TURBO_OPENING_TOMBSTONE, /* see `tombstone`; what follows it was not looked at */
    TURBO_OPENING_OTHER,     /* neither: pass through or refuse */
};

struct turbo_opening {
    enum turbo_opening_kind kind;
    struct turbo_client_hello hello;
    struct turbo_tombstone tombstone;

    /* Private. */
    uint8_t prefix[SANDWICH_TOMBSTONE_BYTES];
    uint8_t prefix_bytes;
    bool is_hello;
};

/* Whose pending id, random and without fixed bits, starts with the bytes that have come? */
enum turbo_prefix {
    TURBO_PREFIX_NONE,
    TURBO_PREFIX_DRAFT,    /* a draft client's, of 12 bytes */
    TURBO_PREFIX_SANDWICH, /* goes first: one of 16 bytes (protocol §11.9) */
};

/* Asked while the opening cannot be told, with at most 17 bytes: ids end before. */
typedef enum turbo_prefix turbo_prefix_known(void *owner, const uint8_t *bytes, size_t length);

void turbo_opening_init(struct turbo_opening *opening);

/*
 * Feeds bytes that follow those fed before. Returns how many were taken: all while the kind is
 * MORE; for a tombstone those up to its end. The caller keeps the bytes: they are the stream.
 */
size_t turbo_opening_push(struct turbo_opening *opening, const uint8_t *data, size_t length,
                          turbo_prefix_known *known, void *owner);

/*
 * Where `count` endpoints (at least 1) share a port, each has the sessions of some ids: the kernel
 * sends them the datagrams by byte TURBO_SHARE_BYTE of the id, modulo `count`. Returns whose an
 * opening is that begins with `data`, all of which were pushed, or none; -1: that cannot be told
 * yet, or it has no id, and is anybody's. An opening that is none of TLS's can be told by two
 * bytes.
 */
enum { TURBO_SHARE_BYTE = 1 }; /* random: bytes 0 and 2 have fixed bits (protocol §2.2) */
int turbo_opening_owner(const struct turbo_opening *opening, turbo_sha256 *sha256,
                        const uint8_t *data, size_t length, unsigned count);

#endif
