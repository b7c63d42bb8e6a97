#include "proxy/net/hangup.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct hangups {
    struct ev_loop *loop;
    ev_io io;
    int fd;
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
    struct hangup *hangup = event.data.ptr;
    hangup->reset(hangup);
}

struct hangups *hangups_create(struct ev_loop *loop)
{
    struct hangups *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return NULL;
    h->loop = loop;
    h->fd = epoll_create1(EPOLL_CLOEXEC);
    if (h->fd < 0) {
        free(h);
        return NULL;
    }
    ev_io_init(&h->io, on_event, h->fd, EV_READ);
    h->io.data = h;
    ev_io_start(loop, &h->io);
    return h;
}

void hangups_destroy(struct hangups *h)
{
    if (h == NULL)
        return;
    ev_io_stop(h->loop, &h->io);
    close(h->fd);
    free(h);
}

void hangups_watch(struct hangups *h, int fd, struct hangup *hangup)
{
    struct epoll_event event = {.events = EPOLLET, .data.ptr = hangup}; /* ERR and HUP always are */
    if (epoll_ctl(h->fd, EPOLL_CTL_ADD, fd, &event) == 0)
        hangup->watched = true;
}

void hangups_forget(struct hangups *h, int fd, struct hangup *hangup)
{
    if (hangup->watched)
        epoll_ctl(h->fd, EPOLL_CTL_DEL, fd, NULL);
    hangup->watched = false;
}
