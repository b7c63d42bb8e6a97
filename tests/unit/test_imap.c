/* IMAP until STARTTLS, as the server and as the client. */
#include "tests/unit/support/prelude_talk.h"

#define GREETING  WE("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")
#define ABLE      "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n"
#define GO_AHEAD  " OK Begin TLS now\r\n"
#define TLS_FIRST " NO [PRIVACYREQUIRED] STARTTLS first\r\n"
#define SYNTAX    " BAD Syntax error\r\n"
#define ARGUMENTS " BAD No arguments are due\r\n"
#define NO_TAG    "* BAD No tag\r\n"
#define LITERAL   " BAD No literals before STARTTLS\r\n* BYE Closing\r\n"

static void hold_server(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_server(STARTTLS_IMAP), NULL, talks, count);
}

static void hold_client(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_client(STARTTLS_IMAP), NULL, talks, count);
}

/* ---- as the server ---- */

static void clients_are_led_to_starttls(void **state)
{
    static const struct talk talks[] = {
        {"at once", {GREETING, PEER("a001 STARTTLS\r\n"), WE("a001" GO_AHEAD)}, DONE},
        {"as clients do",
         {GREETING, PEER("1 CAPABILITY\r\n"), WE(ABLE "1 OK Completed\r\n"), PEER("2 STARTTLS\r\n"),
          WE("2" GO_AHEAD)},
         DONE},
        {"in any case",
         {GREETING, PEER("A.b-1 capability\r\n"), WE(ABLE "A.b-1 OK Completed\r\n"),
          PEER("] StartTLS\r\n"), WE("]" GO_AHEAD)},
         DONE},
        {"by way of others",
         {GREETING, PEER("a NOOP\r\n"), WE("a OK Completed\r\n"),
          PEER("b ID (\"name\" \"x\" \"version\" NIL)\r\n"), WE("b" TLS_FIRST),
          PEER("c ID NIL\r\n"), WE("c" TLS_FIRST), PEER("d STARTTLS\r\n"), WE("d" GO_AHEAD)},
         DONE},
        {"pipelined",
         {GREETING, PEER("a CAPABILITY\r\nb NOOP\r\nc STARTTLS\r\n"),
          WE(ABLE "a OK Completed\r\nb OK Completed\r\nc" GO_AHEAD)},
         DONE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void before_tls_nobody_logs_in(void **state)
{
    static const struct talk talks[] = {
        {"passwords",
         {GREETING, PEER("a LOGIN user secret\r\n"), WE("a" TLS_FIRST),
          PEER("b AUTHENTICATE PLAIN AGEAYg==\r\n"), WE("b" TLS_FIRST),
          PEER("c AUTHENTICATE LOGIN\r\n"), WE("c" TLS_FIRST), PEER("d login \"a\" \"{b}\"\r\n"),
          WE("d" TLS_FIRST)},
         MORE},
        {"mail",
         {GREETING, PEER("a SELECT INBOX\r\n"), WE("a" TLS_FIRST), PEER("b UID FETCH 1:* ALL\r\n"),
          WE("b" TLS_FIRST), PEER("c IDLE\r\n"), WE("c" TLS_FIRST), PEER("d ENABLE X\r\n"),
          WE("d" TLS_FIRST), PEER("e COMPRESS DEFLATE\r\n"), WE("e" TLS_FIRST),
          PEER("f UNHEARDOF\r\n"), WE("f" TLS_FIRST), PEER("g STARTTLSX\r\n"), WE("g" TLS_FIRST),
          PEER("h STARTTL\r\n"), WE("h" TLS_FIRST)},
         MORE},
        {"who leaves",
         {GREETING, PEER("a logout\r\nb NOOP\r\n"), WE("* BYE Closing\r\na OK Completed\r\n")},
         OVER(PRELUDE_LEFT)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void what_is_no_command_is_told_so(void **state)
{
    static const struct talk talks[] = {
        {"arguments",
         {GREETING, PEER("a STARTTLS now\r\n"), WE("a" ARGUMENTS), PEER("b STARTTLS \r\n"),
          WE("b" ARGUMENTS), PEER("c NOOP x\r\n"), WE("c" ARGUMENTS), PEER("d CAPABILITY x\r\n"),
          WE("d" ARGUMENTS), PEER("e LOGOUT x\r\n"), WE("e" ARGUMENTS)},
         MORE},
        {"no command",
         {GREETING, PEER("a\r\n"), WE("a" SYNTAX), PEER("b \r\n"), WE("b" SYNTAX),
          PEER("c  STARTTLS\r\n"), WE("c" SYNTAX), PEER("d \tSTARTTLS\r\n"), WE("d" SYNTAX),
          PEER("e STARTTLS\x01\r\n"), WE("e" SYNTAX), PEER("f LOGIN \xc3\xa4 b\r\n"),
          WE("f" SYNTAX)},
         MORE},
        {"no tag",
         {GREETING,   PEER("\r\n"),
          WE(NO_TAG), PEER(" a STARTTLS\r\n"),
          WE(NO_TAG), PEER("* STARTTLS\r\n"),
          WE(NO_TAG), PEER("+ STARTTLS\r\n"),
          WE(NO_TAG), PEER("a+ STARTTLS\r\n"),
          WE(NO_TAG), PEER("( STARTTLS\r\n"),
          WE(NO_TAG), PEER("a) STARTTLS\r\n"),
          WE(NO_TAG), PEER("{ STARTTLS\r\n"),
          WE(NO_TAG), PEER("% STARTTLS\r\n"),
          WE(NO_TAG), PEER("\"a\" STARTTLS\r\n"),
          WE(NO_TAG), PEER("\\ STARTTLS\r\n"),
          WE(NO_TAG), PEER("\xe4 STARTTLS\r\n"),
          WE(NO_TAG), PEER("a\x1b STARTTLS\r\n"),
          WE(NO_TAG)},
         MORE},
        {"SMTP",
         {GREETING, PEER("EHLO x\r\nSTARTTLS\r\n"), WE("EHLO" TLS_FIRST "STARTTLS" SYNTAX)},
         MORE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

/* Commands in a literal are data for one who knows it, and commands for one who does not. */
static void literals_are_not_waited_for(void **state)
{
    static const struct talk talks[] = {
        {"one", {GREETING, PEER("a LOGIN {5}\r\n"), WE("a" LITERAL)}, OVER(PRELUDE_MALFORMED)},
        {"one that does not wait, with a command in it",
         {GREETING, PEER("a LOGIN {12+}\r\nb STARTTLS\r\n x\r\n"), WE("a" LITERAL)},
         OVER(PRELUDE_MALFORMED)},
        {"and a smaller one",
         {GREETING, PEER("a X {3-}\r\n"), WE("a" LITERAL)},
         OVER(PRELUDE_MALFORMED)},
        {"of bytes",
         {GREETING, PEER("a X ~{99999999999999999999}\r\n"), WE("a" LITERAL)},
         OVER(PRELUDE_MALFORMED)},
        {"behind STARTTLS",
         {GREETING, PEER("a STARTTLS {0+}\r\n"), WE("a" LITERAL)},
         OVER(PRELUDE_MALFORMED)},
        {"for a command", {GREETING, PEER("a {8}\r\n"), WE("a" LITERAL)}, OVER(PRELUDE_MALFORMED)},
        {"for a tag", {GREETING, PEER("{1+}\r\n"), WE("*" LITERAL)}, OVER(PRELUDE_MALFORMED)},
        {"among what is not printable",
         {GREETING, PEER("a \xff{1}\r\n"), WE("a" LITERAL)},
         OVER(PRELUDE_MALFORMED)},
        {"none are",
         {GREETING, PEER("a X {}\r\n"), WE("a" TLS_FIRST), PEER("b X {+}\r\n"), WE("b" TLS_FIRST),
          PEER("c X 5}\r\n"), WE("c" TLS_FIRST), PEER("d X {5} \r\n"), WE("d" TLS_FIRST),
          PEER("e X {5x}\r\n"), WE("e" TLS_FIRST), PEER("f X {5\r\n"), WE("f" TLS_FIRST),
          PEER("}\r\n"), WE("}" SYNTAX), PEER("5}\r\n"), WE("5}" SYNTAX), PEER("+}\r\n"),
          WE(NO_TAG)},
         MORE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void tags_are_short(void **state)
{
    static char tag[128 + 7], echo[128 + 15], long_tag[129 + 7];
    const struct talk talks[] = {
        {"the longest",
         {GREETING, PEER_BYTES(tag, sizeof(tag)), WE_BYTES(echo, sizeof(echo))},
         MORE},
        {"a longer one", {GREETING, PEER_BYTES(long_tag, sizeof(long_tag)), WE(NO_TAG)}, MORE},
    };
    (void)state;

    talk_stretch(tag, sizeof(tag), "", " NOOP\r\n");
    talk_stretch(echo, sizeof(echo), "", " OK Completed\r\n");
    talk_stretch(long_tag, sizeof(long_tag), "", " NOOP\r\n");
    hold_server(talks, COUNT(talks));
}

static void commands_behind_starttls_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a command", {GREETING, PEER("a STARTTLS\r\nb LOGIN x y\r\n")}, OVER(PRELUDE_INJECTED)},
        {"a byte", {GREETING, PEER("a STARTTLS\r\nX")}, OVER(PRELUDE_INJECTED)},
        {"TLS, before it may",
         {GREETING, PEER("a STARTTLS\r\n\x16\x03\x01")},
         OVER(PRELUDE_INJECTED)},
        {"behind pipelined ones",
         {GREETING, PEER("a NOOP\r\nb STARTTLS\r\nc NOOP\r\n"), WE("a OK Completed\r\n")},
         OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

/* ---- as the client ---- */

#define ASK WE("a STARTTLS\r\n")

static void servers_are_asked_for_tls(void **state)
{
    static const struct talk talks[] = {
        {"dovecot",
         {PEER(
              "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS "
              "LOGINDISABLED] Dovecot (Debian) ready.\r\n"),
          ASK, PEER("a OK Begin TLS negotiation now.\r\n")},
         DONE},
        {"cyrus",
         {PEER("* OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE STARTTLS LOGINDISABLED] mx.example "
               "Cyrus IMAP 3.6.1 server ready\r\n"),
          ASK, PEER("a OK Begin TLS negotiation now\r\n")},
         DONE},
        {"courier",
         {PEER("* OK [CAPABILITY IMAP4rev1 UIDPLUS STARTTLS] Courier-IMAP ready. Copyright "
               "1998-2018 Double Precision, Inc.  See COPYING for distribution information.\r\n"),
          ASK, PEER("a OK Begin SSL/TLS negotiation now.\r\n")},
         DONE},
        {"exchange",
         {PEER("* OK The Microsoft Exchange IMAP4 service is ready.\r\n"), ASK,
          PEER("a OK Begin TLS negotiation now.\r\n")},
         DONE},
        {"few words", {PEER("* ok\r\n"), ASK, PEER("a ok\r\n")}, DONE},
        {"beyond ASCII", {PEER("* OK Gr\xc3\xbc\xdf Gott\r\n"), ASK, PEER("a OK \xff\r\n")}, DONE},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

/* Response injection before the go-ahead: nothing of it is passed on or kept. */
static void what_is_said_before_tls_is_nothing(void **state)
{
    static const struct talk talks[] = {
        {"capabilities",
         {PEER("* OK x\r\n"), ASK, PEER("* CAPABILITY IMAP4rev1\r\na OK go\r\n")},
         DONE},
        {"an alert, a referral, mail",
         {PEER("* OK [REFERRAL imap://evil.example/] x\r\n"), ASK,
          PEER("* OK [ALERT] Your password, please\r\n* NO [REFERRAL imap://evil.example/] x\r\n"
               "* 23 EXISTS\r\n* FLAGS (\\Seen)\r\n* LIST () \"/\" INBOX\r\n* BAD x\r\n"
               "a OK [REFERRAL imap://evil.example/] go\r\n")},
         DONE},
        {"a server that cannot",
         {PEER("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x\r\n"), ASK,
          PEER("a BAD Unknown command\r\n")},
         OVER(PRELUDE_REFUSED),
         "a BAD Unknown command"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void nothing_is_asked_before_the_greeting(void **state)
{
    static const struct talk talks[] = {
        {"nothing", {PEER("")}, MORE},
        {"some", {PEER("* OK x\r")}, MORE},
        {"no answer yet", {PEER("* OK x\r\n"), ASK, PEER("* OK x\r\na OK go\r")}, MORE},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void servers_that_do_not_do_tls_are_not_used(void **state)
{
    static const struct talk talks[] = {
        {"logged in already",
         {PEER("* PREAUTH welcome\r\n")},
         OVER(PRELUDE_REFUSED),
         "* PREAUTH welcome"},
        {"with a go-ahead",
         {PEER("* preauth x\r\na OK go\r\n")},
         OVER(PRELUDE_REFUSED),
         "* preauth x"},
        {"busy",
         {PEER("* BYE Too many connections\r\n")},
         OVER(PRELUDE_REFUSED),
         "* BYE Too many connections"},
        {"no",
         {PEER("* OK x\r\n"), ASK, PEER("a NO not now\r\n")},
         OVER(PRELUDE_REFUSED),
         "a NO not now"},
        {"going",
         {PEER("* OK x\r\n"), ASK, PEER("* BYE Disconnected\r\na OK go\r\n")},
         OVER(PRELUDE_REFUSED),
         "* BYE Disconnected"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void what_is_no_response_is_not_used(void **state)
{
    static const struct talk talks[] = {
        {"SMTP", {PEER("220 x\r\n")}, OVER(PRELUDE_MALFORMED), "220 x"},
        {"nothing", {PEER("\r\n")}, OVER(PRELUDE_MALFORMED)},
        {"no status", {PEER("* \r\n")}, OVER(PRELUDE_MALFORMED), "* "},
        {"a greeting that is none",
         {PEER("* CAPABILITY IMAP4rev1\r\n")},
         OVER(PRELUDE_MALFORMED),
         "* CAPABILITY IMAP4rev1"},
        {"nor this", {PEER("* NO x\r\n")}, OVER(PRELUDE_MALFORMED), "* NO x"},
        {"nor this", {PEER("* OKAY x\r\n")}, OVER(PRELUDE_MALFORMED), "* OKAY x"},
        {"an answer before the question",
         {PEER("a OK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         "a OK go"},
        {"another's answer",
         {PEER("* OK x\r\n"), ASK, PEER("b OK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         "b OK go"},
        {"in another case",
         {PEER("* OK x\r\n"), ASK, PEER("A OK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         "A OK go"},
        {"a longer tag",
         {PEER("* OK x\r\n"), ASK, PEER("a1 OK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         "a1 OK go"},
        {"no tag",
         {PEER("* OK x\r\n"), ASK, PEER(" a OK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         " a OK go"},
        {"a tab",
         {PEER("* OK x\r\n"), ASK, PEER("a\tOK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         "a?OK go"},
        {"no result",
         {PEER("* OK x\r\n"), ASK, PEER("a OKAY\r\n")},
         OVER(PRELUDE_MALFORMED),
         "a OKAY"},
        {"none at all", {PEER("* OK x\r\n"), ASK, PEER("a\r\n")}, OVER(PRELUDE_MALFORMED), "a"},
        {"untagged, nothing",
         {PEER("* OK x\r\n"), ASK, PEER("*\r\n")},
         OVER(PRELUDE_MALFORMED),
         "*"},
        {"a second greeting",
         {PEER("* OK x\r\n"), ASK, PEER("* PREAUTH x\r\n")},
         OVER(PRELUDE_MALFORMED),
         "* PREAUTH x"},
        {"go on",
         {PEER("* OK x\r\n"), ASK, PEER("+ go on\r\n")},
         OVER(PRELUDE_MALFORMED),
         "+ go on"},
        {"a literal, with an answer in it",
         {PEER("* OK x\r\n"), ASK, PEER("* LIST () \"/\" {7}\r\na OK go\r\n")},
         OVER(PRELUDE_MALFORMED),
         "* LIST () \"/\" {7}"},
        {"a literal in the greeting", {PEER("* OK {7}\r\n")}, OVER(PRELUDE_MALFORMED), "* OK {7}"},
        {"LF", {PEER("* OK x\n")}, OVER(PRELUDE_MALFORMED), "* OK x?"},
        {"a zero byte", {PEER("* OK\0x\r\n")}, OVER(PRELUDE_MALFORMED), "* OK?"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void responses_are_bounded(void **state)
{
    static char lines[128 * 8], longer[2048];
    struct talk talks[] = {
        {"many", {PEER("* OK x\r\n"), ASK, PEER_BYTES(lines, 126 * 8), PEER("a OK go\r\n")}, DONE},
        {"without end",
         {PEER("* OK x\r\n"), ASK, PEER_BYTES(lines, sizeof(lines))},
         OVER(PRELUDE_MALFORMED),
         "* OK y"},
        {"a long line", {PEER_BYTES(longer, sizeof(longer))}, OVER(PRELUDE_MALFORMED)},
    };
    (void)state;

    talk_repeat(lines, sizeof(lines), "* OK y\r\n");
    talk_stretch(longer, sizeof(longer), "* OK ", "");
    hold_client(talks, COUNT(talks));
}

/* They would be taken for what the server says by TLS. */
static void responses_behind_the_go_ahead_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"mail",
         {PEER("* OK x\r\n"), ASK, PEER("a OK go\r\n* 1 EXISTS\r\n")},
         OVER(PRELUDE_INJECTED)},
        {"an answer to what will be asked",
         {PEER("* OK x\r\n"), ASK, PEER("a OK go\r\n* CAPABILITY IMAP4rev1\r\nA001 OK x\r\n")},
         OVER(PRELUDE_INJECTED)},
        {"logged in",
         {PEER("* OK x\r\n"), ASK, PEER("a OK go\r\n* PREAUTH x\r\n")},
         OVER(PRELUDE_INJECTED)},
        {"a byte", {PEER("* OK x\r\n"), ASK, PEER("a OK go\r\n*")}, OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void who_goes_has_cut_it_short(void **state)
{
    static const struct talk server[] = {
        {"the client, at once", {GREETING, END}, OVER(PRELUDE_CUT_SHORT)},
        {"the client, within a line",
         {GREETING, PEER("a STARTTLS\r"), END},
         OVER(PRELUDE_CUT_SHORT)},
    };
    static const struct talk client[] = {
        {"the server, at once", {END}, OVER(PRELUDE_CUT_SHORT)},
        {"the server, within a line",
         {PEER("* OK x\r\n"), ASK, PEER("a OK go\r"), END},
         OVER(PRELUDE_CUT_SHORT)},
    };
    (void)state;

    hold_server(server, COUNT(server));
    hold_client(client, COUNT(client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clients_are_led_to_starttls),
        CASE(before_tls_nobody_logs_in),
        CASE(what_is_no_command_is_told_so),
        CASE(literals_are_not_waited_for),
        CASE(tags_are_short),
        CASE(commands_behind_starttls_are_injected),
        CASE(servers_are_asked_for_tls),
        CASE(what_is_said_before_tls_is_nothing),
        CASE(nothing_is_asked_before_the_greeting),
        CASE(servers_that_do_not_do_tls_are_not_used),
        CASE(what_is_no_response_is_not_used),
        CASE(responses_are_bounded),
        CASE(responses_behind_the_go_ahead_are_injected),
        CASE(who_goes_has_cut_it_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
