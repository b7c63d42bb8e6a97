/* Datagrams and tombstones of the Sandwich dialect: protocol §11.1, §11.3. */
#include "tests/unit/support/check.h"

#include "turbo/wire.h"

static const struct turbo_id ID = {
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 15}};

static const uint8_t *datagram(uint8_t index)
{
    static uint8_t bytes[TURBO_DATAGRAM_MAX];
    check_fill(bytes, 3, 0, sizeof(bytes));
    memcpy(bytes, ID.bytes, sizeof(ID.bytes));
    bytes[16] = index;
    return bytes;
}

static void a_datagram_is_an_id_an_index_and_a_payload(void **state)
{
    struct turbo_datagram out;
    uint8_t again[TURBO_DATAGRAM_MAX];
    (void)state;
    for (size_t payload = 0; payload <= 1024; payload += 256)
        for (unsigned index = 1; index <= 255; index++) {
            const uint8_t *bytes = datagram((uint8_t)index);
            assert_true(sandwich_request_decode(&out, bytes, 17 + payload));
            assert_int_equal(sandwich_response_decode(&out, bytes, 17 + payload), payload > 0);
            assert_int_equal(out.dialect, TURBO_DIALECT_SANDWICH);
            assert_true(turbo_id_equal(&out.id, &ID));
            assert_int_equal(out.sequence, index);
            assert_int_equal(out.flags, 0);
            assert_ptr_equal(out.payload, bytes + 17);
            assert_int_equal(out.length, payload);
            assert_int_equal(turbo_datagram_encode(&out, again), 17 + payload);
            assert_memory_equal(again, bytes, 17 + payload);
        }
}

static void what_is_outside_the_limits_is_none(void **state)
{
    struct turbo_datagram out;
    (void)state;
    for (size_t length = 0; length < 17; length++)
        assert_false(sandwich_request_decode(&out, datagram(1), length));
    assert_false(sandwich_request_decode(&out, datagram(0), 17));
    assert_false(sandwich_response_decode(&out, datagram(0), 18));
    assert_false(sandwich_request_decode(&out, datagram(1), 17 + 1025));
    assert_false(sandwich_response_decode(&out, datagram(1), 17 + 1025));
}

/* Else a session of this dialect could have the name of one of profile 1. */
static void an_id_that_ends_in_four_zeros_is_none(void **state)
{
    struct turbo_datagram out;
    struct turbo_tombstone tombstone;
    uint8_t bytes[17];
    (void)state;
    for (size_t zeros = 0; zeros <= 4; zeros++) {
        memcpy(bytes, datagram(1), sizeof(bytes));
        memset(bytes + 16 - zeros, 0, zeros);
        assert_int_equal(sandwich_request_decode(&out, bytes, 17), zeros < 4);
        assert_int_equal(sandwich_tombstone_decode(&tombstone, bytes), zeros < 4);
    }
}

static void a_tombstone_is_an_id_and_a_number(void **state)
{
    struct turbo_tombstone out;
    uint8_t again[17];
    (void)state;
    for (unsigned last = 0; last <= 255; last++) {
        const uint8_t *bytes = datagram((uint8_t)last);
        assert_true(sandwich_tombstone_decode(&out, bytes));
        assert_int_equal(out.dialect, TURBO_DIALECT_SANDWICH);
        assert_true(turbo_id_equal(&out.id, &ID));
        assert_int_equal(out.consumed, last);
        assert_false(out.replay);
        sandwich_tombstone_encode(&out, again);
        assert_memory_equal(again, bytes, sizeof(again));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_datagram_is_an_id_an_index_and_a_payload),
        CASE(what_is_outside_the_limits_is_none),
        CASE(an_id_that_ends_in_four_zeros_is_none),
        CASE(a_tombstone_is_an_id_and_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
