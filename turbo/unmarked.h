/*
 * The ids of pending sessions that may begin like anything: random ones, and those that have not
 * proved to be a hash yet. What TCP begins with is compared with all of them, a byte at a time; so
 * they lie close together, each with what tells at once that somebody else has asked for it, and no
 * choice of ids makes the search visit sessions.
 *
 * Memory comes from the caller, once.
 */
#ifndef TURBO_UNMARKED_H
#define TURBO_UNMARKED_H

#include "turbo/turbo.h"

enum { UNMARKED_WORDS = SANDWICH_ID_BYTES / sizeof(uint64_t), UNMARKED_SOURCE_BITS = 6 };

/* A member of the session. 0: in no table; else one more than its index. */
typedef uint32_t unmarked_place;

struct unmarked_id {
    uint64_t words[UNMARKED_WORDS]; /* the id as it lies in memory */
    uint64_t sources;               /* unmarked_source of each address that has asked for it */
    unmarked_place *place;
};

struct unmarked {
    struct unmarked_id *ids; /* in no order */
    uint32_t count, capacity;
};

/* What is looked for. */
struct unmarked_prefix {
    uint64_t words[UNMARKED_WORDS], masks[UNMARKED_WORDS];
    uint64_t source; /* 0: anybody's */
};

/* Bytes of memory that a table of `capacity` ids needs. */
size_t unmarked_bytes(uint32_t capacity);
void unmarked_init(struct unmarked *table, void *memory, uint32_t capacity);

/* `place` is in no table, and there is room. Nobody has asked for it yet. */
void unmarked_add(struct unmarked *table, unmarked_place *place, const struct turbo_id *id);
/* Takes it out of the table, if it is there. */
void unmarked_remove(struct unmarked *table, unmarked_place *place);
/* `place` is in the table: `source` has asked for it. */
void unmarked_heard(struct unmarked *table, unmarked_place place, uint64_t source);

/* One bit of 64, by a keyed hash of the address: 1 of 64 others has the same. */
static inline uint64_t unmarked_source(uint32_t hash)
{
    return UINT64_C(1) << (hash >> (32 - UNMARKED_SOURCE_BITS));
}

/* Ids that begin with these bytes (NULL where there are none), as far as ids of `id_bytes` go. */
struct unmarked_prefix unmarked_prefix(const uint8_t *bytes, size_t length, size_t id_bytes,
                                       uint64_t source);
/* Whose is the next one, from `*at` (0 at first) on? NULL: no more. It may have been asked for by
 * another source. */
unmarked_place *unmarked_next(const struct unmarked *table, uint32_t *at,
                              const struct unmarked_prefix *prefix);

#endif
