/*
 * The tokens of protocol buffers' text format.
 */
#ifndef PROTO_TEXT_TEXT_TOKEN_H
#define PROTO_TEXT_TEXT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum text_token_kind {
    TEXT_END,
    TEXT_NAME,
    TEXT_NUMBER, /* begins as one; what follows may be wrong */
    TEXT_STRING, /* one piece, with its quotes */
    TEXT_SIGN,   /* one of { } < > [ ] : , ; - */
    TEXT_JUNK,   /* nothing of the format; bytes above 0x7f together */
};

struct text_token {
    enum text_token_kind kind;
    const char *at;
    size_t length;
    unsigned line, column; /* from 1; columns count bytes */
    bool begins_line;      /* the first of its line */
    bool unclosed;         /* a string that the line's end ends */
};

struct text_lexer {
    const char *at, *end, *line_begin;
    unsigned line;
    bool line_begun; /* a token of this line was told */
};

/* A byte order mark at the beginning is passed over. */
void text_lexer_init(struct text_lexer *lexer, const char *text, size_t length);
/* Passes over blanks and comments to the next token; TEXT_END over and over at the end. */
struct text_token text_lexer_next(struct text_lexer *lexer);

bool text_token_is(const struct text_token *token, char sign);
bool text_token_is_name(const struct text_token *token, const char *name);
/* One of { < [, or of } > ]. */
bool text_token_opens(const struct text_token *token);
bool text_token_closes(const struct text_token *token);

/* How many brackets of a text are opened more often than closed. */
size_t text_unclosed(const char *text, size_t length);

#endif
