#include "tunnel/io/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/failure.h"
#include "tunnel/io/accepted.h"
#include "tunnel/io/wait.h"
#include "tunnel/net/socket.h"

enum { PORTS_TRIED = 16 };

struct tunnel_listener {
    uint16_t port;
    int fd;                       /* TCP's, of those without TurboTLS; else -1 */
    struct turbo_listener *turbo; /* NULL: TCP only */
};

static void cannot(struct tunnel_error *error, const struct tunnel_listen *settings,
                   const char *protocol, uint16_t port)
{
    const char *host = settings->host == NULL ? "*" : settings->host;
    const char *advice = errno == EADDRINUSE      ? "; choose another port, or end who has it"
                         : errno == EACCES        ? "; ports below 1024 take CAP_NET_BIND_SERVICE"
                         : errno == EADDRNOTAVAIL ? "; this host has no such address"
                                                  : "";
    failure(error, TUNNEL_IO, "cannot listen on %s port %u of %s: %s%s", protocol, port, host,
            strerror(errno), advice);
}

/* `address` is settings' host with `port`. False: `error`. */
static bool address_of(const struct tunnel_listen *settings, uint16_t port, struct address *address,
                       struct tunnel_error *error)
{
    if (settings->host == NULL) {
        address_wildcard(address, AF_INET6, port);
        return true;
    }
    if (address_from_literal(address, settings->host, port))
        return true;
    failure(error, TUNNEL_CONFIGURATION,
            "%s is no address to listen on; give an IPv4 or IPv6 address of this host, or none",
            settings->host);
    return false;
}

static int listen_tcp(const struct tunnel_listen *settings, struct address *address,
                      struct tunnel_error *error)
{
    if (!address_of(settings, settings->port, address, error))
        return -1;
    int fd = socket_listen(SOCK_STREAM, address, settings->host == NULL, SOCKET_ALONE);
    if (fd < 0)
        cannot(error, settings, "TCP", settings->port);
    return fd;
}

static int listen_udp(const struct tunnel_listen *settings, struct address *address, uint16_t port,
                      struct tunnel_error *error)
{
    if (!address_of(settings, port, address, error))
        return -1;
    int fd = socket_listen(SOCK_DGRAM, address, settings->host == NULL, SOCKET_ALONE);
    if (fd < 0)
        cannot(error, settings, "UDP", port);
    return fd;
}

static struct tunnel_listener *create(uint16_t port, struct tunnel_error *error)
{
    struct tunnel_listener *l = calloc(1, sizeof(*l));
    if (l == NULL)
        failure(error, TUNNEL_MEMORY, "out of memory");
    else
        *l = (struct tunnel_listener){.port = port, .fd = -1};
    return l;
}

struct tunnel_listener *tunnel_listen_tcp(const struct tunnel_listen *settings,
                                          struct tunnel_error *error)
{
    struct address address;
    int fd = listen_tcp(settings, &address, error);
    struct tunnel_listener *l = fd < 0 ? NULL : create(address_port(&address), error);
    if (l == NULL)
        socket_close(fd);
    else
        l->fd = fd;
    return l;
}

/* Where any port will do, one that TCP gets and UDP cannot have is none. */
static bool listen_both(const struct tunnel_listen *settings, struct address *address,
                        struct address *udp_address, int *tcp, int *udp, struct tunnel_error *error)
{
    unsigned tries = settings->port == 0 && settings->udp_port == 0 ? PORTS_TRIED : 1;
    for (*tcp = *udp = -1; tries > 0; tries--) {
        *tcp = listen_tcp(settings, address, error);
        if (*tcp < 0)
            return false;
        *udp =
            listen_udp(settings, udp_address,
                       settings->udp_port != 0 ? settings->udp_port : address_port(address), error);
        if (*udp >= 0)
            return true;
        socket_close(*tcp);
        *tcp = -1;
    }
    return false;
}

struct tunnel_listener *tunnel_listen_turbo(const struct tunnel_listen *settings,
                                            struct tunnel_error *error)
{
    struct address address, udp_address;
    struct tunnel_listener *l = NULL;
    int tcp, udp;
    if (listen_both(settings, &address, &udp_address, &tcp, &udp, error))
        l = create(address_port(&address), error);
    if (l == NULL) {
        socket_close(tcp);
        socket_close(udp);
        return NULL;
    }
    l->turbo = turbo_listener_create(settings, tcp, udp, address_family(&udp_address));
    if (l->turbo == NULL) {
        failure(error, errno == ENOMEM ? TUNNEL_MEMORY : TUNNEL_IO, "cannot listen: %s",
                strerror(errno));
        socket_close(tcp);
        socket_close(udp);
        free(l);
        return NULL;
    }
    return l;
}

static enum tunnel_result accept_tcp(struct tunnel_listener *l, struct tunnel_io **io)
{
    struct address peer;
    int fd = socket_accept(l->fd, &peer);
    if (fd < 0)
        return socket_is_again(errno) || !socket_exhausted(errno) ? TUNNEL_WANT_READ : TUNNEL_IO;
    struct accepted_io *a = accepted_tcp(fd, &peer, NULL, 0);
    if (a == NULL) {
        socket_reset(fd);
        errno = ENOMEM;
        return TUNNEL_IO;
    }
    *io = &a->base;
    return TUNNEL_OK;
}

enum tunnel_result tunnel_listener_accept(struct tunnel_listener *l, struct tunnel_io **io)
{
    return l->turbo != NULL ? turbo_listener_accept(l->turbo, io) : accept_tcp(l, io);
}

void tunnel_listener_watch(struct tunnel_listener *l, struct tunnel_watch *watch)
{
    watch->count = 0;
    watch->deadline_us = TUNNEL_FOR_EVER;
    if (l->turbo != NULL)
        turbo_listener_watch(l->turbo, watch);
    else
        descriptor_watch((struct descriptor){.fd = l->fd}, TUNNEL_WANT_READ, watch);
}

enum tunnel_result tunnel_listener_wait(struct tunnel_listener *l, int timeout_ms)
{
    struct tunnel_watch watch;
    tunnel_listener_watch(l, &watch);
    return watch_wait(&watch, timeout_ms);
}

uint16_t tunnel_listener_port(const struct tunnel_listener *l)
{
    return l->port;
}

void tunnel_listener_close(struct tunnel_listener *l)
{
    if (l == NULL)
        return;
    if (l->turbo != NULL)
        turbo_listener_close(l->turbo);
    socket_close(l->fd);
    free(l);
}
