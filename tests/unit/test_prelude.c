/* What all preludes have in common: input and output, the go-ahead, and what comes of them. The
 * parts here are made for it; the real ones are in test_smtp, test_imap, and so on. */
#include "tests/unit/support/prelude_talk.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/prelude/prelude_parts.h"

enum { INPUT_MAX = 8 };

/* Units of one byte: "." is done, "!" is done with what follows it, "?" asks, "x" is over, and a
 * number is answered with as many stars; "(" begins one that ends with ")". */
static size_t take(struct prelude *p, const uint8_t *data, size_t length)
{
    switch (data[0]) {
    case '.':
        prelude_put(p, "go\n", 3);
        prelude_done(p);
        break;
    case '!':
        p->direct_alpn = "x";
        prelude_done(p);
        return 0;
    case '?':
        memcpy(p->host, "host", 5);
        p->port = 443;
        p->state = PRELUDE_ASKED;
        break;
    case 'x': prelude_over(p, PRELUDE_REFUSED); break;
    case '(': {
        const uint8_t *end = memchr(data, ')', length);
        return end == NULL ? 0 : (size_t)(end - data) + 1;
    }
    default: prelude_print(p, "%.*s", data[0] - '0', "*********");
    }
    return 1;
}

static void answer(struct prelude *p, enum prelude_answer answer)
{
    prelude_print(p, "%d -\n", (int)answer);
    if (answer == PRELUDE_CONNECTED)
        prelude_done(p);
    else
        prelude_over(p, PRELUDE_REFUSED);
}

static void greet(struct prelude *p)
{
    prelude_print(p, "hello\n");
}

static void complain(struct prelude *p)
{
    prelude_print(p, "long\n");
}

static const struct prelude_part strict = {
    .input_max = INPUT_MAX, .start = greet, .take = take, .answer = answer, .overlong = complain};
static const struct prelude_part lax = {
    .input_max = INPUT_MAX, .may_go_on = true, .take = take, .answer = answer};

static struct prelude *start(const struct prelude_part *part)
{
    static const struct prelude_setting setting = {.name = "x"};
    void *memory = malloc(prelude_bytes(part));
    assert_non_null(memory);
    return prelude_init(memory, part, &setting);
}

static size_t push(struct prelude *p, const char *text)
{
    return prelude_push(p, (const uint8_t *)text, strlen(text));
}

static void assert_output(const struct prelude *p, const char *expected)
{
    const uint8_t *data;
    size_t n = prelude_peek(p, &data);

    assert_int_equal(n, strlen(expected));
    assert_memory_equal(data, expected, n);
}

static void assert_over(const struct prelude *p, enum prelude_fault fault)
{
    assert_int_equal(prelude_state(p), PRELUDE_OVER);
    assert_int_equal(prelude_fault(p), fault);
}

static void every_way_comes_to_the_same(void **state)
{
    static const struct talk of_strict[] = {
        {"nothing", {WE("hello\n")}, MORE},
        {"some", {WE("hello\n"), PEER("123"), WE("******"), PEER("(1.)2"), WE("**")}, MORE},
        {"done", {WE("hello\n"), PEER("1."), WE("*go\n")}, DONE},
        {"more than there is room for",
         {WE("hello\n"), PEER("1111111111111111111111."), WE("**********************go\n")},
         DONE},
        {"over", {WE("hello\n"), PEER("1x1."), WE("*")}, OVER(PRELUDE_REFUSED)},
        {"the longest", {WE("hello\n"), PEER("(.....x)1"), WE("*")}, MORE},
        {"too long", {WE("hello\n"), PEER("(......."), WE("long\n")}, OVER(PRELUDE_MALFORMED)},
        {"behind others",
         {WE("hello\n"), PEER("9(.......)"), WE("*********long\n")},
         OVER(PRELUDE_MALFORMED)},
        {"injected", {WE("hello\n"), PEER("11.1"), WE("**")}, OVER(PRELUDE_INJECTED)},
        {"injected, more than there is room for",
         {WE("hello\n"), PEER("1111111.111111111111111111"), WE("*******")},
         OVER(PRELUDE_INJECTED)},
        {"direct", {WE("hello\n"), PEER("1!abcdefghijkl"), WE("*")}, DONE_REST("!abcdefghijkl")},
        {"cut short", {WE("hello\n"), PEER("1(."), WE("*"), END}, OVER(PRELUDE_CUT_SHORT)},
        {"cut short while it is answered",
         {WE("hello\n"), PEER("?"), END},
         OVER(PRELUDE_CUT_SHORT)},
    };
    static const struct talk of_lax[] = {
        {"more behind it", {PEER("1.abcdefghijkl"), WE("*go\n")}, DONE_REST("abcdefghijkl")},
        {"asked",
         {PEER("1?abcdefghijkl"), WE("*"), ASKS("host", 443), ANSWER(PRELUDE_CONNECTED),
          WE("0 -\n")},
         DONE_REST("abcdefghijkl")},
        {"refused",
         {PEER("?abc"), ASKS("host", 443), ANSWER(PRELUDE_TIMED_OUT), WE("5 -\n")},
         OVER(PRELUDE_REFUSED)},
        {"too long, and nothing is said of it",
         {PEER("1(......."), WE("*")},
         OVER(PRELUDE_MALFORMED)},
    };
    (void)state;

    talks_hold(&strict, NULL, of_strict, COUNT(of_strict));
    talks_hold(&lax, NULL, of_lax, COUNT(of_lax));
}

static void no_input_is_used_before_the_output_is_taken(void **state)
{
    (void)state;
    struct prelude *p = start(&strict);

    assert_int_equal(prelude_room(p), INPUT_MAX);
    assert_int_equal(push(p, "1234567890"), INPUT_MAX);
    assert_int_equal(prelude_room(p), 0);
    assert_int_equal(push(p, "90"), 0);
    assert_output(p, "hello\n");
    prelude_consume(p, 5);
    assert_output(p, "\n");
    assert_int_equal(push(p, "90"), 0);
    prelude_consume(p, 1);
    assert_output(p, "*");
    assert_int_equal(prelude_room(p), 1);
    assert_int_equal(push(p, "90"), 1);
    assert_int_equal(prelude_state(p), PRELUDE_MORE);
    free(p);
}

static void what_was_not_taken_is_injected_too(void **state)
{
    (void)state;
    struct prelude *p = start(&strict);

    /* Behind a go-ahead that fills the input to its last byte. */
    assert_int_equal(push(p, "(.....).1"), INPUT_MAX);
    assert_int_equal(prelude_state(p), PRELUDE_MORE);
    prelude_consume(p, 6);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_output(p, "go\n");
    assert_int_equal(push(p, "1"), 0);
    assert_over(p, PRELUDE_INJECTED);
    assert_output(p, "");
    free(p);

    /* The same within one call. */
    p = start(&strict);
    prelude_consume(p, 6);
    (void)push(p, "(.....).1");
    assert_over(p, PRELUDE_INJECTED);
    assert_output(p, "");
    free(p);
}

static void until_the_go_ahead_is_sent_nothing_may_come(void **state)
{
    (void)state;
    struct prelude *p = start(&strict);

    prelude_consume(p, 6);
    assert_int_equal(push(p, "."), 1);
    assert_int_equal(prelude_push(p, NULL, 0), 0);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_output(p, "go\n");
    prelude_consume(p, 1);
    assert_int_equal(push(p, "1"), 0);
    assert_over(p, PRELUDE_INJECTED);
    assert_output(p, "");
    free(p);
}

static void who_may_go_on_does_so_behind_the_rest(void **state)
{
    const uint8_t *rest;
    (void)state;
    struct prelude *p = start(&lax);

    assert_null(prelude_direct_alpn(p));
    assert_int_equal(push(p, ".ab"), 3);
    assert_int_equal(push(p, "c"), 0);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_int_equal(prelude_rest(p, &rest), 2);
    assert_memory_equal(rest, "ab", 2);
    assert_output(p, "go\n");
    free(p);

    p = start(&strict);
    prelude_consume(p, 6);
    assert_int_equal(push(p, "!ab"), 3);
    assert_int_equal(push(p, "c"), 0);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_string_equal(prelude_direct_alpn(p), "x");
    free(p);
}

static void an_end_changes_nothing_of_what_is_decided(void **state)
{
    (void)state;
    struct prelude *p = start(&strict);

    prelude_consume(p, 6);
    (void)push(p, ".");
    prelude_push_end(p);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_output(p, "go\n");
    free(p);

    p = start(&strict);
    prelude_consume(p, 6);
    (void)push(p, "x");
    prelude_push_end(p);
    assert_over(p, PRELUDE_REFUSED);
    assert_int_equal(prelude_room(p), 0);
    assert_int_equal(push(p, "1"), 0);
    free(p);
}

static void notes_are_short_and_printable(void **state)
{
    char text[200], expected[PRELUDE_SAID_MAX + 1];
    (void)state;
    struct prelude *p = start(&strict);

    assert_string_equal(prelude_said(p), "");
    prelude_note(p, "a\0b\x1f c~\x7f\x80\xff", 10);
    assert_string_equal(prelude_said(p), "a?b? c~???");
    memset(text, 'x', sizeof(text));
    memset(expected, 'x', sizeof(expected) - 1);
    expected[sizeof(expected) - 1] = '\0';
    prelude_note(p, text, sizeof(text));
    assert_string_equal(prelude_said(p), expected);
    prelude_note(p, text, sizeof(expected) - 2);
    assert_string_equal(prelude_said(p), expected + 1);
    free(p);
}

static void faults_and_protocols_have_names(void **state)
{
    static const struct {
        enum prelude_fault fault;
        const char *text;
    } faults[] = {
        {PRELUDE_NO_FAULT, "-"},          {PRELUDE_LEFT, "left"},
        {PRELUDE_MALFORMED, "malformed"}, {PRELUDE_REFUSED, "refused"},
        {PRELUDE_INJECTED, "injected"},   {PRELUDE_CUT_SHORT, "cut-short"},
    };
    static const char *const protocols[STARTTLS_COUNT] = {"none", "smtp", "imap",
                                                          "pop3", "ldap", "postgresql"};
    (void)state;

    for (size_t i = 0; i < COUNT(faults); i++)
        assert_string_equal(prelude_fault_text(faults[i].fault), faults[i].text);
    for (unsigned i = 0; i < STARTTLS_COUNT; i++)
        assert_string_equal(prelude_starttls_text(i), protocols[i]);
}

static void there_is_a_server_and_a_client_for_each(void **state)
{
    static const struct prelude_part *const parts[STARTTLS_COUNT][2] = {
        [STARTTLS_SMTP] = {&prelude_smtp_server, &prelude_smtp_client},
        [STARTTLS_IMAP] = {&prelude_imap_server, &prelude_imap_client},
        [STARTTLS_POP3] = {&prelude_pop3_server, &prelude_pop3_client},
        [STARTTLS_LDAP] = {&prelude_ldap_server, &prelude_ldap_client},
        [STARTTLS_POSTGRESQL] = {&prelude_postgresql_server, &prelude_postgresql_client}};
    (void)state;
    assert_null(prelude_starttls_server(STARTTLS_NONE));
    assert_null(prelude_starttls_client(STARTTLS_NONE));
    for (unsigned i = STARTTLS_NONE + 1; i < STARTTLS_COUNT; i++) {
        const struct prelude_part *server = prelude_starttls_server(i);
        const struct prelude_part *client = prelude_starttls_client(i);
        assert_ptr_equal(server, parts[i][0]);
        assert_ptr_equal(client, parts[i][1]);
        assert_false(server->may_go_on || client->may_go_on);
        assert_true(prelude_bytes(server) <= 16 * 1024 && prelude_bytes(client) <= 16 * 1024);
    }
    assert_true(prelude_http_connect.may_go_on && prelude_socks5.may_go_on);
    assert_true(prelude_bytes(&prelude_http_connect) <= 16 * 1024);
    assert_true(prelude_bytes(&prelude_socks5) <= 16 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_way_comes_to_the_same),
        CASE(no_input_is_used_before_the_output_is_taken),
        CASE(what_was_not_taken_is_injected_too),
        CASE(until_the_go_ahead_is_sent_nothing_may_come),
        CASE(who_may_go_on_does_so_behind_the_rest),
        CASE(an_end_changes_nothing_of_what_is_decided),
        CASE(notes_are_short_and_printable),
        CASE(faults_and_protocols_have_names),
        CASE(there_is_a_server_and_a_client_for_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
