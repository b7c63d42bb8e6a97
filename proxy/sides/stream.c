#include "proxy/sides/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

enum { ENOUGH_SPLICED = 16 * 1024, BEHIND_MARK_BYTES = 4096 };

void stream_init(struct stream *s, struct ev_loop *loop,
                 void (*callback)(struct ev_loop *loop, ev_io *io, int events), void *owner)
{
    s->loop = loop;
    s->fd = -1;
    s->blocked = s->drained = false;
    ev_init(&s->io, callback);
    s->io.data = owner;
}

void stream_ready(struct stream *s, int events)
{
    if ((events & EV_WRITE) != 0)
        s->blocked = false;
    if ((events & EV_READ) != 0)
        s->drained = false;
}

int stream_release(struct stream *s)
{
    int fd = s->fd;
    ev_io_stop(s->loop, &s->io);
    s->fd = -1;
    return fd;
}

void stream_close(struct stream *s, bool reset)
{
    int fd = stream_release(s);
    if (reset)
        socket_reset(fd);
    else
        socket_close(fd);
}

void stream_watch(struct stream *s, bool readable, bool writable)
{
    int events = s->fd < 0 ? 0 : (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    int now = ev_is_active(&s->io) ? s->io.events & (EV_READ | EV_WRITE) : 0;
    if (now == events)
        return;
    ev_io_stop(s->loop, &s->io);
    if (events == 0)
        return;
    ev_io_set(&s->io, s->fd, events);
    ev_io_start(s->loop, &s->io);
}

static bool is_again(ssize_t n)
{
    return n < 0 && socket_is_again(errno);
}

/* Less than `enough` is all there was: to ask again would be in vain. */
static ssize_t read_result(struct stream *s, ssize_t n, size_t enough)
{
    bool again = is_again(n);
    s->drained = again || (n > 0 && (size_t)n < enough);
    if (again)
        return SIDE_AGAIN;
    return n < 0 ? SIDE_RESET : n; /* 0 is SIDE_END */
}

static ssize_t write_result(struct stream *s, ssize_t n, size_t length)
{
    if (is_again(n))
        n = 0;
    if (n < 0) {
        s->drained = false; /* what it said before may still be read */
        return SIDE_RESET;
    }
    s->blocked = (size_t)n < length;
    return n;
}

ssize_t stream_read(struct stream *s, uint8_t *buffer, size_t capacity)
{
    if (s->drained)
        return SIDE_AGAIN;
    return read_result(s, recv(s->fd, buffer, capacity, 0), capacity);
}

ssize_t stream_peek(struct stream *s)
{
    uint8_t byte;
    ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK);
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
    ssize_t n = splice(s->fd, NULL, write_end, NULL, capacity, flags);
    if ((n == 0 || is_again(n)) && is_at_mark(s->fd))
        n = copy_behind_mark(s->fd, write_end);
    /* A pipe is full of small pieces long before it is full of bytes. */
    return read_result(s, n, ENOUGH_SPLICED);
}

ssize_t stream_write(struct stream *s, const uint8_t *data, size_t length)
{
    return write_result(s, send(s->fd, data, length, MSG_NOSIGNAL), length);
}

ssize_t stream_write_pipe(struct stream *s, int read_end, size_t length)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    return write_result(s, splice(read_end, NULL, s->fd, NULL, length, flags), length);
}
