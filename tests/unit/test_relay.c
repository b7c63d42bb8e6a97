/* The relay between two scripted sides: what one gives, what the other takes, and when. */
#include "tests/unit/support/fake_side.h"

#include <stdlib.h>

enum { LARGE = 300 * 1000 };

/* ---- bytes ---- */

static void bytes_arrive_once_and_in_order(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "one");
    fakes_start(p);
    fake_assert_heard(&p->far, "one");
    fake_says(&p->near, " two");
    fake_says(&p->far, "three");
    side_wake(&p->far.base);
    fake_assert_heard(&p->far, "one two");
    fake_assert_heard(&p->near, "three");
    assert_true(p->near.readable && p->far.readable);
    assert_false(p->near.writable || p->far.writable);
}

static void what_was_not_taken_is_held_and_goes_first(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "abcdefgh");
    p->far.write_max = 3;
    fakes_start(p);
    fake_assert_heard(&p->far, "abcdefgh"); /* it took some each time, so it was asked again */
    fake_says(&p->near, "ijkl");
    p->far.write_max = 0;
    side_wake(&p->near.base);
    fake_says(&p->near, "mnop");
    assert_false(p->near.readable);
    assert_true(p->far.writable);
    assert_int_equal(p->near.input_used, 0);
    p->far.write_max = SIZE_MAX;
    side_wake(&p->far.base);
    fake_assert_heard(&p->far, "abcdefghijklmnop");
    assert_true(p->near.readable);
    assert_false(p->far.writable);
}

static void a_side_without_room_stops_the_other_from_being_read(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "abcdefgh");
    fake_says(&p->far, "the other way goes on");
    p->far.room = 0;
    fakes_start(p);
    assert_int_equal(p->near.input_used, 0);
    assert_false(p->near.readable);
    assert_true(p->far.writable && p->far.readable);
    fake_assert_heard(&p->near, "the other way goes on");
    p->far.room = SIZE_MAX;
    side_wake(&p->far.base);
    fake_assert_heard(&p->far, "abcdefgh");
}

static void no_more_is_read_than_there_is_room_for(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "abcdefgh");
    p->near.then = SIDE_END;
    p->far.room = 5;
    fakes_start(p);
    fake_assert_heard(&p->far, "abcdefgh");
    p->far.room = 0;
    assert_int_equal(p->far.finished, 1);
}

/* Short writes, little room and wake-ups at random: both streams arrive as they are. */
static void large_streams_survive(struct pair *p)
{
    uint8_t *streams[2] = {malloc(LARGE), malloc(LARGE)};
    struct fake *fakes[2] = {&p->near, &p->far};
    srandom(20261121);
    for (unsigned i = 0; i < 2; i++) {
        check_fill(streams[i], i, 0, LARGE);
        fakes[i]->input = streams[i];
    }
    fakes_start(p);
    while (p->near.destroyed == 0) {
        for (unsigned i = 0; i < 2; i++) {
            size_t more = (size_t)(random() % 3000);
            fakes[i]->write_max = (size_t)(random() % 1500);
            fakes[i]->room = random() % 4 == 0 ? 0 : (size_t)(random() % 2000);
            fakes[i]->input_length += more;
            if (fakes[i]->input_length >= LARGE) {
                fakes[i]->input_length = LARGE;
                fakes[i]->then = SIDE_END;
            }
        }
        side_wake(&fakes[random() % 2]->base);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fakes[i]->length, LARGE);
        assert_memory_equal(fakes[i]->output, streams[1 - i], LARGE);
    }
    free(streams[0]);
    free(streams[1]);
    fakes_assert_over(p);
}

static void large_streams_survive_every_kind_of_narrowness(void **state)
{
    large_streams_survive(*state);
}

static void and_so_do_those_of_streams_that_are_asked_for_their_end(void **state)
{
    struct pair *p = *state;
    p->near.base.ops = p->far.base.ops = &fake_stream_ops;
    large_streams_survive(p);
}

/* ---- ends ---- */

static void an_end_passes_behind_the_bytes_that_are_held(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "abc");
    p->near.then = SIDE_END;
    p->far.write_max = 0;
    fakes_start(p);
    side_wake(&p->near.base);
    assert_int_equal(p->far.finished, 0);
    p->far.write_max = 1;
    side_wake(&p->far.base);
    fake_assert_heard(&p->far, "abc");
    assert_int_equal(p->far.finished, 1);
    assert_int_equal(p->far.finished_behind, 3);
}

static void half_close(struct pair *p, struct fake *first, struct fake *second)
{
    first->then = SIDE_END;
    fakes_start(p);
    assert_int_equal(second->finished, 1);
    assert_int_equal(first->finished, 0);
    assert_false(first->readable);
    fake_says(second, "still here");
    side_wake(&second->base);
    fake_assert_heard(first, "still here");
    assert_int_equal(first->destroyed, 0);
    second->then = SIDE_END;
    side_wake(&second->base);
    assert_int_equal(first->finished, 1);
    assert_int_equal(second->finished, 1);
    assert_int_equal(first->resets + second->resets, 0);
    fakes_assert_over(p);
}

static void the_near_end_may_end_first(void **state)
{
    struct pair *p = *state;
    half_close(p, &p->near, &p->far);
}

static void the_far_end_may_end_first(void **state)
{
    struct pair *p = *state;
    half_close(p, &p->far, &p->near);
}

static void a_reset_passes_behind_what_was_read_before(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "last words");
    p->near.then = SIDE_RESET;
    fakes_start(p);
    fake_assert_heard(&p->far, "last words");
    assert_int_equal(p->far.resets, 1);
    assert_false(p->far.unreached);
    assert_int_equal(p->far.finished, 0);
    fakes_assert_over(p);
}

/* ---- an end that goes with the last bytes ---- */

static void start_streams(struct pair *p)
{
    p->near.base.ops = p->far.base.ops = &fake_stream_ops;
    fake_says(&p->near, "hello");
    fakes_start(p);
    fake_says(&p->far, "answer");
    side_wake(&p->far.base);
    assert_int_equal(p->near.read_on + p->far.read_on, 0); /* who waits for an answer goes on */
}

static void an_end_behind_a_later_message_goes_with_it(void **state)
{
    struct pair *p = *state;
    start_streams(p);
    fake_says(&p->near, "last");
    p->near.then = SIDE_END;
    side_wake(&p->near.base);
    fake_assert_heard(&p->far, "hellolast");
    assert_int_equal(p->far.written_last, 1);
    assert_int_equal(p->far.finished, 1);
    assert_false(p->near.readable);
    fake_says(&p->far, "so be it");
    p->far.then = SIDE_END;
    side_wake(&p->far.base);
    fake_assert_heard(&p->near, "answerso be it");
    assert_int_equal(p->near.written_last, 1);
    fakes_assert_over(p);
}

static void few_messages_are_asked_for_their_end(void **state)
{
    struct pair *p = *state;
    start_streams(p);
    for (int i = 0; i < 20; i++) {
        fake_says(&p->near, "more");
        side_wake(&p->near.base);
    }
    assert_in_range(p->near.read_on, 1, 4);
    assert_int_equal(p->near.written_last + p->far.written_last, 0);
    assert_int_equal(p->far.length, strlen("hello") + 20 * strlen("more"));
}

static void an_end_that_was_seen_waits_for_bytes_that_were_not_taken(void **state)
{
    struct pair *p = *state;
    start_streams(p);
    fake_says(&p->near, "last");
    p->near.then = SIDE_END;
    p->far.write_max = 0;
    side_wake(&p->near.base);
    assert_int_equal(p->far.finished, 0);
    p->near.then = SIDE_AGAIN; /* it is not asked again */
    p->far.write_max = SIZE_MAX;
    side_wake(&p->far.base);
    fake_assert_heard(&p->far, "hellolast");
    assert_int_equal(p->far.finished_behind, strlen("hellolast"));
}

static void a_reset_that_was_seen_behind_bytes_is_one(void **state)
{
    struct pair *p = *state;
    start_streams(p);
    fake_says(&p->near, "last");
    p->near.then = SIDE_RESET;
    side_wake(&p->near.base);
    fake_assert_heard(&p->far, "hellolast");
    assert_int_equal(p->far.written_last, 0);
    assert_int_equal(p->far.finished, 0);
    assert_int_equal(p->far.resets, 1);
    fakes_assert_over(p);
}

static void an_upstream_out_of_reach_is_told_apart_from_a_reset(void **state)
{
    struct pair *p = *state;
    p->far.then = SIDE_UNREACHED;
    fakes_start(p);
    assert_int_equal(p->near.resets, 1);
    assert_true(p->near.unreached);
    fakes_assert_over(p);
}

static void what_a_lost_receiver_said_before_is_still_delivered(void **state)
{
    struct pair *p = *state;
    fakes_start(p);
    fake_says(&p->near, "request");
    fake_says(&p->far, "an alert");
    p->far.then = SIDE_RESET;
    p->far.write_fails = true;
    side_wake(&p->near.base);
    fake_assert_heard(&p->near, "an alert");
    assert_int_equal(p->near.resets, 1);
    fakes_assert_over(p);
}

static void a_side_that_is_lost_after_its_end_resets_the_other(void **state)
{
    struct pair *p = *state;
    p->near.then = SIDE_END;
    fakes_start(p);
    assert_int_equal(p->far.finished, 1);
    p->near.base.lost = SIDE_RESET;
    side_wake(&p->near.base);
    assert_int_equal(p->far.resets, 1);
    fakes_assert_over(p);
}

static void aborting_resets_both(void **state)
{
    struct pair *p = *state;
    fakes_start(p);
    relay_abort(p->f->worker->relays);
    assert_int_equal(p->near.resets, 1);
    assert_int_equal(p->far.resets, 1);
    fakes_assert_over(p);
}

/* ---- its place in the worker ---- */

static void a_fast_sender_leaves_time_for_others(void **state)
{
    struct pair *p = *state;
    static uint8_t much[FAKE_OUTPUT_MAX];
    p->near.input = much;
    p->near.input_length = sizeof(much);
    fakes_start(p);
    assert_in_range(p->far.length, 1, FAKE_OUTPUT_MAX / 2);
    assert_true(p->near.readable); /* the loop calls again */
}

static void a_connection_counts_and_has_one_line_in_the_log(void **state)
{
    struct pair *p = *state;
    fake_says(&p->near, "12345");
    fake_says(&p->far, "123");
    fakes_start(p);
    assert_int_equal(p->f->worker->connections, 1);
    p->near.then = p->far.then = SIDE_END;
    side_wake(&p->near.base);
    fakes_assert_over(p);
    assert_int_equal(fixture_log_count(p->f, "info connection client=192.0.2.1:1"), 1);
    assert_true(fixture_logged(p->f, "bytes_c2s=5 bytes_s2c=3"));
}

static void waking_a_side_that_nobody_relays_does_nothing(void **state)
{
    struct pair *p = *state;
    side_wake(&p->near.base);
    assert_int_equal(p->f->worker->connections, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKES_CASE(bytes_arrive_once_and_in_order),
        FAKES_CASE(what_was_not_taken_is_held_and_goes_first),
        FAKES_CASE(a_side_without_room_stops_the_other_from_being_read),
        FAKES_CASE(no_more_is_read_than_there_is_room_for),
        FAKES_CASE(large_streams_survive_every_kind_of_narrowness),
        FAKES_CASE(and_so_do_those_of_streams_that_are_asked_for_their_end),
        FAKES_CASE(an_end_passes_behind_the_bytes_that_are_held),
        FAKES_CASE(the_near_end_may_end_first),
        FAKES_CASE(the_far_end_may_end_first),
        FAKES_CASE(a_reset_passes_behind_what_was_read_before),
        FAKES_CASE(an_end_behind_a_later_message_goes_with_it),
        FAKES_CASE(few_messages_are_asked_for_their_end),
        FAKES_CASE(an_end_that_was_seen_waits_for_bytes_that_were_not_taken),
        FAKES_CASE(a_reset_that_was_seen_behind_bytes_is_one),
        FAKES_CASE(an_upstream_out_of_reach_is_told_apart_from_a_reset),
        FAKES_CASE(what_a_lost_receiver_said_before_is_still_delivered),
        FAKES_CASE(a_side_that_is_lost_after_its_end_resets_the_other),
        FAKES_CASE(aborting_resets_both),
        FAKES_CASE(a_fast_sender_leaves_time_for_others),
        FAKES_CASE(a_connection_counts_and_has_one_line_in_the_log),
        FAKES_CASE(waking_a_side_that_nobody_relays_does_nothing),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
