/* What a TCP connection to a server end begins with: protocol §5. */
#include "tests/unit/support/check.h"

#include "tests/unit/support/hello.h"
#include "turbo/opening.h"
#include "turbo/wire.h"

static struct hello hello;

/* A pending draft session's id; none when its length is 0. */
struct draft {
    uint8_t id[TURBO_ID_BYTES];
    size_t id_length;
    unsigned asked;
};

static enum turbo_prefix known(void *owner, const uint8_t *bytes, size_t length)
{
    struct draft *draft = owner;
    draft->asked++;
    if (draft->id_length == 0)
        return TURBO_PREFIX_NONE;
    if (length > draft->id_length)
        length = draft->id_length;
    return memcmp(draft->id, bytes, length) == 0 ? TURBO_PREFIX_DRAFT : TURBO_PREFIX_NONE;
}

static struct turbo_opening feed(const uint8_t *data, size_t length, size_t segment,
                                 struct draft *draft, size_t *taken)
{
    struct turbo_opening opening;
    turbo_opening_init(&opening);
    *taken = 0;
    while (*taken < length && opening.kind == TURBO_OPENING_MORE) {
        size_t n = length - *taken < segment ? length - *taken : segment;
        size_t used = turbo_opening_push(&opening, data + *taken, n, known, draft);
        assert_true(used <= n);
        if (opening.kind == TURBO_OPENING_MORE)
            assert_int_equal(used, n);
        *taken += used;
    }
    return opening;
}

/* The kind, which must not depend on how the bytes come (5.1). */
static enum turbo_opening_kind kind_of(const uint8_t *data, size_t length, struct draft *draft,
                                       size_t *taken)
{
    enum turbo_opening_kind kind = feed(data, length, SIZE_MAX, draft, taken).kind;
    for (size_t segment = 1; segment < 20; segment++) {
        size_t slow;
        assert_int_equal(feed(data, length, segment, draft, &slow).kind, kind);
        assert_int_equal(slow, *taken);
    }
    return kind;
}

static void marked_id(uint8_t *out)
{
    check_fill(out, 5, 0, TURBO_ID_BYTES);
    out[0] = (uint8_t)((out[0] & 0x3f) | 0x80);
    out[2] |= 0x80;
}

/* §5.3 */
static void a_client_hello_is_classic(void **state)
{
    struct draft none = {0};
    size_t taken;
    (void)state;
    for (size_t i = 0; i < hello_fixture_count(); i++) {
        struct hello_fixture facts = hello_fixture(i, &hello);
        size_t length = hello.length;
        memset(hello.bytes + length, 0x17, 50);
        assert_int_equal(kind_of(hello.bytes, length + 50, &none, &taken), TURBO_OPENING_CLASSIC);
        assert_int_equal(taken, length);
        none.asked = 0;
        struct turbo_opening opening = feed(hello.bytes, length, 1, &none, &taken);
        assert_int_equal(none.asked, 2); /* then it is TLS (5.2), unless a pending id goes on so */
        assert_string_equal(opening.hello.server_name, facts.server_name);
        assert_int_equal(opening.hello.length, length);
        assert_int_equal(opening.hello.state, TURBO_HELLO_COMPLETE);
    }
}

/* §5.3: classic without an id. */
static void a_client_hello_above_16_kib_is_classic(void **state)
{
    struct draft none = {0};
    size_t taken;
    (void)state;
    hello_make(&hello, &(struct hello_spec){.size = 20000});
    assert_int_equal(kind_of(hello.bytes, hello.length, &none, &taken), TURBO_OPENING_CLASSIC);
    assert_int_equal(feed(hello.bytes, hello.length, 1, &none, &taken).hello.state,
                     TURBO_HELLO_TOO_LARGE);
}

/* §5.3: a stream that began as TLS and holds no ClientHello. */
static void a_record_without_a_client_hello_is_other(void **state)
{
    struct draft none = {0};
    size_t taken;
    (void)state;
    hello_simple(&hello, 0);
    hello.bytes[5] = 2;
    assert_int_equal(kind_of(hello.bytes, hello.length, &none, &taken), TURBO_OPENING_OTHER);
    assert_int_equal(taken, 6);
}

static void nothing_is_decided_from_part_of_a_hello(void **state)
{
    struct draft none = {0};
    size_t taken;
    (void)state;
    hello_simple(&hello, 0);
    for (size_t length = 0; length < hello.length; length++)
        assert_int_equal(kind_of(hello.bytes, length, &none, &taken), TURBO_OPENING_MORE);
}

/* §5, 3.12: flags 0 or 1, n ≤ 64. */
static void sixteen_bytes_with_a_marked_id_are_a_tombstone(void **state)
{
    uint8_t bytes[20] = {0};
    struct draft none = {0};
    size_t taken;
    (void)state;
    marked_id(bytes);
    for (uint8_t flags = 0; flags < 2; flags++) {
        for (uint8_t n = 0; n <= TURBO_CHUNKS_MAX; n++) {
            bytes[12] = flags;
            bytes[15] = n;
            assert_int_equal(kind_of(bytes, sizeof(bytes), &none, &taken), TURBO_OPENING_TOMBSTONE);
            assert_int_equal(taken, TURBO_TOMBSTONE_BYTES);
            struct turbo_opening opening = feed(bytes, sizeof(bytes), 3, &none, &taken);
            assert_memory_equal(opening.tombstone.id.bytes, bytes, TURBO_ID_BYTES);
            assert_int_equal(opening.tombstone.replay, flags == 1);
            assert_int_equal(opening.tombstone.consumed, n);
        }
    }
    for (size_t length = 0; length < TURBO_TOMBSTONE_BYTES; length++)
        assert_int_equal(kind_of(bytes, length, &none, &taken), TURBO_OPENING_MORE);
}

/* §5.2 */
static void other_flags_or_numbers_are_no_tombstone(void **state)
{
    static const struct {
        uint8_t flags, n[3];
    } bad[] = {{2, {0, 0, 1}},    {3, {0, 0, 1}},  {0x10, {0, 0, 1}},
               {0x81, {0, 0, 1}}, {1, {0, 0, 65}}, {1, {0, 1, 0}},
               {1, {1, 0, 0}},    {0, {0, 0, 65}}, {0, {255, 255, 1}}};
    uint8_t bytes[20] = {0};
    struct draft none = {0};
    size_t taken;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        marked_id(bytes);
        bytes[12] = bad[i].flags;
        memcpy(bytes + 13, bad[i].n, 3);
        assert_int_equal(kind_of(bytes, sizeof(bytes), &none, &taken), TURBO_OPENING_OTHER);
    }
}

/* §2.2, 5.2: when no possibility is left it is "other" at once. */
static void an_unmarked_id_is_other_with_its_first_wrong_byte(void **state)
{
    uint8_t bytes[16] = {0};
    struct draft none = {0};
    size_t taken;
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        if (first == 22 || (first & 0xc0) == 0x80)
            continue;
        memset(bytes, 0x80, sizeof(bytes));
        bytes[0] = (uint8_t)first;
        assert_int_equal(kind_of(bytes, sizeof(bytes), &none, &taken), TURBO_OPENING_OTHER);
        assert_int_equal(taken, 1);
    }
    for (unsigned third = 0; third < 128; third++) {
        memset(bytes, 0x80, sizeof(bytes));
        bytes[2] = (uint8_t)third;
        assert_int_equal(kind_of(bytes, sizeof(bytes), &none, &taken), TURBO_OPENING_OTHER);
        assert_int_equal(taken, 3);
    }
    memcpy(bytes, "\x16\x02", 2);
    assert_int_equal(kind_of(bytes, sizeof(bytes), &none, &taken), TURBO_OPENING_OTHER);
    assert_int_equal(taken, 2);
}

static void text_and_other_protocols_are_other(void **state)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "\r\n\r\n\x01\r\nQUIT\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x80\x2e\x01\x03\x01 an SSLv2 hel",
        "\xc0\x01\x01\x01\x01 a QUIC v1 packet",
    };
    struct draft none = {0};
    size_t taken;
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(kind_of((const uint8_t *)texts[i], strlen(texts[i]), &none, &taken),
                         TURBO_OPENING_OTHER);
}

/* §5.2: a pending draft session's id, as far as it has come. */
static void the_id_of_a_pending_draft_session_is_recognized(void **state)
{
    static const uint8_t firsts[][3] = {
        {'G', 'E', 'T'}, {0x16, 0x02, 0}, {0, 0, 0}, {0xff, 1, 0x7f}, {0x80, 1, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(firsts); i++) {
        struct draft draft = {.id_length = TURBO_ID_BYTES};
        uint8_t bytes[TURBO_TOMBSTONE_BYTES] = {0};
        size_t taken;
        check_fill(draft.id, 9, 0, TURBO_ID_BYTES);
        memcpy(draft.id, firsts[i], 3);
        memcpy(bytes, draft.id, TURBO_ID_BYTES);
        bytes[15] = 7;
        assert_int_equal(kind_of(bytes, sizeof(bytes), &draft, &taken), TURBO_OPENING_TOMBSTONE);
        assert_int_equal(feed(bytes, sizeof(bytes), 1, &draft, &taken).tombstone.consumed, 7);
        for (size_t wrong = 0; wrong < TURBO_ID_BYTES; wrong++) {
            struct turbo_opening opening;
            bytes[wrong] ^= 0x20;
            opening = feed(bytes, sizeof(bytes), 1, &draft, &taken);
            bool marked = (bytes[0] & 0xc0) == 0x80 && (bytes[2] & 0x80) != 0;
            assert_int_equal(opening.kind, marked ? TURBO_OPENING_TOMBSTONE : TURBO_OPENING_OTHER);
            bytes[wrong] ^= 0x20;
        }
    }
}

/* §5.2: TLS goes first, so such an id never finds its session (2.5). */
static void a_draft_id_that_looks_like_tls_loses_to_tls(void **state)
{
    struct draft draft = {.id = {0x16, 0x03}, .id_length = TURBO_ID_BYTES};
    size_t taken;
    (void)state;
    hello_simple(&hello, 0);
    memcpy(draft.id, hello.bytes, TURBO_ID_BYTES);
    assert_int_equal(kind_of(hello.bytes, hello.length, &draft, &taken), TURBO_OPENING_CLASSIC);
}

/* ---- whose it is ---- */

enum { OWNERS = 5 };

/* After `length` of the bytes. */
static int owner_of(const uint8_t *data, size_t length)
{
    struct draft none = {0};
    struct turbo_opening opening;
    turbo_opening_init(&opening);
    turbo_opening_push(&opening, data, length, known, &none);
    return turbo_opening_owner(&opening, check_sha256, data, length, OWNERS);
}

static void a_hello_is_its_ids_owners_once_it_is_whole(void **state)
{
    (void)state;
    bool seen[OWNERS] = {false};
    for (unsigned random = 0; random < 64; random++) {
        hello_simple(&hello, random);
        struct turbo_id id;
        turbo_id_from_hello(&id, check_sha256, hello.bytes, hello.length);
        assert_int_equal(owner_of(hello.bytes, hello.length), id.bytes[TURBO_SHARE_BYTE] % OWNERS);
        hello.bytes[hello.length] = 23; /* what comes behind it does not count */
        assert_int_equal(owner_of(hello.bytes, hello.length + 1),
                         id.bytes[TURBO_SHARE_BYTE] % OWNERS);
        seen[id.bytes[TURBO_SHARE_BYTE] % OWNERS] = true;
    }
    for (size_t i = 0; i < OWNERS; i++)
        assert_true(seen[i]);
    for (size_t length = 0; length < hello.length; length++)
        assert_int_equal(owner_of(hello.bytes, length), -1);
}

static void a_hello_that_is_too_large_for_an_id_is_anybodys(void **state)
{
    (void)state;
    hello_make(&hello, &(struct hello_spec){.server_name = "a.example", .size = 20000});
    assert_int_equal(owner_of(hello.bytes, hello.length), -1);
}

static void anything_else_is_told_by_its_second_byte(void **state)
{
    (void)state;
    static const uint8_t firsts[] = {0x80, 0xbf, 'G', 0, 0xff, 0x16};
    for (size_t i = 0; i < COUNT(firsts); i++) {
        for (unsigned second = 0; second < 256; second++) {
            uint8_t bytes[TURBO_TOMBSTONE_BYTES] = {firsts[i], (uint8_t)second, 0x80};
            if (firsts[i] == 0x16 && second == 0x03)
                continue; /* a record */
            assert_int_equal(owner_of(bytes, 0), -1);
            assert_int_equal(owner_of(bytes, 1), -1);
            for (size_t length = 2; length <= sizeof(bytes); length++)
                assert_int_equal(owner_of(bytes, length), second % OWNERS);
        }
    }
}

/* It began like a record, and its id may have as well. */
static void a_record_without_a_hello_is_its_second_bytes_owners(void **state)
{
    (void)state;
    static const uint8_t alert[] = {0x16, 0x03, 0x01, 0, 2, 77, 0};
    assert_int_equal(owner_of(alert, 2), -1);
    assert_int_equal(owner_of(alert, sizeof(alert)), 3 % OWNERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_client_hello_is_classic),
        CASE(a_client_hello_above_16_kib_is_classic),
        CASE(a_record_without_a_client_hello_is_other),
        CASE(nothing_is_decided_from_part_of_a_hello),
        CASE(sixteen_bytes_with_a_marked_id_are_a_tombstone),
        CASE(other_flags_or_numbers_are_no_tombstone),
        CASE(an_unmarked_id_is_other_with_its_first_wrong_byte),
        CASE(text_and_other_protocols_are_other),
        CASE(the_id_of_a_pending_draft_session_is_recognized),
        CASE(a_draft_id_that_looks_like_tls_loses_to_tls),
        CASE(a_hello_is_its_ids_owners_once_it_is_whole),
        CASE(a_hello_that_is_too_large_for_an_id_is_anybodys),
        CASE(anything_else_is_told_by_its_second_byte),
        CASE(a_record_without_a_hello_is_its_second_bytes_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
