#include "tunnel/config/parts.h"

#include <stdio.h>
#include <string.h>

#include "proto/text/quote.h"
#include "tunnel/failure.h"

enum { NAMES_MAX = 64, ALPN_BYTES_MAX = 255 };

void settings_begin(struct settings_reader *r, const char *name, struct arena *arena)
{
    config_errors_init(&r->errors);
    r->judge = (struct text_judge){.file = name, .errors = &r->errors};
    r->arena = arena;
}

/* The mistakes, a line each as far as there is room. False: there are some. */
static bool tell(struct settings_reader *r, struct tunnel_error *error)
{
    static const char more[] = "... and more";
    struct config_errors *errors = r->judge.errors;
    size_t used = 0, told = 0, room = sizeof(error->text) - sizeof(more);

    if (r->arena->failed) {
        (void)failure(error, TUNNEL_MEMORY, "out of memory");
        return false;
    }
    if (errors->total == 0)
        return true;
    (void)failure(error, TUNNEL_CONFIGURATION, "the configuration is wrong, and memory short");
    if (error == NULL || errors->count == 0)
        return false;
    config_errors_sort(errors);
    for (; told < errors->count && used + strlen(errors->texts[told]) + 1 <= room; told++)
        used += (size_t)snprintf(error->text + used, sizeof(error->text) - used, "%s%s",
                                 told == 0 ? "" : "\n", errors->texts[told]);
    if (told < errors->total)
        (void)snprintf(error->text + used, sizeof(error->text) - used, "\n%s", more);
    return false;
}

bool settings_end(struct settings_reader *r, struct tunnel_error *error)
{
    bool right = tell(r, error);

    config_errors_free(&r->errors);
    return right;
}

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
