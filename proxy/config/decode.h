/*
 * From a message of the schema to the checked `struct config`: everything that the comments in
 * proto/turbotls/v1/proxy.proto promise is seen to here.
 */
#ifndef PROXY_CONFIG_DECODE_H
#define PROXY_CONFIG_DECODE_H

#include "proto/text/errors.h"
#include "proto/text/places.h"
#include "proxy/config/config.h"
#include "turbotls/v1/proxy.pb-c.h"

/* Where a message came from: what its errors begin with. */
struct config_source {
    const char *file;            /* NULL: the command line */
    const struct places *places; /* of a text's values; NULL: a serialized file, or none */
    /*
     * What the user typed for a field, when it came from the command line ("--admin '*'").
     * `outermost` and `index` are the field of the outermost message that leads to it; `field` is
     * "" where a message as a whole is meant. False: it did not. NULL allowed.
     */
    bool (*typed)(const void *context, const char *outermost, size_t index, const char *field,
                  char label[static CONFIG_ERROR_MAX]);
    const void *context;
};

/*
 * NULL: `errors`, which may have had some before, says why: all that is wrong, one line each, as
 *
 *   FILE:LINE:COLUMN: listener[0].route[2].server_name[1]: what is wrong; what would be right
 *
 * without LINE and COLUMN where the message was not a text, and with what was typed in place of the
 * whole for the command line. Neither `message` nor `source` is needed afterwards.
 */
struct config *config_decode(const Turbotls__V1__Proxy *message, const struct config_source *source,
                             struct config_errors *errors);

#endif
