/* What is counted of connections: by route, by how they went, and how long they took. */
#include "tests/unit/support/check.h"

#include <stdio.h>

#include "proxy/ops/access.h"
#include "proxy/ops/stats.h"

static struct stats *stats;

static int open_stats(void **state)
{
    (void)state;
    stats = stats_create();
    return stats == NULL;
}

static int close_stats(void **state)
{
    (void)state;
    stats_destroy(stats);
    return 0;
}

#define STATS_CASE(name) cmocka_unit_test_setup_teardown(name, open_stats, close_stats)

/* One that is over. Times count from its beginning. */
static struct access ended(enum turbo_outcome outcome, enum turbo_reason reason)
{
    return (struct access){.outcome = (uint8_t)outcome, .reason = (uint8_t)reason, .started = 1};
}

static void the_same_names_are_the_same_route(void **state)
{
    (void)state;
    struct route_stats *web = stats_hold(stats, "edge", "web");
    struct route_stats *mail = stats_hold(stats, "edge", "mail");
    struct route_stats *other = stats_hold(stats, "inner", "web");
    struct route_stats *mix = stats_hold(stats, "edgew", "eb");
    assert_non_null(web);
    assert_ptr_not_equal(web, mail);
    assert_ptr_not_equal(web, other);
    assert_ptr_not_equal(web, mix);
    assert_ptr_equal(stats_hold(stats, "edge", "web"), web);
    assert_ptr_equal(stats_hold_again(web), web);
    assert_int_equal(web->references, 3);
    assert_string_equal(web->listener, "edge");
    assert_string_equal(web->route, "web");
    for (int i = 0; i < 3; i++)
        stats_release(stats, web);
    stats_release(stats, mail);
    stats_release(stats, other);
    stats_release(stats, mix);
    assert_null(stats_first(stats));
}

static void names_are_copied(void **state)
{
    (void)state;
    char name[] = "web";
    struct route_stats *web = stats_hold(stats, name, name);
    name[0] = 'x';
    assert_string_equal(web->listener, "web");
    assert_string_equal(web->route, "web");
    stats_release(stats, web);
}

static void one_that_is_held_goes_on_counting(void **state)
{
    (void)state;
    struct access a = ended(TURBO_OUTCOME_CLASSIC, TURBO_REASON_TCP_FIRST);
    struct route_stats *old = stats_hold(stats, "edge", "web");
    stats_began(old);
    stats_ended(old, &a);
    struct route_stats *new = stats_hold(stats, "edge", "web"); /* the next configuration */
    stats_release(stats, old);
    assert_int_equal(new->connections[TURBO_OUTCOME_CLASSIC][TURBO_REASON_TCP_FIRST], 1);
    stats_release(stats, new);
    new = stats_hold(stats, "edge", "web"); /* nobody held it: forgotten */
    assert_int_equal(new->connections[TURBO_OUTCOME_CLASSIC][TURBO_REASON_TCP_FIRST], 0);
    assert_ptr_equal(stats_first(stats), new);
    stats_release(stats, new);
}

static void all_are_found_in_the_order_they_came(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static struct route_stats *held[MANY];
    char name[16];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        held[i] = stats_hold(stats, "edge", name);
    }
    for (int i = 0; i < MANY; i += 2)
        stats_release(stats, held[i]);
    int next = 1;
    for (const struct route_stats *r = stats_first(stats); r != NULL; r = r->next, next += 2)
        assert_ptr_equal(r, held[next]);
    assert_int_equal(next, MANY + 1);
    for (int i = 1; i < MANY; i += 2) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        assert_ptr_equal(stats_hold(stats, "edge", name), held[i]);
        stats_release(stats, held[i]);
        stats_release(stats, held[i]);
    }
    assert_null(stats_first(stats));
}

static void connections_count_by_how_they_went(void **state)
{
    (void)state;
    struct access turbo = ended(TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    struct access resumed = ended(TURBO_OUTCOME_RESUMED, TURBO_REASON_NONE);
    struct access denied = ended(TURBO_OUTCOME_FAILED, TURBO_REASON_DENIED);
    struct access idle = ended(TURBO_OUTCOME_TURBO, TURBO_REASON_IDLE);
    turbo.bytes_c2s = 10;
    turbo.bytes_s2c = 1000;
    turbo.rtt_us = 30000;
    resumed.bytes_c2s = 5;
    resumed.rtt_us = 70000; /* it saved nothing */
    idle.rtt_us = 5;
    struct route_stats *r = stats_hold(stats, "edge", "web");
    for (int i = 0; i < 5; i++)
        stats_began(r);
    assert_int_equal(r->active, 5);
    stats_ended(r, &turbo);
    stats_ended(r, &idle);
    stats_ended(r, &resumed);
    stats_ended(r, &denied);
    assert_int_equal(r->active, 1);
    stats_left(r);
    assert_int_equal(r->active, 0);
    assert_int_equal(r->connections[TURBO_OUTCOME_TURBO][TURBO_REASON_NONE], 1);
    assert_int_equal(r->connections[TURBO_OUTCOME_TURBO][TURBO_REASON_IDLE], 1);
    assert_int_equal(r->connections[TURBO_OUTCOME_RESUMED][TURBO_REASON_NONE], 1);
    assert_int_equal(r->connections[TURBO_OUTCOME_FAILED][TURBO_REASON_DENIED], 1);
    assert_int_equal(r->round_trips_saved, 2);
    assert_int_equal(r->saved_us, 30005);
    assert_int_equal(r->bytes_c2s, 15);
    assert_int_equal(r->bytes_s2c, 1000);
    stats_release(stats, r);
}

/* A connection whose server's first byte came so long after the client's, and the answer after. */
static void add_times(struct route_stats *r, uint32_t response, uint32_t answer)
{
    struct access a = ended(TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    a.first_response_us = response;
    a.first_answer_us = answer;
    stats_began(r);
    stats_ended(r, &a);
}

static void times_count_up_to_their_bound(void **state)
{
    (void)state;
    struct route_stats *r = stats_hold(stats, "edge", "web");
    add_times(r, 1000, 1001);         /* at the first bound; just beyond it */
    add_times(r, 30000, 0);           /* the client never answered */
    add_times(r, 0, 0);               /* nor did the server */
    add_times(r, 10000001, 20000000); /* beyond the last */
    const struct stats_histogram *first = &r->first_response[TURBO_OUTCOME_TURBO];
    const struct stats_histogram *answer = &r->first_answer[TURBO_OUTCOME_TURBO];
    assert_int_equal(first->counts[0], 1);
    for (int i = 0; i < STATS_BUCKETS; i++)
        assert_int_equal(first->counts[i], stats_bounds_us[i] >= 30000 ? 2 : 1);
    assert_int_equal(first->counts[STATS_BUCKETS], 3);
    assert_int_equal(first->sum_us, 1000 + 30000 + 10000001);
    assert_int_equal(answer->counts[0], 0);
    assert_int_equal(answer->counts[1], 1);
    assert_int_equal(answer->counts[STATS_BUCKETS], 2);
    assert_int_equal(answer->sum_us, 1001 + 20000000);
    assert_int_equal(r->first_response[TURBO_OUTCOME_CLASSIC].counts[STATS_BUCKETS], 0);
    stats_release(stats, r);
}

static void bounds_rise_from_a_millisecond_to_ten_seconds(void **state)
{
    (void)state;
    assert_int_equal(stats_bounds_us[0], TURBO_MILLISECOND);
    assert_int_equal(stats_bounds_us[STATS_BUCKETS - 1], 10 * TURBO_SECOND);
    for (int i = 1; i < STATS_BUCKETS; i++)
        assert_true(stats_bounds_us[i] > stats_bounds_us[i - 1]);
}

static void without_memory_for_a_route_nothing_is_counted(void **state)
{
    (void)state;
    struct access a = ended(TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    stats_began(NULL);
    stats_left(NULL);
    stats_ended(NULL, &a);
    stats_release(stats, NULL);
    assert_null(stats_hold_again(NULL));
    stats_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATS_CASE(the_same_names_are_the_same_route),
        STATS_CASE(names_are_copied),
        STATS_CASE(one_that_is_held_goes_on_counting),
        STATS_CASE(all_are_found_in_the_order_they_came),
        STATS_CASE(connections_count_by_how_they_went),
        STATS_CASE(times_count_up_to_their_bound),
        STATS_CASE(bounds_rise_from_a_millisecond_to_ten_seconds),
        STATS_CASE(without_memory_for_a_route_nothing_is_counted),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
