#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/io/report.h"
#include "tunnel/io/turbo_drive.h"
#include "tunnel/net/client_datagrams.h"
#include "tunnel/net/clock.h"

/* Bytes that TCP has not taken yet. */
static size_t held(const struct turbo_io *t)
{
    const uint8_t *data;
    return turbo_io_is_open(t) ? turbo_client_tcp_peek(t->session, &data)
                               : turbo_client_unsent(t->session, &data);
}

/* ---- reading and writing ---- */

static enum tunnel_result read_tcp(struct turbo_io *t, void *buffer, size_t capacity, size_t *got)
{
    enum tunnel_result result = descriptor_read(t->tcp, buffer, capacity, got);
    int error = errno;
    /* Behind a failed write an end is none, but the reset. */
    if (result == TUNNEL_CLOSED && t->written != TUNNEL_OK)
        return t->written;
    if (t->session != NULL && result == TUNNEL_IO)
        turbo_client_tcp_failed(t->session, clock_now());
    else if (t->session != NULL && result != TUNNEL_WANT_READ)
        turbo_client_tcp_read(t->session, clock_now(), *got);
    return result == TUNNEL_IO ? turbo_io_failed(t, "reading from", error) : result;
}

/* What has come by UDP. 0: nothing that may be given. */
static size_t read_udp(struct turbo_io *t, void *buffer, size_t capacity)
{
    const uint8_t *data;
    size_t n = t->session == NULL ? 0 : turbo_client_peek(t->session, &data);
    if (n == 0)
        return 0;
    n = n < capacity ? n : capacity;
    memcpy(buffer, data, n);
    turbo_client_consume(t->session, n);
    return n;
}

static enum tunnel_result turbo_read(struct tunnel_io *io, void *buffer, size_t capacity,
                                     size_t *got)
{
    struct turbo_io *t = (struct turbo_io *)io;
    *got = t->over == TUNNEL_OK ? read_udp(t, buffer, capacity) : 0;
    if (*got > 0)
        return TUNNEL_OK; /* time does not pass while there is something to read */
    if (t->session != NULL || t->tcp.fd < 0) {
        turbo_time now = clock_now();
        turbo_io_arrive(t, now);
        turbo_io_act(t, now);
    }
    if (t->over != TUNNEL_OK)
        return t->over;
    *got = read_udp(t, buffer, capacity);
    if (*got > 0)
        return TUNNEL_OK;
    if (t->tcp.fd >= 0 && (t->session == NULL || turbo_io_is_open(t)))
        return read_tcp(t, buffer, capacity, got);
    return TUNNEL_WANT_READ;
}

/*
 * Where UDP has no part in it bytes wait for TCP in the app rather than here. And what ends the
 * stream is the proof that all before it has left.
 */
static bool takes(const struct turbo_io *t)
{
    bool waits = turbo_io_is_open(t) || turbo_client_state(t->session) == TURBO_CLIENT_DIALING ||
                 t->above == TUNNEL_BEING_SHUT_DOWN;
    return !waits || held(t) == 0;
}

static size_t push(struct turbo_io *t, turbo_time now, const void *data, size_t length)
{
    size_t room = turbo_client_room(t->session);
    if (!takes(t))
        return 0;
    length = length < room ? length : room;
    if (!turbo_io_is_open(t) || !t->begun)
        return turbo_client_push(t->session, now, data, length);
    /* No more than TCP takes, so that nothing is left here. */
    size_t taken = 0;
    enum tunnel_result result = descriptor_write(t->tcp, data, length, &taken);
    if (result == TUNNEL_IO)
        t->written = turbo_io_failed(t, "writing to", errno);
    if (taken > 0) {
        turbo_client_push(t->session, now, data, taken);
        turbo_client_tcp_consume(t->session, taken);
    }
    return taken;
}

static enum tunnel_result turbo_write(struct tunnel_io *io, const void *data, size_t length,
                                      size_t *taken)
{
    struct turbo_io *t = (struct turbo_io *)io;
    if (t->session == NULL && t->tcp.fd >= 0) {
        enum tunnel_result result = descriptor_write(t->tcp, data, length, taken);
        return result == TUNNEL_IO ? turbo_io_failed(t, "writing to", errno) : result;
    }
    turbo_time now = clock_now();
    turbo_io_arrive(t, now);
    if (turbo_io_is_open(t))
        turbo_io_flush(t);
    /* The app's answer, if it is one, counts before the time that it took. */
    if (t->over == TUNNEL_OK && t->written == TUNNEL_OK && t->session != NULL)
        *taken = push(t, now, data, length);
    turbo_io_act(t, now);
    if (*taken > 0)
        return TUNNEL_OK;
    if (t->over != TUNNEL_OK)
        return t->over;
    return t->written != TUNNEL_OK ? t->written : TUNNEL_WANT_WRITE;
}

static void turbo_close(struct tunnel_io *io, bool reset)
{
    struct turbo_io *t = (struct turbo_io *)io;
    turbo_time now = clock_now();
    if (t->session != NULL) {
        if (turbo_io_is_open(t))
            turbo_io_flush(t);
        reset |= held(t) > 0;
        if (!turbo_io_is_open(t) || reset)
            turbo_client_abort(t->session, now);
        client_datagrams_send(t->udp, t->session, now);
    }
    turbo_io_free_session(t, now);
    connector_free(t->connector);
    descriptor_close(t->tcp, reset);
    free(t);
}

static void turbo_set_state(struct tunnel_io *io, enum tunnel_state state)
{
    ((struct turbo_io *)io)->above = state;
}

static void watch_session(const struct turbo_io *t, enum tunnel_result want,
                          struct tunnel_watch *watch)
{
    const uint8_t *data;
    if (t->udp >= 0)
        watch->fds[watch->count++] = (struct pollfd){.fd = t->udp, .events = POLLIN};
    if (turbo_client_deadline(t->session) < watch->deadline_us)
        watch->deadline_us = turbo_client_deadline(t->session);
    bool can = want == TUNNEL_WANT_READ ? turbo_client_peek(t->session, &data) > 0
                                        : !turbo_io_is_open(t) && takes(t);
    if (can || t->over != TUNNEL_OK)
        watch->deadline_us = 0;
}

static void watch_tcp(const struct turbo_io *t, enum tunnel_result want, struct tunnel_watch *watch)
{
    struct pollfd tcp = {.fd = t->tcp.fd};
    bool more = turbo_io_is_open(t) && t->written == TUNNEL_OK && held(t) > 0;
    bool opening = t->session != NULL && !turbo_io_is_open(t);
    if (want == TUNNEL_WANT_READ || opening)
        tcp.events |= POLLIN;
    if ((want == TUNNEL_WANT_WRITE && !opening) || more)
        tcp.events |= POLLOUT;
    watch->fds[watch->count++] = tcp;
}

static void turbo_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    const struct turbo_io *t = (const struct turbo_io *)io;
    if (t->tcp.fd >= 0)
        watch_tcp(t, want, watch);
    else
        connector_watch(t->connector, clock_now(), watch);
    if (t->session != NULL)
        watch_session(t, want, watch);
}

static const char *turbo_error(const struct tunnel_io *io)
{
    const struct turbo_io *t = (const struct turbo_io *)io;
    return t->error[0] != '\0' ? t->error : connector_error(t->connector);
}

static const struct tunnel_io_ops ops = {
    .read = turbo_read,
    .write = turbo_write,
    .close = turbo_close,
    .set_state = turbo_set_state,
    .watch = turbo_watch,
    .error = turbo_error,
};

bool turbo_report(const struct tunnel_io *io, struct tunnel_io_report *report)
{
    const struct turbo_io *t = (const struct turbo_io *)io;
    if (io->ops != &ops)
        return false;
    struct turbo_client_report session =
        t->session != NULL ? turbo_client_report(t->session) : t->last;
    turbo_time resolved_at = connector_resolved_at(t->connector);
    report->resolved_us = resolved_at == 0 ? 0 : resolved_at - t->began;
    if (session.responded)
        report->first_udp_us = session.asked_at - t->began + session.first_response_us;
    if (t->up_at != 0) {
        report->tcp_us = t->up_at - t->began;
        address_text(&t->peer, report->peer);
    }
    report->outcome = turbo_outcome_text(session.outcome);
    report->reason = session.reason == TURBO_REASON_NONE ? NULL : turbo_reason_text(session.reason);
    return true;
}

struct tunnel_io *tunnel_io_turbo(const struct tunnel_io_dial *dial)
{
    struct turbo_io *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->base.ops = &ops;
    t->always = dial->always;
    t->dialect = dial->sandwich ? TURBO_DIALECT_SANDWICH : TURBO_DIALECT_PROFILE1;
    t->udp_port = dial->udp_port;
    t->memory = dial->memory;
    t->udp = t->tcp.fd = -1;
    t->began = clock_now();
    t->connector = connector_start(dial, false, t->began);
    if (t->connector == NULL) {
        free(t);
        return NULL;
    }
    return &t->base;
}
