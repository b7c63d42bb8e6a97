/*
 * Telling what is wrong with a message that was read: where in its file, which field, and the
 * mistakes that a serialized form can have and a text cannot.
 */
#ifndef PROTO_TEXT_JUDGE_H
#define PROTO_TEXT_JUDGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "proto/text/errors.h"
#include "proto/text/places.h"

/* Where a message is within the outermost one, whose `parent` is NULL. */
struct decode_at {
    const struct decode_at *parent;
    const ProtobufCMessage *message;
    const char *field; /* of the parent */
    size_t index;      /* of a repeated field */
};

struct text_judge {
    const char *file;            /* NULL: none */
    const struct places *places; /* NULL: it was no text, so that nothing has a place */
    struct config_errors *errors;
    /* Is the field's value not from the file, but from where `label` then says? May be NULL. */
    bool (*elsewhere)(const void *context, const struct decode_at *at, const char *field,
                      size_t index, char label[static CONFIG_ERROR_MAX]);
    const void *context;
};

/* `message` is a protobuf-c structure: the one in `field` of what `parent` is about. */
struct decode_at text_inside(const struct decode_at *parent, const void *message, const char *field,
                             size_t index);

/* "edge.txtpb:4:9: client.tls.provider[0]", what errors about the field begin with; `field` NULL:
 * about the message as a whole. Without a place of its own it has that of what is around it. */
void text_where(const struct text_judge *judge, const struct decode_at *at, const char *field,
                size_t index, char where[static CONFIG_ERROR_MAX]);

__attribute__((format(printf, 5, 6))) void text_mistake(const struct text_judge *judge,
                                                        const struct decode_at *at,
                                                        const char *field, size_t index,
                                                        const char *format, ...);

/* Is `field`, of which nothing is in the message, in the file all the same, but could not be read?
 */
bool text_was_tried(const struct text_judge *judge, const struct decode_at *at, const char *field);
/* `field` must be given, which is said unless it was tried. */
void text_missing(const struct text_judge *judge, const struct decode_at *at, const char *field,
                  const char *advice);

/* Values that no enum has, strings that are not UTF-8, unknown fields; of this message only. */
void text_check(const struct text_judge *judge, const struct decode_at *at);

#endif
