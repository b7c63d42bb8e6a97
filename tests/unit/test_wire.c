/* Datagrams, tombstones and ids as bytes: protocol §2, §3, §5. */
#include "tests/unit/support/check.h"

#include "turbo/wire.h"

/* The worked example of protocol §3. */
static const uint8_t HELLO[] = {
    0x16, 0x03, 0x01, 0x00, 0x36, 0x01, 0x00, 0x00, 0x32, 0x03, 0x03, 0x00, 0x01, 0x02, 0x03,
    0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12,
    0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x00, 0x00,
    0x02, 0x13, 0x01, 0x01, 0x00, 0x00, 0x07, 0x00, 0x2b, 0x00, 0x03, 0x02, 0x03, 0x04};
static const struct turbo_id ID = {
    {0xb7, 0x0b, 0xb9, 0x7b, 0x5e, 0x26, 0x85, 0x48, 0x61, 0x07, 0x83, 0xee}};

enum { PARITY = TURBO_FLAG_PROFILE1 | TURBO_FLAG_PARITY };

/* A datagram of `length` bytes with this header. */
static const uint8_t *datagram(uint8_t flags, uint32_t sequence)
{
    static uint8_t bytes[TURBO_DATAGRAM_MAX + 1];
    check_fill(bytes, 2, 0, sizeof(bytes));
    memcpy(bytes, ID.bytes, TURBO_ID_BYTES);
    bytes[12] = flags;
    bytes[13] = (uint8_t)(sequence >> 16);
    bytes[14] = (uint8_t)(sequence >> 8);
    bytes[15] = (uint8_t)sequence;
    return bytes;
}

static bool is_request(uint8_t flags, uint32_t sequence, size_t payload)
{
    struct turbo_datagram out;
    return turbo_request_decode(&out, datagram(flags, sequence), TURBO_HEADER_BYTES + payload);
}

static bool is_response(uint8_t flags, uint32_t sequence, size_t payload)
{
    struct turbo_datagram out;
    return turbo_response_decode(&out, datagram(flags, sequence), TURBO_HEADER_BYTES + payload);
}

static void the_worked_example_has_its_id(void **state)
{
    struct turbo_id id;
    (void)state;
    turbo_id_from_hello(&id, check_sha256, HELLO, sizeof(HELLO));
    assert_memory_equal(id.bytes, ID.bytes, TURBO_ID_BYTES);
    assert_true(turbo_id_equal(&id, &ID));
    for (size_t i = 0; i < TURBO_ID_BYTES; i++) {
        id.bytes[i] ^= 0x10;
        assert_false(turbo_id_equal(&id, &ID));
        id.bytes[i] ^= 0x10;
    }
}

/* Digests of 0x00 and 0xff: the marks are set, and nothing else is touched (2.1). */
static void zeros(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    (void)data;
    (void)length;
    memset(digest, 0, 32);
}

static void ones(const uint8_t *data, size_t length, uint8_t digest[static 32])
{
    (void)data;
    (void)length;
    memset(digest, 0xff, 32);
}

static void ids_have_their_marks_and_nothing_else_of_their_own(void **state)
{
    struct turbo_id id;
    (void)state;
    turbo_id_from_hello(&id, zeros, HELLO, sizeof(HELLO));
    assert_memory_equal(id.bytes, "\x80\0\x80\0\0\0\0\0\0\0\0\0", TURBO_ID_BYTES);
    turbo_id_from_hello(&id, ones, HELLO, sizeof(HELLO));
    assert_memory_equal(id.bytes, "\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    for (uint8_t i = 0; i < 200; i++) {
        uint8_t digest[32];
        check_sha256(&i, 1, digest);
        turbo_id_from_hello(&id, check_sha256, &i, 1);
        for (size_t n = 0; n <= TURBO_ID_BYTES; n++)
            assert_true(turbo_looks_like_id(id.bytes, n));
        assert_memory_equal(id.bytes + 3, digest + 3, TURBO_ID_BYTES - 3);
    }
}

static void what_other_protocols_begin_with_has_no_marks(void **state) /* §2.2 */
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned third = 0; third < 256; third++) {
            const uint8_t bytes[3] = {(uint8_t)first, 0, (uint8_t)third};
            bool mark = (first & 0xc0) == 0x80;
            assert_int_equal(turbo_looks_like_id(bytes, 1), mark);
            assert_int_equal(turbo_looks_like_id(bytes, 2), mark);
            assert_int_equal(turbo_looks_like_id(bytes, 3), mark && third >= 0x80);
        }
    }
}

static void the_worked_example_has_its_bytes(void **state)
{
    static const uint8_t header[] = {0xb7, 0x0b, 0xb9, 0x7b, 0x5e, 0x26, 0x85, 0x48,
                                     0x61, 0x07, 0x83, 0xee, 0x00, 0x00, 0x00, 0x01};
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_datagram request = {
        .id = ID, .sequence = 1, .payload = HELLO, .length = sizeof(HELLO)};
    struct turbo_tombstone tombstone = {.id = ID, .replay = true, .consumed = 3};
    (void)state;
    assert_int_equal(turbo_datagram_encode(&request, out), 75);
    assert_memory_equal(out, header, sizeof(header));
    assert_memory_equal(out + sizeof(header), HELLO, sizeof(HELLO));
    turbo_tombstone_encode(&tombstone, out);
    assert_memory_equal(out, header, 12);
    assert_memory_equal(out + 12, "\x01\x00\x00\x03", 4);
}

static void what_is_encoded_is_decoded(void **state)
{
    uint8_t payload[TURBO_REQUEST_PAYLOAD_MAX], out[TURBO_DATAGRAM_MAX];
    (void)state;
    check_fill(payload, 1, 0, sizeof(payload));
    for (size_t length = 0; length <= TURBO_REQUEST_PAYLOAD_MAX; length++) {
        struct turbo_datagram in = {.id = ID,
                                    .sequence = 1 + (uint32_t)length % TURBO_CHUNKS_MAX,
                                    .payload = payload,
                                    .length = length},
                              read;
        size_t n = turbo_datagram_encode(&in, out);
        assert_int_equal(n, TURBO_HEADER_BYTES + length);
        assert_true(turbo_request_decode(&read, out, n));
        assert_true(turbo_id_equal(&read.id, &ID));
        assert_int_equal(read.flags, 0);
        assert_int_equal(read.sequence, in.sequence);
        assert_int_equal(read.length, length);
        assert_ptr_equal(read.payload, out + TURBO_HEADER_BYTES);
    }
}

static void requests_have_flags_0_or_are_an_empty_abort(void **state) /* §3.8, 3.12 */
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        assert_int_equal(is_request((uint8_t)flags, 1, 10), flags == 0);
        assert_int_equal(is_request((uint8_t)flags, 1, 0), flags == 0 || flags == TURBO_FLAG_ABORT);
    }
}

static void responses_are_chunks_parity_or_an_empty_refused(void **state) /* §3.12 */
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        bool chunk = flags == 0 || flags == TURBO_FLAG_PROFILE1;
        bool parity = flags == PARITY;
        bool refused = flags == (TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED);
        assert_int_equal(is_response((uint8_t)flags, 1, 10), chunk || parity);
        assert_int_equal(is_response((uint8_t)flags, 1, 0), chunk);
        assert_int_equal(is_response((uint8_t)flags, 0, 0), refused);
        assert_false(is_response((uint8_t)flags, 0, 1));
    }
}

static void sequences_are_1_to_64(void **state) /* §3.3 */
{
    static const uint32_t others[] = {0, 65, 256, 0x101, 0x10000, 0x10001, 0xffffff};
    (void)state;
    for (uint32_t sequence = 1; sequence <= 64; sequence++) {
        assert_true(is_request(0, sequence, 1));
        assert_true(is_request(TURBO_FLAG_ABORT, sequence, 0));
        assert_true(is_response(TURBO_FLAG_PROFILE1, sequence, 1));
        assert_true(is_response(PARITY, sequence, 2));
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_false(is_request(0, others[i], 1));
        assert_false(is_request(TURBO_FLAG_ABORT, others[i], 0));
        assert_false(is_response(TURBO_FLAG_PROFILE1, others[i], 1));
        assert_false(is_response(PARITY, others[i], 2));
    }
}

static void datagrams_have_16_to_1200_bytes(void **state) /* §3.1, 3.2 */
{
    struct turbo_datagram out;
    (void)state;
    for (size_t length = 0; length <= TURBO_DATAGRAM_MAX + 1; length++) {
        bool request = length >= 16 && length <= 1200, response = length >= 16 && length <= 1198;
        bool parity = length >= 18 && length <= 1200;
        assert_int_equal(turbo_request_decode(&out, datagram(0, 1), length), request);
        assert_int_equal(turbo_response_decode(&out, datagram(TURBO_FLAG_PROFILE1, 1), length),
                         response);
        assert_int_equal(turbo_response_decode(&out, datagram(PARITY, 1), length), parity);
    }
}

static void tombstones_have_flags_0_or_1_and_n_up_to_64(void **state) /* §5.2 */
{
    uint8_t bytes[TURBO_TOMBSTONE_BYTES];
    struct turbo_tombstone out;
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        for (uint32_t n = 0; n < 70; n++) {
            memcpy(bytes, datagram((uint8_t)flags, n), sizeof(bytes));
            bool good = flags <= 1 && n <= 64;
            assert_int_equal(turbo_tombstone_decode(&out, bytes), good);
            if (!good)
                continue;
            assert_true(turbo_id_equal(&out.id, &ID));
            assert_int_equal(out.replay, flags);
            assert_int_equal(out.consumed, n);
            uint8_t again[TURBO_TOMBSTONE_BYTES];
            turbo_tombstone_encode(&out, again);
            assert_memory_equal(again, bytes, sizeof(again));
        }
    }
    memcpy(bytes, datagram(1, 0x010001), sizeof(bytes));
    assert_false(turbo_tombstone_decode(&out, bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_worked_example_has_its_id),
        CASE(ids_have_their_marks_and_nothing_else_of_their_own),
        CASE(what_other_protocols_begin_with_has_no_marks),
        CASE(the_worked_example_has_its_bytes),
        CASE(what_is_encoded_is_decoded),
        CASE(requests_have_flags_0_or_are_an_empty_abort),
        CASE(responses_are_chunks_parity_or_an_empty_refused),
        CASE(sequences_are_1_to_64),
        CASE(datagrams_have_16_to_1200_bytes),
        CASE(tombstones_have_flags_0_or_1_and_n_up_to_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
