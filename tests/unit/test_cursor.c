/* Reading and writing within bounds. */
#include "tests/unit/support/check.h"

#include "turbo/cursor.h"

static const uint8_t BYTES[] = {0x01, 0x02, 0x03, 0x84, 0x05, 0x06};

static void numbers_are_big_endian_and_1_to_4_bytes_wide(void **state)
{
    static const uint32_t values[] = {0x01, 0x0102, 0x010203, 0x01020384};
    (void)state;
    for (size_t width = 1; width <= 4; width++) {
        struct reader r = reader_of(BYTES, sizeof(BYTES));
        assert_int_equal(reader_number(&r, width), values[width - 1]);
        assert_true(r.ok);
        assert_int_equal(r.left, sizeof(BYTES) - width);
        assert_ptr_equal(r.at, BYTES + width);

        uint8_t out[5] = {0, 0, 0, 0, 0xee};
        struct writer w = writer_of(out, width);
        writer_number(&w, values[width - 1], width);
        assert_true(w.ok);
        assert_memory_equal(out, BYTES, width);
        assert_int_equal(out[4], 0xee);
    }
}

static void a_number_keeps_only_its_width(void **state)
{
    uint8_t out[2];
    struct writer w = writer_of(out, sizeof(out));
    (void)state;
    writer_number(&w, 0xaabbccdd, 2);
    assert_memory_equal(out, "\xcc\xdd", 2);
}

static void everything_may_be_read_and_no_more(void **state)
{
    (void)state;
    for (size_t n = 0; n <= sizeof(BYTES) + 1; n++) {
        struct reader r = reader_of(BYTES, sizeof(BYTES));
        const uint8_t *bytes = reader_bytes(&r, n);
        if (n <= sizeof(BYTES)) {
            assert_ptr_equal(bytes, BYTES);
            assert_int_equal(r.left, sizeof(BYTES) - n);
        } else {
            assert_null(bytes);
        }
        assert_int_equal(r.ok, n <= sizeof(BYTES));
    }
}

static void a_failed_reader_stays_failed_and_gives_zeros(void **state)
{
    struct reader r = reader_of(BYTES, sizeof(BYTES));
    (void)state;
    assert_null(reader_bytes(&r, sizeof(BYTES) + 1));
    assert_false(r.ok);
    assert_null(reader_bytes(&r, 1));
    assert_null(reader_bytes(&r, 0));
    for (size_t width = 1; width <= 4; width++)
        assert_int_equal(reader_number(&r, width), 0);
    assert_false(r.ok);
    assert_ptr_equal(r.at, BYTES);

    r = reader_of(BYTES, 2);
    assert_int_equal(reader_number(&r, 3), 0); /* not half of it */
    assert_false(r.ok);
}

static void lengths_as_large_as_can_be_do_not_wrap(void **state)
{
    uint8_t out[4];
    volatile size_t huge = SIZE_MAX; /* hidden from the compiler, which would warn */
    struct reader r = reader_of(BYTES, sizeof(BYTES));
    struct writer w = writer_of(out, sizeof(out));
    (void)state;
    reader_number(&r, 2);
    assert_null(reader_bytes(&r, huge));
    assert_null(reader_bytes(&r, huge - 1));
    writer_bytes(&w, BYTES, huge);
    assert_false(w.ok);
}

static void nothing_can_be_read_from_nothing(void **state)
{
    struct reader r = reader_of(BYTES, 0);
    (void)state;
    assert_ptr_equal(reader_bytes(&r, 0), BYTES);
    assert_true(r.ok);
    assert_int_equal(reader_number(&r, 1), 0);
    assert_false(r.ok);
}

static void everything_may_be_written_and_no_more(void **state)
{
    uint8_t out[8];
    (void)state;
    for (size_t n = 0; n <= sizeof(BYTES); n++) {
        struct writer w = writer_of(out, 4);
        memset(out, 0xee, sizeof(out));
        writer_bytes(&w, BYTES, n);
        assert_int_equal(w.ok, n <= 4);
        assert_int_equal(w.left, n <= 4 ? 4 - n : 4);
        for (size_t i = 0; i < sizeof(out); i++)
            assert_int_equal(out[i], n <= 4 && i < n ? BYTES[i] : 0xee);
    }
}

static void a_failed_writer_writes_nothing_more(void **state)
{
    uint8_t out[4] = {0xee, 0xee, 0xee, 0xee};
    struct writer w = writer_of(out, sizeof(out));
    (void)state;
    writer_number(&w, 7, 1);
    writer_bytes(&w, BYTES, 4);
    assert_false(w.ok);
    writer_number(&w, 8, 1);
    writer_bytes(&w, NULL, 0);
    assert_false(w.ok);
    assert_memory_equal(out, "\x07\xee\xee\xee", 4);
    assert_int_equal(w.left, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(numbers_are_big_endian_and_1_to_4_bytes_wide),
        CASE(a_number_keeps_only_its_width),
        CASE(everything_may_be_read_and_no_more),
        CASE(a_failed_reader_stays_failed_and_gives_zeros),
        CASE(lengths_as_large_as_can_be_do_not_wrap),
        CASE(nothing_can_be_read_from_nothing),
        CASE(everything_may_be_written_and_no_more),
        CASE(a_failed_writer_writes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
