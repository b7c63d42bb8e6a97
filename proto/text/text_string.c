#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/text_parts.h"
#include "proto/text/utf8.h"

/* One piece while it is decoded. */
struct piece {
    struct text_reader *r;
    const struct text_frame *frame;
    struct text_token token;
    const char *at, *end; /* what is left between the quotes */
    bool wrong;
};

__attribute__((format(printf, 3, 4))) static void piece_error(struct piece *p, const char *from,
                                                              const char *format, ...)
{
    struct text_token where = p->token;
    char text[CONFIG_ERROR_MAX];
    va_list arguments;

    where.column += (unsigned)(from - p->token.at);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    text_error(p->r, p->frame, &where, "%s", text);
    p->wrong = true;
}

/* There is room: no escape is shorter than what it stands for. */
static void put_byte(struct piece *p, const char *from, unsigned byte)
{
    if (byte == 0 && p->frame->field->type == PROTOBUF_C_TYPE_STRING)
        piece_error(p, from, "a string cannot hold a zero byte; leave it out");
    p->r->scratch.bytes[p->r->scratch.length++] = (char)byte;
}

/* Up to `most` digits of `base`. Returns how many there were. */
static unsigned read_digits(struct piece *p, unsigned base, unsigned most, uint32_t *number)
{
    unsigned count = 0;

    for (*number = 0; count < most && p->at < p->end; count++, p->at++) {
        unsigned digit = (unsigned)text_digit(*p->at);
        if (digit >= base)
            break;
        *number = *number * base + digit;
    }
    return count;
}

static bool is_high_half(uint32_t point)
{
    return point >= 0xd800 && point <= 0xdbff;
}

static bool is_low_half(uint32_t point)
{
    return point >= 0xdc00 && point <= 0xdfff;
}

/* \uD83D is half of a character, as in JSON: \uDE00 is the other one. */
static uint32_t join_halves(struct piece *p, uint32_t high)
{
    const char *before = p->at;
    uint32_t low;

    if (p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        p->at += 2;
        if (read_digits(p, 16, 4, &low) == 4 && is_low_half(low))
            return 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
        p->at = before;
    }
    return high;
}

static void put_character(struct piece *p, const char *from, unsigned digits)
{
    uint32_t point;

    if (read_digits(p, 16, digits, &point) < digits) {
        piece_error(p, from, "the escape is cut short; write \\%c and %u hexadecimal digits",
                    from[1], digits);
        return;
    }
    if (digits == 4 && is_high_half(point))
        point = join_halves(p, point);
    if (point > 0x10ffff || is_high_half(point) || is_low_half(point))
        piece_error(p, from, "%.*s is no character; write one up to \\U0010ffff that is no half",
                    (int)digits + 2, from);
    else if (point == 0)
        put_byte(p, from, 0);
    else
        p->r->scratch.length += utf8_put(point, p->r->scratch.bytes + p->r->scratch.length);
}

static void put_number(struct piece *p, const char *from, unsigned base, unsigned digits)
{
    uint32_t byte;

    if (read_digits(p, base, digits, &byte) == 0)
        piece_error(p, from, "the escape is cut short; write \\x and two hexadecimal digits");
    else if (byte > 0xff)
        piece_error(p, from, "%.*s is above \\377, the last byte; write a smaller one",
                    (int)digits + 1, from);
    else
        put_byte(p, from, byte);
}

/* At the backslash; what is behind it in the piece is at least one character. */
static void put_escape(struct piece *p)
{
    static const char letters[] = "abfnrtv\\'\"?", meant[] = "\a\b\f\n\r\t\v\\'\"?";
    const char *from = p->at, *found;
    char letter = from[1];
    size_t used;

    p->at += 2;
    found = letter == '\0' ? NULL : strchr(letters, letter);
    if (found != NULL) {
        put_byte(p, from, (unsigned char)meant[found - letters]);
    } else if (letter == 'x' || letter == 'X') {
        put_number(p, from, 16, 2);
    } else if (letter >= '0' && letter <= '7') {
        p->at--;
        put_number(p, from, 8, 3);
    } else if (letter == 'u' || letter == 'U') {
        put_character(p, from, letter == 'u' ? 4 : 8);
    } else {
        (void)utf8_next(from + 1, (size_t)(p->end - from - 1), &used);
        p->at = from + 1 + used;
        piece_error(p, from, "there is no escape \\%.*s; write \\\\ for a backslash", (int)used,
                    from + 1);
    }
}

static bool reserve(struct text_reader *r, size_t more)
{
    size_t capacity = r->scratch.capacity;
    char *larger;

    if (capacity - r->scratch.length >= more)
        return true;
    capacity = capacity * 2 > r->scratch.length + more ? capacity * 2 : r->scratch.length + more;
    larger = malloc(capacity);
    if (larger == NULL) {
        text_give_up(r);
        return false;
    }
    if (r->scratch.bytes != NULL) {
        memcpy(larger, r->scratch.bytes, r->scratch.length);
        explicit_bzero(r->scratch.bytes, r->scratch.capacity);
        free(r->scratch.bytes);
    }
    r->scratch.bytes = larger;
    r->scratch.capacity = capacity;
    return true;
}

/* A key may be in it, all of whose lines would be quoted as mistakes of their own. */
static bool is_pasted(const ProtobufCFieldDescriptor *field)
{
    return strcmp(field->name, "inline_string") == 0 || strcmp(field->name, "inline_bytes") == 0;
}

/* Puts what the piece says behind what there is. False: told, or out of memory. */
static bool decode_piece(struct text_reader *r, const struct text_frame *frame)
{
    struct piece p = {.r = r, .frame = frame, .token = r->token};
    size_t quotes = p.token.unclosed ? 1 : 2;

    if (!reserve(r, p.token.length))
        return false;
    p.at = p.token.at + 1;
    p.end = p.at + p.token.length - quotes;
    if (p.token.unclosed && is_pasted(frame->field)) {
        piece_error(&p, p.token.at,
                    "the string does not end in its line; write each line in quotes of its own "
                    "with \\n at its end, or name a file");
        text_cut(r);
        return false;
    }
    if (p.token.unclosed)
        piece_error(&p, p.token.at, "the string does not end in its line; write %c behind it",
                    *p.token.at);
    while (p.at < p.end) {
        if (*p.at == '\\' && p.end - p.at > 1) {
            put_escape(&p);
        } else {
            put_byte(&p, p.at, (unsigned char)*p.at);
            p.at++;
        }
    }
    return !p.wrong;
}

static bool is_utf8(struct text_reader *r, const struct text_frame *frame,
                    const struct text_token *where)
{
    const char *bytes = r->scratch.bytes;
    size_t length = r->scratch.length, used;

    for (size_t i = 0; i < length; i += used)
        if (utf8_next(bytes + i, length - i, &used) == UTF8_NOT) {
            text_error(r, frame, where,
                       "byte %zu of the string, \\x%02x, is not UTF-8; write it as UTF-8", i + 1,
                       (unsigned char)bytes[i]);
            return false;
        }
    return true;
}

/* The string so far, with a zero byte behind it. NULL: out of memory. */
static char *copy_scratch(struct text_reader *r)
{
    char *copy = malloc(r->scratch.length + 1);

    if (copy == NULL) {
        text_give_up(r);
        return NULL;
    }
    memcpy(copy, r->scratch.bytes, r->scratch.length);
    copy[r->scratch.length] = '\0';
    return copy;
}

bool text_string(struct text_reader *r, const struct text_frame *frame, union text_value *value)
{
    struct text_token first = r->token;
    bool string = frame->field->type == PROTOBUF_C_TYPE_STRING, good = true;
    char *copy;

    if (first.kind != TEXT_STRING) {
        text_error_type(r, frame);
        return false;
    }
    for (r->scratch.length = 0; r->token.kind == TEXT_STRING; (void)text_take(r))
        good = decode_piece(r, frame) && good;
    if (!good || (string && !is_utf8(r, frame, &first)))
        return false;
    copy = copy_scratch(r);
    if (string)
        value->string = copy;
    else
        value->bytes = (ProtobufCBinaryData){r->scratch.length, (uint8_t *)copy};
    return copy != NULL;
}
