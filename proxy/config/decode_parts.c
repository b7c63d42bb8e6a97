#include "proxy/config/decode_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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

/* "listener[0].route[2].server_name[1]"; empty for the outermost message itself. */
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

/* The value's place, or else that of the nearest message around it. NULL: it has none. */
static const struct place *place_of(const struct decoder *decoder, const struct decode_at *at,
                                    const char *name, size_t index)
{
    const struct places *places = decoder->source->places;
    const struct place *place = NULL;

    if (places == NULL)
        return NULL;
    if (name != NULL)
        place = places_find(places, at->message, field_of(at, name)->id, index);
    for (; place == NULL && at != NULL; at = at->parent)
        place = places_find(places, at->message, 0, 0);
    return place;
}

/* Was it typed on the command line? Then the label says so in place of all else. */
static bool put_typed(const struct decoder *decoder, const struct decode_at *at, const char *name,
                      size_t index, char label[static CONFIG_ERROR_MAX])
{
    const struct config_source *source = decoder->source;
    const char *field = name == NULL ? "" : name;

    for (; at->parent != NULL; at = at->parent) {
        name = at->field;
        index = at->index;
    }
    return source->typed != NULL && name != NULL &&
           source->typed(source->context, name, index, field, label);
}

static void put_where(const struct decoder *decoder, const struct decode_at *at, const char *name,
                      size_t index, char where[static CONFIG_ERROR_MAX])
{
    const struct place *place = place_of(decoder, at, name, index);
    const char *file = decoder->source->file;
    char path[PATH_MAX_BYTES], position[32] = "";

    if (put_typed(decoder, at, name, index, where))
        return;
    (void)put_path(path, at, name, index);
    if (place != NULL)
        (void)snprintf(position, sizeof(position), ":%u:%u", place->line, place->column);
    (void)snprintf(where, CONFIG_ERROR_MAX, "%s%s%s%s", file == NULL ? "" : file, position,
                   file != NULL && path[0] != '\0' ? ": " : "", path);
}

void decode_error(struct decoder *decoder, const struct decode_at *at, const char *field,
                  size_t index, const char *format, ...)
{
    char where[CONFIG_ERROR_MAX] = "", what[CONFIG_ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    put_where(decoder, at, field, index, where);
    config_error(decoder->errors, "%s%s%s", where, where[0] != '\0' ? ": " : "", what);
}

bool decode_was_tried(const struct decoder *decoder, const struct decode_at *at, const char *field)
{
    const struct places *places = decoder->source->places;

    return places != NULL && places_find(places, at->message, field_of(at, field)->id, 0) != NULL;
}

void decode_missing(struct decoder *decoder, const struct decode_at *at, const char *field,
                    const char *advice)
{
    if (!decode_was_tried(decoder, at, field))
        decode_error(decoder, at, field, 0, "must be given, %s", advice);
}

void *decode_alloc(struct decoder *decoder, size_t count, size_t bytes)
{
    void *memory = count == 0 ? NULL : config_alloc(decoder->config, count * bytes);

    if (memory == NULL && count > 0)
        decoder->no_memory = true;
    return memory;
}

const char *decode_text(struct decoder *decoder, const char *text)
{
    const char *copy = config_text(decoder->config, text);

    if (copy == NULL)
        decoder->no_memory = true;
    return copy;
}

static void put_range(char text[static 96], const struct decode_range *range)
{
    if (range->above)
        (void)snprintf(text, 96, "above %.15g, up to %.15g", range->min, range->max);
    else
        (void)snprintf(text, 96, "%sfrom %.15g to %.15g", range->or_zero ? "0, or " : "",
                       range->min, range->max);
}

/* A number or double, as all that have ranges are. */
static void check_range(struct decoder *decoder, const struct decode_at *at,
                        const struct decode_range *range)
{
    const ProtobufCFieldDescriptor *field = field_of(at, range->field);
    const void *value = (const char *)at->message + field->offset;
    bool is_double = field->type == PROTOBUF_C_TYPE_DOUBLE;
    double number = is_double ? *(const double *)value : (double)*(const uint32_t *)value;
    char text[96];

    if (range->or_zero && number == 0)
        return;
    /* Not the other way about: NaN is in no range. */
    if (number >= range->min && number <= range->max && (!range->above || number > range->min))
        return;
    put_range(text, range);
    decode_error(decoder, at, range->field, 0, "%.15g is out of range; %s %s", number,
                 is_double ? "use seconds" : "use a number", text);
}

/* The serialized form has enums as numbers. */
static void check_enum(struct decoder *decoder, const struct decode_at *at,
                       const ProtobufCFieldDescriptor *field)
{
    const ProtobufCEnumDescriptor *enumeration = field->descriptor;

    for (size_t i = 0; i < text_field_count(at->message, field); i++) {
        int value = text_field_value(at->message, field, i).int32;

        if (protobuf_c_enum_descriptor_get_value(enumeration, value) == NULL)
            decode_error(decoder, at, field->name, i, "has no value %d; use a name of %s", value,
                         enumeration->short_name);
    }
}

static bool is_utf8(const char *text)
{
    size_t left = strlen(text), used;

    for (; left > 0; text += used, left -= used)
        if (utf8_next(text, left, &used) == UTF8_NOT)
            return false;
    return true;
}

/* The serialized form has strings as bytes. */
static void check_strings(struct decoder *decoder, const struct decode_at *at,
                          const ProtobufCFieldDescriptor *field)
{
    const void *value = (const char *)at->message + field->offset;
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    char *const *texts = repeated ? *(char *const *const *)value : value;
    size_t count =
        repeated
            ? *(const size_t *)(const void *)((const char *)at->message + field->quantifier_offset)
            : *texts != NULL;

    for (size_t i = 0; i < count; i++)
        if (is_utf8(texts[i]))
            continue;
        else if (strcmp(field->name, "password") == 0) /* is nobody's to read in a log */
            decode_error(decoder, at, field->name, i, "is not UTF-8");
        else
            decode_error(decoder, at, field->name, i, "%s is not UTF-8", quote(texts[i]).text);
}

void decode_check(struct decoder *decoder, const struct decode_at *at,
                  const struct decode_range *ranges, size_t count)
{
    const ProtobufCMessageDescriptor *descriptor = at->message->descriptor;

    for (size_t i = 0; i < count; i++)
        check_range(decoder, at, &ranges[i]);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (descriptor->fields[i].type == PROTOBUF_C_TYPE_ENUM)
            check_enum(decoder, at, &descriptor->fields[i]);
        else if (descriptor->fields[i].type == PROTOBUF_C_TYPE_STRING)
            check_strings(decoder, at, &descriptor->fields[i]);
    }
    for (size_t i = 0; i < at->message->n_unknown_fields; i++)
        decode_error(decoder, at, NULL, 0,
                     "has a field with number %u that this version does not know; was it written "
                     "for a later one, or is it not a configuration at all?",
                     at->message->unknown_fields[i].tag);
}

size_t decode_count(struct decoder *decoder, const struct decode_at *at, const char *field,
                    size_t count, size_t max)
{
    if (count <= max)
        return count;
    decode_error(decoder, at, field, max, "at most %zu are possible, and there are %zu", max,
                 count);
    return max;
}

bool decode_name(struct decoder *decoder, const struct decode_at *at, const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    size_t length;

    if (name == NULL)
        return true;
    length = strlen(name);
    if (length >= 1 && length <= CONFIG_NAME_MAX && strspn(name, allowed) == length)
        return true;
    decode_error(decoder, at, "name", 0,
                 "%s is not a name; use 1 to %d letters, digits, '-', '_' and '.'",
                 quote(name).text, CONFIG_NAME_MAX);
    return false;
}

struct networks decode_networks(struct decoder *decoder, const struct decode_at *at,
                                const char *field, char *const *texts, size_t count, size_t max)
{
    struct network *list;

    count = decode_count(decoder, at, field, count, max);
    list = decode_alloc(decoder, count, sizeof(*list));
    for (size_t i = 0; list != NULL && i < count; i++) {
        const char *fault = network_parse(texts[i], &list[i]);

        if (fault != NULL)
            decode_error(decoder, at, field, i, "%s %s", quote(texts[i]).text, fault);
    }
    return (struct networks){list, list == NULL ? 0 : count};
}
