/* Streams that begin plain: PING, PONG, STARTTLS, TLS, and whoever would get plain words across. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/tunnel_pair.h"
#include "tests/unit/support/tunnel_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tunnel/stream.h"

enum { CAPACITY = 64 * 1024, TURNS_MAX = 20000 };

static struct world world;
static struct tunnel_context *client_context, *server_context;

/* ---- one end, and the test's own at the other ---- */

struct lines {
    struct tunnel_stream *client, *server;
    struct tunnel_io *ios[2]; /* theirs, or the test's where there is no stream */
};

static struct tunnel_stream *open_stream(struct tunnel_context *context, struct tunnel_io *io)
{
    struct tunnel_error error;
    struct tunnel_options options = {.timeout_ms = 0};
    if (context == client_context)
        options.server_name = "server.example";
    struct tunnel_stream *stream = tunnel_stream_open(context, io, &options, &error);
    if (stream == NULL)
        fail_msg("%s", error.text);
    return stream;
}

static void begin(struct lines *l, bool client, bool server)
{
    *l = (struct lines){.client = NULL};
    assert_true(tunnel_io_memory_pair(CAPACITY, &l->ios[0], &l->ios[1]));
    if (client)
        l->client = open_stream(client_context, l->ios[0]);
    if (server)
        l->server = open_stream(server_context, l->ios[1]);
}

static void finish(struct lines *l)
{
    if (l->client == NULL)
        tunnel_io_close(l->ios[0]);
    if (l->server == NULL)
        tunnel_io_close(l->ios[1]);
    tunnel_stream_free(l->client);
    tunnel_stream_free(l->server);
}

static void say(struct tunnel_stream *stream, const char *words)
{
    size_t taken;
    assert_int_equal(tunnel_stream_write(stream, words, strlen(words), &taken), TUNNEL_OK);
    assert_int_equal(taken, strlen(words));
}

static void say_plain(struct tunnel_io *io, const void *words, size_t length)
{
    size_t taken;
    assert_int_equal(tunnel_io_write(io, words, length, &taken), TUNNEL_OK);
    assert_int_equal(taken, length);
}

static void assert_line(struct tunnel_stream *stream, const char *expected)
{
    char line[TUNNEL_LINE_MAX];
    assert_int_equal(tunnel_stream_line(stream, line), TUNNEL_OK);
    assert_string_equal(line, expected);
}

static void upgrade_both(struct lines *l)
{
    enum tunnel_result a = tunnel_stream_upgrade(l->client), b = TUNNEL_WANT_READ;
    for (int turns = 0; (is_want(a) || is_want(b)) && turns < TURNS_MAX; turns++) {
        if (is_want(b))
            b = tunnel_stream_upgrade(l->server);
        if (is_want(a))
            a = tunnel_stream_upgrade(l->client);
    }
    assert_int_equal(a, TUNNEL_OK);
    assert_int_equal(b, TUNNEL_OK);
}

/* ---- the dialogue ---- */

static void it_is_upgraded_in_place(void **state)
{
    (void)state;
    struct lines l;
    char line[TUNNEL_LINE_MAX];
    begin(&l, true, true);
    say(l.client, "PING\n");
    assert_line(l.server, "PING");
    say(l.server, "PONG\r\n");
    assert_line(l.client, "PONG");
    assert_false(tunnel_stream_is_protected(l.client));
    assert_null(tunnel_stream_tunnel(l.client));
    say(l.client, "STARTTLS\n");
    assert_line(l.server, "STARTTLS");
    upgrade_both(&l);
    assert_true(tunnel_stream_is_protected(l.client) && tunnel_stream_is_protected(l.server));
    assert_non_null(tunnel_stream_tunnel(l.client));
    assert_int_equal(tunnel_stream_upgrade(l.client), TUNNEL_MISUSE);
    say(l.client, "PING\nQUIT\n");
    assert_line(l.server, "PING");
    assert_line(l.server, "QUIT");
    say(l.server, "PONG\n");
    assert_line(l.client, "PONG");
    assert_int_equal(tunnel_stream_close(l.server), TUNNEL_OK);
    assert_int_equal(tunnel_stream_line(l.client, line), TUNNEL_CLOSED);
    finish(&l);
}

/* Nobody answers STARTTLS, so both may arrive in one segment. */
static void a_client_hello_that_comes_along_with_starttls_is_tls(void **state)
{
    (void)state;
    struct lines l;
    begin(&l, true, true);
    say(l.client, "STARTTLS\n");
    assert_int_equal(tunnel_stream_upgrade(l.client), TUNNEL_WANT_READ);
    assert_line(l.server, "STARTTLS");
    upgrade_both(&l);
    say(l.client, "PING\n");
    assert_line(l.server, "PING");
    finish(&l);
}

/* ---- who would get plain words across ---- */

static void assert_refused(struct tunnel_stream *stream)
{
    char line[TUNNEL_LINE_MAX];
    size_t n;
    assert_int_equal(tunnel_stream_upgrade(stream), TUNNEL_PLAINTEXT_LEFT);
    assert_non_null(strstr(tunnel_stream_error(stream)->text, "plain bytes came behind"));
    /* For good: neither are they to be had, nor does it go on without them. */
    assert_int_equal(tunnel_stream_line(stream, line), TUNNEL_PLAINTEXT_LEFT);
    assert_int_equal(tunnel_stream_read(stream, line, sizeof(line), &n), TUNNEL_PLAINTEXT_LEFT);
    assert_int_equal(tunnel_stream_write(stream, "x", 1, &n), TUNNEL_PLAINTEXT_LEFT);
    assert_int_equal(tunnel_stream_upgrade(stream), TUNNEL_PLAINTEXT_LEFT);
    assert_false(tunnel_stream_is_protected(stream));
}

static void what_was_injected_behind_starttls_ends_a_server(void **state)
{
    (void)state;
    struct lines l;
    begin(&l, false, true);
    say_plain(l.ios[0], "STARTTLS\nQUIT\n", 14);
    assert_line(l.server, "STARTTLS");
    assert_refused(l.server);
    finish(&l);
}

static void what_was_injected_behind_the_reply_ends_a_client(void **state)
{
    (void)state;
    struct lines l;
    begin(&l, true, false);
    /* A server has nothing to say before a client's TLS: not even what looks like it. */
    say_plain(l.ios[1], "220 go ahead\r\n\x16\x03\x01", 17);
    assert_line(l.client, "220 go ahead");
    assert_refused(l.client);
    finish(&l);
}

static void what_is_still_on_its_way_is_refused_by_tls(void **state)
{
    (void)state;
    struct lines l;
    begin(&l, false, true);
    say_plain(l.ios[0], "STARTTLS\n", 9);
    assert_line(l.server, "STARTTLS");
    say_plain(l.ios[0], "QUIT\nQUIT\nQUIT\n", 15);
    assert_int_equal(tunnel_stream_upgrade(l.server), TUNNEL_PROTOCOL);
    assert_int_equal(tunnel_stream_error(l.server)->result, TUNNEL_PROTOCOL);
    assert_int_equal(tunnel_stream_close(l.server), TUNNEL_PROTOCOL);
    finish(&l);
}

static void what_only_begins_like_tls_is_refused_by_tls(void **state)
{
    (void)state;
    struct lines l;
    char line[TUNNEL_LINE_MAX];
    begin(&l, false, true);
    say_plain(l.ios[0], "STARTTLS\n\x16\x03\x01\x00\x05QUIT\nQUIT\n", 24);
    assert_line(l.server, "STARTTLS");
    assert_int_equal(tunnel_stream_upgrade(l.server), TUNNEL_PROTOCOL);
    assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_PROTOCOL);
    finish(&l);
}

/* ---- what does not fit ---- */

static void without_a_context_it_stays_plain(void **state)
{
    (void)state;
    struct lines l;
    begin(&l, false, false);
    l.server = open_stream(NULL, l.ios[1]);
    say_plain(l.ios[0], "PING\n", 5);
    assert_line(l.server, "PING");
    assert_int_equal(tunnel_stream_upgrade(l.server), TUNNEL_MISUSE);
    assert_non_null(strstr(tunnel_stream_error(l.server)->text, "open it with a context"));
    assert_int_equal(tunnel_stream_close(l.server), TUNNEL_MISUSE);
    say_plain(l.ios[0], "PING\n", 5);
    assert_line(l.server, "PING");
    finish(&l);
}

static void options_are_checked_at_once(void **state)
{
    (void)state;
    struct lines l;
    struct tunnel_error error;
    begin(&l, false, false);
    assert_null(tunnel_stream_open(client_context, l.ios[0], &(struct tunnel_options){0}, &error));
    assert_int_equal(error.result, TUNNEL_CONFIGURATION);
    finish(&l);
}

static void lines_have_a_bound(void **state)
{
    (void)state;
    char words[2 * TUNNEL_LINE_MAX], line[TUNNEL_LINE_MAX];
    struct lines l;
    begin(&l, false, true);
    memset(words, 'a', sizeof(words));
    words[TUNNEL_LINE_MAX - 1] = '\n';
    say_plain(l.ios[0], words, TUNNEL_LINE_MAX);
    assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_OK);
    assert_int_equal(strlen(line), TUNNEL_LINE_MAX - 1);
    words[TUNNEL_LINE_MAX - 1] = 'a';
    say_plain(l.ios[0], words, TUNNEL_LINE_MAX + 1);
    assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_PROTOCOL);
    assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_PROTOCOL);
    finish(&l);
}

static void a_zero_byte_is_no_line(void **state)
{
    (void)state;
    char line[TUNNEL_LINE_MAX];
    struct lines l;
    begin(&l, false, true);
    say_plain(l.ios[0], "QU\0IT\n", 6);
    assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_PROTOCOL);
    finish(&l);
}

static void a_line_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char words[] = "PING\r\nPO";
    char line[TUNNEL_LINE_MAX], bytes[8];
    size_t n;
    struct lines l;
    begin(&l, false, true);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_WANT_READ);
        say_plain(l.ios[0], words + i, 1);
    }
    say_plain(l.ios[0], words + 6, 2);
    assert_line(l.server, "PING");
    assert_int_equal(tunnel_stream_read(l.server, bytes, 1, &n), TUNNEL_OK);
    assert_int_equal(tunnel_stream_read(l.server, bytes + 1, 7, &n), TUNNEL_OK);
    assert_memory_equal(bytes, "PO", 2);
    assert_int_equal(tunnel_stream_read(l.server, bytes, 0, &n), TUNNEL_MISUSE);
    assert_int_equal(tunnel_stream_write(l.server, "", 0, &n), TUNNEL_OK);
    finish(&l);
}

static void the_end_and_a_failure_of_plain_words_are_told(void **state)
{
    (void)state;
    char line[TUNNEL_LINE_MAX];
    size_t n;
    struct lines l;
    begin(&l, false, true);
    say_plain(l.ios[0], "half", 4);
    tunnel_io_close(l.ios[0]);
    assert_int_equal(tunnel_stream_line(l.server, line), TUNNEL_CLOSED);
    assert_int_equal(tunnel_stream_write(l.server, "x", 1, &n), TUNNEL_IO);
    assert_non_null(strstr(tunnel_stream_error(l.server)->text, "has been closed"));
    tunnel_stream_free(l.server);
    tunnel_stream_free(NULL);
}

static void plain_words_are_waited_for(void **state)
{
    (void)state;
    int ends[2];
    char line[TUNNEL_LINE_MAX];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct tunnel_io *other = tunnel_io_fd(ends[1], ends[1]);
    struct tunnel_error error;
    struct tunnel_stream *stream = tunnel_stream_open(
        NULL, tunnel_io_fd(ends[0], ends[0]), &(struct tunnel_options){.timeout_ms = 10}, &error);
    assert_int_equal(tunnel_stream_line(stream, line), TUNNEL_TIMEOUT);
    assert_int_equal(tunnel_stream_error(stream)->result, TUNNEL_TIMEOUT);
    say_plain(other, "late\n", 5);
    assert_line(stream, "late");
    assert_int_equal(tunnel_stream_write_all(stream, "answer", 6), TUNNEL_OK);
    tunnel_stream_free(stream);
    tunnel_io_close(other);
}

static void without_waiting_all_cannot_be_promised(void **state)
{
    (void)state;
    struct lines l;
    begin(&l, false, true);
    assert_int_equal(tunnel_stream_write_all(l.server, "x", 1), TUNNEL_MISUSE);
    finish(&l);
}

static int set_up(void **state)
{
    (void)state;
    world_create(&world);
    world_usual(&world, "IMPL_OPENSSL3", &client_context, &server_context);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tunnel_context_release(client_context);
    tunnel_context_release(server_context);
    world_destroy(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_upgraded_in_place),
        cmocka_unit_test(a_client_hello_that_comes_along_with_starttls_is_tls),
        cmocka_unit_test(what_was_injected_behind_starttls_ends_a_server),
        cmocka_unit_test(what_was_injected_behind_the_reply_ends_a_client),
        cmocka_unit_test(what_is_still_on_its_way_is_refused_by_tls),
        cmocka_unit_test(what_only_begins_like_tls_is_refused_by_tls),
        cmocka_unit_test(without_a_context_it_stays_plain),
        cmocka_unit_test(options_are_checked_at_once),
        cmocka_unit_test(lines_have_a_bound),
        cmocka_unit_test(a_zero_byte_is_no_line),
        cmocka_unit_test(a_line_may_come_byte_by_byte),
        cmocka_unit_test(the_end_and_a_failure_of_plain_words_are_told),
        cmocka_unit_test(plain_words_are_waited_for),
        cmocka_unit_test(without_waiting_all_cannot_be_promised),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
