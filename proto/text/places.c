#include "proto/text/places.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 64 /* a power of two, and so is what it is doubled to */ };

void places_init(struct places *places)
{
    memset(places, 0, sizeof(*places));
}

void places_free(struct places *places)
{
    free(places->list);
    places_init(places);
}

/* Steele, Lea and Flood's mixing of 64 bits (SplitMix, variant 13 by Stafford). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static bool is_of(const struct place *place, const void *message, unsigned field, size_t index)
{
    return place->message == message && place->field == field && place->index == index;
}

/* Where it is, or else the free place that it would take; there always is one. */
static struct place *slot_of(const struct places *places, const void *message, unsigned field,
                             size_t index)
{
    size_t mask = places->capacity - 1;
    size_t at = mix(mix((uintptr_t)message + field) + index) & mask;

    while (places->list[at].message != NULL && !is_of(&places->list[at], message, field, index))
        at = (at + 1) & mask;
    return &places->list[at];
}

static bool grow(struct places *places)
{
    struct places larger = {.count = places->count};

    larger.capacity = places->capacity == 0 ? CAPACITY_FIRST : places->capacity * 2;
    larger.list = calloc(larger.capacity, sizeof(*larger.list));
    if (larger.list == NULL)
        return false;
    for (size_t i = 0; i < places->capacity; i++) {
        const struct place *place = &places->list[i];
        if (place->message != NULL)
            *slot_of(&larger, place->message, place->field, place->index) = *place;
    }
    free(places->list);
    *places = larger;
    return true;
}

void places_add(struct places *places, const void *message, unsigned field, size_t index,
                unsigned line, unsigned column)
{
    struct place *slot;

    /* A quarter is free, so that searches are short, and end. */
    if (places->count >= places->capacity / 4 * 3 && !grow(places))
        return;
    slot = slot_of(places, message, field, index);
    places->count += slot->message == NULL;
    *slot = (struct place){message, field, index, line, column};
}

const struct place *places_find(const struct places *places, const void *message, unsigned field,
                                size_t index)
{
    const struct place *slot;

    if (places->count == 0)
        return NULL;
    slot = slot_of(places, message, field, index);
    return slot->message == NULL ? NULL : slot;
}
