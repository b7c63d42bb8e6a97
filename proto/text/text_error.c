#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/text/similar.h"
#include "proto/text/text_parts.h"

enum {
    QUOTED_MAX = 40,   /* bytes of the file in an error */
    COMPARED_MAX = 40, /* of a name that is compared with those that there are */
    LIST_MAX = 300,    /* bytes of a list of names */
    WANTED_MAX = 350,  /* bytes of what would be right */
};

/* A text of limited length, put together piece by piece. */
struct line {
    char *text;
    size_t capacity, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length =
        vsnprintf(line->text + line->length, line->capacity - line->length, format, arguments);
    va_end(arguments);
    line->length += length > 0 ? (size_t)length : 0;
    if (line->length >= line->capacity)
        line->length = line->capacity - 1;
}

/* ---- where ---- */

static void put_step(struct line *line, const struct text_frame *frame)
{
    if (frame->name.kind == TEXT_END)
        return;
    put(line, "%s%.*s", line->length > 0 ? "." : "",
        (int)(frame->name.length < QUOTED_MAX ? frame->name.length : QUOTED_MAX), frame->name.at);
    if (frame->field != NULL && frame->field->label == PROTOBUF_C_LABEL_REPEATED)
        put(line, "[%zu]", text_field_count(frame->message, frame->field));
}

static void put_path(struct line *line, const struct text_frame *frame)
{
    const struct text_frame *frames[TEXT_NESTING_MAX + 1];
    size_t count = 0;

    for (; frame != NULL; frame = frame->around)
        frames[count++] = frame;
    while (count > 0)
        put_step(line, frames[--count]);
}

void text_error(struct text_reader *r, const struct text_frame *frame,
                const struct text_token *where, const char *format, ...)
{
    char path[CONFIG_ERROR_MAX] = "", what[CONFIG_ERROR_MAX] = "";
    struct line line = {path, sizeof(path), 0};
    va_list arguments;

    if (r->no_memory || r->errors->cut)
        return;
    if (!config_errors_full(r->errors)) {
        put_path(&line, frame);
        va_start(arguments, format);
        (void)vsnprintf(what, sizeof(what), format, arguments);
        va_end(arguments);
    }
    config_error(r->errors, "%s:%u:%u: %s%s%s", r->file, where->line, where->column, path,
                 path[0] == '\0' ? "" : ": ", what);
}

/* ---- what would be right ---- */

/* Name `i` of "A, B or C". False: they are too many to go on. */
static bool put_choice(struct line *line, const char *name, unsigned i, unsigned count)
{
    put(line, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", name);
    if (line->length <= LIST_MAX)
        return true;
    put(line, ", ...");
    return false;
}

static void put_enum(struct line *line, const ProtobufCEnumDescriptor *values)
{
    for (unsigned i = 0; i < values->n_values; i++)
        if (!put_choice(line, values->values[i].name, i, values->n_values))
            return;
}

static void put_wanted(struct line *line, const ProtobufCFieldDescriptor *field)
{
    struct text_range range = text_range_of(field->type);

    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE: put(line, "a number, such as 2.5"); return;
    case PROTOBUF_C_TYPE_BOOL: put(line, "true or false"); return;
    case PROTOBUF_C_TYPE_ENUM: put_enum(line, field->descriptor); return;
    case PROTOBUF_C_TYPE_STRING: put(line, "a string in quotes, such as \"text\""); return;
    case PROTOBUF_C_TYPE_BYTES: put(line, "bytes in quotes, such as \"h2\" or \"\\x02h2\""); return;
    case PROTOBUF_C_TYPE_MESSAGE: put(line, "%s { ... }", field->name); return;
    default: put(line, "a whole number from %" PRId64 " to %" PRIu64, range.lowest, range.highest);
    }
}

/* ---- what there is ---- */

size_t text_run_length(const struct text_reader *r, const struct text_token *token)
{
    size_t length = token->length, left = (size_t)(r->lexer.end - token->at);

    if (token->kind == TEXT_STRING || text_token_opens(token) || text_token_closes(token))
        return length;
    while (length < left && (unsigned char)token->at[length] > ' ' &&
           strchr(",;#{}<>[]\"'", token->at[length]) == NULL)
        length++;
    return length;
}

static void put_shown(struct line *line, const struct text_reader *r,
                      const struct text_token *token)
{
    size_t length = text_run_length(r, token);

    put(line, "%.*s%s", (int)(length > QUOTED_MAX ? QUOTED_MAX : length), token->at,
        length > QUOTED_MAX ? "..." : "");
}

static const char *kind_of(const struct text_token *token)
{
    if (token->kind == TEXT_STRING)
        return "is a string";
    if (token->kind == TEXT_NUMBER || text_token_is(token, '-'))
        return "is a number";
    if (text_token_is(token, '['))
        return "begins a list";
    if (text_token_opens(token))
        return "begins a message";
    return token->kind == TEXT_NAME ? "is a name" : "is no value";
}

void text_error_value(struct text_reader *r, const struct text_frame *frame,
                      const struct text_token *where, const char *problem)
{
    char shown[QUOTED_MAX + 8] = "", wanted[WANTED_MAX] = "";
    struct line shown_line = {shown, sizeof(shown), 0}, wanted_line = {wanted, sizeof(wanted), 0};

    put_shown(&shown_line, r, where);
    put_wanted(&wanted_line, frame->field);
    text_error(r, frame, where, "%s %s; write %s", shown, problem, wanted);
}

/* As word processors put them: U+2018 to U+201F. */
static bool is_in_curly_quotes(const struct text_reader *r, const struct text_token *token)
{
    const unsigned char *at = (const unsigned char *)token->at;

    return text_run_length(r, token) >= 3 && at[0] == 0xe2 && at[1] == 0x80 && at[2] >= 0x98 &&
           at[2] <= 0x9f;
}

void text_error_type(struct text_reader *r, const struct text_frame *frame)
{
    const struct text_token *token = &r->token;
    ProtobufCType type = frame->field->type;
    bool quotable = (type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES) &&
                    token->kind != TEXT_STRING && !text_token_opens(token);
    char shown[QUOTED_MAX + 8] = "";
    struct line line = {shown, sizeof(shown), 0};

    if (quotable && text_field_is_secret(frame->field)) {
        text_error(r, frame, token, "the value is not in quotes; write it as in \"text\"");
        return;
    }
    if (!quotable || text_run_length(r, token) > QUOTED_MAX) {
        text_error_value(r, frame, token, kind_of(token));
        return;
    }
    put_shown(&line, r, token);
    if (is_in_curly_quotes(r, token)) {
        text_error(r, frame, token, "%s is in typographic quotes; write plain ones, as in \"text\"",
                   shown);
        return;
    }
    text_error(r, frame, token, "%s is not in quotes; write \"%s\"", shown, shown);
}

void text_error_missing(struct text_reader *r, const struct text_frame *frame)
{
    char wanted[WANTED_MAX] = "";
    struct line line = {wanted, sizeof(wanted), 0};

    put_wanted(&line, frame->field);
    text_error(r, frame, &r->token, "the value is missing; write %s", wanted);
}

/* ---- names ---- */

/* The field that was probably meant; NULL: none is near. */
static const ProtobufCFieldDescriptor *nearest(const ProtobufCMessageDescriptor *message,
                                               const struct text_token *name)
{
    size_t best = similar_bound(name->length);
    const ProtobufCFieldDescriptor *found = NULL;

    if (name->length > COMPARED_MAX)
        return NULL;
    for (unsigned i = 0; i < message->n_fields; i++) {
        const char *known = message->fields[i].name;
        size_t length = strlen(known);
        size_t far = similar_distance(name->at, name->length, known, length);
        if (far < best && far < length) {
            best = far;
            found = &message->fields[i];
        }
    }
    return found;
}

static void put_fields(struct line *line, const ProtobufCMessageDescriptor *message)
{
    put(line, "write ");
    for (unsigned i = 0; i < message->n_fields; i++)
        if (!put_choice(line, message->fields[i].name, i, message->n_fields))
            return;
}

static const struct text_frame *known_around(const struct text_frame *frame)
{
    for (const struct text_frame *f = frame->around; f != NULL; f = f->around)
        for (unsigned i = 0; i < f->message->descriptor->n_fields; i++)
            if (text_token_is_name(&frame->name, f->message->descriptor->fields[i].name))
                return f;
    return NULL;
}

const ProtobufCFieldDescriptor *text_error_unknown(struct text_reader *r,
                                                   const struct text_frame *frame)
{
    const ProtobufCMessageDescriptor *message = frame->message->descriptor;
    const ProtobufCFieldDescriptor *near = NULL;
    const struct text_frame *around = known_around(frame);
    char wanted[CONFIG_ERROR_MAX] = "";
    struct line line = {wanted, sizeof(wanted), 0};

    if (!config_errors_full(r->errors) && around == NULL)
        near = nearest(message, &frame->name);
    if (around != NULL)
        put(&line, "write it outside, in %s", around->message->descriptor->short_name);
    else if (near != NULL)
        put(&line, "did you mean %s?", near->name);
    else if (message->n_fields == 0)
        put(&line, "it has none, leave this one out");
    else if (!config_errors_full(r->errors))
        put_fields(&line, message);
    text_error(r, frame, &frame->name, "%s has no such field; %s", message->short_name, wanted);
    return near;
}
