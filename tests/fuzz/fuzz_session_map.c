/* The table of ids against a list in order of entry. */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "turbo/session_map.h"
#include "turbo/wire.h"

enum { CAPACITY_MAX = 24 };

struct model {
    size_t count, capacity;
    struct {
        uint8_t number;
        void *value;
        turbo_time added;
    } list[CAPACITY_MAX]; /* oldest first */
};

static uint8_t values[256];

/* Few ids, many of which share words: chains in every bucket. */
static struct turbo_id id_of(uint8_t number)
{
    struct turbo_id id = {{number & 3, 0, 0, 0, 9, 9, 9, (number >> 2) & 3, 0, 0, number >> 4}};
    return id;
}

static size_t model_find(const struct model *m, uint8_t number)
{
    size_t i = 0;
    while (i < m->count && m->list[i].number != number)
        i++;
    return i;
}

static void model_remove(struct model *m, size_t index)
{
    m->count--;
    memmove(&m->list[index], &m->list[index + 1], (m->count - index) * sizeof(m->list[0]));
}

static bool model_add(struct model *m, uint8_t number, void *value, turbo_time now)
{
    if (m->count == m->capacity || model_find(m, number) < m->count)
        return false;
    m->list[m->count].number = number;
    m->list[m->count].value = value;
    m->list[m->count++].added = now;
    return true;
}

static void model_forget(struct model *m, turbo_time until)
{
    while (m->count > 0 && m->list[0].added <= until)
        model_remove(m, 0);
}

static void check_id_is_as_known(const struct model *m, const struct session_map *map,
                                 uint8_t number)
{
    struct turbo_id id = id_of(number);
    void *value = NULL;
    size_t index = model_find(m, number);
    assert(session_map_find(map, &id, &value) == (index < m->count));
    if (index < m->count)
        assert(value == m->list[index].value);
    assert(session_map_find(map, &id, NULL) == (index < m->count));
}

enum { ADD, REMOVE, FIND, FORGET, OPERATIONS };

static void operate(struct model *m, struct session_map *map, turbo_time *now, struct input *in)
{
    uint8_t what = input_byte(in), number = input_byte(in);
    struct turbo_id id = id_of(number);
    *now += what >> 4;
    switch (what % OPERATIONS) {
    case ADD: {
        void *value = (what & 8) != 0 ? &values[number] : NULL;
        assert(session_map_add(map, &id, value, *now) == model_add(m, number, value, *now));
        break;
    }
    case REMOVE: {
        size_t index = model_find(m, number);
        session_map_remove(map, &id);
        if (index < m->count)
            model_remove(m, index);
        break;
    }
    case FIND: break;
    case FORGET: {
        turbo_time until = *now > number ? *now - number : 0;
        session_map_forget(map, until);
        model_forget(m, until);
        break;
    }
    }
    assert(map->count == m->count);
    check_id_is_as_known(m, map, number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct model m = {.capacity = input_byte(&in) % (CAPACITY_MAX + 1u)};
    struct session_map map;
    uint8_t seed[KEYED_HASH_SEED_BYTES];
    turbo_time now = 0;
    check_fill(seed, input_byte(&in), 0, sizeof(seed));
    size_t bytes = session_map_bytes((uint32_t)m.capacity);
    void *memory = malloc(bytes);
    assert(memory != NULL);
    memset(memory, 0xa5, bytes);
    session_map_init(&map, memory, (uint32_t)m.capacity, seed);
    while (in.left > 0)
        operate(&m, &map, &now, &in);
    for (unsigned number = 0; number < 256; number++)
        check_id_is_as_known(&m, &map, (uint8_t)number);
    free(memory);
    return 0;
}

void fuzz_seeds(void)
{
    uint8_t bytes[200];
    for (unsigned i = 0; i < 4; i++) {
        check_fill(bytes, i, 0, sizeof(bytes));
        bytes[0] = (uint8_t)(i * 8);
        for (size_t k = 2; k < sizeof(bytes); k += 4)
            bytes[k] &= 0xfc; /* every other one adds */
        seed_write(bytes, sizeof(bytes));
    }
}
