/*
 * Parity of any chunks, then any of them lost, repeated or altered, in any order: what is rebuilt
 * is what protocol §9 says, worked out anew, and nothing else is.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "turbo/parity.h"

struct chunk {
    uint8_t bytes[TURBO_RESPONSE_PAYLOAD_MAX];
    size_t length;
    bool has;
};

struct model {
    struct chunk chunks[TURBO_CHUNKS_MAX + 1];
    uint32_t count;
    size_t bytes; /* of those it has */
    struct parity parity;
};

/* ---- the server end ---- */

/* Chunks as a TLS server's pauses cut them. The model gets them too, as not yet sent. */
static void cut_chunks(struct model *m, struct retained *r, struct input *in)
{
    m->count = input_byte(in) % TURBO_CHUNKS_MAX + 1u;
    size_t from = 0;
    for (uint32_t k = 1; k <= m->count; k++) {
        struct chunk *chunk = &m->chunks[k];
        chunk->length = input_length(in) % TURBO_RESPONSE_PAYLOAD_MAX + 1u;
        if (from + chunk->length > TURBO_STREAM_KEPT_MAX) {
            m->count = k - 1;
            return;
        }
        check_fill(chunk->bytes, 4, from, chunk->length);
        from += retained_append(r, chunk->bytes, chunk->length);
        assert(retained_cut(r) == k);
    }
}

static void make_parity(struct model *m, const struct retained *r)
{
    m->parity.covered = m->count;
    m->parity.length = (uint16_t)parity_length(r);
    assert(m->parity.length >= 3 && m->parity.length <= TURBO_REQUEST_PAYLOAD_MAX);
    uint8_t *block = malloc(m->parity.length); /* a byte written behind it is seen */
    assert(block != NULL);
    parity_make(r, block, m->parity.length);
    memcpy(m->parity.payload, block, m->parity.length);
    free(block);
}

/* ---- the client end, byte by byte ---- */

static uint8_t sum_at(const struct model *m, uint32_t missing, size_t at)
{
    uint8_t sum = m->parity.payload[at];
    for (uint32_t k = 1; k <= m->parity.covered; k++) {
        const struct chunk *chunk = &m->chunks[k];
        if (k == missing)
            continue;
        if (at < 2)
            sum ^= (uint8_t)(at == 0 ? chunk->length / 256 : chunk->length % 256);
        else if (at - 2 < chunk->length)
            sum ^= chunk->bytes[at - 2];
    }
    return sum;
}

/* What can be rebuilt now; 0: nothing. */
static uint32_t missing_one(const struct model *m)
{
    uint32_t missing = 0;
    for (uint32_t k = 1; k <= m->parity.covered; k++) {
        if (m->chunks[k].has && m->chunks[k].length + 2 > m->parity.length)
            return 0; /* longer than the longest */
        if (!m->chunks[k].has && missing != 0)
            return 0;
        missing = m->chunks[k].has ? missing : k;
    }
    return missing;
}

static bool model_rebuild(struct model *m)
{
    uint32_t k = missing_one(m);
    if (k == 0)
        return false;
    size_t length = sum_at(m, k, 0) * 256u + sum_at(m, k, 1);
    if (length > TURBO_RESPONSE_PAYLOAD_MAX || length + 2 > m->parity.length ||
        m->bytes + length > TURBO_STREAM_KEPT_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        m->chunks[k].bytes[i] = sum_at(m, k, 2 + i);
    m->chunks[k].length = length;
    m->chunks[k].has = true;
    m->bytes += length;
    return true;
}

static void check_chunks(const struct model *m, const struct reassembly *r)
{
    for (uint32_t k = 1; k <= TURBO_CHUNKS_MAX; k++) {
        size_t length = 0;
        const uint8_t *bytes = reassembly_chunk(r, k, &length);
        assert((bytes != NULL) == m->chunks[k].has);
        assert(bytes == NULL ||
               (length == m->chunks[k].length && memcmp(bytes, m->chunks[k].bytes, length) == 0));
    }
}

static void rebuild(struct model *m, struct reassembly *r)
{
    bool right = model_rebuild(m);
    assert(parity_rebuild(&m->parity, r) == right);
    check_chunks(m, r);
    assert(!parity_rebuild(&m->parity, r) || m->parity.covered == 0);
}

/* Chunk k comes, or a lie in its place. */
static void receive(struct model *m, struct reassembly *r, uint32_t k, struct input *in, bool lie)
{
    struct chunk *chunk = &m->chunks[k];
    if (chunk->has)
        return;
    if (lie)
        chunk->length = input_length(in) % (TURBO_RESPONSE_PAYLOAD_MAX + 1);
    if (m->bytes + chunk->length > TURBO_STREAM_KEPT_MAX)
        return;
    assert(reassembly_push(r, k, chunk->bytes, chunk->length) == REASSEMBLY_NEW);
    chunk->has = true;
    m->bytes += chunk->length;
}

static void alter_parity(struct model *m, struct input *in)
{
    size_t at = input_word(in) % (m->parity.length + 2u);
    uint8_t byte = input_byte(in);
    if (at < m->parity.length)
        m->parity.payload[at] ^= byte;
    else if (at == m->parity.length)
        m->parity.length = (uint16_t)(2 + input_length(in) % (m->parity.length - 1u));
    else
        m->parity.covered = byte % TURBO_CHUNKS_MAX + 1u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model m;
    static uint8_t sent[TURBO_STREAM_KEPT_MAX];
    struct input in = {data, size};
    struct retained retained;
    struct reassembly r;
    m = (struct model){0};
    uint8_t *buffer = malloc(reassembly_bytes(TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX));
    assert(buffer != NULL);
    retained_init(&retained, sent);
    reassembly_init(&r, buffer, TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    cut_chunks(&m, &retained, &in);
    make_parity(&m, &retained);
    uint8_t how = input_byte(&in);
    if ((how & 1) != 0)
        alter_parity(&m, &in);
    uint32_t lost = how % m.count + 1; /* comes last, if at all */
    for (uint32_t i = 1; i <= m.count; i++) {
        uint32_t k = (i + how) % m.count + 1;
        if (k != lost)
            receive(&m, &r, k, &in, (how & 6) == 6 && (input_byte(&in) & 15) == 15);
    }
    rebuild(&m, &r);
    while (in.left > 0) {
        uint8_t byte = input_byte(&in);
        receive(&m, &r, byte % TURBO_CHUNKS_MAX + 1u, &in, (byte & 128) != 0);
        rebuild(&m, &r);
    }
    free(buffer);
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t three[] = {2, 255, 10, 90, 0};           /* the usual flight, last short */
    static const uint8_t one[] = {0, 40, 0};                      /* parity is the chunk */
    static const uint8_t altered[] = {2, 60, 10, 90, 1, 0, 1, 9}; /* its sum of lengths */
    static const uint8_t shorter[] = {2, 60, 10, 90, 1, 0, 92, 0, 4};
    static const uint8_t covers[] = {2, 60, 10, 90, 1, 0, 93, 0, 1, 2};
    uint8_t full[1 + TURBO_CHUNKS_MAX + 1] = {TURBO_CHUNKS_MAX - 1};
    memset(full + 1, 143, TURBO_CHUNKS_MAX);
    seed_write(three, sizeof(three));
    seed_write(one, sizeof(one));
    seed_write(altered, sizeof(altered));
    seed_write(shorter, sizeof(shorter));
    seed_write(covers, sizeof(covers));
    seed_write(full, sizeof(full));
}
