#include "tests/unit/support/decoding.h"

#include "proto/text/text_reader.h"
#include "proxy/config/decode.h"
#include "tests/unit/support/check.h"

struct decoded decoded;

void decode(const char *text)
{
    struct places places;
    struct config_source source = {.file = "f", .places = &places};
    Turbotls__V1__Proxy *message;

    config_release(decoded.config);
    config_errors_free(&decoded.errors);
    places_init(&places);
    message = (Turbotls__V1__Proxy *)text_read(&turbotls__v1__proxy__descriptor, "f", text,
                                               strlen(text), &places, &decoded.errors);
    assert_non_null(message);
    decoded.config = config_decode(message, &source, &decoded.errors);
    turbotls__v1__proxy__free_unpacked(message, NULL);
    places_free(&places);
}

int decoded_free(void **state)
{
    (void)state;
    config_release(decoded.config);
    config_errors_free(&decoded.errors);
    decoded.config = NULL;
    return 0;
}

void accepted(const char *text)
{
    decode(text);
    if (decoded.config == NULL)
        fail_msg("%s\nis refused: %s", text, decoded.errors.texts[0]);
    assert_int_equal(decoded.errors.total, 0);
}

void refused(const char *text, const char *const expected[])
{
    size_t count = 0;

    decode(text);
    for (; expected[count] != NULL; count++) {
        if (count >= decoded.errors.count)
            fail_msg("%s\nnothing says %s", text, expected[count]);
        assert_string_equal(decoded.errors.texts[count], expected[count]);
    }
    if (decoded.errors.count > count)
        fail_msg("%s\nbesides: %s", text, decoded.errors.texts[count]);
    assert_null(decoded.config);
}
