#include "tests/sim/journal.h"

#include <stdarg.h>
#include <stdio.h>

static void print_head(const struct journal *j, int who)
{
    printf("%s%12.3f ms  ", j->classic ? "classic " : "", (double)j->clock->now / 1000.);
    if (who >= 0)
        printf("#%-2d ", who);
    else
        printf("    ");
}

void journal_line(struct journal *j, int who, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_head(j, who);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

void journal_breach(struct journal *j, int who, const char *clause, const char *format, ...)
{
    va_list arguments;
    if (j->broken != NULL)
        return;
    va_start(arguments, format);
    int n = snprintf(j->text, sizeof(j->text), "connection %d: ", who);
    (void)vsnprintf(j->text + n, sizeof(j->text) - (size_t)n, format, arguments);
    va_end(arguments);
    j->broken = clause;
    TRACE(j, who, "BREACH of %s: %s", clause, j->text);
}
