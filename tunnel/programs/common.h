/* What turbotls-client and turbotls-server share beside TLS's options. */
#ifndef PROGRAMS_COMMON_H
#define PROGRAMS_COMMON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/tunnel.h"

/* How the programs end; in their manual pages. */
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2, /* the command line or the configuration */
    EXIT_UNREACHED = 3,
    EXIT_UNVERIFIED = 4, /* certificates: the peer's, or ours in its eyes */
    EXIT_NOTHING_COMMON = 5,
    EXIT_PROTOCOL = 6, /* also a connection that ended before it was over */
    EXIT_INTERRUPTED = 130,
};

enum exit_code exit_code_of(enum tunnel_result result);

enum { HOST_BYTES = 256 };

struct place {
    char host[HOST_BYTES]; /* without brackets; "": not given */
    uint16_t port;
};

/* "HOST:PORT", "[::1]:PORT"; without `needs_host` also "PORT" and "*:PORT". */
bool read_place(const char *text, bool needs_host, struct place *place);
/* A whole number from `min` to `max`. */
bool read_number(const char *text, uint32_t min, uint32_t max, uint32_t *number);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t now_us(void);
/* From now on SIGINT and SIGTERM only make this descriptor readable, and stay there; SIGPIPE is
 * ignored. -1: errno. */
int signals_as_descriptor(void);
/* Has one of them come? */
bool is_signalled(int signals);

/* What to wait for: any of several things at once. */
enum { WAITS_MAX = 2 * TUNNEL_WATCH_MAX + 2 };
struct waits {
    struct pollfd fds[WAITS_MAX];
    size_t count;
    uint64_t until_us;
};

void waits_add(struct waits *waits, int fd, short events);
void waits_add_watch(struct waits *waits, const struct tunnel_watch *watch);
/* Until one of them is ready, or `until_us`, or `fds[i].revents` of what was added tells. */
void waits_wait(struct waits *waits);

/* "PROGRAM: …" and a line's end on standard error, in one write. */
__attribute__((format(printf, 2, 3))) void say(const char *program, const char *format, ...);

/* What was agreed upon, kept beyond the tunnel. */
struct agreed {
    char version[16], cipher[64], group[64], alpn[256], server_name[256]; /* "": none */
    bool resumed, certificate;                                            /* the peer showed one */
};

void agreed_take(struct agreed *agreed, struct tunnel *tunnel);
/* As members of `object`. */
void json_put_agreed(json_t *object, const struct agreed *agreed);
void json_put_report(json_t *object, const struct tunnel_io_report *report);
/* NULL and "" are null; what is not UTF-8 is "?". */
void json_put_text(json_t *object, const char *name, const char *text);
/* One line on standard output; frees it. */
void json_print(json_t *object);

#endif
