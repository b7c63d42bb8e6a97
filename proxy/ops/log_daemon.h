/*
 * The socket of a log daemon (/dev/log, or the journal's): one datagram a line. Sending never
 * blocks. A daemon that is not there, or not any more, is looked for at most once a second.
 */
#ifndef PROXY_OPS_LOG_DAEMON_H
#define PROXY_OPS_LOG_DAEMON_H

#include <stddef.h>
#include <stdint.h>

struct log_daemon {
    const char *path; /* of the socket; the caller's, for as long as this is used */
    int fd;           /* connected; -1: not */
    uint64_t looked;  /* when, by clock_now; 0: never */
};

enum log_daemon_result {
    LOG_DAEMON_SENT,
    LOG_DAEMON_BUSY, /* it does not keep up: the datagram is lost */
    LOG_DAEMON_GONE, /* there is none */
};

void log_daemon_init(struct log_daemon *daemon, const char *path);
enum log_daemon_result log_daemon_send(struct log_daemon *daemon, const void *bytes, size_t length);
void log_daemon_close(struct log_daemon *daemon);

#endif
