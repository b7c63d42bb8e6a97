/* Errors that are collected, and places that are found again. */
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/text/errors.h"
#include "proto/text/places.h"
#include "proto/text/utf8.h"

static void a_place_is_found_by_message_field_and_index(void **state)
{
    struct places places;
    int a, b;

    (void)state;
    places_init(&places);
    assert_null(places_find(&places, &a, 0, 0));
    places_add(&places, &a, 0, 0, 1, 1);
    places_add(&places, &a, 3, 0, 2, 5);
    places_add(&places, &a, 3, 1, 2, 9);
    places_add(&places, &b, 3, 0, 7, 8);
    assert_int_equal(places.count, 4);
    assert_int_equal(places_find(&places, &a, 0, 0)->line, 1);
    assert_int_equal(places_find(&places, &a, 3, 0)->column, 5);
    assert_int_equal(places_find(&places, &a, 3, 1)->column, 9);
    assert_int_equal(places_find(&places, &b, 3, 0)->line, 7);
    assert_null(places_find(&places, &a, 3, 2));
    assert_null(places_find(&places, &a, 4, 0));
    assert_null(places_find(&places, &b, 0, 0));
    places_free(&places);
    assert_null(places_find(&places, &a, 3, 0));
}

static void the_last_place_of_a_value_is_kept(void **state)
{
    struct places places;

    (void)state;
    places_init(&places);
    places_add(&places, &places, 1, 0, 2, 3);
    places_add(&places, &places, 1, 0, 4, 5);
    assert_int_equal(places.count, 1);
    assert_int_equal(places_find(&places, &places, 1, 0)->line, 4);
    assert_int_equal(places_find(&places, &places, 1, 0)->column, 5);
    places_free(&places);
}

static void many_places_are_all_found(void **state)
{
    enum { MANY = 20000 };
    static const char messages[100];
    struct places places;

    (void)state;
    places_init(&places);
    for (unsigned i = 0; i < MANY; i++)
        places_add(&places, &messages[i % 100], i % 7, i, i + 1, i + 2);
    assert_int_equal(places.count, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        const struct place *place = places_find(&places, &messages[i % 100], i % 7, i);
        assert_non_null(place);
        assert_int_equal(place->line, i + 1);
        assert_int_equal(place->column, i + 2);
    }
    assert_null(places_find(&places, messages, 0, MANY));
    places_free(&places);
}

/* However many there are, the search for one that is not there ends. */
static void a_place_that_is_not_there_is_not_found(void **state)
{
    struct places places;

    (void)state;
    places_init(&places);
    for (unsigned i = 0; i < 300; i++) {
        places_add(&places, &places, 1, i, 1, 1);
        assert_null(places_find(&places, &places, 2, i));
    }
    places_free(&places);
}

static void errors_are_kept_in_order_and_counted_beyond_the_most(void **state)
{
    struct config_errors errors;

    (void)state;
    config_errors_init(&errors);
    assert_int_equal(errors.total, 0);
    for (int i = 0; i < CONFIG_ERRORS_MAX + 7; i++) {
        assert_true(config_errors_full(&errors) == (i >= CONFIG_ERRORS_MAX));
        config_error(&errors, "%d of %s", i, "them");
    }
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    assert_int_equal(errors.total, CONFIG_ERRORS_MAX + 7);
    assert_string_equal(errors.texts[0], "0 of them");
    assert_string_equal(errors.texts[CONFIG_ERRORS_MAX - 1], "99 of them");
    config_errors_free(&errors);
    assert_int_equal(errors.total + errors.count, 0);
    config_errors_free(&errors);
}

static void assert_told(const char *raw, const char *expected)
{
    struct config_errors errors;

    config_errors_init(&errors);
    config_error(&errors, "%s", raw);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.texts[0], expected);
    config_errors_free(&errors);
}

static void errors_are_one_printable_line(void **state)
{
    (void)state;
    assert_told("a\nb\tc\x1b[m\x7f", "a\\x0ab\\x09c\\x1b[m\\x7f");
    assert_told("b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x98\x80",
                "b\xc3\xa4r \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_told("\xff \xc3 \xc0\x80 \xed\xa0\x80", "\\xff \\xc3 \\xc0\\x80 \\xed\\xa0\\x80");
    assert_told("\xc2\x85 \xe2\x80\xa8 \xe2\x80\xae", "\\xc2\\x85 \\xe2\\x80\\xa8 \\xe2\\x80\\xae");
}

static void errors_are_cut_between_characters(void **state)
{
    char raw[2 * CONFIG_ERROR_MAX];
    struct config_errors errors;

    (void)state;
    for (size_t shift = 0; shift < 6; shift++) {
        size_t length;
        memset(raw, 'x', shift);
        for (size_t i = shift; i < sizeof(raw) - 3; i += 3)
            memcpy(raw + i, "\xe2\x82\xac", 4);
        config_errors_init(&errors);
        config_error(&errors, "%s", raw);
        length = strlen(errors.texts[0]);
        assert_in_range(length, CONFIG_ERROR_MAX - 8, CONFIG_ERROR_MAX - 1);
        assert_string_equal(errors.texts[0] + length - 3, "...");
        assert_int_equal((length - 3 - shift) % 3, 0);
        assert_int_equal(memcmp(errors.texts[0], raw, length - 3), 0);
        config_errors_free(&errors);
    }
    memset(raw, '\n', sizeof(raw));
    raw[sizeof(raw) - 1] = '\0';
    config_errors_init(&errors);
    config_error(&errors, "%s", raw);
    assert_in_range(strlen(errors.texts[0]), CONFIG_ERROR_MAX - 8, CONFIG_ERROR_MAX - 1);
    config_errors_free(&errors);
}

/* Every character there is, and none besides. */
static void utf8_is_what_rfc_3629_says(void **state)
{
    char bytes[UTF8_BYTES_MAX];
    size_t used, length;

    (void)state;
    for (uint32_t point = 0; point < UTF8_NOT; point++) {
        if (point == 0xd800)
            point = 0xe000;
        length = utf8_put(point, bytes);
        assert_int_equal(utf8_next(bytes, length, &used), point);
        assert_int_equal(used, length);
        if (length > 1)
            assert_int_equal(utf8_next(bytes, length - 1, &used), UTF8_NOT);
    }
    static const char *const none[] = {"\x80",
                                       "\xc1\xbf",
                                       "\xe0\x9f\xbf",
                                       "\xed\xbf\xbf",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf8\x88\x80\x80\x80",
                                       "\xc3\x28",
                                       "\xe2\x82\x28"};
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_int_equal(utf8_next(none[i], strlen(none[i]), &used), UTF8_NOT);
        assert_int_equal(used, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_place_is_found_by_message_field_and_index),
        CASE(the_last_place_of_a_value_is_kept),
        CASE(many_places_are_all_found),
        CASE(a_place_that_is_not_there_is_not_found),
        CASE(errors_are_kept_in_order_and_counted_beyond_the_most),
        CASE(errors_are_one_printable_line),
        CASE(errors_are_cut_between_characters),
        CASE(utf8_is_what_rfc_3629_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
