#include "proxy/sides/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

enum { BEHIND_MARK_BYTES = 4096 };

void stream_init(struct stream *s, void (*callback)(struct ev_loop *loop, ev_io *io, int events),
                 void *data)
{
    s->blocked = s->drained = s->unread = s->ended = s->hangup = s->lost = false;
    ev_io_init(&s->io, callback, -1, 0);
    s->io.data = data;
}

void stream_open(struct stream *s, int fd)
{
    ev_io_set(&s->io, fd, 0);
}

void stream_go_on(struct stream *s, int fd)
{
    ev_io_set(&s->io, fd, 0);
    s->io.events = 0; /* without libev's mark of a descriptor that is new to it */
}

static int watched(struct stream *s)
{
    return ev_is_active(&s->io) ? s->io.events & (EV_READ | EV_WRITE) : 0;
}

static void watch(struct stream *s, struct ev_loop *loop, int events)
{
    if (watched(s) == events)
        return;
    if (ev_is_active(&s->io))
        ev_io_stop(loop, &s->io);
    ev_io_modify(&s->io, events);
    if (events != 0)
        ev_io_start(loop, &s->io);
}

bool stream_ready(struct stream *s, struct ev_loop *loop, int events)
{
    if ((events & EV_WRITE) != 0)
        s->blocked = false;
    if ((events & EV_READ) != 0)
        s->drained = false;
    if ((events & EV_READ) == 0 || !s->unread)
        return true;
    watch(s, loop, watched(s) & ~EV_READ);
    return (events & EV_WRITE) != 0;
}

void stream_lost(struct stream *s)
{
    s->lost = true;
    s->drained = false;
}

int stream_release(struct stream *s, struct ev_loop *loop)
{
    int fd = s->io.fd;
    if (ev_is_active(&s->io))
        ev_io_stop(loop, &s->io);
    ev_io_set(&s->io, -1, 0);
    return fd;
}

void stream_close(struct stream *s, struct ev_loop *loop, bool reset)
{
    int fd = stream_release(s, loop);
    if (reset)
        socket_reset(fd);
    else
        socket_close(fd);
}

void stream_watch(struct stream *s, struct ev_loop *loop, bool readable, bool writable)
{
    if (s->io.fd < 0)
        return;
    s->unread = !readable;
    int reading = readable ? EV_READ : s->ended ? 0 : watched(s) & EV_READ;
    watch(s, loop, reading | (writable ? EV_WRITE : 0));
}

static bool is_again(ssize_t n)
{
    return n < 0 && socket_is_again(errno);
}

/* Less than `enough` is all there was: to ask again would be in vain. */
static ssize_t read_result(struct stream *s, ssize_t n, size_t enough)
{
    bool again = is_again(n);
    s->drained = again || (n > 0 && (size_t)n < enough && !s->lost);
    s->ended = n == 0;
    if (again)
        return SIDE_AGAIN;
    return n < 0 ? SIDE_RESET : n; /* 0 is SIDE_END */
}

static ssize_t write_result(struct stream *s, ssize_t n, size_t length)
{
    if (is_again(n))
        n = 0;
    if (n < 0) {
        stream_lost(s);
        return SIDE_RESET;
    }
    s->blocked = (size_t)n < length;
    return n;
}

ssize_t stream_read(struct stream *s, uint8_t *buffer, size_t capacity)
{
    if (s->drained)
        return SIDE_AGAIN;
    return read_result(s, recv(s->io.fd, buffer, capacity, 0), capacity);
}

ssize_t stream_peek(struct stream *s)
{
    uint8_t byte;
    ssize_t n = recv(s->io.fd, &byte, 1, MSG_PEEK);
    if (is_again(n))
        return SIDE_AGAIN;
    return n < 0 ? SIDE_RESET : n; /* 0 is SIDE_END */
}

/* As sockatmark(3), whose variable valgrind takes for uninitialised. */
static bool is_at_mark(int fd)
{
    int mark = 0;
    return ioctl(fd, SIOCATMARK, &mark) == 0 && mark != 0;
}

/* Splicing stops for ever before TCP's urgent byte (RFC 9293 §3.8.5); recv steps over it. */
static ssize_t copy_behind_mark(int fd, int write_end)
{
    uint8_t bytes[BEHIND_MARK_BYTES];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    return n > 0 ? write(write_end, bytes, (size_t)n) : n; /* the pipe is empty: it takes all */
}

ssize_t stream_read_pipe(struct stream *s, int write_end, size_t capacity)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    if (s->drained)
        return SIDE_AGAIN;
    ssize_t n = splice(s->io.fd, NULL, write_end, NULL, capacity, flags);
    if ((n == 0 || is_again(n)) && is_at_mark(s->io.fd))
        n = copy_behind_mark(s->io.fd, write_end);
    /* Whether there is more the loop tells for less than a call in vain does. */
    return read_result(s, n, capacity);
}

ssize_t stream_write(struct stream *s, const uint8_t *data, size_t length)
{
    return write_result(s, send(s->io.fd, data, length, MSG_NOSIGNAL), length);
}

ssize_t stream_write_last(struct stream *s, const uint8_t *data, size_t length)
{
    return write_result(s, send(s->io.fd, data, length, MSG_NOSIGNAL | MSG_MORE), length);
}

ssize_t stream_write_pipe(struct stream *s, int read_end, size_t length)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    return write_result(s, splice(read_end, NULL, s->io.fd, NULL, length, flags), length);
}
