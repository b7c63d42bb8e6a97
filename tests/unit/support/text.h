/*
 * Texts in protocol buffers' text format, read and written.
 */
#ifndef TEST_TEXT_H
#define TEST_TEXT_H

#include <protobuf-c/protobuf-c.h>

#include "proto/text/errors.h"
#include "proto/text/places.h"

struct reading {
    ProtobufCMessage *message;
    struct places places;
    struct config_errors errors;
};

/* Reads `text` as "f". In `exactly` many bytes, none behind them. */
void reading_start_bytes(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                         const char *text, size_t exactly);
void reading_start(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                   const char *text);
/* The same without a mistake, or the test fails. */
void reading_start_good(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                        const char *text);
void reading_stop(struct reading *r);

/* The errors are these, a line each and in this order ("1:5: path: …\n"), without "f:". */
void reading_assert_errors(const struct reading *r, const char *lines);

/* What text_write makes of it; to be freed. */
char *text_of(const ProtobufCMessage *message);

#endif
