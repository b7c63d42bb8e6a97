#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tunnel/io/listener.h"
#include "tunnel/io/turbo_parts.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/crypto.h"
#include "tunnel/net/server_datagrams.h"
#include "tunnel/net/socket.h"

enum { EVENTS_A_TURN = 64, WAITING_DEFAULT = 1024 };

/* ---- the pump ---- */

static void arm(struct turbo_listener *l)
{
    turbo_time deadline = turbo_endpoint_deadline(l->turbo);
    turbo_time others[] = {listener_tcp_deadline(l), listener_delivery_deadline(l)};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i] < deadline)
            deadline = others[i];
    struct itimerspec when = {.it_value = {0}};
    if (deadline != TURBO_NEVER)
        when.it_value = (struct timespec){.tv_sec = (time_t)(deadline / TURBO_SECOND),
                                          .tv_nsec = (long)(deadline % TURBO_SECOND) * 1000};
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void handle(struct turbo_listener *l, void *what, turbo_time now)
{
    uint64_t unused;
    if (what == &l->udp_fd)
        server_datagrams_receive(l->udp_fd, l->turbo, now);
    else if (what == &l->tcp_fd)
        listener_accept_all(l, now);
    else if (what == &l->kept)
        listener_deliver_all(l);
    else if (what == &l->timer_fd)
        (void)!read(l->timer_fd, &unused, sizeof(unused));
    else
        listener_handle_opening(l, what, now);
}

/*
 * An opening that ends does so in its own turn, and each comes once in a turn: none of the events
 * is of one that is gone already. Old ones end after the turn.
 */
void turbo_listener_pump(struct turbo_listener *l)
{
    struct epoll_event events[EVENTS_A_TURN];
    turbo_time now = clock_now();
    int count = epoll_wait(l->epoll_fd, events, EVENTS_A_TURN, 0);
    for (int i = 0; i < count; i++)
        handle(l, events[i].data.ptr, now);
    listener_tend_tcp(l, now);
    listener_end_old_deliveries(l, now);
    turbo_endpoint_tick(l->turbo, now);
    listener_handle_events(l, now);
    server_datagrams_send(l->udp_fd, l->family, l->turbo, now, &l->offload);
    arm(l);
}

int turbo_listener_fd(const struct turbo_listener *l)
{
    return l->epoll_fd;
}

/* ---- life ---- */

static void *acquire(void *owner, size_t bytes)
{
    (void)owner;
    return malloc(bytes);
}

static void release(void *owner, void *memory)
{
    (void)owner;
    free(memory);
}

static struct turbo_endpoint *new_endpoint(const struct tunnel_listen *settings)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    if (settings->sessions_max != 0)
        config.sessions_max = settings->sessions_max;
    config.sandwich = settings->sandwich;
    config.memory_max = (uint64_t)config.sessions_max *
                        (settings->sandwich ? turbo_sandwich_server_bytes() : turbo_server_bytes());
    config.sha256 = crypto_sha256;
    config.acquire = acquire;
    config.release = release;
    if (!crypto_random(config.seed, sizeof(config.seed)))
        return NULL;
    void *memory = malloc(turbo_endpoint_bytes(&config));
    return memory == NULL ? NULL : turbo_endpoint_init(memory, &config);
}

static void destroy(struct turbo_listener *l)
{
    if (l->turbo != NULL)
        turbo_endpoint_fini(l->turbo);
    free(l->turbo);
    socket_close(l->epoll_fd);
    socket_close(l->timer_fd);
    socket_close(l->ready_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool watch_for_ever(struct turbo_listener *l, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, *fd, &event) == 0;
}

struct turbo_listener *turbo_listener_create(const struct tunnel_listen *settings, int tcp_fd,
                                             int udp_fd, int family)
{
    struct turbo_listener *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    l->holders = 1;
    l->family = family;
    l->accept_again = TURBO_NEVER;
    l->waiting_max = settings->waiting_max == 0 ? WAITING_DEFAULT : settings->waiting_max;
    l->tcp_fd = tcp_fd;
    l->udp_fd = udp_fd;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    l->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->turbo = new_endpoint(settings);
    if (l->turbo != NULL && l->epoll_fd >= 0 && l->timer_fd >= 0 && l->ready_fd >= 0 &&
        watch_for_ever(l, &l->timer_fd) && watch_for_ever(l, &l->udp_fd)) {
        listener_tend_tcp(l, clock_now());
        return l;
    }
    int error = errno;
    destroy(l);
    errno = error;
    return NULL;
}

void turbo_listener_lock(struct turbo_listener *l)
{
    pthread_mutex_lock(&l->lock);
}

void turbo_listener_unlock(struct turbo_listener *l)
{
    bool last = l->holders == 0;
    pthread_mutex_unlock(&l->lock);
    if (last)
        destroy(l);
}

void turbo_listener_close(struct turbo_listener *l)
{
    turbo_listener_lock(l);
    l->closed = true;
    listener_end_openings(l);
    listener_end_sessions(l);
    listener_forget(l, l->udp_fd);
    if (l->accepting)
        listener_forget(l, l->tcp_fd);
    socket_close(l->tcp_fd);
    socket_close(l->udp_fd);
    l->tcp_fd = l->udp_fd = -1;
    l->accepting = false;
    l->holders--;
    turbo_listener_unlock(l);
}

enum tunnel_result turbo_listener_accept(struct turbo_listener *l, struct tunnel_io **io)
{
    eventfd_t unused;
    turbo_listener_lock(l);
    (void)eventfd_read(l->ready_fd, &unused);
    turbo_listener_pump(l);
    struct accepted_io *a = listener_take_ready(l);
    enum tunnel_result result = TUNNEL_WANT_READ;
    int error = l->accept_error;
    if (a != NULL) {
        *io = &a->base;
        result = TUNNEL_OK;
    } else if (error != 0) {
        l->accept_error = 0;
        result = TUNNEL_IO;
    }
    turbo_listener_unlock(l);
    errno = error;
    return result;
}

void turbo_listener_watch(struct turbo_listener *l, struct tunnel_watch *watch)
{
    watch->fds[watch->count++] = (struct pollfd){.fd = l->ready_fd, .events = POLLIN};
    watch->fds[watch->count++] = (struct pollfd){.fd = l->epoll_fd, .events = POLLIN};
}
