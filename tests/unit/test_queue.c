/* A queue of nodes that wait for one delay, first in first due. */
#include "tests/unit/support/check.h"

#include "turbo/queue.h"

struct thing {
    int before;
    struct queue_node node;
    int after;
};

static struct queue queue;
static struct thing things[5];

static int begin(void **state)
{
    (void)state;
    queue_init(&queue);
    memset(things, 0, sizeof(things));
    return 0;
}

/* The things in the queue, as a number of their digits from first to last. */
static unsigned order(void)
{
    unsigned digits = 0;
    for (const struct queue_node *n = queue.head.next; n != &queue.head; n = n->next) {
        assert_ptr_equal(n->next->prev, n);
        assert_ptr_equal(n->prev->next, n);
        digits = digits * 10 + (unsigned)(QUEUE_OWNER(n, struct thing, node) - things);
    }
    return digits;
}

static void add_1_to_4(void)
{
    for (unsigned i = 1; i <= 4; i++)
        queue_add(&queue, &things[i].node, 100 * i);
    assert_int_equal(order(), 1234);
}

static void an_empty_queue_has_no_first_and_no_deadline(void **state)
{
    (void)state;
    assert_null(queue_first(&queue));
    assert_null(queue_due(&queue, UINT64_MAX, 0));
    assert_true(queue_deadline(&queue, 5) == TURBO_NEVER);
}

static void first_in_is_first_out(void **state)
{
    (void)state;
    add_1_to_4();
    for (unsigned i = 1; i <= 4; i++) {
        assert_ptr_equal(queue_first(&queue), &things[i].node);
        queue_remove(&things[i].node);
    }
    assert_null(queue_first(&queue));
}

static void any_node_may_leave(void **state)
{
    static const struct {
        unsigned leaves, left;
    } cases[] = {{1, 234}, {2, 134}, {3, 124}, {4, 123}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin(NULL);
        add_1_to_4();
        queue_remove(&things[cases[i].leaves].node);
        assert_int_equal(order(), cases[i].left);
        assert_false(queue_holds(&things[cases[i].leaves].node));
    }
}

static void leaving_twice_is_leaving_once(void **state)
{
    (void)state;
    add_1_to_4();
    queue_remove(&things[2].node);
    queue_remove(&things[2].node);
    queue_remove(&things[0].node); /* was never in */
    assert_int_equal(order(), 134);
}

static void a_node_that_left_may_enter_again_at_the_end(void **state)
{
    (void)state;
    add_1_to_4();
    queue_remove(&things[1].node);
    queue_add(&queue, &things[1].node, 500);
    assert_int_equal(order(), 2341);
    assert_true(queue_holds(&things[1].node));
    assert_true(things[1].node.since == 500);
}

static void the_first_is_due_when_its_delay_is_over(void **state)
{
    (void)state;
    add_1_to_4();
    assert_true(queue_deadline(&queue, 1000) == 1100);
    assert_null(queue_due(&queue, 1099, 1000));
    assert_ptr_equal(queue_due(&queue, 1100, 1000), &things[1].node);
    queue_remove(&things[1].node);
    assert_null(queue_due(&queue, 1199, 1000));
    assert_true(queue_deadline(&queue, 1000) == 1200);
    assert_ptr_equal(queue_due(&queue, 5000, 1000), &things[2].node);
}

static void a_node_is_in_one_queue(void **state)
{
    struct queue other;
    (void)state;
    queue_init(&other);
    add_1_to_4();
    queue_remove(&things[3].node);
    queue_add(&other, &things[3].node, 7);
    queue_remove(&things[3].node);
    assert_null(queue_first(&other));
    assert_int_equal(order(), 124);
}

#define FRESH(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(an_empty_queue_has_no_first_and_no_deadline),
        FRESH(first_in_is_first_out),
        FRESH(any_node_may_leave),
        FRESH(leaving_twice_is_leaving_once),
        FRESH(a_node_that_left_may_enter_again_at_the_end),
        FRESH(the_first_is_due_when_its_delay_is_over),
        FRESH(a_node_is_in_one_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
