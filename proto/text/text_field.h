/*
 * Values in the structures that protobuf-c lays out, reached by a field's descriptor.
 */
#ifndef PROTO_TEXT_TEXT_FIELD_H
#define PROTO_TEXT_TEXT_FIELD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* One value of any type, as it lies in a message. */
union text_value {
    int32_t int32; /* enums, too */
    int64_t int64;
    uint32_t uint32;
    uint64_t uint64;
    float float_;
    double double_;
    protobuf_c_boolean boolean;
    char *string;
    ProtobufCBinaryData bytes;
    ProtobufCMessage *message;
};

/* Zeroed but for its defaults. NULL: out of memory. */
ProtobufCMessage *text_message_create(const ProtobufCMessageDescriptor *descriptor);

/*
 * The message takes what `value` points to; it is the next of a repeated field, and the only one of
 * others. False: out of memory, `value` stays the caller's.
 */
bool text_field_store(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                      const union text_value *value);
/* What a value that was not stored points to is wiped and freed. */
void text_value_free(const ProtobufCFieldDescriptor *field, const union text_value *value);

/* Is what it says nobody's to read in a log? */
bool text_field_is_secret(const ProtobufCFieldDescriptor *field);

/* How many values there are: of fields that are not repeated 0 or 1. */
size_t text_field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
/* Value `index` of them. */
union text_value text_field_value(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field, size_t index);

/* What a field whose default_value is not NULL is when it is left out. */
union text_value text_field_default(const ProtobufCFieldDescriptor *field);

#endif
