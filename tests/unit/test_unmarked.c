/* The table of ids that may begin like anything, against a plain search. */
#include "tests/unit/support/check.h"

#include <stdlib.h>

#include "turbo/unmarked.h"

enum { CAPACITY = 40, STEPS = 20000, LENGTH_MAX = SANDWICH_TOMBSTONE_BYTES };

/* What the table is to know. */
static struct owner {
    struct turbo_id id;
    uint64_t sources;
    unmarked_place place;
} owners[CAPACITY];

static struct unmarked table;

static int begin(void **state)
{
    (void)state;
    memset(owners, 0, sizeof(owners));
    void *memory = malloc(unmarked_bytes(CAPACITY)); /* exactly */
    if (memory == NULL)
        return -1;
    memset(memory, 0xa5, unmarked_bytes(CAPACITY));
    unmarked_init(&table, memory, CAPACITY);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(table.ids);
    return 0;
}

static uint32_t random_below(uint32_t limit)
{
    static uint32_t x = 1;
    x = x * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)x * limit) >> 32);
}

/* Few values, so that many begin alike. */
static void choose(uint8_t bytes[static LENGTH_MAX])
{
    uint32_t differs = random_below(LENGTH_MAX + 8);
    memset(bytes, 7, LENGTH_MAX);
    if (differs < LENGTH_MAX)
        bytes[differs] = (uint8_t)random_below(3);
}

static bool is_meant(const struct owner *o, const uint8_t *bytes, size_t length, size_t id_bytes,
                     uint64_t source)
{
    size_t n = length < id_bytes ? length : id_bytes;
    return o->place != 0 && (source == 0 || (o->sources & source) != 0) &&
           (n == 0 || memcmp(o->id.bytes, bytes, n) == 0);
}

static size_t found(const uint8_t *bytes, size_t length, size_t id_bytes, uint64_t source)
{
    const struct unmarked_prefix prefix = unmarked_prefix(bytes, length, id_bytes, source);
    bool seen[CAPACITY] = {false};
    uint32_t at = 0;
    size_t count = 0;
    unmarked_place *place;
    for (; (place = unmarked_next(&table, &at, &prefix)) != NULL; count++) {
        const struct owner *o =
            (const struct owner *)((uint8_t *)place - offsetof(struct owner, place));
        assert_true(is_meant(o, bytes, length, id_bytes, source));
        assert_false(seen[o - owners]);
        seen[o - owners] = true;
    }
    return count;
}

static void assert_finds_as_a_plain_search(void)
{
    uint8_t bytes[LENGTH_MAX];
    choose(bytes);
    size_t length = random_below(LENGTH_MAX + 1);
    size_t id_bytes = random_below(2) == 0 ? TURBO_ID_BYTES : SANDWICH_ID_BYTES;
    uint64_t source = random_below(2) == 0 ? 0 : unmarked_source(random_below(4) << 30);
    size_t expected = 0;
    for (size_t i = 0; i < CAPACITY; i++)
        expected += is_meant(&owners[i], bytes, length, id_bytes, source);
    assert_int_equal(found(bytes, length, id_bytes, source), expected);
}

static void change(struct owner *o)
{
    uint8_t bytes[LENGTH_MAX];
    if (o->place != 0 && random_below(2) == 0) {
        unmarked_remove(&table, &o->place);
    } else if (o->place != 0) {
        uint64_t source = unmarked_source(random_below(4) << 30);
        unmarked_heard(&table, o->place, source);
        o->sources |= source;
    } else {
        choose(bytes);
        memcpy(o->id.bytes, bytes, sizeof(o->id.bytes));
        o->sources = 0;
        unmarked_add(&table, &o->place, &o->id);
    }
}

static void it_finds_what_a_plain_search_finds(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        change(&owners[random_below(CAPACITY)]);
        assert_finds_as_a_plain_search();
    }
}

static void all_of_its_room_can_be_used(void **state)
{
    (void)state;
    for (size_t i = 0; i < CAPACITY; i++)
        unmarked_add(&table, &owners[i].place, &owners[i].id);
    assert_int_equal(found(NULL, 0, SANDWICH_ID_BYTES, 0), CAPACITY);
    for (size_t i = 0; i < CAPACITY; i++) {
        unmarked_remove(&table, &owners[i].place);
        unmarked_remove(&table, &owners[i].place); /* again */
        assert_int_equal(owners[i].place, 0);
        assert_int_equal(found(NULL, 0, SANDWICH_ID_BYTES, 0), CAPACITY - 1 - i);
    }
}

static void sources_are_told_from_each_other(void **state)
{
    (void)state;
    uint64_t all = 0;
    for (uint32_t i = 0; i < 1 << UNMARKED_SOURCE_BITS; i++)
        all |= unmarked_source(i << (32 - UNMARKED_SOURCE_BITS));
    assert_true(all == UINT64_MAX);
}

#define FRESH(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(it_finds_what_a_plain_search_finds),
        FRESH(all_of_its_room_can_be_used),
        FRESH(sources_are_told_from_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
