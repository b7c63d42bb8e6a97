/* The log's other ways: what a syslog daemon and the journal get, also when they come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/log.h"
#include "proxy/ops/log_journal.h"

/* A daemon's socket in a directory of its own; standard error is a pipe. */
struct fixture {
    struct log log;
    char directory[64], path[96];
    int daemon, reader, writer;
    char text[2 * LOG_ENTRY_MAX];
    size_t length;
};

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void stop_daemon(struct fixture *fixture)
{
    close(fixture->daemon);
    fixture->daemon = -1;
    assert_int_equal(unlink(fixture->path), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    int ends[2];

    assert_non_null(fixture);
    strcpy(fixture->directory, "/tmp/test_log.XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/log", fixture->directory);
    fixture->daemon = listen_at(fixture->path);
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

    log_end(&fixture->log);
    if (fixture->daemon >= 0)
        stop_daemon(fixture);
    assert_int_equal(rmdir(fixture->directory), 0);
    close(fixture->reader);
    close(fixture->writer);
    free(fixture);
    return 0;
}

static void aim(struct fixture *fixture, enum log_target target, enum log_format format)
{
    log_configure(&fixture->log, LOG_LEVEL_INFO, format, target);
    fixture->log.daemon.path = fixture->path;
}

/* The next datagram, or line; "" when there is none. */
static const char *take(struct fixture *fixture, int fd)
{
    ssize_t length = read(fd, fixture->text, sizeof(fixture->text) - 1);

    fixture->length = length > 0 ? (size_t)length : 0;
    fixture->text[fixture->length] = '\0';
    return fixture->text;
}

static const char *after(const char *text, const char *start)
{
    assert_int_equal(strncmp(text, start, strlen(start)), 0);
    return text + strlen(start);
}

/* "<30>Nov 20 23:55:24 turbotls-proxy[71]: " */
static const char *after_syslog_head(const char *text, int priority)
{
    char head[64];
    struct tm when = {0};
    const char *end;

    (void)snprintf(head, sizeof(head), "<%d>", priority);
    text = after(text, head);
    end = strptime(text, "%b %d %H:%M:%S", &when);
    assert_non_null(end);
    assert_int_equal(end - text, strlen("Nov 20 23:55:24"));
    (void)snprintf(head, sizeof(head), " turbotls-proxy[%d]: ", (int)getpid());
    return after(end, head);
}

static void syslog_gets_priority_time_name_and_text(void **state)
{
    struct fixture *fixture = *state;

    aim(fixture, LOG_TARGET_SYSLOG, LOG_FORMAT_TEXT);
    log_event(&fixture->log, LOG_LEVEL_INFO, "connection", LOG_TEXT("v", "a\nb"),
              LOG_NUMBER("n", 1));
    assert_string_equal(after_syslog_head(take(fixture, fixture->daemon), 24 + 6),
                        "connection v=\"a\\nb\" n=1");
    log_write(&fixture->log, LOG_LEVEL_ERROR, "broken", NULL);
    assert_string_equal(after_syslog_head(take(fixture, fixture->daemon), 24 + 3), "broken");
    assert_string_equal(take(fixture, fixture->reader), "");
}

static void syslog_gets_json_as_a_whole_object(void **state)
{
    struct fixture *fixture = *state;
    const char *text;

    aim(fixture, LOG_TARGET_SYSLOG, LOG_FORMAT_JSON);
    log_event(&fixture->log, LOG_LEVEL_WARNING, "odd", LOG_NUMBER("n", 1));
    text = after_syslog_head(take(fixture, fixture->daemon), 24 + 4);
    (void)after(text, "{\"time\":\"2");
    text = strstr(text, ",\"level\"");
    assert_non_null(text);
    assert_string_equal(text, ",\"level\":\"warning\",\"message\":\"odd\",\"n\":1}");
}

/* The value of a field of the entry in `text`, as the journal reads it; NULL: it has none. */
static const char *field(struct fixture *fixture, const char *name, size_t *length)
{
    const char *at = fixture->text, *end = fixture->text + fixture->length;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        uint64_t size = 0;

        assert_non_null(newline);
        assert_null(memchr(at, '=', (size_t)(newline - at)));
        assert_true(newline + 1 + 8 < end);
        for (int i = 0; i < 8; i++)
            size |= (uint64_t)(unsigned char)newline[1 + i] << 8 * i;
        assert_true(newline + 9 + size < end && newline[9 + size] == '\n');
        if ((size_t)(newline - at) == strlen(name) && strncmp(at, name, strlen(name)) == 0) {
            *length = size;
            return newline + 9;
        }
        at = newline + 9 + size + 1;
    }
    return NULL;
}

static void assert_field(struct fixture *fixture, const char *name, const char *expected)
{
    size_t length = 0;
    const char *value = field(fixture, name, &length);

    assert_non_null(value);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(value, expected, length);
}

static void the_journal_gets_a_field_for_each_value(void **state)
{
    struct fixture *fixture = *state;
    size_t length;

    aim(fixture, LOG_TARGET_JOURNAL, LOG_FORMAT_JSON); /* the format is not asked */
    log_event(&fixture->log, LOG_LEVEL_WARNING, "connection ended",
              LOG_TEXT("client", "127.0.0.1:50122"), LOG_NUMBER("bytes_c2s", UINT64_MAX),
              LOG_TEXT("sni", NULL), LOG_TEXT("evil", "x\n_UID=0\nPRIORITY=1"), LOG_ERRNO(ENOENT));
    take(fixture, fixture->daemon);
    assert_field(fixture, "MESSAGE",
                 "connection ended client=127.0.0.1:50122 bytes_c2s=18446744073709551615 sni=- "
                 "evil=\"x\\n_UID=0\\nPRIORITY=1\" error=\"No such file or directory\"");
    assert_field(fixture, "PRIORITY", "4");
    assert_field(fixture, "SYSLOG_IDENTIFIER", "turbotls-proxy");
    assert_field(fixture, "CLIENT", "127.0.0.1:50122");
    assert_field(fixture, "BYTES_C2S", "18446744073709551615");
    assert_field(fixture, "EVIL", "x\n_UID=0\nPRIORITY=1");
    assert_field(fixture, "ERROR", "No such file or directory");
    assert_null(field(fixture, "SNI", &length));
}

static void an_entry_too_large_keeps_what_fits(void **state)
{
    struct fixture *fixture = *state;
    static char value[2 * LOG_ENTRY_MAX];
    size_t length;

    aim(fixture, LOG_TARGET_JOURNAL, LOG_FORMAT_TEXT);
    for (size_t size = LOG_LINE_MAX / 2; size < LOG_ENTRY_MAX + 10; size += 7) {
        memset(value, 'x', size);
        value[size] = '\0';
        log_event(&fixture->log, LOG_LEVEL_INFO, "m", LOG_TEXT("v", value), LOG_NUMBER("n", 7));
        take(fixture, fixture->daemon);
        assert_in_range(fixture->length, 1, LOG_ENTRY_MAX);
        assert_true(field(fixture, "N", &length) != NULL || fixture->length > LOG_ENTRY_MAX - 16);
        assert_true(field(fixture, "V", &length) == NULL || length == size);
        assert_non_null(field(fixture, "MESSAGE", &length));
        assert_in_range(length, 1, LOG_LINE_MAX);
    }
}

static void a_daemon_that_does_not_read_costs_lines_not_time(void **state)
{
    struct fixture *fixture = *state;
    char expected[64];

    aim(fixture, LOG_TARGET_SYSLOG, LOG_FORMAT_TEXT);
    while (fixture->log.dropped < 3)
        log_write(&fixture->log, LOG_LEVEL_INFO, "filler", NULL);
    while (take(fixture, fixture->daemon)[0] != '\0')
        ;
    log_event(&fixture->log, LOG_LEVEL_INFO, "back", LOG_TEXT("a", "b"));
    (void)snprintf(expected, sizeof(expected), "back lost_lines=%d a=b", 3);
    assert_string_equal(after_syslog_head(take(fixture, fixture->daemon), 24 + 6), expected);
    assert_string_equal(take(fixture, fixture->reader), "");
}

static void a_restarted_daemon_is_found_at_once(void **state)
{
    struct fixture *fixture = *state;

    aim(fixture, LOG_TARGET_SYSLOG, LOG_FORMAT_TEXT);
    log_write(&fixture->log, LOG_LEVEL_INFO, "one", NULL);
    stop_daemon(fixture);
    fixture->daemon = listen_at(fixture->path);
    fixture->log.daemon.looked -= 1000001; /* a second ago */
    log_write(&fixture->log, LOG_LEVEL_INFO, "two", NULL);
    assert_string_equal(after_syslog_head(take(fixture, fixture->daemon), 24 + 6), "two");
    assert_string_equal(take(fixture, fixture->reader), "");
}

static void without_a_daemon_lines_go_to_standard_error(void **state)
{
    struct fixture *fixture = *state;

    stop_daemon(fixture);
    aim(fixture, LOG_TARGET_SYSLOG, LOG_FORMAT_TEXT);
    errno = ECONNRESET;
    log_write(&fixture->log, LOG_LEVEL_INFO, "one", NULL);
    assert_int_equal(errno, ECONNRESET);
    assert_non_null(strstr(take(fixture, fixture->reader), "Z info one\n"));

    /* Not looked for again within a second, and found after that. */
    fixture->daemon = listen_at(fixture->path);
    log_write(&fixture->log, LOG_LEVEL_INFO, "two", NULL);
    assert_non_null(strstr(take(fixture, fixture->reader), "Z info two\n"));
    fixture->log.daemon.looked -= 1000001;
    log_write(&fixture->log, LOG_LEVEL_INFO, "three", NULL);
    assert_string_equal(after_syslog_head(take(fixture, fixture->daemon), 24 + 6), "three");
}

static void a_target_can_change_and_change_back(void **state)
{
    struct fixture *fixture = *state;

    aim(fixture, LOG_TARGET_SYSLOG, LOG_FORMAT_TEXT);
    log_write(&fixture->log, LOG_LEVEL_INFO, "one", NULL);
    aim(fixture, LOG_TARGET_STDERR, LOG_FORMAT_TEXT);
    log_write(&fixture->log, LOG_LEVEL_INFO, "two", NULL);
    assert_string_equal(after_syslog_head(take(fixture, fixture->daemon), 24 + 6), "one");
    assert_string_equal(take(fixture, fixture->daemon), "");
    assert_non_null(strstr(take(fixture, fixture->reader), "Z info two\n"));
    assert_int_equal(fixture->log.daemon.fd, -1);
}

static void the_level_survives_where_systemd_reads_standard_error(void **state)
{
    struct fixture *fixture = *state;
    struct stat kind;
    char stream[64];

    assert_int_equal(fstat(fixture->writer, &kind), 0);
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)kind.st_dev,
                   (uintmax_t)kind.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_init(&fixture->log, fixture->writer, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_write(&fixture->log, LOG_LEVEL_WARNING, "odd", NULL);
    (void)after(take(fixture, fixture->reader), "<4>2");

    assert_int_equal(setenv("JOURNAL_STREAM", "1:1", 1), 0); /* somebody else's */
    log_init(&fixture->log, fixture->writer, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_write(&fixture->log, LOG_LEVEL_WARNING, "odd", NULL);
    (void)after(take(fixture, fixture->reader), "2");
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(syslog_gets_priority_time_name_and_text),
        CASE(syslog_gets_json_as_a_whole_object),
        CASE(the_journal_gets_a_field_for_each_value),
        CASE(an_entry_too_large_keeps_what_fits),
        CASE(a_daemon_that_does_not_read_costs_lines_not_time),
        CASE(a_restarted_daemon_is_found_at_once),
        CASE(without_a_daemon_lines_go_to_standard_error),
        CASE(a_target_can_change_and_change_back),
        CASE(the_level_survives_where_systemd_reads_standard_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
