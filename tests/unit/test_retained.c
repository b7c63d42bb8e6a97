/* S→C bytes kept as chunks until TCP joins: protocol §3.4, 7.2. */
#include "tests/unit/support/check.h"

#include "turbo/retained.h"

static struct retained r;
static uint8_t buffer[TURBO_STREAM_KEPT_MAX];

static size_t append(size_t length)
{
    static uint8_t bytes[2 * TURBO_STREAM_KEPT_MAX];
    check_fill(bytes, 1, r.length, length);
    return retained_append(&r, bytes, length);
}

static void assert_chunk(uint32_t number, size_t from, size_t length)
{
    size_t got;
    const uint8_t *bytes = retained_chunk(&r, number, &got);
    assert_int_equal(got, length);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(bytes[i], check_byte(1, from + i));
    assert_int_equal(retained_offset_after(&r, number), from + length);
}

static void a_chunk_is_as_full_as_it_can_be_when_cut(void **state)
{
    (void)state;
    retained_init(&r, buffer);
    assert_int_equal(retained_uncut(&r), 0);
    assert_int_equal(append(3000), 3000);
    assert_int_equal(retained_uncut(&r), 3000);
    assert_int_equal(retained_cut(&r), 1);
    assert_int_equal(retained_cut(&r), 2);
    assert_int_equal(retained_uncut(&r), 3000 - 2 * 1182);
    assert_int_equal(retained_cut(&r), 3);
    assert_int_equal(retained_uncut(&r), 0);
    assert_chunk(1, 0, 1182);
    assert_chunk(2, 1182, 1182);
    assert_chunk(3, 2364, 636);
    append(TURBO_RESPONSE_PAYLOAD_MAX + 1);
    retained_cut(&r);
    assert_chunk(4, 3000, TURBO_RESPONSE_PAYLOAD_MAX);
    assert_int_equal(retained_uncut(&r), 1);
}

static void a_chunk_keeps_its_bytes_whatever_comes_later(void **state)
{
    (void)state;
    retained_init(&r, buffer);
    append(10);
    retained_cut(&r);
    append(5000);
    assert_chunk(1, 0, 10);
    retained_cut(&r);
    append(60000);
    assert_chunk(1, 0, 10);
    assert_chunk(2, 10, 1182);
    assert_int_equal(retained_offset_after(&r, 0), 0);
}

static void exactly_64_kib_are_kept(void **state)
{
    (void)state;
    retained_init(&r, buffer);
    assert_int_equal(append(TURBO_STREAM_KEPT_MAX - 1), TURBO_STREAM_KEPT_MAX - 1);
    assert_int_equal(append(5), 1);
    assert_int_equal(append(5), 0);
    assert_int_equal(append(0), 0);
    uint32_t chunks = 0;
    while (retained_uncut(&r) > 0)
        chunks = retained_cut(&r);
    assert_int_equal(chunks, 56);
    assert_chunk(56, (size_t)55 * 1182, TURBO_STREAM_KEPT_MAX - 55 * 1182);
    retained_init(&r, buffer);
    assert_int_equal(append(2 * TURBO_STREAM_KEPT_MAX), TURBO_STREAM_KEPT_MAX);
}

static void there_are_64_numbers_and_the_rest_is_not_cut(void **state)
{
    (void)state;
    retained_init(&r, buffer);
    for (uint32_t k = 1; k <= TURBO_CHUNKS_MAX; k++) {
        append(3);
        assert_int_equal(retained_uncut(&r), 3);
        assert_int_equal(retained_cut(&r), k);
    }
    assert_int_equal(append(100), 100);
    assert_int_equal(retained_uncut(&r), 0);
    assert_int_equal(r.length, 292);
    for (uint32_t k = 1; k <= TURBO_CHUNKS_MAX; k++)
        assert_chunk(k, (k - 1) * (size_t)3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_chunk_is_as_full_as_it_can_be_when_cut),
        CASE(a_chunk_keeps_its_bytes_whatever_comes_later),
        CASE(exactly_64_kib_are_kept),
        CASE(there_are_64_numbers_and_the_rest_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
