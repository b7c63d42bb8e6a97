/*
 * One line of the log, built in a fixed buffer: escaped so that nothing in it is taken for another
 * line or field, and cut so that it stays whole (see log.h).
 */
#ifndef PROXY_OPS_LOG_LINE_H
#define PROXY_OPS_LOG_LINE_H

#include "proxy/ops/log.h"

struct log_line {
    char bytes[LOG_LINE_MAX];
    size_t length;
    bool json;
    bool cut; /* something did not fit; nothing is put from here on */
};

void log_line_start(struct log_line *line, bool json);
/* As it is: words of ours. */
void log_line_put(struct log_line *line, const char *text);
/* Time and level; in JSON the object begins. The message follows, then fields. */
void log_line_put_head(struct log_line *line, enum log_level level);
void log_line_put_message(struct log_line *line, const char *message);
void log_line_put_field(struct log_line *line, const struct log_field *field);
/* The object's end, and a newline. */
void log_line_finish(struct log_line *line);

#endif
