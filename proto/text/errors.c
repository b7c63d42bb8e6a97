#include "proto/text/errors.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/utf8.h"

static const char cut[] = "...";
enum { ESCAPE_BYTES = 4 /* \x1b */, ROOM = CONFIG_ERROR_MAX - sizeof(cut) };

void config_errors_init(struct config_errors *errors)
{
    memset(errors, 0, sizeof(*errors));
}

void config_errors_free(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        free(errors->texts[i]);
    free(errors->texts);
    config_errors_init(errors);
}

bool config_errors_full(const struct config_errors *errors)
{
    return errors->count >= CONFIG_ERRORS_MAX;
}

/* Copies `raw`, with what cannot be printed as \xNN. One that vsnprintf cut is too long here, too.
 */
static void make_printable(char out[static CONFIG_ERROR_MAX], const char *raw)
{
    size_t length = strlen(raw), used = 0, step;
    bool whole = true;

    for (size_t i = 0; i < length; i += step) {
        uint32_t point = utf8_next(raw + i, length - i, &step);
        bool printable = utf8_is_printable(point);

        if (used + (printable ? step : step * ESCAPE_BYTES) > ROOM) {
            whole = false;
            break;
        }
        if (printable)
            memcpy(out + used, raw + i, step);
        for (size_t j = 0; j < step && !printable; j++)
            (void)snprintf(out + used + j * ESCAPE_BYTES, ESCAPE_BYTES + 1, "\\x%02x",
                           (unsigned char)raw[i + j]);
        used += printable ? step : step * ESCAPE_BYTES;
    }
    (void)snprintf(out + used, CONFIG_ERROR_MAX - used, "%s", whole ? "" : cut);
}

static bool has_room(struct config_errors *errors)
{
    if (errors->texts == NULL)
        errors->texts = calloc(CONFIG_ERRORS_MAX, sizeof(*errors->texts));
    return errors->texts != NULL && !config_errors_full(errors);
}

void config_error(struct config_errors *errors, const char *format, ...)
{
    char raw[CONFIG_ERROR_MAX] = "", text[CONFIG_ERROR_MAX];
    va_list arguments;

    errors->total++;
    if (!has_room(errors))
        return;
    va_start(arguments, format);
    (void)vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    make_printable(text, raw);
    errors->texts[errors->count] = strdup(text);
    errors->count += errors->texts[errors->count] != NULL;
}

/* ":LINE:COLUMN: " of an error as one number; 0: it has none. */
static uint64_t place_in(const char *text)
{
    for (const char *at = strchr(text, ':'); at != NULL; at = strchr(at + 1, ':')) {
        char *end;
        unsigned long line = strtoul(at + 1, &end, 10), column;

        if (line == 0 || *end != ':')
            continue;
        column = strtoul(end + 1, &end, 10);
        if (column > 0 && strncmp(end, ": ", 2) == 0)
            return (uint64_t)line << 32 | column;
    }
    return 0;
}

/* They are few (CONFIG_ERRORS_MAX). */
void config_errors_sort(struct config_errors *errors)
{
    for (size_t i = 1; i < errors->count; i++) {
        char *text = errors->texts[i];
        uint64_t place = place_in(text);
        size_t at = i;

        for (; at > 0 && place_in(errors->texts[at - 1]) > place; at--)
            errors->texts[at] = errors->texts[at - 1];
        errors->texts[at] = text;
    }
}
