/* libturbo says of every vector in tests/vectors what the vector says. */
#include "tests/unit/support/vectors.h"

#include "turbo/chunks.h"
#include "turbo/opening.h"
#include "turbo/parity.h"
#include "turbo/wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 16 * 1024 };

/* A field that is bytes. */
struct bytes {
    uint8_t at[ROOM];
    size_t length;
};

static void read_bytes(const struct block *b, const char *key, struct bytes *to)
{
    to->length = vector_bytes(block_value(b, key), to->at, sizeof(to->at));
}

static struct turbo_id id_of(const struct block *b, const char *key)
{
    struct turbo_id id = {{0}};
    BLOCK_ASSERT(b, vector_bytes(block_value(b, key), id.bytes, sizeof(id.bytes)) == 12);
    return id;
}

/* ---- ids ---- */

static void check_id(const struct block *b)
{
    static struct bytes hello;
    struct turbo_id id, right = id_of(b, "is");
    read_bytes(b, "hello", &hello);
    turbo_id_from_hello(&id, check_sha256, hello.at, hello.length);
    BLOCK_ASSERT(b, turbo_id_equal(&id, &right));
    BLOCK_ASSERT(b, turbo_looks_like_id(id.bytes, sizeof(id.bytes)));
}

static void ids_are_the_hash_of_the_hello(void **state) /* §2.1 */
{
    (void)state;
    vectors_each("id", check_id);
}

/* ---- datagrams ---- */

static void check_decoded(const struct block *b, const struct turbo_datagram *d,
                          const struct bytes *bytes)
{
    static struct bytes payload;
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_id id = id_of(b, "id");
    payload.length = 0;
    if (bytes->length > TURBO_HEADER_BYTES)
        read_bytes(b, "payload", &payload);
    BLOCK_ASSERT(b, turbo_id_equal(&d->id, &id));
    BLOCK_ASSERT(b, d->flags == vector_number(block_value(b, "flags"), 16));
    BLOCK_ASSERT(b, d->sequence == vector_number(block_value(b, "sequence"), 10));
    BLOCK_ASSERT(b, d->length == payload.length);
    BLOCK_ASSERT(b, memcmp(d->payload, payload.at, payload.length) == 0);
    BLOCK_ASSERT(b, turbo_datagram_encode(d, out) == bytes->length);
    BLOCK_ASSERT(b, memcmp(out, bytes->at, bytes->length) == 0);
}

static void check_request(const struct block *b)
{
    static struct bytes bytes;
    struct turbo_datagram d;
    read_bytes(b, "bytes", &bytes);
    BLOCK_ASSERT(b, turbo_request_decode(&d, bytes.at, bytes.length));
    check_decoded(b, &d, &bytes);
}

static void check_response(const struct block *b)
{
    static struct bytes bytes;
    struct turbo_datagram d;
    read_bytes(b, "bytes", &bytes);
    BLOCK_ASSERT(b, turbo_response_decode(&d, bytes.at, bytes.length));
    check_decoded(b, &d, &bytes);
}

static void check_drop(const struct block *b)
{
    static struct bytes bytes;
    struct turbo_datagram d;
    read_bytes(b, "bytes", &bytes);
    if (strcmp(block_value(b, "as"), "request") == 0)
        BLOCK_ASSERT(b, !turbo_request_decode(&d, bytes.at, bytes.length));
    else
        BLOCK_ASSERT(b, !turbo_response_decode(&d, bytes.at, bytes.length));
}

static void every_form_of_datagram_is_read_and_written(void **state) /* §3 */
{
    (void)state;
    vectors_each("request", check_request);
    vectors_each("response", check_response);
}

static void malformed_ones_are_dropped(void **state) /* §3 */
{
    (void)state;
    vectors_each("drop", check_drop);
}

/* ---- tombstones and openings ---- */

static void check_tombstone(const struct block *b)
{
    static struct bytes bytes;
    uint8_t out[TURBO_TOMBSTONE_BYTES];
    struct turbo_tombstone t;
    struct turbo_id id = id_of(b, "id");
    read_bytes(b, "bytes", &bytes);
    BLOCK_ASSERT(b, bytes.length == sizeof(out) && turbo_tombstone_decode(&t, bytes.at));
    BLOCK_ASSERT(b, turbo_id_equal(&t.id, &id));
    BLOCK_ASSERT(b, t.replay == (strcmp(block_value(b, "replay"), "yes") == 0));
    BLOCK_ASSERT(b, t.consumed == vector_number(block_value(b, "n"), 10));
    turbo_tombstone_encode(&t, out);
    BLOCK_ASSERT(b, memcmp(out, bytes.at, sizeof(out)) == 0);
}

static enum turbo_prefix no_drafts(void *owner, const uint8_t *bytes, size_t length)
{
    (void)owner, (void)bytes, (void)length;
    return TURBO_PREFIX_NONE;
}

static void check_opening(const struct block *b)
{
    static struct bytes bytes;
    static const char *const words[] = {[TURBO_OPENING_MORE] = "wait",
                                        [TURBO_OPENING_CLASSIC] = "tls",
                                        [TURBO_OPENING_TOMBSTONE] = "tombstone",
                                        [TURBO_OPENING_OTHER] = "other"};
    struct turbo_opening opening;
    read_bytes(b, "bytes", &bytes);
    turbo_opening_init(&opening);
    turbo_opening_push(&opening, bytes.at, bytes.length, no_drafts, NULL);
    BLOCK_ASSERT(b, strcmp(block_value(b, "is"), words[opening.kind]) == 0);
}

static void openings_are_told_apart(void **state) /* §5 */
{
    (void)state;
    vectors_each("tombstone", check_tombstone);
    vectors_each("opening", check_opening);
}

/* ---- parity ---- */

static void give_chunk(struct reassembly *r, uint32_t number, const char *hex)
{
    uint8_t chunk[TURBO_RESPONSE_PAYLOAD_MAX];
    size_t length = vector_bytes(hex, chunk, sizeof(chunk));
    assert_int_equal(reassembly_push(r, number, chunk, length), REASSEMBLY_NEW);
}

static void read_parity(const struct block *b, uint32_t covered, struct parity *p)
{
    p->covered = covered;
    p->length = (uint16_t)vector_bytes(block_value(b, "payload"), p->payload, sizeof(p->payload));
}

/* Of chunks as a server cuts them; it cuts no empty ones. */
static void check_made(const struct block *b, const struct parity *right)
{
    static uint8_t kept[TURBO_STREAM_KEPT_MAX], out[TURBO_REQUEST_PAYLOAD_MAX];
    uint8_t chunk[TURBO_RESPONSE_PAYLOAD_MAX];
    struct retained r;
    retained_init(&r, kept);
    for (size_t i = 1; i < b->count; i++) {
        if (strcmp(b->lines[i].key, "chunk") != 0)
            continue;
        size_t length = vector_bytes(b->lines[i].value, chunk, sizeof(chunk));
        if (length == 0)
            return;
        retained_append(&r, chunk, length);
        retained_cut(&r);
    }
    BLOCK_ASSERT(b, parity_length(&r) == right->length);
    parity_make(&r, out, right->length);
    BLOCK_ASSERT(b, memcmp(out, right->payload, right->length) == 0);
}

static void check_rebuilt(const struct block *b, const struct parity *p, uint32_t lost)
{
    static uint8_t buffer[TURBO_CHUNKS_MAX * TURBO_RESPONSE_PAYLOAD_MAX];
    uint8_t chunk[TURBO_RESPONSE_PAYLOAD_MAX];
    struct reassembly r;
    size_t length = 0;
    reassembly_init(&r, buffer, TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    for (uint32_t k = 1; k <= p->covered; k++)
        if (k != lost)
            give_chunk(&r, k, b->lines[k].value);
    BLOCK_ASSERT(b, parity_rebuild(p, &r));
    const uint8_t *rebuilt = reassembly_chunk(&r, lost, &length);
    BLOCK_ASSERT(b, length == vector_bytes(b->lines[lost].value, chunk, sizeof(chunk)));
    BLOCK_ASSERT(b, memcmp(rebuilt, chunk, length) == 0);
}

static void check_parity(const struct block *b)
{
    struct parity p;
    uint32_t count = (uint32_t)b->count - 2; /* its name, the chunks, the payload */
    read_parity(b, count, &p);
    check_made(b, &p);
    for (uint32_t lost = 1; lost <= count; lost++)
        check_rebuilt(b, &p, lost);
}

static void check_not_rebuilt(const struct block *b)
{
    static uint8_t buffer[TURBO_CHUNKS_MAX * TURBO_RESPONSE_PAYLOAD_MAX];
    struct parity p;
    struct reassembly r;
    reassembly_init(&r, buffer, TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    read_parity(b, (uint32_t)vector_number(block_value(b, "covers"), 10), &p);
    for (size_t i = 1; i < b->count; i++)
        if (strcmp(b->lines[i].key, "has") == 0)
            give_chunk(&r, (uint32_t)(b->lines[i].value[0] - '0'), b->lines[i].value + 2);
    BLOCK_ASSERT(b, !parity_rebuild(&p, &r));
}

static void parity_is_made_and_rebuilds_any_one_chunk(void **state) /* §9 */
{
    (void)state;
    vectors_each("parity", check_parity);
    vectors_each("not-rebuilt", check_not_rebuilt);
}

/* ---- plans ---- */

static void check_plan(const struct block *b)
{
    char text[512] = "", *end;
    size_t hello = vector_number(block_value(b, "hello"), 10);
    uint32_t chunks = (uint32_t)strtoul(block_value(b, "expects"), &end, 10);
    uint32_t bytes = (uint32_t)vector_number(end + 1, 10);
    uint32_t most = (uint32_t)vector_number(block_value(b, "most"), 10);
    if (request_plan_fits(hello)) {
        struct request_plan plan = request_plan_make(hello, chunks, bytes, most);
        for (uint32_t i = 0; i < plan.requests; i++) {
            struct request request = request_plan_at(&plan, i);
            size_t at = strlen(text);
            snprintf(text + at, sizeof(text) - at, "%s%u:%zu", i > 0 ? " " : "", request.sequence,
                     request.length);
        }
    } else {
        strcpy(text, "none");
    }
    assert_string_equal(block_value(b, "requests"), text);
}

static void the_requests_are_as_planned(void **state) /* §4.6 */
{
    (void)state;
    vectors_each("plan", check_plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ids_are_the_hash_of_the_hello),
        CASE(every_form_of_datagram_is_read_and_written),
        CASE(malformed_ones_are_dropped),
        CASE(openings_are_told_apart),
        CASE(parity_is_made_and_rebuilds_any_one_chunk),
        CASE(the_requests_are_as_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
