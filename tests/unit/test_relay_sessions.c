/* The relay and sides that are sessions: doomed ones, and those that become sockets. */
#include "tests/unit/support/fake_side.h"

/* ---- doomed sides ---- */

/* The TLS server is reset while the session has bytes to deliver, and nobody to deliver them to. */
static void doom(struct pair *p)
{
    p->near.base.ops = &fake_session_ops;
    p->near.undelivered = SIDE_NOBODY;
    fake_says(&p->far, "flight");
    p->far.then = SIDE_RESET;
    fakes_start(p);
    fake_assert_heard(&p->near, "flight");
    assert_int_equal(p->near.resets, 0);
    assert_int_equal(p->far.destroyed, 1);
    assert_int_equal(p->near.destroyed, 0);
    assert_true(p->near.readable);
}

static void a_doomed_side_delivers_and_is_then_reset(void **state)
{
    struct pair *p = *state;
    doom(p);
    p->near.undelivered = 6; /* somebody has joined */
    side_wake(&p->near.base);
    assert_int_equal(p->near.destroyed, 0);
    p->near.undelivered = 0;
    UNTIL(p->f, p->near.destroyed == 1); /* it is looked after without being woken */
    fakes_assert_over(p);
    assert_int_equal(p->near.resets, 1);
}

static void what_comes_from_a_doomed_side_is_thrown_away(void **state)
{
    struct pair *p = *state;
    doom(p);
    fake_says(&p->near, "too late");
    side_wake(&p->near.base);
    assert_int_equal(p->near.input_used, 8);
    p->near.then = SIDE_RESET;
    side_wake(&p->near.base);
    fakes_assert_over(p);
}

/* Its client may half-close and still wait for the rest. */
static void the_end_of_a_doomed_side_does_not_cut_its_delivery_short(void **state)
{
    struct pair *p = *state;
    doom(p);
    p->near.then = SIDE_END;
    p->near.undelivered = 6;
    side_wake(&p->near.base);
    assert_int_equal(p->near.destroyed, 0);
    assert_false(p->near.readable);
    p->near.undelivered = 0;
    side_wake(&p->near.base);
    fakes_assert_over(p);
    assert_int_equal(p->near.resets, 1);
}

/* An orderly end was passed on, or is on its way: a later reset must not take it back. */
static void a_reset_behind_an_end_does_not_overtake_it(void **state)
{
    struct pair *p = *state;
    fake_says(&p->far, "answer");
    p->far.then = SIDE_END;
    p->near.write_max = 2;
    p->near.room = 6;
    fakes_start(p);
    p->near.undelivered = 6;
    p->far.base.lost = SIDE_RESET;
    p->near.write_max = 6;
    side_wake(&p->far.base);
    fake_assert_heard(&p->near, "answer");
    assert_int_equal(p->near.finished, 1);
    assert_int_equal(p->near.resets, 0);
    p->near.undelivered = 0;
    UNTIL(p->f, p->near.destroyed == 1);
    assert_int_equal(p->near.resets, 1);
}

static void a_doomed_side_is_watched_again_after_each_wake(void **state)
{
    struct pair *p = *state;
    doom(p);
    p->near.readable = false;
    side_wake(&p->near.base);
    assert_true(p->near.readable);
}

static void a_doomed_side_is_aborted_with_the_worker(void **state)
{
    struct pair *p = *state;
    doom(p);
    relay_abort(p->f->worker->relays);
    fakes_assert_over(p);
}

/* ---- sides that become sockets ---- */

static void a_settled_side_gives_its_socket_and_the_bytes_read_before(void **state)
{
    struct pair *p = *state;
    struct peer *client = fixture_pair(p->f, &p->near.fd);
    p->near.base.ops = &fake_session_ops;
    p->near.early = "early ";
    fake_says(&p->near, "hello ");
    fakes_start(p);
    assert_int_equal(p->near.destroyed, 0);
    p->near.is_settled = true;
    side_wake(&p->near.base);
    assert_int_equal(p->near.destroyed, 1);
    assert_int_equal(p->near.reported, 1);
    fake_assert_heard(&p->far, "hello early ");
    peer_say(client, "and late");
    UNTIL(p->f, p->far.length == strlen("hello early and late"));
    fake_assert_heard(&p->far, "hello early and late");
    fake_says(&p->far, "answer");
    side_wake(&p->far.base);
    UNTIL(p->f, peer_heard(client, "answer"));
}

static void an_end_given_before_is_sent_again_by_the_socket(void **state)
{
    struct pair *p = *state;
    struct peer *client = fixture_pair(p->f, &p->near.fd);
    p->near.base.ops = &fake_session_ops;
    p->far.then = SIDE_END;
    fakes_start(p);
    assert_int_equal(p->near.finished, 1);
    assert_false(client->ended);
    p->near.is_settled = true;
    side_wake(&p->near.base);
    UNTIL(p->f, client->ended);
    peer_finish(client);
    UNTIL(p->f, p->far.destroyed == 1);
    assert_int_equal(p->far.finished, 1);
}

/* Both have ended, but what the session holds is not delivered before it is a socket. */
static void a_connection_is_not_over_before_its_sides_are_sockets(void **state)
{
    struct pair *p = *state;
    fixture_pair(p->f, &p->far.fd);
    p->far.base.ops = &fake_session_ops;
    p->near.then = p->far.then = SIDE_END;
    fakes_start(p);
    assert_int_equal(p->near.finished + p->far.finished, 2);
    assert_int_equal(p->far.destroyed, 0);
    p->far.is_settled = true;
    side_wake(&p->far.base);
    fakes_assert_over(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKES_CASE(a_doomed_side_delivers_and_is_then_reset),
        FAKES_CASE(what_comes_from_a_doomed_side_is_thrown_away),
        FAKES_CASE(the_end_of_a_doomed_side_does_not_cut_its_delivery_short),
        FAKES_CASE(a_reset_behind_an_end_does_not_overtake_it),
        FAKES_CASE(a_doomed_side_is_watched_again_after_each_wake),
        FAKES_CASE(a_doomed_side_is_aborted_with_the_worker),
        FAKES_CASE(a_settled_side_gives_its_socket_and_the_bytes_read_before),
        FAKES_CASE(an_end_given_before_is_sent_again_by_the_socket),
        FAKES_CASE(a_connection_is_not_over_before_its_sides_are_sockets),
    };
    return cmocka_run_group_tests_name("relay of sessions", tests, NULL, NULL);
}
