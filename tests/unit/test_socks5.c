/* SOCKS5: greetings, logins, requests, replies; and what speaks something else. */
#include "tests/unit/support/prelude_talk.h"

#include <stdlib.h>

static void hold(const struct talk *talks, size_t count)
{
    talks_hold(&prelude_socks5, NULL, talks, count);
}

#define OPEN         PEER("\x05\x01\x00"), WE("\x05\x00")
#define TO(address)  "\x05\x01\x00" address
#define V4           "\x01\xc0\x00\x02\x01\x01\xbb"
#define NAME         "\x03\x0bwww.example\x01\xbb"
#define CLIENT_HELLO "\x16\x03\x01\x00\x05hello"
#define NOWHERE      "\x00\x01\x00\x00\x00\x00\x00\x00"

/* ---- greetings ---- */

static void test_greetings(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"no login", {PEER("\x05\x01\x00"), WE("\x05\x00")}, MORE},
        {"curl, that offers GSSAPI", {PEER("\x05\x02\x00\x01"), WE("\x05\x00")}, MORE},
        {"curl, that has a password", {PEER("\x05\x03\x00\x01\x02"), WE("\x05\x00")}, MORE},
        {"Java, ncat", {PEER("\x05\x02\x00\x02"), WE("\x05\x00")}, MORE},
        {"no login, at last", {PEER("\x05\x03\x01\x02\x00"), WE("\x05\x00")}, MORE},
        {"only a login", {PEER("\x05\x01\x02"), WE("\x05\xff")}, OVER(PRELUDE_REFUSED)},
        {"only GSSAPI", {PEER("\x05\x01\x01"), WE("\x05\xff")}, OVER(PRELUDE_REFUSED)},
        {"nothing", {PEER("\x05\x00"), WE("\x05\xff")}, OVER(PRELUDE_REFUSED)},
        {"half", {PEER("\x05\x02\x00")}, MORE},
        {"half, and the end", {PEER("\x05\x02\x00"), END}, OVER(PRELUDE_CUT_SHORT)},
        {"SOCKS4", {PEER("\x04\x01\x01\xbb"), WE("\0\x5b\0\0\0\0\0\0")}, OVER(PRELUDE_MALFORMED)},
        {"HTTP",
         {PEER("GET / HTTP/1.1\r\n"),
          WE("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
             "This port speaks SOCKS5, not HTTP.\n")},
         OVER(PRELUDE_MALFORMED)},
        {"TLS", {PEER(CLIENT_HELLO)}, OVER(PRELUDE_MALFORMED)},
        {"version 6", {PEER("\x06\x01\x00")}, OVER(PRELUDE_MALFORMED)},
        {"version 0", {PEER("\x00\x01\x00")}, OVER(PRELUDE_MALFORMED)},
        {"lower case", {PEER("get /")}, OVER(PRELUDE_MALFORMED)},
    };
    hold(talks, COUNT(talks));
}

static void test_255_methods(void **state)
{
    (void)state;
    char greeting[2 + 255] = "\x05\xff";

    memset(greeting + 2, 0x80, 254); /* the last is 0 */
    struct talk talk = {
        .title = "255 methods",
        .lines = {{.kind = TALK_PEER, .bytes = greeting, .length = sizeof(greeting)},
                  WE("\x05\x00")},
        MORE,
    };
    hold(&talk, 1);
}

/* ---- logins ---- */

static char long_text[256];

static const struct prelude_login logins[] = {
    {"alice", "wonderland"}, {"bob", "builder"}, {"", "nobody"}, {long_text, long_text}};
static const struct prelude_setting with_logins = {
    .name = "[192.0.2.1]", .logins = logins, .login_count = COUNT(logins)};

#define LOGIN PEER("\x05\x02\x00\x02"), WE("\x05\x02")
#define RIGHT WE("\x01\x00")
#define WRONG WE("\x01\x01")

static void test_logins(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"the first",
         {LOGIN,
          PEER("\x01\x05"
               "alice\x0awonderland"),
          RIGHT},
         MORE},
        {"the second",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x07"
               "builder"),
          RIGHT},
         MORE},
        {"of no name", {LOGIN, PEER("\x01\x00\x06nobody"), RIGHT}, MORE},
        {"to the end",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x07"
               "builder"),
          RIGHT, PEER(TO(NAME)), ASKS("www.example", 443)},
         .state = PRELUDE_ASKED},
        {"other's password",
         {LOGIN,
          PEER("\x01\x05"
               "alice\x07"
               "builder"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"other's name",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x0awonderland"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"last byte",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x07"
               "buildeR"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"first byte",
         {LOGIN,
          PEER("\x01\x03"
               "Bob\x07"
               "builder"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"shorter",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x06"
               "builde"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"longer",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x08"
               "builders"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"longer by a zero",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x08"
               "builder\0"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"name longer by a zero",
         {LOGIN,
          PEER("\x01\x04"
               "bob\0\x07"
               "builder"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"empty", {LOGIN, PEER("\x01\x00\x00"), WRONG}, OVER(PRELUDE_NO_LOGIN)},
        {"no password",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x00"),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"wrong, and goes on",
         {LOGIN,
          PEER("\x01\x03"
               "bob\x00" TO(NAME)),
          WRONG},
         OVER(PRELUDE_NO_LOGIN)},
        {"wrong version",
         {LOGIN, PEER("\x05\x03"
                      "bob\x07"
                      "builder")},
         OVER(PRELUDE_MALFORMED)},
        {"no login", {PEER("\x05\x01\x00"), WE("\x05\xff")}, OVER(PRELUDE_NO_LOGIN)},
        {"the request at once", {LOGIN, PEER(TO(NAME))}, OVER(PRELUDE_MALFORMED)},
        {"half",
         {LOGIN, PEER("\x01\x03"
                      "bob\x07"
                      "builde")},
         MORE},
    };
    talks_hold(&prelude_socks5, &with_logins, talks, COUNT(talks));
}

static void hold_long_login(size_t configured, size_t last_byte, struct talk_line answer,
                            enum prelude_state expected, enum prelude_fault fault)
{
    char message[1 + 2 * (1 + 255)];
    char text[300] = {0};
    struct prelude_login login = {text, text};
    struct prelude_setting setting = {.name = "", .logins = &login, .login_count = 1};

    memset(text, 'x', configured);
    memset(message, 'x', sizeof(message));
    message[0] = 1;
    message[1] = message[1 + 256] = (char)255;
    message[sizeof(message) - 1] = (char)last_byte;
    struct talk talk = {
        .title = "the longest login",
        .lines = {LOGIN, {.kind = TALK_PEER, .bytes = message, .length = sizeof(message)}, answer},
        .state = expected,
        .fault = fault,
    };
    talks_hold(&prelude_socks5, &setting, &talk, 1);
}

static void test_the_longest_login(void **state)
{
    (void)state;
    struct talk_line right = RIGHT, wrong = WRONG;

    hold_long_login(255, 'x', right, PRELUDE_MORE, PRELUDE_NO_FAULT);
    hold_long_login(255, 'y', wrong, PRELUDE_OVER, PRELUDE_NO_LOGIN);
    hold_long_login(254, 'x', wrong, PRELUDE_OVER, PRELUDE_NO_LOGIN);
    /* One that nobody can say matches nothing that somebody does. */
    hold_long_login(256, 'x', wrong, PRELUDE_OVER, PRELUDE_NO_LOGIN);
}

/* ---- requests ---- */

static void test_requests(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"IPv4", {OPEN, PEER(TO(V4)), ASKS("192.0.2.1", 443)}, .state = PRELUDE_ASKED},
        {"a name", {OPEN, PEER(TO(NAME)), ASKS("www.example", 443)}, .state = PRELUDE_ASKED},
        {"IPv6",
         {OPEN, PEER(TO("\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff")),
          ASKS("2001:db8::1", 65535)},
         .state = PRELUDE_ASKED},
        {"mapped IPv4",
         {OPEN, PEER(TO("\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01\0\1")),
          ASKS("192.0.2.1", 1)},
         .state = PRELUDE_ASKED},
        {"IPv4 in text",
         {OPEN,
          PEER(TO("\x03\x09"
                  "192.0.2.1\x01\xbb")),
          ASKS("192.0.2.1", 443)},
         .state = PRELUDE_ASKED},
        {"IPv6 in text, as Chromium has it",
         {OPEN,
          PEER(TO("\x03\x0d"
                  "2001:DB8::0:1\x01\xbb")),
          ASKS("2001:db8::1", 443)},
         .state = PRELUDE_ASKED},
        {"half", {OPEN, PEER("\x05\x01\x00\x03\x0bwww.example\x01")}, MORE},
        {"half, and the end",
         {OPEN, PEER("\x05\x01\x00\x03\x0bwww"), END},
         OVER(PRELUDE_CUT_SHORT)},
        {"the end", {OPEN, PEER(TO(NAME)), ASKS("www.example", 443), END}, OVER(PRELUDE_CUT_SHORT)},
    };
    hold(talks, COUNT(talks));
}

#define REFUSED_WITH(code) WE("\x05" code "\x00\x01\0\0\0\0\0\0")

static void test_requests_that_are_refused(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"BIND", {OPEN, PEER("\x05\x02\x00" V4), REFUSED_WITH("\x07")}, OVER(PRELUDE_REFUSED)},
        {"UDP", {OPEN, PEER("\x05\x03\x00" NAME), REFUSED_WITH("\x07")}, OVER(PRELUDE_REFUSED)},
        {"Tor's RESOLVE",
         {OPEN, PEER("\x05\xf0\x00" NAME), REFUSED_WITH("\x07")},
         OVER(PRELUDE_REFUSED)},
        {"command 0", {OPEN, PEER("\x05\x00\x00" V4), REFUSED_WITH("\x07")}, OVER(PRELUDE_REFUSED)},
        {"type 2", {OPEN, PEER("\x05\x01\x00\x02"), REFUSED_WITH("\x08")}, OVER(PRELUDE_REFUSED)},
        {"type 0", {OPEN, PEER("\x05\x01\x00\x00"), REFUSED_WITH("\x08")}, OVER(PRELUDE_REFUSED)},
        {"type 5", {OPEN, PEER("\x05\x01\x00\x05"), REFUSED_WITH("\x08")}, OVER(PRELUDE_REFUSED)},
        {"version 4", {OPEN, PEER("\x04\x01\x00" V4)}, OVER(PRELUDE_MALFORMED)},
        {"version 1",
         {OPEN, PEER("\x01\x03"
                     "bob\x07"
                     "builder")},
         OVER(PRELUDE_MALFORMED)},
        {"reserved",
         {OPEN, PEER("\x05\x01\x01" V4), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"port 0",
         {OPEN, PEER(TO("\x01\xc0\x00\x02\x01\0\0")), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"port 0 of a name",
         {OPEN,
          PEER(TO("\x03\x01"
                  "a\0\0")),
          REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"no name",
         {OPEN, PEER(TO("\x03\x00\x01\xbb")), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"zero in a name",
         {OPEN, PEER(TO("\x03\x0bwww\0example\x01\xbb")), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"zero behind a name",
         {OPEN, PEER(TO("\x03\x0cwww.example\0\x01\xbb")), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"space in a name",
         {OPEN, PEER(TO("\x03\x0bwww example\x01\xbb")), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"scope",
         {OPEN,
          PEER(TO("\x03\x0a"
                  "fe80::1%lo\x01\xbb")),
          REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"brackets",
         {OPEN, PEER(TO("\x03\x0d[2001:db8::1]\x01\xbb")), REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
        {"what inet_aton takes",
         {OPEN,
          PEER(TO("\x03\x05"
                  "127.1\x01\xbb")),
          REFUSED_WITH("\x01")},
         OVER(PRELUDE_MALFORMED)},
    };
    hold(talks, COUNT(talks));
}

static void test_names_of_255_bytes(void **state)
{
    (void)state;
    char request[5 + 255 + 2];

    memset(request, 'a', sizeof(request));
    memcpy(request, "\x05\x01\x00\x03\xff", 5);
    for (size_t i = 5 + 63; i < 5 + 255; i += 64)
        request[i] = '.';
    memcpy(request + 5 + 255, "\x01\xbb", 2);
    struct talk talk = {
        .title = "255 bytes",
        .lines = {OPEN,
                  {.kind = TALK_PEER, .bytes = request, .length = sizeof(request)},
                  REFUSED_WITH("\x01")},
        OVER(PRELUDE_MALFORMED),
    };
    hold(&talk, 1);
}

/* ---- replies ---- */

#define ASK OPEN, PEER(TO(NAME)), ASKS("www.example", 443)

static void test_replies(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"connected", {ASK, ANSWER(PRELUDE_CONNECTED), WE("\x05\x00" NOWHERE)}, DONE},
        {"forbidden",
         {ASK, ANSWER(PRELUDE_FORBIDDEN), WE("\x05\x02" NOWHERE)},
         OVER(PRELUDE_REFUSED)},
        {"not found",
         {ASK, ANSWER(PRELUDE_NOT_FOUND), WE("\x05\x04" NOWHERE)},
         OVER(PRELUDE_REFUSED)},
        {"refused there",
         {ASK, ANSWER(PRELUDE_REFUSED_THERE), WE("\x05\x05" NOWHERE)},
         OVER(PRELUDE_REFUSED)},
        {"no way", {ASK, ANSWER(PRELUDE_NO_WAY), WE("\x05\x03" NOWHERE)}, OVER(PRELUDE_REFUSED)},
        {"timed out",
         {ASK, ANSWER(PRELUDE_TIMED_OUT), WE("\x05\x04" NOWHERE)},
         OVER(PRELUDE_REFUSED)},
        {"unavailable",
         {ASK, ANSWER(PRELUDE_UNAVAILABLE), WE("\x05\x01" NOWHERE)},
         OVER(PRELUDE_REFUSED)},
        {"TLS at once",
         {OPEN, PEER(TO(NAME) CLIENT_HELLO), ASKS("www.example", 443), ANSWER(PRELUDE_CONNECTED),
          WE("\x05\x00" NOWHERE)},
         DONE_REST(CLIENT_HELLO)},
        {"all at once",
         {PEER("\x05\x01\x00" TO(V4) CLIENT_HELLO), WE("\x05\x00"), ASKS("192.0.2.1", 443),
          ANSWER(PRELUDE_CONNECTED), WE("\x05\x00" NOWHERE)},
         DONE_REST(CLIENT_HELLO)},
    };
    hold(talks, COUNT(talks));
}

/* Who says everything in one go has it taken in one go, as long as TLS begins in the usual way. */
static void test_a_long_beginning_is_taken_whole(void **state)
{
    (void)state;
    static const struct prelude_setting nobody = {.name = ""};
    static const char front[] = "\x05\x01\x00" TO(NAME);
    uint8_t bytes[sizeof(front) - 1 + 2000];
    void *memory = malloc(prelude_bytes(&prelude_socks5));
    const uint8_t *data;

    assert_non_null(memory);
    memset(bytes, 0x16, sizeof(bytes));
    memcpy(bytes, front, sizeof(front) - 1);
    struct prelude *p = prelude_init(memory, &prelude_socks5, &nobody);
    assert_int_equal(prelude_push(p, bytes, sizeof(bytes)), sizeof(bytes));
    prelude_consume(p, prelude_peek(p, &data));
    assert_int_equal(prelude_state(p), PRELUDE_ASKED);
    prelude_answer(p, PRELUDE_CONNECTED);
    assert_int_equal(prelude_rest(p, &data), 2000);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_255_methods),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_the_longest_login),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_requests_that_are_refused),
        cmocka_unit_test(test_names_of_255_bytes),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_a_long_beginning_is_taken_whole),
    };
    memset(long_text, 'x', 255);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
