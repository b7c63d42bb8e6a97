/* Mistakes in a configuration's text: each is told once, where it is, with what would be right. */
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "every.pb-c.h"
#include "proto/text/text_reader.h"
#include "tests/unit/support/text.h"
#include "turbotls/v1/proxy.pb-c.h"

static void assert_proxy_errors(const char *text, const char *errors)
{
    struct reading reading;

    reading_start(&reading, &turbotls__v1__proxy__descriptor, text);
    reading_assert_errors(&reading, errors);
    reading_stop(&reading);
}

static void assert_every_errors(const char *text, const char *errors)
{
    struct reading reading;

    reading_start(&reading, &test__every__descriptor, text);
    reading_assert_errors(&reading, errors);
    reading_stop(&reading);
}

static void ten_different_mistakes_are_ten_errors(void **state)
{
    (void)state;
    assert_proxy_errors(
        "listener {\n"
        "  adress: \"127.0.0.1:443\"\n"
        "  protocol: UDP\n"
        "  udp_port: 70000000000\n"
        "  idle_timeout_seconds: \"60\"\n"
        "  name: edge\n"
        "  max_connections: 1 max_connections: 2\n"
        "  route { upstream = \"u\" }\n"
        "  proxy_protocol_from: [\"\\q\" \"b\", \"c\"]\n"
        "}\n"
        "upstream {\n"
        "  server { weight: -1 }\n"
        "log { level: INFO }\n"
        "}\n"
        "drain_timeout_seconds: 1\n",
        "2:3: listener[0].adress: Listener has no such field; did you mean address?\n"
        "3:13: listener[0].protocol: UDP is none of the names; write TCP or TURBO\n"
        "4:13: listener[0].udp_port: 70000000000 is out of range; write a whole number from 0 to "
        "4294967295\n"
        "5:25: listener[0].idle_timeout_seconds: \"60\" is a string; write a number, such as 2.5\n"
        "6:9: listener[0].name: edge is not in quotes; write \"edge\"\n"
        "7:22: listener[0].max_connections: is given twice, first in line 7; leave one of them "
        "out\n"
        "8:20: listener[0].route[0].upstream: \"=\" is not of this format; write \":\"\n"
        "9:26: listener[0].proxy_protocol_from[0]: there is no escape \\q; write \\\\ for a "
        "backslash\n"
        "12:20: upstream[0].server[0].weight: -1 is out of range; write a whole number from 0 to "
        "4294967295\n"
        "13:1: upstream[0].log: Upstream has no such field; write it outside, in Proxy\n");
}

static void an_unknown_field_is_told_with_those_there_are(void **state)
{
    (void)state;
    assert_proxy_errors(
        "lisener {} admin { allow_form: 'x' port: 1 }",
        "1:1: lisener: Proxy has no such field; did you mean listener?\n"
        "1:20: admin.allow_form: Admin has no such field; did you mean allow_from?\n"
        "1:36: admin.port: Admin has no such field; write address or allow_from\n");
    assert_proxy_errors("x: 1\ny: [1, {a: '}'}]\nz { b < > }\nv: 'a'\n'b'\nw: -5 u",
                        "1:1: x: Proxy has no such field; write listener, upstream, log, admin, "
                        "process or drain_timeout_seconds\n"
                        "2:1: y: Proxy has no such field; write listener, upstream, log, admin, "
                        "process or drain_timeout_seconds\n"
                        "3:1: z: Proxy has no such field; write listener, upstream, log, admin, "
                        "process or drain_timeout_seconds\n"
                        "4:1: v: Proxy has no such field; write listener, upstream, log, admin, "
                        "process or drain_timeout_seconds\n"
                        "6:1: w: Proxy has no such field; write listener, upstream, log, admin, "
                        "process or drain_timeout_seconds\n");
    assert_every_errors(
        "nothing { a: 1 }",
        "1:11: nothing.a: Nothing has no such field; it has none, leave this one out\n");
}

static void a_field_of_what_is_around_is_told_to_belong_there(void **state)
{
    (void)state;
    assert_proxy_errors("listener { route { address: 'x' admin {} } }",
                        "1:20: listener[0].route[0].address: Route has no such field; write it "
                        "outside, in Listener\n"
                        "1:33: listener[0].route[0].admin: Route has no such field; write it "
                        "outside, in Proxy\n");
}

static void a_wrong_type_is_told_with_the_right_one(void **state)
{
    (void)state;
    assert_every_errors(
        "int32: 'x'\nint32s: [t, 1.5, {}, [1], -x]\nuint64: 1e3\nint64: 08\nuint32: 12ab\n"
        "fixed32: 0x\nsint32: *\n",
        "1:8: int32: 'x' is a string; write a whole number from -2147483648 to 2147483647\n"
        "2:10: int32s[0]: t is not a whole number; write a whole number from -2147483648 to "
        "2147483647\n"
        "2:13: int32s[0]: 1.5 is not a whole number; write a whole number from -2147483648 to "
        "2147483647\n"
        "2:18: int32s[0]: { begins a message; write a whole number from -2147483648 to 2147483647\n"
        "2:22: int32s[0]: [ begins a list; write a whole number from -2147483648 to 2147483647\n"
        "2:27: int32s[0]: -x is not a whole number; write a whole number from -2147483648 to "
        "2147483647\n"
        "3:9: uint64: 1e3 is not a whole number; write a whole number from 0 to "
        "18446744073709551615\n"
        "4:8: int64: 08 begins with 0 but is not octal; write a whole number from "
        "-9223372036854775808 to 9223372036854775807\n"
        "5:9: uint32: 12ab is not a whole number; write a whole number from 0 to 4294967295\n"
        "6:10: fixed32: 0x is not a whole number; write a whole number from 0 to 4294967295\n"
        "7:9: sint32: * is no value; write a whole number from -2147483648 to 2147483647\n");
    assert_every_errors(
        "double: '1'\nfloat: x\ndoubles: [0x10, 01.5, 1e, 1.5.2, 1ff]\nfloats: {}\n",
        "1:9: double: '1' is a string; write a number, such as 2.5\n"
        "2:8: float: x is not a decimal number; write a number, such as 2.5\n"
        "3:11: doubles[0]: 0x10 is not a decimal number; write a number, such as 2.5\n"
        "3:17: doubles[0]: 01.5 is not a decimal number; write a number, such as 2.5\n"
        "3:23: doubles[0]: 1e is not a decimal number; write a number, such as 2.5\n"
        "3:27: doubles[0]: 1.5.2 is not a decimal number; write a number, such as "
        "2.5\n"
        "3:34: doubles[0]: 1ff is not a decimal number; write a number, such as 2.5\n"
        "4:9: floats[0]: { begins a message; write a number, such as 2.5\n");
    assert_every_errors(
        "bool: yes\nbools: [2, -1, 'true', 1.0]\ncolour: 'RED' colours: [3, red, 1.5]\n",
        "1:7: bool: yes is a name; write true or false\n"
        "2:9: bools[0]: 2 is neither true nor false; write true or false\n"
        "2:12: bools[0]: -1 is a number; write true or false\n"
        "2:16: bools[0]: 'true' is a string; write true or false\n"
        "2:24: bools[0]: 1.0 is neither true nor false; write true or false\n"
        "3:9: colour: 'RED' is a string; write INFRARED, RED or GREEN\n"
        "3:25: colours[0]: 3 is none of the numbers; write INFRARED, RED or GREEN\n"
        "3:28: colours[0]: red is none of the names; write INFRARED, RED or GREEN\n"
        "3:33: colours[0]: 1.5 is not a whole number; write INFRARED, RED or GREEN\n");
    assert_every_errors(
        "string: {}\nbytes: [1]\nevery: 5\neveries: ['x', {}, y]\nnothing: x { }\n",
        "1:9: string: { begins a message; write a string in quotes, such as \"text\"\n"
        "2:8: bytes: [ begins a list, but there is one value only; write bytes in "
        "quotes, such as \"h2\" or \"\\x02h2\"\n"
        "3:8: every: 5 is a number; write every { ... }\n"
        "4:11: everies[0]: 'x' is a string; write everies { ... }\n"
        "4:20: everies[1]: y is a name; write everies { ... }\n"
        "5:10: nothing: x is a name; write nothing { ... }\n");
}

static void a_string_without_quotes_is_one_mistake(void **state)
{
    (void)state;
    assert_proxy_errors(
        "listener { address: 127.0.0.1:443 name: a-b.c, proxy_protocol_from: [10.0.0.0/8, *, ::1]\n"
        "  address: 'x' }\n",
        "1:21: listener[0].address: 127.0.0.1:443 is not in quotes; write \"127.0.0.1:443\"\n"
        "1:41: listener[0].name: a-b.c is not in quotes; write \"a-b.c\"\n"
        "1:70: listener[0].proxy_protocol_from[0]: 10.0.0.0/8 is not in quotes; write "
        "\"10.0.0.0/8\"\n"
        "1:82: listener[0].proxy_protocol_from[0]: * is not in quotes; write \"*\"\n"
        "1:85: listener[0].proxy_protocol_from[0]: ::1 is not in quotes; write \"::1\"\n"
        "2:3: listener[0].address: is given twice, first in line 1; leave one of them out\n");
    assert_proxy_errors("listener { address: “*:443” }",
                        "1:21: listener[0].address: “*:443” is in typographic quotes; write plain "
                        "ones, as in \"text\"\n");
}

static void a_password_is_not_told(void **state)
{
    (void)state;
    assert_proxy_errors("listener { login { password: hunter2 }\n"
                        "  login { password: 12345 }\n"
                        "  login { password: “hunter2” } }",
                        "1:30: listener[0].login[0].password: the value is not in quotes; write "
                        "it as in \"text\"\n"
                        "2:21: listener[0].login[1].password: the value is not in quotes; write "
                        "it as in \"text\"\n"
                        "3:21: listener[0].login[2].password: the value is not in quotes; write "
                        "it as in \"text\"\n");
}

static void a_colon_in_an_unquoted_string_begins_no_field(void **state)
{
    (void)state;
    assert_proxy_errors("admin { address: localhost:80 allow_from: [fe80::1, a:b:c] }\n"
                        "process { user: group: 'x' }",
                        "1:18: admin.address: localhost:80 is not in quotes; write "
                        "\"localhost:80\"\n"
                        "1:44: admin.allow_from[0]: fe80::1 is not in quotes; write \"fe80::1\"\n"
                        "1:53: admin.allow_from[0]: a:b:c is not in quotes; write \"a:b:c\"\n"
                        "2:17: process.user: the value is missing; write a string in quotes, such "
                        "as \"text\"\n");
}

static void what_hangs_together_is_one_mistake(void **state)
{
    (void)state;
    assert_every_errors("int32: 1:2 bool: no:1 int64: -x:5 double: y",
                        "1:9: : is no field's name; write one\n");
    assert_every_errors("int64: -x:5 double: y:1 float: z",
                        "1:8: int64: -x:5 is not a whole number; write a whole number from "
                        "-9223372036854775808 to 9223372036854775807\n"
                        "1:21: double: y:1 is not a decimal number; write a number, such as 2.5\n"
                        "1:32: float: z is not a decimal number; write a number, such as 2.5\n");
}

static void numbers_beyond_their_type_are_out_of_range(void **state)
{
    (void)state;
    assert_every_errors(
        "int32s: [2147483648, -2147483649, 0xffffffff]\nuint32: 4294967296 fixed32: -1\n"
        "uint64: 18446744073709551616 int64: 9223372036854775808 sint64: -9223372036854775809\n"
        "fixed64: 340282366920938463463374607431768211456\n"
        "double: 1e309 float: 1e39 floats: [-1e39]\n",
        "1:10: int32s[0]: 2147483648 is out of range; write a whole number from -2147483648 to "
        "2147483647\n"
        "1:22: int32s[0]: -2147483649 is out of range; write a whole number from -2147483648 to "
        "2147483647\n"
        "1:35: int32s[0]: 0xffffffff is out of range; write a whole number from -2147483648 to "
        "2147483647\n"
        "2:9: uint32: 4294967296 is out of range; write a whole number from 0 to 4294967295\n"
        "2:29: fixed32: -1 is out of range; write a whole number from 0 to 4294967295\n"
        "3:9: uint64: 18446744073709551616 is out of range; write a whole number from 0 to "
        "18446744073709551615\n"
        "3:37: int64: 9223372036854775808 is out of range; write a whole number from "
        "-9223372036854775808 to 9223372036854775807\n"
        "3:65: sint64: -9223372036854775809 is out of range; write a whole number from "
        "-9223372036854775808 to 9223372036854775807\n"
        "4:10: fixed64: 340282366920938463463374607431768211456 is out of range; write a whole "
        "number from 0 to 18446744073709551615\n"
        "5:9: double: 1e309 is out of range; write a number, such as 2.5\n"
        "5:22: float: 1e39 is out of range; write a number, such as 2.5\n"
        "5:36: floats[0]: -1e39 is out of range; write a number, such as 2.5\n");
}

static void a_number_may_not_be_a_book(void **state)
{
    char text[200] = "double: ";

    (void)state;
    memset(text + 8, '1', 128);
    assert_every_errors(text,
                        "1:9: double: 1111111111111111111111111111111111111111... is too long; "
                        "write a number, such as 2.5\n");
    text[8 + 127] = '\0';
    assert_every_errors(text, "");
}

static void what_is_wrong_in_a_string_is_told_where_it_is(void **state)
{
    (void)state;
    assert_every_errors(
        "string: 'a\\qb\\\xc3\xa4' \"\\x\"\nstrings: ['\\u12', \"\\ud800\", '\\udc00', "
        "'\\ud83d\\u0041',\n"
        "'\\U00110000', '\\400', 'a\\0']\n",
        "1:11: string: there is no escape \\q; write \\\\ for a backslash\n"
        "1:14: string: there is no escape \\\xc3\xa4; write \\\\ for a backslash\n"
        "1:20: string: the escape is cut short; write \\x and two hexadecimal digits\n"
        "2:12: strings[0]: the escape is cut short; write \\u and 4 hexadecimal digits\n"
        "2:20: strings[0]: \\ud800 is no character; write one up to \\U0010ffff that is no half\n"
        "2:30: strings[0]: \\udc00 is no character; write one up to \\U0010ffff that is no half\n"
        "2:40: strings[0]: \\ud83d is no character; write one up to \\U0010ffff that is no half\n"
        "3:2: strings[0]: \\U00110000 is no character; write one up to \\U0010ffff that is no "
        "half\n"
        "3:16: strings[0]: \\400 is above \\377, the last byte; write a smaller one\n"
        "3:25: strings[0]: a string cannot hold a zero byte; leave it out\n");
    assert_every_errors(
        "string: 'ab' \"\\xff\"\nstrings: '\xc3(' strings: '\xed\xa0\x80'",
        "1:9: string: byte 3 of the string, \\xff, is not UTF-8; write it as UTF-8\n"
        "2:10: strings[0]: byte 1 of the string, \\xc3, is not UTF-8; write it as "
        "UTF-8\n"
        "2:24: strings[0]: byte 1 of the string, \\xed, is not UTF-8; write it as "
        "UTF-8\n");
}

static void a_zero_byte_is_no_end(void **state)
{
    static const char text[] = "string: 'a\0b' \0 int32: x";
    struct reading reading;

    (void)state;
    reading_start_bytes(&reading, &test__every__descriptor, text, sizeof(text) - 1);
    reading_assert_errors(&reading,
                          "1:11: string: a string cannot hold a zero byte; leave it out\n");
    reading_stop(&reading);
}

static void a_string_ends_in_its_line(void **state)
{
    (void)state;
    assert_every_errors(
        "string: 'ab\nint32: x\r\nbytes: \"c\\\r\nstrings: ['a', \"b]\nbool: 3",
        "1:9: string: the string does not end in its line; write ' behind it\n"
        "2:8: int32: x is not a whole number; write a whole number from -2147483648 "
        "to 2147483647\n"
        "3:8: bytes: the string does not end in its line; write \" behind it\n"
        "4:16: strings[1]: the string does not end in its line; write \" behind it\n"
        "5:1: strings[1]: the \"[\" of line 4, column 10 is not closed; write \"]\"\n"
        "5:7: bool: 3 is neither true nor false; write true or false\n");
}

static void a_value_that_is_missing_takes_no_other(void **state)
{
    (void)state;
    assert_every_errors(
        "int32:\nint64: 1\nevery { bool: } string;\nstrings: [, 'a',]\nuint32 every {}"
        " colour:",
        "2:1: int32: the value is missing; write a whole number from -2147483648 to "
        "2147483647\n"
        "3:15: every.bool: the value is missing; write true or false\n"
        "3:23: string: the value is missing; write a string in quotes, such as "
        "\"text\"\n"
        "4:11: strings[0]: the value is missing; write a string in quotes, such as "
        "\"text\"\n"
        "4:17: strings[1]: the value is missing; write a string in quotes, such as "
        "\"text\"\n"
        "5:8: uint32: the value is missing; write a whole number from 0 to "
        "4294967295\n"
        "5:8: every: is given twice, first in line 3; leave one of them out\n"
        "5:24: colour: the value is missing; write INFRARED, RED or GREEN\n");
}

static void a_colon_is_missed_before_scalars(void **state)
{
    (void)state;
    assert_every_errors(
        "int32 1 string 'a' int32s [1] every {} everies [{}] bool = t, uint32 : = 5",
        "1:7: int32: \":\" is missing behind the name; write it\n"
        "1:16: string: \":\" is missing behind the name; write it\n"
        "1:27: int32s[0]: \":\" is missing behind the name; write it\n"
        "1:58: bool: \"=\" is not of this format; write \":\"\n"
        "1:72: uint32: = is no value; write a whole number from 0 to 4294967295\n");
}

static void separators_are_where_they_belong(void **state)
{
    (void)state;
    assert_every_errors(", int32: 1,; int64: 2;; every {;} int32s: [1 2; 3,, 4]",
                        "1:1: \",\" is behind no value; leave it out\n"
                        "1:12: \";\" is behind no value; leave it out\n"
                        "1:23: \";\" is behind no value; leave it out\n"
                        "1:32: every: \";\" is behind no value; leave it out\n"
                        "1:46: int32s[1]: \",\" is missing between two values; write it\n"
                        "1:47: int32s[2]: \";\" is not for lists; write \",\"\n"
                        "1:51: int32s[3]: the value is missing; write a whole number from "
                        "-2147483648 to 2147483647\n");
}

static void a_bracket_that_misses_is_told_with_the_one_it_would_close(void **state)
{
    (void)state;
    assert_proxy_errors("listener {\n address: 'x'\n",
                        "3:1: listener[0]: the \"{\" of line 1, column 10 "
                        "is not closed; write \"}\"\n");
    /* What follows is known outside only: one mistake, not one for each field. */
    assert_proxy_errors(
        "listener {\n route {\n  upstream: 'u'\nupstream { name: 'u' }\nlog {}\n"
        "listener { route { name: 'a' }",
        "4:1: listener[0].route[0]: the \"{\" of line 2, column 8 is not closed; write \"}\"\n"
        "4:1: listener[0]: the \"{\" of line 1, column 10 is not closed; write \"}\"\n"
        "6:31: listener[1]: the \"{\" of line 6, column 10 is not closed; write \"}\"\n");
    assert_proxy_errors(
        "listener {\n address: 'x'\nupstream {\n name: 'u'\n}\nlog { level: INFO }\n",
        "3:1: listener[0]: the \"{\" of line 1, column 10 is not closed; write \"}\"\n");
    assert_proxy_errors(
        "admin { allow_from: ['a', 'b'\n address: 'c' }\nlog <",
        "2:2: admin.allow_from[2]: the \"[\" of line 1, column 21 is not closed; write "
        "\"]\"\n"
        "3:6: log: the \"<\" of line 3, column 5 is not closed; write \">\"\n");
    assert_proxy_errors("x [ { ",
                        "1:1: x: Proxy has no such field; write listener, upstream, log, "
                        "admin, process or drain_timeout_seconds\n"
                        "1:7: x: the \"[\" of line 1, column 3 is not closed; write \"]\"\n");
    /* One bracket misses, so that what else is in a wrong place is told to be. */
    assert_proxy_errors("log { level: INFO\nadmin { address: 'x' }\nlistener { admin {} }",
                        "2:1: log: the \"{\" of line 1, column 5 is not closed; write \"}\"\n"
                        "3:12: listener[0].admin: Listener has no such field; write it outside, in "
                        "Proxy\n");
}

static void a_bracket_that_closes_nothing_is_told(void **state)
{
    (void)state;
    assert_proxy_errors("log {} }\nadmin { ] > listener { address: 'a' }",
                        "1:8: \"}\" closes nothing; leave it out\n"
                        "2:9: admin: \"]\" closes nothing; leave it out\n"
                        "2:11: admin: \">\" does not close the \"{\" of line 2; write \"}\"\n");
}

static void what_is_no_name_is_passed_over_to_the_next_field(void **state)
{
    (void)state;
    assert_every_errors(
        "int32: 1 2 3 'x' {a: 1}\nint64: x\n\xe2\x80\x9c: 5\nbool: 7\n[a.b/c] { } %, bytes: 1\n"
        "5: 5; float: y\n",
        "1:10: 2 is no field's name; write one\n"
        "2:8: int64: x is not a whole number; write a whole number from "
        "-9223372036854775808 to 9223372036854775807\n"
        "3:1: \xe2\x80\x9c is no field's name; write one\n"
        "4:7: bool: 7 is neither true nor false; write true or false\n"
        "5:1: extensions are not supported; write a field's name\n"
        "5:23: bytes: 1 is not in quotes; write \"1\"\n"
        "6:1: 5 is no field's name; write one\n"
        "6:14: float: y is not a decimal number; write a number, such as 2.5\n");
}

static void what_is_given_twice_is_looked_at_all_the_same(void **state)
{
    struct reading reading;

    (void)state;
    reading_start(&reading, &test__every__descriptor,
                  "int32: 1\nint32: 2 every { int32: 3 }\nevery { int64: 4 bool: 5 string: 's' }\n"
                  "string: 'a' string: 'b'");
    reading_assert_errors(&reading,
                          "2:1: int32: is given twice, first in line 1; leave one of them out\n"
                          "3:1: every: is given twice, first in line 2; leave one of them out\n"
                          "3:24: every.bool: 5 is neither true nor false; write true or false\n"
                          "4:13: string: is given twice, first in line 4; leave one of them out\n");
    const Test__Every *e = (const Test__Every *)reading.message;
    assert_int_equal(e->int32, 1);
    assert_int_equal(e->every->int32, 3);
    assert_false(e->every->has_int64);
    assert_string_equal(e->string, "a");
    assert_int_equal(places_find(&reading.places, e, 1, 0)->line, 1);
    assert_int_equal(places_find(&reading.places, e, 15, 0)->line, 4);
    /* Two messages, their two fields, and the string: nothing of what was only looked at. */
    assert_int_equal(reading.places.count, 6);
    reading_stop(&reading);
}

static void a_choice_is_made_once(void **state)
{
    (void)state;
    assert_every_errors("number: 1\ntext: 'x' number: 2 every { none {} octets: '' }",
                        "2:1: text: excludes number of line 1; leave one of them out\n"
                        "2:11: number: is given twice, first in line 1; leave one of them out\n"
                        "2:37: every.octets: excludes none of line 2; leave one of them out\n");
}

static void what_is_required_is_missed(void **state)
{
    (void)state;
    assert_every_errors("strict { number: 'x' }\nevery { strict {} }",
                        "1:18: strict.number: 'x' is a string; write a whole number from 0 to "
                        "4294967295\n"
                        "1:8: strict: the field name is missing; write it\n"
                        "2:16: every.strict: the field name is missing; write it\n"
                        "2:16: every.strict: the field number is missing; write it\n");
}

static void nesting_has_an_end(void **state)
{
    char text[TEXT_NESTING_MAX * 12 + 100] = "";

    (void)state;
    for (int i = 0; i < TEXT_NESTING_MAX; i++)
        strcat(text, "every{");
    strcat(text, "every { x [ } {] }");
    for (int i = 0; i < TEXT_NESTING_MAX; i++)
        strcat(text, "}");
    struct reading reading;
    reading_start(&reading, &test__every__descriptor, text);
    assert_int_equal(reading.errors.total, 1);
    assert_non_null(
        strstr(reading.errors.texts[0], ".every: is nested too deep; 32 levels are possible"));
    assert_int_equal(strncmp(reading.errors.texts[0], "f:1:199: every.every.", 21), 0);
    reading_stop(&reading);
}

/* What could be read is there, what could not has a place though it is not there. */
static void what_could_be_read_is_kept(void **state)
{
    struct reading reading;

    (void)state;
    reading_start(
        &reading, &turbotls__v1__proxy__descriptor,
        "listener { adress: 'x' name: 5 udp_port: 7 proxy_protocol_from: ['a', 5, 'b', 6] }\n"
        "lisstener {} admin: 5 proces {} drain_timeout_seconds: [1]");
    assert_int_equal(reading.errors.total, 8);
    const Turbotls__V1__Proxy *p = (const Turbotls__V1__Proxy *)reading.message;
    assert_int_equal(p->n_listener, 1);
    const Turbotls__V1__Listener *l = p->listener[0];
    assert_int_equal(l->udp_port, 7);
    assert_int_equal(l->n_proxy_protocol_from, 2);
    assert_string_equal(l->proxy_protocol_from[1], "b");
    assert_int_equal(places_find(&reading.places, l, 7, 1)->column, 74);
    assert_int_equal(places_find(&reading.places, l, 7, 2)->column, 79);
    assert_int_equal(places_find(&reading.places, l, 3, 0)->column, 12);
    assert_null(l->name);
    assert_int_equal(places_find(&reading.places, l, 1, 0)->column, 30);
    assert_int_equal(places_find(&reading.places, p, 1, 0)->line, 1);
    assert_int_equal(places_find(&reading.places, p, 1, 1)->line, 2);
    assert_null(p->admin);
    assert_int_equal(places_find(&reading.places, p, 4, 0)->column, 21);
    assert_int_equal(places_find(&reading.places, p, 5, 0)->column, 23);
    assert_int_equal(places_find(&reading.places, p, 6, 0)->column, 56);
    reading_stop(&reading);
}

static void no_more_than_can_be_read_are_told(void **state)
{
    char text[5 * (CONFIG_ERRORS_MAX + 50) + 1] = "";
    struct reading reading;

    (void)state;
    for (int i = 0; i < CONFIG_ERRORS_MAX + 50; i++)
        strcat(text, i % 2 == 0 ? "a:1 \n" : "log:1");
    reading_start(&reading, &turbotls__v1__proxy__descriptor, text);
    assert_int_equal(reading.errors.count, CONFIG_ERRORS_MAX);
    assert_true(reading.errors.total > CONFIG_ERRORS_MAX);
    reading_stop(&reading);
}

static void what_is_shown_of_the_file_is_short(void **state)
{
    char text[3000];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    memcpy(text + 1000, ": ", 2);
    assert_proxy_errors(
        text,
        "1:1: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: Proxy has no such field; write listener, "
        "upstream, log, admin, process or drain_timeout_seconds\n");
    memcpy(text, "admin{address: ", 15);
    text[1000] = '}';
    text[1001] = '\0';
    assert_proxy_errors(
        text, "1:16: admin.address: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa... is a name; write a "
              "string in quotes, such as \"text\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ten_different_mistakes_are_ten_errors),
        CASE(an_unknown_field_is_told_with_those_there_are),
        CASE(a_field_of_what_is_around_is_told_to_belong_there),
        CASE(a_wrong_type_is_told_with_the_right_one),
        CASE(a_string_without_quotes_is_one_mistake),
        CASE(a_password_is_not_told),
        CASE(a_colon_in_an_unquoted_string_begins_no_field),
        CASE(what_hangs_together_is_one_mistake),
        CASE(numbers_beyond_their_type_are_out_of_range),
        CASE(a_number_may_not_be_a_book),
        CASE(what_is_wrong_in_a_string_is_told_where_it_is),
        CASE(a_zero_byte_is_no_end),
        CASE(a_string_ends_in_its_line),
        CASE(a_value_that_is_missing_takes_no_other),
        CASE(a_colon_is_missed_before_scalars),
        CASE(separators_are_where_they_belong),
        CASE(a_bracket_that_misses_is_told_with_the_one_it_would_close),
        CASE(a_bracket_that_closes_nothing_is_told),
        CASE(what_is_no_name_is_passed_over_to_the_next_field),
        CASE(what_is_given_twice_is_looked_at_all_the_same),
        CASE(a_choice_is_made_once),
        CASE(what_is_required_is_missed),
        CASE(nesting_has_an_end),
        CASE(what_could_be_read_is_kept),
        CASE(no_more_than_can_be_read_are_told),
        CASE(what_is_shown_of_the_file_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
