/*
 * Within options*.c only: the parser at work, how it says what is wrong, and the options' values.
 */
#ifndef PROXY_OPTIONS_PARTS_H
#define PROXY_OPTIONS_PARTS_H

#include "proxy/options.h"

struct options_parser {
    struct options *out;
    char *message;
    const struct option_row *row;      /* the option at hand */
    const char *value;                 /* and what it was given; NULL: nothing (yet) */
    const struct option_row *fileless; /* one that was given and does not go with --config */
};

/* The result OPTIONS_RUN means: so far so good. */
struct option_row {
    const char *name;
    const char *syntax; /* of the value; NULL: takes none */
    enum options_result (*take)(struct options_parser *parser);
    bool fileless; /* does not go with --config: the file says it */
    const char *help;
};

/* Says what is wrong, behind the option and value that it is wrong in: OPTIONS_INVALID. */
__attribute__((format(printf, 2, 3))) enum options_result options_refuse(
    struct options_parser *parser, const char *format, ...);

enum options_result options_take_listen(struct options_parser *parser);
enum options_result options_take_upstream(struct options_parser *parser);

enum options_result options_take_config(struct options_parser *parser);
enum options_result options_take_check(struct options_parser *parser);
enum options_result options_take_print_config(struct options_parser *parser);
enum options_result options_take_log_level(struct options_parser *parser);
enum options_result options_take_log_format(struct options_parser *parser);
enum options_result options_take_log_target(struct options_parser *parser);
enum options_result options_take_drain_timeout(struct options_parser *parser);
enum options_result options_take_sniff_timeout(struct options_parser *parser);
enum options_result options_take_opening_timeout(struct options_parser *parser);
enum options_result options_take_max_sessions(struct options_parser *parser);
enum options_result options_take_session_rate(struct options_parser *parser);
enum options_result options_take_source_rate(struct options_parser *parser);
enum options_result options_take_admin(struct options_parser *parser);
enum options_result options_take_user(struct options_parser *parser);
enum options_result options_take_workers(struct options_parser *parser);
enum options_result options_take_no_sandbox(struct options_parser *parser);

#endif
