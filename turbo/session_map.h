/*
 * A bounded table from session id to a pointer, which also remembers the order of entry.
 *
 * Memory comes from the caller, once; what was never used of it is never touched.
 */
#ifndef TURBO_SESSION_MAP_H
#define TURBO_SESSION_MAP_H

#include "turbo/keyed_hash.h"
#include "turbo/turbo.h"

struct session_map_entry;

struct session_map {
    struct keyed_hash hash;
    uint32_t *heads; /* bucket → first entry */
    struct session_map_entry *entries;
    uint32_t bucket_count; /* a power of two */
    uint32_t capacity;
    uint32_t count;
    uint32_t touched; /* entries[touched..] have never been used */
    uint32_t free;    /* first of the entries given back */
    uint32_t oldest, newest;
};

/* Bytes of memory a map of `capacity` ids needs. */
size_t session_map_bytes(uint32_t capacity);
void session_map_init(struct session_map *map, void *memory, uint32_t capacity,
                      const uint8_t seed[static KEYED_HASH_SEED_BYTES]);

/* False when the map is full or the id is there already. */
bool session_map_add(struct session_map *map, const struct turbo_id *id, void *value,
                     turbo_time now);
/* False when there is no such id. `value` may be NULL. */
bool session_map_find(const struct session_map *map, const struct turbo_id *id, void **value);
void session_map_remove(struct session_map *map, const struct turbo_id *id);
/* Forgets every id added at `until` or before. */
void session_map_forget(struct session_map *map, turbo_time until);

#endif
