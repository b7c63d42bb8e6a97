#include "proxy/prelude/lines.h"

#include <string.h>

/* IMAP until STARTTLS: RFC 9051 and 3501. */

/* ---- as the server ---- */

enum { TAG_MAX = 128 }; /* programs have up to ten or so */

static void greet(struct prelude *p)
{
    prelude_print(p, "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n");
}

/* RFC 9051 §9, tag: of printable ASCII without what has a meaning of its own. */
static bool is_tag(struct line word)
{
    if (word.length == 0 || word.length > TAG_MAX || !line_is_printable(word))
        return false;
    for (size_t i = 0; i < word.length; i++) {
        if (strchr("(){%*\"\\+", word.text[i]) != NULL)
            return false;
    }
    return true;
}

static void answer(struct prelude *p, struct line tag, const char *with)
{
    prelude_print(p, "%.*s %s\r\n", (int)tag.length, tag.text, with);
}

static void starttls(struct prelude *p, struct line tag)
{
    answer(p, tag, "OK Begin TLS now");
    prelude_done(p);
}

static void capability(struct prelude *p, struct line tag)
{
    prelude_print(p, "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n");
    answer(p, tag, "OK Completed");
}

static void noop(struct prelude *p, struct line tag)
{
    answer(p, tag, "OK Completed");
}

static void logout(struct prelude *p, struct line tag)
{
    prelude_print(p, "* BYE Closing\r\n");
    answer(p, tag, "OK Completed");
    prelude_over(p, PRELUDE_LEFT);
}

/* None has arguments. */
static const struct {
    const char *name;
    void (*obey)(struct prelude *p, struct line tag);
} commands[] = {
    {"STARTTLS", starttls}, {"CAPABILITY", capability}, {"NOOP", noop}, {"LOGOUT", logout}};

static void obey_command(struct prelude *p, struct line tag, struct line command, bool arguments)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!line_is(command, commands[i].name))
            continue;
        if (arguments)
            answer(p, tag, "BAD No arguments are due");
        else
            commands[i].obey(p, tag);
        return;
    }
    answer(p, tag, "NO [PRIVACYREQUIRED] STARTTLS first"); /* RFC 5530 §3 */
}

/* What follows is not commands, though it may look like some: it is not waited for. */
static void refuse_literal(struct prelude *p, struct line tag)
{
    answer(p, tag, "BAD No literals before STARTTLS");
    prelude_print(p, "* BYE Closing\r\n");
    prelude_over(p, PRELUDE_MALFORMED);
}

static void obey(struct prelude *p, struct line line)
{
    static const struct line untagged = {.text = "*", .length = 1};
    struct line rest = line;
    struct line tag = line_word(&rest);
    bool tagged = is_tag(tag);
    bool printable = line_is_printable(rest);
    struct line command = line_word(&rest);

    if (line_has_literal(line))
        refuse_literal(p, tagged ? tag : untagged);
    else if (!tagged)
        answer(p, untagged, "BAD No tag");
    else if (command.length == 0 || !printable)
        answer(p, tag, "BAD Syntax error");
    else
        obey_command(p, tag, command, command.text + command.length != line.text + line.length);
}

static void say_too_long(struct prelude *p)
{
    prelude_print(p, "* BYE Line too long\r\n");
}

static const struct line_rules server_rules = {
    .lines_max = PRELUDE_COMMANDS_MAX,
    .hear = obey,
    .broken = "* BYE Lines end in CR LF, and have no zero byte\r\n",
    .too_many = "* BYE Too many commands before STARTTLS\r\n"};

static size_t take_command(struct prelude *p, const uint8_t *data, size_t length)
{
    return lines_take(p, &server_rules, data, length);
}

const struct prelude_part prelude_imap_server = {
    .input_max = PRELUDE_LINE_MAX, .start = greet, .take = take_command, .overlong = say_too_long};

/* ---- as the client ---- */

enum { GREETING, RESPONSE };

/* PREAUTH as a greeting: STARTTLS is no longer possible then (RFC 9051 §7.1.4), so that who gets
 * in between could do away with TLS. */
static void hear_greeting(struct prelude *p, struct line line, struct line status)
{
    if (line_is(status, "OK")) {
        prelude_print(p, "a STARTTLS\r\n");
        p->step = RESPONSE;
    } else if (line_is(status, "BYE") || line_is(status, "PREAUTH")) {
        line_refuse(p, line);
    } else {
        line_malformed(p, line);
    }
}

/* Nothing of what is said before TLS is kept (RFC 9051 §6.2.1): capabilities, alerts and all. */
static void hear_untagged(struct prelude *p, struct line line, struct line status)
{
    if (line_is(status, "BYE"))
        line_refuse(p, line);
    else if (status.length == 0 || line_is(status, "PREAUTH"))
        line_malformed(p, line);
}

static void hear_tagged(struct prelude *p, struct line line, struct line status)
{
    if (line_is(status, "OK"))
        prelude_done(p);
    else if (line_is(status, "NO") || line_is(status, "BAD"))
        line_refuse(p, line);
    else
        line_malformed(p, line);
}

static void hear(struct prelude *p, struct line line)
{
    struct line rest = line;
    struct line tag = line_word(&rest);
    struct line status = line_word(&rest);
    bool untagged = line_is(tag, "*");
    bool ours = tag.length == 1 && tag.text[0] == 'a' && p->step == RESPONSE;

    if (line_has_literal(line) || (!untagged && !ours))
        line_malformed(p, line);
    else if (p->step == GREETING)
        hear_greeting(p, line, status);
    else if (untagged)
        hear_untagged(p, line, status);
    else
        hear_tagged(p, line, status);
}

static const struct line_rules client_rules = {.lines_max = PRELUDE_REPLIES_MAX, .hear = hear};

static size_t take_response(struct prelude *p, const uint8_t *data, size_t length)
{
    return lines_take(p, &client_rules, data, length);
}

const struct prelude_part prelude_imap_client = {.input_max = PRELUDE_LINE_MAX,
                                                 .take = take_response};
