#include "proto/text/similar.h"

#include <stdint.h>

/* In one row of the table. */
size_t similar_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[SIMILAR_MAX + 1];

    if (a_length > SIMILAR_MAX || b_length > SIMILAR_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 0; i < a_length; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t least = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            if (row[j] + 1 < least)
                least = row[j] + 1;
            if (diagonal + 1 < least)
                least = diagonal + 1;
            row[j + 1] = least;
        }
    }
    return row[b_length];
}

size_t similar_bound(size_t length)
{
    return length / 3 + 2;
}
