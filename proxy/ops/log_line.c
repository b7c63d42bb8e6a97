#include "proxy/ops/log_line.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/text/utf8.h"

/* What may still have to follow after the last thing that fitted. */
#define LONGEST_END "\",\"cut\":true}\n"
enum { LINE_ROOM = LOG_LINE_MAX - (int)sizeof(LONGEST_END) };

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* All of `bytes` or nothing. */
static void line_put_bytes(struct log_line *line, const void *bytes, size_t length)
{
    line->cut = line->cut || line->length + length > LINE_ROOM;
    if (line->cut)
        return;
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

void log_line_put(struct log_line *line, const char *text)
{
    line_put_bytes(line, text, strlen(text));
}

/* Closes what is open, out of the room kept for that. */
static void line_end(struct log_line *line, const char *text)
{
    size_t length = strlen(text);

    memcpy(line->bytes + line->length, text, length);
    line->length += length;
}

static bool is_escaped(uint32_t point)
{
    return point == '"' || point == '\\' || !utf8_is_printable(point);
}

static void line_put_escape(struct log_line *line, uint32_t point, unsigned char byte)
{
    static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const char *found = point < 0x80 && point != 0 ? strchr(plain, (int)point) : NULL;
    char escape[8] = {'\\'};

    if (found != NULL)
        escape[1] = letters[found - plain];
    else if (point != UTF8_NOT)
        (void)snprintf(escape, sizeof(escape), "\\u%04" PRIx32, point & 0xffff);
    else if (line->json)
        memcpy(escape, "\xef\xbf\xbd", 4);
    else
        (void)snprintf(escape, sizeof(escape), "\\x%02x", byte);
    log_line_put(line, escape);
}

static void line_put_escaped(struct log_line *line, const char *text)
{
    const char *end = text + strlen(text);
    size_t length;

    for (; text < end && !line->cut; text += length) {
        uint32_t point = utf8_next(text, (size_t)(end - text), &length);

        if (is_escaped(point))
            line_put_escape(line, point, (unsigned char)*text);
        else
            line_put_bytes(line, text, length);
    }
}

static bool needs_quotes(const char *text)
{
    const char *end = text + strlen(text);
    size_t length;

    if (text == end)
        return true;
    for (; text < end; text += length) {
        uint32_t point = utf8_next(text, (size_t)(end - text), &length);
        if (point == ' ' || point == '=' || is_escaped(point))
            return true;
    }
    return false;
}

/* A value that may be cut within; false: not even its start fitted. */
static bool line_put_value(struct log_line *line, const char *text)
{
    bool quoted = line->json || needs_quotes(text);

    if (quoted)
        log_line_put(line, "\"");
    if (line->cut)
        return false;
    line_put_escaped(line, text);
    if (quoted)
        line_end(line, "\"");
    return true;
}

void log_line_put_field(struct log_line *line, const struct log_field *field)
{
    char scratch[128];
    size_t start = line->length;
    bool fitted;
    const char *text = field->text;

    log_line_put(line, line->json ? ",\"" : " ");
    log_line_put(line, field->name);
    log_line_put(line, line->json ? "\":" : "=");
    if (field->type == LOG_FIELD_ERRNO)
        text = strerror_r(field->error, scratch, sizeof(scratch));
    if (field->type == LOG_FIELD_UNSIGNED) {
        (void)snprintf(scratch, sizeof(scratch), "%" PRIu64, field->number);
        log_line_put(line, scratch);
        fitted = !line->cut; /* a part of a number would lie */
    } else if (text == NULL) {
        log_line_put(line, line->json ? "null" : "-");
        fitted = !line->cut;
    } else {
        fitted = line_put_value(line, text);
    }
    if (!fitted)
        line->length = start;
}

void log_line_put_message(struct log_line *line, const char *message)
{
    if (line->json)
        (void)line_put_value(line, message);
    else
        line_put_escaped(line, message);
}

void log_line_put_head(struct log_line *line, enum log_level level)
{
    char seconds[32] = "", head[96];
    struct timespec now;
    struct tm utc;

    if (clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &utc) != NULL)
        (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(head, sizeof(head),
                   line->json ? "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"message\":"
                              : "%s.%03dZ %s ",
                   seconds, (int)(now.tv_nsec / 1000000), level_names[level]);
    log_line_put(line, head);
}

void log_line_start(struct log_line *line, bool json)
{
    line->length = 0;
    line->json = json;
    line->cut = false;
}

void log_line_finish(struct log_line *line)
{
    if (line->cut)
        line_end(line, line->json ? ",\"cut\":true" : " ...");
    line_end(line, line->json ? "}\n" : "\n");
}
