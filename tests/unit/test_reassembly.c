/* Numbered chunks in, a contiguous stream out. */
#include "tests/unit/support/check.h"

#include <stdlib.h>

#include "turbo/reassembly.h"

enum { SLOTS = 16, PAYLOAD = 1184 };

static struct reassembly r;
static uint8_t *buffer;

static void begin(uint8_t slots, uint16_t payload)
{
    free(buffer);
    buffer = malloc(reassembly_bytes(slots, payload)); /* exactly: ASan sees every byte beyond */
    assert_non_null(buffer);
    reassembly_init(&r, buffer, slots, payload);
}

static int end(void **state)
{
    (void)state;
    free(buffer);
    buffer = NULL;
    return 0;
}

static enum reassembly_result push(uint32_t sequence, size_t from, size_t length)
{
    uint8_t payload[2000];
    check_fill(payload, 1, from, length);
    return reassembly_push(&r, sequence, payload, length);
}

static void assert_stream(size_t length)
{
    assert_int_equal(reassembly_contiguous_bytes(&r), length);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(r.buffer[i], check_byte(1, i));
}

/* The next of all orders of `n` numbers; false after the last (Narayana's way). */
static bool next_order(uint32_t *order, size_t n)
{
    size_t i = n - 1, j = n - 1;
    while (i > 0 && order[i - 1] >= order[i])
        i--;
    if (i == 0)
        return false;
    while (order[j] <= order[i - 1])
        j--;
    uint32_t swap = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swap;
    for (j = n - 1; i < j; i++, j--) {
        swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return true;
}

static void any_order_gives_the_same_stream(void **state)
{
    static const size_t lengths[][6] = {{PAYLOAD, PAYLOAD, PAYLOAD, PAYLOAD, PAYLOAD, 7},
                                        {1, PAYLOAD, 0, 3, PAYLOAD, 0},
                                        {0, 0, 5, 0, 0, PAYLOAD}};
    (void)state;
    for (size_t c = 0; c < COUNT(lengths); c++) {
        uint32_t order[6] = {1, 2, 3, 4, 5, 6};
        size_t from[7] = {0};
        for (size_t i = 0; i < 6; i++)
            from[i + 1] = from[i] + lengths[c][i];
        do {
            uint32_t come = 0;
            begin(SLOTS, PAYLOAD);
            for (size_t i = 0; i < 6; i++) {
                uint32_t k = order[i];
                size_t whole = 0;
                assert_int_equal(push(k, from[k - 1], lengths[c][k - 1]), REASSEMBLY_NEW);
                come |= 1u << k;
                while (whole < 6 && (come >> (whole + 1) & 1) != 0)
                    whole++;
                assert_stream(from[whole]);
                assert_int_equal(r.contiguous, whole);
                bool gap = false; /* bytes that wait; emptiness does not */
                for (size_t j = whole + 1; j <= 6; j++)
                    gap |= (come >> j & 1) != 0 && lengths[c][j - 1] > 0;
                assert_int_equal(reassembly_has_gap(&r), gap);
                /* Each that has come is still known, moved or not. */
                for (uint32_t j = 1; j <= 6; j++)
                    if ((come >> j & 1) != 0)
                        assert_int_equal(push(j, from[j - 1], lengths[c][j - 1]),
                                         REASSEMBLY_REPEAT);
            }
        } while (next_order(order, 6));
    }
}

static void another_payload_under_the_same_number_is_a_conflict(void **state) /* §3.4 */
{
    (void)state;
    begin(SLOTS, PAYLOAD);
    for (int waiting = 1; waiting >= 0; waiting--) {
        uint32_t k = waiting ? 3 : 1;
        assert_int_equal(push(k, 0, 100), REASSEMBLY_NEW);
        assert_int_equal(push(k, 0, 99), REASSEMBLY_CONFLICT);
        assert_int_equal(push(k, 0, 101), REASSEMBLY_CONFLICT);
        assert_int_equal(push(k, 1, 100), REASSEMBLY_CONFLICT);
        assert_int_equal(push(k, 0, 0), REASSEMBLY_CONFLICT);
        assert_int_equal(push(k, 0, 100), REASSEMBLY_REPEAT);
    }
    assert_stream(100);
    assert_int_equal(push(40, 0, 0), REASSEMBLY_NEW);
    assert_int_equal(push(40, 0, 1), REASSEMBLY_CONFLICT);
}

static void payloads_have_slots_and_emptiness_needs_none(void **state) /* §3.9 */
{
    (void)state;
    begin(SLOTS, PAYLOAD);
    assert_int_equal(push(SLOTS, 0, PAYLOAD), REASSEMBLY_NEW);
    assert_int_equal(push(SLOTS + 1, 0, 1), REASSEMBLY_BEYOND);
    assert_int_equal(push(TURBO_CHUNKS_MAX, 0, 1), REASSEMBLY_BEYOND);
    assert_int_equal(push(SLOTS + 1, 0, 0), REASSEMBLY_NEW);
    assert_int_equal(push(TURBO_CHUNKS_MAX, 0, 0), REASSEMBLY_NEW);
    assert_int_equal(push(1, 0, PAYLOAD + 1), REASSEMBLY_BEYOND);
    assert_int_equal(push(1, 0, PAYLOAD), REASSEMBLY_NEW);
    assert_stream(PAYLOAD);
}

static void at_most_64_kib_are_taken(void **state) /* §3.3 */
{
    size_t total = 0;
    uint32_t k = 1;
    (void)state;
    begin(TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    for (; total + TURBO_RESPONSE_PAYLOAD_MAX <= TURBO_STREAM_KEPT_MAX; k++) {
        assert_int_equal(push(k, total, TURBO_RESPONSE_PAYLOAD_MAX), REASSEMBLY_NEW);
        total += TURBO_RESPONSE_PAYLOAD_MAX;
    }
    size_t rest = TURBO_STREAM_KEPT_MAX - total;
    assert_int_equal(push(k, total, rest + 1), REASSEMBLY_BEYOND);
    assert_int_equal(push(k, total, rest), REASSEMBLY_NEW);
    assert_int_equal(push(k + 1, 0, 1), REASSEMBLY_BEYOND);
    assert_stream(TURBO_STREAM_KEPT_MAX);
}

static void all_64_chunks_may_come_backwards(void **state)
{
    (void)state;
    begin(TURBO_CHUNKS_MAX, TURBO_RESPONSE_PAYLOAD_MAX);
    for (uint32_t k = TURBO_CHUNKS_MAX; k > 0; k--) {
        assert_false(reassembly_contiguous_bytes(&r) > 0);
        assert_int_equal(push(k, (k - 1) * (size_t)1024, 1024), REASSEMBLY_NEW);
        assert_int_equal(reassembly_has_gap(&r), k > 1);
    }
    assert_stream(TURBO_CHUNKS_MAX * (size_t)1024);
    assert_int_equal(r.contiguous, TURBO_CHUNKS_MAX);
}

static void assert_chunk(uint32_t sequence, size_t from, size_t length)
{
    size_t found = 12345;
    const uint8_t *chunk = reassembly_chunk(&r, sequence, &found);
    assert_non_null(chunk);
    assert_int_equal(found, length);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(chunk[i], check_byte(1, from + i));
}

static void a_chunk_can_be_looked_at_wherever_it_lies(void **state)
{
    size_t unused;
    (void)state;
    begin(SLOTS, PAYLOAD);
    assert_null(reassembly_chunk(&r, 1, &unused));
    push(3, 700, 90);
    push(2, 600, 100);
    push(TURBO_CHUNKS_MAX, 0, 0); /* beyond the slots */
    assert_null(reassembly_chunk(&r, 1, &unused));
    assert_chunk(2, 600, 100); /* in its slot */
    assert_chunk(TURBO_CHUNKS_MAX, 0, 0);
    push(1, 0, 600);
    assert_chunk(1, 0, 600);
    assert_chunk(2, 600, 100); /* in the stream */
    assert_chunk(3, 700, 90);
    assert_null(reassembly_chunk(&r, 4, &unused));
}

static void the_highest_chunk_is_known_behind_any_gap(void **state)
{
    static const uint32_t order[] = {1, 3, 2, 9, 7, TURBO_CHUNKS_MAX};
    uint32_t highest = 0;
    (void)state;
    begin(SLOTS, PAYLOAD);
    for (size_t i = 0; i < COUNT(order); i++) {
        assert_int_equal(reassembly_highest(&r), highest);
        push(order[i], 0, 0);
        highest = order[i] > highest ? order[i] : highest;
    }
    assert_int_equal(reassembly_highest(&r), TURBO_CHUNKS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(any_order_gives_the_same_stream),
        CASE(another_payload_under_the_same_number_is_a_conflict),
        CASE(payloads_have_slots_and_emptiness_needs_none),
        CASE(at_most_64_kib_are_taken),
        CASE(all_64_chunks_may_come_backwards),
        CASE(a_chunk_can_be_looked_at_wherever_it_lies),
        CASE(the_highest_chunk_is_known_behind_any_gap),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
