/*
 * The command line as a message of the schema, or on top of one.
 */
#ifndef PROXY_CONFIG_ARGUMENTS_H
#define PROXY_CONFIG_ARGUMENTS_H

#include "proto/text/errors.h"
#include "proxy/options.h"
#include "turbotls/v1/proxy.pb-c.h"

/*
 * What --listen, --upstream and their like say, and nothing else. To be freed with
 * turbotls__v1__proxy__free_unpacked(message, NULL). NULL: out of memory.
 */
Turbotls__V1__Proxy *arguments_message(const struct options *options);

/* What wins over a file is put in its place. False: out of memory; some of it may be. */
bool arguments_override(const struct options *options, Turbotls__V1__Proxy *message);

/* A config_source's `typed`; `context` is the struct options. */
bool arguments_typed(const void *context, const char *outermost, size_t index, const char *field,
                     char label[static CONFIG_ERROR_MAX]);

#endif
