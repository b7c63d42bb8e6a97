/* Datagrams and tombstones: what decodes is within the limits, and encodes to the same bytes. */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "turbo/wire.h"

static uint32_t sequence_of(const uint8_t *header)
{
    return (uint32_t)header[13] << 16 | (uint32_t)header[14] << 8 | header[15];
}

/* Protocol §3 in other words than wire.c's. */
static bool is_request(const uint8_t *data, size_t length)
{
    if (length < TURBO_HEADER_BYTES || length > TURBO_DATAGRAM_MAX)
        return false;
    uint32_t sequence = sequence_of(data);
    bool numbered = sequence >= 1 && sequence <= TURBO_CHUNKS_MAX;
    return numbered && (data[12] == 0 || (data[12] == 2 && length == TURBO_HEADER_BYTES));
}

static bool is_response(const uint8_t *data, size_t length)
{
    if (length < TURBO_HEADER_BYTES || length > TURBO_DATAGRAM_MAX)
        return false;
    uint32_t sequence = sequence_of(data);
    if (data[12] == 0x30)
        return sequence == 0 && length == 16;
    if (sequence < 1 || sequence > TURBO_CHUNKS_MAX)
        return false;
    if (data[12] == 0x50)
        return length >= 18;
    return (data[12] == 0 || data[12] == 0x10) && length <= 1198;
}

static void check_datagram(const struct turbo_datagram *d, const uint8_t *data, size_t length)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    assert(d->length == length - TURBO_HEADER_BYTES);
    assert(d->payload == data + TURBO_HEADER_BYTES);
    assert(d->sequence == sequence_of(data));
    assert(turbo_datagram_encode(d, out) == length);
    assert(memcmp(out, data, length) == 0);
}

static void check_tombstone(const uint8_t *data)
{
    struct turbo_tombstone tombstone;
    uint8_t out[TURBO_TOMBSTONE_BYTES];
    bool good = data[12] <= TURBO_FLAG_REPLAY && sequence_of(data) <= TURBO_CHUNKS_MAX;
    assert(turbo_tombstone_decode(&tombstone, data) == good);
    if (!good)
        return;
    turbo_tombstone_encode(&tombstone, out);
    assert(memcmp(out, data, sizeof(out)) == 0);
}

/* Protocol §11.1 in other words than wire.c's. */
static void check_sandwich(const uint8_t *data, size_t length)
{
    struct turbo_datagram d;
    struct turbo_tombstone t;
    uint8_t out[TURBO_DATAGRAM_MAX];
    bool named = length >= 17 && (data[12] | data[13] | data[14] | data[15]) != 0;
    bool good = named && data[16] >= 1 && length <= 1041;
    assert(sandwich_response_decode(&d, data, length) == (good && length > 17));
    assert(sandwich_request_decode(&d, data, length) == good);
    if (good) {
        assert(d.payload == data + 17 && d.length == length - 17 && d.flags == 0);
        assert(turbo_datagram_encode(&d, out) == length && memcmp(out, data, length) == 0);
    }
    if (length < 17)
        return;
    assert(sandwich_tombstone_decode(&t, data) == named);
    if (!named)
        return;
    sandwich_tombstone_encode(&t, out);
    assert(memcmp(out, data, 17) == 0);
}

static void check_id(const uint8_t *data, size_t length)
{
    struct turbo_id id;
    bool marked = (length < 1 || (data[0] & 0xc0) == 0x80) && (length < 3 || (data[2] & 0x80) != 0);
    assert(turbo_looks_like_id(data, length) == marked);
    turbo_id_from_hello(&id, check_sha256, data, length);
    for (size_t i = 0; i <= TURBO_ID_BYTES; i++)
        assert(turbo_looks_like_id(id.bytes, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct turbo_datagram d;
    /* A block of exactly this size, so that a byte read behind it is seen. */
    uint8_t *bytes = malloc(size + (size == 0));
    assert(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    assert(turbo_request_decode(&d, bytes, size) == is_request(bytes, size));
    if (turbo_request_decode(&d, bytes, size))
        check_datagram(&d, bytes, size);
    assert(turbo_response_decode(&d, bytes, size) == is_response(bytes, size));
    if (turbo_response_decode(&d, bytes, size))
        check_datagram(&d, bytes, size);
    if (size >= TURBO_TOMBSTONE_BYTES)
        check_tombstone(bytes);
    check_sandwich(bytes, size);
    check_id(bytes, size);
    free(bytes);
    return 0;
}

void fuzz_seeds(void)
{
    static const struct {
        uint8_t flags;
        uint32_t sequence;
        size_t length;
    } seeds[] = {
        {0x00, 1, 100},   {0x00, 64, 0},   {0x00, 1, 1184}, {0x02, 5, 0},
        {0x10, 1, 1182},  {0x10, 2, 40},   {0x30, 0, 0},    {0x01, 3, 0},
        {0x00, 0, 0},     {0x10, 1, 1184}, {0x50, 3, 64},   {0x01, 0, 20},
        {0x50, 64, 1184}, {0x50, 1, 1},    {0x50, 0, 2},    {0x50, 1, 2},
    };
    uint8_t out[TURBO_DATAGRAM_MAX];
    for (size_t i = 0; i < COUNT(seeds); i++) {
        const struct hello *hello = fuzz_hello(0);
        struct turbo_datagram d = {.flags = seeds[i].flags,
                                   .sequence = seeds[i].sequence,
                                   .payload = hello->bytes,
                                   .length = seeds[i].length};
        turbo_id_from_hello(&d.id, check_sha256, hello->bytes, hello->length);
        seed_write(out, turbo_datagram_encode(&d, out));
    }
}
