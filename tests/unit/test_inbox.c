/* What threads send to a worker: all of it comes, in each one's order, and whoever sleeps is woken.
 */
#include "tests/unit/support/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "proxy/inbox.h"

enum { SENDERS = 8, EACH = 20000 };

struct parcel {
    struct message message;
    unsigned sender, number;
};

struct world {
    struct ev_loop *loop;
    struct inbox inbox;
    unsigned next[SENDERS]; /* the number that is due of each */
    unsigned received, returned, wakings;
    unsigned expected; /* then the loop ends */
};

static struct world *the_world; /* the owner's, who has no other way to it */

/* It is never looked into. */
static struct worker *owner(void)
{
    return (struct worker *)(void *)the_world;
}

static void deliver(struct message *message, struct worker *worker)
{
    struct parcel *p = (struct parcel *)message;
    struct world *w = the_world;
    if (worker == NULL)
        w->returned++;
    else
        assert_ptr_equal(worker, owner());
    assert_int_equal(p->number, w->next[p->sender]);
    w->next[p->sender]++;
    w->received++;
    free(p);
}

static void woken(struct worker *worker)
{
    assert_ptr_equal(worker, owner());
    struct world *w = the_world;
    w->wakings++;
    if (w->received >= w->expected)
        ev_break(w->loop, EVBREAK_ALL);
}

static void begin(struct world *w, unsigned expected)
{
    *w = (struct world){.loop = ev_loop_new(EVFLAG_AUTO), .expected = expected};
    the_world = w;
    assert_non_null(w->loop);
    assert_true(inbox_open(&w->inbox, w->loop, owner(), woken));
}

static void end(struct world *w)
{
    inbox_close(&w->inbox);
    ev_loop_destroy(w->loop);
}

static struct message *parcel(unsigned sender, unsigned number)
{
    struct parcel *p = malloc(sizeof(*p));
    assert_non_null(p);
    *p = (struct parcel){.message = {.deliver = deliver}, .sender = sender, .number = number};
    return &p->message;
}

static void send_one(struct world *w, unsigned sender, unsigned number)
{
    inbox_put(&w->inbox, parcel(sender, number));
}

struct sender {
    struct world *world;
    unsigned number;
};

static void *send_all(void *argument)
{
    const struct sender *s = argument;
    for (unsigned i = 0; i < EACH; i++)
        send_one(s->world, s->number, i);
    return NULL;
}

/* A waking that is lost leaves the loop asleep for ever: the test's time limit tells. */
static void what_many_send_comes_in_each_ones_order(void **state)
{
    (void)state;
    struct world w;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    begin(&w, SENDERS * EACH);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.world = &w, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    ev_run(w.loop, 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w.next[i], EACH);
    }
    assert_int_equal(w.received, SENDERS * EACH);
    end(&w);
    assert_int_equal(w.returned, 0);
}

/* ---- one at a time, so that each needs a waking of its own ---- */

struct turns {
    struct world *world;
    _Atomic unsigned answered;
};

static void *send_when_answered(void *argument)
{
    struct turns *t = argument;
    for (unsigned i = 0; i < EACH; i++) {
        while (atomic_load(&t->answered) < i)
            ;
        send_one(t->world, 0, i);
    }
    return NULL;
}

static void on_check(struct ev_loop *loop, ev_check *check, int events)
{
    (void)loop;
    (void)events;
    struct turns *t = check->data;
    atomic_store(&t->answered, t->world->received);
}

static void each_wakes_a_loop_that_sleeps(void **state)
{
    (void)state;
    struct world w;
    struct turns turns = {.world = &w};
    pthread_t thread;
    ev_check check;
    begin(&w, EACH);
    ev_check_init(&check, on_check);
    ev_set_priority(&check, EV_MINPRI); /* after what was delivered */
    check.data = &turns;
    ev_check_start(w.loop, &check);
    assert_int_equal(pthread_create(&thread, NULL, send_when_answered, &turns), 0);
    ev_run(w.loop, 0);
    pthread_join(thread, NULL);
    assert_int_equal(w.received, EACH);
    ev_check_stop(w.loop, &check);
    end(&w);
}

/* ---- what nobody is woken for ---- */

static void *leave_all(void *argument)
{
    const struct sender *s = argument;
    for (unsigned i = 0; i < EACH; i++) {
        struct message *message = parcel(s->number, i);
        while (!inbox_leave(&s->world->inbox, message))
            sched_yield(); /* the owner is behind */
    }
    return NULL;
}

/* The last one of each so many wakes; the loop sleeps for ever where none does. */
static void what_many_leave_is_collected_in_each_ones_order(void **state)
{
    (void)state;
    assert_int_equal(SENDERS * EACH % INBOX_LEFT_MANY, 0);
    struct world w;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    begin(&w, SENDERS * EACH);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.world = &w, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, leave_all, &senders[i]), 0);
    }
    ev_run(w.loop, 0);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(w.received, SENDERS * EACH);
    end(&w);
}

static void what_is_left_wakes_nobody_until_it_is_much(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 0);
    for (unsigned i = 0; i < INBOX_LEFT_MANY; i++) {
        ev_run(w.loop, EVRUN_NOWAIT);
        assert_int_equal(w.wakings, 0);
        assert_true(inbox_leave(&w.inbox, parcel(0, i)));
    }
    assert_int_equal(w.received, 0);
    ev_run(w.loop, EVRUN_NOWAIT);
    assert_int_equal(w.wakings, 1);
    assert_int_equal(w.received, INBOX_LEFT_MANY);
    assert_true(inbox_leave(&w.inbox, parcel(0, INBOX_LEFT_MANY)));
    inbox_collect(&w.inbox);
    assert_int_equal(w.received, INBOX_LEFT_MANY + 1);
    ev_run(w.loop, EVRUN_NOWAIT);
    assert_int_equal(w.wakings, 1);
    end(&w);
}

/* Who sends has it to do with strangers; who does not read it must not keep all that they say. */
static void what_nobody_collects_has_a_limit(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 0);
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < INBOX_LEFT_MAX; i++)
            assert_true(inbox_leave(&w.inbox, parcel(round, i)));
        struct message *beyond = parcel(round, INBOX_LEFT_MAX);
        assert_false(inbox_leave(&w.inbox, beyond));
        free(beyond);
        inbox_collect(&w.inbox);
        assert_int_equal(w.received, round * INBOX_LEFT_MAX);
    }
    end(&w);
}

/* ---- without a message, and too late ---- */

static void a_waking_brings_nothing_and_is_told_once(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 0);
    inbox_wake(&w.inbox);
    inbox_wake(&w.inbox);
    ev_run(w.loop, 0);
    assert_int_equal(w.wakings, 1);
    ev_run(w.loop, EVRUN_NOWAIT);
    assert_int_equal(w.wakings, 1);
    end(&w);
}

static void what_is_there_at_the_end_is_told_so(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 0);
    for (unsigned i = 0; i < 3; i++)
        send_one(&w, 0, i);
    for (unsigned i = 0; i < 3; i++)
        assert_true(inbox_leave(&w.inbox, parcel(1, i)));
    end(&w);
    assert_int_equal(w.returned, 6);
    assert_int_equal(w.wakings, 0);
    inbox_close(&w.inbox); /* again */
    struct inbox never = {.fd = -1};
    inbox_close(&never);
}

static void deliver_and_send(struct message *message, struct worker *worker)
{
    struct parcel *p = (struct parcel *)message;
    if (p->number < 2)
        send_one(the_world, 0, p->number + 1);
    deliver(message, worker);
}

/* From within a delivery: it comes in a turn of its own. */
static void what_a_delivery_sends_comes_as_well(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2);
    struct parcel *p = malloc(sizeof(*p));
    assert_non_null(p);
    *p = (struct parcel){.message = {.deliver = deliver_and_send}};
    inbox_put(&w.inbox, &p->message);
    ev_run(w.loop, 0);
    assert_int_equal(w.received, 2);
    assert_int_equal(w.wakings, 2);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_many_send_comes_in_each_ones_order),
        CASE(each_wakes_a_loop_that_sleeps),
        CASE(a_waking_brings_nothing_and_is_told_once),
        CASE(what_is_there_at_the_end_is_told_so),
        CASE(what_a_delivery_sends_comes_as_well),
        CASE(what_many_leave_is_collected_in_each_ones_order),
        CASE(what_is_left_wakes_nobody_until_it_is_much),
        CASE(what_nobody_collects_has_a_limit),
    };
    return cmocka_run_group_tests_name("inbox", tests, NULL, NULL);
}
