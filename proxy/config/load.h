/*
 * A configuration from a file, or from the command line: read, checked, and decoded.
 */
#ifndef PROXY_CONFIG_LOAD_H
#define PROXY_CONFIG_LOAD_H

#include <stdio.h>

#include "proto/text/errors.h"
#include "proxy/config/config.h"
#include "proxy/options.h"

enum { CONFIG_FILE_MAX = 16 << 20 /* bytes */ };

/*
 * The configuration that `options` ask for: of --config FILE (text, or the serialized form, which
 * is told by its first bytes), with what the command line says besides; or of the command line
 * alone. NULL: `errors` says why, one line each: "FILE:LINE:COLUMN: FIELD: what is wrong; what
 * would be right", the whole of it at once and in the file's order. Opens nothing but the file;
 * looks nothing up.
 */
struct config *config_load(const struct options *options, struct config_errors *errors);
/* For a reload, which must not wait: what is no regular file, as a pipe, may never say anything. */
struct config *config_load_again(const struct options *options, struct config_errors *errors);

/* The same as text, defaults filled in (--print-config). False: `errors` says why. */
bool config_print(const struct options *options, FILE *out, struct config_errors *errors);

/* One line that says how much was found good (--check). False: `errors` says why. */
bool config_check(const struct options *options, FILE *out, struct config_errors *errors);

#endif
