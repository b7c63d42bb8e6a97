/* A list of names that ends with NULL. */
#ifndef TUNNEL_BACKENDS_NAMES_H
#define TUNNEL_BACKENDS_NAMES_H

#include <stdbool.h>

/* A copy, to be freed with names_free; of NULL it is NULL. False: no memory, and part of it may be
 * there. */
bool names_copy(char ***copy, const char *const *names);
void names_free(char **names); /* NULL is allowed */

#endif
