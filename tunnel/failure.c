#include "tunnel/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum tunnel_result failure(struct tunnel_error *error, enum tunnel_result result,
                           const char *format, ...)
{
    static const char cut[] = "...";
    if (error == NULL)
        return result;
    error->result = result;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof(error->text))
        memcpy(error->text + sizeof(error->text) - sizeof(cut), cut, sizeof(cut));
    return result;
}
