/* Which requests a client end sends: protocol §4.6 – 4.8, 10.4. */
#include "tests/unit/support/check.h"

#include "turbo/chunks.h"

static size_t bytes_of(const struct request_plan *plan, uint32_t requests)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < requests; i++)
        bytes += TURBO_HEADER_BYTES + request_plan_at(plan, i).length;
    return bytes;
}

static uint32_t chunks_of(size_t hello)
{
    return (uint32_t)((hello + 1183) / 1184);
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The first line of 4.6, within the limits of the third and of 10.4. */
static bool enough_requests(const struct request_plan *plan, uint32_t r, uint32_t expected,
                            uint32_t max)
{
    uint32_t limit = most(max < 16 ? max : 16, plan->hello_chunks);
    uint32_t wanted = most(expected + 3, 3u * plan->hello_chunks);
    return r >= wanted || r >= limit || bytes_of(plan, r) + TURBO_HEADER_BYTES > 14720;
}

/* The second line, within the same limits. */
static bool enough_bytes(const struct request_plan *plan, uint32_t r, uint32_t chunks,
                         uint32_t bytes, uint32_t max)
{
    uint32_t limit = most(max < 16 ? max : 16, plan->hello_chunks);
    size_t largest = TURBO_HEADER_BYTES + request_plan_at(plan, 0).length;
    size_t next = TURBO_HEADER_BYTES + request_plan_at(plan, r % plan->hello_chunks).length;
    return 3 * (bytes_of(plan, r) - largest) >= bytes + 16 * chunks + 1200 || r >= limit ||
           bytes_of(plan, r) + next > 14720;
}

static void a_hello_of_1_byte_to_8_chunks_goes_by_udp(void **state) /* §3.6 */
{
    (void)state;
    assert_false(request_plan_fits(0));
    assert_true(request_plan_fits(1));
    assert_true(request_plan_fits(8 * 1184));
    assert_false(request_plan_fits(8 * 1184 + 1));
    assert_false(request_plan_fits(SIZE_MAX - 2000));
}

static void the_plan_is_the_smallest_that_does(void **state) /* §4.6 */
{
    static const uint32_t maxima[] = {1, 6, 16, 100};
    (void)state;
    for (size_t hello = 1; hello <= 8 * 1184; hello += hello < 2400 ? 13 : 111) {
        for (uint32_t chunks = 1; chunks <= 64; chunks += 1 + chunks / 4) {
            for (size_t m = 0; m < COUNT(maxima); m++) {
                uint32_t bytes = chunks * 1000, max = maxima[m];
                struct request_plan plan = request_plan_make(hello, chunks, bytes, max);
                uint32_t r = plan.requests;
                assert_true(r <= most(max, plan.hello_chunks) && r <= 16);
                assert_true(bytes_of(&plan, r) <= 14720);
                assert_true(enough_requests(&plan, r, chunks, max));
                assert_true(plan.copies < r || enough_bytes(&plan, r, chunks, bytes, max));
                assert_false(r > 1 && enough_requests(&plan, r - 1, chunks, max) &&
                             enough_bytes(&plan, r - 1, chunks, bytes, max));
            }
        }
    }
}

static void every_chunk_of_the_hello_is_sent_whatever_the_limit(void **state) /* §10.4 */
{
    (void)state;
    for (size_t hello = 1; hello <= 8 * 1184; hello += 37) {
        struct request_plan plan = request_plan_make(hello, 1, 1, 1);
        uint32_t chunks = chunks_of(hello);
        assert_int_equal(plan.hello_chunks, chunks);
        assert_int_equal(plan.requests, chunks);
        size_t offset = 0;
        for (uint32_t i = 0; i < chunks; i++) {
            struct request request = request_plan_at(&plan, i);
            assert_int_equal(request.sequence, i + 1);
            assert_int_equal(request.offset, offset);
            assert_int_equal(request.length, hello - offset < 1184 ? hello - offset : 1184);
            offset += request.length;
        }
        assert_int_equal(offset, hello);
    }
}

static void request_i_carries_chunk_i_mod_chunks_then_nothing(void **state) /* §4.7, 3.7 */
{
    (void)state;
    for (size_t hello = 100; hello <= 8 * 1184; hello += 53) {
        struct request_plan plan = request_plan_make(hello, 20, 20000, 16);
        for (uint32_t i = 0; i < plan.requests; i++) {
            struct request request = request_plan_at(&plan, i);
            if (i < plan.copies) {
                assert_int_equal(request.sequence, 1 + i % plan.hello_chunks);
                assert_true(request.length > 0);
            } else {
                assert_int_equal(request.sequence, plan.hello_chunks + 1u + i - plan.copies);
                assert_int_equal(request.length, 0);
                /* Only where a copy would have exceeded the limit. */
                size_t copy = request_plan_at(&plan, plan.copies % plan.hello_chunks).length;
                assert_true(bytes_of(&plan, plan.copies) + 16 + copy > 14720);
            }
        }
    }
}

static void first_contact_sends_what_the_protocol_says(void **state) /* §4.6, 4.8 */
{
    static const struct {
        size_t hello;
        uint32_t max, requests, copies;
    } cases[] = {
        {517, 6, 6, 6},    /* 3 × (6−1) × 533 = 7995 ≥ 4608 + 64 + 1200 */
        {200, 6, 6, 6},    /* the limit */
        {200, 16, 11, 11}, /* 3 × 10 × 216 = 6480 ≥ 5872 > 3 × 9 × 216 */
        {517, 16, 7, 7},   /* 4 + 3 */
        {1955, 16, 7, 7},  /* two chunks: max(7, 6) */
        {3000, 16, 9, 9},  /* three: max(7, 9) */
        {9472, 16, 16, 12} /* 12 × 1200 is 14,400 */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct request_plan plan = request_plan_make(cases[i].hello, TURBO_EXPECTED_CHUNKS,
                                                     TURBO_EXPECTED_BYTES, cases[i].max);
        assert_int_equal(plan.requests, cases[i].requests);
        assert_int_equal(plan.copies, cases[i].copies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_hello_of_1_byte_to_8_chunks_goes_by_udp),
        CASE(the_plan_is_the_smallest_that_does),
        CASE(every_chunk_of_the_hello_is_sent_whatever_the_limit),
        CASE(request_i_carries_chunk_i_mod_chunks_then_nothing),
        CASE(first_contact_sends_what_the_protocol_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
