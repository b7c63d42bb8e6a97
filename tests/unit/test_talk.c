/* Preludes over sockets: what is said when, and what must not have been said by then. */
#include "tests/unit/support/worker_fixture.h"

#include <sys/socket.h>

#include "proxy/prelude/lines.h"
#include "proxy/talk.h"
#include "tunnel/net/socket.h"

static struct talk *talk;
static int fd = -1;
static struct peer *peer;

static void start(struct fixture *f, const struct prelude_part *part)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    peer = fixture_pair(f, &fd);
    talk = talk_start(part, fd, NULL, 0);
    assert_non_null(talk);
}

static int end(void **state)
{
    talk_end(talk);
    talk = NULL;
    socket_close(fd);
    fd = -1;
    return fixture_close(state);
}

#define TALK_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, end)

/* What the peer has said is in the socket; nothing has been read of it. */
static void arrives(struct fixture *f, size_t bytes)
{
    static uint8_t all[8192];
    assert_true(bytes <= sizeof(all));
    UNTIL(f, recv(fd, all, sizeof(all), MSG_PEEK) == (ssize_t)bytes);
}

static void says(struct fixture *f, const char *words)
{
    peer_say(peer, words);
    arrives(f, strlen(words));
}

static bool has_heard(const char *words)
{
    return peer->length >= strlen(words) &&
           memcmp(peer->received + peer->length - strlen(words), words, strlen(words)) == 0;
}

static enum prelude_fault fault(void)
{
    return prelude_fault(talk_prelude(talk));
}

/* As start, but of a socket that is full when the talk is to answer what its peer `says`. (TCP's
 * buffers are never full for sure.) */
static void start_full(struct fixture *f, const char *says)
{
    static const uint8_t zeros[65536];
    int ends[2];
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    fd = ends[0];
    peer = fixture_adopt(f, ends[1]);
    talk = talk_start(prelude_starttls_server(STARTTLS_SMTP), fd, NULL, 0);
    assert_non_null(talk);
    assert_int_equal(talk_run(talk), TALK_MORE);
    peer_say(peer, "EHLO x\r\n");
    assert_int_equal(talk_run(talk), TALK_MORE);
    UNTIL(f, has_heard("STARTTLS\r\n"));
    peer_deafen(peer);
    for (size_t length = sizeof(zeros); length > 0; length /= 2)
        while (send(fd, zeros, length, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
            continue;
    peer_say(peer, says);
    assert_int_equal(talk_run(talk), TALK_MORE);
    assert_true(talk_wants_write(talk));
}

static bool takes_more(void)
{
    fd_set writable;
    struct timeval now = {0};
    FD_ZERO(&writable);
    FD_SET(fd, &writable);
    return select(fd + 1, NULL, &writable, NULL, &now) == 1;
}

static void to_starttls(struct fixture *f)
{
    start(f, prelude_starttls_server(STARTTLS_SMTP));
    assert_int_equal(talk_run(talk), TALK_MORE);
    assert_false(talk_wants_write(talk));
    says(f, "EHLO x\r\n");
    assert_int_equal(talk_run(talk), TALK_MORE);
    UNTIL(f, has_heard("STARTTLS\r\n"));
}

/* ---- as the server ---- */

static void all_is_said_and_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    const uint8_t *rest;
    to_starttls(f);
    says(f, "STARTTLS\r\n");
    assert_int_equal(talk_run(talk), TALK_DONE);
    assert_int_equal(prelude_rest(talk_prelude(talk), &rest), 0);
    UNTIL(f, has_heard("STARTTLS\r\n") == false && peer->length > 0);
    says(f, "\x16\x03"); /* TLS begins, and is not the talk's */
}

static void bytes_in_the_same_segment_are_injected(void **state)
{
    struct fixture *f = *state;
    to_starttls(f);
    size_t before = peer->length;
    says(f, "STARTTLS\r\nx");
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
    fixture_let_happen(f);
    assert_int_equal(peer->length, before); /* no go-ahead */
}

/* One read takes just what belongs to the talk, and the rest is still in the socket. */
static void bytes_behind_a_full_read_are_injected(void **state)
{
    struct fixture *f = *state;
    static const char last[] = "STARTTLS\r\nx";
    char words[PRELUDE_LINE_MAX + 2] = "NOOP ";
    to_starttls(f);
    size_t at = PRELUDE_LINE_MAX + 1 - strlen(last);
    memset(words + 5, 'n', at - 5 - 2);
    memcpy(words + at - 2, "\r\n", 2);
    memcpy(words + at, last, sizeof(last));
    says(f, words);
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
}

/* As long as the go-ahead has not left, nobody can have waited for it. */
static void bytes_that_come_while_the_go_ahead_is_held_up_are_injected(void **state)
{
    struct fixture *f = *state;
    start_full(f, "STARTTLS\r\n");
    peer_say(peer, "x");
    peer_hear(peer);
    UNTIL(f, takes_more());
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
}

static void a_go_ahead_that_was_held_up_goes(void **state)
{
    struct fixture *f = *state;
    start_full(f, "STARTTLS\r\n");
    peer_hear(peer);
    UNTIL(f, takes_more() && talk_run(talk) == TALK_DONE);
}

static void what_came_before_is_heard_first(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ahead[] = "EHLO x\r\nSTART";
    start(f, prelude_starttls_server(STARTTLS_SMTP));
    talk_hear_first(talk, ahead, sizeof(ahead) - 1);
    says(f, "TLS\r\n");
    assert_int_equal(talk_run(talk), TALK_DONE);
    assert_int_equal(talk_unheard(talk), 0);
}

static void it_may_be_injected_too(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ahead[] = "EHLO x\r\nSTARTTLS\r\nx";
    start(f, prelude_starttls_server(STARTTLS_SMTP));
    talk_hear_first(talk, ahead, sizeof(ahead) - 1);
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
}

/* When all of it but the last byte has been taken, and that is the go-ahead's turn. */
static void also_where_not_all_of_it_was_taken(void **state)
{
    struct fixture *f = *state;
    static const char first[] = "EHLO x\r\nNOOP ", last[] = "\r\nSTARTTLS\r\nx";
    char ahead[PRELUDE_LINE_MAX + sizeof("EHLO x\r\n")];
    memset(ahead, 'n', sizeof(ahead));
    memcpy(ahead, first, strlen(first));
    memcpy(ahead + sizeof(ahead) - strlen(last), last, strlen(last));
    start(f, prelude_starttls_server(STARTTLS_SMTP));
    talk_hear_first(talk, (const uint8_t *)ahead, sizeof(ahead));
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
}

static void and_so_may_what_is_in_the_socket_behind_it(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ahead[] = "EHLO x\r\nSTARTTLS\r\n";
    start(f, prelude_starttls_server(STARTTLS_SMTP));
    talk_hear_first(talk, ahead, sizeof(ahead) - 1);
    says(f, "x");
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
}

/* Of what one that may go on has sent, each byte is in one place, in order. */
static void what_it_does_not_take_is_left(void **state)
{
    struct fixture *f = *state;
    static uint8_t ahead[3000] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 1, 187};
    const uint8_t *rest;
    for (size_t i = 13; i < sizeof(ahead); i++)
        ahead[i] = check_byte(1, i);
    start(f, &prelude_socks5);
    talk_hear_first(talk, ahead, sizeof(ahead));
    assert_int_equal(talk_run(talk), TALK_ASKED);
    prelude_answer(talk_prelude(talk), PRELUDE_CONNECTED);
    assert_int_equal(talk_run(talk), TALK_DONE);
    size_t length = prelude_rest(talk_prelude(talk), &rest);
    assert_int_equal(length + talk_unheard(talk), sizeof(ahead) - 13);
    assert_memory_equal(rest, ahead + 13, length);
}

static void an_end_cuts_it_short(void **state)
{
    struct fixture *f = *state;
    to_starttls(f);
    peer_say(peer, "NOO");
    peer_finish(peer);
    enum talk_result result;
    UNTIL(f, (result = talk_run(talk)) != TALK_MORE);
    assert_int_equal(result, TALK_OVER);
    assert_int_equal(fault(), PRELUDE_CUT_SHORT);
}

static void a_reset_loses_it(void **state)
{
    struct fixture *f = *state;
    to_starttls(f);
    peer_reset(peer);
    enum talk_result result;
    UNTIL(f, (result = talk_run(talk)) != TALK_MORE);
    assert_int_equal(result, TALK_LOST);
}

static void also_while_there_is_something_to_be_said(void **state)
{
    struct fixture *f = *state;
    start_full(f, "NOOP\r\n");
    peer_reset(peer);
    UNTIL(f, talk_run(talk) == TALK_LOST);
}

/* One command after another, each answered before the next is looked at. */
static void who_does_not_listen_is_not_heard(void **state)
{
    struct fixture *f = *state;
    start_full(f, "NOOP\r\nNOOP\r\nQUIT\r\n");
    assert_int_equal(talk_run(talk), TALK_MORE);
    assert_int_equal(prelude_state(talk_prelude(talk)), PRELUDE_MORE);
    peer_hear(peer);
    UNTIL(f, takes_more() && talk_run(talk) == TALK_OVER);
    assert_int_equal(fault(), PRELUDE_LEFT);
}

/* ---- as the client ---- */

static void a_server_that_says_more_has_injected(void **state)
{
    struct fixture *f = *state;
    start(f, prelude_starttls_client(STARTTLS_POSTGRESQL));
    assert_int_equal(talk_run(talk), TALK_MORE);
    UNTIL(f, peer->length == 8);
    says(f, "Sx"); /* one byte is read, and the other is still in the socket */
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_INJECTED);
}

static void one_that_agrees_is_done(void **state)
{
    struct fixture *f = *state;
    start(f, prelude_starttls_client(STARTTLS_POSTGRESQL));
    assert_int_equal(talk_run(talk), TALK_MORE);
    says(f, "S");
    assert_int_equal(talk_run(talk), TALK_DONE);
}

static void one_that_does_not_is_over(void **state)
{
    struct fixture *f = *state;
    start(f, prelude_starttls_client(STARTTLS_POSTGRESQL));
    assert_int_equal(talk_run(talk), TALK_MORE);
    says(f, "N");
    assert_int_equal(talk_run(talk), TALK_OVER);
    assert_int_equal(fault(), PRELUDE_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_CASE(all_is_said_and_nothing_is_left),
        TALK_CASE(bytes_in_the_same_segment_are_injected),
        TALK_CASE(bytes_behind_a_full_read_are_injected),
        TALK_CASE(bytes_that_come_while_the_go_ahead_is_held_up_are_injected),
        TALK_CASE(a_go_ahead_that_was_held_up_goes),
        TALK_CASE(what_came_before_is_heard_first),
        TALK_CASE(it_may_be_injected_too),
        TALK_CASE(also_where_not_all_of_it_was_taken),
        TALK_CASE(and_so_may_what_is_in_the_socket_behind_it),
        TALK_CASE(what_it_does_not_take_is_left),
        TALK_CASE(an_end_cuts_it_short),
        TALK_CASE(a_reset_loses_it),
        TALK_CASE(also_while_there_is_something_to_be_said),
        TALK_CASE(who_does_not_listen_is_not_heard),
        TALK_CASE(a_server_that_says_more_has_injected),
        TALK_CASE(one_that_agrees_is_done),
        TALK_CASE(one_that_does_not_is_over),
    };
    return cmocka_run_group_tests_name("talk", tests, NULL, NULL);
}
