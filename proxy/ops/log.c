#include "proxy/ops/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ops/log_journal.h"
#include "proxy/ops/log_line.h"

static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
static const char identifier[] = "turbotls-proxy";
static const char *const daemons[] = {
    [LOG_TARGET_SYSLOG] = "/dev/log",
    [LOG_TARGET_JOURNAL] = "/run/systemd/journal/socket",
};

int log_descriptor(int fd)
{
    struct stat kind;
    char path[32];
    if (fstat(fd, &kind) != 0 || S_ISREG(kind.st_mode))
        return fd;
    if (S_ISSOCK(kind.st_mode)) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own >= 0 ? own : fd;
}

/* systemd.exec(5): JOURNAL_STREAM is the device and inode of the stream that it made. */
static bool leads_to_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat kind;
    char own[64];

    if (stream == NULL || fstat(fd, &kind) != 0)
        return false;
    (void)snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)kind.st_dev, (uintmax_t)kind.st_ino);
    return strcmp(stream, own) == 0;
}

void log_init(struct log *log, int fd, enum log_level level, enum log_format format)
{
    *log = (struct log){.fd = fd, .marked = leads_to_journal(fd), .level = level, .format = format};
    log_daemon_init(&log->daemon, NULL);
}

void log_configure(struct log *log, enum log_level level, enum log_format format,
                   enum log_target target)
{
    log->level = level;
    log->format = format;
    if (target == log->target)
        return;
    log->target = target;
    log_end(log);
    if (target == LOG_TARGET_STDERR)
        return;
    log_daemon_init(&log->daemon, daemons[target]);
    tzset(); /* now: it reads a file, and takes memory */
}

void log_end(struct log *log)
{
    log_daemon_close(&log->daemon);
}

/* ---- what a line of each target is ---- */

static void put_fields(struct log_line *line, const struct log *log, const struct log_field *fields)
{
    if (log->dropped > 0)
        log_line_put_field(line, &LOG_NUMBER("lost_lines", log->dropped));
    for (; fields != NULL && fields->type != LOG_FIELD_END && !line->cut; fields++)
        log_line_put_field(line, fields);
    log_line_finish(line);
}

/* For standard error. */
static void build_line(struct log_line *line, const struct log *log, enum log_level level,
                       const char *message, const struct log_field *fields)
{
    char mark[8];

    log_line_start(line, log->format == LOG_FORMAT_JSON);
    if (log->torn)
        log_line_put(line, "\n");
    if (log->marked) {
        (void)snprintf(mark, sizeof(mark), "<%d>", priorities[level]);
        log_line_put(line, mark);
    }
    log_line_put_head(line, level);
    log_line_put_message(line, message);
    put_fields(line, log, fields);
}

static void build_syslog(struct log_line *line, const struct log *log, enum log_level level,
                         const char *message, const struct log_field *fields)
{
    char when[32] = "", head[96];
    time_t now = time(NULL);
    struct tm local;

    if (localtime_r(&now, &local) != NULL)
        (void)strftime(when, sizeof(when), "%b %e %H:%M:%S", &local);
    (void)snprintf(head, sizeof(head), "<%d>%s %s[%jd]: ", LOG_DAEMON | priorities[level], when,
                   identifier, (intmax_t)getpid());
    log_line_start(line, log->format == LOG_FORMAT_JSON);
    log_line_put(line, head);
    if (line->json)
        log_line_put_head(line, level);
    log_line_put_message(line, message);
    put_fields(line, log, fields);
    line->length--; /* a datagram needs no newline */
}

static void build_entry(struct log_entry *entry, const struct log *log, enum log_level level,
                        const char *message, const struct log_field *fields)
{
    const char priority[] = {(char)('0' + priorities[level])};
    struct log_line line;

    log_line_start(&line, false);
    log_line_put_message(&line, message);
    put_fields(&line, log, fields);
    log_entry_start(entry);
    log_entry_put(entry, "MESSAGE", line.bytes, line.length - 1);
    log_entry_put(entry, "PRIORITY", priority, sizeof(priority));
    log_entry_put(entry, "SYSLOG_IDENTIFIER", identifier, sizeof(identifier) - 1);
    if (log->dropped > 0)
        log_entry_put_field(entry, &LOG_NUMBER("lost_lines", log->dropped));
    for (; fields != NULL && fields->type != LOG_FIELD_END; fields++)
        log_entry_put_field(entry, fields);
}

/* ---- and how it gets there ---- */

static void write_line(struct log *log, enum log_level level, const char *message,
                       const struct log_field *fields)
{
    struct log_line line;
    ssize_t sent;

    build_line(&line, log, level, message, fields);
    do
        sent = write(log->fd, line.bytes, line.length);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)line.length) {
        log->dropped = 0;
        log->torn = false;
        return;
    }
    log->dropped++;
    log->dropped_in_all++;
    if (sent > 0)
        log->torn = line.bytes[sent - 1] != '\n';
}

/* False: there is no daemon. */
static bool send_datagram(struct log *log, const void *bytes, size_t length)
{
    enum log_daemon_result result = log_daemon_send(&log->daemon, bytes, length);

    if (result == LOG_DAEMON_SENT)
        log->dropped = 0;
    if (result == LOG_DAEMON_BUSY) {
        log->dropped++;
        log->dropped_in_all++;
    }
    return result != LOG_DAEMON_GONE;
}

static bool send_syslog(struct log *log, enum log_level level, const char *message,
                        const struct log_field *fields)
{
    struct log_line line;

    build_syslog(&line, log, level, message, fields);
    return send_datagram(log, line.bytes, line.length);
}

static bool send_entry(struct log *log, enum log_level level, const char *message,
                       const struct log_field *fields)
{
    struct log_entry entry;

    build_entry(&entry, log, level, message, fields);
    return send_datagram(log, entry.bytes, entry.length);
}

void log_write(struct log *log, enum log_level level, const char *message,
               const struct log_field *fields)
{
    int saved_errno = errno;
    bool sent = false;

    if (level > log->level)
        return;
    switch (log->target) {
    case LOG_TARGET_STDERR: break;
    case LOG_TARGET_SYSLOG: sent = send_syslog(log, level, message, fields); break;
    case LOG_TARGET_JOURNAL: sent = send_entry(log, level, message, fields); break;
    }
    if (!sent)
        write_line(log, level, message, fields);
    errno = saved_errno;
}
