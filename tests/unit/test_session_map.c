/* A bounded table from id to pointer that knows the order of entry. */
#include "tests/unit/support/check.h"

#include <stdlib.h>

#include "turbo/session_map.h"

static struct session_map map;
static void *memory;

static void begin(uint32_t capacity)
{
    uint8_t seed[KEYED_HASH_SEED_BYTES];
    check_fill(seed, 3, 0, sizeof(seed));
    memory = malloc(session_map_bytes(capacity)); /* exactly */
    assert_non_null(memory);
    memset(memory, 0xa5, session_map_bytes(capacity));
    session_map_init(&map, memory, capacity, seed);
}

static struct turbo_id id_of(uint32_t number)
{
    struct turbo_id id;
    check_fill(id.bytes, number, 0, sizeof(id.bytes));
    return id;
}

static bool add(uint32_t number, turbo_time now)
{
    struct turbo_id id = id_of(number);
    return session_map_add(&map, &id, (uint8_t *)memory + number % 7, now);
}

static bool has(uint32_t number)
{
    struct turbo_id id = id_of(number);
    void *value = NULL;
    bool found = session_map_find(&map, &id, &value);
    assert_int_equal(session_map_find(&map, &id, NULL), found);
    if (found)
        assert_ptr_equal(value, (uint8_t *)memory + number % 7);
    return found;
}

static void take_out(uint32_t number)
{
    struct turbo_id id = id_of(number);
    session_map_remove(&map, &id);
}

static void what_was_added_is_found_until_removed(void **state)
{
    (void)state;
    begin(8);
    assert_false(has(1));
    assert_true(add(1, 10));
    assert_true(has(1));
    assert_false(has(2));
    take_out(2);
    take_out(1);
    assert_false(has(1));
    take_out(1);
    assert_int_equal(map.count, 0);
    free(memory);
}

static void an_id_is_in_it_once(void **state)
{
    (void)state;
    begin(8);
    assert_true(add(1, 10));
    assert_false(add(1, 20));
    assert_int_equal(map.count, 1);
    session_map_forget(&map, 10); /* the first entry counts */
    assert_false(has(1));
    free(memory);
}

static void it_holds_its_capacity_and_no_more(void **state)
{
    (void)state;
    for (uint32_t capacity = 0; capacity < 70; capacity++) {
        begin(capacity);
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < capacity; i++)
                assert_true(add(100 * round + i, i));
            assert_int_equal(map.count, capacity);
            assert_false(add(999, 99));
            for (uint32_t i = 0; i < capacity; i++)
                assert_true(has(100 * round + i));
            for (uint32_t i = 0; i < capacity; i++)
                take_out(100 * round + (i * 7 + round) % capacity); /* any order */
            for (uint32_t i = capacity; i-- > 0;)
                take_out(100 * round + i);
            assert_int_equal(map.count, 0);
        }
        free(memory);
    }
}

static void the_oldest_are_forgotten_first_up_to_a_time(void **state)
{
    (void)state;
    begin(16);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(add(i, 100 + i / 2)); /* two at a time */
    session_map_forget(&map, 99);
    assert_int_equal(map.count, 10);
    session_map_forget(&map, 102);
    assert_int_equal(map.count, 4);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(has(i), i >= 6);
    take_out(6); /* the oldest, the newest and one between */
    take_out(9);
    assert_true(add(20, 200));
    take_out(8);
    session_map_forget(&map, 103);
    assert_false(has(7));
    assert_true(has(20));
    assert_int_equal(map.count, 1);
    session_map_forget(&map, TURBO_NEVER);
    assert_int_equal(map.count, 0);
    assert_true(add(21, 300));
    session_map_forget(&map, 300);
    assert_false(has(21));
    free(memory);
}

/* Against a model that looks through everything. */
static void a_long_life_leaves_it_as_it_should_be(void **state)
{
    enum { CAPACITY = 50, IDS = 120 };
    turbo_time added[IDS] = {0};
    uint32_t count = 0, random = 1;
    (void)state;
    begin(CAPACITY);
    for (turbo_time now = 1; now < 20000; now++) {
        random = random * 1103515245u + 12345u;
        uint32_t i = (random >> 8) % IDS, what = random >> 28;
        if (what < 9) {
            bool fits = added[i] == 0 && count < CAPACITY;
            assert_int_equal(add(i, now), fits);
            count += fits;
            added[i] = fits ? now : added[i];
        } else if (what < 15) {
            take_out(i);
            count -= added[i] != 0;
            added[i] = 0;
        } else if (now > 60) {
            session_map_forget(&map, now - 60);
            for (uint32_t j = 0; j < IDS; j++) {
                if (added[j] == 0 || added[j] > now - 60)
                    continue;
                added[j] = 0;
                count--;
            }
        }
        assert_int_equal(map.count, count);
        assert_int_equal(has(i), added[i] != 0);
    }
    for (uint32_t i = 0; i < IDS; i++)
        assert_int_equal(has(i), added[i] != 0);
    free(memory);
}

/* Ids that differ in any one bit are different, and buckets depend on the secret. */
static void every_bit_of_an_id_matters(void **state)
{
    (void)state;
    begin(128);
    for (size_t bit = 0; bit < 8 * sizeof(struct turbo_id); bit++) {
        struct turbo_id id = {{0}};
        id.bytes[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(session_map_find(&map, &id, NULL));
        assert_true(session_map_add(&map, &id, NULL, 1));
    }
    assert_int_equal(map.count, 128);
    uint32_t used = 0;
    for (uint32_t i = 0; i < map.bucket_count; i++)
        used += map.heads[i] != 0;
    assert_true(used > 128 / 3); /* they spread: about 81 would be expected */
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_added_is_found_until_removed),
        CASE(an_id_is_in_it_once),
        CASE(it_holds_its_capacity_and_no_more),
        CASE(the_oldest_are_forgotten_first_up_to_a_time),
        CASE(a_long_life_leaves_it_as_it_should_be),
        CASE(every_bit_of_an_id_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
