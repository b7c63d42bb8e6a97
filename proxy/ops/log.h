/*
 * The log: one line an event on a file descriptor (standard error), as text or as JSON; or one
 * datagram an event to the system's log daemon or to systemd's journal.
 *
 * A line is a level, a fixed message and named fields. It is formatted into a fixed buffer and
 * leaves in one write(2). A line that does not fit is cut and says so (text: " ..." at its end,
 * JSON: "cut":true, and the object stays well-formed). One that the reader does not take (EAGAIN,
 * or any other error) is dropped and counted, and the next line that goes out says how many were
 * lost (lost_lines). So the log never blocks the loop when the descriptor is non-blocking or a
 * regular file, and never allocates. errno is left as it was.
 * A daemon that is not there is looked for at most once a second; meanwhile its lines go to
 * standard error.
 *
 *   text: 2026-11-20T23:55:24.123Z info connection ended client=127.0.0.1:50122 bytes_c2s=517
 *   json: {"time":"2026-11-20T23:55:24.123Z","level":"info","message":"connection ended",...}
 *
 *   syslog (RFC 3164 as /dev/log takes it; after ": " text without time and level, or JSON):
 *     <30>Nov 20 23:55:24 turbotls-proxy[71]: connection ended client=127.0.0.1:50122
 *   journal: MESSAGE (the text), PRIORITY, SYSLOG_IDENTIFIER, and each field by its name in
 *     upper case: CLIENT, BYTES_C2S
 *
 * Where standard error is systemd's (JOURNAL_STREAM, systemd.exec(5)) a line begins with its
 * priority as sd-daemon(3) has it, which the journal takes off: "<6>2026-...".
 */
#ifndef PROXY_OPS_LOG_H
#define PROXY_OPS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/ops/log_daemon.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_JOURNAL };

enum { LOG_LINE_MAX = 2048 };

struct log {
    int fd;      /* LOG_TARGET_STDERR, and of the caller */
    bool marked; /* fd leads to the journal: lines begin with "<N>" */
    enum log_target target;
    struct log_daemon daemon;
    enum log_level level; /* lines above it are not formatted */
    enum log_format format;
    uint64_t dropped; /* lines lost since the last one that went out */
    uint64_t dropped_in_all;
    bool torn; /* a line went out in part; the next one starts with a newline */
};

enum log_field_type { LOG_FIELD_END, LOG_FIELD_TEXT, LOG_FIELD_UNSIGNED, LOG_FIELD_ERRNO };

/* One named value. Build them with the macros below and end the list with LOG_END. */
struct log_field {
    const char *name;
    enum log_field_type type;
    const char *text; /* LOG_FIELD_TEXT; NULL prints as "-" (text) or null (JSON) */
    uint64_t number;  /* LOG_FIELD_UNSIGNED */
    int error;        /* LOG_FIELD_ERRNO: printed as strerror(3) does */
};

#define LOG_TEXT(name_, value_)                                                                    \
    ((struct log_field){.name = (name_), .type = LOG_FIELD_TEXT, .text = (value_)})
#define LOG_NUMBER(name_, value_)                                                                  \
    ((struct log_field){.name = (name_), .type = LOG_FIELD_UNSIGNED, .number = (value_)})
#define LOG_ERRNO(value_)                                                                          \
    ((struct log_field){.name = "error", .type = LOG_FIELD_ERRNO, .error = (value_)})
#define LOG_END ((struct log_field){.type = LOG_FIELD_END})

/*
 * A descriptor for log_init that leads where `fd` does and never blocks: a pipe or terminal is
 * opened anew, since others may share its flags; a socket becomes non-blocking; a file never
 * blocks. Returns `fd` itself, or a new one that the caller closes.
 */
int log_descriptor(int fd);

/* Starts a log on `fd`, which the caller keeps and closes. */
void log_init(struct log *log, int fd, enum log_level level, enum log_format format);
/* What holds from the next line on: at start once the configuration is known, and at each reload.
 */
void log_configure(struct log *log, enum log_level level, enum log_format format,
                   enum log_target target);
/* Closes what log_configure may have opened. */
void log_end(struct log *log);

/* Would a line of this level be written? Else there is no need to find out what it would tell. */
static inline bool log_wants(const struct log *log, enum log_level level)
{
    return level <= log->level;
}

/*
 * Writes one line. `fields` ends with LOG_END and may be NULL. In text, values with spaces,
 * quotes, "=", backslashes or bytes that do not print are quoted and escaped; in JSON everything is
 * escaped as RFC 8259 asks, and bytes that are not UTF-8 become U+FFFD. Nothing a peer sends can
 * forge a line.
 */
void log_write(struct log *log, enum log_level level, const char *message,
               const struct log_field *fields);

/*
 * The same, with at least one field written in place:
 * log_event(log, LOG_LEVEL_INFO, "started", LOG_NUMBER("pid", pid));
 */
#define log_event(log_, level_, message_, ...)                                                     \
    log_write((log_), (level_), (message_), (const struct log_field[]){__VA_ARGS__, LOG_END})

#endif
