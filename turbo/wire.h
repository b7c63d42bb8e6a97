/*
 * The codec of datagrams and tombstones, of both dialects (protocol §3, §5, §11).
 *
 * Decoding checks everything that can be judged from the bytes alone; what a datagram means to a
 * session is the state machines' business. Decoded payloads point into the bytes given.
 */
#ifndef TURBO_WIRE_H
#define TURBO_WIRE_H

#include "turbo/turbo.h"

struct turbo_datagram {
    enum turbo_dialect dialect;
    struct turbo_id id;
    uint8_t flags;     /* Sandwich: none */
    uint32_t sequence; /* Sandwich: the index */
    const uint8_t *payload;
    size_t length; /* of the payload */
};

bool turbo_id_equal(const struct turbo_id *a, const struct turbo_id *b);

/* The id of a session from the C→S bytes up to the end of its ClientHello (protocol §2). */
void turbo_id_from_hello(struct turbo_id *id, turbo_sha256 *sha256, const uint8_t *stream,
                         size_t length);

/* False: not a request; drop and count it. */
bool turbo_request_decode(struct turbo_datagram *out, const uint8_t *data, size_t length);
/* False: not a response. A draft server's, without PROFILE1, decodes; look at the flags. */
bool turbo_response_decode(struct turbo_datagram *out, const uint8_t *data, size_t length);

/*
 * The same of the Sandwich dialect (protocol §11.1). An id that ends in four zeros is none: it
 * could be a session of profile 1. Indices above what either end keeps are for the caller to judge.
 */
bool sandwich_request_decode(struct turbo_datagram *out, const uint8_t *data, size_t length);
/* A response has a payload: an empty one carries nothing, and is none. */
bool sandwich_response_decode(struct turbo_datagram *out, const uint8_t *data, size_t length);

/* Writes header and payload, by its dialect; returns the datagram's length. The payload fits
 * (asserted). */
size_t turbo_datagram_encode(const struct turbo_datagram *datagram,
                             uint8_t out[static TURBO_DATAGRAM_MAX]);

/* False: flags or numbers that no tombstone has. */
bool turbo_tombstone_decode(struct turbo_tombstone *out,
                            const uint8_t bytes[static TURBO_TOMBSTONE_BYTES]);
void turbo_tombstone_encode(const struct turbo_tombstone *tombstone,
                            uint8_t out[static TURBO_TOMBSTONE_BYTES]);

/* False: an id or an index that no Sandwich tombstone has. */
bool sandwich_tombstone_decode(struct turbo_tombstone *out,
                               const uint8_t bytes[static SANDWICH_TOMBSTONE_BYTES]);
void sandwich_tombstone_encode(const struct turbo_tombstone *tombstone,
                               uint8_t out[static SANDWICH_TOMBSTONE_BYTES]);

/* Do these bytes begin like a TLS handshake record, as far as they go? None do not. */
static inline bool turbo_starts_record(const uint8_t *data, size_t length)
{
    enum { TLS_HANDSHAKE_RECORD = 22, TLS_MAJOR_VERSION = 3 };
    return length > 0 && data[0] == TLS_HANDSHAKE_RECORD &&
           (length == 1 || data[1] == TLS_MAJOR_VERSION);
}

/*
 * Could a stream that starts with these bytes be the tombstone of an id made by
 * turbo_id_from_hello? Its fixed bits keep it apart from TLS records and text (protocol §2).
 */
bool turbo_looks_like_id(const uint8_t *data, size_t length);

#endif
