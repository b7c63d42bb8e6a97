#include "proto/text/text_token.h"

#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

void text_lexer_init(struct text_lexer *lexer, const char *text, size_t length)
{
    size_t mark = sizeof(byte_order_mark) - 1;
    size_t skipped = length >= mark && memcmp(text, byte_order_mark, mark) == 0 ? mark : 0;

    lexer->at = lexer->line_begin = text + skipped;
    lexer->end = text + length;
    lexer->line = 1;
    lexer->line_begun = false;
}

/* ASCII whatever the locale; a zero byte is in no set. */
static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool continues_name(char c)
{
    return begins_name(c) || is_digit(c);
}

static void skip_blanks(struct text_lexer *lexer)
{
    bool comment = false;

    for (; lexer->at < lexer->end; lexer->at++) {
        if (*lexer->at == '\n') {
            comment = false;
            lexer->line++;
            lexer->line_begin = lexer->at + 1;
            lexer->line_begun = false;
        } else if (*lexer->at == '#') {
            comment = true;
        } else if (!comment && !is_one_of(*lexer->at, " \t\r\v\f")) {
            return;
        }
    }
}

static size_t name_length(const char *at, const char *end)
{
    const char *from = at;

    while (at < end && continues_name(*at))
        at++;
    return (size_t)(at - from);
}

/* Whatever hangs together with digits, so that 12ab is one mistake and not two tokens. */
static size_t number_length(const char *at, const char *end)
{
    const char *from = at;
    bool hex = end - at > 1 && at[0] == '0' && is_one_of(at[1], "xX");

    for (; at < end; at++) {
        bool exponent_sign = is_one_of(*at, "+-") && at > from && is_one_of(at[-1], "eE") && !hex;
        if (!continues_name(*at) && *at != '.' && !exponent_sign)
            break;
    }
    return (size_t)(at - from);
}

static size_t string_length(const char *at, const char *end, bool *unclosed)
{
    const char *from = at, quote = *at;

    for (at++; at < end && *at != '\n'; at++) {
        if (*at == quote) {
            *unclosed = false;
            return (size_t)(at + 1 - from);
        }
        if (*at == '\\' && at + 1 < end && at[1] != '\n')
            at++;
    }
    *unclosed = true;
    if (at[-1] == '\r' && at - 1 > from)
        at--;
    return (size_t)(at - from);
}

static size_t junk_length(const char *at, const char *end)
{
    const char *from = at;

    while (at < end && (unsigned char)*at > 0x7f)
        at++;
    return at == from ? 1 : (size_t)(at - from);
}

static void measure(struct text_token *token, const char *end)
{
    const char *at = token->at;

    if (begins_name(*at)) {
        token->kind = TEXT_NAME;
        token->length = name_length(at, end);
    } else if (is_digit(*at) || (*at == '.' && at + 1 < end && is_digit(at[1]))) {
        token->kind = TEXT_NUMBER;
        token->length = number_length(at, end);
    } else if (is_one_of(*at, "\"'")) {
        token->kind = TEXT_STRING;
        token->length = string_length(at, end, &token->unclosed);
    } else if (is_one_of(*at, "{}<>[]:,;-")) {
        token->kind = TEXT_SIGN;
        token->length = 1;
    } else {
        token->kind = TEXT_JUNK;
        token->length = junk_length(at, end);
    }
}

struct text_token text_lexer_next(struct text_lexer *lexer)
{
    struct text_token token = {.kind = TEXT_END};

    skip_blanks(lexer);
    token.at = lexer->at;
    token.line = lexer->line;
    token.column = (unsigned)(lexer->at - lexer->line_begin) + 1;
    token.begins_line = !lexer->line_begun;
    if (lexer->at < lexer->end)
        measure(&token, lexer->end);
    lexer->at += token.length;
    lexer->line_begun = true;
    return token;
}

bool text_token_is(const struct text_token *token, char sign)
{
    return token->kind == TEXT_SIGN && *token->at == sign;
}

bool text_token_is_name(const struct text_token *token, const char *name)
{
    return token->kind == TEXT_NAME && strncmp(name, token->at, token->length) == 0 &&
           name[token->length] == '\0';
}

bool text_token_opens(const struct text_token *token)
{
    return token->kind == TEXT_SIGN && is_one_of(*token->at, "{<[");
}

bool text_token_closes(const struct text_token *token)
{
    return token->kind == TEXT_SIGN && is_one_of(*token->at, "}>]");
}

size_t text_unclosed(const char *text, size_t length)
{
    struct text_lexer lexer;
    struct text_token token;
    size_t open = 0;

    text_lexer_init(&lexer, text, length);
    while ((token = text_lexer_next(&lexer)).kind != TEXT_END) {
        if (text_token_opens(&token))
            open++;
        else if (text_token_closes(&token) && open > 0)
            open--;
    }
    return open;
}
