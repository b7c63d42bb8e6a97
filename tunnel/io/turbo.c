/*
 * The client end over sockets (protocol §6): what proxy/sides/turbo_client does from an event loop,
 * here done by whoever reads, writes and waits.
 *
 *   arrive: what UDP and TCP have brought, and how far connecting is
 *   act:    time passes; what the session wants sent leaves; what is over is let go
 *
 * Once the session is settled it is freed, and a plain socket remains.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tunnel/io/connector.h"
#include "tunnel/io/descriptor.h"
#include "tunnel/io/recall.h"
#include "tunnel/io/report.h"
#include "tunnel/net/client_datagrams.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/crypto.h"
#include "tunnel/net/socket.h"
#include "turbo/client.h"

enum { ERROR_BYTES = 256 };

struct turbo_io {
    struct tunnel_io base;
    bool always;
    uint16_t udp_port;            /* 0: TCP's */
    struct tunnel_memory *memory; /* the user's; NULL: none */
    struct connector *connector;
    unsigned attempt;             /* of the connector's, that the session is for */
    struct address asked;         /* by UDP */
    struct turbo_client *session; /* NULL: no SYN has left yet, or TCP carries on alone */
    int udp;                      /* -1: none */
    struct descriptor tcp;        /* none: it is not up */
    struct address peer;
    bool begun;                 /* TCP has taken bytes */
    enum tunnel_state above;    /* the tunnel's */
    enum tunnel_result over;    /* OK: it is not */
    enum tunnel_result written; /* the same of writing; what TCP has brought may still be read */
    turbo_time began, up_at;
    struct turbo_client_report last; /* of the last session that is gone */
    char error[ERROR_BYTES];
};

/* ---- ends ---- */

static enum tunnel_result socket_failed(struct turbo_io *t, const char *doing, int error)
{
    char peer[ADDRESS_TEXT_BYTES];
    (void)snprintf(t->error, sizeof(t->error), "%s %s: %s", doing, address_text(&t->peer, peer),
                   strerror(error));
    return TUNNEL_IO;
}

/* The first word counts. */
static void end(struct turbo_io *t, enum tunnel_result result, const char *why)
{
    if (t->over != TUNNEL_OK)
        return;
    t->over = result;
    if (why != NULL)
        (void)snprintf(t->error, sizeof(t->error), "%s", why);
}

static void close_udp(struct turbo_io *t)
{
    socket_close(t->udp);
    t->udp = -1;
}

/* What it has taught is kept for later connections to the address that was asked. */
static void free_session(struct turbo_io *t, turbo_time now)
{
    if (t->session == NULL)
        return;
    t->last = turbo_client_report(t->session);
    recall_note(t->memory, &t->asked, now, &t->last);
    free(t->session);
    t->session = NULL;
    close_udp(t);
}

static bool is_open(const struct turbo_io *t)
{
    return t->session != NULL && turbo_client_state(t->session) == TURBO_CLIENT_OPEN;
}

static bool has_failed(const struct turbo_io *t)
{
    return t->session != NULL && turbo_client_state(t->session) == TURBO_CLIENT_FAILED;
}

/* Bytes that TCP has not taken yet. */
static size_t held(const struct turbo_io *t)
{
    const uint8_t *data;
    return is_open(t) ? turbo_client_tcp_peek(t->session, &data)
                      : turbo_client_unsent(t->session, &data);
}

/* ---- sessions ---- */

static struct turbo_client *new_session(struct turbo_io *t, turbo_time now)
{
    struct turbo_client_config config;
    void *memory = malloc(turbo_client_bytes());
    if (memory == NULL)
        return NULL;
    turbo_client_config_init(&config, crypto_sha256);
    config.always = t->always;
    recall_configure(t->memory, &t->asked, now, &config);
    return turbo_client_init(memory, &config, now);
}

/* The session for the SYN that has left on `syn`, with what the app has written so far. */
static void begin_session(struct turbo_io *t, int syn, const struct address *peer, turbo_time now)
{
    struct turbo_client *before = t->session;
    const uint8_t *data;
    size_t length;
    if (before != NULL && turbo_client_report(before).delivered) {
        end(t, TUNNEL_UNREACHED, "UDP has answered from an address that does not take TCP");
        return;
    }
    t->session = NULL;
    close_udp(t);
    if (before != NULL) {
        t->last = turbo_client_report(before);
        recall_note(t->memory, &t->asked, now, &t->last);
    }
    t->asked = *peer;
    if (t->udp_port != 0)
        address_set_port(&t->asked, t->udp_port);
    t->session = new_session(t, now);
    if (t->session == NULL) {
        end(t, TUNNEL_MEMORY, "no memory for a TurboTLS session");
    } else {
        if (turbo_client_uses_udp(t->session))
            t->udp = socket_connect_udp(&t->asked, syn, 0);
        if (before != NULL) {
            length = turbo_client_unsent(before, &data);
            turbo_client_push(t->session, now, data, length);
        }
    }
    free(before);
}

/* ---- what arrives ---- */

/* The server end that was asked in vain need not wait for us. */
static void tcp_failed(struct turbo_io *t, turbo_time now)
{
    if (t->session == NULL)
        return;
    turbo_client_tcp_failed(t->session, now);
    client_datagrams_send(t->udp, t->session, now);
}

static void tcp_is_up(struct turbo_io *t, turbo_time now)
{
    t->tcp = (struct descriptor){.fd = connector_take(t->connector, &t->peer), .is_socket = true};
    t->up_at = now;
    turbo_client_tcp_up(t->session, now);
}

static void connect_step(struct turbo_io *t, turbo_time now)
{
    struct address peer;
    int syn = -1;
    enum connector_state state = connector_step(t->connector, now);
    unsigned attempt = connector_attempt(t->connector, &syn, &peer);
    if (state != CONNECTOR_FAILED && attempt != t->attempt) {
        tcp_failed(t, now);
        begin_session(t, syn, &peer, now);
        t->attempt = attempt;
    }
    if (t->over != TUNNEL_OK)
        return;
    if (state == CONNECTOR_UP) {
        tcp_is_up(t, now);
    } else if (state == CONNECTOR_FAILED) {
        tcp_failed(t, now);
        end(t, connector_result(t->connector), NULL);
    }
}

/* Before the opening anything that TCP has to say matters (protocol §6.1). */
static void hear_tcp(struct turbo_io *t, turbo_time now)
{
    uint8_t byte;
    ssize_t n = recv(t->tcp.fd, &byte, sizeof(byte), MSG_PEEK);
    if (n >= 0) {
        turbo_client_tcp_readable(t->session, now);
    } else if (!socket_is_again(errno)) {
        end(t, socket_failed(t, "connected to", errno), NULL);
        turbo_client_tcp_failed(t->session, now);
    }
}

static void arrive(struct turbo_io *t, turbo_time now)
{
    if (t->session != NULL && t->udp >= 0) {
        bool knew = turbo_client_report(t->session).responded;
        client_datagrams_receive(t->udp, t->session, now);
        if (!knew && turbo_client_report(t->session).responded)
            recall_speaks(t->memory, &t->asked);
    }
    if (t->over == TUNNEL_OK && t->tcp.fd < 0)
        connect_step(t, now);
    if (t->session != NULL && t->tcp.fd >= 0 && !is_open(t) && !has_failed(t))
        hear_tcp(t, now);
}

/* ---- what is to be done ---- */

static void flush_tcp(struct turbo_io *t)
{
    const uint8_t *data;
    size_t length, taken = 0;
    while (t->written == TUNNEL_OK && (length = turbo_client_tcp_peek(t->session, &data)) > 0) {
        enum tunnel_result result = descriptor_write(t->tcp, data, length, &taken);
        if (result == TUNNEL_IO)
            t->written = socket_failed(t, "writing to", errno);
        if (result != TUNNEL_OK)
            return;
        turbo_client_tcp_consume(t->session, taken);
        t->begun = true;
    }
}

static void act(struct turbo_io *t, turbo_time now)
{
    if (t->session == NULL)
        return;
    turbo_client_tick(t->session, now);
    if (turbo_client_dial_again(t->session) && t->tcp.fd < 0)
        connector_again(t->connector, now);
    client_datagrams_send(t->udp, t->session, now);
    if (is_open(t))
        flush_tcp(t);
    if (has_failed(t))
        end(t, TUNNEL_IO,
            turbo_client_report(t->session).delivered
                ? "TCP has answered in its own right though UDP had: they reach different servers"
                : "the connection was given up");
    if (!turbo_client_uses_udp(t->session))
        close_udp(t);
    if (turbo_client_settled(t->session))
        free_session(t, now);
}

/* ---- what the tunnel sees ---- */

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
    return result == TUNNEL_IO ? socket_failed(t, "reading from", error) : result;
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
        arrive(t, now);
        act(t, now);
    }
    if (t->over != TUNNEL_OK)
        return t->over;
    *got = read_udp(t, buffer, capacity);
    if (*got > 0)
        return TUNNEL_OK;
    if (t->tcp.fd >= 0 && (t->session == NULL || is_open(t)))
        return read_tcp(t, buffer, capacity, got);
    return TUNNEL_WANT_READ;
}

/*
 * Where UDP has no part in it bytes wait for TCP in the app rather than here. And what ends the
 * stream is the proof that all before it has left.
 */
static bool takes(const struct turbo_io *t)
{
    bool waits = is_open(t) || turbo_client_state(t->session) == TURBO_CLIENT_DIALING ||
                 t->above == TUNNEL_BEING_SHUT_DOWN;
    return !waits || held(t) == 0;
}

static size_t push(struct turbo_io *t, turbo_time now, const void *data, size_t length)
{
    size_t room = turbo_client_room(t->session);
    if (!takes(t))
        return 0;
    length = length < room ? length : room;
    if (!is_open(t) || !t->begun)
        return turbo_client_push(t->session, now, data, length);
    /* No more than TCP takes, so that nothing is left here. */
    size_t taken = 0;
    enum tunnel_result result = descriptor_write(t->tcp, data, length, &taken);
    if (result == TUNNEL_IO)
        t->written = socket_failed(t, "writing to", errno);
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
        return result == TUNNEL_IO ? socket_failed(t, "writing to", errno) : result;
    }
    turbo_time now = clock_now();
    arrive(t, now);
    if (is_open(t))
        flush_tcp(t);
    /* The app's answer, if it is one, counts before the time that it took. */
    if (t->over == TUNNEL_OK && t->written == TUNNEL_OK && t->session != NULL)
        *taken = push(t, now, data, length);
    act(t, now);
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
        if (is_open(t))
            flush_tcp(t);
        reset |= held(t) > 0;
        if (!is_open(t) || reset)
            turbo_client_abort(t->session, now);
        client_datagrams_send(t->udp, t->session, now);
    }
    free_session(t, now);
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
                                        : !is_open(t) && takes(t);
    if (can || t->over != TUNNEL_OK)
        watch->deadline_us = 0;
}

static void watch_tcp(const struct turbo_io *t, enum tunnel_result want, struct tunnel_watch *watch)
{
    struct pollfd tcp = {.fd = t->tcp.fd};
    bool more = is_open(t) && t->written == TUNNEL_OK && held(t) > 0;
    bool opening = t->session != NULL && !is_open(t);
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
