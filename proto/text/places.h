/*
 * Where in a file each value of a message was read: for errors that are found later.
 */
#ifndef PROTO_TEXT_PLACES_H
#define PROTO_TEXT_PLACES_H

#include <stddef.h>

struct place {
    const void *message;   /* the message that has the field */
    unsigned field;        /* its number; 0: the message's own beginning */
    size_t index;          /* of a repeated field */
    unsigned line, column; /* from 1; columns count bytes */
};

/* A hash table, so that a file of a million mistakes is as quickly told of as one of ten. */
struct places {
    struct place *list; /* `capacity` of them; those without a message are free */
    size_t count, capacity;
};

void places_init(struct places *places);
void places_free(struct places *places);
/*
 * The last place of a value is the one that is kept. Without memory the place is forgotten: errors
 * are then told without it.
 */
void places_add(struct places *places, const void *message, unsigned field, size_t index,
                unsigned line, unsigned column);
/* NULL: the value was not given (or is not from a text). Valid until the next place is added. */
const struct place *places_find(const struct places *places, const void *message, unsigned field,
                                size_t index);

#endif
