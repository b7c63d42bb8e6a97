#include "tunnel/config/parts.h"

#include <string.h>

#include "proto/text/quote.h"

enum { NAMES_MAX = 64, ALPN_BYTES_MAX = 255 };

const char *settings_where(struct settings_reader *r, const struct decode_at *at, const char *field,
                           size_t index)
{
    char where[CONFIG_ERROR_MAX];

    text_where(&r->judge, at, field, index, where);
    return arena_text(r->arena, where);
}

const char *settings_alpn_fault(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length <= ALPN_BYTES_MAX ? NULL : "is no protocol; write 1 to 255 bytes";
}

static bool is_among(char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

struct settings_names settings_names_read(struct settings_reader *r, const struct decode_at *at,
                                          const char *field, char *const *texts, size_t count,
                                          const char *(*fault)(const char *text))
{
    struct settings_name *list;

    if (count > NAMES_MAX) {
        text_mistake(&r->judge, at, field, NAMES_MAX, "%d are possible, and there are %zu",
                     NAMES_MAX, count);
        return (struct settings_names){0};
    }
    list = arena_take(r->arena, count, sizeof(*list));
    for (size_t i = 0; list != NULL && i < count; i++) {
        const char *wrong = fault(texts[i]);

        if (wrong == NULL && is_among(texts, i, texts[i]))
            wrong = "is there twice; leave one of them out";
        if (wrong != NULL)
            text_mistake(&r->judge, at, field, i, "%s %s", quote(texts[i]).text, wrong);
        list[i] =
            (struct settings_name){arena_text(r->arena, texts[i]), settings_where(r, at, field, i)};
    }
    return (struct settings_names){list, list == NULL ? 0 : count};
}
