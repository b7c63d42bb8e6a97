/*
 * Within proxy/prelude/ only: lines, as SMTP, IMAP and POP3 have them.
 *
 * A line ends in CR LF and in nothing else: who takes a bare CR or LF for an end sees other lines
 * than who does not, and what one has passed on is a command for the other. So there is neither in
 * a line, nor a zero byte.
 */
#ifndef PROXY_PRELUDE_LINES_H
#define PROXY_PRELUDE_LINES_H

#include "proxy/prelude/prelude_parts.h"

/* Some of a line; not terminated. */
struct line {
    const char *text;
    size_t length;
};

/* How a part deals with lines. */
struct line_rules {
    uint32_t lines_max;
    void (*hear)(struct prelude *prelude, struct line line); /* without its end */
    /* What is told to a client that sends a broken line, or too many, before it is sent away.
     * NULL: to a server nothing is told, and its line is noted. */
    const char *broken, *too_many;
};

/* Takes the line at the front of the input, as prelude_part.take does. */
size_t lines_take(struct prelude *prelude, const struct line_rules *rules, const uint8_t *data,
                  size_t length);

/* It is over, and this was the server's line. */
void line_refuse(struct prelude *prelude, struct line line);
void line_malformed(struct prelude *prelude, struct line line);

/* Up to the next space, which is stepped over too; empty: there is none, or nothing before it. */
struct line line_word(struct line *line);
/* Is it this, whatever its case? */
bool line_is(struct line line, const char *text);
/* Without the spaces and tabs at its end. */
struct line line_trimmed(struct line line);
/* Nothing but printable ASCII. */
bool line_is_printable(struct line line);
/* Does it announce a literal (RFC 9051 §4.3), so that the next bytes are not a line? */
bool line_has_literal(struct line line);

#endif
