#include "proto/text/text_parts.h"

struct text_token text_token_behind(const struct text_reader *r)
{
    struct text_lexer ahead = r->lexer;

    return text_lexer_next(&ahead);
}

bool text_begins_field(const struct text_reader *r)
{
    struct text_token next = text_token_behind(r);

    return r->token.kind == TEXT_NAME &&
           (text_token_is(&next, ':') || text_token_is(&next, '{') || text_token_is(&next, '<'));
}

char text_closing(const struct text_token *open)
{
    switch (*open->at) {
    case '{': return '}';
    case '<': return '>';
    default: return ']';
    }
}

void text_tell_unclosed(struct text_reader *r, const struct text_frame *frame,
                        const struct text_token *open)
{
    text_error(r, frame, &r->token, "the \"%c\" of line %u, column %u is not closed; write \"%c\"",
               *open->at, open->line, open->column, text_closing(open));
}

void text_skip_group(struct text_reader *r, const struct text_frame *frame,
                     const struct text_token *open)
{
    for (size_t depth = 1; depth > 0; (void)text_take(r)) {
        if (r->token.kind == TEXT_END) {
            text_tell_unclosed(r, frame, open);
            return;
        }
        if (text_token_opens(&r->token))
            depth++;
        else if (text_token_closes(&r->token))
            depth--;
    }
}

const ProtobufCFieldDescriptor *text_field_named(const ProtobufCMessageDescriptor *message,
                                                 const struct text_token *name)
{
    for (unsigned i = 0; i < message->n_fields; i++)
        if (text_token_is_name(name, message->fields[i].name))
            return &message->fields[i];
    return NULL;
}

bool text_ends_value(const struct text_reader *r, const struct text_frame *frame)
{
    if (r->token.kind == TEXT_NAME)
        return text_begins_field(r) &&
               (r->token.begins_line ||
                text_field_named(frame->message->descriptor, &r->token) != NULL);
    return r->token.kind == TEXT_END || text_token_closes(&r->token) ||
           text_token_is(&r->token, ',') || text_token_is(&r->token, ';');
}

void text_skip_run(struct text_reader *r, const struct text_token *first)
{
    const char *end = first->at + text_run_length(r, first);

    while (r->token.kind != TEXT_END && r->token.at < end)
        (void)text_take(r);
}

void text_skip_value(struct text_reader *r, const struct text_frame *frame)
{
    struct text_token first = r->token;

    if (text_ends_value(r, frame))
        return;
    (void)text_take(r);
    if (text_token_opens(&first))
        text_skip_group(r, frame, &first);
    else if (first.kind != TEXT_STRING)
        text_skip_run(r, &first);
    while (first.kind == TEXT_STRING && r->token.kind == TEXT_STRING)
        (void)text_take(r);
}

void text_skip_rest(struct text_reader *r)
{
    size_t depth = 0;

    for (; r->token.kind != TEXT_END; (void)text_take(r)) {
        if (depth == 0 &&
            (text_token_is(&r->token, ',') || text_token_is(&r->token, ';') ||
             text_token_closes(&r->token) || (r->token.kind == TEXT_NAME && r->token.begins_line)))
            return;
        if (text_token_opens(&r->token))
            depth++;
        else if (text_token_closes(&r->token))
            depth--;
    }
}

void text_skip_rest_of_line(struct text_reader *r)
{
    if (!r->token.begins_line && !text_begins_field(r))
        text_skip_rest(r);
}
