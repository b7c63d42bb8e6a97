#include "proxy/ops/log_line.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* One character of a text: its code point and length; not UTF-8 (RFC 3629): one byte, no point. */
enum { NOT_UTF8 = 0x110000 };
static uint32_t next_character(const unsigned char *at, size_t *length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = *at < 0x80 ? 1 : *at < 0xc0 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    uint32_t point = bytes == 1 ? *at : *at & (0x7fu >> bytes);

    *length = 1;
    if (bytes == 0 || *at > 0xf4)
        return NOT_UTF8;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) /* the final zero byte, too */
            return NOT_UTF8;
        point = point << 6 | (at[i] & 0x3fu);
    }
    if (point < smallest[bytes] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return NOT_UTF8;
    *length = bytes;
    return point;
}

/* Controls, and what makes a terminal or a reader start a line or change the direction. */
static bool is_unprintable(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == NOT_UTF8;
}

static bool is_escaped(uint32_t point)
{
    return point == '"' || point == '\\' || is_unprintable(point);
}

static void line_put_escape(struct log_line *line, uint32_t point, unsigned char byte)
{
    static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const char *found = point < 0x80 && point != 0 ? strchr(plain, (int)point) : NULL;
    char escape[8] = {'\\'};

    if (found != NULL)
        escape[1] = letters[found - plain];
    else if (point != NOT_UTF8)
        (void)snprintf(escape, sizeof(escape), "\\u%04" PRIx32, point & 0xffff);
    else if (line->json)
        memcpy(escape, "\xef\xbf\xbd", 4);
    else
        (void)snprintf(escape, sizeof(escape), "\\x%02x", byte);
    log_line_put(line, escape);
}

static void line_put_escaped(struct log_line *line, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t length;

    for (; *at != '\0' && !line->cut; at += length) {
        uint32_t point = next_character(at, &length);

        if (is_escaped(point))
            line_put_escape(line, point, *at);
        else
            line_put_bytes(line, at, length);
    }
}

static bool needs_quotes(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t length;

    for (; *at != '\0'; at += length) {
        uint32_t point = next_character(at, &length);
        if (point == ' ' || point == '=' || is_escaped(point))
            return true;
    }
    return text[0] == '\0';
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
