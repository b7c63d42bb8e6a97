#include "proxy/ops/exposition.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { SECOND_US = 1000000, SECONDS_BYTES = 32 };

/* What would end a line or a value early; `quotes`: within quotes. */
static void put_escaped(FILE *out, const char *text, bool quotes)
{
    for (;;) {
        size_t plain = strcspn(text, quotes ? "\n\\\"" : "\n\\");
        (void)fwrite(text, 1, plain, out);
        text += plain;
        if (*text == '\0')
            return;
        (void)fputc('\\', out);
        (void)fputc(*text == '\n' ? 'n' : *text, out);
        text++;
    }
}

void exposition_family(FILE *out, const char *name, enum exposition_type type, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    (void)fprintf(out, "# HELP %s ", name);
    put_escaped(out, help, false);
    (void)fprintf(out, "\n# TYPE %s %s\n", name, types[type]);
}

/* Up to the value. `le` is one label more, of a histogram's bucket; NULL: none. */
static void put_name(FILE *out, const char *name, const char *suffix,
                     const struct exposition_label *labels, const char *le)
{
    const char *before = "{";
    (void)fprintf(out, "%s%s", name, suffix);
    for (; labels != NULL && labels->name != NULL; labels++) {
        (void)fprintf(out, "%s%s=\"", before, labels->name);
        put_escaped(out, labels->value, true);
        (void)fputc('"', out);
        before = ",";
    }
    if (le != NULL) {
        (void)fprintf(out, "%sle=\"%s\"", before, le);
        before = ",";
    }
    (void)fputs(*before == '{' ? " " : "} ", out);
}

/* Exactly, without zeros at the end: "0.0025", "10". */
static const char *seconds_text(uint64_t us, char text[static SECONDS_BYTES])
{
    int length =
        snprintf(text, SECONDS_BYTES, "%" PRIu64 ".%06" PRIu64, us / SECOND_US, us % SECOND_US);
    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[--length] = '\0';
    return text;
}

void exposition_count(FILE *out, const char *name, const struct exposition_label *labels,
                      uint64_t value)
{
    put_name(out, name, "", labels, NULL);
    (void)fprintf(out, "%" PRIu64 "\n", value);
}

void exposition_seconds(FILE *out, const char *name, const struct exposition_label *labels,
                        uint64_t microseconds)
{
    char text[SECONDS_BYTES];
    put_name(out, name, "", labels, NULL);
    (void)fprintf(out, "%s\n", seconds_text(microseconds, text));
}

void exposition_histogram(FILE *out, const char *name, const struct exposition_label *labels,
                          const struct exposition_histogram *h)
{
    char text[SECONDS_BYTES];
    for (size_t i = 0; i < h->bounds; i++) {
        put_name(out, name, "_bucket", labels, seconds_text(h->bounds_us[i], text));
        (void)fprintf(out, "%" PRIu64 "\n", h->counts[i]);
    }
    put_name(out, name, "_bucket", labels, "+Inf");
    (void)fprintf(out, "%" PRIu64 "\n", h->counts[h->bounds]);
    put_name(out, name, "_sum", labels, NULL);
    (void)fprintf(out, "%s\n", seconds_text(h->sum_us, text));
    put_name(out, name, "_count", labels, NULL);
    (void)fprintf(out, "%" PRIu64 "\n", h->counts[h->bounds]);
}
