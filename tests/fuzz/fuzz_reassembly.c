/* Chunks in any order, repeated, contradicted and beyond the limits, against a table of them. */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "turbo/reassembly.h"

static const struct {
    uint8_t slots;
    uint16_t payload_max;
} shapes[] = {
    {TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX},
    {TURBO_REQUEST_CHUNKS_MAX, TURBO_REQUEST_PAYLOAD_MAX},
    {TURBO_CHUNKS_MAX, 3},
    {5, 40},
};

struct model {
    uint8_t slots;
    uint16_t payload_max;
    bool present[TURBO_CHUNKS_MAX + 1];
    size_t length[TURBO_CHUNKS_MAX + 1];
    uint8_t variant[TURBO_CHUNKS_MAX + 1];
    size_t total;
};

/* Payload `variant` of chunk `sequence`; different variants differ in every byte. */
static uint8_t payload_byte(uint32_t sequence, uint8_t variant, size_t i)
{
    return (uint8_t)(sequence * 29 + i * 7 + (i >> 8) * 3 + variant);
}

static enum reassembly_result model_push(struct model *m, uint32_t sequence, uint8_t variant,
                                         size_t length)
{
    if (m->present[sequence]) {
        bool same =
            m->length[sequence] == length && (length == 0 || m->variant[sequence] == variant);
        return same ? REASSEMBLY_REPEAT : REASSEMBLY_CONFLICT;
    }
    if (length > m->payload_max || m->total + length > TURBO_STREAM_KEPT_MAX ||
        (length > 0 && sequence > m->slots))
        return REASSEMBLY_BEYOND;
    m->present[sequence] = true;
    m->length[sequence] = length;
    m->variant[sequence] = variant;
    m->total += length;
    return REASSEMBLY_NEW;
}

/* The stream as the table has it; `from`: bytes that were compared before. Returns its length. */
static size_t check_stream(const struct model *m, const struct reassembly *r, size_t from)
{
    size_t at = 0;
    uint32_t k = 1;
    for (; k <= TURBO_CHUNKS_MAX && m->present[k]; k++) {
        for (size_t i = at < from ? m->length[k] : 0; i < m->length[k]; i++)
            assert(r->buffer[at + i] == payload_byte(k, m->variant[k], i));
        at += m->length[k];
    }
    assert(reassembly_contiguous_bytes(r) == at);
    assert(r->contiguous == k - 1);
    bool gap = false;
    for (; k <= TURBO_CHUNKS_MAX; k++)
        gap |= m->present[k] && m->length[k] > 0;
    assert(reassembly_has_gap(r) == gap);
    return at;
}

/* Up to 127, or about as many as fit: a few less, exactly, a few more. */
static size_t chunk_length(uint8_t byte, size_t payload_max)
{
    if (byte < 128)
        return byte;
    size_t length = payload_max + 16 < byte - 128u ? 0 : payload_max + 16 - (byte - 128u);
    return length < TURBO_DATAGRAM_MAX ? length : TURBO_DATAGRAM_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t shape = input_byte(&in) % COUNT(shapes);
    struct model m = {.slots = shapes[shape].slots, .payload_max = shapes[shape].payload_max};
    struct reassembly r;
    size_t room = reassembly_bytes(m.slots, m.payload_max);
    uint8_t *buffer = malloc(room);
    uint8_t *block = malloc(TURBO_DATAGRAM_MAX);
    assert(buffer != NULL && block != NULL);
    memset(buffer, 0xa5, room);
    reassembly_init(&r, buffer, m.slots, m.payload_max);
    size_t compared = 0;
    for (size_t steps = 0; in.left > 0 && steps < 400; steps++) {
        uint8_t first = input_byte(&in), second = input_byte(&in);
        uint32_t sequence = first % TURBO_CHUNKS_MAX + 1u;
        uint8_t variant = first >> 7;
        size_t length = chunk_length(second, m.payload_max);
        uint8_t *payload = block + TURBO_DATAGRAM_MAX - length; /* nothing behind it is ours */
        for (size_t i = 0; i < length; i++)
            payload[i] = payload_byte(sequence, variant, i);
        enum reassembly_result right = model_push(&m, sequence, variant, length);
        assert(reassembly_push(&r, sequence, payload, length) == right);
        compared = check_stream(&m, &r, compared);
    }
    check_stream(&m, &r, 0);
    free(buffer);
    free(block);
    return 0;
}

void fuzz_seeds(void)
{
    uint8_t bytes[1 + 2 * TURBO_CHUNKS_MAX];
    for (uint8_t shape = 0; shape < COUNT(shapes); shape++) {
        bytes[0] = shape;
        for (size_t i = 0; i < TURBO_CHUNKS_MAX; i++) {
            bytes[1 + 2 * i] = (uint8_t)(i ^ (shape + 1u)); /* not quite in order */
            bytes[2 + 2 * i] = (uint8_t)(i % 3 == 0 ? 144 : i * 37);
        }
        seed_write(bytes, sizeof(bytes));
        for (size_t i = 0; i < TURBO_CHUNKS_MAX; i++) {
            bytes[1 + 2 * i] = (uint8_t)(TURBO_CHUNKS_MAX - 1 - i);
            bytes[2 + 2 * i] = 144; /* full */
        }
        seed_write(bytes, sizeof(bytes));
    }
}
