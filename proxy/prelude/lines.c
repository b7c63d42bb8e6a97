#include "proxy/prelude/lines.h"

#include <string.h>
#include <strings.h>

/* Where the first such byte is; `length`: there is none. */
static size_t index_of(const uint8_t *data, size_t length, uint8_t byte)
{
    const uint8_t *at = memchr(data, byte, length);

    return at == NULL ? length : (size_t)(at - data);
}

/* Where the line ends, or breaks: the length with its last byte. 0: neither yet. */
static size_t find_end(const uint8_t *data, size_t length, bool *broken)
{
    size_t end = index_of(data, length, '\n');
    size_t zero = index_of(data, end, '\0');
    size_t behind_cr = index_of(data, end, '\r') + 1;
    size_t stop = behind_cr < zero ? behind_cr : zero;

    if (stop < end) {
        *broken = true;
        return stop + 1;
    }
    if (end == length)
        return 0;
    *broken = behind_cr != end;
    return end + 1;
}

static void give_up(struct prelude *p, const char *told, struct line line)
{
    prelude_over(p, PRELUDE_MALFORMED);
    if (told == NULL)
        prelude_note(p, line.text, line.length);
    else
        prelude_put(p, told, strlen(told));
}

size_t lines_take(struct prelude *p, const struct line_rules *rules, const uint8_t *data,
                  size_t length)
{
    bool broken = false;
    size_t taken = find_end(data, length, &broken);
    if (taken == 0)
        return 0;

    struct line line = {.text = (const char *)data, .length = taken};
    if (broken) {
        give_up(p, rules->broken, line);
        return taken;
    }
    line.length -= strlen("\r\n");
    if (++p->commands > rules->lines_max)
        give_up(p, rules->too_many, line);
    else
        rules->hear(p, line);
    return taken;
}

void line_refuse(struct prelude *p, struct line line)
{
    prelude_note(p, line.text, line.length);
    prelude_over(p, PRELUDE_REFUSED);
}

void line_malformed(struct prelude *p, struct line line)
{
    prelude_note(p, line.text, line.length);
    prelude_over(p, PRELUDE_MALFORMED);
}

struct line line_word(struct line *line)
{
    const char *space = line->length == 0 ? NULL : memchr(line->text, ' ', line->length);
    size_t length = space == NULL ? line->length : (size_t)(space - line->text);
    size_t behind = space == NULL ? length : length + 1;
    struct line word = {.text = line->text, .length = length};

    line->text += behind;
    line->length -= behind;
    return word;
}

bool line_is(struct line line, const char *text)
{
    return line.length == strlen(text) && strncasecmp(line.text, text, line.length) == 0;
}

struct line line_trimmed(struct line line)
{
    while (line.length > 0 && strchr(" \t", line.text[line.length - 1]) != NULL)
        line.length--;
    return line;
}

bool line_is_printable(struct line line)
{
    for (size_t i = 0; i < line.length; i++) {
        if (line.text[i] < ' ' || line.text[i] > '~')
            return false;
    }
    return true;
}

/* "{17}"; "{17+}", which nothing is waited for after; the same behind "~". */
bool line_has_literal(struct line line)
{
    size_t at = line.length;

    if (at == 0 || line.text[--at] != '}')
        return false;
    if (at > 0 && strchr("+-", line.text[at - 1]) != NULL)
        at--;
    size_t end = at;
    while (at > 0 && line.text[at - 1] >= '0' && line.text[at - 1] <= '9')
        at--;
    return at < end && at > 0 && line.text[at - 1] == '{';
}
