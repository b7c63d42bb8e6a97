/*
 * The codec of datagrams and tombstones (protocol §3, §5).
 *
 * Decoding checks everything that can be judged from the bytes alone; what a datagram means to a
 * session is the state machines' business. Decoded payloads point into the bytes given.
 */
#ifndef TURBO_WIRE_H
#define TURBO_WIRE_H

#include "turbo/turbo.h"

struct turbo_datagram {
    struct turbo_id id;
    uint8_t flags;
    uint32_t sequence;
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

/* Writes header and payload; returns the datagram's length. The payload fits (asserted). */
size_t turbo_datagram_encode(const struct turbo_datagram *datagram,
                             uint8_t out[static TURBO_DATAGRAM_MAX]);

/* False: flags or numbers that no tombstone has. */
bool turbo_tombstone_decode(struct turbo_tombstone *out,
                            const uint8_t bytes[static TURBO_TOMBSTONE_BYTES]);
void turbo_tombstone_encode(const struct turbo_tombstone *tombstone,
                            uint8_t out[static TURBO_TOMBSTONE_BYTES]);

/*
 * Could a stream that starts with these bytes be the tombstone of an id made by
 * turbo_id_from_hello? Its fixed bits keep it apart from TLS records and text (protocol §2).
 */
bool turbo_looks_like_id(const uint8_t *data, size_t length);

#endif
