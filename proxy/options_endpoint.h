/*
 * Within options.c only: the parser at work, how it says what is wrong, and the options that take
 * an endpoint, KIND:HOST:PORT[,udp=PORT][,always].
 */
#ifndef PROXY_OPTIONS_ENDPOINT_H
#define PROXY_OPTIONS_ENDPOINT_H

#include "proxy/options.h"

struct options_parser {
    struct options *out;
    char *message;
    const struct option_row *row; /* the option at hand */
    const char *value;            /* and what it was given; NULL: nothing (yet) */
    const char *upstream;         /* the value of --upstream, once seen */
};

/* The result OPTIONS_RUN means: so far so good. */
struct option_row {
    const char *name;
    const char *syntax; /* of the value; NULL: takes none */
    enum options_result (*take)(struct options_parser *parser);
    const char *help;
};

enum { OPTIONS_QUOTED_MAX = 320 };

/* What the user wrote, safe to print within one line. */
struct options_quoted {
    char text[OPTIONS_QUOTED_MAX + 8];
};
struct options_quoted options_quote(const char *text);

/* Says what is wrong, behind the option and value that it is wrong in: OPTIONS_INVALID. */
__attribute__((format(printf, 2, 3))) enum options_result options_refuse(
    struct options_parser *parser, const char *format, ...);

enum options_result options_take_listen(struct options_parser *parser);
enum options_result options_take_upstream(struct options_parser *parser);

#endif
