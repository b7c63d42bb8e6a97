/*
 * What is wrong with a configuration: all of it, in the order in which it was found.
 */
#ifndef PROTO_TEXT_ERRORS_H
#define PROTO_TEXT_ERRORS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_ERRORS_MAX = 100 /* further ones are counted only */, CONFIG_ERROR_MAX = 512 };

struct config_errors {
    char **texts; /* one line each, without its newline; what came from a file is made printable */
    size_t count; /* of texts */
    bool failed;  /* memory was short, or nothing could be written: no fault of what was read */
    bool cut; /* a text was not read beyond a mistake, so that what seems missing may be there */
    size_t total; /* found; more than `count` beyond CONFIG_ERRORS_MAX or without memory */
};

void config_errors_init(struct config_errors *errors);
void config_errors_free(struct config_errors *errors);

/* A text that is too long for CONFIG_ERROR_MAX is cut short, which "..." at its end says. */
__attribute__((format(printf, 2, 3))) void config_error(struct config_errors *errors,
                                                        const char *format, ...);

/* Another one would only be counted: its text need not be made. */
bool config_errors_full(const struct config_errors *errors);

/* As one goes through a file, by their ":LINE:COLUMN: "; those without a place first. */
void config_errors_sort(struct config_errors *errors);

#endif
