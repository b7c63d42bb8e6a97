/* Host names: any case, a dot at the end. */
#include "tests/unit/support/check.h"

#include "proxy/net/name.h"

static const char *normal(const char *name, char *out, size_t capacity)
{
    name_normalize(name, out, capacity);
    return out;
}

static void case_and_the_last_dot_do_not_count(void **state)
{
    (void)state;
    char out[16];
    assert_string_equal(normal("WWW.Example.org", out, sizeof(out)), "www.example.org");
    assert_string_equal(normal("azAZ09-_.", out, sizeof(out)), "azaz09-_");
    assert_string_equal(normal("a..", out, sizeof(out)), "a.");
    assert_string_equal(normal(".", out, sizeof(out)), "");
    assert_string_equal(normal("", out, sizeof(out)), "");
    assert_string_equal(normal("@[`{\xc4", out, sizeof(out)), "@[`{\xc4");
}

static void what_does_not_fit_is_cut_off(void **state)
{
    (void)state;
    char out[4];
    assert_string_equal(normal("ABCDE", out, sizeof(out)), "abc");
    assert_string_equal(normal("A", out, 1), "");
}

static void a_hash_is_of_the_name_and_the_port(void **state)
{
    (void)state;
    assert_int_equal(name_hash("Example.ORG", 443), name_hash("example.org", 443));
    assert_int_not_equal(name_hash("example.org", 443), name_hash("example.org", 444));
    assert_int_not_equal(name_hash("example.org", 443), name_hash("example.net", 443));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_and_the_last_dot_do_not_count),
        cmocka_unit_test(what_does_not_fit_is_cut_off),
        cmocka_unit_test(a_hash_is_of_the_name_and_the_port),
    };
    return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
