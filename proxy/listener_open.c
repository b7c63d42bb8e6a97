#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/generation.h"
#include "proxy/listener_parts.h"
#include "proxy/net/inherited.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"
#include "turbo/opening.h"

enum { PORT_ATTEMPTS = 32 /* to find a port that is free for TCP and UDP */ };

/* ---- why it cannot ---- */

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

static bool cannot_listen(const struct listener *l, const char *what, int error)
{
    char text[CONFIG_LISTEN_TEXT_BYTES];
    log_event(l->worker->log, LOG_LEVEL_ERROR, what,
              LOG_TEXT("listener", config_listen_text(&l->bound, text)), LOG_ERRNO(error),
              LOG_TEXT("hint", advise(l, error)));
    return false;
}

/* ---- the first worker's, which finds the ports ---- */

/* Several at a port are steered and shared by their number: who opens the first decides. */
static enum socket_share first_share(const struct listener *l)
{
    return l->worker->mates->count > 1 ? SOCKET_FIRST : SOCKET_ALONE;
}

static bool open_tcp(struct listener *l, struct inherited *inherited)
{
    struct config_listener *b = &l->bound;
    l->group->tcp_inherited =
        inherited_count(inherited, SOCK_STREAM, &b->address, b->dual_stack) > 0;
    l->fd = inherited_or_new(inherited, SOCK_STREAM, &b->address, b->dual_stack, first_share(l));
    return l->fd >= 0;
}

/* -1 with errno. */
static int open_udp(struct listener *l, struct inherited *inherited)
{
    struct config_listener *b = &l->bound;
    struct address udp = b->address;
    if (!b->same_udp_port)
        address_set_port(&udp, b->udp_port);
    size_t there = inherited_count(inherited, SOCK_DGRAM, &udp, b->dual_stack);
    unsigned workers = l->worker->mates->count;
    l->group->udp_inherited = there > 0;
    l->group->owners = there > 0 && there < workers ? (unsigned)there : workers;
    int fd = inherited_or_new(inherited, SOCK_DGRAM, &udp, b->dual_stack, first_share(l));
    b->udp_port = address_port(&udp);
    return fd;
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

static int open_first(struct listener *l, struct inherited *inherited, const char **what)
{
    int udp = -1;
    for (int i = 0; i < PORT_ATTEMPTS; i++) {
        udp = try_ports(l, inherited, what);
        if (udp >= 0 || l->fd < 0 || l->settings->kind != ENDPOINT_TURBO ||
            !may_try_again(l->settings))
            break;
        socket_close(l->fd);
        l->fd = -1;
    }
    l->bound.same_udp_port = false;
    return udp;
}

/* ---- the others', at the same ports ---- */

/* Where sockets were inherited there are no more than those: what is left over shares the first. */
static int open_another_tcp(const struct listener *l, struct inherited *inherited,
                            const struct listener *elder)
{
    struct address address = l->bound.address;
    if (!l->group->tcp_inherited)
        return socket_listen(SOCK_STREAM, &address, l->bound.dual_stack, SOCKET_ANOTHER);
    int fd = inherited_take(inherited, SOCK_STREAM, &address, l->bound.dual_stack);
    return fd >= 0 ? fd : fcntl(elder->fd, F_DUPFD_CLOEXEC, 0);
}

static int open_another_udp(const struct listener *l, struct inherited *inherited)
{
    struct address address = l->bound.address;
    address_set_port(&address, l->bound.udp_port);
    return l->group->udp_inherited
               ? inherited_take(inherited, SOCK_DGRAM, &address, l->bound.dual_stack)
               : socket_listen(SOCK_DGRAM, &address, l->bound.dual_stack, SOCKET_ANOTHER);
}

static bool has_udp(const struct listener *l)
{
    return l->settings->kind == ENDPOINT_TURBO && l->worker->index < l->group->owners;
}

static int open_another(struct listener *l, struct inherited *inherited,
                        const struct listener *elder, const char **what)
{
    l->bound = elder->bound;
    *what = "cannot listen on the TCP port once more";
    l->fd = open_another_tcp(l, inherited, elder);
    if (l->fd < 0 || !has_udp(l))
        return -1;
    *what = "cannot listen on the UDP port once more";
    return open_another_udp(l, inherited);
}

/* ---- both ---- */

/* Once all of them are bound, in their order. */
static bool steer(const struct listener *l, int udp, const char **what)
{
    if (l->worker->index + 1 != l->group->owners || l->group->owners == 1)
        return true;
    *what = "cannot divide the UDP port among the workers";
    return socket_steer(udp, TURBO_SHARE_BYTE, TURBO_HEADER_BYTES, l->group->owners);
}

static bool be_transparent(const struct listener *l)
{
    return l->settings->request != CONFIG_REQUEST_TPROXY ||
           socket_be_transparent(l->fd, address_family(&l->bound.address));
}

bool listener_open_sockets(struct listener *l, struct inherited *inherited,
                           const struct listener *elder)
{
    const char *what = "";
    bool turbo = l->settings->kind == ENDPOINT_TURBO;
    int udp =
        elder == NULL ? open_first(l, inherited, &what) : open_another(l, inherited, elder, &what);
    bool opened = l->fd >= 0 && be_transparent(l) && (udp >= 0 || !has_udp(l)) &&
                  (udp < 0 || steer(l, udp, &what));
    if (opened && turbo) {
        what = "cannot set up UDP";
        l->udp = udp_endpoint_create(l, udp);
        opened = l->udp != NULL;
    }
    if (!opened) {
        int error = errno;
        socket_close(udp);
        return cannot_listen(l, what, error);
    }
    config_listen_text(&l->bound, l->text);
    return true;
}
