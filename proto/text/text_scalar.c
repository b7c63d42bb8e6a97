#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/text/text_parts.h"
#include "proto/text/utf8.h"

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

int text_digit(char c)
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
        unsigned digit = (unsigned)text_digit(*text);
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

bool text_scalar(struct text_reader *r, const struct text_frame *frame, union text_value *value)
{
    memset(value, 0, sizeof(*value));
    switch (frame->field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE: return read_float(r, frame, value);
    case PROTOBUF_C_TYPE_BOOL: return read_bool(r, frame, value);
    case PROTOBUF_C_TYPE_ENUM: return read_enum(r, frame, value);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES: return text_string(r, frame, value);
    default: return read_integer(r, frame, value);
    }
}
