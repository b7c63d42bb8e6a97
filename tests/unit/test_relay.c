/* The relay between two scripted sides: what one gives, what the other takes, and when. */
#include "tests/unit/support/worker_fixture.h"

#include <stdlib.h>

#include "proxy/net/clock.h"
#include "proxy/net/socket.h"
#include "proxy/relay.h"

enum { OUTPUT_MAX = 4 << 20, LARGE = 300 * 1000 };

/* A side whose behaviour is data. The relay's `destroy` only marks it. */
struct fake {
    struct side base;
    const uint8_t *input;
    size_t input_length, input_used;
    ssize_t then; /* what read says when the input is used up */
    size_t room, write_max;
    bool write_fails, keeps; /* keeps: it has bytes to deliver before it can be reset */
    bool is_settled;
    int fd;
    const char *early;
    uint8_t *output;
    size_t length;
    int finished, resets, destroyed, reported;
    size_t finished_behind;
    bool unreached, readable, writable;
};

struct pair {
    struct fixture *f;
    struct fake near, far;
};

static struct fake *fake_of(struct side *side)
{
    struct fake *fake = (struct fake *)side;
    assert_int_equal(fake->destroyed, 0);
    return fake;
}

static ssize_t fake_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct fake *fake = fake_of(side);
    size_t left = fake->input_length - fake->input_used;
    size_t n = left < capacity ? left : capacity;
    assert_true(capacity > 0);
    if (n == 0)
        return fake->then;
    memcpy(buffer, fake->input + fake->input_used, n);
    fake->input_used += n;
    return (ssize_t)n;
}

static size_t fake_room(const struct side *side)
{
    return ((const struct fake *)side)->room;
}

static ssize_t fake_write(struct side *side, const uint8_t *data, size_t length)
{
    struct fake *fake = fake_of(side);
    assert_int_equal(fake->finished, 0);
    if (fake->write_fails)
        return SIDE_RESET;
    size_t n = length < fake->write_max ? length : fake->write_max;
    assert_true(fake->length + n <= OUTPUT_MAX);
    memcpy(fake->output + fake->length, data, n);
    fake->length += n;
    return (ssize_t)n;
}

static void fake_finish(struct side *side)
{
    struct fake *fake = fake_of(side);
    fake->finished++;
    fake->finished_behind = fake->length;
}

static bool fake_reset(struct side *side, bool unreached)
{
    struct fake *fake = fake_of(side);
    fake->resets++;
    fake->unreached = unreached;
    return !fake->keeps;
}

static void fake_watch(struct side *side, bool readable, bool writable)
{
    struct fake *fake = fake_of(side);
    fake->readable = readable;
    fake->writable = writable;
}

static bool fake_settled(const struct side *side)
{
    return ((const struct fake *)side)->is_settled;
}

static int fake_hand_over(struct side *side, uint8_t **early, size_t *length)
{
    struct fake *fake = fake_of(side);
    int fd = fake->fd;
    *early = fake->early == NULL ? NULL : (uint8_t *)strdup(fake->early);
    *length = fake->early == NULL ? 0 : strlen(fake->early);
    fake->fd = -1;
    return fd;
}

static void fake_report(const struct side *side, struct access *access)
{
    (void)access;
    struct fake *fake = (struct fake *)(uintptr_t)side;
    fake->reported++;
}

static void fake_destroy(struct side *side)
{
    fake_of(side)->destroyed++;
}

static const struct side_ops socket_ops = {
    .read = fake_read,
    .room = fake_room,
    .write = fake_write,
    .finish = fake_finish,
    .reset = fake_reset,
    .watch = fake_watch,
    .report = fake_report,
    .destroy = fake_destroy,
};

static const struct side_ops session_ops = {
    .read = fake_read,
    .room = fake_room,
    .write = fake_write,
    .finish = fake_finish,
    .reset = fake_reset,
    .watch = fake_watch,
    .settled = fake_settled,
    .hand_over = fake_hand_over,
    .report = fake_report,
    .destroy = fake_destroy,
};

/* ---- set-up ---- */

static void fake_init(struct fake *fake)
{
    *fake = (struct fake){
        .base.ops = &socket_ops,
        .then = SIDE_AGAIN,
        .room = SIZE_MAX,
        .write_max = SIZE_MAX,
        .fd = -1,
        .output = malloc(OUTPUT_MAX),
    };
    assert_non_null(fake->output);
}

static int setup(void **state)
{
    static struct pair pair;
    void *f;
    if (fixture_open(&f) != 0)
        return -1;
    pair.f = f;
    fake_init(&pair.near);
    fake_init(&pair.far);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", pair.f->server_port);
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    void *f = p->f;
    int result = fixture_close(&f);
    free(p->near.output);
    free(p->far.output);
    return result;
}

static void says(struct fake *fake, const char *words)
{
    fake->input = (const uint8_t *)words;
    fake->input_length = strlen(words);
    fake->input_used = 0;
}

static void start(struct pair *p)
{
    struct access access;
    struct address client;
    address_from_literal(&client, "192.0.2.1", 1);
    access_init(&access, &client, "a listener", "an upstream", clock_now());
    relay_start(p->f->worker, &p->near.base, &p->far.base, &access);
}

static void assert_heard(const struct fake *fake, const char *words)
{
    assert_int_equal(fake->length, strlen(words));
    assert_memory_equal(fake->output, words, fake->length);
}

static void assert_over(const struct pair *p)
{
    assert_int_equal(p->near.destroyed, 1);
    assert_int_equal(p->far.destroyed, 1);
    assert_int_equal(p->f->worker->connections, 0);
    assert_null(p->f->worker->relays);
}

/* ---- bytes ---- */

static void bytes_arrive_once_and_in_order(void **state)
{
    struct pair *p = *state;
    says(&p->near, "one");
    start(p);
    assert_heard(&p->far, "one");
    says(&p->near, " two");
    says(&p->far, "three");
    side_wake(&p->far.base);
    assert_heard(&p->far, "one two");
    assert_heard(&p->near, "three");
    assert_true(p->near.readable && p->far.readable);
    assert_false(p->near.writable || p->far.writable);
}

static void what_was_not_taken_is_held_and_goes_first(void **state)
{
    struct pair *p = *state;
    says(&p->near, "abcdefgh");
    p->far.write_max = 3;
    start(p);
    assert_heard(&p->far, "abcdefgh"); /* it took some each time, so it was asked again */
    says(&p->near, "ijkl");
    p->far.write_max = 0;
    side_wake(&p->near.base);
    says(&p->near, "mnop");
    assert_false(p->near.readable);
    assert_true(p->far.writable);
    assert_int_equal(p->near.input_used, 0);
    p->far.write_max = SIZE_MAX;
    side_wake(&p->far.base);
    assert_heard(&p->far, "abcdefghijklmnop");
    assert_true(p->near.readable);
    assert_false(p->far.writable);
}

static void a_side_without_room_stops_the_other_from_being_read(void **state)
{
    struct pair *p = *state;
    says(&p->near, "abcdefgh");
    says(&p->far, "the other way goes on");
    p->far.room = 0;
    start(p);
    assert_int_equal(p->near.input_used, 0);
    assert_false(p->near.readable);
    assert_true(p->far.writable && p->far.readable);
    assert_heard(&p->near, "the other way goes on");
    p->far.room = SIZE_MAX;
    side_wake(&p->far.base);
    assert_heard(&p->far, "abcdefgh");
}

static void no_more_is_read_than_there_is_room_for(void **state)
{
    struct pair *p = *state;
    says(&p->near, "abcdefgh");
    p->near.then = SIDE_END;
    p->far.room = 5;
    start(p);
    assert_heard(&p->far, "abcdefgh");
    p->far.room = 0;
    assert_int_equal(p->far.finished, 1);
}

/* Short writes, little room and wake-ups at random: both streams arrive as they are. */
static void large_streams_survive_every_kind_of_narrowness(void **state)
{
    struct pair *p = *state;
    uint8_t *streams[2] = {malloc(LARGE), malloc(LARGE)};
    struct fake *fakes[2] = {&p->near, &p->far};
    srandom(20261121);
    for (unsigned i = 0; i < 2; i++) {
        check_fill(streams[i], i, 0, LARGE);
        fakes[i]->input = streams[i];
    }
    start(p);
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
    assert_over(p);
}

/* ---- ends ---- */

static void an_end_passes_behind_the_bytes_that_are_held(void **state)
{
    struct pair *p = *state;
    says(&p->near, "abc");
    p->near.then = SIDE_END;
    p->far.write_max = 0;
    start(p);
    side_wake(&p->near.base);
    assert_int_equal(p->far.finished, 0);
    p->far.write_max = 1;
    side_wake(&p->far.base);
    assert_heard(&p->far, "abc");
    assert_int_equal(p->far.finished, 1);
    assert_int_equal(p->far.finished_behind, 3);
}

static void half_close(struct pair *p, struct fake *first, struct fake *second)
{
    first->then = SIDE_END;
    start(p);
    assert_int_equal(second->finished, 1);
    assert_int_equal(first->finished, 0);
    assert_false(first->readable);
    says(second, "still here");
    side_wake(&second->base);
    assert_heard(first, "still here");
    assert_int_equal(first->destroyed, 0);
    second->then = SIDE_END;
    side_wake(&second->base);
    assert_int_equal(first->finished, 1);
    assert_int_equal(second->finished, 1);
    assert_int_equal(first->resets + second->resets, 0);
    assert_over(p);
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
    says(&p->near, "last words");
    p->near.then = SIDE_RESET;
    start(p);
    assert_heard(&p->far, "last words");
    assert_int_equal(p->far.resets, 1);
    assert_false(p->far.unreached);
    assert_int_equal(p->far.finished, 0);
    assert_over(p);
}

static void an_upstream_out_of_reach_is_told_apart_from_a_reset(void **state)
{
    struct pair *p = *state;
    p->far.then = SIDE_UNREACHED;
    start(p);
    assert_int_equal(p->near.resets, 1);
    assert_true(p->near.unreached);
    assert_over(p);
}

static void what_a_lost_receiver_said_before_is_still_delivered(void **state)
{
    struct pair *p = *state;
    start(p);
    says(&p->near, "request");
    says(&p->far, "an alert");
    p->far.then = SIDE_RESET;
    p->far.write_fails = true;
    side_wake(&p->near.base);
    assert_heard(&p->near, "an alert");
    assert_int_equal(p->near.resets, 1);
    assert_over(p);
}

static void a_side_that_is_lost_after_its_end_resets_the_other(void **state)
{
    struct pair *p = *state;
    p->near.then = SIDE_END;
    start(p);
    assert_int_equal(p->far.finished, 1);
    p->near.base.lost = SIDE_RESET;
    side_wake(&p->near.base);
    assert_int_equal(p->far.resets, 1);
    assert_over(p);
}

static void aborting_resets_both(void **state)
{
    struct pair *p = *state;
    start(p);
    relay_abort(p->f->worker->relays);
    assert_int_equal(p->near.resets, 1);
    assert_int_equal(p->far.resets, 1);
    assert_over(p);
}

/* ---- doomed sides ---- */

/* The TLS server is reset while the session has bytes to deliver. */
static void doom(struct pair *p)
{
    p->near.base.ops = &session_ops;
    p->near.keeps = true;
    says(&p->far, "flight");
    p->far.then = SIDE_RESET;
    start(p);
    assert_heard(&p->near, "flight");
    assert_int_equal(p->near.resets, 1);
    assert_int_equal(p->far.destroyed, 1);
    assert_int_equal(p->near.destroyed, 0);
    assert_true(p->near.readable && p->near.writable);
}

static void a_doomed_side_delivers_and_is_then_reset(void **state)
{
    struct pair *p = *state;
    struct peer *client = fixture_pair(p->f, &p->near.fd);
    doom(p);
    side_wake(&p->near.base);
    assert_int_equal(p->near.destroyed, 0);
    p->near.is_settled = true;
    side_wake(&p->near.base);
    assert_over(p);
    assert_int_equal(p->near.reported, 2); /* before its session went, and at its end */
    UNTIL(p->f, peer_was_reset(client));
}

static void what_comes_from_a_doomed_side_is_thrown_away(void **state)
{
    struct pair *p = *state;
    doom(p);
    says(&p->near, "too late");
    side_wake(&p->near.base);
    assert_int_equal(p->near.input_used, 8);
    p->near.then = SIDE_RESET;
    side_wake(&p->near.base);
    assert_over(p);
}

/* Its client may half-close and still wait for the rest. */
static void the_end_of_a_doomed_side_does_not_cut_its_delivery_short(void **state)
{
    struct pair *p = *state;
    struct peer *client = fixture_pair(p->f, &p->near.fd);
    doom(p);
    p->near.then = SIDE_END;
    side_wake(&p->near.base);
    assert_int_equal(p->near.destroyed, 0);
    assert_false(p->near.readable);
    assert_true(p->near.writable);
    p->near.is_settled = true;
    side_wake(&p->near.base);
    assert_over(p);
    UNTIL(p->f, peer_was_reset(client));
}

/* It had no socket to watch when it was doomed, and has one now. */
static void a_doomed_side_is_watched_again_after_each_wake(void **state)
{
    struct pair *p = *state;
    doom(p);
    p->near.readable = p->near.writable = false;
    side_wake(&p->near.base);
    assert_true(p->near.readable && p->near.writable);
}

static void a_doomed_side_is_aborted_with_the_worker(void **state)
{
    struct pair *p = *state;
    doom(p);
    relay_abort(p->f->worker->relays);
    assert_over(p);
}

/* ---- sides that become sockets ---- */

static void a_settled_side_gives_its_socket_and_the_bytes_read_before(void **state)
{
    struct pair *p = *state;
    struct peer *client = fixture_pair(p->f, &p->near.fd);
    p->near.base.ops = &session_ops;
    p->near.early = "early ";
    says(&p->near, "hello ");
    start(p);
    assert_int_equal(p->near.destroyed, 0);
    p->near.is_settled = true;
    side_wake(&p->near.base);
    assert_int_equal(p->near.destroyed, 1);
    assert_int_equal(p->near.reported, 1);
    assert_heard(&p->far, "hello early ");
    peer_say(client, "and late");
    UNTIL(p->f, p->far.length == strlen("hello early and late"));
    assert_heard(&p->far, "hello early and late");
    says(&p->far, "answer");
    side_wake(&p->far.base);
    UNTIL(p->f, peer_heard(client, "answer"));
}

static void an_end_given_before_is_sent_again_by_the_socket(void **state)
{
    struct pair *p = *state;
    struct peer *client = fixture_pair(p->f, &p->near.fd);
    p->near.base.ops = &session_ops;
    p->far.then = SIDE_END;
    start(p);
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
    p->far.base.ops = &session_ops;
    p->near.then = p->far.then = SIDE_END;
    start(p);
    assert_int_equal(p->near.finished + p->far.finished, 2);
    assert_int_equal(p->far.destroyed, 0);
    p->far.is_settled = true;
    side_wake(&p->far.base);
    assert_over(p);
}

/* ---- its place in the worker ---- */

static void a_fast_sender_leaves_time_for_others(void **state)
{
    struct pair *p = *state;
    static uint8_t much[OUTPUT_MAX];
    p->near.input = much;
    p->near.input_length = sizeof(much);
    start(p);
    assert_in_range(p->far.length, 1, OUTPUT_MAX / 2);
    assert_true(p->near.readable); /* the loop calls again */
}

static void a_connection_counts_and_has_one_line_in_the_log(void **state)
{
    struct pair *p = *state;
    says(&p->near, "12345");
    says(&p->far, "123");
    start(p);
    assert_int_equal(p->f->worker->connections, 1);
    p->near.then = p->far.then = SIDE_END;
    side_wake(&p->near.base);
    assert_over(p);
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
        CASE_SET_UP(bytes_arrive_once_and_in_order),
        CASE_SET_UP(what_was_not_taken_is_held_and_goes_first),
        CASE_SET_UP(a_side_without_room_stops_the_other_from_being_read),
        CASE_SET_UP(no_more_is_read_than_there_is_room_for),
        CASE_SET_UP(large_streams_survive_every_kind_of_narrowness),
        CASE_SET_UP(an_end_passes_behind_the_bytes_that_are_held),
        CASE_SET_UP(the_near_end_may_end_first),
        CASE_SET_UP(the_far_end_may_end_first),
        CASE_SET_UP(a_reset_passes_behind_what_was_read_before),
        CASE_SET_UP(an_upstream_out_of_reach_is_told_apart_from_a_reset),
        CASE_SET_UP(what_a_lost_receiver_said_before_is_still_delivered),
        CASE_SET_UP(a_side_that_is_lost_after_its_end_resets_the_other),
        CASE_SET_UP(aborting_resets_both),
        CASE_SET_UP(a_doomed_side_delivers_and_is_then_reset),
        CASE_SET_UP(what_comes_from_a_doomed_side_is_thrown_away),
        CASE_SET_UP(the_end_of_a_doomed_side_does_not_cut_its_delivery_short),
        CASE_SET_UP(a_doomed_side_is_watched_again_after_each_wake),
        CASE_SET_UP(a_doomed_side_is_aborted_with_the_worker),
        CASE_SET_UP(a_settled_side_gives_its_socket_and_the_bytes_read_before),
        CASE_SET_UP(an_end_given_before_is_sent_again_by_the_socket),
        CASE_SET_UP(a_connection_is_not_over_before_its_sides_are_sockets),
        CASE_SET_UP(a_fast_sender_leaves_time_for_others),
        CASE_SET_UP(a_connection_counts_and_has_one_line_in_the_log),
        CASE_SET_UP(waking_a_side_that_nobody_relays_does_nothing),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
