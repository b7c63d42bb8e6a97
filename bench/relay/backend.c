/*
 * relay_backend ADDRESS:PORT: the server end of talk.h's conversations, for any number of
 * connections, until it is killed. It throws away what comes without copying it (MSG_TRUNC), so
 * that a relay is not kept waiting.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"
#include "talk.h"

enum { EVENTS_MAX = 256, BLOCK_BYTES = 256 * 1024, DISCARD_BYTES = 1024 * 1024 };

struct server {
    int epoll, listening;
    uint8_t flight[TALK_FLIGHT_BYTES];
    uint8_t block[BLOCK_BYTES];
};

struct connection {
    int fd;
    bool wants_out;
    struct talk talk;
    size_t hello_bytes, answer_bytes;
    uint64_t received, owed; /* after the answer; still to be sent, the flight aside */
    size_t flight_owed;
    uint8_t hello[TALK_HELLO_BYTES];
};

static void drop(struct connection *c)
{
    close(c->fd);
    free(c);
}

/* Bytes sent, 0 when the socket is full, -1 when it is lost. */
static ssize_t send_some(int fd, const uint8_t *data, size_t length)
{
    ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
    return n >= 0 ? n : errno == EAGAIN ? 0 : -1;
}

/* Sends what is owed until the socket is full; false: it is lost. */
static bool send_owed(struct server *s, struct connection *c)
{
    while (c->flight_owed > 0 || c->owed > 0) {
        bool flight = c->flight_owed > 0;
        size_t length = flight ? c->flight_owed : c->owed < BLOCK_BYTES ? c->owed : BLOCK_BYTES;
        const uint8_t *data = flight ? s->flight + TALK_FLIGHT_BYTES - length : s->block;
        ssize_t n = send_some(c->fd, data, length);
        if (n <= 0)
            return n == 0;
        if (flight)
            c->flight_owed -= (size_t)n;
        else
            c->owed -= (size_t)n;
    }
    return true;
}

static void watch(struct server *s, struct connection *c)
{
    bool out = c->flight_owed > 0 || c->owed > 0;
    if (out == c->wants_out)
        return;
    c->wants_out = out;
    ends_watch(s->epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0u), c);
}

/* `n` bytes came that belong to what the talk's kind is about. */
static void note_received(struct connection *c, size_t n)
{
    uint64_t before = c->received / c->talk.bytes;
    c->received += n;
    uint64_t times = c->received / c->talk.bytes - before;
    if (c->talk.kind == TALK_ECHO)
        c->owed += times * c->talk.bytes;
    else if (c->talk.kind == TALK_UP)
        c->owed += times;
}

static void note_answered(struct connection *c)
{
    if (c->talk.kind == TALK_DOWN)
        c->owed = c->talk.bytes;
}

/* What recv(2) returned for the part of the talk that is due; false: the connection is over. */
static bool read_some(struct server *s, struct connection *c, bool *more)
{
    ssize_t n;
    if (c->hello_bytes < TALK_HELLO_BYTES)
        n = recv(c->fd, c->hello + c->hello_bytes, TALK_HELLO_BYTES - c->hello_bytes, 0);
    else if (c->answer_bytes < TALK_ANSWER_BYTES)
        n = recv(c->fd, NULL, TALK_ANSWER_BYTES - c->answer_bytes, MSG_TRUNC);
    else
        n = recv(c->fd, NULL, DISCARD_BYTES, MSG_TRUNC);
    *more = n > 0;
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (c->hello_bytes < TALK_HELLO_BYTES) {
        c->hello_bytes += (size_t)n;
        if (c->hello_bytes < TALK_HELLO_BYTES)
            return true;
        if (!talk_from_hello(c->hello, &c->talk))
            return false;
        c->flight_owed = sizeof s->flight;
        *more = false; /* the client waits for it */
    } else if (c->answer_bytes < TALK_ANSWER_BYTES) {
        c->answer_bytes += (size_t)n;
        if (c->answer_bytes == TALK_ANSWER_BYTES)
            note_answered(c);
    } else if (c->talk.kind != TALK_CLOSE) {
        note_received(c, (size_t)n);
        *more = false; /* others are served in between */
    }
    return true;
}

static void serve(struct server *s, struct connection *c, uint32_t events)
{
    bool more = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
    while (more) {
        if (!read_some(s, c, &more)) {
            drop(c);
            return;
        }
    }
    if (!send_owed(s, c)) {
        drop(c);
        return;
    }
    watch(s, c);
}

static void accept_all(struct server *s)
{
    for (;;) {
        int fd = accept4(s->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);
        if (c == NULL)
            ends_fail("cannot take another connection");
        ends_no_delay(fd);
        c->fd = fd;
        ends_watch(s->epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

int main(int argc, char **argv)
{
    static struct server s;
    if (argc != 2) {
        (void)fputs("usage: relay_backend ADDRESS:PORT\n", stderr);
        return 2;
    }
    const struct sockaddr_in address = ends_address(argv[1]);
    talk_flight(s.flight);
    s.epoll = ends_epoll();
    s.listening = ends_listen(&address);
    ends_watch(s.epoll, EPOLL_CTL_ADD, s.listening, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(s.epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(&s);
            else
                serve(&s, events[i].data.ptr, events[i].events);
        }
    }
}
