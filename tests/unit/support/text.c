#include "tests/unit/support/text.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/text/text_reader.h"
#include "proto/text/text_writer.h"
#include "tests/unit/support/check.h"

void reading_start_bytes(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                         const char *text, size_t exactly)
{
    char *copy = malloc(exactly + (exactly == 0));

    assert_non_null(copy);
    memcpy(copy, text, exactly);
    places_init(&r->places);
    config_errors_init(&r->errors);
    r->message = text_read(descriptor, "f", copy, exactly, &r->places, &r->errors);
    free(copy);
    assert_non_null(r->message);
}

void reading_start(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                   const char *text)
{
    reading_start_bytes(r, descriptor, text, strlen(text));
}

void reading_start_good(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                        const char *text)
{
    reading_start(r, descriptor, text);
    if (r->errors.total > 0)
        fail_msg("%zu errors in \"%s\": %s", r->errors.total, text, r->errors.texts[0]);
}

void reading_stop(struct reading *r)
{
    protobuf_c_message_free_unpacked(r->message, NULL);
    places_free(&r->places);
    config_errors_free(&r->errors);
}

void reading_assert_errors(const struct reading *r, const char *lines)
{
    char *told = NULL;
    size_t length;
    FILE *out = open_memstream(&told, &length);

    assert_non_null(out);
    for (size_t i = 0; i < r->errors.count; i++) {
        assert_int_equal(strncmp(r->errors.texts[i], "f:", 2), 0);
        (void)fprintf(out, "%s\n", r->errors.texts[i] + 2);
    }
    assert_int_equal(fclose(out), 0);
    assert_string_equal(told, lines);
    assert_int_equal(r->errors.total, r->errors.count);
    free(told);
}

char *text_of(const ProtobufCMessage *message)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    text_write(message, out);
    assert_int_equal(fclose(out), 0);
    return text;
}
