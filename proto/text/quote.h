/*
 * What a user wrote, within an error about it.
 */
#ifndef PROTO_TEXT_QUOTE_H
#define PROTO_TEXT_QUOTE_H

enum { QUOTE_MAX = 120 /* characters; what is longer ends with ... */ };

struct quoted {
    char text[QUOTE_MAX + 12];
};

/* In single quotes; what is not plain ASCII, quotes and backslashes as \xNN: safe within a line. */
struct quoted quote(const char *text);

#endif
