/*
 * What opens a TCP connection, in any cut: the same verdict, judged by protocol §5.2 read anew, as
 * early as it can be told, with the ids of some pending sessions of drafts and of the Sandwich
 * dialect.
 */
#include "tests/fuzz/support.h"

#include "turbo/opening.h"
#include "turbo/wire.h"

enum { KNOWN = 3, DRIBBLED_MAX = 3000 /* longer ones in their own cut only, for speed */ };

struct known {
    struct turbo_id ids[KNOWN];
    bool has_sandwich;
    struct turbo_id sandwich;
};

static bool begins_sandwich(const struct known *known, const uint8_t *bytes, size_t length)
{
    return known->has_sandwich &&
           memcmp(known->sandwich.bytes, bytes,
                  length < SANDWICH_ID_BYTES ? length : SANDWICH_ID_BYTES) == 0;
}

static enum turbo_prefix prefix_known(void *owner, const uint8_t *bytes, size_t length)
{
    const struct known *known = owner;
    assert(length >= 1 && length <= SANDWICH_TOMBSTONE_BYTES);
    if (begins_sandwich(known, bytes, length))
        return TURBO_PREFIX_SANDWICH;
    if (length > TURBO_ID_BYTES)
        length = TURBO_ID_BYTES;
    for (size_t i = 0; i < KNOWN; i++)
        if (memcmp(known->ids[i].bytes, bytes, length) == 0)
            return TURBO_PREFIX_DRAFT;
    return TURBO_PREFIX_NONE;
}

struct verdict {
    enum turbo_opening_kind kind;
    size_t used;
};

static struct verdict feed(struct turbo_opening *opening, struct cuts cuts, struct known *known,
                           const uint8_t *stream, size_t length)
{
    size_t used = 0;
    turbo_opening_init(opening);
    while (used < length && opening->kind == TURBO_OPENING_MORE) {
        size_t n = cuts_next(&cuts, length - used);
        size_t took = turbo_opening_push(opening, stream + used, n, prefix_known, known);
        assert(took <= n);
        assert(took == n || opening->kind != TURBO_OPENING_MORE);
        used += took;
    }
    return (struct verdict){opening->kind, used};
}

static struct verdict expect_hello(const uint8_t *stream, size_t length)
{
    struct turbo_client_hello hello;
    turbo_client_hello_init(&hello);
    size_t used = turbo_client_hello_push(&hello, stream, length);
    switch (hello.state) {
    case TURBO_HELLO_COMPLETE:
    case TURBO_HELLO_TOO_LARGE: return (struct verdict){TURBO_OPENING_CLASSIC, used};
    case TURBO_HELLO_NOT_TLS: return (struct verdict){TURBO_OPENING_OTHER, used};
    case TURBO_HELLO_MORE: break;
    }
    return (struct verdict){TURBO_OPENING_MORE, used};
}

/* All that has come of it begins a pending Sandwich session's id. */
static struct verdict expect_sandwich(const uint8_t *stream, size_t length)
{
    static const uint8_t zeros[4];
    if (length < SANDWICH_TOMBSTONE_BYTES)
        return (struct verdict){TURBO_OPENING_MORE, length};
    bool good = memcmp(stream + 12, zeros, sizeof(zeros)) != 0;
    return (struct verdict){good ? TURBO_OPENING_TOMBSTONE : TURBO_OPENING_OTHER,
                            SANDWICH_TOMBSTONE_BYTES};
}

static struct verdict expect(struct known *known, const uint8_t *stream, size_t length)
{
    if (length > 0 && begins_sandwich(known, stream, length))
        return expect_sandwich(stream, length);
    for (size_t n = 1; n <= length && n <= TURBO_TOMBSTONE_BYTES; n++) {
        bool tls = stream[0] == 0x16 && (n < 2 || stream[1] == 3);
        bool marked = (stream[0] & 0xc0) == 0x80 && (n < 3 || (stream[2] & 0x80) != 0);
        if (begins_sandwich(known, stream, n))
            continue;
        if (tls && n >= 2) {
            struct verdict v = expect_hello(stream, length);
            return (struct verdict){v.kind, v.used > n ? v.used : n};
        }
        if (!tls && !marked && !prefix_known(known, stream, n))
            return (struct verdict){TURBO_OPENING_OTHER, n};
    }
    if (length < TURBO_TOMBSTONE_BYTES)
        return (struct verdict){TURBO_OPENING_MORE, length};
    bool good = stream[12] <= 1 && stream[13] == 0 && stream[14] == 0 && stream[15] <= 64;
    return (struct verdict){good ? TURBO_OPENING_TOMBSTONE : TURBO_OPENING_OTHER,
                            TURBO_TOMBSTONE_BYTES};
}

static void check_same(const struct turbo_opening *a, const struct turbo_opening *b,
                       const uint8_t *stream)
{
    if (a->kind == TURBO_OPENING_TOMBSTONE) {
        assert(turbo_id_equal(&a->tombstone.id, &b->tombstone.id));
        assert(a->tombstone.dialect == b->tombstone.dialect);
    }
    if (a->kind == TURBO_OPENING_TOMBSTONE && a->tombstone.dialect == TURBO_DIALECT_SANDWICH) {
        assert(memcmp(a->tombstone.id.bytes, stream, SANDWICH_ID_BYTES) == 0);
        assert(!a->tombstone.replay && a->tombstone.consumed == stream[SANDWICH_ID_BYTES]);
    } else if (a->kind == TURBO_OPENING_TOMBSTONE) {
        assert(memcmp(a->tombstone.id.bytes, stream, TURBO_ID_BYTES) == 0);
        assert(a->tombstone.replay == b->tombstone.replay && a->tombstone.replay == stream[12]);
        assert(a->tombstone.consumed == b->tombstone.consumed);
        assert(a->tombstone.consumed == stream[15]);
    }
    if (a->kind == TURBO_OPENING_CLASSIC) {
        assert(a->hello.state == b->hello.state && a->hello.length == b->hello.length);
        assert(strcmp(a->hello.server_name, b->hello.server_name) == 0);
        assert(a->hello.alpn_length == b->hello.alpn_length);
    }
}

/* Two ids that begin as other things do, and one of the input's: maybe the stream's own. */
static struct known input_known(struct input *in)
{
    struct known known = {.ids = {{"GET / HTTP/1"}, {"\x16\x02 a draft's"}}};
    uint8_t what = input_byte(in);
    if ((what & 1) != 0 && in->left >= TURBO_ID_BYTES)
        memcpy(known.ids[2].bytes, in->at, TURBO_ID_BYTES);
    if ((what & 2) != 0)
        known.ids[2].bytes[what >> 4 & 7] ^= (uint8_t)(what & 0xc);
    known.has_sandwich = (what & 0x80) != 0 && in->left >= SANDWICH_ID_BYTES;
    if (known.has_sandwich)
        memcpy(known.sandwich.bytes, in->at, SANDWICH_ID_BYTES);
    known.sandwich.bytes[what & 0xf] ^= what >> 6 & 1;
    return known;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct cuts cuts = input_cuts(&in), whole = {.count = 0}, bytes = {.count = 1, .lengths = {1}};
    struct known known = input_known(&in);
    struct turbo_opening once, cut;
    struct verdict right = expect(&known, in.at, in.left);
    struct verdict verdict = feed(&once, whole, &known, in.at, in.left);
    assert(verdict.kind == right.kind && verdict.used == right.used);
    struct cuts others[] = {cuts, bytes};
    for (size_t i = 0; i < COUNT(others) && (i == 0 || in.left <= DRIBBLED_MAX); i++) {
        verdict = feed(&cut, others[i], &known, in.at, in.left);
        assert(verdict.kind == right.kind && verdict.used == right.used);
        check_same(&once, &cut, in.at);
    }
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t front[] = {2, 7, 90, 0}, own[] = {0, 1}, near[] = {1, 3, 0x57};
    static const uint8_t sandwich[] = {0, 0x80}, nearly[] = {0, 0xca};
    uint8_t out[TURBO_TOMBSTONE_BYTES + 64] = {0};
    for (size_t i = 0; i < fuzz_hello_count(); i++) {
        const struct hello *hello = fuzz_hello(i);
        seed_write_behind(front, sizeof(front), hello->bytes, hello->length);
        seed_write_behind(nearly, sizeof(nearly), hello->bytes, hello->length);
    }
    struct turbo_tombstone tombstone = {.replay = true, .consumed = 5};
    turbo_id_from_hello(&tombstone.id, check_sha256, fuzz_hello(0)->bytes, fuzz_hello(0)->length);
    turbo_tombstone_encode(&tombstone, out);
    memcpy(out + TURBO_TOMBSTONE_BYTES, fuzz_hello(0)->bytes, 64);
    seed_write_behind(front, sizeof(front), out, sizeof(out));
    seed_write_behind(sandwich, sizeof(sandwich), out, sizeof(out));
    seed_write_behind(nearly, sizeof(nearly), out, sizeof(out));
    memcpy(out, "a draft's id", TURBO_ID_BYTES);
    seed_write_behind(own, sizeof(own), out, sizeof(out));
    seed_write_behind(near, sizeof(near), out, sizeof(out));
    memcpy(out, "GET / HTTP/1", TURBO_ID_BYTES);
    seed_write_behind(front, sizeof(front), out, sizeof(out));
    memcpy(out, "\x16\x02 a draft's", TURBO_ID_BYTES);
    seed_write_behind(front, sizeof(front), out, sizeof(out));
}
