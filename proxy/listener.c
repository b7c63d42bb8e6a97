#include "proxy/listener.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/arrival.h"
#include "proxy/net/socket.h"
#include "proxy/relay.h"
#include "proxy/sides/plain.h"
#include "proxy/worker.h"

enum {
    LISTENER_TAG = 0x4c697374, /* "List" */
    ACCEPTS_A_TURN = 64,
    PORT_ATTEMPTS = 32, /* to find a port that is free for TCP and UDP */
};

struct listener {
    uint32_t tag;
    struct worker *worker;
    struct listen_option option; /* with the ports the kernel chose */
    char text[OPTIONS_LISTEN_TEXT_BYTES];
    struct udp_endpoint *udp;
    int fd; /* -1: drained */
    ev_io io;
};

/* ---- accepting ---- */

/* To a plain upstream nobody looks inside; a turbo upstream's side tells the outcome itself. */
static void start_plain(struct listener *l, int fd, const struct address *client)
{
    struct worker *w = l->worker;
    struct side *near = plain_accepted(w, fd, NULL, 0);
    if (near == NULL) {
        socket_reset(fd);
        return;
    }
    struct access access;
    access_init(&access, client, l->text, w->upstream.text, w->now);
    if (w->upstream.option.kind == ENDPOINT_TCP) {
        access.listener_outcome = TURBO_OUTCOME_OPAQUE;
        access.listener_reason = TURBO_REASON_PLAIN_UPSTREAM;
    }
    relay_start(w, near, NULL, &access);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct listener *l = io->data;
    assert(l->tag == LISTENER_TAG);
    for (int i = 0; i < ACCEPTS_A_TURN && l->fd >= 0 && l->worker->accepting; i++) {
        struct address client;
        int fd = socket_accept(l->fd, &client);
        if (fd < 0 && socket_exhausted(errno))
            worker_exhausted(l->worker, errno);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            return;
        if (l->udp != NULL)
            arrival_start(l->worker, l, fd, &client);
        else
            start_plain(l, fd, &client);
    }
}

void listener_pause(struct listener *l)
{
    ev_io_stop(l->worker->loop, &l->io);
}

void listener_resume(struct listener *l)
{
    if (l->fd >= 0)
        ev_io_start(l->worker->loop, &l->io);
}

bool listener_is_open(const struct listener *l)
{
    return l->fd >= 0;
}

void listener_drain(struct listener *l, bool even_if_pending)
{
    if (l->fd < 0)
        return;
    if (l->udp != NULL) {
        struct turbo_endpoint *turbo = udp_endpoint_turbo(l->udp);
        turbo_endpoint_drain(turbo);
        if (turbo_endpoint_pending(turbo) > 0 && !even_if_pending)
            return;
        turbo_endpoint_abandon(turbo, l->worker->now);
        udp_endpoint_kick(l->udp);
    }
    ev_io_stop(l->worker->loop, &l->io);
    socket_close(l->fd);
    l->fd = -1;
}

/* ---- opening ---- */

static bool is_ours(const struct listener *l)
{
    for (size_t i = 0; i < l->worker->listener_count; i++)
        if (options_clash(&l->option, &l->worker->listeners[i]->option) != OPTIONS_CLASH_NONE)
            return true;
    return false;
}

static bool lacks_interface(const struct address *address)
{
    return address_family(address) == AF_INET6 && address->v6.sin6_scope_id == 0 &&
           IN6_IS_ADDR_LINKLOCAL(&address->v6.sin6_addr);
}

static const char *advise(const struct listener *l, int error)
{
    switch (error) {
    case EADDRINUSE:
        return is_ours(l) ? "another --listen of this proxy has the port"
                          : "is another server running on this port?";
    case EACCES: return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL: return "the address is not one of this host's";
    case EINVAL:
        return lacks_interface(&l->option.address)
                   ? "a link-local address needs its interface: [fe80::1%eth0]"
                   : NULL;
    default: return NULL;
    }
}

static struct listener *cannot_listen(struct listener *l, const char *what, int error)
{
    char text[OPTIONS_LISTEN_TEXT_BYTES];
    log_event(l->worker->log, LOG_LEVEL_ERROR, what,
              LOG_TEXT("listener", options_listen_text(&l->option, text)), LOG_ERRNO(error),
              LOG_TEXT("hint", advise(l, error)));
    listener_close(l);
    return NULL;
}

/* One try to bind the TCP port and, for turbo, the UDP port; -1 and errno, or the UDP socket. */
static int try_ports(struct listener *l, const struct listen_option *option, const char **what)
{
    l->option = *option;
    *what = "cannot listen on the TCP port";
    l->fd = option->dual_stack ? socket_listen_tcp_dual(&l->option.address)
                               : socket_listen_tcp(&l->option.address);
    if (l->fd < 0 || option->kind != ENDPOINT_TURBO)
        return -1;
    *what = "cannot listen on the UDP port";
    struct address udp = l->option.address;
    if (!option->same_udp_port)
        address_set_port(&udp, option->udp_port);
    int fd = option->dual_stack ? socket_listen_udp_dual(&udp) : socket_listen_udp(&udp);
    if (fd >= 0)
        l->option.udp_port = address_port(&udp);
    return fd;
}

static bool may_try_again(const struct listen_option *option)
{
    return errno == EADDRINUSE && option->same_udp_port && address_port(&option->address) == 0;
}

static struct listener *open_sockets(struct listener *l, const struct listen_option *option)
{
    const char *what = "";
    int udp = -1;
    for (int i = 0; i < PORT_ATTEMPTS; i++) {
        udp = try_ports(l, option, &what);
        if (udp >= 0 || l->fd < 0 || option->kind != ENDPOINT_TURBO || !may_try_again(option))
            break;
        socket_close(l->fd);
        l->fd = -1;
    }
    if (l->fd < 0 || (option->kind == ENDPOINT_TURBO && udp < 0))
        return cannot_listen(l, what, errno);
    l->option.same_udp_port = false;
    options_listen_text(&l->option, l->text);
    if (udp >= 0) {
        l->udp = udp_endpoint_create(l->worker, udp, &l->option.address, l->text);
        if (l->udp == NULL) {
            int error = errno;
            socket_close(udp);
            return cannot_listen(l, "cannot set up UDP", error);
        }
    }
    return l;
}

struct listener *listener_open(struct worker *worker, const struct listen_option *option)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        log_event(worker->log, LOG_LEVEL_ERROR, "cannot listen", LOG_ERRNO(ENOMEM));
        return NULL;
    }
    l->tag = LISTENER_TAG;
    l->worker = worker;
    l->fd = -1;
    ev_init(&l->io, on_readable);
    l->io.data = l;
    if (open_sockets(l, option) == NULL)
        return NULL;
    ev_io_set(&l->io, l->fd, EV_READ);
    ev_io_start(worker->loop, &l->io);
    return l;
}

void listener_close(struct listener *l)
{
    ev_io_stop(l->worker->loop, &l->io);
    udp_endpoint_destroy(l->udp);
    socket_close(l->fd);
    l->tag = 0;
    free(l);
}

const char *listener_text(const struct listener *l)
{
    return l->text;
}

struct udp_endpoint *listener_udp(const struct listener *l)
{
    return l->udp;
}
