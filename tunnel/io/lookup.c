#include "tunnel/io/lookup.h"

#include <ares.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>

#include "turbo/turbo.h"

enum {
    TRY_MS = 1000, /* a server's first chance to answer; doubled with each round */
    TRIES = 3,     /* rounds: with one server that is silent, failure after 7 s */
};

/* When there are more sockets than can be watched. */
#define LOOK_AGAIN (20 * TURBO_MILLISECOND)

struct lookup {
    ares_channel channel; /* NULL: none is needed, or there is none */
    bool over;
    int status; /* c-ares' */
    struct address addresses[LOOKUP_ADDRESSES_MAX];
    size_t count;
};

/* ---- answers ---- */

static void on_answer(void *owner, int status, int timeouts, struct ares_addrinfo *info)
{
    struct lookup *l = owner;
    (void)timeouts;
    l->over = true;
    l->status = status;
    if (status == ARES_SUCCESS && info != NULL) {
        for (struct ares_addrinfo_node *node = info->nodes;
             node != NULL && l->count < LOOKUP_ADDRESSES_MAX; node = node->ai_next) {
            struct address *address = &l->addresses[l->count];
            address_from_sockaddr(address, node->ai_addr, node->ai_addrlen);
            l->count += address_family(address) != AF_UNSPEC;
        }
        if (l->count == 0)
            l->status = ARES_ENODATA;
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
}

/* The next one of `family` from `at` on; the count: there is none. */
static size_t next_of(const struct lookup *l, size_t at, int family)
{
    while (at < l->count && address_family(&l->addresses[at]) != family)
        at++;
    return at;
}

size_t lookup_addresses(const struct lookup *l, struct address out[static LOOKUP_ADDRESSES_MAX])
{
    if (l->count == 0)
        return 0;
    int family = address_family(&l->addresses[0]);
    int other = family == AF_INET ? AF_INET6 : AF_INET;
    size_t count = 0;
    size_t a = next_of(l, 0, family);
    size_t b = next_of(l, 0, other);
    while (a < l->count || b < l->count) {
        if (a < l->count) {
            out[count++] = l->addresses[a];
            a = next_of(l, a + 1, family);
        }
        if (b < l->count) {
            out[count++] = l->addresses[b];
            b = next_of(l, b + 1, other);
        }
    }
    return count;
}

const char *lookup_error(const struct lookup *l)
{
    return ares_strerror(l->status);
}

/* ---- asking ---- */

/* False: `status` tells why. */
static bool open_channel(struct lookup *l, const char *servers)
{
    struct ares_options options = {.timeout = TRY_MS, .tries = TRIES};
    /* No ares_library_init: it counts in a global, and has work to do on Windows only. */
    l->status = ares_init_options(&l->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (l->status != ARES_SUCCESS) {
        l->channel = NULL;
        return false;
    }
    if (servers != NULL)
        l->status = ares_set_servers_ports_csv(l->channel, servers);
    return l->status == ARES_SUCCESS;
}

struct lookup *lookup_start(const char *host, const char *servers)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    if (address_from_literal(&l->addresses[0], host, 0)) {
        l->count = 1;
        l->over = true;
    } else if (open_channel(l, servers)) {
        ares_getaddrinfo(l->channel, host, NULL, &hints, on_answer, l);
    } else {
        l->over = true;
    }
    return l;
}

/* The sockets that c-ares waits for, and for what. */
static size_t sockets_of(const struct lookup *l, struct pollfd fds[static ARES_GETSOCK_MAXNUM])
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    /* ARES_GETSOCK_READABLE and its like shift into the sign. */
    unsigned bits = (unsigned)ares_getsock(l->channel, sockets, ARES_GETSOCK_MAXNUM);
    size_t count = 0;
    for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        bool in = (bits >> i & 1) != 0;
        bool out = (bits >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0;
        if (in || out)
            fds[count++] = (struct pollfd){
                .fd = sockets[i], .events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0))};
    }
    return count;
}

bool lookup_step(struct lookup *l)
{
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    if (l->over)
        return true;
    size_t count = sockets_of(l, fds);
    int ready = poll(fds, count, 0);
    for (size_t i = 0; ready > 0 && i < count && !l->over; i++) {
        bool in = (fds[i].revents & ~POLLOUT) != 0; /* or an error, which reading tells */
        bool out = (fds[i].revents & POLLOUT) != 0;
        if (in || out)
            ares_process_fd(l->channel, in ? fds[i].fd : ARES_SOCKET_BAD,
                            out ? fds[i].fd : ARES_SOCKET_BAD);
    }
    if (!l->over)
        ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its time-outs */
    return l->over;
}

void lookup_watch(const struct lookup *l, turbo_time now, struct tunnel_watch *watch)
{
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    struct timeval wait;
    turbo_time until = TURBO_NEVER;
    if (l->over) {
        watch->deadline_us = now;
        return;
    }
    if (ares_timeout(l->channel, NULL, &wait) != NULL)
        until = now + (turbo_time)wait.tv_sec * TURBO_SECOND + (turbo_time)wait.tv_usec;
    size_t count = sockets_of(l, fds);
    for (size_t i = 0; i < count && watch->count < TUNNEL_WATCH_MAX; i++)
        watch->fds[watch->count++] = fds[i];
    if (watch->count == TUNNEL_WATCH_MAX && until > now + LOOK_AGAIN)
        until = now + LOOK_AGAIN;
    if (until < watch->deadline_us)
        watch->deadline_us = until;
}

void lookup_free(struct lookup *l)
{
    if (l == NULL)
        return;
    if (l->channel != NULL)
        ares_destroy(l->channel); /* calls on_answer, if that is still due */
    free(l);
}
