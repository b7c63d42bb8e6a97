#include "turbo/session_map.h"

#include <string.h>

/* Indices are one higher than array positions, so that zeroed memory means "none". */
struct session_map_entry {
    struct turbo_id id;
    uint32_t chain; /* next in the bucket, or in the free list */
    uint32_t older, newer;
    turbo_time added;
    void *value;
};

static uint32_t buckets_for(uint32_t capacity)
{
    uint32_t buckets = 1;
    while (buckets < capacity)
        buckets *= 2;
    return buckets;
}

size_t session_map_bytes(uint32_t capacity)
{
    return capacity * sizeof(struct session_map_entry) + buckets_for(capacity) * sizeof(uint32_t);
}

void session_map_init(struct session_map *map, void *memory, uint32_t capacity,
                      const uint8_t seed[static KEYED_HASH_SEED_BYTES])
{
    memset(map, 0, sizeof(*map));
    keyed_hash_init(&map->hash, seed);
    map->capacity = capacity;
    map->bucket_count = buckets_for(capacity);
    map->entries = memory;
    map->heads = (uint32_t *)(void *)(map->entries + capacity);
    memset(map->heads, 0, map->bucket_count * sizeof(uint32_t));
}

static struct session_map_entry *entry(const struct session_map *map, uint32_t index)
{
    return &map->entries[index - 1];
}

static uint32_t *bucket(const struct session_map *map, const struct turbo_id *id)
{
    return &map->heads[keyed_hash_of(&map->hash, id->bytes) & (map->bucket_count - 1)];
}

/* The link that points to `id`'s entry, or the zero link at the end of its bucket. */
static uint32_t *find_link(const struct session_map *map, const struct turbo_id *id)
{
    uint32_t *link = bucket(map, id);
    while (*link != 0 && memcmp(entry(map, *link)->id.bytes, id->bytes, sizeof(id->bytes)) != 0)
        link = &entry(map, *link)->chain;
    return link;
}

static uint32_t take_free(struct session_map *map)
{
    if (map->free != 0) {
        uint32_t index = map->free;
        map->free = entry(map, index)->chain;
        return index;
    }
    return map->touched < map->capacity ? ++map->touched : 0;
}

bool session_map_add(struct session_map *map, const struct turbo_id *id, void *value,
                     turbo_time now)
{
    uint32_t *link = find_link(map, id);
    if (*link != 0)
        return false;
    uint32_t index = take_free(map);
    if (index == 0)
        return false;
    *entry(map, index) =
        (struct session_map_entry){.id = *id, .value = value, .added = now, .older = map->newest};
    if (map->newest != 0)
        entry(map, map->newest)->newer = index;
    else
        map->oldest = index;
    map->newest = index;
    *link = index;
    map->count++;
    return true;
}

bool session_map_find(const struct session_map *map, const struct turbo_id *id, void **value)
{
    uint32_t index = *find_link(map, id);
    if (index == 0)
        return false;
    if (value != NULL)
        *value = entry(map, index)->value;
    return true;
}

void session_map_remove(struct session_map *map, const struct turbo_id *id)
{
    uint32_t *link = find_link(map, id);
    if (*link == 0)
        return;
    uint32_t index = *link;
    struct session_map_entry *e = entry(map, index);
    *link = e->chain;
    if (e->older != 0)
        entry(map, e->older)->newer = e->newer;
    else
        map->oldest = e->newer;
    if (e->newer != 0)
        entry(map, e->newer)->older = e->older;
    else
        map->newest = e->older;
    e->chain = map->free;
    map->free = index;
    map->count--;
}

void session_map_forget(struct session_map *map, turbo_time until)
{
    while (map->oldest != 0 && entry(map, map->oldest)->added <= until) {
        struct turbo_id id = entry(map, map->oldest)->id;
        session_map_remove(map, &id);
    }
}
