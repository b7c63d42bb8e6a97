#include "turbo/wire.h"

#include <assert.h>
#include <string.h>

#include "turbo/cursor.h"

/* The fixed bits of an id: byte 0 is 10xxxxxx, byte 2 is 1xxxxxxx. */
enum { ID_TOP_MASK = 0xC0, ID_TOP = 0x80, ID_THIRD = 0x80 };

bool turbo_id_equal(const struct turbo_id *a, const struct turbo_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void turbo_id_from_hello(struct turbo_id *id, turbo_sha256 *sha256, const uint8_t *stream,
                         size_t length)
{
    uint8_t digest[32];
    sha256(stream, length, digest);
    *id = (struct turbo_id){{0}};
    memcpy(id->bytes, digest, TURBO_ID_BYTES);
    id->bytes[0] = (uint8_t)((id->bytes[0] & ~ID_TOP_MASK) | ID_TOP);
    id->bytes[2] |= ID_THIRD;
}

bool turbo_looks_like_id(const uint8_t *data, size_t length)
{
    if (length > 0 && (data[0] & ID_TOP_MASK) != ID_TOP)
        return false;
    return length < 3 || (data[2] & ID_THIRD) != 0;
}

static bool decode(struct turbo_datagram *out, const uint8_t *data, size_t length)
{
    if (length > TURBO_DATAGRAM_MAX)
        return false;
    struct reader r = reader_of(data, length);
    const uint8_t *id = reader_bytes(&r, TURBO_ID_BYTES);
    out->flags = (uint8_t)reader_number(&r, 1);
    out->sequence = reader_number(&r, 3);
    out->payload = r.at;
    out->length = r.left;
    if (!r.ok)
        return false;
    out->dialect = TURBO_DIALECT_PROFILE1;
    out->id = (struct turbo_id){{0}};
    memcpy(out->id.bytes, id, TURBO_ID_BYTES);
    return true;
}

bool turbo_request_decode(struct turbo_datagram *out, const uint8_t *data, size_t length)
{
    if (!decode(out, data, length))
        return false;
    if (out->sequence == 0 || out->sequence > TURBO_CHUNKS_MAX)
        return false;
    return out->flags == 0 || (out->flags == TURBO_FLAG_ABORT && out->length == 0);
}

bool turbo_response_decode(struct turbo_datagram *out, const uint8_t *data, size_t length)
{
    if (!decode(out, data, length))
        return false;
    if (out->flags == (TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED))
        return out->sequence == 0 && out->length == 0;
    if (out->sequence == 0 || out->sequence > TURBO_CHUNKS_MAX)
        return false;
    if (out->flags == (TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY))
        return out->length >= TURBO_PARITY_PAYLOAD_MIN;
    return (out->flags == TURBO_FLAG_PROFILE1 || out->flags == 0) &&
           out->length <= TURBO_RESPONSE_PAYLOAD_MAX;
}

static void encode_header(struct writer *w, const struct turbo_id *id, uint8_t flags,
                          uint32_t number)
{
    writer_bytes(w, id->bytes, TURBO_ID_BYTES);
    writer_number(w, flags, 1);
    writer_number(w, number, 3);
}

static void encode_sandwich_header(struct writer *w, const struct turbo_id *id, uint32_t index)
{
    writer_bytes(w, id->bytes, SANDWICH_ID_BYTES);
    writer_number(w, index, 1);
}

size_t turbo_datagram_encode(const struct turbo_datagram *datagram,
                             uint8_t out[static TURBO_DATAGRAM_MAX])
{
    struct writer w = writer_of(out, TURBO_DATAGRAM_MAX);
    if (datagram->dialect == TURBO_DIALECT_SANDWICH)
        encode_sandwich_header(&w, &datagram->id, datagram->sequence);
    else
        encode_header(&w, &datagram->id, datagram->flags, datagram->sequence);
    writer_bytes(&w, datagram->payload, datagram->length);
    assert(w.ok);
    return TURBO_DATAGRAM_MAX - w.left;
}

bool turbo_tombstone_decode(struct turbo_tombstone *out,
                            const uint8_t bytes[static TURBO_TOMBSTONE_BYTES])
{
    struct reader r = reader_of(bytes, TURBO_TOMBSTONE_BYTES);
    *out = (struct turbo_tombstone){.dialect = TURBO_DIALECT_PROFILE1};
    memcpy(out->id.bytes, reader_bytes(&r, TURBO_ID_BYTES), TURBO_ID_BYTES);
    uint32_t flags = reader_number(&r, 1);
    out->replay = flags == TURBO_FLAG_REPLAY;
    out->consumed = reader_number(&r, 3);
    return (flags & ~(uint32_t)TURBO_FLAG_REPLAY) == 0 && out->consumed <= TURBO_CHUNKS_MAX;
}

void turbo_tombstone_encode(const struct turbo_tombstone *tombstone,
                            uint8_t out[static TURBO_TOMBSTONE_BYTES])
{
    struct writer w = writer_of(out, TURBO_TOMBSTONE_BYTES);
    encode_header(&w, &tombstone->id, tombstone->replay ? TURBO_FLAG_REPLAY : 0,
                  tombstone->consumed);
    assert(w.ok);
}

/* The header of a datagram, or a tombstone: both are an id and a number. */
static bool decode_sandwich(struct reader *r, struct turbo_id *id, uint32_t *number)
{
    static const uint8_t zeros[SANDWICH_ID_BYTES - TURBO_ID_BYTES];
    const uint8_t *bytes = reader_bytes(r, SANDWICH_ID_BYTES);
    *number = reader_number(r, 1);
    if (!r->ok || memcmp(bytes + TURBO_ID_BYTES, zeros, sizeof(zeros)) == 0)
        return false;
    memcpy(id->bytes, bytes, SANDWICH_ID_BYTES);
    return true;
}

bool sandwich_request_decode(struct turbo_datagram *out, const uint8_t *data, size_t length)
{
    struct reader r = reader_of(data, length);
    *out = (struct turbo_datagram){.dialect = TURBO_DIALECT_SANDWICH};
    if (!decode_sandwich(&r, &out->id, &out->sequence))
        return false;
    out->payload = r.at;
    out->length = r.left;
    return out->sequence > 0 && out->length <= SANDWICH_PAYLOAD_MAX;
}

bool sandwich_response_decode(struct turbo_datagram *out, const uint8_t *data, size_t length)
{
    return sandwich_request_decode(out, data, length) && out->length > 0;
}

bool sandwich_tombstone_decode(struct turbo_tombstone *out,
                               const uint8_t bytes[static SANDWICH_TOMBSTONE_BYTES])
{
    struct reader r = reader_of(bytes, SANDWICH_TOMBSTONE_BYTES);
    *out = (struct turbo_tombstone){.dialect = TURBO_DIALECT_SANDWICH};
    return decode_sandwich(&r, &out->id, &out->consumed);
}

void sandwich_tombstone_encode(const struct turbo_tombstone *tombstone,
                               uint8_t out[static SANDWICH_TOMBSTONE_BYTES])
{
    struct writer w = writer_of(out, SANDWICH_TOMBSTONE_BYTES);
    encode_sandwich_header(&w, &tombstone->id, tombstone->consumed);
    assert(w.ok);
}
