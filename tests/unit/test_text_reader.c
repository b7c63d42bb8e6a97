/* The configuration's format: what is taken, and what it means. Mistakes: test_text_mistakes.c. */
#include "tests/unit/support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "every.pb-c.h"
#include "proto/text/text_reader.h"
#include "tests/unit/support/text.h"
#include "turbotls/v1/proxy.pb-c.h"

static struct reading reading;

static const Test__Every *every(const char *text)
{
    reading_start_good(&reading, &test__every__descriptor, text);
    return (const Test__Every *)reading.message;
}

static const Turbotls__V1__Proxy *proxy(const char *text)
{
    reading_start_good(&reading, &turbotls__v1__proxy__descriptor, text);
    return (const Turbotls__V1__Proxy *)reading.message;
}

#define TEST(name) TEST_BETWEEN(name, (void)0, reading_stop(&reading))

TEST(an_empty_text_is_an_empty_message)
{
    const Turbotls__V1__Proxy *p = proxy("");
    assert_int_equal(p->n_listener, 0);
    assert_null(p->log);
    assert_false(p->has_drain_timeout_seconds);
    assert_true(p->drain_timeout_seconds == 30);
}

TEST(integers_reach_the_ends_of_their_types)
{
    const Test__Every *e = every("int32: -2147483648 sint32: 2147483647 sfixed32: -1\n"
                                 "int64: -9223372036854775808 sint64: 9223372036854775807\n"
                                 "sfixed64: -0 uint32: 4294967295 fixed32: 0\n"
                                 "uint64: 18446744073709551615 fixed64: 1");
    assert_true(e->has_int32 && e->int32 == INT32_MIN);
    assert_true(e->has_sint32 && e->sint32 == INT32_MAX);
    assert_true(e->has_sfixed32 && e->sfixed32 == -1);
    assert_true(e->has_int64 && e->int64 == INT64_MIN);
    assert_true(e->has_sint64 && e->sint64 == INT64_MAX);
    assert_true(e->has_sfixed64 && e->sfixed64 == 0);
    assert_true(e->has_uint32 && e->uint32 == UINT32_MAX);
    assert_true(e->has_fixed32 && e->fixed32 == 0);
    assert_true(e->has_uint64 && e->uint64 == UINT64_MAX);
    assert_true(e->has_fixed64 && e->fixed64 == 1);
    assert_false(e->has_float_);
}

TEST(integers_may_be_octal_or_hexadecimal)
{
    const Test__Every *e =
        every("int32s: [0, 010, 0x1f, 0XFF, -0x80000000, - 7, -017, 0x7fffffff]");
    static const int32_t expected[] = {0, 8, 31, 255, INT32_MIN, -7, -15, INT32_MAX};
    assert_int_equal(e->n_int32s, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(e->int32s[i], expected[i]);
}

TEST(decimal_numbers_are_the_nearest_of_their_type)
{
    const Test__Every *e =
        every("doubles: [1, 1.5, 1., .5, 1e5, 1.5E-3, -2.5e+2, 3f, 1.5F, 0.1, 0, 1e-999]\n"
              "floats: [0.1, 3.4028235e38, -1]");
    static const double expected[] = {1, 1.5, 1, .5, 1e5, 1.5e-3, -250, 3, 1.5, 0.1, 0, 0};
    assert_int_equal(e->n_doubles, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_true(e->doubles[i] == expected[i]);
    assert_true(e->floats[0] == 0.1f && e->floats[1] == 3.4028235e38f && e->floats[2] == -1);
}

TEST(infinity_and_nan_are_read)
{
    const Test__Every *e =
        every("doubles: [inf, -inf, Infinity, nan, -NaN] floats: [inf, -infinity, nan]");
    assert_true(isinf(e->doubles[0]) && e->doubles[0] > 0);
    assert_true(isinf(e->doubles[1]) && e->doubles[1] < 0);
    assert_true(isinf(e->doubles[2]) && isnan(e->doubles[3]) && isnan(e->doubles[4]));
    assert_true(isinf(e->floats[0]) && e->floats[1] < 0 && isnan(e->floats[2]));
}

TEST(truth_has_many_names)
{
    const Test__Every *e = every("bools: [true, True, t, 1, 0x1, 01, false, False, f, 0, 00]");
    assert_int_equal(e->n_bools, 11);
    for (size_t i = 0; i < e->n_bools; i++)
        assert_int_equal(e->bools[i], i < 6);
}

TEST(enums_are_read_by_name_alias_and_number)
{
    const Test__Every *e = every("colour: GREEN colours: [RED, CRIMSON, 2, -1, INFRARED, 0x2]");
    static const int expected[] = {1, 1, 2, -1, -1, 2};
    assert_true(e->has_colour && e->colour == TEST__COLOUR__GREEN);
    assert_int_equal(e->n_colours, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal((int)e->colours[i], expected[i]);
}

TEST(strings_have_escapes)
{
    const Test__Every *e = every("strings: \"\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"\\?\" strings: '\"'\n"
                                 "strings: \"'\\1\\12\\1234\\x41\\x4142\\X7a\"");
    assert_string_equal(e->strings[0], "\a\b\f\n\r\t\v\\'\"?");
    assert_string_equal(e->strings[1], "\"");
    assert_string_equal(e->strings[2], "'\1\n"
                                       "S4AA42z");
}

TEST(characters_are_written_by_number)
{
    const Test__Every *e = every("strings: [\"\\u00e4\\u20AC\\U0001f600\", '\\ud83d\\ude00',"
                                 " \"\\xc3\" '\\244', '\xc3\xa4', '\\U0010ffff']");
    assert_string_equal(e->strings[0], "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_string_equal(e->strings[1], "\xf0\x9f\x98\x80");
    assert_string_equal(e->strings[2], "\xc3\xa4");
    assert_string_equal(e->strings[3], "\xc3\xa4");
    assert_string_equal(e->strings[4], "\xf4\x8f\xbf\xbf");
}

TEST(pieces_of_a_string_are_put_together)
{
    const Test__Every *e = every("string: 'a' \"b\" # and\n  'c'\nstrings: ['a' 'b', 'c' '']");
    assert_string_equal(e->string, "abc");
    assert_int_equal(e->n_strings, 2);
    assert_string_equal(e->strings[0], "ab");
    assert_string_equal(e->strings[1], "c");
}

TEST(bytes_are_any_bytes)
{
    const Test__Every *e = every("bytes: 'a\\0\\xff\xff' byteses: '' octets: \"\\u0000\"");
    assert_true(e->has_bytes);
    assert_int_equal(e->bytes.len, 4);
    assert_memory_equal(e->bytes.data, "a\0\xff\xff", 4);
    assert_int_equal(e->n_byteses, 1);
    assert_int_equal(e->byteses[0].len, 0);
    assert_int_equal(e->choice_case, TEST__EVERY__CHOICE_OCTETS);
    assert_int_equal(e->octets.len, 1);
}

TEST(an_empty_string_is_given)
{
    assert_string_equal(every("string: ''")->string, "");
}

TEST(messages_have_either_brackets)
{
    const Test__Every *e = every("every { every: < int32: 1 > } nothing <> everies: {} everies {}");
    assert_true(e->every->every->has_int32 && e->every->every->int32 == 1);
    assert_non_null(e->nothing);
    assert_int_equal(e->n_everies, 2);
}

TEST(lists_and_single_values_add_up)
{
    const Test__Every *e = every("int32s: 1 int32s: [2, 3] int32s: [] int32s: 4\n"
                                 "everies [{int32: 1}, <int32: 2>] everies: [{int32: 3}]\n"
                                 "everies { int32: 4 } strings: []");
    assert_int_equal(e->n_int32s, 4);
    assert_int_equal(e->n_everies, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(e->int32s[i], i + 1);
        assert_int_equal(e->everies[i]->int32, i + 1);
    }
    assert_int_equal(e->n_strings, 0);
}

TEST(separators_comments_and_blanks_are_optional)
{
    const Test__Every *e = every("# first\nint32:1,uint32:2;int64\t:\v3 bool\f:# really\n\r\nt\r\n"
                                 "string:'#',every{int32:5;},nothing{};# last");
    assert_true(e->int32 == 1 && e->uint32 == 2 && e->int64 == 3 && e->bool_);
    assert_string_equal(e->string, "#");
    assert_int_equal(e->every->int32, 5);
    assert_non_null(e->nothing);
}

TEST(a_byte_order_mark_is_passed_over)
{
    assert_int_equal(every("\xef\xbb\xbfint32: 1")->int32, 1);
    assert_int_equal(places_find(&reading.places, reading.message, 1, 0)->column, 8);
}

TEST(one_of_a_choice_is_taken)
{
    const Test__Every *e = every("text: 'x' every { none {} } everies { number: 0 }");
    assert_int_equal(e->choice_case, TEST__EVERY__CHOICE_TEXT);
    assert_string_equal(e->text, "x");
    assert_int_equal(e->every->choice_case, TEST__EVERY__CHOICE_NONE);
    assert_int_equal(e->everies[0]->choice_case, TEST__EVERY__CHOICE_NUMBER);
}

TEST(a_value_that_equals_the_default_is_given)
{
    const Turbotls__V1__Proxy *p = proxy("drain_timeout_seconds: 30 log { level: INFO }");
    assert_true(p->has_drain_timeout_seconds);
    assert_true(p->log->has_level && !p->log->has_format);
    assert_int_equal(p->log->format, TURBOTLS__V1__LOG__FORMAT__TEXT);
}

static void assert_place(const void *message, unsigned field, size_t index, unsigned line,
                         unsigned column)
{
    const struct place *place = places_find(&reading.places, message, field, index);

    assert_non_null(place);
    assert_int_equal(place->line, line);
    assert_int_equal(place->column, column);
}

TEST(each_value_has_its_place)
{
    const Turbotls__V1__Proxy *p = proxy("\n# an edge\nlistener {\r\n  name: \"a\" \"b\"\r\n"
                                         "\tproxy_protocol_from: ['x',\n'y'] route: <> }\n"
                                         "listener {} drain_timeout_seconds: - 1");
    const Turbotls__V1__Listener *l = p->listener[0];
    assert_place(p, 0, 0, 3, 1);
    assert_place(p, 1, 0, 3, 10);
    assert_place(l, 0, 0, 3, 10);
    assert_place(l, 1, 0, 4, 9);
    assert_place(l, 7, 0, 5, 24);
    assert_place(l, 7, 1, 6, 1);
    assert_place(l, 5, 0, 6, 13);
    assert_place(l->route[0], 0, 0, 6, 13);
    assert_place(p, 1, 1, 7, 10);
    assert_place(p->listener[1], 0, 0, 7, 10);
    assert_place(p, 6, 0, 7, 36);
    assert_null(places_find(&reading.places, p, 2, 0));
    assert_null(places_find(&reading.places, l, 7, 2));
    assert_int_equal(reading.places.count, 11);
}

/* TEXT_NESTING_MAX of them, one in the other. */
TEST(messages_nest_as_deep_as_is_promised)
{
    char text[TEXT_NESTING_MAX * 8 + 1] = "";
    for (int i = 0; i < TEXT_NESTING_MAX; i++)
        strcat(text, "every{");
    for (int i = 0; i < TEXT_NESTING_MAX; i++)
        strcat(text, "}");
    const Test__Every *e = every(text);
    int depth = 0;
    for (; e->every != NULL; e = e->every)
        depth++;
    assert_int_equal(depth, TEXT_NESTING_MAX);
}

/* ---- large ones ---- */

static double processor_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* `unit` so many times that it fills `bytes`. Returns the seconds it takes. */
static double read_many(const char *unit, size_t bytes)
{
    size_t length = strlen(unit), count = bytes / length;
    char *text = malloc(count * length);
    double begin;

    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * length, unit, length);
    begin = processor_seconds();
    reading_start_bytes(&reading, &test__every__descriptor, text, count * length);
    reading_stop(&reading);
    free(text);
    return processor_seconds() - begin;
}

/* Eight times as much must not take sixty-four times as long. */
static void time_grows_with_the_length_only(void **state)
{
    static const char *const units[] = {
        "a:1 ",  "everies{", "int32s:1 ", "everies{}", "int32s:[", "string:'x' 'y'",
        "{",     "}",        "[",         "\"",        "'a' ",     "\\",
        "1",     "a",        "x{",        ":",         "-",        "\n",
        "# x\n", "every ",   "a:{",       "int32:'a ", "\xff",     "everies[{",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        double small = read_many(units[i], 32 * 1024), large = read_many(units[i], 256 * 1024);
        if (large > 0.02 + 30 * small)
            fail_msg("\"%s\": 32 KiB in %g s, 256 KiB in %g s", units[i], small, large);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_empty_text_is_an_empty_message),
        CASE(integers_reach_the_ends_of_their_types),
        CASE(integers_may_be_octal_or_hexadecimal),
        CASE(decimal_numbers_are_the_nearest_of_their_type),
        CASE(infinity_and_nan_are_read),
        CASE(truth_has_many_names),
        CASE(enums_are_read_by_name_alias_and_number),
        CASE(strings_have_escapes),
        CASE(characters_are_written_by_number),
        CASE(pieces_of_a_string_are_put_together),
        CASE(bytes_are_any_bytes),
        CASE(an_empty_string_is_given),
        CASE(messages_have_either_brackets),
        CASE(lists_and_single_values_add_up),
        CASE(separators_comments_and_blanks_are_optional),
        CASE(a_byte_order_mark_is_passed_over),
        CASE(one_of_a_choice_is_taken),
        CASE(a_value_that_equals_the_default_is_given),
        CASE(each_value_has_its_place),
        CASE(messages_nest_as_deep_as_is_promised),
        CASE(time_grows_with_the_length_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
