/* The resolver against a real DNS server, which lives on the same loop and has a zone to play with.
 */
#include "tests/unit/support/resolver_world.h"

#include <stdio.h>
#include <strings.h>

#include "tunnel/net/socket.h"

/* Names n0.test, n1.test, ... exist too, as n.test does. */
static const struct zone {
    const char *name;
    uint8_t ttl, ipv4_count, ipv6_count;
    enum manner manner;
    const char *alias_of; /* with a TTL of 1 */
} zone[] = {
    {"both.test", 200, 1, 1, ANSWERS, NULL},     {"v4.test", 200, 1, 0, ANSWERS, NULL},
    {"v6.test", 200, 0, 1, ANSWERS, NULL},       {"none.test", 200, 0, 0, ANSWERS, NULL},
    {"many.test", 200, 20, 0, ANSWERS, NULL},    {"second.test", 1, 1, 1, ANSWERS, NULL},
    {"zero.test", 0, 1, 0, ANSWERS, NULL},       {"alias.test", 200, 1, 0, ANSWERS, "v4.test"},
    {"held.test", 200, 1, 1, HOLDS_BACK, NULL},  {"held2.test", 200, 1, 1, HOLDS_BACK, NULL},
    {"silent.test", 200, 1, 1, IS_SILENT, NULL}, {"lost.test", 200, 1, 1, LOSES_THE_FIRST, NULL},
    {"n.test", 200, 1, 0, ANSWERS, NULL},
};

struct answer {
    struct resolver_world *world;
    int calls;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    size_t count;
    char error[64];
    struct resolver_query *to_cancel; /* by this answer */
    const char *to_resolve;
    bool to_destroy;
};

/* ---- The server ---- */

static const struct zone *find_zone(const char *name)
{
    if (name[0] == 'n' && name[1] >= '0' && name[1] <= '9')
        name = "n.test";
    for (size_t i = 0; i < COUNT(zone); i++)
        if (strcasecmp(zone[i].name, name) == 0)
            return &zone[i];
    return NULL;
}

static void put_addresses(struct dns_message *message, const struct zone *found)
{
    static const char question[] = {'\xc0', 12}, target[] = "\2v4\4test";
    const char *owner = question;
    size_t owner_length = sizeof(question);
    uint8_t ipv4[4] = {192, 0, 2, 1}, ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

    if (found->alias_of != NULL) {
        dns_put_record(message, DNS_CNAME, 1, target, sizeof(target));
        owner = target;
        owner_length = sizeof(target);
    }
    for (; message->type == DNS_A && ipv4[3] <= found->ipv4_count; ipv4[3]++)
        dns_put_record_at(message, owner, owner_length, DNS_A, found->ttl, ipv4, sizeof(ipv4));
    for (; message->type == DNS_AAAA && ipv6[15] <= found->ipv6_count; ipv6[15]++)
        dns_put_record_at(message, owner, owner_length, DNS_AAAA, found->ttl, ipv6, sizeof(ipv6));
}

static enum manner answer_question(struct dns_message *message)
{
    const struct zone *found = find_zone(message->name);

    if (found == NULL) {
        dns_set_rcode(message, DNS_NXDOMAIN);
        return ANSWERS;
    }
    put_addresses(message, found);
    return found->manner;
}

/* ---- A loop, a server and a resolver that asks it ---- */

static int setup(void **state)
{
    *state = resolver_world_create(DNS_A, answer_question);
    return 0;
}

static int teardown(void **state)
{
    resolver_world_destroy(*state);
    return 0;
}

static void done(void *owner, const struct address *addresses, size_t count, const char *error);

static struct resolver_query *resolve(struct resolver_world *world, const char *name,
                                      struct answer *answer)
{
    struct resolver_query *query = resolver_resolve(world->resolver, name, done, answer);

    answer->world = world;
    assert_non_null(query);
    return query;
}

static void done(void *owner, const struct address *addresses, size_t count, const char *error)
{
    struct answer *answer = owner;

    answer->calls++;
    answer->count = count;
    assert_true(count <= RESOLVER_ADDRESSES_MAX);
    assert_int_equal(count == 0, error != NULL);
    memcpy(answer->addresses, addresses, count * sizeof(addresses[0]));
    (void)snprintf(answer->error, sizeof(answer->error), "%s", error == NULL ? "" : error);
    if (answer->to_cancel != NULL)
        resolver_cancel(answer->to_cancel);
    if (answer->to_resolve != NULL)
        resolve(answer->world, answer->to_resolve, answer);
    if (answer->to_destroy) {
        resolver_destroy(answer->world->resolver);
        answer->world->resolver = NULL;
    }
}

/* Whatever can still happen without waiting. */
static void run_out(struct resolver_world *world)
{
    for (int i = 0; i < 10; i++)
        ev_run(world->loop, EVRUN_NOWAIT);
}

static struct answer look_up(struct resolver_world *world, const char *name)
{
    struct answer answer = {.calls = 0};

    resolve(world, name, &answer);
    run_until_answered(world, &answer.calls, 1);
    return answer;
}

static bool has_address(const struct answer *answer, const char *literal)
{
    struct address address;

    assert_true(address_from_literal(&address, literal, 0));
    for (size_t i = 0; i < answer->count; i++)
        if (address_equal(&answer->addresses[i], &address))
            return true;
    return false;
}

/* ---- What must be true ---- */

static void a_literal_is_answered_from_the_loop_without_asking(void **state)
{
    static const char *const literals[] = {"192.0.2.7", "2001:db8::7", "fe80::1%lo"};
    struct resolver_world *world = *state;

    for (size_t i = 0; i < COUNT(literals); i++) {
        struct answer answer = {.calls = 0};

        resolve(world, literals[i], &answer);
        assert_int_equal(answer.calls, 0);
        ev_run(world->loop, EVRUN_ONCE);
        assert_int_equal(answer.calls, 1);
        assert_int_equal(answer.count, 1);
        assert_true(has_address(&answer, literals[i]));
    }
    assert_int_equal(world->question_count, 0);
}

static void a_name_of_the_hosts_file_needs_no_server(void **state)
{
    struct resolver_world *world = *state;
    struct answer answer = {.calls = 0};

    resolve(world, "localhost", &answer);
    assert_int_equal(answer.calls, 0);
    ev_run(world->loop, EVRUN_ONCE);
    assert_int_equal(answer.calls, 1);
    assert_true(has_address(&answer, "127.0.0.1"));
    assert_int_equal(world->question_count, 0);
}

static void a_name_has_its_addresses_of_both_families(void **state)
{
    struct resolver_world *world = *state;
    struct answer answer = look_up(world, "both.test");

    assert_int_equal(answer.count, 2);
    assert_int_equal(address_port(&answer.addresses[0]), 0);
    assert_true(has_address(&answer, "192.0.2.1"));
    assert_true(has_address(&answer, "2001:db8::1"));
    answer = look_up(world, "v4.test");
    assert_int_equal(answer.count, 1);
    assert_true(has_address(&answer, "192.0.2.1"));
    answer = look_up(world, "v6.test");
    assert_int_equal(answer.count, 1);
    assert_true(has_address(&answer, "2001:db8::1"));
}

static void addresses_beyond_the_limit_are_ignored(void **state)
{
    assert_int_equal(look_up(*state, "many.test").count, RESOLVER_ADDRESSES_MAX);
}

static void a_failure_says_why_and_is_not_asked_again_at_once(void **state)
{
    struct resolver_world *world = *state;

    for (int i = 0; i < 3; i++) {
        assert_string_equal(look_up(world, "unknown.test").error, "Domain name not found");
        assert_int_not_equal(look_up(world, "none.test").error[0], '\0');
    }
    assert_int_equal(asked(world, "unknown.test"), 1);
    assert_int_equal(asked(world, "none.test"), 1);
}

static void a_dead_server_is_a_failure_in_words(void **state)
{
    struct resolver_world *world = *state;
    struct address address;
    struct answer answer;
    char server[64];

    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    socket_close(socket_listen_udp(&address));
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", address_port(&address));
    assert_true(resolver_set_servers(world->resolver, server));
    answer = look_up(world, "both.test");
    assert_int_equal(answer.count, 0);
    assert_non_null(strstr(answer.error, "contact")); /* "Could not" or "Timeout while", by luck */
}

static void a_server_list_that_is_none_is_refused(void **state)
{
    struct resolver_world *world = *state;

    assert_false(resolver_set_servers(world->resolver, "not an address"));
}

static void an_idle_resolver_keeps_no_loop_alive(void **state)
{
    struct resolver_world *world = *state;

    assert_int_equal(look_up(world, "both.test").count, 2);
    ev_io_stop(world->loop, &world->server.io);
    ev_run(world->loop, 0); /* the guard fails the test if this does not return */
}

static void queries_for_one_name_share_one_look_up_whatever_its_case(void **state)
{
    struct resolver_world *world = *state;
    struct answer answers[3] = {{.calls = 0}};

    resolve(world, "held.test", &answers[0]);
    run_until_asked(world, "held.test", 1);
    resolve(world, "HELD.test", &answers[1]);
    resolve(world, "held.test", &answers[2]);
    run_out(world);
    assert_int_equal(world->held_count, 2); /* A and AAAA, once */
    release_held(world);
    for (int i = 0; i < 3; i++) {
        run_until_answered(world, &answers[i].calls, 1);
        assert_int_equal(answers[i].count, 2);
    }
}

static void a_fresh_answer_is_given_again_from_the_loop_without_asking(void **state)
{
    struct resolver_world *world = *state;
    struct answer answer = look_up(world, "both.test");

    resolve(world, "Both.Test", &answer);
    assert_int_equal(answer.calls, 1);
    ev_run(world->loop, EVRUN_ONCE);
    assert_int_equal(answer.calls, 2);
    assert_int_equal(answer.count, 2);
    assert_int_equal(asked(world, "both.test"), 1);
}

static void time_is_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

/* TTLs count in seconds, so here real time has to pass. */
static void run_for_a_second(struct resolver_world *world)
{
    ev_timer second;

    ev_now_update(world->loop);
    ev_timer_init(&second, time_is_over, RESOLVER_TTL_MIN_S + 0.01, 0);
    ev_timer_start(world->loop, &second);
    ev_run(world->loop, 0);
    ev_timer_stop(world->loop, &second);
}

static void an_answer_is_good_for_the_smallest_ttl_on_the_way_to_it(void **state)
{
    static const char *const brief[] = {"second.test", "zero.test", "alias.test", "unknown.test"};
    struct resolver_world *world = *state;

    assert_int_equal(look_up(world, "both.test").count, 2);
    for (int round = 1; round <= 2; round++) {
        for (size_t i = 0; i < COUNT(brief); i++) {
            struct answer first = look_up(world, brief[i]), again = look_up(world, brief[i]);

            assert_int_equal(first.count, again.count);
            assert_int_equal(asked(world, brief[i]), round);
        }
        if (round == 1)
            run_for_a_second(world);
    }
    assert_int_equal(look_up(world, "both.test").count, 2);
    assert_int_equal(asked(world, "both.test"), 1);
}

static void a_question_that_got_lost_is_asked_again(void **state)
{
    struct resolver_world *world = *state;

    assert_int_equal(look_up(world, "lost.test").count, 2);
    assert_int_equal(asked(world, "lost.test"), 2);
}

static void of_two_queries_for_a_name_one_can_be_cancelled(void **state)
{
    struct resolver_world *world = *state;
    struct answer cancelled = {.calls = 0}, kept = {.calls = 0};
    struct resolver_query *query = resolve(world, "held.test", &cancelled);

    resolve(world, "held.test", &kept);
    run_until_asked(world, "held.test", 1);
    resolver_cancel(query);
    run_out(world);
    release_held(world);
    run_until_answered(world, &kept.calls, 1);
    assert_int_equal(kept.count, 2);
    assert_int_equal(cancelled.calls, 0);
}

static void a_look_up_nobody_waits_for_still_fills_the_cache(void **state)
{
    struct resolver_world *world = *state;
    struct answer cancelled = {.calls = 0};
    struct resolver_query *query = resolve(world, "held.test", &cancelled);
    int before; /* more than once when this machine is slow */

    run_until_asked(world, "held.test", 1);
    resolver_cancel(query);
    run_out(world);
    before = asked(world, "held.test");
    release_held(world);
    assert_int_equal(look_up(world, "held.test").count, 2);
    assert_int_equal(asked(world, "held.test"), before);
    assert_int_equal(cancelled.calls, 0);
}

static void a_cancelled_literal_or_cached_name_is_not_answered(void **state)
{
    struct resolver_world *world = *state;
    struct answer cancelled = {.calls = 0};

    assert_int_equal(look_up(world, "both.test").count, 2);
    resolver_cancel(resolve(world, "192.0.2.1", &cancelled));
    resolver_cancel(resolve(world, "both.test", &cancelled));
    run_out(world);
    assert_int_equal(cancelled.calls, 0);
}

static void a_resolver_can_be_destroyed_while_a_cancelled_look_up_goes_on(void **state)
{
    struct resolver_world *world = *state;
    struct answer cancelled = {.calls = 0};
    struct resolver_query *query = resolve(world, "silent.test", &cancelled);

    run_until_asked(world, "silent.test", 1);
    resolver_cancel(query);
    resolver_destroy(world->resolver);
    world->resolver = NULL;
    run_out(world);
    assert_int_equal(cancelled.calls, 0);
    ev_io_stop(world->loop, &world->server.io);
    ev_run(world->loop, 0); /* and it leaves nothing on the loop */
}

static void an_answer_may_cancel_the_next_one_and_destroy_the_resolver(void **state)
{
    struct resolver_world *world = *state;
    struct answer first = {.to_destroy = true}, second = {.calls = 0};

    resolve(world, "held.test", &first);
    first.to_cancel = resolve(world, "held.test", &second);
    run_until_asked(world, "held.test", 1);
    run_out(world);
    release_held(world);
    run_until_answered(world, &first.calls, 1);
    run_out(world);
    assert_int_equal(second.calls, 0);
    assert_null(world->resolver);
}

static void an_answer_that_asks_again_does_not_hold_the_loop_up(void **state)
{
    struct resolver_world *world = *state;
    struct answer answer = {.to_resolve = "192.0.2.1"};

    resolve(world, "192.0.2.1", &answer);
    for (int i = 1; i <= 5; i++) {
        ev_run(world->loop, EVRUN_ONCE);
        assert_int_equal(answer.calls, i);
    }
    answer.to_resolve = NULL;
    run_until_answered(world, &answer.calls, 6);
}

static void the_least_recently_used_name_makes_room(void **state)
{
    struct resolver_world *world = *state;
    char name[32];

    for (int i = 0; i < RESOLVER_NAMES_MAX + 1; i++) {
        (void)snprintf(name, sizeof(name), "n%d.test", i);
        assert_int_equal(look_up(world, name).count, 1);
        assert_int_equal(look_up(world, "n0.test").count, 1);
    }
    assert_int_equal(look_up(world, "n2.test").count, 1);
    assert_int_equal(asked(world, "n2.test"), 1);
    assert_int_equal(look_up(world, "n1.test").count, 1);
    assert_int_equal(asked(world, "n1.test"), 2);
    assert_int_equal(asked(world, "n0.test"), 1);
}

static void a_name_still_being_asked_for_is_not_forgotten(void **state)
{
    struct resolver_world *world = *state;
    struct answer kept = {.calls = 0}, cancelled = {.calls = 0};
    struct resolver_query *query = resolve(world, "held2.test", &cancelled);
    char name[32];
    int before; /* more than once when this machine is slow */

    resolve(world, "held.test", &kept);
    run_until_asked(world, "held2.test", 1);
    resolver_cancel(query);
    for (int i = 0; i < RESOLVER_NAMES_MAX + 1; i++) {
        (void)snprintf(name, sizeof(name), "n%d.test", i);
        assert_int_equal(look_up(world, name).count, 1);
    }
    before = asked(world, "held2.test");
    release_held(world);
    run_until_answered(world, &kept.calls, 1);
    assert_int_equal(kept.count, 2);
    assert_int_equal(look_up(world, "held2.test").count, 2);
    assert_int_equal(asked(world, "held2.test"), before);
}

#define RESOLVER_CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESOLVER_CASE(a_literal_is_answered_from_the_loop_without_asking),
        RESOLVER_CASE(a_name_of_the_hosts_file_needs_no_server),
        RESOLVER_CASE(a_name_has_its_addresses_of_both_families),
        RESOLVER_CASE(addresses_beyond_the_limit_are_ignored),
        RESOLVER_CASE(a_failure_says_why_and_is_not_asked_again_at_once),
        RESOLVER_CASE(a_dead_server_is_a_failure_in_words),
        RESOLVER_CASE(a_server_list_that_is_none_is_refused),
        RESOLVER_CASE(an_idle_resolver_keeps_no_loop_alive),
        RESOLVER_CASE(queries_for_one_name_share_one_look_up_whatever_its_case),
        RESOLVER_CASE(a_fresh_answer_is_given_again_from_the_loop_without_asking),
        RESOLVER_CASE(an_answer_is_good_for_the_smallest_ttl_on_the_way_to_it),
        RESOLVER_CASE(a_question_that_got_lost_is_asked_again),
        RESOLVER_CASE(of_two_queries_for_a_name_one_can_be_cancelled),
        RESOLVER_CASE(a_look_up_nobody_waits_for_still_fills_the_cache),
        RESOLVER_CASE(a_cancelled_literal_or_cached_name_is_not_answered),
        RESOLVER_CASE(a_resolver_can_be_destroyed_while_a_cancelled_look_up_goes_on),
        RESOLVER_CASE(an_answer_may_cancel_the_next_one_and_destroy_the_resolver),
        RESOLVER_CASE(an_answer_that_asks_again_does_not_hold_the_loop_up),
        RESOLVER_CASE(the_least_recently_used_name_makes_room),
        RESOLVER_CASE(a_name_still_being_asked_for_is_not_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
