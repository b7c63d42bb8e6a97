#include "proxy/listener.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/arrival.h"
#include "proxy/connection.h"
#include "proxy/generation.h"
#include "proxy/net/inherited.h"
#include "proxy/relay.h"
#include "proxy/route.h"
#include "proxy/sides/plain.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

enum {
    LISTENER_TAG = 0x4c697374, /* "List" */
    ACCEPTS_A_TURN = 64,
    PORT_ATTEMPTS = 32, /* to find a port that is free for TCP and UDP */
};

struct listener {
    uint32_t tag;
    unsigned references;
    struct worker *worker;
    struct generation *generation;          /* held */
    const struct config_listener *settings; /* in it */
    struct config_listener bound;           /* its address, with the ports the kernel chose */
    char text[CONFIG_LISTEN_TEXT_BYTES];
    struct udp_endpoint *udp;
    size_t connections;
    bool leaving;
    bool has_heir; /* which waits for the port */
    bool waits;    /* is such an heir */
    int fd;        /* -1: closed */
    ev_io io;
};

/* ---- accepting ---- */

/* Nothing comes of it. */
static void reset(struct connection *c, int fd, enum turbo_reason reason)
{
    if (reason != TURBO_REASON_NONE)
        access_fail(&c->access, reason);
    connection_end(c);
    socket_reset(fd);
}

static void turn_away(struct listener *l, int fd, const struct address *client,
                      enum turbo_reason reason)
{
    struct connection c;
    connection_accepted(&c, l, client, fd);
    reset(&c, fd, reason);
}

/* To a plain upstream nobody looks inside; a turbo upstream's side tells the outcome itself. */
static void start_plain(struct listener *l, int fd, const struct address *client)
{
    struct connection c;
    connection_accepted(&c, l, client, fd);
    enum turbo_reason refused = connection_place(&c, NULL);
    if (refused != TURBO_REASON_NONE) {
        reset(&c, fd, refused);
        return;
    }
    if (c.upstream->settings->kind == ENDPOINT_TCP || c.route->opaque) {
        c.access.listener_outcome = TURBO_OUTCOME_OPAQUE;
        c.access.listener_reason = TURBO_REASON_PLAIN_UPSTREAM;
    }
    struct side *near = plain_accepted(l->worker, fd, NULL, 0);
    if (near == NULL)
        reset(&c, fd, TURBO_REASON_NONE);
    else
        relay_start(near, connection_open(&c, NULL, NULL), &c);
}

/* Must the first bytes be looked at before it is known where it goes? */
static bool must_look(const struct listener *l)
{
    const struct config_listener *s = l->settings;
    return l->udp != NULL || s->proxy_from.count > 0 || s->request != CONFIG_REQUEST_NONE ||
           s->starttls != STARTTLS_NONE || route_needs_hello(s);
}

static void look(struct listener *l, int fd, const struct address *client, bool in_front)
{
    if (l->udp != NULL && !in_front)
        udp_endpoint_accepted(l->udp, client);
    arrival_start(l, fd, client);
}

static void accepted(struct listener *l, int fd, const struct address *client)
{
    bool in_front = networks_hold(&l->settings->proxy_from, client); /* who says whom it is for */
    if (listener_is_full(l) &&
        !listener_is_pending(l)) /* a session joined is no more than before */
        turn_away(l, fd, client, TURBO_REASON_LISTENER_FULL);
    else if (!in_front && !route_allows(l->settings, client))
        turn_away(l, fd, client, TURBO_REASON_DENIED);
    else if (must_look(l))
        look(l, fd, client, in_front);
    else
        start_plain(l, fd, client);
}

void listener_take(struct listener *l, int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    struct address client;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
        socket_close(fd); /* it has been reset meanwhile */
        return;
    }
    address_from_sockaddr(&client, (struct sockaddr *)&peer, length);
    accepted(l, fd, &client);
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
        accepted(l, fd, &client);
    }
}

void listener_pause(struct listener *l)
{
    ev_io_stop(l->worker->loop, &l->io);
}

void listener_resume(struct listener *l)
{
    if (l->fd < 0 || l->waits)
        return;
    ev_io_start(l->worker->loop, &l->io);
    if (l->udp != NULL)
        udp_endpoint_listen(l->udp);
}

bool listener_is_open(const struct listener *l)
{
    return l->fd >= 0;
}

bool listener_is_leaving(const struct listener *l)
{
    return l->leaving && !l->has_heir;
}

void listener_await(struct listener *l, struct listener *predecessor)
{
    predecessor->has_heir = true;
    l->waits = true;
}

bool listener_is_waiting(const struct listener *l)
{
    return l->waits;
}

void listener_inherit(struct listener *l)
{
    l->waits = false;
}

void listener_drain(struct listener *l, bool even_if_pending)
{
    if (l->fd < 0)
        return;
    l->leaving = true;
    if (l->udp != NULL) {
        struct turbo_endpoint *turbo = udp_endpoint_turbo(l->udp);
        turbo_endpoint_drain(turbo);
        if (listener_is_pending(l) && !even_if_pending)
            return;
        turbo_endpoint_abandon(turbo, l->worker->now);
        udp_endpoint_kick(l->udp);
    }
    ev_io_stop(l->worker->loop, &l->io);
    socket_close(l->fd);
    l->fd = -1;
    l->worker->has_closed = true;
}

void listener_close(struct listener *l, bool even_if_pending)
{
    listener_drain(l, even_if_pending);
    if (l->fd < 0 && l->udp != NULL)
        udp_endpoint_close(l->udp);
}

size_t listener_sockets(const struct listener *l, int fds[static LISTENER_SOCKETS])
{
    size_t count = 0;
    if (l->fd >= 0)
        fds[count++] = l->fd;
    if (l->udp != NULL && udp_endpoint_fd(l->udp) >= 0)
        fds[count++] = udp_endpoint_fd(l->udp);
    return count;
}

/* ---- opening ---- */

bool listener_clashes(const struct listener *l, const struct listener *other)
{
    return config_clash(&l->bound, &other->bound) != CONFIG_CLASH_NONE;
}

static bool is_ours(const struct listener *l)
{
    for (size_t i = 0; i < l->worker->listener_count; i++)
        if (listener_clashes(l, l->worker->listeners[i]))
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
        if (!is_ours(l))
            return "is another server running on this port?";
        return l->generation == l->worker->generation
                   ? "another --listen of this proxy has the port"
                   : "this proxy listens there now: drop that in one reload, add this in the next";
    case EACCES: return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EPERM:
        return l->settings->request == CONFIG_REQUEST_TPROXY
                   ? "TPROXY needs CAP_NET_RAW: start as root, or with "
                     "AmbientCapabilities=CAP_NET_RAW; a reload needs it kept, by a TPROXY "
                     "listener or process.mark at the start"
                   : NULL;
    case EADDRNOTAVAIL: return "the address is not one of this host's";
    case EINVAL:
        return lacks_interface(&l->bound.address)
                   ? "a link-local address needs its interface: [fe80::1%eth0]"
                   : NULL;
    default: return NULL;
    }
}

static struct listener *cannot_listen(struct listener *l, const char *what, int error)
{
    char text[CONFIG_LISTEN_TEXT_BYTES];
    log_event(l->worker->log, LOG_LEVEL_ERROR, what,
              LOG_TEXT("listener", config_listen_text(&l->bound, text)), LOG_ERRNO(error),
              LOG_TEXT("hint", advise(l, error)));
    listener_release(l);
    return NULL;
}

static int open_udp(struct listener *l, struct inherited *inherited)
{
    struct config_listener *b = &l->bound;
    struct address udp = b->address;
    if (!b->same_udp_port)
        address_set_port(&udp, b->udp_port);
    int fd = inherited_or_new(inherited, SOCK_DGRAM, &udp, b->dual_stack);
    b->udp_port = address_port(&udp);
    return fd;
}

static bool open_tcp(struct listener *l, struct inherited *inherited)
{
    struct config_listener *b = &l->bound;
    l->fd = inherited_or_new(inherited, SOCK_STREAM, &b->address, b->dual_stack);
    if (l->fd < 0 || b->request != CONFIG_REQUEST_TPROXY ||
        socket_be_transparent(l->fd, address_family(&b->address)))
        return l->fd >= 0;
    int error = errno;
    socket_close(l->fd);
    l->fd = -1;
    errno = error;
    return false;
}

/* One try to bind the TCP port and, for turbo, the UDP port; -1 and errno, or the UDP socket. */
static int try_ports(struct listener *l, struct inherited *inherited, const char **what)
{
    l->bound = *l->settings;
    *what = "cannot listen on the TCP port";
    if (!open_tcp(l, inherited) || l->settings->kind != ENDPOINT_TURBO)
        return -1;
    *what = "cannot listen on the UDP port";
    return open_udp(l, inherited);
}

static bool may_try_again(const struct config_listener *settings)
{
    return errno == EADDRINUSE && settings->same_udp_port && address_port(&settings->address) == 0;
}

static struct listener *open_sockets(struct listener *l, struct inherited *inherited)
{
    const char *what = "";
    bool turbo = l->settings->kind == ENDPOINT_TURBO;
    int udp = -1;
    for (int i = 0; i < PORT_ATTEMPTS; i++) {
        udp = try_ports(l, inherited, &what);
        if (udp >= 0 || l->fd < 0 || !turbo || !may_try_again(l->settings))
            break;
        socket_close(l->fd);
        l->fd = -1;
    }
    if (l->fd < 0 || (turbo && udp < 0))
        return cannot_listen(l, what, errno);
    l->bound.same_udp_port = false;
    config_listen_text(&l->bound, l->text);
    if (udp >= 0) {
        l->udp = udp_endpoint_create(l, udp);
        if (l->udp == NULL) {
            int error = errno;
            socket_close(udp);
            return cannot_listen(l, "cannot set up UDP", error);
        }
    }
    return l;
}

struct listener *listener_open(struct worker *worker, struct generation *generation, size_t index,
                               struct inherited *inherited)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        log_event(worker->log, LOG_LEVEL_ERROR, "cannot listen", LOG_ERRNO(ENOMEM));
        return NULL;
    }
    l->tag = LISTENER_TAG;
    l->references = 1;
    l->worker = worker;
    l->fd = -1;
    listener_adopt(l, generation, index);
    ev_init(&l->io, on_readable);
    l->io.data = l;
    if (open_sockets(l, inherited) == NULL)
        return NULL;
    ev_io_set(&l->io, l->fd, EV_READ);
    return l;
}

void listener_adopt(struct listener *l, struct generation *generation, size_t index)
{
    struct generation *before = l->generation;
    l->generation = generation_hold(generation);
    l->settings = &generation->config->listeners[index];
    generation_release(before);
    if (l->udp != NULL)
        udp_endpoint_reconfigure(l->udp);
}

struct listener *listener_hold(struct listener *l)
{
    l->references++;
    return l;
}

void listener_release(struct listener *l)
{
    if (l == NULL || --l->references > 0)
        return;
    ev_io_stop(l->worker->loop, &l->io);
    udp_endpoint_destroy(l->udp);
    socket_close(l->fd);
    generation_release(l->generation);
    l->tag = 0;
    free(l);
}

bool listener_is_pending(const struct listener *l)
{
    return l->udp != NULL && turbo_endpoint_is_pending(udp_endpoint_turbo(l->udp));
}

void listener_shed(struct listener *l)
{
    if (l->fd >= 0 || l->udp == NULL || turbo_endpoint_sessions(udp_endpoint_turbo(l->udp)) > 0)
        return;
    udp_endpoint_destroy(l->udp);
    l->udp = NULL;
}

bool listener_is_unused(const struct listener *l)
{
    return l->fd < 0 && l->references == 1;
}

bool listener_bequeath(const struct listener *l, struct inherited *heirs)
{
    int fds[LISTENER_SOCKETS];
    size_t count = listener_sockets(l, fds);
    for (size_t i = 0; i < count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0 || inherited_add(heirs, copy) != NULL) {
            socket_close(copy);
            return false;
        }
    }
    return true;
}

/* ---- what it is ---- */

struct worker *listener_worker(const struct listener *l)
{
    return l->worker;
}

struct generation *listener_generation(const struct listener *l)
{
    return l->generation;
}

const struct config_listener *listener_settings(const struct listener *l)
{
    return l->settings;
}

const char *listener_text(const struct listener *l)
{
    return l->text;
}

const struct address *listener_address(const struct listener *l)
{
    return &l->bound.address;
}

struct udp_endpoint *listener_udp(const struct listener *l)
{
    return l->udp;
}

size_t listener_connections(const struct listener *l)
{
    return l->connections;
}

bool listener_is_full(const struct listener *l)
{
    return l->settings->connections_max > 0 && l->connections >= l->settings->connections_max;
}

void listener_connection_began(struct listener *l)
{
    l->connections++;
}

void listener_connection_ended(struct listener *l)
{
    l->connections--;
}
