#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/config/text_parts.h"
#include "proxy/config/utf8.h"

enum { NUMBER_MAX = 127 /* characters */ };

struct text_range text_range_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: return (struct text_range){INT32_MIN, INT32_MAX};
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return (struct text_range){INT64_MIN, INT64_MAX};
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: return (struct text_range){0, UINT32_MAX};
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return (struct text_range){0, UINT64_MAX};
    default: return (struct text_range){0, 0};
    }
}

/* ---- numbers ---- */

/* A number, or a name in a number's place, with its sign. */
struct number {
    struct text_token where; /* its beginning, with the sign */
    bool minus;
    struct text_token token;
    char text[NUMBER_MAX + 1]; /* without the sign */
};

static const char too_long[] = "is too long";

/* Takes it, if it is one. */
static bool take_number(struct text_reader *r, const struct text_frame *frame, struct number *n)
{
    n->where = r->token;
    n->minus = text_token_is(&r->token, '-');
    if (n->minus)
        (void)text_take(r);
    n->token = r->token;
    if (n->token.kind != TEXT_NUMBER && n->token.kind != TEXT_NAME) {
        text_error_type(r, frame);
        return false;
    }
    if (n->token.length > NUMBER_MAX) {
        text_error_value(r, frame, &n->where, too_long);
        (void)text_take(r);
        return false;
    }
    memcpy(n->text, n->token.at, n->token.length);
    n->text[n->token.length] = '\0';
    (void)text_take(r);
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* NULL, or what is wrong with it. Larger ones are UINT64_MAX, and `*beyond`. */
static const char *read_magnitude(const char *text, uint64_t *magnitude, bool *beyond)
{
    unsigned base = text[0] != '0' || text[1] == '\0'  ? 10
                    : text[1] == 'x' || text[1] == 'X' ? 16
                                                       : 8;

    *magnitude = 0;
    *beyond = false;
    if (base == 16)
        text += 2;
    if (*text == '\0')
        return "is not a whole number";
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned)digit_of(*text);
        if (digit >= base)
            return base == 8 ? "begins with 0 but is not octal" : "is not a whole number";
        if (*magnitude > (UINT64_MAX - digit) / base)
            *beyond = true;
        *magnitude = *magnitude * base + digit;
    }
    return NULL;
}

static const char *check_integer(const struct number *n, struct text_range range, uint64_t *bits)
{
    bool beyond;
    const char *wrong = n->token.kind == TEXT_NAME ? "is not a whole number"
                                                   : read_magnitude(n->text, bits, &beyond);

    if (wrong != NULL)
        return wrong;
    if (beyond || (n->minus ? *bits > (uint64_t)0 - (uint64_t)range.lowest : *bits > range.highest))
        return "is out of range";
    if (n->minus)
        *bits = (uint64_t)0 - *bits;
    return NULL;
}

static bool read_integer(struct text_reader *r, const struct text_frame *frame,
                         union text_value *value)
{
    struct number n;
    uint64_t bits = 0;
    const char *wrong;

    if (!take_number(r, frame, &n))
        return false;
    wrong = check_integer(&n, text_range_of(frame->field->type), &bits);
    if (wrong != NULL) {
        text_error_value(r, frame, &n.where, wrong);
        return false;
    }
    if (text_range_of(frame->field->type).highest <= UINT32_MAX)
        value->uint32 = (uint32_t)bits;
    else
        value->uint64 = bits;
    return true;
}

static size_t count_digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* 1 1.5 1. .5 1e5 1.5e-5 and an "f" behind any of them, but no 01.5 and no 0x1p3. */
static bool is_float(const char *text)
{
    size_t whole = count_digits(text), fraction = 0;

    if (whole > 1 && text[0] == '0')
        return false;
    text += whole;
    if (*text == '.')
        fraction = count_digits(++text);
    text += fraction;
    if (whole + fraction == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text += text[1] == '+' || text[1] == '-' ? 2 : 1;
        if (count_digits(text) == 0)
            return false;
        text += count_digits(text);
    }
    return *text == '\0' || strcasecmp(text, "f") == 0;
}

static bool is_infinity(const char *text)
{
    return strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0;
}

/* strtod reads what is_float lets through up to the "f", where nobody has set a locale. */
static const char *check_float(const struct number *n, ProtobufCType type, union text_value *value)
{
    bool infinite = n->token.kind == TEXT_NAME && is_infinity(n->text);
    bool nan = n->token.kind == TEXT_NAME && strcasecmp(n->text, "nan") == 0;
    double number;

    if (!infinite && !nan && !is_float(n->text))
        return "is not a decimal number";
    if (type == PROTOBUF_C_TYPE_FLOAT && !nan && !infinite)
        number = (double)strtof(n->text, NULL);
    else
        number = nan ? (double)NAN : strtod(n->text, NULL);
    if (isinf(number) && !infinite)
        return "is out of range";
    number = n->minus ? -number : number;
    if (type == PROTOBUF_C_TYPE_FLOAT)
        value->float_ = (float)number;
    else
        value->double_ = number;
    return NULL;
}

static bool read_float(struct text_reader *r, const struct text_frame *frame,
                       union text_value *value)
{
    struct number n;
    const char *wrong;

    if (!take_number(r, frame, &n))
        return false;
    wrong = check_float(&n, frame->field->type, value);
    if (wrong != NULL)
        text_error_value(r, frame, &n.where, wrong);
    return wrong == NULL;
}

/* ---- names ---- */

static bool read_bool(struct text_reader *r, const struct text_frame *frame,
                      union text_value *value)
{
    static const char *const names[2][3] = {{"false", "False", "f"}, {"true", "True", "t"}};
    struct text_token token = r->token;
    struct number n;
    uint64_t bits = 0;

    if (token.kind == TEXT_NUMBER) {
        if (!take_number(r, frame, &n))
            return false;
        if (check_integer(&n, (struct text_range){0, 1}, &bits) != NULL) {
            text_error_value(r, frame, &token, "is neither true nor false");
            return false;
        }
        value->boolean = bits == 1;
        return true;
    }
    for (int i = 0; i < 6; i++)
        if (text_token_is_name(&token, names[i / 3][i % 3])) {
            value->boolean = i / 3;
            (void)text_take(r);
            return true;
        }
    text_error_type(r, frame);
    return false;
}

static bool read_enum_name(struct text_reader *r, const struct text_frame *frame,
                           union text_value *value)
{
    const ProtobufCEnumDescriptor *values = frame->field->descriptor;

    for (unsigned i = 0; i < values->n_value_names; i++)
        if (text_token_is_name(&r->token, values->values_by_name[i].name)) {
            value->int32 = values->values[values->values_by_name[i].index].value;
            (void)text_take(r);
            return true;
        }
    text_error_value(r, frame, &r->token, "is none of the names");
    return false;
}

static bool read_enum_number(struct text_reader *r, const struct text_frame *frame,
                             union text_value *value)
{
    struct number n;
    uint64_t bits = 0;
    const char *wrong;

    if (!take_number(r, frame, &n))
        return false;
    wrong = check_integer(&n, text_range_of(PROTOBUF_C_TYPE_INT32), &bits);
    value->int32 = (int32_t)(uint32_t)bits;
    if (wrong == NULL &&
        protobuf_c_enum_descriptor_get_value(frame->field->descriptor, value->int32) == NULL)
        wrong = "is none of the numbers";
    if (wrong != NULL)
        text_error_value(r, frame, &n.where, wrong);
    return wrong == NULL;
}

static bool read_enum(struct text_reader *r, const struct text_frame *frame,
                      union text_value *value)
{
    if (r->token.kind == TEXT_NAME)
        return read_enum_name(r, frame, value);
    if (r->token.kind == TEXT_NUMBER || text_token_is(&r->token, '-'))
        return read_enum_number(r, frame, value);
    text_error_type(r, frame);
    return false;
}

/* ---- strings ---- */

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
        unsigned digit = (unsigned)digit_of(*p->at);
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
    larger = realloc(r->scratch.bytes, capacity);
    if (larger == NULL) {
        text_give_up(r);
        return false;
    }
    r->scratch.bytes = larger;
    r->scratch.capacity = capacity;
    return true;
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

static bool read_string(struct text_reader *r, const struct text_frame *frame,
                        union text_value *value)
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

/* ---- all of them ---- */

bool text_scalar(struct text_reader *r, const struct text_frame *frame, union text_value *value)
{
    memset(value, 0, sizeof(*value));
    switch (frame->field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE: return read_float(r, frame, value);
    case PROTOBUF_C_TYPE_BOOL: return read_bool(r, frame, value);
    case PROTOBUF_C_TYPE_ENUM: return read_enum(r, frame, value);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES: return read_string(r, frame, value);
    default: return read_integer(r, frame, value);
    }
}
