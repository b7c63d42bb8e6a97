/* SMTP until STARTTLS, as the server and as the client. */
#include "tests/unit/support/prelude_talk.h"

#define GREETING  WE("220 [192.0.2.1] ESMTP ready\r\n")
#define HELLO     PEER("EHLO client.example\r\n"), WE("250-[192.0.2.1]\r\n250 STARTTLS\r\n")
#define GO_AHEAD  WE("220 Ready to start TLS\r\n")
#define TLS_FIRST WE("530 Must issue a STARTTLS command first\r\n")
#define SYNTAX    WE("500 Syntax error\r\n")

static void hold_server(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_server(STARTTLS_SMTP), NULL, talks, count);
}

static void hold_client(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_client(STARTTLS_SMTP), NULL, talks, count);
}

/* ---- as the server ---- */

static void clients_are_led_to_starttls(void **state)
{
    static const struct talk talks[] = {
        {"as clients do", {GREETING, HELLO, PEER("STARTTLS\r\n"), GO_AHEAD}, DONE},
        {"at once", {GREETING, PEER("STARTTLS\r\n"), GO_AHEAD}, DONE},
        {"in any case, and spaces behind it",
         {GREETING, PEER("ehlO x\r\n"), WE("250-[192.0.2.1]\r\n250 STARTTLS\r\n"),
          PEER("StartTls \t \r\n"), GO_AHEAD},
         DONE},
        {"by way of others",
         {GREETING, PEER("HELO [127.0.0.1]\r\n"), WE("250 [192.0.2.1]\r\n"), PEER("NOOP\r\n"),
          WE("250 OK\r\n"), PEER("noop to whom it may concern\r\n"), WE("250 OK\r\n"),
          PEER("RSET\r\n"), WE("250 OK\r\n"), HELLO, PEER("STARTTLS\r\n"), GO_AHEAD},
         DONE},
        {"pipelined",
         {GREETING, PEER("EHLO x\r\nNOOP\r\nSTARTTLS\r\n"),
          WE("250-[192.0.2.1]\r\n250 STARTTLS\r\n250 OK\r\n"), GO_AHEAD},
         DONE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void it_says_the_name_it_was_given(void **state)
{
    static const struct prelude_setting setting = {.name = "[IPv6:2001:db8::1]"};
    static const struct talk server[] = {
        {"server",
         {WE("220 [IPv6:2001:db8::1] ESMTP ready\r\n"), PEER("HELO x\r\n"),
          WE("250 [IPv6:2001:db8::1]\r\n"), PEER("QUIT\r\n"),
          WE("221 [IPv6:2001:db8::1] closing\r\n")},
         OVER(PRELUDE_LEFT)},
    };
    static const struct talk client[] = {
        {"client", {PEER("220 x\r\n"), WE("EHLO [IPv6:2001:db8::1]\r\n")}, MORE}};
    (void)state;

    talks_hold(prelude_starttls_server(STARTTLS_SMTP), &setting, server, COUNT(server));
    talks_hold(prelude_starttls_client(STARTTLS_SMTP), &setting, client, COUNT(client));
}

static void before_tls_nothing_is_taken(void **state)
{
    static const struct talk talks[] = {
        {"mail",
         {GREETING,
          HELLO,
          PEER("MAIL FROM:<a@b>\r\n"),
          TLS_FIRST,
          PEER("RCPT TO:<c@d>\r\n"),
          TLS_FIRST,
          PEER("DATA\r\n"),
          TLS_FIRST,
          PEER("BDAT 3 LAST\r\n"),
          TLS_FIRST,
          PEER("VRFY x\r\n"),
          TLS_FIRST,
          PEER("EXPN x\r\n"),
          TLS_FIRST,
          PEER("HELP\r\n"),
          TLS_FIRST,
          PEER("ETRN x\r\n"),
          TLS_FIRST,
          PEER("XCLIENT ADDR=127.0.0.1\r\n"),
          TLS_FIRST,
          PEER("X-ANY thing\r\n"),
          TLS_FIRST,
          PEER("STARTTLSX\r\n"),
          TLS_FIRST,
          PEER("S\r\n"),
          TLS_FIRST,
          PEER("STARTTLS\r\n"),
          GO_AHEAD},
         DONE},
        {"a password",
         {GREETING, PEER("AUTH PLAIN AGEAYg==\r\n"), TLS_FIRST, PEER("AUTH LOGIN\r\n"), TLS_FIRST},
         MORE},
        {"who leaves",
         {GREETING, PEER("QUIT\r\nNOOP\r\n"), WE("221 [192.0.2.1] closing\r\n")},
         OVER(PRELUDE_LEFT)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void what_is_no_command_is_told_so(void **state)
{
    static const struct talk talks[] = {
        {"parameters",
         {GREETING, PEER("STARTTLS now\r\n"), WE("501 STARTTLS takes no parameter\r\n"),
          PEER("EHLO\r\n"), WE("501 Who is it? A name is missing\r\n"), PEER("helo \r\n"),
          WE("501 Who is it? A name is missing\r\n")},
         MORE},
        {"garbage",
         {GREETING, PEER("\r\n"), SYNTAX, PEER(" STARTTLS\r\n"), SYNTAX, PEER("\tSTARTTLS\r\n"),
          SYNTAX, PEER("{}\r\n"), SYNTAX, PEER("-X\r\n"), SYNTAX, PEER("STARTTLS\x01\r\n"), SYNTAX,
          PEER("EHLO\tx\r\n"), SYNTAX, PEER("STARTTLS;NOOP\r\n"), SYNTAX},
         MORE},
        {"beyond ASCII",
         {GREETING, PEER("EHLO \xc3\xa4.example\r\n"), SYNTAX, PEER("\x80\xff\r\n"), SYNTAX,
          PEER("EHLO \x7f\r\n"), SYNTAX},
         MORE},
        {"a browser",
         {GREETING, PEER("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), TLS_FIRST, SYNTAX, SYNTAX},
         MORE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void there_is_room_for_one_command(void **state)
{
    static char commands[2 * 2048];
    const struct talk talk = {
        "pipelined, more than there is room for",
        {GREETING, PEER_BYTES(commands, sizeof(commands)), WE("250 OK\r\n250 OK\r\n")},
        MORE};
    (void)state;

    talk_stretch(commands, sizeof(commands) / 2, "NOOP ", "\r\n");
    memcpy(commands + sizeof(commands) / 2, commands, sizeof(commands) / 2);
    hold_server(&talk, 1);
}

/* CVE-2011-0411: they would be obeyed as if they had come by TLS. */
static void commands_behind_starttls_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a command", {GREETING, PEER("STARTTLS\r\nMAIL FROM:<a@b>\r\n")}, OVER(PRELUDE_INJECTED)},
        {"a byte", {GREETING, HELLO, PEER("STARTTLS\r\nX")}, OVER(PRELUDE_INJECTED)},
        {"LF", {GREETING, PEER("STARTTLS\r\n\n")}, OVER(PRELUDE_INJECTED)},
        {"TLS, before it may",
         {GREETING, PEER("STARTTLS\r\n\x16\x03\x01")},
         OVER(PRELUDE_INJECTED)},
        {"behind pipelined ones",
         {GREETING, PEER("EHLO x\r\nSTARTTLS\r\nNOOP\r\n"),
          WE("250-[192.0.2.1]\r\n250 STARTTLS\r\n")},
         OVER(PRELUDE_INJECTED)},
        {"STARTTLS again", {GREETING, PEER("STARTTLS\r\nSTARTTLS\r\n")}, OVER(PRELUDE_INJECTED)},
        {"what is not obeyed may be followed",
         {GREETING, PEER("STARTTLS x\r\nNOOP\r\n"), WE("501 STARTTLS takes no parameter\r\n"),
          WE("250 OK\r\n")},
         MORE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void clients_that_go_have_cut_it_short(void **state)
{
    static const struct talk talks[] = {
        {"at once", {GREETING, END}, OVER(PRELUDE_CUT_SHORT)},
        {"within a line", {GREETING, PEER("STARTTLS\r"), END}, OVER(PRELUDE_CUT_SHORT)},
        {"behind one", {GREETING, HELLO, END}, OVER(PRELUDE_CUT_SHORT)},
        {"who has left",
         {GREETING, PEER("QUIT\r\n"), WE("221 [192.0.2.1] closing\r\n"), END},
         OVER(PRELUDE_LEFT)},
        {"who may go on", {GREETING, PEER("STARTTLS\r\n"), GO_AHEAD, END}, DONE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

/* ---- as the client ---- */

#define EHLO     WE("EHLO [192.0.2.1]\r\n")
#define STARTTLS WE("STARTTLS\r\n")
#define OFFER    PEER("250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n")

static void servers_are_asked_for_tls(void **state)
{
    static const struct talk talks[] = {
        {"postfix",
         {PEER("220 mx.example ESMTP Postfix (Debian/GNU)\r\n"), EHLO,
          PEER("250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n"
               "250-ETRN\r\n250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
               "250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"),
          STARTTLS, PEER("220 2.0.0 Ready to start TLS\r\n")},
         DONE},
        {"exim",
         {PEER("220-mx.example ESMTP Exim 4.96 #2 Sat, 21 Nov 2026\r\n"
               "220-We do not authorize the use of this system to transport unsolicited, \r\n"
               "220 and/or bulk e-mail.\r\n"),
          EHLO,
          PEER("250-mx.example Hello localhost [127.0.0.1]\r\n250-SIZE 52428800\r\n"
               "250-8BITMIME\r\n250-STARTTLS\r\n250 HELP\r\n"),
          STARTTLS, PEER("220 TLS go ahead\r\n")},
         DONE},
        {"exchange",
         {PEER("220 X.mail.example Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026 "
               "10:00:00 +0000\r\n"),
          EHLO,
          PEER("250-X.mail.example Hello [192.0.2.1]\r\n250-SIZE 37748736\r\n250-PIPELINING\r\n"
               "250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250-X-ANONYMOUSTLS\r\n"
               "250-AUTH NTLM\r\n250 XRDST\r\n"),
          STARTTLS, PEER("220 2.0.0 SMTP server ready\r\n")},
         DONE},
        {"the last, in lower case, and with more behind it",
         {PEER("220 x\r\n"), EHLO, PEER("250-x\r\n250 starttls REQUIRED \r\n"), STARTTLS,
          PEER("220 go\r\n")},
         DONE},
        {"no text",
         {PEER("220\r\n"), EHLO, PEER("250-\r\n250-STARTTLS\r\n250\r\n"), STARTTLS,
          PEER("220-\r\n220\r\n")},
         DONE},
        {"beyond ASCII",
         {PEER("220 Gr\xc3\xbc\xdf Gott\r\n"), EHLO,
          PEER("250-\xff\r\n250-STARTTLS\r\n250 \x01\r\n"), STARTTLS, PEER("220 \xe4\r\n")},
         DONE},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void nothing_is_asked_before_the_greeting_is_whole(void **state)
{
    static const struct talk talks[] = {
        {"nothing", {PEER("")}, MORE},
        {"some", {PEER("220 mx.example")}, MORE},
        {"a line of it", {PEER("220-mx.example\r\n")}, MORE},
        {"EHLO's reply, as little",
         {PEER("220 x\r\n"), EHLO, PEER("250-x\r\n250-STARTTLS\r\n")},
         MORE},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void servers_that_do_not_do_tls_are_not_used(void **state)
{
    static const char missing[] = "(no STARTTLS among its extensions)";
    static const struct talk talks[] = {
        {"no service",
         {PEER("554 No SMTP service here\r\n")},
         OVER(PRELUDE_REFUSED),
         "554 No SMTP service here"},
        {"of more lines",
         {PEER("554-mx.example\r\n554 go away\r\n")},
         OVER(PRELUDE_REFUSED),
         "554-mx.example"},
        {"not now",
         {PEER("421 4.3.2 All server ports are busy\r\n")},
         OVER(PRELUDE_REFUSED),
         "421 4.3.2 All server ports are busy"},
        {"another greeting", {PEER("250 x\r\n")}, OVER(PRELUDE_REFUSED), "250 x"},
        {"one that is nearly right", {PEER("221 x\r\n")}, OVER(PRELUDE_REFUSED), "221 x"},
        {"no EHLO",
         {PEER("220 x\r\n"), EHLO, PEER("502 5.5.2 What?\r\n")},
         OVER(PRELUDE_REFUSED),
         "502 5.5.2 What?"},
        {"STARTTLS not now",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS,
          PEER("454 4.7.0 TLS not available due to local problem\r\n")},
         OVER(PRELUDE_REFUSED),
         "454 4.7.0 TLS not available due to local problem"},
        {"STARTTLS not at all",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("502 No\r\n")},
         OVER(PRELUDE_REFUSED),
         "502 No"},
        {"only 220 is a go-ahead",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("250 OK\r\n")},
         OVER(PRELUDE_REFUSED),
         "250 OK"},
        {"nothing offered",
         {PEER("220 x\r\n"), EHLO, PEER("250 x\r\n")},
         OVER(PRELUDE_REFUSED),
         missing},
        {"stripped",
         {PEER("220 x\r\n"), EHLO, PEER("250-x\r\n250-SIZE\r\n250-XXXXXXXA\r\n250 DSN\r\n")},
         OVER(PRELUDE_REFUSED),
         missing},
        {"what is called so offers nothing",
         {PEER("220 x\r\n"), EHLO, PEER("250 STARTTLS\r\n")},
         OVER(PRELUDE_REFUSED),
         missing},
        {"nor does a greeting",
         {PEER("220-x\r\n220-STARTTLS\r\n220 STARTTLS\r\n"), EHLO, PEER("250-x\r\n250 DSN\r\n")},
         OVER(PRELUDE_REFUSED),
         missing},
        {"others' names",
         {PEER("220 x\r\n"), EHLO,
          PEER("250-STARTTLS\r\n250-XSTARTTLS\r\n250-STARTTLSX\r\n250-AUTH STARTTLS\r\n"
               "250- STARTTLS\r\n250 START TLS\r\n")},
         OVER(PRELUDE_REFUSED),
         missing},
        {"a control character is no part of the log",
         {PEER("554 \x1b[31m\xe4\r\n")},
         OVER(PRELUDE_REFUSED),
         "554 ?[31m?"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void what_is_no_reply_is_not_used(void **state)
{
    static const struct talk talks[] = {
        {"SSH", {PEER("SSH-2.0-OpenSSH_9.2\r\n")}, OVER(PRELUDE_MALFORMED), "SSH-2.0-OpenSSH_9.2"},
        {"POP3", {PEER("+OK ready\r\n")}, OVER(PRELUDE_MALFORMED), "+OK ready"},
        {"nothing", {PEER("\r\n")}, OVER(PRELUDE_MALFORMED)},
        {"two digits", {PEER("22\r\n")}, OVER(PRELUDE_MALFORMED), "22"},
        {"four", {PEER("2200 x\r\n")}, OVER(PRELUDE_MALFORMED), "2200 x"},
        {"another kind", {PEER("120 x\r\n")}, OVER(PRELUDE_MALFORMED), "120 x"},
        {"and another", {PEER("620 x\r\n")}, OVER(PRELUDE_MALFORMED), "620 x"},
        {"a letter", {PEER("2x0 x\r\n")}, OVER(PRELUDE_MALFORMED), "2x0 x"},
        {"a space before it", {PEER(" 220 x\r\n")}, OVER(PRELUDE_MALFORMED), " 220 x"},
        {"what is behind the code", {PEER("220_x\r\n")}, OVER(PRELUDE_MALFORMED), "220_x"},
        {"the greeting changes its mind",
         {PEER("220-x\r\n250 x\r\n")},
         OVER(PRELUDE_MALFORMED),
         "250 x"},
        {"EHLO's reply does",
         {PEER("220 x\r\n"), EHLO, PEER("250-x\r\n220 STARTTLS\r\n")},
         OVER(PRELUDE_MALFORMED),
         "220 STARTTLS"},
        {"within a reply, none",
         {PEER("220 x\r\n"), EHLO, PEER("250-x\r\nSTARTTLS\r\n")},
         OVER(PRELUDE_MALFORMED),
         "STARTTLS"},
        {"the go-ahead does",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("220-x\r\n454 x\r\n")},
         OVER(PRELUDE_MALFORMED),
         "454 x"},
        {"LF", {PEER("220 x\n")}, OVER(PRELUDE_MALFORMED), "220 x?"},
        {"CR", {PEER("220 x\r250")}, OVER(PRELUDE_MALFORMED), "220 x?2"},
        {"a zero byte", {PEER("220\0x\r\n")}, OVER(PRELUDE_MALFORMED), "220?"},
        {"TLS", {PEER("\x15\x03\x03\0\x02\x02\x46")}, OVER(PRELUDE_MALFORMED), "????"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void replies_are_bounded(void **state)
{
    static char lines[128 * 7 + 7], line[2048], longest[2048];
    struct talk talks[] = {
        {"a long greeting", {PEER_BYTES(lines, 127 * 7), PEER("220 x\r\n"), EHLO}, MORE},
        {"without end", {PEER_BYTES(lines, sizeof(lines))}, OVER(PRELUDE_MALFORMED), "220-x"},
        {"with what went before",
         {PEER("220 x\r\n"), EHLO, PEER("250-x\r\n"), PEER_BYTES(lines, 127 * 7)},
         OVER(PRELUDE_MALFORMED),
         "220-x"},
        {"the longest line", {PEER_BYTES(longest, sizeof(longest)), EHLO}, MORE},
        {"a longer one", {PEER_BYTES(line, sizeof(line))}, OVER(PRELUDE_MALFORMED)},
    };
    (void)state;

    talk_repeat(lines, sizeof(lines), "220-x\r\n");
    talk_stretch(line, sizeof(line), "220 ", "");
    talk_stretch(longest, sizeof(longest), "220 ", "\r\n");
    hold_client(talks, COUNT(talks));
}

/* They would be taken for what the server says by TLS. */
static void replies_behind_the_go_ahead_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a reply",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("220 go\r\n250-x\r\n")},
         OVER(PRELUDE_INJECTED)},
        {"a byte",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("220 go\r\n\x16")},
         OVER(PRELUDE_INJECTED)},
        {"of more lines",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("220-a\r\n220 b\r\n250")},
         OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void servers_that_go_have_cut_it_short(void **state)
{
    static const struct talk talks[] = {
        {"at once", {END}, OVER(PRELUDE_CUT_SHORT)},
        {"within the greeting", {PEER("220-x\r\n"), END}, OVER(PRELUDE_CUT_SHORT)},
        {"before the go-ahead",
         {PEER("220 x\r\n"), EHLO, OFFER, STARTTLS, PEER("220 go\r"), END},
         OVER(PRELUDE_CUT_SHORT)},
        {"who has refused", {PEER("554 no\r\n"), END}, OVER(PRELUDE_REFUSED), "554 no"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clients_are_led_to_starttls),
        CASE(it_says_the_name_it_was_given),
        CASE(before_tls_nothing_is_taken),
        CASE(what_is_no_command_is_told_so),
        CASE(there_is_room_for_one_command),
        CASE(commands_behind_starttls_are_injected),
        CASE(clients_that_go_have_cut_it_short),
        CASE(servers_are_asked_for_tls),
        CASE(nothing_is_asked_before_the_greeting_is_whole),
        CASE(servers_that_do_not_do_tls_are_not_used),
        CASE(what_is_no_reply_is_not_used),
        CASE(replies_are_bounded),
        CASE(replies_behind_the_go_ahead_are_injected),
        CASE(servers_that_go_have_cut_it_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
