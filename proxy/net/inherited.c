#include "proxy/net/inherited.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

void inherited_init(struct inherited *inherited)
{
    inherited->count = 0;
}

/* ---- what a descriptor is ---- */

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);
    return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

/* NULL, or what is wrong with it. */
static const char *examine(struct inherited_socket *s)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    memset(&bound, 0, sizeof(bound));
    if (getsockname(s->fd, (struct sockaddr *)&bound, &length) != 0)
        return errno == ENOTSOCK ? "it is no socket" : strerror(errno);
    if (bound.ss_family != AF_INET && bound.ss_family != AF_INET6)
        return "it is neither IPv4 nor IPv6";
    s->type = option(s->fd, SOL_SOCKET, SO_TYPE);
    int protocol = option(s->fd, SOL_SOCKET, SO_PROTOCOL);
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return "it is neither TCP nor UDP";
    if (protocol == IPPROTO_TCP && option(s->fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
        return "it does not listen (systemd: Accept=no)";
    if (protocol == IPPROTO_UDP && is_connected(s->fd))
        return "it is connected to a single peer";
    address_from_sockaddr(&s->address, (struct sockaddr *)&bound, length);
    if (address_family(&s->address) != bound.ss_family)
        return "it is IPv6 with the address of an IPv4 host";
    struct address wildcard;
    address_wildcard(&wildcard, AF_INET6, address_port(&s->address));
    s->dual_stack =
        address_equal(&s->address, &wildcard) && option(s->fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
    return NULL;
}

const char *inherited_add(struct inherited *inherited, int fd)
{
    struct inherited_socket s = {.fd = fd};
    if (inherited->count == INHERITED_MAX)
        return "there are too many";
    const char *problem = examine(&s);
    if (problem != NULL)
        return problem;
    if (!socket_prepare_listener(fd, s.type, address_family(&s.address)))
        return strerror(errno);
    inherited->sockets[inherited->count++] = s;
    return NULL;
}

/* ---- who announces them ---- */

static bool add_announced(struct inherited *inherited, int fd, char *error, size_t error_bytes)
{
    const char *problem = inherited_add(inherited, fd);
    if (problem != NULL)
        (void)snprintf(error, error_bytes, "cannot use the inherited socket %d: %s", fd, problem);
    return problem == NULL;
}

static bool add_systemds(struct inherited *inherited, char *error, size_t error_bytes)
{
    int count = sd_listen_fds(1);
    if (count < 0) {
        (void)snprintf(error, error_bytes, "cannot read LISTEN_FDS: %s", strerror(-count));
        return false;
    }
    bool usable = true;
    for (int i = 0; i < count; i++)
        if (!add_announced(inherited, SD_LISTEN_FDS_START + i, error, error_bytes))
            usable = false;
    return usable;
}

static bool add_predecessors(struct inherited *inherited, char *error, size_t error_bytes)
{
    const char *text = getenv(INHERITED_VARIABLE);
    bool usable = true;
    while (text != NULL && *text != '\0') {
        char *end;
        errno = 0;
        long fd = strtol(text, &end, 10);
        if (errno != 0 || end == text || fd < 0 || fd > INT_MAX || (*end != ',' && *end != '\0')) {
            (void)snprintf(error, error_bytes, "cannot read " INHERITED_VARIABLE ": \"%s\"", text);
            usable = false;
            break;
        }
        if (!add_announced(inherited, (int)fd, error, error_bytes))
            usable = false;
        text = *end == ',' ? end + 1 : end;
    }
    unsetenv(INHERITED_VARIABLE);
    return usable;
}

bool inherited_from_environment(struct inherited *inherited, char *error, size_t error_bytes)
{
    bool systemds = add_systemds(inherited, error, error_bytes);
    bool predecessors = add_predecessors(inherited, error, error_bytes);
    return systemds && predecessors;
}

/* ---- whose they become ---- */

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 || errno != EAFNOSUPPORT;
    socket_close(fd);
    return has;
}

/* What it would be bound to. */
static bool find_bound(const struct address *address, bool *dual_stack, struct address *bound)
{
    *bound = *address;
    if (*dual_stack && !has_ipv6())
        address_wildcard(bound, AF_INET, address_port(address));
    else if (*dual_stack)
        address_wildcard(bound, AF_INET6, address_port(address));
    *dual_stack = *dual_stack && address_family(bound) == AF_INET6;
    return address_port(address) != 0;
}

static bool is_at(const struct inherited_socket *s, int type, const struct address *bound,
                  bool dual_stack)
{
    return s->type == type && s->dual_stack == dual_stack && address_equal(&s->address, bound);
}

int inherited_take(struct inherited *inherited, int type, const struct address *address,
                   bool dual_stack)
{
    struct address bound;
    if (!find_bound(address, &dual_stack, &bound))
        return -1;
    for (size_t i = 0; i < inherited->count; i++) {
        if (!is_at(&inherited->sockets[i], type, &bound, dual_stack))
            continue;
        int fd = inherited->sockets[i].fd;
        memmove(&inherited->sockets[i], &inherited->sockets[i + 1],
                (--inherited->count - i) * sizeof(inherited->sockets[0]));
        return fd;
    }
    return -1;
}

size_t inherited_count(const struct inherited *inherited, int type, const struct address *address,
                       bool dual_stack)
{
    struct address bound;
    size_t count = 0;
    if (inherited == NULL || !find_bound(address, &dual_stack, &bound))
        return 0;
    for (size_t i = 0; i < inherited->count; i++)
        count += is_at(&inherited->sockets[i], type, &bound, dual_stack);
    return count;
}

size_t inherited_most_alike(const struct inherited *inherited)
{
    size_t most = 0;
    for (size_t i = 0; i < inherited->count; i++) {
        const struct inherited_socket *s = &inherited->sockets[i];
        size_t alike = 0;
        for (size_t k = 0; k < inherited->count; k++)
            alike += is_at(&inherited->sockets[k], s->type, &s->address, s->dual_stack);
        most = alike > most ? alike : most;
    }
    return most;
}

int inherited_or_new(struct inherited *inherited, int type, struct address *address,
                     bool dual_stack, enum socket_share share)
{
    int fd = inherited == NULL ? -1 : inherited_take(inherited, type, address, dual_stack);
    return fd >= 0 ? fd : socket_listen(type, address, dual_stack, share);
}

void inherited_close(struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++)
        socket_close(inherited->sockets[i].fd);
    inherited->count = 0;
}
