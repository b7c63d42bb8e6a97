#include "turbo/unmarked.h"

#include <assert.h>
#include <string.h>

size_t unmarked_bytes(uint32_t capacity)
{
    return capacity * sizeof(struct unmarked_id);
}

void unmarked_init(struct unmarked *table, void *memory, uint32_t capacity)
{
    *table = (struct unmarked){.ids = memory, .capacity = capacity};
}

void unmarked_add(struct unmarked *table, unmarked_place *place, const struct turbo_id *id)
{
    assert(*place == 0 && table->count < table->capacity);
    struct unmarked_id *u = &table->ids[table->count];
    memcpy(u->words, id->bytes, sizeof(u->words));
    u->sources = 0;
    u->place = place;
    *place = ++table->count;
}

/* The last one takes its index. */
void unmarked_remove(struct unmarked *table, unmarked_place *place)
{
    if (*place == 0)
        return;
    struct unmarked_id *u = &table->ids[*place - 1];
    *u = table->ids[--table->count];
    *u->place = *place;
    *place = 0;
}

void unmarked_heard(struct unmarked *table, unmarked_place place, uint64_t source)
{
    table->ids[place - 1].sources |= source;
}

struct unmarked_prefix unmarked_prefix(const uint8_t *bytes, size_t length, size_t id_bytes,
                                       uint64_t source)
{
    struct unmarked_prefix p = {.source = source};
    size_t n = length < id_bytes ? length : id_bytes;
    if (n > 0)
        memcpy(p.words, bytes, n);
    memset(p.masks, 0xff, n);
    return p;
}

unmarked_place *unmarked_next(const struct unmarked *table, uint32_t *at,
                              const struct unmarked_prefix *p)
{
    while (*at < table->count) {
        const struct unmarked_id *u = &table->ids[(*at)++];
        uint64_t differs = ((u->words[0] ^ p->words[0]) & p->masks[0]) |
                           ((u->words[1] ^ p->words[1]) & p->masks[1]) | (p->source & ~u->sources);
        if (differs == 0)
            return u->place;
    }
    return NULL;
}
