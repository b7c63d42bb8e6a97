/* LDAP until StartTLS, as the server and as the client. */
#include "tests/unit/support/prelude_talk.h"

#include "proxy/prelude/ber.h"

#define STARTTLS     "1.3.6.1.4.1.1466.20037"
#define DISCONNECTED "1.3.6.1.4.1.1466.20036"
#define CLIENT_HELLO "\x16\x03\x01\x00\x05hello"

/* ldapsearch's (OpenLDAP 2.5). */
#define START_TLS "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" STARTTLS
#define BIND                                                                                       \
    "\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04"                                             \
    "cn=a\x80\x01"                                                                                 \
    "b"
#define UNBIND "\x30\x05\x02\x01\x01\x42\x00"

#define STARTED "\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16" STARTTLS
/* The answer `tag` to message `id`. */
#define TLS_FIRST(id, tag)                                                                         \
    "\x30\x24\x02\x01" id tag "\x1f\x0a\x01\x0d\x04\x00\x04\x18StartTLS must come first"
/* The lengths of message, response and diagnostic. */
#define NOTICE(a, b, c, why)                                                                       \
    "\x30" a "\x02\x01\x00\x78" b "\x0a\x01\x02\x04\x00\x04" c why "\x8a\x16" DISCONNECTED
#define NO_MESSAGE NOTICE("\x48", "\x43", "\x24", "this is no LDAP message, or too long")
#define NO_REQUEST NOTICE("\x36", "\x31", "\x12", "this is no request")

static void hold_server(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_server(STARTTLS_LDAP), NULL, talks, count);
}

static void clients_are_led_to_starttls(void **state)
{
    static const struct talk talks[] = {
        {"ldapsearch -ZZ", {PEER(START_TLS), WE(STARTED)}, DONE},
        {"lengths as Microsoft's",
         {PEER("\x30\x84\0\0\0\x21\x02\x01\x01\x77\x84\0\0\0\x18\x80\x16" STARTTLS), WE(STARTED)},
         DONE},
        {"controls",
         {PEER("\x30\x37\x02\x01\x01\x77\x18\x80\x16" STARTTLS "\xa0\x18\x30\x16\x04\x14"
               "2.16.840.1.113730.3."),
          WE(STARTED)},
         DONE},
        {"a longer message ID",
         {PEER("\x30\x20\x02\x04\x7f\xff\xff\xff\x77\x18\x80\x16" STARTTLS),
          WE("\x30\x27\x02\x04\x7f\xff\xff\xff\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a"
             "\x16" STARTTLS)},
         DONE},
        {"message ID 128, that takes two octets",
         {PEER("\x30\x1e\x02\x02\x00\x80\x77\x18\x80\x16" STARTTLS),
          WE("\x30\x25\x02\x02\x00\x80\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16" STARTTLS)},
         DONE},
        {"message ID 127, that takes one",
         {PEER("\x30\x20\x02\x04\x00\x00\x00\x7f\x77\x18\x80\x16" STARTTLS),
          WE("\x30\x24\x02\x01\x7f\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16" STARTTLS)},
         DONE},
        {"half",
         {PEER("\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
               "1.3.6")},
         MORE},
        {"the end", {PEER("\x30\x1d\x02\x01\x01\x77\x18\x80"), END}, OVER(PRELUDE_CUT_SHORT)},
        {"unbind", {PEER(UNBIND)}, OVER(PRELUDE_LEFT)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void everything_else_needs_tls_first(void **state)
{
    static const struct talk talks[] = {
        {"bind, and StartTLS all the same",
         {PEER(BIND), WE(TLS_FIRST("\x01", "\x61")), PEER(START_TLS), WE(STARTED)},
         DONE},
        {"search of the root DSE",
         {PEER("\x30\x25\x02\x01\x02\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01"
               "\x00\x01\x01\x00\x87\x0bobjectclass\x30\x00"),
          WE(TLS_FIRST("\x02", "\x65"))},
         MORE},
        {"modify", {PEER("\x30\x05\x02\x01\x03\x66\x00"), WE(TLS_FIRST("\x03", "\x67"))}, MORE},
        {"add", {PEER("\x30\x05\x02\x01\x04\x68\x00"), WE(TLS_FIRST("\x04", "\x69"))}, MORE},
        {"delete", {PEER("\x30\x06\x02\x01\x05\x4a\x01x"), WE(TLS_FIRST("\x05", "\x6b"))}, MORE},
        {"modify DN", {PEER("\x30\x05\x02\x01\x06\x6c\x00"), WE(TLS_FIRST("\x06", "\x6d"))}, MORE},
        {"compare", {PEER("\x30\x05\x02\x01\x07\x6e\x00"), WE(TLS_FIRST("\x07", "\x6f"))}, MORE},
        {"another extended operation",
         {PEER("\x30\x0a\x02\x01\x08\x77\x05\x80\x03"
               "1.3"),
          WE(TLS_FIRST("\x08", "\x78"))},
         MORE},
        {"one that has StartTLS's name and more",
         {PEER("\x30\x1e\x02\x01\x01\x77\x19\x80\x17" STARTTLS "1"), WE(TLS_FIRST("\x01", "\x78"))},
         MORE},
        {"abandon, which nothing answers",
         {PEER("\x30\x06\x02\x01\x09\x50\x01\x05"), PEER(UNBIND)},
         OVER(PRELUDE_LEFT)},
        {"StartTLS with a value",
         {PEER("\x30\x1f\x02\x01\x01\x77\x1a\x80\x16" STARTTLS "\x81\x00"),
          WE("\x30\x23\x02\x01\x01\x78\x1e\x0a\x01\x02\x04\x00\x04\x17StartTLS takes no value")},
         MORE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void what_is_no_request_is_hung_up_on(void **state)
{
    static const struct talk talks[] = {
        {"TLS at once", {PEER(CLIENT_HELLO), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"text", {PEER("EHLO x\r\n"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"a set", {PEER("\x31"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"indefinite length", {PEER("\x30\x80"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"a length of five octets", {PEER("\x30\x85"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"the reserved length", {PEER("\x30\xff"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"4 GiB", {PEER("\x30\x84\xff\xff\xff\xff"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"4093 and its front of four",
         {PEER("\x30\x82\x0f\xfd"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"4092", {PEER("\x30\x82\x0f\xfc")}, MORE},
        {"nothing in it", {PEER("\x30\x00"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"an ID alone", {PEER("\x30\x03\x02\x01\x01"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"no ID", {PEER("\x30\x02\x42\x00"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"an empty ID",
         {PEER("\x30\x04\x02\x00\x42\x00"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"a negative ID",
         {PEER("\x30\x05\x02\x01\x80\x42\x00"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"an ID of five octets",
         {PEER("\x30\x09\x02\x05\x00\x01\x02\x03\x04\x42\x00"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"an ID that leaves the message",
         {PEER("\x30\x03\x02\x02\x01"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"ID 0",
         {PEER("\x30\x05\x02\x01\x00\x42\x00"),
          WE(NOTICE("\x41", "\x3c", "\x1d", "a request has no message ID 0"))},
         OVER(PRELUDE_MALFORMED)},
        {"an operation that leaves the message",
         {PEER("\x30\x05\x02\x01\x01\x77\x01"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"something behind it",
         {PEER("\x30\x07\x02\x01\x01\x42\x00\x04\x00"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"something behind the controls",
         {PEER("\x30\x09\x02\x01\x01\x42\x00\xa0\x00\x04\x00"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"controls that leave the message",
         {PEER("\x30\x07\x02\x01\x01\x42\x00\xa0\x01"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"a long tag",
         {PEER("\x30\x06\x02\x01\x01\x7f\x20\x00"), WE(NO_MESSAGE)},
         OVER(PRELUDE_MALFORMED)},
        {"tag 0", {PEER("\x30\x05\x02\x01\x01\x00\x00"), WE(NO_MESSAGE)}, OVER(PRELUDE_MALFORMED)},
        {"a response",
         {PEER("\x30\x05\x02\x01\x01\x61\x00"), WE(NO_REQUEST)},
         OVER(PRELUDE_MALFORMED)},
        {"an unknown operation",
         {PEER("\x30\x05\x02\x01\x01\x7e\x00"), WE(NO_REQUEST)},
         OVER(PRELUDE_MALFORMED)},
        {"no name",
         {PEER("\x30\x05\x02\x01\x01\x77\x00"),
          WE(NOTICE("\x3f", "\x3a", "\x1b", "this is no extended request"))},
         OVER(PRELUDE_MALFORMED)},
        {"something behind the name",
         {PEER("\x30\x1f\x02\x01\x01\x77\x1a\x80\x16" STARTTLS "\x82\x00"),
          WE(NOTICE("\x3f", "\x3a", "\x1b", "this is no extended request"))},
         OVER(PRELUDE_MALFORMED)},
        {"a byte behind the name",
         {PEER("\x30\x1e\x02\x01\x01\x77\x19\x80\x16" STARTTLS "\x81"),
          WE(NOTICE("\x3f", "\x3a", "\x1b", "this is no extended request"))},
         OVER(PRELUDE_MALFORMED)},
        {"another byte behind the name",
         {PEER("\x30\x1e\x02\x01\x01\x77\x19\x80\x16" STARTTLS "\x82"),
          WE(NOTICE("\x3f", "\x3a", "\x1b", "this is no extended request"))},
         OVER(PRELUDE_MALFORMED)},
        {"a name that leaves the operation",
         {PEER("\x30\x1d\x02\x01\x01\x77\x18\x80\x17" STARTTLS),
          WE(NOTICE("\x3f", "\x3a", "\x1b", "this is no extended request"))},
         OVER(PRELUDE_MALFORMED)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void the_longest_message_is_heard_out(void **state)
{
    static char message[4096] = "\x30\x82\x0f\xfc\x02\x01\x01\x60\x82\x0f\xf5";
    const struct talk talk = {
        .title = "4096 bytes",
        .lines = {{.kind = TALK_PEER, .bytes = message, .length = sizeof(message)},
                  WE(TLS_FIRST("\x01", "\x61")),
                  PEER(START_TLS),
                  WE(STARTED)},
        DONE,
    };
    (void)state;

    hold_server(&talk, 1);
}

static void requests_before_starttls_are_counted(void **state)
{
    enum { MOST = 32 };
    static char requests[(MOST + 1) * (sizeof(BIND) - 1)];
    static char answers[MOST * (sizeof(TLS_FIRST("\x01", "\x61")) - 1)];
    struct talk talk = {
        .title = "one too many",
        .lines = {PEER_BYTES(requests, sizeof(requests)), WE_BYTES(answers, sizeof(answers)),
                  WE(NOTICE("\x45", "\x40", "\x21", "too many requests before StartTLS"))},
        OVER(PRELUDE_MALFORMED),
    };
    (void)state;

    for (size_t i = 0; i <= MOST; i++)
        memcpy(requests + i * (sizeof(BIND) - 1), BIND, sizeof(BIND) - 1);
    for (size_t i = 0; i < MOST; i++)
        memcpy(answers + i * (sizeof(answers) / MOST), TLS_FIRST("\x01", "\x61"),
               sizeof(answers) / MOST);
    hold_server(&talk, 1);
    talk.title = "as many as may be";
    talk.lines[0].length -= sizeof(BIND) - 1;
    talk.lines[2].kind = TALK_NOTHING;
    talk.state = PRELUDE_MORE;
    talk.fault = PRELUDE_NO_FAULT;
    hold_server(&talk, 1);
}

static void bytes_behind_starttls_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a bind", {PEER(START_TLS BIND)}, OVER(PRELUDE_INJECTED)},
        {"TLS, without waiting", {PEER(START_TLS CLIENT_HELLO)}, OVER(PRELUDE_INJECTED)},
        {"a byte", {PEER(START_TLS "\x30")}, OVER(PRELUDE_INJECTED)},
        {"behind another request",
         {PEER(BIND), WE(TLS_FIRST("\x01", "\x61")), PEER(START_TLS BIND)},
         OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

/* ---- as the client ---- */

#define ASKED WE(START_TLS)

static void hold_client(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_client(STARTTLS_LDAP), NULL, talks, count);
}

static void servers_are_asked(void **state)
{
    static const struct talk talks[] = {
        {"nothing yet", {ASKED}, MORE},
        {"yes", {ASKED, PEER("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")}, DONE},
        {"yes, by name", {ASKED, PEER(STARTED)}, DONE},
        {"lengths as Microsoft's",
         {ASKED, PEER("\x30\x84\0\0\0\x28\x02\x01\x01\x78\x84\0\0\0\x1f\x0a\x01\x00\x04\x00\x04\x00"
                      "\x8a\x16" STARTTLS)},
         DONE},
        {"yes, with a value",
         {ASKED, PEER("\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x00\x04\x00\x04\x00\x8b\x00")},
         DONE},
        {"half", {ASKED, PEER("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04")}, MORE},
        {"the end", {ASKED, PEER("\x30\x0c\x02"), END}, OVER(PRELUDE_CUT_SHORT)},
    };
    static const struct talk injected[] = {
        {"a bind's answer",
         {ASKED, PEER(STARTED "\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_INJECTED)},
        {"a byte", {ASKED, PEER(STARTED "\x16")}, OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
    hold_client(injected, COUNT(injected));
}

static void servers_that_refuse_are_believed(void **state)
{
    static const struct talk talks[] = {
        /* slapd's, without a certificate. */
        {"protocol error",
         {ASKED, PEER("\x30\x2a\x02\x01\x01\x78\x25\x0a\x01\x02\x04\x00\x04\x1eunsupported "
                      "extended operation")},
         OVER(PRELUDE_REFUSED),
         .noted = "unsupported extended operation"},
        {"without a word",
         {ASKED, PEER("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")},
         OVER(PRELUDE_REFUSED),
         .noted = "(result code 52)"},
        {"a byte",
         {ASKED, PEER("\x30\x0d\x02\x01\x01\x78\x08\x0a\x01\x34\x04\x00\x04\x01"
                      "x")},
         OVER(PRELUDE_REFUSED),
         .noted = "x"},
        {"words that are not printable",
         {ASKED, PEER("\x30\x0f\x02\x01\x01\x78\x0a\x0a\x01\x34\x04\x00\x04\x03"
                      "a\nb")},
         OVER(PRELUDE_REFUSED),
         .noted = "a?b"},
        {"a referral",
         {ASKED, PEER("\x30\x13\x02\x01\x01\x78\x0e\x0a\x01\x0a\x04\x00\x04\x00\xa3\x05\x04\x03"
                      "x:/")},
         OVER(PRELUDE_REFUSED),
         .noted = "(result code 10)"},
        {"disconnection",
         {ASKED, PEER("\x30\x28\x02\x01\x00\x78\x23\x0a\x01\x34\x04\x00\x04\x04"
                      "bye!\x8a\x16" DISCONNECTED)},
         OVER(PRELUDE_REFUSED),
         .noted = "bye!"},
        {"something unasked for that looks like success",
         {ASKED, PEER("\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_REFUSED),
         .noted = "(result code 0)"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void what_is_no_answer_is_none(void **state)
{
    static const struct talk talks[] = {
        {"to another request",
         {ASKED, PEER("\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"refusal of another request",
         {ASKED, PEER("\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x02\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"of another operation",
         {ASKED, PEER("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"of another name",
         {ASKED,
          PEER("\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16" DISCONNECTED)},
         OVER(PRELUDE_MALFORMED)},
        {"a request", {ASKED, PEER(START_TLS)}, OVER(PRELUDE_MALFORMED)},
        {"no result", {ASKED, PEER("\x30\x05\x02\x01\x01\x78\x00")}, OVER(PRELUDE_MALFORMED)},
        {"half a result",
         {ASKED, PEER("\x30\x0a\x02\x01\x01\x78\x05\x0a\x01\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"an integer for a result code",
         {ASKED, PEER("\x30\x0c\x02\x01\x01\x78\x07\x02\x01\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"no result code",
         {ASKED, PEER("\x30\x0b\x02\x01\x01\x78\x06\x0a\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"something behind the result",
         {ASKED, PEER("\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x00\x04\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"something behind the operation",
         {ASKED, PEER("\x30\x0e\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00\x04\x00")},
         OVER(PRELUDE_MALFORMED)},
        {"text", {ASKED, PEER("220 ready\r\n")}, OVER(PRELUDE_MALFORMED)},
        {"TLS", {ASKED, PEER("\x16\x03\x03")}, OVER(PRELUDE_MALFORMED)},
        {"too long", {ASKED, PEER("\x30\x83\x01\x00\x00")}, OVER(PRELUDE_MALFORMED)},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

/* ---- BER ---- */

static void numbers_are_read_once_and_right(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        bool good;
        uint32_t number;
    } numbers[] = {
        {"\x02\x01\x00", 3, true, 0},
        {"\x02\x01\x7f", 3, true, 127},
        {"\x02\x81\x01\x7f", 4, true, 127},
        {"\x02\x02\x00\xff", 4, true, 255},
        {"\x02\x04\x7f\xff\xff\xff", 6, true, 0x7fffffff},
        {"\x02\x04\x80\x00\x00\x00", 6, false, 0},
        {"\x02\x02\xff\x7f", 4, false, 0},
        {"\x0a\x01\x01", 3, false, 0},
        {"\x02\x02\x01", 3, false, 0},
        {"\x02", 1, false, 0},
        {"", 0, false, 0},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct reader in = reader_of((const uint8_t *)numbers[i].bytes, numbers[i].length);
        assert_int_equal(ber_number(&in, BER_INTEGER), numbers[i].number);
        assert_int_equal(in.ok, numbers[i].good);
        if (numbers[i].good)
            assert_int_equal(in.left, 0);
        /* Nothing more comes of it, or of one that has failed. */
        assert_int_equal(ber_next(&in), 0);
        assert_int_equal(ber_number(&in, BER_INTEGER), 0);
        assert_false(in.ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clients_are_led_to_starttls),
        CASE(everything_else_needs_tls_first),
        CASE(what_is_no_request_is_hung_up_on),
        CASE(the_longest_message_is_heard_out),
        CASE(requests_before_starttls_are_counted),
        CASE(bytes_behind_starttls_are_injected),
        CASE(servers_are_asked),
        CASE(servers_that_refuse_are_believed),
        CASE(what_is_no_answer_is_none),
        CASE(numbers_are_read_once_and_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
