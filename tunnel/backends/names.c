#include "tunnel/backends/names.h"

#include <stdlib.h>
#include <string.h>

bool names_copy(char ***copy, const char *const *names)
{
    size_t count = 0;
    *copy = NULL;
    if (names == NULL)
        return true;
    while (names[count] != NULL)
        count++;
    *copy = calloc(count + 1, sizeof(**copy));
    for (size_t i = 0; *copy != NULL && i < count; i++)
        if (((*copy)[i] = strdup(names[i])) == NULL)
            return false;
    return *copy != NULL;
}

void names_free(char **names)
{
    for (char **name = names; name != NULL && *name != NULL; name++)
        free(*name);
    free(names);
}
