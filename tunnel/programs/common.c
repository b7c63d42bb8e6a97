#include "common.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

enum {
    LINE_BYTES = TUNNEL_ERROR_TEXT_BYTES + 1024,
    US_A_SECOND = 1000000,
    NS_A_US = 1000,
    DIGITS = 9
};

enum exit_code exit_code_of(enum tunnel_result result)
{
    switch (result) {
    case TUNNEL_OK:
    case TUNNEL_WANT_READ:
    case TUNNEL_WANT_WRITE:
    case TUNNEL_CLOSED: return EXIT_GOOD;
    case TUNNEL_CONFIGURATION:
    case TUNNEL_MISUSE: return EXIT_USAGE;
    case TUNNEL_UNREACHED:
    case TUNNEL_TIMEOUT: return EXIT_UNREACHED;
    case TUNNEL_NAME_MISMATCH:
    case TUNNEL_EXPIRED:
    case TUNNEL_NOT_YET_VALID:
    case TUNNEL_SELF_SIGNED:
    case TUNNEL_UNKNOWN_CA:
    case TUNNEL_UNTRUSTED_ROOT:
    case TUNNEL_REVOKED:
    case TUNNEL_BAD_CERTIFICATE:
    case TUNNEL_NO_CERTIFICATE:
    case TUNNEL_CERTIFICATE_REFUSED: return EXIT_UNVERIFIED;
    case TUNNEL_NO_COMMON_VERSION:
    case TUNNEL_NO_COMMON_CIPHER:
    case TUNNEL_NO_COMMON_GROUP:
    case TUNNEL_NO_COMMON_ALPN:
    case TUNNEL_NO_COMMON_GROUND: return EXIT_NOTHING_COMMON;
    case TUNNEL_RAGGED_EOF:
    case TUNNEL_PEER_ALERT:
    case TUNNEL_PROTOCOL:
    case TUNNEL_PLAINTEXT_LEFT:
    case TUNNEL_IO: return EXIT_PROTOCOL;
    default: return EXIT_OTHER;
    }
}

bool read_number(const char *text, uint32_t min, uint32_t max, uint32_t *number)
{
    char *end;
    unsigned long value;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max)
        return false;
    *number = (uint32_t)value;
    return true;
}

bool read_place(const char *text, bool needs_host, struct place *place)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    uint32_t port;

    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    } else if (memchr(host, ':', length) != NULL) {
        return false; /* an address whose brackets are missing, or two ports */
    }
    if (!needs_host && length == 1 && host[0] == '*')
        length = 0;
    if (length >= sizeof(place->host) || (needs_host && length == 0) ||
        !read_number(colon == NULL ? text : colon + 1, needs_host ? 1 : 0, UINT16_MAX, &port))
        return false;
    memcpy(place->host, host, length);
    place->host[length] = '\0';
    place->port = (uint16_t)port;
    return true;
}

uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_A_SECOND + (uint64_t)now.tv_nsec / NS_A_US;
}

int signals_as_descriptor(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

bool is_signalled(int signals)
{
    struct pollfd fd = {.fd = signals, .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

void waits_add(struct waits *w, int fd, short events)
{
    if (w->count < WAITS_MAX)
        w->fds[w->count++] = (struct pollfd){.fd = fd, .events = events};
}

void waits_add_watch(struct waits *w, const struct tunnel_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        waits_add(w, watch->fds[i].fd, watch->fds[i].events);
    if (watch->deadline_us < w->until_us)
        w->until_us = watch->deadline_us;
}

void waits_wait(struct waits *w)
{
    uint64_t now = now_us(), left = w->until_us > now ? w->until_us - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / US_A_SECOND),
                               .tv_nsec = (long)(left % US_A_SECOND) * NS_A_US};

    (void)ppoll(w->fds, w->count, w->until_us == TUNNEL_FOR_EVER ? NULL : &timeout, NULL);
}

void say(const char *program, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "%s: %s\n", program, text);
}

static void copy(char *out, size_t bytes, const char *text)
{
    (void)snprintf(out, bytes, "%s", text == NULL ? "" : text);
}

void agreed_take(struct agreed *a, struct tunnel *tunnel)
{
    struct tunnel_info info;

    tunnel_info(tunnel, &info);
    copy(a->version, sizeof(a->version), info.version);
    copy(a->cipher, sizeof(a->cipher), info.cipher);
    copy(a->group, sizeof(a->group), info.group);
    copy(a->alpn, sizeof(a->alpn), info.alpn);
    copy(a->server_name, sizeof(a->server_name), info.server_name);
    a->resumed = info.resumed;
    a->certificate = info.peer_certificate != NULL;
}

void json_put_text(json_t *object, const char *name, const char *text)
{
    json_t *value = text == NULL || text[0] == '\0' ? json_null() : json_string(text);

    (void)json_object_set_new(object, name, value == NULL ? json_string("?") : value);
}

void json_put_agreed(json_t *object, const struct agreed *a)
{
    json_put_text(object, "version", a->version);
    json_put_text(object, "cipher", a->cipher);
    json_put_text(object, "group", a->group);
    json_put_text(object, "alpn", a->alpn);
    json_put_text(object, "server_name", a->server_name);
    (void)json_object_set_new(object, "resumed", json_boolean(a->resumed));
    (void)json_object_set_new(object, "peer_certificate", json_boolean(a->certificate));
}

void json_put_report(json_t *object, const struct tunnel_io_report *report)
{
    json_put_text(object, "peer", report->peer);
    json_put_text(object, "outcome", report->outcome);
    json_put_text(object, "reason", report->reason);
}

void json_print(json_t *object)
{
    char *text =
        json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(DIGITS));

    if (text != NULL)
        (void)printf("%s\n", text);
    (void)fflush(stdout);
    free(text);
    json_decref(object);
}
