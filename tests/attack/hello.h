/*
 * ClientHellos as a TLS 1.3 client writes them, each with random bytes of its own, so that a real
 * TLS server answers with its whole flight; and the datagrams and tombstones made of them.
 */
#ifndef ATTACK_HELLO_H
#define ATTACK_HELLO_H

#include "random.h"

enum {
    ID_BYTES = 12,
    HEADER_BYTES = 16,
    HELLO_ROOM = 66 * 1024,
    HELLO_USUAL = 517,   /* as browsers pad them */
    HELLO_LARGE = 65000, /* as large as one extension makes it */
    HELLO_MAX = 16379,   /* the largest that has an id, less its record's header */
    FLAG_REPLAY = 0x01,
    FLAG_ABORT = 0x02,
};

struct hello {
    uint8_t bytes[HELLO_ROOM];
    size_t length;
    uint8_t id[ID_BYTES];
};

/* One whose message has `size` bytes, in as many records as it takes. */
void hello_make(struct hello *hello, struct random *random, size_t size);
/* The same with other random bytes; only one of a single record. */
void hello_freshen(struct hello *hello, struct random *random);

/* A random id with the fixed bits of protocol §2.2. */
void id_guess(uint8_t id[static ID_BYTES], struct random *random);
/* A datagram's header, or a tombstone. */
void header_write(uint8_t out[static HEADER_BYTES], const uint8_t id[static ID_BYTES],
                  uint8_t flags, uint32_t sequence);

#endif
