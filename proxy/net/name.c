#include "proxy/net/name.h"

#include <string.h>

/* ASCII's, not the locale's. */
static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

void name_normalize(const char *name, char *out, size_t capacity)
{
    size_t length = strnlen(name, capacity - 1);
    if (length > 0 && name[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++)
        out[i] = lower(name[i]);
    out[length] = '\0';
}

uint32_t name_hash(const char *name, uint16_t port)
{
    uint32_t hash = 2166136261U ^ port;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)lower(*name)) * 16777619U;
    return hash;
}
