/* POP3 until STLS, as the server and as the client. */
#include "tests/unit/support/prelude_talk.h"

#define GREETING  WE("+OK ready\r\n")
#define GO_AHEAD  WE("+OK begin TLS\r\n")
#define TLS_FIRST WE("-ERR TLS first: STLS\r\n")
#define ARGUMENTS WE("-ERR no arguments are due\r\n")
#define SYNTAX    WE("-ERR syntax error\r\n")

static void hold_server(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_server(STARTTLS_POP3), NULL, talks, count);
}

static void hold_client(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_client(STARTTLS_POP3), NULL, talks, count);
}

/* ---- as the server ---- */

static void clients_are_led_to_stls(void **state)
{
    static const struct talk talks[] = {
        {"at once", {GREETING, PEER("STLS\r\n"), GO_AHEAD}, DONE},
        {"as clients do",
         {GREETING, PEER("CAPA\r\n"), WE("+OK\r\nSTLS\r\n.\r\n"), PEER("STLS\r\n"), GO_AHEAD},
         DONE},
        {"in any case, and spaces behind it",
         {GREETING, PEER("capa\t\r\n"), WE("+OK\r\nSTLS\r\n.\r\n"), PEER("StlS \r\n"), GO_AHEAD},
         DONE},
        {"pipelined",
         {GREETING, PEER("CAPA\r\nNOOP\r\nSTLS\r\n"), WE("+OK\r\nSTLS\r\n.\r\n"), TLS_FIRST,
          GO_AHEAD},
         DONE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void before_tls_nobody_logs_in(void **state)
{
    static const struct talk talks[] = {
        {"passwords",
         {GREETING, PEER("USER x\r\n"), TLS_FIRST, PEER("PASS y\r\n"), TLS_FIRST,
          PEER("APOP x c4c9334bac560ecc979e58001b3e22fb\r\n"), TLS_FIRST, PEER("AUTH\r\n"),
          TLS_FIRST, PEER("AUTH PLAIN AGEAYg==\r\n"), TLS_FIRST},
         MORE},
        {"mail",
         {GREETING, PEER("STAT\r\n"), TLS_FIRST, PEER("LIST\r\n"), TLS_FIRST, PEER("RETR 1\r\n"),
          TLS_FIRST, PEER("NOOP\r\n"), TLS_FIRST, PEER("UTF8\r\n"), TLS_FIRST, PEER("LANG *\r\n"),
          TLS_FIRST, PEER("STARTTLS\r\n"), TLS_FIRST, PEER("STL\r\n"), TLS_FIRST},
         MORE},
        {"who leaves",
         {GREETING, PEER("QUIT\r\nNOOP\r\n"), WE("+OK closing\r\n")},
         OVER(PRELUDE_LEFT)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void what_is_no_command_is_told_so(void **state)
{
    static const struct talk talks[] = {
        {"arguments",
         {GREETING, PEER("STLS now\r\n"), ARGUMENTS, PEER("CAPA x\r\n"), ARGUMENTS,
          PEER("QUIT x\r\n"), ARGUMENTS, PEER("STLS  x\r\n"), ARGUMENTS},
         MORE},
        {"garbage",
         {GREETING, PEER("\r\n"), SYNTAX, PEER(" STLS\r\n"), SYNTAX, PEER("\tSTLS\r\n"), SYNTAX,
          PEER("STLS\x01\r\n"), SYNTAX, PEER("USER \xc3\xa4\r\n"), SYNTAX},
         MORE},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void commands_behind_stls_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a command", {GREETING, PEER("STLS\r\nUSER x\r\nPASS y\r\n")}, OVER(PRELUDE_INJECTED)},
        {"a byte", {GREETING, PEER("STLS\r\nX")}, OVER(PRELUDE_INJECTED)},
        {"TLS, before it may", {GREETING, PEER("STLS\r\n\x16\x03\x01")}, OVER(PRELUDE_INJECTED)},
        {"behind pipelined ones",
         {GREETING, PEER("NOOP\r\nSTLS\r\nNOOP\r\n"), TLS_FIRST},
         OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

/* ---- as the client ---- */

#define ASK WE("STLS\r\n")

static void servers_are_asked_for_tls(void **state)
{
    static const struct talk talks[] = {
        {"dovecot",
         {PEER("+OK Dovecot (Debian) ready.\r\n"), ASK, PEER("+OK Begin TLS negotiation now.\r\n")},
         DONE},
        {"with a timestamp",
         {PEER("+OK POP3 server ready <1896.697170952@mx.example>\r\n"), ASK, PEER("+OK\r\n")},
         DONE},
        {"beyond ASCII", {PEER("+OK \xff\r\n"), ASK, PEER("+OK \xc3\xa4\r\n")}, DONE},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void nothing_is_asked_before_the_greeting(void **state)
{
    static const struct talk talks[] = {
        {"nothing", {PEER("")}, MORE},
        {"some", {PEER("+OK x\r")}, MORE},
        {"no answer yet", {PEER("+OK x\r\n"), ASK, PEER("+OK go\r")}, MORE},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void servers_that_do_not_do_tls_are_not_used(void **state)
{
    static const struct talk talks[] = {
        {"busy", {PEER("-ERR [SYS/TEMP] busy\r\n")}, OVER(PRELUDE_REFUSED), "-ERR [SYS/TEMP] busy"},
        {"no", {PEER("+OK x\r\n"), ASK, PEER("-ERR\r\n")}, OVER(PRELUDE_REFUSED), "-ERR"},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void what_is_no_response_is_not_used(void **state)
{
    static const struct talk talks[] = {
        {"SMTP", {PEER("220 x\r\n")}, OVER(PRELUDE_MALFORMED), "220 x"},
        {"IMAP", {PEER("* OK x\r\n")}, OVER(PRELUDE_MALFORMED), "* OK x"},
        {"nothing", {PEER("\r\n")}, OVER(PRELUDE_MALFORMED)},
        {"more", {PEER("+OKAY\r\n")}, OVER(PRELUDE_MALFORMED), "+OKAY"},
        {"less", {PEER("+O\r\n")}, OVER(PRELUDE_MALFORMED), "+O"},
        {"a space before it", {PEER(" +OK\r\n")}, OVER(PRELUDE_MALFORMED), " +OK"},
        {"in lower case", {PEER("+ok\r\n")}, OVER(PRELUDE_MALFORMED), "+ok"},
        {"a challenge", {PEER("+OK x\r\n"), ASK, PEER("+ x\r\n")}, OVER(PRELUDE_MALFORMED), "+ x"},
        {"a list", {PEER("+OK x\r\n"), ASK, PEER(".\r\n")}, OVER(PRELUDE_MALFORMED), "."},
        {"LF", {PEER("+OK x\n")}, OVER(PRELUDE_MALFORMED), "+OK x?"},
        {"a zero byte", {PEER("+OK\0x\r\n")}, OVER(PRELUDE_MALFORMED), "+OK?"},
    };
    static char longer[2048];
    const struct talk talk = {
        "a long line", {PEER_BYTES(longer, sizeof(longer))}, OVER(PRELUDE_MALFORMED)};
    (void)state;

    hold_client(talks, COUNT(talks));
    memset(longer, 'x', sizeof(longer));
    hold_client(&talk, 1);
}

static void responses_behind_the_go_ahead_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a response",
         {PEER("+OK x\r\n"), ASK, PEER("+OK go\r\n+OK\r\nUSER\r\n.\r\n")},
         OVER(PRELUDE_INJECTED)},
        {"a byte", {PEER("+OK x\r\n"), ASK, PEER("+OK go\r\n+")}, OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_client(talks, COUNT(talks));
}

static void who_goes_has_cut_it_short(void **state)
{
    static const struct talk server[] = {
        {"the client, at once", {GREETING, END}, OVER(PRELUDE_CUT_SHORT)},
        {"the client, within a line", {GREETING, PEER("STLS\r"), END}, OVER(PRELUDE_CUT_SHORT)},
    };
    static const struct talk client[] = {
        {"the server, at once", {END}, OVER(PRELUDE_CUT_SHORT)},
        {"the server, within a line",
         {PEER("+OK x\r\n"), ASK, PEER("+OK go\r"), END},
         OVER(PRELUDE_CUT_SHORT)},
    };
    (void)state;

    hold_server(server, COUNT(server));
    hold_client(client, COUNT(client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clients_are_led_to_stls),
        CASE(before_tls_nobody_logs_in),
        CASE(what_is_no_command_is_told_so),
        CASE(commands_behind_stls_are_injected),
        CASE(servers_are_asked_for_tls),
        CASE(nothing_is_asked_before_the_greeting),
        CASE(servers_that_do_not_do_tls_are_not_used),
        CASE(what_is_no_response_is_not_used),
        CASE(responses_behind_the_go_ahead_are_injected),
        CASE(who_goes_has_cut_it_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
