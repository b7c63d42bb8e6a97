/*
 * What the parts of the text reader share: text_reader.c (fields, messages, and how to go on behind
 * a mistake), text_scalar.c (values) and text_error.c (how mistakes are told).
 */
#ifndef PROXY_CONFIG_TEXT_PARTS_H
#define PROXY_CONFIG_TEXT_PARTS_H

#include "proxy/config/text_field.h"
#include "proxy/config/text_reader.h"
#include "proxy/config/text_token.h"

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

/* The numbers that an integer type holds. */
struct text_range {
    int64_t lowest;
    uint64_t highest; /* 0: no integer type */
};
struct text_range text_range_of(ProtobufCType type);

#endif
