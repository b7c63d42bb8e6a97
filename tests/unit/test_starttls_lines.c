/* What the servers' parts of SMTP, IMAP and POP3 have in common: lines, how long, and how many. */
#include "tests/unit/support/prelude_talk.h"

#include <stdio.h>

enum { LINE_BYTES = 2048, COMMANDS = 32, COMMAND_BYTES = 8 };

static const struct dialect {
    enum starttls_protocol protocol;
    const char *greeting;
    const char *command; /* one that has to wait for TLS, without its line end ... */
    const char *reply;   /* ... and what is said to it */
    const char *broken, *too_long, *too_many;
} dialects[] = {
    {STARTTLS_SMTP, "220 [192.0.2.1] ESMTP ready\r\n", "X",
     "530 Must issue a STARTTLS command first\r\n",
     "500 Lines end in CR LF, and have no zero byte\r\n", "500 Line too long\r\n",
     "421 Too many commands before STARTTLS\r\n"},
    {STARTTLS_IMAP, "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n", "a X",
     "a NO [PRIVACYREQUIRED] STARTTLS first\r\n",
     "* BYE Lines end in CR LF, and have no zero byte\r\n", "* BYE Line too long\r\n",
     "* BYE Too many commands before STARTTLS\r\n"},
    {STARTTLS_POP3, "+OK ready\r\n", "X", "-ERR TLS first: STLS\r\n",
     "-ERR lines end in CR LF, and have no zero byte\r\n", "-ERR line too long\r\n",
     "-ERR too many commands before STLS\r\n"},
};

static struct talk_line peer(const char *bytes, size_t length)
{
    return (struct talk_line)PEER_BYTES(bytes, length);
}

static struct talk_line we(const char *text)
{
    return (struct talk_line)WE_BYTES(text, strlen(text));
}

static void hold(const struct dialect *d, const struct talk *talk)
{
    talks_hold(prelude_starttls_server(d->protocol), NULL, talk, 1);
}

/* ---- how they end ---- */

#define ENDING(title, text)                                                                        \
    {                                                                                              \
        title, text, sizeof(text) - 1                                                              \
    }

static const struct ending {
    const char *title, *bytes;
    size_t length;
} endings[] = {
    ENDING("LF", "\n"),
    ENDING("LF, and a command behind it", "\nX\r\n"),
    ENDING("CR", "\rX\r\n"),
    ENDING("two CR", "\r\r\n"),
    ENDING("LF CR", "\n\r"),
    ENDING("a zero byte", "\0\r\n"),
    ENDING("a zero byte for LF", "\r\0"),
};

static void hold_ending(const struct dialect *d, const struct ending *e)
{
    char bytes[2 * COMMAND_BYTES], whole[COMMAND_BYTES];
    int length = snprintf(whole, sizeof(whole), "%s\r\n", d->command);
    size_t bare = strlen(d->command);

    memcpy(bytes, whole, bare);
    memcpy(bytes + bare, e->bytes, e->length);
    const struct talk_line greeting = we(d->greeting), broken = we(d->broken);
    const struct talk_line line = peer(bytes, bare + e->length);
    const struct talk first = {e->title, {greeting, line, broken}, OVER(PRELUDE_MALFORMED)};
    const struct talk later = {
        e->title,
        {greeting, peer(whole, (size_t)length), we(d->reply), line, broken},
        OVER(PRELUDE_MALFORMED),
    };

    hold(d, &first);
    hold(d, &later);
}

/* What one takes for the end of a line, and another does not, hides commands from one of them. */
static void lines_end_in_cr_lf_only(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(dialects); i++)
        for (size_t j = 0; j < COUNT(endings); j++)
            hold_ending(&dialects[i], &endings[j]);
}

static void what_begins_with_no_line_is_broken(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(dialects); i++) {
        const struct dialect *d = &dialects[i];
        const struct talk line_feed = {
            "LF first", {we(d->greeting), PEER("\n"), we(d->broken)}, OVER(PRELUDE_MALFORMED)};
        const struct talk tls = {
            "TLS at once",
            {we(d->greeting), PEER("\x16\x03\x01\x02\0\1"), we(d->broken)},
            OVER(PRELUDE_MALFORMED),
        };

        hold(d, &line_feed);
        hold(d, &tls);
    }
}

/* ---- how long, and how many ---- */

static void commands_are_short(void **state)
{
    static char longest[LINE_BYTES], longer[LINE_BYTES];
    (void)state;

    for (size_t i = 0; i < COUNT(dialects); i++) {
        const struct dialect *d = &dialects[i];
        const struct talk good = {
            "the longest line",
            {we(d->greeting), peer(longest, sizeof(longest)), we(d->reply)},
            MORE,
        };
        const struct talk bad = {
            "a longer one",
            {we(d->greeting), peer(longer, sizeof(longer)), we(d->too_long)},
            OVER(PRELUDE_MALFORMED),
        };

        talk_stretch(longest, sizeof(longest), d->command, "\r\n");
        talk_stretch(longer, sizeof(longer), d->command, "\r");
        hold(d, &good);
        hold(d, &bad);
    }
}

static void commands_are_few(void **state)
{
    static char many[(COMMANDS + 1) * COMMAND_BYTES];
    char line[COMMAND_BYTES + 1];
    (void)state;

    for (size_t i = 0; i < COUNT(dialects); i++) {
        const struct dialect *d = &dialects[i];
        struct talk talk = {"many", {we(d->greeting)}, MORE};

        talk_stretch(line, COMMAND_BYTES, d->command, "\r\n");
        line[COMMAND_BYTES] = '\0';
        talk_repeat(many, sizeof(many), line);
        talk.lines[1] = peer(many, sizeof(many) - COMMAND_BYTES);
        for (size_t j = 0; j < COMMANDS; j++)
            talk.lines[2 + j] = we(d->reply);
        hold(d, &talk);
        talk.title = "too many";
        talk.lines[1].length = sizeof(many);
        talk.lines[2 + COMMANDS] = we(d->too_many);
        talk.state = PRELUDE_OVER;
        talk.fault = PRELUDE_MALFORMED;
        hold(d, &talk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lines_end_in_cr_lf_only),
        CASE(what_begins_with_no_line_is_broken),
        CASE(commands_are_short),
        CASE(commands_are_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
