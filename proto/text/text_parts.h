/*
 * What the parts of the text reader share: text_reader.c (fields and messages), text_scalar.c and
 * text_string.c (values), text_recovery.c (how to go on behind a mistake) and text_error.c (how
 * mistakes are told).
 */
#ifndef PROTO_TEXT_TEXT_PARTS_H
#define PROTO_TEXT_TEXT_PARTS_H

#include "proto/text/text_field.h"
#include "proto/text/text_reader.h"
#include "proto/text/text_token.h"

struct text_reader {
    const char *file;
    struct text_lexer lexer;
    struct text_token token; /* the next one, which nobody has taken */
    struct places *places;   /* NULL: what is read is only looked at, not kept */
    struct config_errors *errors;
    bool no_memory;  /* nothing more is read, and no error told */
    size_t unclosed; /* brackets that the text does not close */
    unsigned pop;    /* so many messages end here, though no bracket closes them */
    struct {
        char *bytes;
        size_t length, capacity;
    } scratch; /* a string while it is put together */
};

/* A message that is being read, and which of its fields. */
struct text_frame {
    const struct text_frame *around; /* NULL: the whole */
    unsigned depth;
    ProtobufCMessage *message;
    struct text_token open;                /* its bracket; of the whole none */
    struct text_token name;                /* of the field, known or not; TEXT_END: none yet */
    const ProtobufCFieldDescriptor *field; /* NULL: unknown */
    bool keep;                             /* its value goes into the message */
    unsigned *lines;                       /* where each field was given first; 0: not yet */
};

/* Takes the token, so that the next one is in its place. Returns it. */
struct text_token text_take(struct text_reader *r);
/* Out of memory: the rest is not read. */
void text_give_up(struct text_reader *r);
/* The rest is not read, and nothing told of it: it is probably a secret's. */
void text_cut(struct text_reader *r);

/* ---- text_recovery.c ---- */

struct text_token text_token_behind(const struct text_reader *r);
/* A name with ":", "{" or "<" behind it: a field may begin here. */
bool text_begins_field(const struct text_reader *r);
/* NULL: the message has no field of that name. */
const ProtobufCFieldDescriptor *text_field_named(const ProtobufCMessageDescriptor *message,
                                                 const struct text_token *name);
/*
 * What is next ends a field or list, and is no value. A name with ":" behind it may be one without
 * its quotes (localhost:443) if it neither begins a line nor is known.
 */
bool text_ends_value(const struct text_reader *r, const struct text_frame *frame);
/* The bracket that closes it. */
char text_closing(const struct text_token *open);
void text_tell_unclosed(struct text_reader *r, const struct text_frame *frame,
                        const struct text_token *open);
/* Behind an opening bracket: up to behind the one that closes it. */
void text_skip_group(struct text_reader *r, const struct text_frame *frame,
                     const struct text_token *open);
/* Takes the tokens of what was meant as one value. */
void text_skip_run(struct text_reader *r, const struct text_token *first);
/* A value of any kind, or a token that is none; nothing where that ends the value. */
void text_skip_value(struct text_reader *r, const struct text_frame *frame);
/*
 * Up to where a field may begin or a bracket or separator ends one: a line's first name, "," or
 * ";", or the bracket that closes what is around.
 */
void text_skip_rest(struct text_reader *r);
/* Behind a value that was none: what else there is before the next field. */
void text_skip_rest_of_line(struct text_reader *r);

/* ---- text_error.c ---- */

/* "FILE:LINE:COLUMN: PATH: …", the position being that of `where`. */
__attribute__((format(printf, 4, 5))) void text_error(struct text_reader *r,
                                                      const struct text_frame *frame,
                                                      const struct text_token *where,
                                                      const char *format, ...);
/*
 * How much of the text from `token` on was probably meant as one value: if it is no string, all up
 * to a blank or what could end it, such as www.example.com:443.
 */
size_t text_run_length(const struct text_reader *r, const struct text_token *token);
/* The value at r->token is none of the field's type. */
void text_error_type(struct text_reader *r, const struct text_frame *frame);
/* The value at `where` is of the right kind; `problem` ("is out of range") says what is wrong. */
void text_error_value(struct text_reader *r, const struct text_frame *frame,
                      const struct text_token *where, const char *problem);
/* There is no value at r->token. */
void text_error_missing(struct text_reader *r, const struct text_frame *frame);
/* The frame's name is none of the message's fields. Returns the one that was meant, or NULL. */
const ProtobufCFieldDescriptor *text_error_unknown(struct text_reader *r,
                                                   const struct text_frame *frame);

/* ---- text_scalar.c ---- */

/*
 * Takes a value of the frame's field, which is no message, from r->token on. False: told, and what
 * could be seen to belong to it was taken; or out of memory.
 */
bool text_scalar(struct text_reader *r, const struct text_frame *frame, union text_value *value);
/* Those of strings and bytes: text_string.c. */
bool text_string(struct text_reader *r, const struct text_frame *frame, union text_value *value);

/* What a hexadecimal digit is worth; 16: it is none. */
int text_digit(char c);
/* The numbers that an integer type holds. */
struct text_range {
    int64_t lowest;
    uint64_t highest; /* 0: no integer type */
};
struct text_range text_range_of(ProtobufCType type);

#endif
