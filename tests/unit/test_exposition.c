/* Prometheus' text format, letter by letter. */
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/ops/exposition.h"

static char *text;
static size_t length;

static FILE *begin(void)
{
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    return out;
}

static void assert_written(FILE *out, const char *expected)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void a_family_begins_with_help_and_type(void **state)
{
    (void)state;
    FILE *out = begin();
    exposition_family(out, "bytes_total", EXPOSITION_COUNTER, "Bytes \"passed\" on.");
    exposition_family(out, "active", EXPOSITION_GAUGE, "a\\b\nc");
    exposition_family(out, "wait_seconds", EXPOSITION_HISTOGRAM, "");
    assert_written(out, "# HELP bytes_total Bytes \"passed\" on.\n"
                        "# TYPE bytes_total counter\n"
                        "# HELP active a\\\\b\\nc\n"
                        "# TYPE active gauge\n"
                        "# HELP wait_seconds \n"
                        "# TYPE wait_seconds histogram\n");
}

static void a_count_may_have_labels_and_be_as_large_as_it_gets(void **state)
{
    (void)state;
    FILE *out = begin();
    exposition_count(out, "a_total", NULL, 0);
    exposition_count(out, "a_total", EXPOSITION_LABELS({"route", "web"}), UINT64_MAX);
    exposition_count(out, "a_total", EXPOSITION_LABELS({"route", ""}, {"reason", "none"}), 7);
    assert_written(out, "a_total 0\n"
                        "a_total{route=\"web\"} 18446744073709551615\n"
                        "a_total{route=\"\",reason=\"none\"} 7\n");
}

static void a_label_cannot_end_its_quotes_or_its_line(void **state)
{
    (void)state;
    FILE *out = begin();
    exposition_count(out, "a", EXPOSITION_LABELS({"b", "\"} 1\nc 2\\"}), 1);
    assert_written(out, "a{b=\"\\\"} 1\\nc 2\\\\\"} 1\n");
}

static void seconds_are_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "s 0\n"},
        {1, "s 0.000001\n"},
        {2500, "s 0.0025\n"},
        {1000000, "s 1\n"},
        {10000000, "s 10\n"},
        {1790000000123456, "s 1790000000.123456\n"},
        {UINT64_MAX, "s 18446744073709.551615\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        FILE *out = begin();
        exposition_seconds(out, "s", NULL, cases[i].us);
        assert_written(out, cases[i].text);
    }
}

static void a_histogram_has_buckets_sum_and_count(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1000, 2500000};
    static const uint64_t counts[] = {1, 3, 4};
    const struct exposition_histogram histogram = {
        .bounds_us = bounds, .bounds = COUNT(bounds), .counts = counts, .sum_us = 7000100};
    FILE *out = begin();
    exposition_histogram(out, "w", NULL, &histogram);
    exposition_histogram(out, "w", EXPOSITION_LABELS({"route", "web"}), &histogram);
    assert_written(out, "w_bucket{le=\"0.001\"} 1\n"
                        "w_bucket{le=\"2.5\"} 3\n"
                        "w_bucket{le=\"+Inf\"} 4\n"
                        "w_sum 7.0001\n"
                        "w_count 4\n"
                        "w_bucket{route=\"web\",le=\"0.001\"} 1\n"
                        "w_bucket{route=\"web\",le=\"2.5\"} 3\n"
                        "w_bucket{route=\"web\",le=\"+Inf\"} 4\n"
                        "w_sum{route=\"web\"} 7.0001\n"
                        "w_count{route=\"web\"} 4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_family_begins_with_help_and_type),
        CASE(a_count_may_have_labels_and_be_as_large_as_it_gets),
        CASE(a_label_cannot_end_its_quotes_or_its_line),
        CASE(seconds_are_exact),
        CASE(a_histogram_has_buckets_sum_and_count),
    };
    return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
