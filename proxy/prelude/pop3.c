#include "proxy/prelude/lines.h"

#include <string.h>

/* POP3 until STLS: RFC 1939, 2449 and 2595. */

/* ---- as the server ---- */

/* Without a timestamp: APOP is not offered. */
static void greet(struct prelude *p)
{
    prelude_print(p, "+OK ready\r\n");
}

static void stls(struct prelude *p)
{
    prelude_print(p, "+OK begin TLS\r\n");
    prelude_done(p);
}

/* Neither USER nor SASL: nobody logs in here. */
static void capa(struct prelude *p)
{
    prelude_print(p, "+OK\r\nSTLS\r\n.\r\n");
}

static void quit(struct prelude *p)
{
    prelude_print(p, "+OK closing\r\n");
    prelude_over(p, PRELUDE_LEFT);
}

/* None has arguments. */
static const struct {
    const char *name;
    void (*obey)(struct prelude *p);
} commands[] = {{"STLS", stls}, {"CAPA", capa}, {"QUIT", quit}};

static void obey_command(struct prelude *p, struct line command, bool arguments)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!line_is(command, commands[i].name))
            continue;
        if (arguments)
            prelude_print(p, "-ERR no arguments are due\r\n");
        else
            commands[i].obey(p);
        return;
    }
    prelude_print(p, "-ERR TLS first: STLS\r\n");
}

static void obey(struct prelude *p, struct line line)
{
    struct line argument = line_trimmed(line); /* as dovecot and others do */
    bool printable = line_is_printable(argument);
    struct line command = line_word(&argument);

    if (!printable || command.length == 0)
        prelude_print(p, "-ERR syntax error\r\n");
    else
        obey_command(p, command, argument.length > 0);
}

static void say_too_long(struct prelude *p)
{
    prelude_print(p, "-ERR line too long\r\n");
}

static const struct line_rules server_rules = {
    .lines_max = PRELUDE_COMMANDS_MAX,
    .hear = obey,
    .broken = "-ERR lines end in CR LF, and have no zero byte\r\n",
    .too_many = "-ERR too many commands before STLS\r\n"};

static size_t take_command(struct prelude *p, const uint8_t *data, size_t length)
{
    return lines_take(p, &server_rules, data, length);
}

const struct prelude_part prelude_pop3_server = {
    .input_max = PRELUDE_LINE_MAX, .start = greet, .take = take_command, .overlong = say_too_long};

/* ---- as the client ---- */

enum { GREETING, STLS_RESPONSE };

static void go_on(struct prelude *p)
{
    if (p->step++ == GREETING)
        prelude_print(p, "STLS\r\n");
    else
        prelude_done(p);
}

/* They are written in upper case (RFC 1939 §3). */
static bool says(struct line status, const char *text)
{
    return status.length == strlen(text) && memcmp(status.text, text, status.length) == 0;
}

static void hear(struct prelude *p, struct line line)
{
    struct line rest = line;
    struct line status = line_word(&rest);

    if (says(status, "+OK"))
        go_on(p);
    else if (says(status, "-ERR"))
        line_refuse(p, line);
    else
        line_malformed(p, line);
}

static const struct line_rules client_rules = {.lines_max = PRELUDE_REPLIES_MAX, .hear = hear};

static size_t take_response(struct prelude *p, const uint8_t *data, size_t length)
{
    return lines_take(p, &client_rules, data, length);
}

const struct prelude_part prelude_pop3_client = {.input_max = PRELUDE_LINE_MAX,
                                                 .take = take_response};
