/* What is remembered of addresses: bounded, and the least recently used one makes room. */
#include "tests/unit/support/check.h"

#include <stdlib.h>

#include "proxy/memory.h"

static struct memory *memory;

static int setup(void **state)
{
    (void)state;
    memory = memory_create(MEMORY_ADDRESSES_MAX);
    return memory == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* The entry of host number `n` at `port`. */
static struct memory_entry *entry(unsigned n, uint16_t port)
{
    struct address address;
    address_wildcard(&address, AF_INET, port);
    address.v4.sin_addr.s_addr = htonl(0xc0000200 + n);
    return memory_of(memory, &address);
}

static void a_new_address_has_never_answered(void **state)
{
    (void)state;
    struct address v6;
    assert_false(entry(1, 443)->learned.speaks);
    assert_true(address_from_literal(&v6, "2001:db8::1", 443));
    assert_false(memory_of(memory, &v6)->learned.speaks);
    assert_true(address_equal(&memory_of(memory, &v6)->address, &v6));
}

static void what_was_said_of_an_address_stays_and_is_its_alone(void **state)
{
    (void)state;
    entry(1, 443)->learned.speaks = true;
    assert_false(entry(2, 443)->learned.speaks);
    assert_false(entry(1, 444)->learned.speaks);
    assert_true(entry(1, 443)->learned.speaks);
}

static void the_least_recently_used_one_makes_room(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MEMORY_ADDRESSES_MAX; i++)
        entry(i, 443)->learned.speaks = true;
    assert_true(entry(0, 443)->learned.speaks);   /* now 1 is the oldest */
    assert_false(entry(99, 443)->learned.speaks); /* takes its place */
    assert_true(entry(0, 443)->learned.speaks);
    for (unsigned i = 2; i < MEMORY_ADDRESSES_MAX; i++)
        assert_true(entry(i, 443)->learned.speaks);
    assert_false(entry(1, 443)->learned.speaks);
}

static void a_place_that_is_taken_over_remembers_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3 * MEMORY_ADDRESSES_MAX; i++) {
        struct memory_entry *e = entry(i, 443);
        assert_false(e->learned.speaks);
        e->learned.speaks = true;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_address_has_never_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_said_of_an_address_stays_and_is_its_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_least_recently_used_one_makes_room, setup, teardown),
        cmocka_unit_test_setup_teardown(a_place_that_is_taken_over_remembers_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
