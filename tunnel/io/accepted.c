#include "tunnel/io/accepted.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/io/turbo_listener.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/socket.h"

enum { REPLAY_BYTES = 4096 };

static enum tunnel_result noted(struct accepted_io *a, enum tunnel_result result)
{
    if (result == TUNNEL_IO)
        a->error = errno;
    return result;
}

/* ---- a session that TCP has joined, until it is settled ---- */

enum tunnel_result accepted_flush(struct accepted_io *a)
{
    const uint8_t *data;
    size_t length, taken;
    while ((length = turbo_server_tcp_peek(a->session, &data)) > 0) {
        enum tunnel_result result = noted(a, descriptor_write(a->tcp, data, length, &taken));
        if (result != TUNNEL_OK)
            return result;
        turbo_server_tcp_consume(a->session, taken);
    }
    return TUNNEL_OK;
}

static enum tunnel_result lost_its_way(struct accepted_io *a)
{
    a->error = EPROTO;
    return TUNNEL_IO;
}

/* Compares what TCP repeats with what UDP brought. OK: it is all there. */
static enum tunnel_result replay(struct accepted_io *a)
{
    uint8_t bytes[REPLAY_BYTES];
    size_t left, got;
    while ((left = turbo_server_replay_left(a->session)) > 0) {
        size_t early = a->early_length - a->early_used;
        const uint8_t *next = bytes;
        if (early > 0) {
            next = a->early + a->early_used;
            got = early < left ? early : left;
            a->early_used += got;
        } else {
            enum tunnel_result result = noted(
                a, descriptor_read(a->tcp, bytes, left < REPLAY_BYTES ? left : REPLAY_BYTES, &got));
            if (result == TUNNEL_CLOSED)
                return lost_its_way(a);
            if (result != TUNNEL_OK)
                return result;
        }
        if (!turbo_server_replay(a->session, next, got))
            return lost_its_way(a);
    }
    return TUNNEL_OK;
}

/* The session goes; its socket stays. */
static void end_session(struct accepted_io *a)
{
    struct turbo_listener *listener = a->listener;
    struct turbo_server_report report = turbo_server_report(a->session);
    a->outcome = report.outcome;
    a->reason = report.reason;
    turbo_server_release(a->session, clock_now());
    a->session = NULL;
    turbo_listener_leave(listener, a);
    a->listener = NULL;
    close(a->wake_fd);
    a->wake_fd = -1;
}

/* Is anything left of the session? With its lock, which it may give up for ever. */
static void settle(struct accepted_io *a)
{
    const uint8_t *data;
    if (a->tcp.fd >= 0 && turbo_server_tcp_peek(a->session, &data) == 0 &&
        turbo_server_replay_left(a->session) == 0 && turbo_server_peek(a->session, &data) == 0 &&
        !turbo_server_awaits_udp(a->session))
        end_session(a);
}

/* ---- reading and writing ---- */

static size_t take(void *buffer, size_t capacity, const uint8_t *data, size_t length)
{
    size_t n = length < capacity ? length : capacity;
    memcpy(buffer, data, n);
    return n;
}

static enum tunnel_result read_tcp(struct accepted_io *a, void *buffer, size_t capacity,
                                   size_t *got)
{
    if (a->early_used < a->early_length) {
        *got = take(buffer, capacity, a->early + a->early_used, a->early_length - a->early_used);
        a->early_used += *got;
        return TUNNEL_OK;
    }
    free(a->early);
    a->early = NULL;
    return noted(a, descriptor_read(a->tcp, buffer, capacity, got));
}

static enum tunnel_result session_is_over(struct accepted_io *a)
{
    a->error = ECONNRESET;
    return TUNNEL_IO;
}

static enum tunnel_result read_session(struct accepted_io *a, void *buffer, size_t capacity,
                                       size_t *got)
{
    const uint8_t *data;
    size_t length = turbo_server_peek(a->session, &data);
    if (length > 0) {
        *got = take(buffer, capacity, data, length);
        turbo_server_consume(a->session, *got);
        return TUNNEL_OK;
    }
    if (a->tcp.fd < 0 || turbo_server_awaits_udp(a->session))
        return TUNNEL_WANT_READ;
    enum tunnel_result result = accepted_flush(a);
    if (result == TUNNEL_OK || result == TUNNEL_WANT_WRITE)
        result = replay(a);
    return result == TUNNEL_OK ? read_tcp(a, buffer, capacity, got) : result;
}

static enum tunnel_result write_session(struct accepted_io *a, const void *data, size_t length,
                                        size_t *taken)
{
    if (a->tcp.fd < 0) {
        *taken = turbo_server_push(a->session, clock_now(), data, length);
        return *taken > 0 ? TUNNEL_OK : TUNNEL_WANT_WRITE;
    }
    enum tunnel_result result = accepted_flush(a);
    if (result != TUNNEL_OK)
        return result;
    result = noted(a, descriptor_write(a->tcp, data, length, taken));
    if (result == TUNNEL_OK && turbo_server_awaits_udp(a->session))
        turbo_server_answered(a->session, clock_now(), data, *taken);
    return result;
}

/* News for the user is taken note of by being here. */
static void begin_call(struct accepted_io *a)
{
    eventfd_t unused;
    turbo_listener_lock(a->listener);
    (void)eventfd_read(a->wake_fd, &unused);
    turbo_listener_pump(a->listener);
}

static void end_call(struct accepted_io *a)
{
    struct turbo_listener *listener = a->listener;
    if (a->session != NULL)
        settle(a);
    turbo_listener_unlock(listener);
}

static enum tunnel_result accepted_read(struct tunnel_io *io, void *buffer, size_t capacity,
                                        size_t *got)
{
    struct accepted_io *a = (struct accepted_io *)io;
    if (a->listener == NULL)
        return read_tcp(a, buffer, capacity, got);
    begin_call(a);
    enum tunnel_result result =
        a->session == NULL ? session_is_over(a) : read_session(a, buffer, capacity, got);
    end_call(a);
    return result;
}

static enum tunnel_result accepted_write(struct tunnel_io *io, const void *data, size_t length,
                                         size_t *taken)
{
    struct accepted_io *a = (struct accepted_io *)io;
    if (a->listener == NULL)
        return noted(a, descriptor_write(a->tcp, data, length, taken));
    begin_call(a);
    enum tunnel_result result =
        a->session == NULL ? session_is_over(a) : write_session(a, data, length, taken);
    if (a->session != NULL)
        turbo_listener_pump(a->listener); /* what was written may leave at once */
    end_call(a);
    return result;
}

/* Can it be read though no descriptor says so? An event that told it may have been taken note of by
 * another call. */
static bool has_bytes(const struct accepted_io *a)
{
    const uint8_t *data;
    if (a->session != NULL && turbo_server_peek(a->session, &data) > 0)
        return true;
    return a->early_used < a->early_length &&
           (a->session == NULL || !turbo_server_awaits_udp(a->session));
}

static bool is_due(const struct accepted_io *a, enum tunnel_result want)
{
    bool over = a->listener != NULL && a->session == NULL;
    return over || (want == TUNNEL_WANT_READ && has_bytes(a));
}

static void watch_session(struct accepted_io *a, enum tunnel_result want,
                          struct tunnel_watch *watch)
{
    const uint8_t *data;
    bool by_udp = a->session != NULL && (a->tcp.fd < 0 || turbo_server_awaits_udp(a->session));
    if (a->session != NULL && turbo_server_tcp_peek(a->session, &data) > 0)
        descriptor_watch(a->tcp, TUNNEL_WANT_WRITE, watch);
    if (!by_udp || want == TUNNEL_WANT_WRITE)
        descriptor_watch(a->tcp, want, watch);
    watch->fds[watch->count++] = (struct pollfd){.fd = a->wake_fd, .events = POLLIN};
    if (by_udp)
        watch->fds[watch->count++] =
            (struct pollfd){.fd = turbo_listener_fd(a->listener), .events = POLLIN};
}

static void accepted_watch(struct tunnel_io *io, enum tunnel_result want,
                           struct tunnel_watch *watch)
{
    struct accepted_io *a = (struct accepted_io *)io;
    if (a->listener != NULL)
        turbo_listener_lock(a->listener);
    if (is_due(a, want))
        watch->deadline_us = 0;
    if (a->listener == NULL) {
        descriptor_watch(a->tcp, want, watch);
        return;
    }
    watch_session(a, want, watch);
    turbo_listener_unlock(a->listener);
}

/* ---- the end ---- */

void accepted_free(struct accepted_io *a, bool reset)
{
    descriptor_close(a->tcp, reset);
    socket_close(a->wake_fd);
    free(a->early);
    free(a);
}

/* What no TCP has come for, or not taken yet, is the listener's to deliver. */
static bool has_said_more(const struct accepted_io *a)
{
    const uint8_t *data;
    return a->session != NULL && (a->tcp.fd < 0 || turbo_server_tcp_peek(a->session, &data) > 0);
}

static void close_session(struct accepted_io *a, bool reset)
{
    struct turbo_listener *listener = a->listener;
    turbo_listener_lock(listener);
    if (!reset && has_said_more(a)) {
        turbo_server_push_end(a->session, TURBO_END_FIN);
        turbo_listener_keep(listener, a);
        turbo_listener_unlock(listener);
        return;
    }
    if (a->session != NULL) {
        turbo_server_refuse(a->session);
        end_session(a);
    } else {
        turbo_listener_leave(listener, a);
    }
    turbo_listener_pump(listener);
    turbo_listener_unlock(listener);
    accepted_free(a, reset);
}

static void accepted_close(struct tunnel_io *io, bool reset)
{
    struct accepted_io *a = (struct accepted_io *)io;
    if (a->listener == NULL)
        accepted_free(a, reset);
    else
        close_session(a, reset);
}

static const char *accepted_error(const struct tunnel_io *io)
{
    const struct accepted_io *a = (const struct accepted_io *)io;
    const char *text = a->error == 0 ? NULL : strerror(a->error);
    if (a->listener == NULL)
        return text;
    turbo_listener_lock(a->listener);
    if (a->ended)
        text = a->tcp.fd < 0 ? "the client began by UDP, and did not come by TCP"
                             : "the client's handshake did not come whole by UDP";
    turbo_listener_unlock(a->listener);
    return text;
}

/* ---- making one ---- */

static const struct tunnel_io_ops ops = {
    .read = accepted_read,
    .write = accepted_write,
    .close = accepted_close,
    .watch = accepted_watch,
    .error = accepted_error,
};

static struct accepted_io *create(const struct address *peer)
{
    struct accepted_io *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return NULL;
    a->base.ops = &ops;
    a->tcp.fd = a->wake_fd = -1;
    a->peer = *peer;
    a->began_us = clock_now();
    return a;
}

struct accepted_io *accepted_tcp(int fd, const struct address *peer, uint8_t *early, size_t length)
{
    struct accepted_io *a = create(peer);
    if (a == NULL)
        return NULL;
    a->tcp = (struct descriptor){.fd = fd, .is_socket = true};
    a->early = early;
    a->early_length = length;
    a->joined_us = a->began_us;
    return a;
}

struct accepted_io *accepted_session(struct turbo_listener *listener, struct turbo_server *session,
                                     uint64_t now)
{
    struct turbo_path path = turbo_server_path(session);
    struct address peer;
    address_from_turbo(&path.peer, &peer);
    struct accepted_io *a = create(&peer);
    if (a == NULL)
        return NULL;
    a->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (a->wake_fd < 0) {
        free(a);
        return NULL;
    }
    a->listener = listener;
    a->session = session;
    a->began_us = now;
    turbo_server_set_user(session, a);
    return a;
}

void accepted_wake(struct accepted_io *a)
{
    (void)eventfd_write(a->wake_fd, 1);
}

void accepted_join(struct accepted_io *a, int fd, uint8_t *early, size_t length, uint64_t now)
{
    a->tcp = (struct descriptor){.fd = fd, .is_socket = true};
    a->early = early;
    a->early_length = length;
    a->joined_us = now;
    (void)accepted_flush(a); /* whoever has written it may be busy elsewhere */
    accepted_wake(a);
}

bool accepted_report(const struct tunnel_io *io, struct tunnel_io_report *report)
{
    const struct accepted_io *a = (const struct accepted_io *)io;
    if (io->ops != &ops)
        return false;
    *report = (struct tunnel_io_report){.outcome = "tcp"};
    char text[ADDRESS_TEXT_BYTES];
    snprintf(report->peer, sizeof(report->peer), "%s", address_text(&a->peer, text));
    struct turbo_server_report session = {.outcome = a->outcome, .reason = a->reason};
    if (a->listener != NULL)
        turbo_listener_lock(a->listener);
    if (a->session != NULL)
        session = turbo_server_report(a->session);
    report->tcp_us = a->joined_us - (a->joined_us == 0 ? 0 : a->began_us);
    if (a->listener != NULL)
        turbo_listener_unlock(a->listener);
    if (session.outcome != TURBO_OUTCOME_NONE)
        report->outcome = turbo_outcome_text(session.outcome);
    if (session.reason != TURBO_REASON_NONE)
        report->reason = turbo_reason_text(session.reason);
    return true;
}
