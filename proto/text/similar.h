/*
 * How much one name is like another: which of those that there are was probably meant?
 */
#ifndef PROTO_TEXT_SIMILAR_H
#define PROTO_TEXT_SIMILAR_H

#include <stddef.h>

enum { SIMILAR_MAX = 64 /* bytes of names that are compared */ };

/* Letters to insert, leave out or replace (Levenshtein). SIZE_MAX: one of them is too long. */
size_t similar_distance(const char *a, size_t a_length, const char *b, size_t b_length);
/* A name of this length is meant only by those that are less far from it. */
size_t similar_bound(size_t length);

#endif
