#include "proxy/net/hangup.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WAITING_MAX = 64 };

static const double WAIT_SECONDS = 0.02;

struct hangups {
    struct ev_loop *loop;
    ev_io io;
    int fd;
    void (*reset)(void *owner);
    /* Most connections are over soon after one end: those are never watched at all. */
    struct waiting {
        int fd;
        void *owner;
    } waiting[WAITING_MAX];
    size_t count;
    ev_timer timer;
};

/* One event a call: its receiver may close other descriptors, whose events would then be stale. */
static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct hangups *h = io->data;
    struct epoll_event event;
    if (epoll_wait(h->fd, &event, 1, 0) != 1 || (event.events & EPOLLERR) == 0)
        return;
    h->reset(event.data.ptr);
}

/* Without memory for it a reset goes unnoticed until bytes are sent. */
static void watch_waiting(struct hangups *h)
{
    for (size_t i = 0; i < h->count; i++) {
        /* ERR and HUP always are */
        struct epoll_event event = {.events = EPOLLET, .data.ptr = h->waiting[i].owner};
        epoll_ctl(h->fd, EPOLL_CTL_ADD, h->waiting[i].fd, &event);
    }
    h->count = 0;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    watch_waiting(timer->data);
}

struct hangups *hangups_create(struct ev_loop *loop, void (*reset)(void *owner))
{
    struct hangups *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return NULL;
    h->loop = loop;
    h->reset = reset;
    h->fd = epoll_create1(EPOLL_CLOEXEC);
    if (h->fd < 0) {
        free(h);
        return NULL;
    }
    ev_io_init(&h->io, on_event, h->fd, EV_READ);
    h->io.data = h;
    ev_io_start(loop, &h->io);
    ev_timer_init(&h->timer, on_timer, WAIT_SECONDS, 0.);
    h->timer.data = h;
    return h;
}

void hangups_destroy(struct hangups *h)
{
    if (h == NULL)
        return;
    ev_io_stop(h->loop, &h->io);
    ev_timer_stop(h->loop, &h->timer);
    close(h->fd);
    free(h);
}

void hangups_watch(struct hangups *h, int fd, void *owner)
{
    if (h->count == WAITING_MAX)
        watch_waiting(h);
    h->waiting[h->count++] = (struct waiting){.fd = fd, .owner = owner};
    if (ev_is_active(&h->timer))
        return;
    ev_timer_set(&h->timer, WAIT_SECONDS, 0.);
    ev_timer_start(h->loop, &h->timer);
}

void hangups_forget(struct hangups *h, int fd)
{
    for (size_t i = h->count; i-- > 0;)
        if (h->waiting[i].fd == fd) {
            h->waiting[i] = h->waiting[--h->count];
            return;
        }
    epoll_ctl(h->fd, EPOLL_CTL_DEL, fd, NULL);
}
