#include "proxy/prelude/lines.h"

#include <ctype.h>

/* SMTP until STARTTLS: RFC 5321, RFC 3207. */

/* ---- as the server ---- */

static void greet(struct prelude *p)
{
    prelude_print(p, "220 %s ESMTP ready\r\n", p->setting.name);
}

static void quit(struct prelude *p)
{
    prelude_print(p, "221 %s closing\r\n", p->setting.name);
    prelude_over(p, PRELUDE_LEFT);
}

static void starttls(struct prelude *p, struct line argument)
{
    if (argument.length > 0) {
        prelude_print(p, "501 STARTTLS takes no parameter\r\n");
        return;
    }
    prelude_print(p, "220 Ready to start TLS\r\n");
    prelude_done(p);
}

static void hello(struct prelude *p, struct line argument, bool extended)
{
    if (argument.length == 0)
        prelude_print(p, "501 Who is it? A name is missing\r\n");
    else if (extended)
        prelude_print(p, "250-%s\r\n250 STARTTLS\r\n", p->setting.name);
    else
        prelude_print(p, "250 %s\r\n", p->setting.name);
}

/* A letter, then letters, digits and hyphens. */
static bool is_verb(struct line word)
{
    if (word.length == 0 || !isalpha((unsigned char)word.text[0]))
        return false;
    for (size_t i = 1; i < word.length; i++) {
        if (!isalnum((unsigned char)word.text[i]) && word.text[i] != '-')
            return false;
    }
    return true;
}

static void obey(struct prelude *p, struct line line)
{
    struct line argument = line_trimmed(line); /* RFC 5321 §4.1.1 */
    bool printable = line_is_printable(argument);
    struct line verb = line_word(&argument);

    if (!printable || !is_verb(verb))
        prelude_print(p, "500 Syntax error\r\n");
    else if (line_is(verb, "EHLO") || line_is(verb, "HELO"))
        hello(p, argument, line_is(verb, "EHLO"));
    else if (line_is(verb, "NOOP") || line_is(verb, "RSET"))
        prelude_print(p, "250 OK\r\n");
    else if (line_is(verb, "QUIT"))
        quit(p);
    else if (line_is(verb, "STARTTLS"))
        starttls(p, argument);
    else
        prelude_print(p, "530 Must issue a STARTTLS command first\r\n"); /* RFC 3207 §4 */
}

static void say_too_long(struct prelude *p)
{
    prelude_print(p, "500 Line too long\r\n");
}

static const struct line_rules server_rules = {
    .lines_max = PRELUDE_COMMANDS_MAX,
    .hear = obey,
    .broken = "500 Lines end in CR LF, and have no zero byte\r\n",
    .too_many = "421 Too many commands before STARTTLS\r\n"};

static size_t take_command(struct prelude *p, const uint8_t *data, size_t length)
{
    return lines_take(p, &server_rules, data, length);
}

const struct prelude_part prelude_smtp_server = {
    .input_max = PRELUDE_LINE_MAX, .start = greet, .take = take_command, .overlong = say_too_long};

/* ---- as the client ---- */

enum { GREETING, EHLO_REPLY, STARTTLS_REPLY, CLIENT_STEPS };

static const uint32_t wanted[CLIENT_STEPS] = {220, 250, 220};

enum { CODE_DIGITS = 3 };

/* A line of a reply (RFC 5321 §4.2): "250-text", "250 text", "250". */
struct reply_line {
    uint32_t code;
    bool last;
    struct line text;
};

static bool parse_reply(struct line line, struct reply_line *out)
{
    out->code = 0;
    if (line.length < CODE_DIGITS || line.text[0] < '2' || line.text[0] > '5')
        return false;
    for (size_t i = 0; i < CODE_DIGITS; i++) {
        if (!isdigit((unsigned char)line.text[i]))
            return false;
        out->code = out->code * 10 + (uint32_t)(line.text[i] - '0');
    }
    if (line.length == CODE_DIGITS) {
        out->last = true;
        out->text = (struct line){.text = line.text + CODE_DIGITS, .length = 0};
        return true;
    }
    char behind = line.text[CODE_DIGITS];
    out->last = behind == ' ';
    out->text =
        (struct line){.text = line.text + CODE_DIGITS + 1, .length = line.length - CODE_DIGITS - 1};
    return behind == ' ' || behind == '-';
}

/* A keyword of the reply to EHLO (RFC 5321 §4.1.1.1). */
static bool is_starttls(struct line text)
{
    return line_is(line_word(&text), "STARTTLS");
}

/* A reply with the wanted code has ended. */
static void go_on(struct prelude *p)
{
    static const char text[] = "(no STARTTLS among its extensions)";
    const struct line missing = {.text = text, .length = sizeof(text) - 1};

    p->reply_code = 0;
    switch (p->step++) {
    case GREETING: prelude_print(p, "EHLO %s\r\n", p->setting.name); break;
    case EHLO_REPLY:
        if (p->offered)
            prelude_print(p, "STARTTLS\r\n");
        else
            line_refuse(p, missing);
        break;
    case STARTTLS_REPLY: prelude_done(p); break;
    }
}

static void hear(struct prelude *p, struct line line)
{
    struct reply_line reply;
    bool first = p->reply_code == 0;

    if (!parse_reply(line, &reply) || (!first && reply.code != p->reply_code)) {
        line_malformed(p, line);
        return;
    }
    if (reply.code != wanted[p->step]) {
        line_refuse(p, line);
        return;
    }
    p->reply_code = reply.code;
    if (p->step == EHLO_REPLY && !first && is_starttls(reply.text))
        p->offered = true;
    if (reply.last)
        go_on(p);
}

static const struct line_rules client_rules = {.lines_max = PRELUDE_REPLIES_MAX, .hear = hear};

static size_t take_reply(struct prelude *p, const uint8_t *data, size_t length)
{
    return lines_take(p, &client_rules, data, length);
}

const struct prelude_part prelude_smtp_client = {.input_max = PRELUDE_LINE_MAX, .take = take_reply};
