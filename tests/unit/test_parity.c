/* Parity: any one chunk of a flight comes back from the others, and nothing else: protocol §9. */
#include "tests/unit/support/check.h"

#include "turbo/parity.h"

enum { S2C = 7, FULL = TURBO_RESPONSE_PAYLOAD_MAX };

static uint8_t kept[TURBO_STREAM_KEPT_MAX];
static uint8_t gathered[TURBO_CHUNKS_MAX * FULL];
static struct retained flight;
static struct reassembly received;
static struct parity parity;

/* The server end cuts a flight into chunks of these lengths; none of them may be 0 there. */
static void cut(const size_t *lengths, size_t count)
{
    size_t at = 0;
    retained_init(&flight, kept);
    for (size_t i = 0; i < count; i++) {
        uint8_t chunk[FULL];
        check_fill(chunk, S2C, at, lengths[i]);
        assert_int_equal(retained_append(&flight, chunk, lengths[i]), lengths[i]);
        assert_int_equal(retained_cut(&flight), i + 1);
        at += lengths[i];
    }
    parity.covered = (uint32_t)count;
    parity.length = (uint16_t)parity_length(&flight);
    memset(parity.payload, 0xa5, sizeof(parity.payload));
    parity_make(&flight, parity.payload, parity.length);
}

static void receive(uint32_t number)
{
    size_t length;
    const uint8_t *chunk = retained_chunk(&flight, number, &length);
    assert_int_equal(reassembly_push(&received, number, chunk, length), REASSEMBLY_NEW);
}

/* The client end has got all chunks but these two; 0: none. */
static void receive_without(uint32_t lost, uint32_t lost_too)
{
    reassembly_init(&received, gathered, TURBO_CHUNKS_MAX, FULL);
    for (uint32_t k = 1; k <= flight.chunk_count; k++)
        if (k != lost && k != lost_too)
            receive(k);
}

static void assert_whole(void)
{
    assert_int_equal(received.contiguous, flight.chunk_count);
    assert_int_equal(reassembly_contiguous_bytes(&received), flight.length);
    assert_memory_equal(received.buffer, kept, flight.length);
}

static void assert_rebuilds(uint32_t lost)
{
    receive_without(lost, 0);
    assert_true(parity_rebuild(&parity, &received));
    assert_whole();
}

static void any_one_chunk_comes_back_whatever_its_length(void **state)
{
    static const size_t lengths[] = {1,   2,         100, FULL, FULL - 1, 255,
                                     256, FULL / 2u, 3,   FULL, 700,      257};
    (void)state;
    for (size_t count = 1; count <= COUNT(lengths); count++) {
        cut(lengths, count);
        for (uint32_t lost = 1; lost <= count; lost++)
            assert_rebuilds(lost);
    }
}

static void every_length_of_the_lost_chunk_is_restored(void **state)
{
    (void)state;
    for (size_t length = 1; length <= FULL; length++) {
        const size_t lengths[] = {FULL + 1 - length, length, 500};
        cut(lengths, COUNT(lengths));
        assert_rebuilds(2);
    }
}

static void parity_is_as_long_as_the_longest_chunk_and_its_length(void **state) /* §9.2 */
{
    static const size_t lengths[] = {10, FULL, 3}, one[] = {1};
    (void)state;
    cut(one, 1);
    assert_int_equal(parity.length, 2 + 1);
    cut(lengths, 1);
    assert_int_equal(parity.length, 2 + 10);
    cut(lengths, 3);
    assert_int_equal(parity.length, TURBO_REQUEST_PAYLOAD_MAX);
}

static void it_is_the_xor_of_lengths_and_of_padded_payloads(void **state) /* §9 */
{
    static const uint8_t bytes[] = {0x16, 0x03, 0x41, 0x17, 0xff};
    uint8_t out[2 + 3];
    (void)state;
    retained_init(&flight, kept);
    retained_append(&flight, bytes, 3);
    retained_cut(&flight);
    retained_append(&flight, bytes + 3, 2);
    retained_cut(&flight);
    assert_int_equal(parity_length(&flight), sizeof(out));
    parity_make(&flight, out, sizeof(out));
    assert_memory_equal(out, "\x00\x01\x01\xfc\x41", sizeof(out)); /* 3 ^ 2; 16 ^ 17; 03 ^ ff */
}

static void sixty_four_chunks_are_covered(void **state)
{
    size_t lengths[TURBO_CHUNKS_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++)
        lengths[i] = 1 + i * 13;
    cut(lengths, COUNT(lengths));
    for (uint32_t lost = 1; lost <= COUNT(lengths); lost++)
        assert_rebuilds(lost);
}

static void chunks_behind_those_covered_are_left_alone(void **state)
{
    static const size_t lengths[] = {400, 20, 900, FULL};
    (void)state;
    cut(lengths, 2);
    struct parity of_two = parity;
    cut(lengths, COUNT(lengths));
    parity = of_two;
    receive_without(3, 0);
    assert_false(parity_rebuild(&parity, &received)); /* none of its own is missing */
    receive_without(1, 4);
    assert_true(parity_rebuild(&parity, &received));
    assert_int_equal(received.contiguous, 3);
}

static void nothing_is_rebuilt_where_none_or_several_are_missing(void **state)
{
    static const size_t lengths[] = {400, 20, 900, FULL};
    (void)state;
    cut(lengths, COUNT(lengths));
    receive_without(0, 0);
    assert_false(parity_rebuild(&parity, &received));
    for (uint32_t lost = 1; lost <= COUNT(lengths); lost++) {
        for (uint32_t too = lost + 1; too <= COUNT(lengths); too++) {
            receive_without(lost, too);
            assert_false(parity_rebuild(&parity, &received));
            assert_int_equal(received.contiguous, lost - 1);
            receive(too); /* the other one has come after all */
            assert_true(parity_rebuild(&parity, &received));
            assert_whole();
        }
    }
}

static void without_parity_nothing_is_rebuilt(void **state)
{
    static const size_t lengths[] = {400, 20};
    static const struct parity none;
    (void)state;
    cut(lengths, COUNT(lengths));
    receive_without(1, 0);
    assert_false(parity_rebuild(&none, &received));
}

static void empty_chunks_count_as_any(void **state)
{
    static const uint8_t abc[] = {'a', 'b', 'c'};
    (void)state;
    /* 1: "abc", 2: empty, 3: "a" */
    parity = (struct parity){.covered = 3, .length = 5, .payload = {0, 3 ^ 1, 0, 'b', 'c'}};
    reassembly_init(&received, gathered, TURBO_CHUNKS_MAX, FULL);
    reassembly_push(&received, 2, NULL, 0);
    reassembly_push(&received, 3, abc, 1);
    assert_true(parity_rebuild(&parity, &received));
    assert_memory_equal(received.buffer, "abca", 4);
    reassembly_init(&received, gathered, TURBO_CHUNKS_MAX, FULL);
    reassembly_push(&received, 1, abc, 3);
    reassembly_push(&received, 3, abc, 1);
    assert_true(parity_rebuild(&parity, &received)); /* the empty one */
    assert_int_equal(received.contiguous, 3);
    assert_int_equal(reassembly_contiguous_bytes(&received), 4);
}

static void a_flight_of_empty_chunks_has_a_parity_of_2_bytes(void **state)
{
    (void)state;
    parity = (struct parity){.covered = 2, .length = TURBO_PARITY_PAYLOAD_MIN};
    reassembly_init(&received, gathered, TURBO_CHUNKS_MAX, FULL);
    reassembly_push(&received, 2, NULL, 0);
    assert_true(parity_rebuild(&parity, &received));
    assert_int_equal(received.contiguous, 2);
    assert_int_equal(reassembly_contiguous_bytes(&received), 0);
}

/* ---- what a server end does not send: §9.3 ---- */

static void assert_dropped(void)
{
    uint8_t contiguous = received.contiguous;
    uint64_t present = received.present;
    assert_false(parity_rebuild(&parity, &received));
    assert_int_equal(received.contiguous, contiguous);
    assert_true(received.present == present);
}

static void a_length_beyond_the_sum_is_dropped(void **state)
{
    static const size_t lengths[] = {400, 200, 300};
    (void)state;
    cut(lengths, COUNT(lengths));
    receive_without(2, 0);
    const uint8_t good[] = {parity.payload[0], parity.payload[1]};
    for (unsigned forged = 401; forged < 0x10000; forged += forged < 1300 ? 1 : 997) {
        parity.payload[0] = (uint8_t)(good[0] ^ (200 ^ forged) >> 8);
        parity.payload[1] = (uint8_t)(good[1] ^ (200 ^ forged));
        assert_dropped();
    }
    parity.payload[0] = (uint8_t)(good[0] ^ (200 ^ 400) >> 8);
    parity.payload[1] = (uint8_t)(good[1] ^ (200 ^ 400));
    assert_true(parity_rebuild(&parity, &received)); /* as long as the sum: it may be */
}

static void a_sum_shorter_than_a_chunk_that_came_is_dropped(void **state)
{
    static const size_t lengths[] = {400, 200, 300};
    (void)state;
    cut(lengths, COUNT(lengths));
    receive_without(2, 0);
    for (parity.length = 2; parity.length < 2 + 400; parity.length++)
        assert_dropped();
}

static void what_would_exceed_the_stream_is_dropped(void **state) /* §3.3: 65,536 bytes */
{
    static uint8_t zeros[FULL];
    (void)state;
    reassembly_init(&received, gathered, TURBO_CHUNKS_MAX, FULL);
    for (uint32_t k = 2; k <= 56; k++) /* 55 × 1182 */
        assert_int_equal(reassembly_push(&received, k, zeros, FULL), REASSEMBLY_NEW);
    parity = (struct parity){.covered = 56, .length = 2 + FULL};
    parity.payload[0] = (uint8_t)((FULL ^ (TURBO_STREAM_KEPT_MAX - 55 * FULL + 1)) >> 8);
    parity.payload[1] = (uint8_t)(FULL ^ (TURBO_STREAM_KEPT_MAX - 55 * FULL + 1));
    assert_dropped();
    parity.payload[0] = (uint8_t)((FULL ^ (TURBO_STREAM_KEPT_MAX - 55 * FULL)) >> 8);
    parity.payload[1] = (uint8_t)(FULL ^ (TURBO_STREAM_KEPT_MAX - 55 * FULL));
    assert_true(parity_rebuild(&parity, &received));
    assert_int_equal(reassembly_contiguous_bytes(&received), TURBO_STREAM_KEPT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(any_one_chunk_comes_back_whatever_its_length),
        CASE(every_length_of_the_lost_chunk_is_restored),
        CASE(parity_is_as_long_as_the_longest_chunk_and_its_length),
        CASE(it_is_the_xor_of_lengths_and_of_padded_payloads),
        CASE(sixty_four_chunks_are_covered),
        CASE(chunks_behind_those_covered_are_left_alone),
        CASE(nothing_is_rebuilt_where_none_or_several_are_missing),
        CASE(without_parity_nothing_is_rebuilt),
        CASE(empty_chunks_count_as_any),
        CASE(a_flight_of_empty_chunks_has_a_parity_of_2_bytes),
        CASE(a_length_beyond_the_sum_is_dropped),
        CASE(a_sum_shorter_than_a_chunk_that_came_is_dropped),
        CASE(what_would_exceed_the_stream_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
