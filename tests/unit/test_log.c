/* The log: what a line looks like, that nothing forges one, and what happens when nobody reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/log.h"

enum { TIME_LENGTH = sizeof("2026-11-20T23:55:24.123Z") - 1 };

/* A log that writes into a non-blocking pipe. */
struct fixture {
    struct log log;
    int reader, writer;
    char text[2 * LOG_LINE_MAX];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    int ends[2];

    assert_non_null(fixture);
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    fixture->reader = ends[0];
    fixture->writer = ends[1];
    log_init(&fixture->log, fixture->writer, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    close(fixture->reader);
    close(fixture->writer);
    free(fixture);
    return 0;
}

/* What has arrived since the last call. */
static const char *arrived(struct fixture *fixture)
{
    ssize_t length = read(fixture->reader, fixture->text, sizeof(fixture->text) - 1);

    fixture->text[length > 0 ? length : 0] = '\0';
    return fixture->text;
}

static const char *after_time(struct fixture *fixture)
{
    const char *text = arrived(fixture);

    assert_true(strlen(text) > TIME_LENGTH);
    return text + TIME_LENGTH;
}

static const char *json_after_time(struct fixture *fixture)
{
    static const char begin[] = "{\"time\":\"";
    const char *text = arrived(fixture);

    assert_true(strlen(text) > sizeof(begin) - 1 + TIME_LENGTH);
    assert_memory_equal(text, begin, sizeof(begin) - 1);
    return text + sizeof(begin) - 1 + TIME_LENGTH;
}

static void a_text_line_is_time_level_message_and_fields(void **state)
{
    struct fixture *fixture = *state;

    log_event(&fixture->log, LOG_LEVEL_INFO, "connection ended",
              LOG_TEXT("client", "127.0.0.1:50122"), LOG_NUMBER("bytes_c2s", UINT64_MAX),
              LOG_TEXT("sni", NULL), LOG_ERRNO(ENOENT));
    assert_string_equal(after_time(fixture), " info connection ended client=127.0.0.1:50122 "
                                             "bytes_c2s=18446744073709551615 sni=- "
                                             "error=\"No such file or directory\"\n");
}

static void a_json_line_is_one_object(void **state)
{
    struct fixture *fixture = *state;

    fixture->log.format = LOG_FORMAT_JSON;
    log_event(&fixture->log, LOG_LEVEL_WARNING, "connection ended",
              LOG_TEXT("client", "127.0.0.1:50122"), LOG_NUMBER("bytes_c2s", 0),
              LOG_TEXT("sni", NULL), LOG_ERRNO(ENOENT));
    assert_string_equal(json_after_time(fixture),
                        "\",\"level\":\"warning\",\"message\":\"connection ended\","
                        "\"client\":\"127.0.0.1:50122\",\"bytes_c2s\":0,\"sni\":null,"
                        "\"error\":\"No such file or directory\"}\n");
}

static void the_time_is_now_in_utc(void **state)
{
    struct fixture *fixture = *state;
    struct tm utc = {0};
    time_t before = time(NULL), logged;
    const char *end;

    assert_int_equal(setenv("TZ", "FAR-05:30", 1), 0);
    tzset();
    log_write(&fixture->log, LOG_LEVEL_ERROR, "now", NULL);
    end = strptime(arrived(fixture), "%Y-%m-%dT%H:%M:%S", &utc);
    assert_non_null(end);
    assert_true(end[0] == '.' && isdigit(end[1]) && isdigit(end[2]) && isdigit(end[3]));
    assert_string_equal(end + 4, "Z error now\n");
    logged = timegm(&utc);
    assert_true(logged >= before && logged <= time(NULL));
}

static void lines_above_the_level_are_not_written(void **state)
{
    struct fixture *fixture = *state;

    log_write(&fixture->log, LOG_LEVEL_DEBUG, "detail", NULL);
    assert_string_equal(arrived(fixture), "");
    fixture->log.level = LOG_LEVEL_DEBUG;
    log_write(&fixture->log, LOG_LEVEL_DEBUG, "detail", NULL);
    assert_string_equal(after_time(fixture), " debug detail\n");
}

static const struct {
    const char *value, *text, *json;
} awkward[] = {
    {"", "\"\"", "\"\""},
    {"two words", "\"two words\"", "\"two words\""},
    {"a=b", "\"a=b\"", "\"a=b\""},
    {"quo\"te", "\"quo\\\"te\"", "\"quo\\\"te\""},
    {"C:\\x", "\"C:\\\\x\"", "\"C:\\\\x\""},
    {"x\ninfo forged", "\"x\\ninfo forged\"", "\"x\\ninfo forged\""},
    {"\r\t", "\"\\r\\t\"", "\"\\r\\t\""},
    {"\x1b[2J\x7f\x01", "\"\\u001b[2J\\u007f\\u0001\"", "\"\\u001b[2J\\u007f\\u0001\""},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
    {"\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92", "\"\xf0\x9f\x94\x92\""},
    {"\xc2\x85", "\"\\u0085\"", "\"\\u0085\""},     /* next line */
    {"\xe2\x80\xa8", "\"\\u2028\"", "\"\\u2028\""}, /* line separator */
    {"\xe2\x80\xae\xe2\x80\xac", "\"\\u202e\\u202c\"",
     "\"\\u202e\\u202c\""},                                         /* right to left from here */
    {"\xff", "\"\\xff\"", "\"\xef\xbf\xbd\""},                      /* never in UTF-8 */
    {"\x80z", "\"\\x80z\"", "\"\xef\xbf\xbdz\""},                   /* begins in the middle */
    {"\xe2\x82", "\"\\xe2\\x82\"", "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* ends in the middle */
    {"\xc0\xaf", "\"\\xc0\\xaf\"", "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong "/" */
    {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\"",                         /* a surrogate */
     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"", /* above U+10FFFF */
     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
};

static void no_value_can_forge_a_line_or_a_field(void **state)
{
    struct fixture *fixture = *state;
    char expected[256];

    for (size_t i = 0; i < sizeof(awkward) / sizeof(awkward[0]); i++) {
        fixture->log.format = LOG_FORMAT_TEXT;
        log_event(&fixture->log, LOG_LEVEL_INFO, "m", LOG_TEXT("v", awkward[i].value));
        (void)snprintf(expected, sizeof(expected), " info m v=%s\n", awkward[i].text);
        assert_string_equal(after_time(fixture), expected);

        fixture->log.format = LOG_FORMAT_JSON;
        log_event(&fixture->log, LOG_LEVEL_INFO, "m", LOG_TEXT("v", awkward[i].value));
        (void)snprintf(expected, sizeof(expected),
                       "\",\"level\":\"info\",\"message\":\"m\",\"v\":%s}\n", awkward[i].json);
        assert_string_equal(json_after_time(fixture), expected);
    }
}

/* One flat object on one line: every quote is closed, and the last byte is the closing brace's. */
static bool is_whole_object(const char *line)
{
    size_t length = strlen(line);
    bool within = false;

    if (length < 3 || line[0] != '{' || strcmp(line + length - 2, "}\n") != 0)
        return false;
    for (size_t i = 1; i + 2 < length; i++) {
        if (within && line[i] == '\\')
            i++;
        else if (line[i] == '"')
            within = !within;
        else if (!within && (line[i] == '{' || line[i] == '}' || line[i] == '\n'))
            return false;
    }
    return !within;
}

static void a_line_too_long_is_cut_and_says_so(void **state)
{
    struct fixture *fixture = *state;
    char value[LOG_LINE_MAX + 1];
    int cut = 0;

    memset(value, '\n', sizeof(value)); /* every byte becomes two */
    for (size_t length = LOG_LINE_MAX / 2 - 100; length < LOG_LINE_MAX / 2 + 10; length++) {
        value[length] = '\0';
        for (int json = 0; json <= 1; json++) {
            fixture->log.format = json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
            log_event(&fixture->log, LOG_LEVEL_INFO, length % 2 ? "odd" : "even",
                      LOG_TEXT("v", value), LOG_NUMBER("n", 123456), LOG_TEXT("w", "end"));
            const char *line = arrived(fixture);
            bool whole = strstr(line, json ? "\"w\":\"end\"}\n" : " w=end\n") != NULL;

            assert_in_range(strlen(line), LOG_LINE_MAX - 150, LOG_LINE_MAX);
            assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
            assert_true(!json || is_whole_object(line));
            assert_true(whole || strstr(line, json ? ",\"cut\":true}\n" : " ...\n") != NULL);
            /* a number is there in full or not at all */
            assert_true(!strstr(line, "n=") || strstr(line, " n=123456 "));
            assert_true(!strstr(line, "\"n\":") || strstr(line, "\"n\":123456,"));
            cut += !whole;
        }
        value[length] = '\n';
    }
    assert_in_range(cut, 20, 200); /* the sweep has seen both */
}

static void a_reader_that_does_not_read_costs_lines_not_time(void **state)
{
    struct fixture *fixture = *state;
    uint64_t written = 0, lost;
    char expected[64];

    while (fixture->log.dropped == 0 && written < 1000000) {
        log_write(&fixture->log, LOG_LEVEL_INFO, "filler", NULL);
        written++;
    }
    log_write(&fixture->log, LOG_LEVEL_INFO, "filler", NULL);
    lost = fixture->log.dropped;
    assert_int_equal(lost, 2);
    while (arrived(fixture)[0] != '\0')
        ;
    log_event(&fixture->log, LOG_LEVEL_INFO, "back", LOG_TEXT("a", "b"));
    (void)snprintf(expected, sizeof(expected), " info back lost_lines=%d a=b\n", (int)lost);
    assert_string_equal(after_time(fixture), expected);
    log_write(&fixture->log, LOG_LEVEL_INFO, "and on", NULL);
    assert_string_equal(after_time(fixture), " info and on\n");
}

static void a_line_torn_apart_does_not_swallow_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit unlimited, five_bytes;
    FILE *file = tmpfile();
    char text[256] = "";

    assert_non_null(file);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    five_bytes = (struct rlimit){.rlim_cur = 5, .rlim_max = unlimited.rlim_max};
    log_init(&fixture->log, fileno(file), LOG_LEVEL_INFO, LOG_FORMAT_JSON);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &five_bytes), 0);
    log_write(&fixture->log, LOG_LEVEL_INFO, "torn", NULL);
    log_write(&fixture->log, LOG_LEVEL_INFO, "lost", NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    log_write(&fixture->log, LOG_LEVEL_INFO, "whole", NULL);
    log_write(&fixture->log, LOG_LEVEL_INFO, "next", NULL);

    rewind(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_string_equal(text, "{\"tim\n");
    assert_non_null(fgets(text, sizeof(text), file));
    assert_true(is_whole_object(text));
    assert_non_null(strstr(text, "\"whole\",\"lost_lines\":2}"));
    assert_non_null(fgets(text, sizeof(text), file));
    assert_true(is_whole_object(text));
    assert_null(fgets(text, sizeof(text), file));
    (void)fclose(file);
}

static void logging_leaves_errno_alone(void **state)
{
    struct fixture *fixture = *state;

    fixture->log.fd = -1;
    errno = ECONNRESET;
    log_event(&fixture->log, LOG_LEVEL_ERROR, "nowhere", LOG_ERRNO(errno));
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(fixture->log.dropped, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_text_line_is_time_level_message_and_fields),
        CASE(a_json_line_is_one_object),
        CASE(the_time_is_now_in_utc),
        CASE(lines_above_the_level_are_not_written),
        CASE(no_value_can_forge_a_line_or_a_field),
        CASE(a_line_too_long_is_cut_and_says_so),
        CASE(a_reader_that_does_not_read_costs_lines_not_time),
        CASE(a_line_torn_apart_does_not_swallow_the_next),
        CASE(logging_leaves_errno_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
