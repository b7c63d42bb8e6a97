/*
 * Tunnels over I/Os that fail, limit, trickle and lie, on each side of the TLS library: what a
 * tunnel tells its I/O and its user, whenever it ends.
 */
#include "tests/unit/support/check.h"
#include "tests/unit/support/tunnel_each.h"
#include "tests/unit/support/tunnel_pair.h"
#include "tests/unit/support/tunnel_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/net/clock.h"

enum { CAPACITY = 64 * 1024, TURNS_MAX = 20000, STATES_MAX = 64, SHORT_MS = 30 };

static struct world world;
static struct tunnel_context *client_context, *server_context;

/* ---- an I/O in the test's hands ---- */

struct strange {
    struct tunnel_io base;
    struct tunnel_io *inner;
    size_t piece;       /* no more bytes at once; 0: as many as there are */
    size_t fails_after; /* bytes of both directions; 0: never */
    enum tunnel_result fails_with;
    size_t moved;
    bool idle; /* OK with nothing done */
    bool *closed, *reset;
    enum tunnel_state states[STATES_MAX]; /* those that differ from the one before */
    size_t state_count;
    bool untold; /* was read or written before any state was told */
};

static bool breaks(const struct strange *s)
{
    return s->fails_after > 0 && s->moved >= s->fails_after;
}

static size_t limited(const struct strange *s, size_t length)
{
    return s->piece > 0 && s->piece < length ? s->piece : length;
}

static enum tunnel_result strange_read(struct tunnel_io *io, void *buffer, size_t capacity,
                                       size_t *got)
{
    struct strange *s = (struct strange *)io;
    s->untold |= s->state_count == 0;
    if (breaks(s))
        return s->fails_with;
    if (s->idle)
        return TUNNEL_OK;
    enum tunnel_result result = tunnel_io_read(s->inner, buffer, limited(s, capacity), got);
    s->moved += *got;
    return result;
}

static enum tunnel_result strange_write(struct tunnel_io *io, const void *data, size_t length,
                                        size_t *taken)
{
    struct strange *s = (struct strange *)io;
    s->untold |= s->state_count == 0;
    if (breaks(s))
        return s->fails_with;
    if (s->idle)
        return TUNNEL_OK;
    enum tunnel_result result = tunnel_io_write(s->inner, data, limited(s, length), taken);
    s->moved += *taken;
    return result;
}

static void strange_close(struct tunnel_io *io, bool reset)
{
    struct strange *s = (struct strange *)io;
    if (s->closed != NULL) {
        *s->closed = true;
        *s->reset = reset;
    }
    s->inner->ops->close(s->inner, reset);
    free(s);
}

static void strange_set_state(struct tunnel_io *io, enum tunnel_state state)
{
    struct strange *s = (struct strange *)io;
    if (s->state_count > 0 && s->states[s->state_count - 1] == state)
        return;
    assert_true(s->state_count < STATES_MAX);
    s->states[s->state_count++] = state;
}

static void strange_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    tunnel_io_watch(((struct strange *)io)->inner, want, watch);
}

static const char *strange_error(const struct tunnel_io *io)
{
    return breaks((const struct strange *)io) ? "the cable was cut" : NULL;
}

static struct strange *make_strange(struct tunnel_io *inner)
{
    static const struct tunnel_io_ops ops = {
        .read = strange_read,
        .write = strange_write,
        .close = strange_close,
        .set_state = strange_set_state,
        .watch = strange_watch,
        .error = strange_error,
    };
    struct strange *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->base.ops = &ops;
    s->inner = inner;
    s->fails_with = TUNNEL_IO;
    return s;
}

/* ---- two tunnels over two of them ---- */

struct talk {
    struct strange *ios[2];
    struct tunnel *client, *server;
};

static struct tunnel *open_tunnel(struct tunnel_context *context, struct tunnel_io *io,
                                  int timeout_ms)
{
    struct tunnel_error error;
    struct tunnel_options options = {.timeout_ms = timeout_ms};
    if (!tunnel_context_is_server(context))
        options.server_name = "server.example";
    struct tunnel *tunnel = tunnel_open(context, io, &options, &error);
    if (tunnel == NULL)
        fail_msg("%s", error.text);
    return tunnel;
}

static void begin(struct talk *talk)
{
    struct tunnel_io *ends[2];
    assert_true(tunnel_io_memory_pair(CAPACITY, &ends[0], &ends[1]));
    for (size_t i = 0; i < 2; i++)
        talk->ios[i] = make_strange(ends[i]);
    talk->client = open_tunnel(client_context, &talk->ios[0]->base, 0);
    talk->server = open_tunnel(server_context, &talk->ios[1]->base, 0);
}

static void finish(struct talk *talk)
{
    tunnel_free(talk->client);
    tunnel_free(talk->server);
}

static void agree(struct talk *talk)
{
    enum tunnel_result a = TUNNEL_WANT_READ, b = TUNNEL_WANT_READ;
    for (int turns = 0; (a != TUNNEL_OK || b != TUNNEL_OK) && turns < TURNS_MAX; turns++) {
        a = tunnel_handshake(talk->client);
        b = tunnel_handshake(talk->server);
    }
    assert_int_equal(a, TUNNEL_OK);
    assert_int_equal(b, TUNNEL_OK);
}

static void carry(struct tunnel *from, struct tunnel *to, const char *words)
{
    char bytes[256];
    size_t length = strlen(words), sent = 0, all = 0, n;
    for (int turns = 0; all < length && turns < TURNS_MAX; turns++) {
        if (sent < length && tunnel_write(from, words + sent, length - sent, &n) == TUNNEL_OK)
            sent += n;
        if (tunnel_read(to, bytes + all, sizeof(bytes) - all, &n) == TUNNEL_OK)
            all += n;
    }
    assert_int_equal(all, length);
    assert_memory_equal(bytes, words, length);
}

/* ---- the course of a tunnel ---- */

static void byte_by_byte_it_is_the_same(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk);
    talk.ios[0]->piece = talk.ios[1]->piece = 1;
    agree(&talk);
    carry(talk.client, talk.server, "PING");
    carry(talk.server, talk.client, "PONG");
    finish(&talk);
}

static void assert_states(const struct strange *s, const enum tunnel_state *expected, size_t count)
{
    assert_false(s->untold);
    assert_int_equal(s->state_count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(tunnel_state_name(s->states[i]), tunnel_state_name(expected[i]));
}

static void the_io_is_told_each_state_in_order(void **state)
{
    (void)state;
    static const enum tunnel_state expected[] = {
        TUNNEL_CONNECTION_IN_PROGRESS, TUNNEL_HANDSHAKE_IN_PROGRESS, TUNNEL_HANDSHAKE_DONE,
        TUNNEL_BEING_SHUT_DOWN, TUNNEL_DISCONNECTED};
    struct talk talk;
    struct tunnel_io *io;
    begin(&talk);
    assert_int_equal(tunnel_state(talk.client), TUNNEL_NOT_CONNECTED);
    agree(&talk);
    assert_int_equal(tunnel_close(talk.server), TUNNEL_OK);
    assert_int_equal(tunnel_unwrap(talk.client, &io), TUNNEL_OK);
    assert_ptr_equal(io, talk.ios[0]);
    assert_states(talk.ios[0], expected, COUNT(expected));
    tunnel_io_close(io);
    finish(&talk);
}

static void one_that_fails_is_told_so(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk);
    agree(&talk);
    talk.ios[0]->fails_after = 1;
    uint8_t byte;
    size_t n;
    assert_int_equal(tunnel_read(talk.client, &byte, 1, &n), TUNNEL_IO);
    assert_int_equal(talk.ios[0]->states[talk.ios[0]->state_count - 1], TUNNEL_ERROR);
    assert_int_equal(tunnel_state(talk.client), TUNNEL_ERROR);
    finish(&talk);
}

/* At each byte of the handshake, with each result that an I/O may end with. */
static void an_io_that_fails_in_the_middle_ends_the_tunnel_with_its_words(void **state)
{
    (void)state;
    static const enum tunnel_result ways[] = {TUNNEL_IO, TUNNEL_UNREACHED, TUNNEL_TIMEOUT,
                                              TUNNEL_MEMORY};
    size_t way = 0, failures = 0;
    const size_t step = each_is_slow() ? 499 : 97;
    for (size_t after = 1;; after += step, way = (way + 1) % COUNT(ways)) {
        struct talk talk;
        begin(&talk);
        talk.ios[0]->fails_after = after;
        talk.ios[0]->fails_with = ways[way];
        talk.ios[0]->piece = 89;
        enum tunnel_result result = TUNNEL_WANT_READ;
        for (int turns = 0; is_want(result) && turns < TURNS_MAX; turns++) {
            result = tunnel_handshake(talk.client);
            (void)tunnel_handshake(talk.server);
        }
        if (result == TUNNEL_OK) {
            finish(&talk);
            break;
        }
        failures++;
        assert_int_equal(result, ways[way]);
        assert_int_equal(tunnel_error(talk.client)->result, ways[way]);
        assert_string_equal(tunnel_error(talk.client)->text, "the cable was cut");
        size_t n;
        assert_int_equal(tunnel_write(talk.client, "x", 1, &n), ways[way]);
        assert_int_equal(tunnel_close(talk.client), ways[way]);
        finish(&talk);
    }
    assert_true(failures > 2);
}

static void an_io_that_does_nothing_and_says_ok_has_failed(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk);
    talk.ios[0]->idle = true;
    assert_int_equal(tunnel_handshake(talk.client), TUNNEL_IO);
    assert_string_equal(tunnel_error(talk.client)->text, "the I/O failed");
    finish(&talk);
}

/* ---- the end ---- */

struct fate {
    bool closed, reset;
};

static void follow(struct strange *s, struct fate *fate)
{
    *fate = (struct fate){false, false};
    s->closed = &fate->closed;
    s->reset = &fate->reset;
}

static void who_frees_without_a_word_resets(void **state)
{
    (void)state;
    struct talk talk;
    struct fate fates[2];
    begin(&talk);
    follow(talk.ios[0], &fates[0]);
    follow(talk.ios[1], &fates[1]);
    agree(&talk);
    assert_int_equal(tunnel_close(talk.server), TUNNEL_OK);
    finish(&talk);
    assert_true(fates[0].closed && fates[0].reset);
    assert_true(fates[1].closed && !fates[1].reset);
}

static void one_that_never_began_is_closed_in_order(void **state)
{
    (void)state;
    struct talk talk;
    struct fate fate;
    begin(&talk);
    follow(talk.ios[0], &fate);
    finish(&talk);
    assert_true(fate.closed && !fate.reset);
}

/* Its alert must arrive. */
static void one_that_failed_is_closed_in_order(void **state)
{
    (void)state;
    struct talk talk;
    struct fate fate;
    begin(&talk);
    follow(talk.ios[1], &fate);
    size_t n;
    assert_int_equal(tunnel_io_write(talk.ios[0]->inner, "GET / HTTP/1.0\r\n\r\n", 18, &n),
                     TUNNEL_OK);
    assert_int_equal(tunnel_handshake(talk.server), TUNNEL_PROTOCOL);
    assert_int_equal(tunnel_handshake(talk.server), TUNNEL_PROTOCOL);
    finish(&talk);
    assert_true(fate.closed && !fate.reset);
}

static void unwrap_leaves_plain_bytes_around_alone(void **state)
{
    (void)state;
    struct talk talk;
    struct tunnel_io *ios[2];
    char bytes[16];
    size_t n;
    begin(&talk);
    agree(&talk);
    assert_int_equal(tunnel_write(talk.client, "unread", 6, &n), TUNNEL_OK);
    assert_int_equal(tunnel_unwrap(talk.client, &ios[0]), TUNNEL_WANT_READ);
    assert_int_equal(tunnel_unwrap(talk.server, &ios[1]), TUNNEL_OK);
    assert_int_equal(tunnel_io_write(ios[1], "plain", 5, &n), TUNNEL_OK);
    assert_int_equal(tunnel_unwrap(talk.client, &ios[0]), TUNNEL_OK);
    assert_int_equal(tunnel_io_read(ios[0], bytes, sizeof(bytes), &n), TUNNEL_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "plain", 5);
    for (size_t i = 0; i < 2; i++)
        tunnel_io_close(ios[i]);
    finish(&talk);
}

static void what_was_unwrapped_is_of_no_more_use(void **state)
{
    (void)state;
    struct talk talk;
    struct tunnel_io *io, *again;
    struct tunnel_watch watch;
    char byte;
    size_t n;
    begin(&talk);
    agree(&talk);
    assert_int_equal(tunnel_close(talk.server), TUNNEL_OK);
    assert_int_equal(tunnel_unwrap(talk.client, &io), TUNNEL_OK);
    assert_int_equal(tunnel_read(talk.client, &byte, 1, &n), TUNNEL_MISUSE);
    assert_int_equal(tunnel_write(talk.client, "x", 1, &n), TUNNEL_MISUSE);
    assert_int_equal(tunnel_close(talk.client), TUNNEL_MISUSE);
    assert_int_equal(tunnel_unwrap(talk.client, &again), TUNNEL_MISUSE);
    assert_int_equal(tunnel_wait(talk.client, TUNNEL_WANT_READ, 0), TUNNEL_MISUSE);
    tunnel_watch(talk.client, TUNNEL_WANT_READ, &watch);
    assert_int_equal(watch.count, 0);
    assert_null(tunnel_io(talk.client));
    assert_int_equal(tunnel_pending(talk.client), 0);
    tunnel_io_close(io);
    finish(&talk);
}

static void nothing_is_given_back_where_the_peer_vanished(void **state)
{
    (void)state;
    struct talk talk;
    struct tunnel_io *io = NULL;
    begin(&talk);
    agree(&talk);
    talk.ios[0]->fails_with = TUNNEL_CLOSED;
    talk.ios[0]->fails_after = SIZE_MAX;
    assert_int_equal(tunnel_unwrap(talk.client, &io), TUNNEL_WANT_READ);
    talk.ios[0]->fails_after = 1;
    assert_int_equal(tunnel_unwrap(talk.client, &io), TUNNEL_RAGGED_EOF);
    assert_non_null(strstr(tunnel_error(talk.client)->text, "nothing to give back"));
    assert_null(io);
    finish(&talk);
}

/* A peer that never stops must not keep who cannot wait. */
static void unwrap_comes_back_from_a_peer_that_goes_on(void **state)
{
    (void)state;
    enum { GIFT = 4 << 20 };
    struct tunnel_io *ends[2], *io;
    struct talk talk;
    static uint8_t zeros[16384];
    size_t n, written = 0;
    assert_true(tunnel_io_memory_pair(GIFT, &ends[0], &ends[1]));
    for (size_t i = 0; i < 2; i++)
        talk.ios[i] = make_strange(ends[i]);
    talk.client = open_tunnel(client_context, &talk.ios[0]->base, 0);
    talk.server = open_tunnel(server_context, &talk.ios[1]->base, 0);
    agree(&talk);
    while (tunnel_write(talk.server, zeros, sizeof(zeros), &n) == TUNNEL_OK)
        written += n;
    size_t before = talk.ios[0]->moved;
    assert_int_equal(tunnel_unwrap(talk.client, &io), TUNNEL_WANT_READ);
    assert_true(written > GIFT / 2);
    assert_true(talk.ios[0]->moved - before < GIFT / 2);
    finish(&talk);
}

/* ---- calls at the wrong moment ---- */

static void calls_that_do_not_fit_harm_nobody(void **state)
{
    (void)state;
    struct talk talk;
    char byte;
    size_t n;
    begin(&talk);
    agree(&talk);
    assert_int_equal(tunnel_read(talk.client, &byte, 0, &n), TUNNEL_MISUSE);
    assert_int_equal(tunnel_write(talk.client, "", 0, &n), TUNNEL_OK);
    assert_int_equal(tunnel_write_all(talk.client, "x", 1), TUNNEL_MISUSE);
    assert_non_null(strstr(tunnel_error(talk.client)->text, "timeout_ms"));
    tunnel_set_timeout(talk.client, -1);
    assert_int_equal(tunnel_read(talk.client, &byte, 1, &n), TUNNEL_MISUSE);
    assert_non_null(strstr(tunnel_error(talk.client)->text, "nothing to wait for"));
    tunnel_set_timeout(talk.client, 0);
    carry(talk.client, talk.server, "still there");
    finish(&talk);
}

static void nothing_is_written_behind_a_close(void **state)
{
    (void)state;
    struct talk talk;
    size_t n, filled = 0;
    static uint8_t zeros[16384];
    begin(&talk);
    agree(&talk);
    while (tunnel_write(talk.client, zeros, sizeof(zeros), &n) == TUNNEL_OK)
        filled += n;
    assert_true(filled > 0);
    assert_int_equal(tunnel_close(talk.client), TUNNEL_WANT_WRITE);
    assert_int_equal(tunnel_write(talk.client, zeros, sizeof(zeros), &n), TUNNEL_MISUSE);
    while (tunnel_read(talk.server, zeros, sizeof(zeros), &n) == TUNNEL_OK)
        ;
    while (tunnel_close(talk.client) == TUNNEL_WANT_WRITE)
        (void)tunnel_read(talk.server, zeros, sizeof(zeros), &n);
    enum tunnel_result result;
    while ((result = tunnel_read(talk.server, zeros, sizeof(zeros), &n)) == TUNNEL_OK)
        ;
    assert_int_equal(result, TUNNEL_CLOSED);
    assert_int_equal(tunnel_close(talk.client), TUNNEL_OK);
    assert_int_equal(tunnel_write(talk.client, "x", 1, &n), TUNNEL_MISUSE);
    assert_int_equal(tunnel_write(talk.server, "behind", 6, &n), TUNNEL_OK);
    carry(talk.server, talk.client, "");
    finish(&talk);
}

static void options_that_skip_verification_must_be_said(void **state)
{
    (void)state;
    static const char *const none[] = {NULL}, *const some[] = {"client.example", NULL};
    const struct {
        bool server;
        struct tunnel_options options;
        const char *why;
    } cases[] = {
        {false, {.server_name = NULL}, "whom is the server's certificate for"},
        {false, {.names = none}, "names: is empty"},
        {false, {.names = some, .empty_verifier = true}, "contradict"},
        {true, {.server_name = "server.example"}, "a server does not ask for a name"},
        {true, {.names = some}, "asks no client for a certificate"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tunnel_io *a, *b;
        struct tunnel_error error;
        assert_true(tunnel_io_memory_pair(64, &a, &b));
        assert_null(tunnel_open(cases[i].server ? server_context : client_context, a,
                                &cases[i].options, &error));
        assert_int_equal(error.result, TUNNEL_CONFIGURATION);
        if (strstr(error.text, cases[i].why) == NULL)
            fail_msg("%s", error.text);
        tunnel_io_close(a); /* the I/O stays the caller's */
        tunnel_io_close(b);
    }
}

/* ---- waiting ---- */

static void connect_sockets(struct tunnel_io **io, int *other)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    *io = tunnel_io_fd(ends[0], ends[0]);
    assert_non_null(*io);
    *other = ends[1];
}

static void a_silent_peer_is_waited_for_and_may_still_come(void **state)
{
    (void)state;
    struct tunnel_io *io;
    int other;
    connect_sockets(&io, &other);
    struct tunnel *client = open_tunnel(client_context, io, SHORT_MS);
    turbo_time before = clock_now();
    assert_int_equal(tunnel_handshake(client), TUNNEL_TIMEOUT);
    assert_true(clock_now() - before >= SHORT_MS * (turbo_time)TURBO_MILLISECOND);
    assert_non_null(strstr(tunnel_error(client)->text, "within 30 ms"));
    struct tunnel *server = open_tunnel(server_context, tunnel_io_fd(other, other), 0);
    tunnel_set_timeout(client, 0);
    enum tunnel_result a = TUNNEL_WANT_READ, b = a;
    while (is_want(a) || is_want(b)) {
        b = tunnel_handshake(server);
        a = tunnel_handshake(client);
    }
    assert_int_equal(a, TUNNEL_OK);
    tunnel_free(client);
    tunnel_free(server);
}

/* An I/O that is always ready, and brings nothing for long. */
static enum tunnel_result dawdle_read(struct tunnel_io *io, void *buffer, size_t capacity,
                                      size_t *got)
{
    (void)io, (void)buffer, (void)capacity, (void)got;
    return TUNNEL_WANT_READ;
}

static enum tunnel_result dawdle_write(struct tunnel_io *io, const void *data, size_t length,
                                       size_t *taken)
{
    (void)io, (void)data;
    *taken = length;
    return TUNNEL_OK;
}

static void dawdle_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    (void)io, (void)want;
    watch->deadline_us = clock_now() + TURBO_MILLISECOND;
}

static void dawdle_close(struct tunnel_io *io, bool reset)
{
    (void)io, (void)reset;
}

static void an_io_that_dawdles_does_not_prolong_a_call(void **state)
{
    (void)state;
    static const struct tunnel_io_ops ops = {
        .read = dawdle_read, .write = dawdle_write, .watch = dawdle_watch, .close = dawdle_close};
    struct tunnel_io io = {&ops};
    struct tunnel *client = open_tunnel(client_context, &io, SHORT_MS);
    assert_int_equal(tunnel_handshake(client), TUNNEL_TIMEOUT);
    tunnel_free(client);
}

/* ---- contexts ---- */

static void a_context_lives_as_long_as_its_tunnels(void **state)
{
    (void)state;
    struct tunnel_io *a, *b;
    struct tunnel_error error;
    struct tunnel_context *context =
        world_context(&world, true, &(struct world_end){.identity = "ecdsa"}, &error);
    assert_non_null(context);
    assert_true(tunnel_io_memory_pair(64, &a, &b));
    struct tunnel *tunnel = open_tunnel(context, a, 0);
    assert_ptr_equal(tunnel_context_hold(context), context);
    tunnel_context_release(context);
    tunnel_context_release(context);
    assert_ptr_equal(tunnel_context(tunnel), context);
    assert_true(tunnel_context_is_server(context));
    char *text = tunnel_context_text(context);
    assert_non_null(text);
    assert_null(strstr(text, "BEGIN PRIVATE KEY"));
    free(text);
    tunnel_free(tunnel);
    tunnel_io_close(b);
    tunnel_context_release(NULL);
    tunnel_free(NULL);
}

static void every_result_and_state_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < TUNNEL_RESULT_COUNT; i++)
        assert_string_not_equal(tunnel_result_name((enum tunnel_result)i), "unknown");
    assert_string_equal(tunnel_result_name(TUNNEL_RESULT_COUNT), "unknown");
    for (int i = TUNNEL_NOT_CONNECTED; i <= TUNNEL_ERROR; i++)
        assert_string_not_equal(tunnel_state_name((enum tunnel_state)i), "unknown");
    assert_false(tunnel_result_is_error(TUNNEL_CLOSED));
    assert_true(tunnel_result_is_error(TUNNEL_RAGGED_EOF));
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct tunnel_error error;
    assert_null(tunnel_context_from_file("/nowhere/client.txtpb", &error));
    assert_int_equal(error.result, TUNNEL_CONFIGURATION);
    assert_non_null(strstr(error.text, "/nowhere/client.txtpb: cannot be read: No such file"));
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
        cmocka_unit_test(byte_by_byte_it_is_the_same),
        cmocka_unit_test(the_io_is_told_each_state_in_order),
        cmocka_unit_test(one_that_fails_is_told_so),
        cmocka_unit_test(an_io_that_fails_in_the_middle_ends_the_tunnel_with_its_words),
        cmocka_unit_test(an_io_that_does_nothing_and_says_ok_has_failed),
        cmocka_unit_test(who_frees_without_a_word_resets),
        cmocka_unit_test(one_that_never_began_is_closed_in_order),
        cmocka_unit_test(one_that_failed_is_closed_in_order),
        cmocka_unit_test(unwrap_leaves_plain_bytes_around_alone),
        cmocka_unit_test(what_was_unwrapped_is_of_no_more_use),
        cmocka_unit_test(nothing_is_given_back_where_the_peer_vanished),
        cmocka_unit_test(unwrap_comes_back_from_a_peer_that_goes_on),
        cmocka_unit_test(calls_that_do_not_fit_harm_nobody),
        cmocka_unit_test(nothing_is_written_behind_a_close),
        cmocka_unit_test(options_that_skip_verification_must_be_said),
        cmocka_unit_test(a_silent_peer_is_waited_for_and_may_still_come),
        cmocka_unit_test(an_io_that_dawdles_does_not_prolong_a_call),
        cmocka_unit_test(a_context_lives_as_long_as_its_tunnels),
        cmocka_unit_test(every_result_and_state_has_a_name),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
