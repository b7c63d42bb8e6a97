#include "proxy/config/decode_parts.h"

#include <stdio.h>
#include <string.h>

/* Was it typed on the command line? Then the label says so in place of all else. */
static bool was_typed(const void *context, const struct decode_at *at, const char *name,
                      size_t index, char label[static CONFIG_ERROR_MAX])
{
    const struct config_source *source = context;
    const char *field = name == NULL ? "" : name;

    for (; at->parent != NULL; at = at->parent) {
        name = at->field;
        index = at->index;
    }
    return source->typed != NULL && name != NULL &&
           source->typed(source->context, name, index, field, label);
}

static struct text_judge judge_of(const struct decoder *decoder)
{
    const struct config_source *source = decoder->source;

    return (struct text_judge){source->file, source->places, decoder->errors, was_typed, source};
}

void decode_error(struct decoder *decoder, const struct decode_at *at, const char *field,
                  size_t index, const char *format, ...)
{
    struct text_judge judge = judge_of(decoder);
    char what[CONFIG_ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    text_mistake(&judge, at, field, index, "%s", what);
}

bool decode_was_tried(const struct decoder *decoder, const struct decode_at *at, const char *field)
{
    struct text_judge judge = judge_of(decoder);

    return text_was_tried(&judge, at, field);
}

void decode_missing(struct decoder *decoder, const struct decode_at *at, const char *field,
                    const char *advice)
{
    struct text_judge judge = judge_of(decoder);

    text_missing(&judge, at, field, advice);
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
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(at->message->descriptor, range->field);
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

void decode_check(struct decoder *decoder, const struct decode_at *at,
                  const struct decode_range *ranges, size_t count)
{
    struct text_judge judge = judge_of(decoder);

    for (size_t i = 0; i < count; i++)
        check_range(decoder, at, &ranges[i]);
    text_check(&judge, at);
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
