#include "proto/text/text_reader.h"

#include <stdlib.h>
#include <string.h>

#include "proto/text/text_parts.h"

enum { SHOWN_MAX = 40 /* bytes of the file in an error */ };

/* ---- tokens ---- */

struct text_token text_take(struct text_reader *r)
{
    struct text_token taken = r->token;

    r->token = text_lexer_next(&r->lexer);
    return taken;
}

static bool is(const struct text_reader *r, char sign)
{
    return text_token_is(&r->token, sign);
}

static bool take_if(struct text_reader *r, char sign)
{
    bool here = is(r, sign);

    if (here)
        (void)text_take(r);
    return here;
}

/* All loops end at the text's end. */
static void go_to_end(struct text_reader *r)
{
    r->lexer.at = r->lexer.end;
    r->token.kind = TEXT_END;
}

void text_give_up(struct text_reader *r)
{
    if (!r->no_memory)
        config_error(r->errors, "out of memory");
    r->no_memory = true;
    go_to_end(r);
}

void text_cut(struct text_reader *r)
{
    r->errors->cut = true;
    go_to_end(r);
}

/* ---- values ---- */

static void read_fields(struct text_reader *r, struct text_frame *frame);

static void note(struct text_reader *r, const ProtobufCMessage *message, unsigned field,
                 size_t index, const struct text_token *where)
{
    if (r->places != NULL)
        places_add(r->places, message, field, index, where->line, where->column);
}

/* The value that comes next, whether or not it can be read. */
static void note_value(struct text_reader *r, const struct text_frame *frame,
                       const struct text_token *where)
{
    size_t index = 0;

    if (frame->field->label == PROTOBUF_C_LABEL_REPEATED)
        index = text_field_count(frame->message, frame->field);
    if (frame->keep)
        note(r, frame->message, frame->field->id, index, where);
}

/* Stores a value, or frees it where it is not kept. */
static void settle(struct text_reader *r, const struct text_frame *frame,
                   const union text_value *value)
{
    if (frame->keep && text_field_store(frame->message, frame->field, value))
        return;
    text_value_free(frame->field, value);
    if (frame->keep)
        text_give_up(r);
}

static void read_scalar(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token first = r->token;
    union text_value value;

    if (text_scalar(r, frame, &value)) {
        settle(r, frame, &value);
        return;
    }
    if (r->token.at == first.at)
        text_skip_value(r, frame);
    text_skip_run(r, &first);
    text_skip_rest_of_line(r);
}

static void read_message(struct text_reader *r, const struct text_frame *frame)
{
    struct places *places = r->places;
    struct text_frame inner = {.around = frame, .depth = frame->depth + 1, .open = text_take(r)};
    union text_value value;

    if (inner.depth > TEXT_NESTING_MAX) {
        text_error(r, frame, &inner.open, "is nested too deep; %d levels are possible",
                   TEXT_NESTING_MAX);
        text_skip_group(r, frame, &inner.open);
        return;
    }
    inner.message = value.message = text_message_create(frame->field->descriptor);
    if (value.message == NULL) {
        text_give_up(r);
        return;
    }
    if (!frame->keep)
        r->places = NULL;
    read_fields(r, &inner);
    r->places = places;
    settle(r, frame, &value);
}

static void read_value(struct text_reader *r, const struct text_frame *frame)
{
    note_value(r, frame, &r->token);
    if (text_ends_value(r, frame)) {
        text_error_missing(r, frame);
    } else if (frame->field->type != PROTOBUF_C_TYPE_MESSAGE) {
        read_scalar(r, frame);
    } else if (is(r, '{') || is(r, '<')) {
        read_message(r, frame);
    } else {
        text_error_type(r, frame);
        text_skip_value(r, frame);
        text_skip_rest_of_line(r);
    }
}

/* Behind its "[". */
static void read_list(struct text_reader *r, const struct text_frame *frame,
                      const struct text_token *open)
{
    if (take_if(r, ']'))
        return;
    for (;;) {
        read_value(r, frame);
        if (take_if(r, ']'))
            return;
        if (take_if(r, ','))
            continue;
        if (is(r, ';')) {
            text_error(r, frame, &r->token, "\";\" is not for lists; write \",\"");
            (void)text_take(r);
            continue;
        }
        if (text_ends_value(r, frame)) {
            text_tell_unclosed(r, frame, open);
            return;
        }
        text_error(r, frame, &r->token, "\",\" is missing between two values; write it");
    }
}

static void read_values(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token open = r->token;

    if (!is(r, '[')) {
        read_value(r, frame);
    } else if (frame->field->label == PROTOBUF_C_LABEL_REPEATED) {
        (void)text_take(r);
        read_list(r, frame, &open);
    } else {
        note_value(r, frame, &r->token);
        text_error_value(r, frame, &open, "begins a list, but there is one value only");
        text_skip_value(r, frame);
    }
}

/* ---- fields ---- */

/* Takes what is between a field's name and its value. */
static void take_colon(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token equals = r->token;

    if (take_if(r, ':'))
        return;
    if (equals.kind == TEXT_JUNK && *equals.at == '=') {
        (void)text_take(r);
        text_error(r, frame, &equals, "\"=\" is not of this format; write \":\"");
    } else if (frame->field != NULL && frame->field->type != PROTOBUF_C_TYPE_MESSAGE &&
               !is(r, '{') && !is(r, '<') && !text_ends_value(r, frame)) {
        text_error(r, frame, &r->token, "\":\" is missing behind the name; write it");
    }
}

/* The first other field of the same oneof that was given; NULL: none. */
static const ProtobufCFieldDescriptor *rival(const struct text_frame *frame)
{
    const ProtobufCMessageDescriptor *message = frame->message->descriptor;
    const ProtobufCFieldDescriptor *field = frame->field;

    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &message->fields[i];
        if (other != field && frame->lines[i] != 0 &&
            (other->flags & field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            other->quantifier_offset == field->quantifier_offset)
            return other;
    }
    return NULL;
}

/* May the value be kept? If it is one too many that is told. */
static bool is_first(struct text_reader *r, const struct text_frame *frame)
{
    const ProtobufCFieldDescriptor *fields = frame->message->descriptor->fields, *other;
    unsigned *line = &frame->lines[frame->field - fields];

    if (frame->field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if (*line != 0) {
        text_error(r, frame, &frame->name,
                   "is given twice, first in line %u; leave one of them out", *line);
        return false;
    }
    other = rival(frame);
    *line = frame->name.line;
    if (other == NULL)
        return true;
    text_error(r, frame, &frame->name, "excludes %s of line %u; leave one of them out", other->name,
               frame->lines[other - fields]);
    return false;
}

static void take_separator(struct text_reader *r)
{
    if (!take_if(r, ','))
        (void)take_if(r, ';');
}

/* The field that a misspelt name meant is not missed. */
static void read_unknown_field(struct text_reader *r, struct text_frame *frame)
{
    const ProtobufCMessageDescriptor *message = frame->message->descriptor;
    struct text_token name = frame->name;

    frame->field = text_error_unknown(r, frame);
    if (frame->field != NULL && frame->lines[frame->field - message->fields] == 0)
        note_value(r, frame, &name);
    frame->field = NULL;
    take_colon(r, frame);
    text_skip_value(r, frame);
    text_skip_rest_of_line(r);
}

static void read_field(struct text_reader *r, struct text_frame *frame)
{
    frame->name = text_take(r);
    frame->field = text_field_named(frame->message->descriptor, &frame->name);
    frame->keep = true;
    if (frame->field == NULL) {
        read_unknown_field(r, frame);
    } else {
        frame->keep = is_first(r, frame);
        take_colon(r, frame);
        read_values(r, frame);
    }
    frame->name.kind = TEXT_END;
    take_separator(r);
}

/* The message has a field of this name, and if it has brackets, a message. */
static bool fits(const struct text_frame *frame, const struct text_token *name, bool brackets)
{
    const ProtobufCFieldDescriptor *field = text_field_named(frame->message->descriptor, name);

    return field != NULL && (!brackets || field->type == PROTOBUF_C_TYPE_MESSAGE);
}

/*
 * Does a bracket miss before this name? When the text lacks some, and the name fits not here but
 * further out, these are told to end, so that one mistake does not make many.
 */
static bool ends_unclosed(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token next;
    unsigned levels = 0;

    if (r->unclosed == 0 || r->token.kind != TEXT_NAME)
        return false;
    next = text_token_behind(r);
    for (const struct text_frame *f = frame; f != NULL && levels <= r->unclosed; f = f->around) {
        if (fits(f, &r->token, text_token_is(&next, '{') || text_token_is(&next, '<'))) {
            r->pop = levels;
            return levels > 0;
        }
        levels++;
    }
    return false;
}

/* Takes what ends the message, if that is next. */
static bool ends(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token token = r->token;

    if (token.kind == TEXT_END || r->pop > 0 || ends_unclosed(r, frame)) {
        if (frame->around != NULL)
            text_tell_unclosed(r, frame, &frame->open);
        r->unclosed -= r->pop > 0;
        r->pop -= r->pop > 0;
        return true;
    }
    if (frame->around == NULL || !text_token_closes(&token) || is(r, ']'))
        return false;
    (void)text_take(r);
    if (*token.at != text_closing(&frame->open))
        text_error(r, frame, &token, "\"%c\" does not close the \"%c\" of line %u; write \"%c\"",
                   *token.at, *frame->open.at, frame->open.line, text_closing(&frame->open));
    return true;
}

/* Something else where a field's name is due. */
static void read_stray(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token token = r->token;

    if (text_token_closes(&token))
        text_error(r, frame, &token, "\"%c\" closes nothing; leave it out", *token.at);
    else if (is(r, ',') || is(r, ';'))
        text_error(r, frame, &token, "\"%c\" is behind no value; leave it out", *token.at);
    else if (is(r, '['))
        text_error(r, frame, &token, "extensions are not supported; write a field's name");
    else
        text_error(r, frame, &token, "%.*s is no field's name; write one",
                   token.length < SHOWN_MAX ? (int)token.length : SHOWN_MAX, token.at);
    (void)text_take(r);
    if (text_token_closes(&token) || text_token_is(&token, ',') || text_token_is(&token, ';'))
        return;
    if (text_token_opens(&token))
        text_skip_group(r, frame, &token);
    text_skip_rest(r);
    take_separator(r);
}

static void check_required(struct text_reader *r, const struct text_frame *frame,
                           const struct text_token *begin)
{
    const ProtobufCMessageDescriptor *message = frame->message->descriptor;

    for (unsigned i = 0; i < message->n_fields; i++)
        if (message->fields[i].label == PROTOBUF_C_LABEL_REQUIRED && frame->lines[i] == 0)
            text_error(r, frame, begin, "the field %s is missing; write it",
                       message->fields[i].name);
}

/* Up to behind the bracket that ends the message, or the text. */
static void read_fields(struct text_reader *r, struct text_frame *frame)
{
    struct text_token begin = frame->around == NULL ? r->token : frame->open;

    frame->lines = calloc(frame->message->descriptor->n_fields + 1u, sizeof(*frame->lines));
    if (frame->lines == NULL) {
        text_give_up(r);
        return;
    }
    note(r, frame->message, 0, 0, &begin);
    while (!ends(r, frame)) {
        if (r->token.kind == TEXT_NAME)
            read_field(r, frame);
        else
            read_stray(r, frame);
    }
    check_required(r, frame, &begin);
    free(frame->lines);
}

ProtobufCMessage *text_read(const ProtobufCMessageDescriptor *descriptor, const char *file,
                            const char *text, size_t length, struct places *places,
                            struct config_errors *errors)
{
    struct text_reader r = {.file = file, .places = places, .errors = errors};
    struct text_frame whole = {.message = text_message_create(descriptor)};

    text_lexer_init(&r.lexer, text, length);
    if (whole.message == NULL) {
        text_give_up(&r);
        return NULL;
    }
    r.unclosed = text_unclosed(text, length);
    (void)text_take(&r);
    read_fields(&r, &whole);
    if (r.scratch.bytes != NULL)
        explicit_bzero(r.scratch.bytes, r.scratch.capacity);
    free(r.scratch.bytes);
    if (!r.no_memory)
        return whole.message;
    protobuf_c_message_free_unpacked(whole.message, NULL);
    return NULL;
}
