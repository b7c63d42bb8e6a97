#include "proto/text/quote.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct quoted quote(const char *text)
{
    struct quoted out = {"'"};
    size_t length = 1;

    for (; *text != '\0' && length < QUOTE_MAX; text++) {
        if (*text >= ' ' && *text <= '~' && *text != '\\' && *text != '\'')
            out.text[length++] = *text;
        else
            length += (size_t)snprintf(out.text + length, 5, "\\x%02x", (unsigned char)*text);
    }
    memcpy(out.text + length, *text == '\0' ? "'" : "...'", *text == '\0' ? 2 : 5);
    return out;
}
