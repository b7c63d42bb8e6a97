#include "tests/unit/support/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/support/check.h"
#include "tunnel/net/socket.h"

enum { READ_BYTES = 64 * 1024 };

/* ---- TCP ---- */

static void watch(struct peer *p)
{
    int events = (p->deaf || p->ended || p->error != 0 ? 0 : EV_READ) |
                 (p->sending_used < p->sending_length ? EV_WRITE : 0);
    ev_io_stop(p->loop, &p->io);
    if (p->fd < 0 || events == 0)
        return;
    ev_io_set(&p->io, p->fd, events);
    ev_io_start(p->loop, &p->io);
}

static void failed(struct peer *p)
{
    p->error = errno;
    p->sending_used = p->sending_length;
}

static void flush(struct peer *p)
{
    size_t left = p->sending_length - p->sending_used;
    ssize_t n = left == 0 ? 0 : send(p->fd, p->sending + p->sending_used, left, MSG_NOSIGNAL);
    if (n > 0)
        p->sending_used += (size_t)n;
    else if (n < 0 && errno != EAGAIN)
        failed(p);
    if (p->finishing && p->sending_used == p->sending_length) {
        shutdown(p->fd, SHUT_WR);
        p->finishing = false;
    }
}

static void receive(struct peer *p)
{
    if (p->capacity - p->length < READ_BYTES) {
        p->capacity = p->capacity * 2 + READ_BYTES;
        p->received = realloc(p->received, p->capacity);
        assert_non_null(p->received);
    }
    ssize_t n = recv(p->fd, p->received + p->length, READ_BYTES, 0);
    if (n > 0)
        p->length += (size_t)n;
    else if (n == 0)
        p->ended = true;
    else if (errno != EAGAIN)
        failed(p);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    struct peer *p = io->data;
    if ((events & EV_READ) != 0)
        receive(p);
    if ((events & EV_WRITE) != 0)
        flush(p);
    watch(p);
}

struct peer *peer_new(struct ev_loop *loop, int fd)
{
    struct peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    assert_true(fd >= 0);
    p->loop = loop;
    p->fd = fd;
    ev_init(&p->io, on_io);
    p->io.data = p;
    watch(p);
    return p;
}

void peer_free(struct peer *p)
{
    ev_io_stop(p->loop, &p->io);
    socket_close(p->fd);
    free(p->received);
    free(p->sending);
    free(p);
}

void peer_send(struct peer *p, const void *data, size_t length)
{
    p->sending = realloc(p->sending, p->sending_length + length);
    assert_non_null(p->sending);
    memcpy(p->sending + p->sending_length, data, length);
    p->sending_length += length;
    if (peer_is_up(p))
        flush(p);
    watch(p);
}

void peer_say(struct peer *p, const char *words)
{
    peer_send(p, words, strlen(words));
}

void peer_finish(struct peer *p)
{
    p->finishing = true;
    if (peer_is_up(p))
        flush(p);
    watch(p);
}

void peer_reset(struct peer *p)
{
    ev_io_stop(p->loop, &p->io);
    socket_reset(p->fd);
    p->fd = -1;
}

void peer_deafen(struct peer *p)
{
    p->deaf = true;
    watch(p);
}

void peer_hear(struct peer *p)
{
    p->deaf = false;
    watch(p);
}

bool peer_heard_bytes(const struct peer *p, const void *data, size_t length)
{
    return p->length == length && (length == 0 || memcmp(p->received, data, length) == 0);
}

bool peer_heard(const struct peer *p, const char *words)
{
    return peer_heard_bytes(p, words, strlen(words));
}

bool peer_was_reset(struct peer *p)
{
    bool reading = !p->deaf && !p->ended; /* what came before the reset comes out first */
    if (p->error == 0 && p->fd >= 0 && !reading)
        p->error = socket_error(p->fd); /* EPIPE: in CLOSE_WAIT a reset is called so */
    return p->error == ECONNRESET || p->error == EPIPE;
}

bool peer_is_up(const struct peer *p)
{
    struct pollfd writable = {.fd = p->fd, .events = POLLOUT};
    return poll(&writable, 1, 0) == 1 && (writable.revents & (POLLERR | POLLHUP)) == 0;
}

/* ---- UDP ---- */

static void on_datagram(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct datagrams *d = io->data;
    assert_true(d->count < DATAGRAMS_MAX);
    struct datagram *to = &d->received[d->count];
    to->from_length = sizeof(to->from);
    ssize_t n = recvfrom(d->fd, to->bytes, sizeof(to->bytes), 0, (struct sockaddr *)&to->from,
                         &to->from_length);
    if (n < 0) /* nothing there, or an ICMP error */
        return;
    to->length = (size_t)n;
    d->count++;
}

struct datagrams *datagrams_new(struct ev_loop *loop, int fd)
{
    struct datagrams *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    assert_true(fd >= 0);
    d->loop = loop;
    d->fd = fd;
    ev_io_init(&d->io, on_datagram, fd, EV_READ);
    d->io.data = d;
    ev_io_start(loop, &d->io);
    return d;
}

void datagrams_close(struct datagrams *d)
{
    ev_io_stop(d->loop, &d->io);
    socket_close(d->fd);
    d->fd = -1;
}

void datagrams_free(struct datagrams *d)
{
    datagrams_close(d);
    free(d);
}

void datagrams_send(struct datagrams *d, const void *data, size_t length)
{
    assert_int_equal(send(d->fd, data, length, MSG_NOSIGNAL), length);
}

void datagrams_answer(struct datagrams *d, size_t number, const void *data, size_t length)
{
    const struct datagram *to = &d->received[number];
    assert_true(number < d->count);
    assert_int_equal(sendto(d->fd, data, length, MSG_NOSIGNAL, (const struct sockaddr *)&to->from,
                            to->from_length),
                     length);
}
