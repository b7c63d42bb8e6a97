/*
 * Protocol buffers' text format (https://protobuf.dev/reference/protobuf/textformat-spec/), read by
 * a message's descriptor.
 *
 * Reads scalars of every type, enums by name or number, strings and bytes with escapes and in
 * adjoining pieces, nested messages in {} or <>, repeated fields one by one or as [a, b], comments,
 * and "," or ";" between fields. Not: extensions, Any, groups' capital letters, and fields by
 * number. A field that may be given once and is given twice is an error, as in the reference
 * parser.
 */
#ifndef PROTO_TEXT_TEXT_READER_H
#define PROTO_TEXT_TEXT_READER_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "proto/text/errors.h"
#include "proto/text/places.h"

enum { TEXT_NESTING_MAX = 32 };

/*
 * Numbers are within their type's range, strings are UTF-8 without a zero byte, enums have one of
 * the known values; inf and nan are read where a field is a float or double, so that who checks its
 * range must refuse them.
 *
 * Returns a message to be freed with protobuf_c_message_free_unpacked(message, NULL), also when
 * there were errors: what could be read is in it, so that the rest can be checked too. NULL: out of
 * memory, which is the last of the errors. `file` is what errors begin with ("edge.txtpb:12:3:
 * listener[0].address: …"). Values are
 * noted in `places`, except those of a field that is given a second time. So are those that could
 * not be read, for which the message has nothing (of a repeated field behind those that it has):
 * who finds a place for what is missing need not ask for it again. A field whose name is misspelt
 * counts as one of these.
 */
ProtobufCMessage *text_read(const ProtobufCMessageDescriptor *descriptor, const char *file,
                            const char *text, size_t length, struct places *places,
                            struct config_errors *errors);

#endif
