#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/io/connector.h"
#include "tunnel/io/descriptor.h"
#include "tunnel/io/report.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/socket.h"

enum { ERROR_BYTES = 256 };

struct tcp_io {
    struct tunnel_io base;
    struct connector *connector; /* NULL once TCP is up */
    struct descriptor tcp;
    struct address peer;
    turbo_time began, resolved_at, up_at;
    char error[ERROR_BYTES];
};

/* OK: TCP is up. `want`: it is not yet. Else why it never will be. */
static enum tunnel_result connect_first(struct tcp_io *t, enum tunnel_result want)
{
    if (t->connector == NULL)
        return TUNNEL_OK;
    turbo_time now = clock_now();
    switch (connector_step(t->connector, now)) {
    case CONNECTOR_RESOLVING:
    case CONNECTOR_CONNECTING: return want;
    case CONNECTOR_FAILED: return connector_result(t->connector);
    case CONNECTOR_UP: break;
    }
    t->tcp = (struct descriptor){.fd = connector_take(t->connector, &t->peer), .is_socket = true};
    t->resolved_at = connector_resolved_at(t->connector);
    t->up_at = now;
    connector_free(t->connector);
    t->connector = NULL;
    return TUNNEL_OK;
}

static enum tunnel_result noted(struct tcp_io *t, const char *doing, enum tunnel_result result)
{
    char peer[ADDRESS_TEXT_BYTES];
    if (result == TUNNEL_IO)
        (void)snprintf(t->error, sizeof(t->error), "%s %s: %s", doing, address_text(&t->peer, peer),
                       strerror(errno));
    return result;
}

static enum tunnel_result tcp_read(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    struct tcp_io *t = (struct tcp_io *)io;
    enum tunnel_result result = connect_first(t, TUNNEL_WANT_READ);
    if (result != TUNNEL_OK)
        return result;
    return noted(t, "reading from", descriptor_read(t->tcp, buffer, capacity, got));
}

static enum tunnel_result tcp_write(struct tunnel_io *io, const void *data, size_t length,
                                    size_t *taken)
{
    struct tcp_io *t = (struct tcp_io *)io;
    enum tunnel_result result = connect_first(t, TUNNEL_WANT_WRITE);
    if (result != TUNNEL_OK)
        return result;
    return noted(t, "writing to", descriptor_write(t->tcp, data, length, taken));
}

static void tcp_close(struct tunnel_io *io, bool reset)
{
    struct tcp_io *t = (struct tcp_io *)io;
    connector_free(t->connector);
    descriptor_close(t->tcp, reset);
    free(t);
}

static void tcp_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    const struct tcp_io *t = (const struct tcp_io *)io;
    if (t->connector != NULL)
        connector_watch(t->connector, clock_now(), watch);
    else
        descriptor_watch(t->tcp, want, watch);
}

static const char *tcp_error(const struct tunnel_io *io)
{
    const struct tcp_io *t = (const struct tcp_io *)io;
    return t->connector != NULL ? connector_error(t->connector) : t->error;
}

static const struct tunnel_io_ops ops = {
    .read = tcp_read,
    .write = tcp_write,
    .close = tcp_close,
    .watch = tcp_watch,
    .error = tcp_error,
};

bool tcp_report(const struct tunnel_io *io, struct tunnel_io_report *report)
{
    const struct tcp_io *t = (const struct tcp_io *)io;
    if (io->ops != &ops)
        return false;
    turbo_time resolved_at =
        t->connector != NULL ? connector_resolved_at(t->connector) : t->resolved_at;
    report->resolved_us = resolved_at == 0 ? 0 : resolved_at - t->began;
    report->tcp_us = t->up_at == 0 ? 0 : t->up_at - t->began;
    if (t->up_at != 0)
        address_text(&t->peer, report->peer);
    report->outcome = "tcp";
    return true;
}

struct tunnel_io *tunnel_io_tcp(const struct tunnel_io_dial *dial)
{
    struct tcp_io *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->base.ops = &ops;
    t->tcp.fd = -1;
    t->began = clock_now();
    t->connector = connector_start(dial, true, t->began);
    if (t->connector == NULL) {
        free(t);
        return NULL;
    }
    return &t->base;
}
