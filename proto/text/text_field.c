#include "proto/text/text_field.h"

#include <stdlib.h>
#include <string.h>

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM: return sizeof(int32_t);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return sizeof(int64_t);
    case PROTOBUF_C_TYPE_FLOAT: return sizeof(float);
    case PROTOBUF_C_TYPE_DOUBLE: return sizeof(double);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING: return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(ProtobufCMessage *);
    }
    return 0;
}

static void *at(ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

static const void *at_const(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

ProtobufCMessage *text_message_create(const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = malloc(descriptor->sizeof_message);

    if (message != NULL)
        protobuf_c_message_init(descriptor, message);
    return message;
}

/* The room is doubled each time that the number of values is a power of two. */
static bool append(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                   const union text_value *value)
{
    size_t size = size_of(field->type), *count = at(message, field->quantifier_offset);
    char **list = at(message, field->offset);

    if ((*count & (*count - 1)) == 0) {
        char *larger = realloc(*list, (*count == 0 ? 1 : *count * 2) * size);
        if (larger == NULL)
            return false;
        *list = larger;
    }
    memcpy(*list + *count * size, value, size);
    (*count)++;
    return true;
}

/* Those with has_x: strings and messages are there when they are not NULL. */
static bool has_mark(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
           field->type != PROTOBUF_C_TYPE_MESSAGE;
}

static bool is_of_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

bool text_field_store(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                      const union text_value *value)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return append(message, field, value);
    memcpy(at(message, field->offset), value, size_of(field->type));
    if (is_of_oneof(field))
        *(uint32_t *)at(message, field->quantifier_offset) = field->id;
    else if (has_mark(field))
        *(protobuf_c_boolean *)at(message, field->quantifier_offset) = true;
    return true;
}

void text_value_free(const ProtobufCFieldDescriptor *field, const union text_value *value)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        explicit_bzero(value->string, strlen(value->string));
        free(value->string);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        explicit_bzero(value->bytes.data, value->bytes.len);
        free(value->bytes.data);
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        protobuf_c_message_free_unpacked(value->message, NULL);
    }
}

bool text_field_is_secret(const ProtobufCFieldDescriptor *field)
{
    static const char *const names[] = {"password", "inline_string", "inline_bytes"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(field->name, names[i]) == 0)
            return true;
    return false;
}

size_t text_field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *quantifier = at_const(message, field->quantifier_offset);
    const void *value = at_const(message, field->offset);

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)quantifier;
    if (is_of_oneof(field))
        return *(const uint32_t *)quantifier == field->id;
    if (has_mark(field))
        return *(const protobuf_c_boolean *)quantifier != 0;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)value != NULL &&
               *(const void *const *)value != field->default_value;
    return 1;
}

union text_value text_field_value(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field, size_t index)
{
    union text_value value;
    size_t size = size_of(field->type);
    const char *from = at_const(message, field->offset);

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        from = *(const char *const *)from + index * size;
    memset(&value, 0, sizeof(value));
    memcpy(&value, from, size);
    return value;
}

/* Of a string it is the text itself, of all others a pointer to the value. */
union text_value text_field_default(const ProtobufCFieldDescriptor *field)
{
    union text_value value;

    memset(&value, 0, sizeof(value));
    if (field->type == PROTOBUF_C_TYPE_STRING)
        memcpy(&value, &field->default_value, sizeof(field->default_value));
    else
        memcpy(&value, field->default_value, size_of(field->type));
    return value;
}
