#include "proto/text/judge.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/text/quote.h"
#include "proto/text/text_field.h"
#include "proto/text/utf8.h"

enum { PATH_MAX_BYTES = 160 };

static const ProtobufCFieldDescriptor *field_of(const struct decode_at *at, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(at->message->descriptor, name);

    assert(field != NULL);
    return field;
}

struct decode_at text_inside(const struct decode_at *parent, const void *message, const char *field,
                             size_t index)
{
    return (struct decode_at){parent, message, field, index};
}

/* Empty for the outermost message itself. */
static size_t put_path(char path[static PATH_MAX_BYTES], const struct decode_at *at,
                       const char *name, size_t index)
{
    size_t used = 0;
    int length;

    path[0] = '\0';
    if (at->parent != NULL)
        used = put_path(path, at->parent, at->field, at->index);
    if (name == NULL)
        return used;
    if (field_of(at, name)->label == PROTOBUF_C_LABEL_REPEATED)
        length = snprintf(path + used, PATH_MAX_BYTES - used, "%s%s[%zu]", used > 0 ? "." : "",
                          name, index);
    else
        length = snprintf(path + used, PATH_MAX_BYTES - used, "%s%s", used > 0 ? "." : "", name);
    used += (size_t)length;
    return used < PATH_MAX_BYTES ? used : PATH_MAX_BYTES - 1;
}

/* NULL: there is none. */
static const struct place *place_of(const struct text_judge *judge, const struct decode_at *at,
                                    const char *name, size_t index)
{
    const struct place *place = NULL;

    if (judge->places == NULL)
        return NULL;
    if (name != NULL)
        place = places_find(judge->places, at->message, field_of(at, name)->id, index);
    for (; place == NULL && at != NULL; at = at->parent)
        place = places_find(judge->places, at->message, 0, 0);
    return place;
}

void text_where(const struct text_judge *judge, const struct decode_at *at, const char *field,
                size_t index, char where[static CONFIG_ERROR_MAX])
{
    const struct place *place = place_of(judge, at, field, index);
    const char *file = judge->file;
    char path[PATH_MAX_BYTES], position[32] = "";

    if (judge->elsewhere != NULL && judge->elsewhere(judge->context, at, field, index, where))
        return;
    (void)put_path(path, at, field, index);
    if (place != NULL)
        (void)snprintf(position, sizeof(position), ":%u:%u", place->line, place->column);
    (void)snprintf(where, CONFIG_ERROR_MAX, "%s%s%s%s", file == NULL ? "" : file, position,
                   file != NULL && path[0] != '\0' ? ": " : "", path);
}

void text_mistake(const struct text_judge *judge, const struct decode_at *at, const char *field,
                  size_t index, const char *format, ...)
{
    char where[CONFIG_ERROR_MAX] = "", what[CONFIG_ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    text_where(judge, at, field, index, where);
    config_error(judge->errors, "%s%s%s", where, where[0] != '\0' ? ": " : "", what);
}

bool text_was_tried(const struct text_judge *judge, const struct decode_at *at, const char *field)
{
    return judge->places != NULL &&
           places_find(judge->places, at->message, field_of(at, field)->id, 0) != NULL;
}

void text_missing(const struct text_judge *judge, const struct decode_at *at, const char *field,
                  const char *advice)
{
    if (!text_was_tried(judge, at, field))
        text_mistake(judge, at, field, 0, "must be given, %s", advice);
}

static bool is_utf8(const char *text)
{
    size_t left = strlen(text), used;

    for (; left > 0; text += used, left -= used)
        if (utf8_next(text, left, &used) == UTF8_NOT)
            return false;
    return true;
}

static void check_string(const struct text_judge *judge, const struct decode_at *at,
                         const ProtobufCFieldDescriptor *field, size_t index, const char *text)
{
    if (is_utf8(text))
        return;
    if (text_field_is_secret(field))
        text_mistake(judge, at, field->name, index, "is not UTF-8");
    else
        text_mistake(judge, at, field->name, index, "%s is not UTF-8", quote(text).text);
}

static void check_value(const struct text_judge *judge, const struct decode_at *at,
                        const ProtobufCFieldDescriptor *field, size_t index)
{
    union text_value value = text_field_value(at->message, field, index);

    if (field->type == PROTOBUF_C_TYPE_STRING)
        check_string(judge, at, field, index, value.string);
    else if (field->type == PROTOBUF_C_TYPE_ENUM &&
             protobuf_c_enum_descriptor_get_value(field->descriptor, value.int32) == NULL)
        text_mistake(judge, at, field->name, index, "has no value %d; use a name of %s",
                     (int)value.int32,
                     ((const ProtobufCEnumDescriptor *)field->descriptor)->short_name);
}

void text_check(const struct text_judge *judge, const struct decode_at *at)
{
    const ProtobufCMessage *message = at->message;

    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        for (size_t j = 0; j < text_field_count(message, field); j++)
            check_value(judge, at, field, j);
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        text_mistake(judge, at, NULL, 0,
                     "has a field with number %u that this version does not know; was it written "
                     "for a later one, or is it not a configuration at all?",
                     (unsigned)message->unknown_fields[i].tag);
}
