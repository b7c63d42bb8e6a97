/*
 * Writes a message in protocol buffers' text format, defaults filled in.
 */
#ifndef PROTO_TEXT_TEXT_WRITER_H
#define PROTO_TEXT_TEXT_WRITER_H

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

/*
 * Two spaces for each level; every field that was given, and each that was not but has a default;
 * of submessages that were not given those whose fields all have defaults. text_read reads it back
 * as the same configuration. Numbers have as few digits as tell them apart: 30, 0.25. Whether all
 * was written ferror(out) tells.
 */
void text_write(const ProtobufCMessage *message, FILE *out);

#endif
