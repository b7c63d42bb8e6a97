#include "proto/text/text_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/text_field.h"
#include "proto/text/utf8.h"

enum {
    INDENT = 2,
    DIGITS_MAX = 17,      /* as many as any double needs to be told from all others */
    DIGITS_MAX_FLOAT = 9, /* the same of a float */
    PLAIN_FROM = -5,      /* powers of ten between which numbers are written without exponent */
    PLAIN_TO = 15,
    NUMBER_MAX = 64,
};

static void indent(FILE *out, unsigned level)
{
    (void)fprintf(out, "%*s", (int)level * INDENT, "");
}

/* ---- numbers ---- */

static bool reads_back(const char *text, double value, bool is_float)
{
    return is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
}

/* The fewest digits that read back as the same number: 30, 0.25, 1e+30. */
static void write_number(FILE *out, double value, bool is_float)
{
    char text[NUMBER_MAX];
    int digits = 0, most = is_float ? DIGITS_MAX_FLOAT : DIGITS_MAX;

    if (!isfinite(value)) {
        (void)fprintf(out, "%s%s", signbit(value) ? "-" : "", isnan(value) ? "nan" : "inf");
        return;
    }
    do {
        digits++;
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, value);
    } while (digits < most && !reads_back(text, value, is_float));
    int power = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (power < PLAIN_FROM || power >= PLAIN_TO)
        (void)fprintf(out, "%s", text);
    else
        (void)fprintf(out, "%.*f", digits - 1 > power ? digits - 1 - power : 0, value);
}

/* ---- strings ---- */

static void write_byte_escape(FILE *out, unsigned char byte)
{
    static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const char *found = byte == 0 ? NULL : strchr(plain, byte);

    if (found != NULL)
        (void)fprintf(out, "\\%c", letters[found - plain]);
    else
        (void)fprintf(out, "\\%03o", byte);
}

/* Strings keep their UTF-8 as it is where it can be printed; bytes are escaped above 0x7e. */
static void write_quoted(FILE *out, const char *bytes, size_t length, bool utf8)
{
    size_t used;

    (void)fprintf(out, "\"");
    for (size_t i = 0; i < length; i += used) {
        uint32_t point = utf8_next(bytes + i, length - i, &used);
        bool plain =
            utf8_is_printable(point) && point != '"' && point != '\\' && (utf8 || point < 0x7f);
        if (plain) {
            (void)fwrite(bytes + i, 1, used, out);
            continue;
        }
        for (size_t j = 0; j < used; j++)
            write_byte_escape(out, (unsigned char)bytes[i + j]);
    }
    (void)fprintf(out, "\"");
}

/* ---- values ---- */

static void write_enum(FILE *out, const ProtobufCEnumDescriptor *values, int32_t number)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(values, number);

    if (known != NULL)
        (void)fprintf(out, "%s", known->name);
    else
        (void)fprintf(out, "%" PRId32, number);
}

static void write_scalar(FILE *out, const ProtobufCFieldDescriptor *field,
                         const union text_value *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: (void)fprintf(out, "%" PRId32, value->int32); return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: (void)fprintf(out, "%" PRId64, value->int64); return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: (void)fprintf(out, "%" PRIu32, value->uint32); return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: (void)fprintf(out, "%" PRIu64, value->uint64); return;
    case PROTOBUF_C_TYPE_FLOAT: write_number(out, (double)value->float_, true); return;
    case PROTOBUF_C_TYPE_DOUBLE: write_number(out, value->double_, false); return;
    case PROTOBUF_C_TYPE_BOOL: (void)fprintf(out, value->boolean ? "true" : "false"); return;
    case PROTOBUF_C_TYPE_ENUM: write_enum(out, field->descriptor, value->int32); return;
    case PROTOBUF_C_TYPE_STRING:
        write_quoted(out, value->string, strlen(value->string), true);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        write_quoted(out, (const char *)value->bytes.data, value->bytes.len, false);
        return;
    case PROTOBUF_C_TYPE_MESSAGE: return;
    }
}

static void write_open(FILE *out, const ProtobufCFieldDescriptor *field, unsigned level)
{
    indent(out, level);
    (void)fprintf(out, "%s {\n", field->name);
}

static void write_close(FILE *out, unsigned level)
{
    indent(out, level);
    (void)fprintf(out, "}\n");
}

static void write_fields(FILE *out, const ProtobufCMessage *message, unsigned level);

static void write_value(FILE *out, const ProtobufCFieldDescriptor *field,
                        const union text_value *value, unsigned level)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        write_open(out, field, level);
        write_fields(out, value->message, level + 1);
        write_close(out, level);
        return;
    }
    indent(out, level);
    (void)fprintf(out, "%s: ", field->name);
    write_scalar(out, field, value);
    (void)fprintf(out, "\n");
}

/* ---- defaults ---- */

/* Left out it means the same as given with this value; in a oneof it never does. */
static bool has_default(const ProtobufCFieldDescriptor *field)
{
    return field->label != PROTOBUF_C_LABEL_REPEATED && field->type != PROTOBUF_C_TYPE_MESSAGE &&
           field->default_value != NULL && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
}

static bool is_submessage_of_defaults(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *message = field->descriptor;

    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED ||
        (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return false;
    for (unsigned i = 0; i < message->n_fields; i++)
        if (!has_default(&message->fields[i]))
            return false;
    return message->n_fields > 0;
}

/* A field that was not given. */
static void write_default(FILE *out, const ProtobufCFieldDescriptor *field, unsigned level)
{
    const ProtobufCMessageDescriptor *message = field->descriptor;

    if (has_default(field)) {
        union text_value value = text_field_default(field);
        write_value(out, field, &value, level);
        return;
    }
    if (!is_submessage_of_defaults(field))
        return;
    write_open(out, field, level);
    for (unsigned i = 0; i < message->n_fields; i++)
        write_default(out, &message->fields[i], level + 1);
    write_close(out, level);
}

static void write_fields(FILE *out, const ProtobufCMessage *message, unsigned level)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        size_t count = text_field_count(message, field);

        if (count == 0)
            write_default(out, field, level);
        for (size_t j = 0; j < count; j++) {
            union text_value value = text_field_value(message, field, j);
            write_value(out, field, &value, level);
        }
    }
}

void text_write(const ProtobufCMessage *message, FILE *out)
{
    write_fields(out, message, 0);
}
