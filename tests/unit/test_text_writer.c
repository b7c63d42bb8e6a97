/* Messages written as text: as a person would, and so that they read back the same. */
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "every.pb-c.h"
#include "implicit.pb-c.h"
#include "tests/unit/support/text.h"
#include "turbotls/v1/proxy.pb-c.h"

/* What is read of `text` is written as `expected`. */
static void assert_written(const ProtobufCMessageDescriptor *descriptor, const char *text,
                           const char *expected)
{
    struct reading reading;
    char *written;

    reading_start_good(&reading, descriptor, text);
    written = text_of(reading.message);
    assert_string_equal(written, expected);
    free(written);
    reading_stop(&reading);
}

static void assert_every_written(const char *text, const char *expected)
{
    assert_written(&test__every__descriptor, text, expected);
}

static uint8_t *packed(const ProtobufCMessage *message, size_t *length)
{
    uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);

    assert_non_null(bytes);
    *length = protobuf_c_message_pack(message, bytes);
    return bytes;
}

/* Written and read again it is the same message, and the same text; unless `more` by defaults. */
static void assert_round_trip(const ProtobufCMessageDescriptor *descriptor, const char *text,
                              bool more)
{
    struct reading first, second;
    size_t lengths[2];
    char *texts[2];

    reading_start_good(&first, descriptor, text);
    texts[0] = text_of(first.message);
    reading_start_good(&second, descriptor, texts[0]);
    texts[1] = text_of(second.message);
    assert_string_equal(texts[0], texts[1]);
    uint8_t *a = packed(first.message, &lengths[0]), *b = packed(second.message, &lengths[1]);
    if (!more) {
        assert_int_equal(lengths[0], lengths[1]);
        assert_memory_equal(a, b, lengths[0]);
    } else {
        assert_true(lengths[1] > lengths[0]);
    }
    free(a);
    free(b);
    free(texts[0]);
    free(texts[1]);
    reading_stop(&first);
    reading_stop(&second);
}

static void fields_come_in_their_numbers_order_with_defaults(void **state)
{
    (void)state;
    assert_written(&turbotls__v1__proxy__descriptor, "",
                   "log {\n"
                   "  level: INFO\n"
                   "  format: TEXT\n"
                   "  target: STDERR\n"
                   "}\n"
                   "drain_timeout_seconds: 30\n");
    assert_written(&turbotls__v1__proxy__descriptor,
                   "drain_timeout_seconds: 2.50 process{} log{target:SYSLOG}\n"
                   "upstream{server{weight:3}} upstream{name:'b' health{max_failures:7}}",
                   "upstream {\n"
                   "  protocol: TCP\n"
                   "  server {\n"
                   "    weight: 3\n"
                   "  }\n"
                   "  proxy_protocol: NONE\n"
                   "  connect_timeout_seconds: 60\n"
                   "  health {\n"
                   "    max_failures: 1\n"
                   "    back_off_seconds: 1\n"
                   "    max_back_off_seconds: 60\n"
                   "    check_interval_seconds: 0\n"
                   "    check_timeout_seconds: 2\n"
                   "  }\n"
                   "  turbo: AUTO\n"
                   "  requested: false\n"
                   "  dialect: PROFILE1\n"
                   "}\n"
                   "upstream {\n"
                   "  name: \"b\"\n"
                   "  protocol: TCP\n"
                   "  proxy_protocol: NONE\n"
                   "  connect_timeout_seconds: 60\n"
                   "  health {\n"
                   "    max_failures: 7\n"
                   "    back_off_seconds: 1\n"
                   "    max_back_off_seconds: 60\n"
                   "    check_interval_seconds: 0\n"
                   "    check_timeout_seconds: 2\n"
                   "  }\n"
                   "  turbo: AUTO\n"
                   "  requested: false\n"
                   "  dialect: PROFILE1\n"
                   "}\n"
                   "log {\n"
                   "  level: INFO\n"
                   "  format: TEXT\n"
                   "  target: SYSLOG\n"
                   "}\n"
                   "process {\n"
                   "  sandbox: true\n"
                   "  mark: 0\n"
                   "  workers: 0\n"
                   "}\n"
                   "drain_timeout_seconds: 2.5\n");
}

static void defaults_of_every_type_are_filled_in(void **state)
{
    (void)state;
    assert_written(&test__holder__descriptor, "",
                   "defaults {\n"
                   "  int64: -5\n"
                   "  float: 0.1\n"
                   "  bool: true\n"
                   "  colour: GREEN\n"
                   "  string: \"a \\\"b\\\"\"\n"
                   "  bytes: \"\\001\\377\"\n"
                   "}\n");
    assert_written(&test__defaults__descriptor, "string: '' bool: f float: 2",
                   "int64: -5\n"
                   "float: 2\n"
                   "bool: false\n"
                   "colour: GREEN\n"
                   "string: \"\"\n"
                   "bytes: \"\\001\\377\"\n");
}

static void what_was_not_given_and_has_no_default_is_left_out(void **state)
{
    (void)state;
    assert_every_written("", "");
    assert_every_written("every { nothing {} }", "every {\n  nothing {\n  }\n}\n");
    assert_every_written("int32: 0 string: '' none {} int32s: [0, 1]",
                         "int32: 0\nstring: \"\"\nint32s: 0\nint32s: 1\nnone {\n}\n");
}

static void numbers_have_as_few_digits_as_tell_them_apart(void **state)
{
    (void)state;
    static const char *const doubles[][2] = {
        {"30", "30"},          {"0.25", "0.25"},
        {"86400", "86400"},    {"604800.5", "604800.5"},
        {"0.1", "0.1"},        {"0.30000000000000004", "0.30000000000000004"},
        {"-0", "-0"},          {"123456789012345", "123456789012345"},
        {"1e15", "1e+15"},     {"0.00001", "0.00001"},
        {"0.000001", "1e-06"}, {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"5e-324", "5e-324"},  {"inf", "inf"},
        {"-inf", "-inf"},      {"nan", "nan"},
        {"-nan", "-nan"},
    };
    char text[64], expected[64];
    for (size_t i = 0; i < COUNT(doubles); i++) {
        snprintf(text, sizeof(text), "double: %s", doubles[i][0]);
        snprintf(expected, sizeof(expected), "double: %s\n", doubles[i][1]);
        assert_every_written(text, expected);
    }
    assert_every_written("float: 0.1", "float: 0.1\n");
    assert_every_written("float: 16777217", "float: 16777216\n");
    assert_every_written("float: 3.4028235e38", "float: 3.4028235e+38\n");
}

/* Not so many that it is slow, of all sizes. */
static void any_double_reads_back(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        Test__Every e = TEST__EVERY__INIT;
        struct reading reading;
        random = random * 6364136223846793005u + 1442695040888963407u;
        memcpy(&e.double_, &random, sizeof(e.double_));
        uint32_t high = (uint32_t)(random >> 32);
        memcpy(&e.float_, &high, sizeof(e.float_));
        if (e.double_ != e.double_ || e.float_ != e.float_)
            continue; /* nan */
        e.has_double_ = e.has_float_ = true;
        char *text = text_of(&e.base);
        reading_start_good(&reading, &test__every__descriptor, text);
        assert_true(((Test__Every *)reading.message)->double_ == e.double_);
        assert_true(((Test__Every *)reading.message)->float_ == e.float_);
        reading_stop(&reading);
        free(text);
    }
}

static void strings_are_escaped_where_they_must_be(void **state)
{
    (void)state;
    assert_every_written("string: '\"\\'\\\\\\n\\r\\t\\x7f\\x1b[' '\xc3\xa4\xf0\x9f\x98\x80'",
                         "string: \"\\\"'\\\\\\n\\r\\t\\177\\033[\xc3\xa4\xf0\x9f\x98\x80\"\n");
    assert_every_written("string: '\\u202e\\u0085'", "string: \"\\342\\200\\256\\302\\205\"\n");
    assert_every_written("bytes: 'a\\0001\\xff\xc3\xa4'", "bytes: \"a\\0001\\377\\303\\244\"\n");
}

static void enums_are_written_by_name_and_unknown_ones_by_number(void **state)
{
    Test__Every e = TEST__EVERY__INIT;
    char *text;

    (void)state;
    assert_every_written("colour: 1 colours: -1", "colour: RED\ncolours: INFRARED\n");
    e.has_colour = true;
    e.colour = (Test__Colour)77;
    text = text_of(&e.base);
    assert_string_equal(text, "colour: 77\n");
    free(text);
}

static void what_is_written_reads_back_the_same(void **state)
{
    (void)state;
    assert_round_trip(
        &test__every__descriptor,
        "int32: -2147483648 sint32: -1 sfixed32: -2 int64: -9223372036854775808 sint64: -3\n"
        "sfixed64: -4 uint32: 4294967295 fixed32: 5 uint64: 18446744073709551615 fixed64: 6\n"
        "float: 0.1 double: 0.1 bool: false colour: INFRARED string: 'a\\nb' bytes: '\\0'\n"
        "every { every { int32: 1 } } nothing {} int32s: [1, 2, 3] uint64s: [1, 2] floats: 1.5\n"
        "doubles: [1e300, -inf] bools: [t, f] colours: [RED, GREEN] strings: ['', 'x']\n"
        "byteses: ['', '\\xff'] everies: [{}, {string: 'y'}] ratio: 3 strict {name: '' number: 0}",
        false);
    assert_round_trip(&test__implicit__descriptor,
                      "number: 7 text: 'x' octets: '\\0' inner { inner {} number: 0 } numbers: 0",
                      false);
    assert_round_trip(&test__implicit__descriptor, "", false);
    assert_round_trip(
        &turbotls__v1__proxy__descriptor,
        "listener { address: '*:443' route { upstream: 'u' server_name: ['a', 'b'] }\n"
        "  access_rule { action: DENY network: '192.0.2.0/24' } sniff_timeout_seconds: .3 }\n"
        "upstream { name: 'u' server { address: 'a:1' } protocol: TURBO }\n"
        "admin { address: '127.0.0.1:9' } process { user: 'nobody' }",
        true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(fields_come_in_their_numbers_order_with_defaults),
        CASE(defaults_of_every_type_are_filled_in),
        CASE(what_was_not_given_and_has_no_default_is_left_out),
        CASE(numbers_have_as_few_digits_as_tell_them_apart),
        CASE(any_double_reads_back),
        CASE(strings_are_escaped_where_they_must_be),
        CASE(enums_are_written_by_name_and_unknown_ones_by_number),
        CASE(what_is_written_reads_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
