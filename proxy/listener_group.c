#include "proxy/listener_group.h"

#include <stdlib.h>

#include "tunnel/net/socket.h"

struct listener_group *listener_group_create(void)
{
    struct listener_group *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return NULL;
    atomic_init(&g->references, 1);
    for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++)
        g->udp_closed[i] = -1;
    return g;
}

struct listener_group *listener_group_hold(struct listener_group *g)
{
    atomic_fetch_add_explicit(&g->references, 1, memory_order_relaxed);
    return g;
}

static void close_all(struct listener_group *g)
{
    for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++) {
        socket_close(g->udp_closed[i]);
        g->udp_closed[i] = -1;
    }
}

void listener_group_release(struct listener_group *g)
{
    if (g == NULL || atomic_fetch_sub_explicit(&g->references, 1, memory_order_acq_rel) > 1)
        return;
    close_all(g);
    free(g);
}

/* Acquired and released: whoever sees a session's connection also sees that it is pending. */
bool listener_group_began(struct listener_group *g, size_t most)
{
    size_t before = atomic_fetch_add_explicit(&g->connections, 1, memory_order_acq_rel);
    return most == 0 || before < most;
}

void listener_group_ended(struct listener_group *g)
{
    atomic_fetch_sub_explicit(&g->connections, 1, memory_order_acq_rel);
}

bool listener_group_is_full(const struct listener_group *g, size_t most)
{
    return most > 0 && atomic_load_explicit(&g->connections, memory_order_acquire) >= most;
}

void listener_group_opened_udp(struct listener_group *g)
{
    atomic_fetch_add_explicit(&g->udp_open, 1, memory_order_relaxed);
}

void listener_group_close_udp(struct listener_group *g, unsigned worker, int fd)
{
    g->udp_closed[worker] = fd;
    if (atomic_fetch_sub_explicit(&g->udp_open, 1, memory_order_acq_rel) == 1)
        close_all(g);
}
