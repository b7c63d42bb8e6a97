#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"

enum {
    EVENTS_MAX = 256,
    BLOCK_BYTES = 256 * 1024,
    DISCARD_BYTES = 1024 * 1024,
    STUCK_MS = 20000 /* without any event */
};

enum stage { UNUSED, CONNECTING, FLIGHT, SENDING, RECEIVING, ENDING, HELD };

struct connection {
    int fd;
    enum stage stage;
    uint64_t left; /* bytes of the stage */
};

struct load {
    struct load_settings settings;
    int epoll;
    size_t started, done, failed, under_way;
    uint64_t began, ended;
    struct connection *connections; /* settings.count of them */
    uint8_t answer[TALK_ANSWER_BYTES];
    uint8_t block[BLOCK_BYTES];
};

struct load *load_new(const struct load_settings *settings)
{
    struct load *l = calloc(1, sizeof *l);
    if (l != NULL)
        l->connections = calloc(settings->count, sizeof *l->connections);
    if (l == NULL || l->connections == NULL)
        ends_fail("no memory");
    l->settings = *settings;
    l->epoll = ends_epoll();
    talk_answer(l->answer);
    return l;
}

static void end(struct load *l, struct connection *c, bool good)
{
    l->under_way--;
    l->done++;
    l->failed += good ? 0 : 1;
    l->ended = ends_now();
    if (good && l->settings.hold) {
        c->stage = HELD;
        return;
    }
    close(c->fd);
    c->stage = UNUSED;
}

static bool say_hello(struct load *l, struct connection *c)
{
    uint8_t hello[TALK_HELLO_BYTES];
    talk_hello(hello, &l->settings.talk, ends_now());
    if (send(c->fd, hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello)
        return false;
    c->stage = FLIGHT;
    c->left = TALK_FLIGHT_BYTES;
    return true;
}

/* On the loopback the connection is mostly there at once. */
static void start(struct load *l, struct connection *c)
{
    c->fd = ends_connect(&l->settings.to, SOCK_NONBLOCK);
    c->stage = CONNECTING;
    l->under_way++;
    uint32_t events = say_hello(l, c) ? EPOLLIN : EPOLLOUT;
    ends_watch(l->epoll, EPOLL_CTL_ADD, c->fd, events, c);
}

static void send_more(struct load *l, struct connection *c)
{
    while (c->left > 0) {
        size_t length = c->left < BLOCK_BYTES ? (size_t)c->left : BLOCK_BYTES;
        ssize_t n = send(c->fd, l->block, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            end(l, c, false);
            return;
        }
        c->left -= (size_t)n;
    }
    c->stage = RECEIVING;
    c->left = l->settings.talk.kind == TALK_UP ? 1 : l->settings.talk.bytes;
    ends_watch(l->epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static void begin_sending(struct load *l, struct connection *c)
{
    c->stage = SENDING;
    c->left = l->settings.talk.bytes;
    ends_watch(l->epoll, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
}

/* The flight is here. */
static void answer(struct load *l, struct connection *c)
{
    if (l->began == 0)
        l->began = ends_now();
    if (send(c->fd, l->answer, sizeof l->answer, MSG_NOSIGNAL) != (ssize_t)sizeof l->answer) {
        end(l, c, false);
        return;
    }
    switch (l->settings.talk.kind) {
    case TALK_CLOSE:
        shutdown(c->fd, SHUT_WR);
        c->stage = ENDING;
        break;
    case TALK_UP: begin_sending(l, c); break;
    case TALK_DOWN:
        c->stage = RECEIVING;
        c->left = l->settings.talk.bytes;
        break;
    case TALK_ECHO: end(l, c, true); break;
    }
}

static void receive(struct load *l, struct connection *c)
{
    size_t length = c->left < DISCARD_BYTES ? (size_t)c->left : DISCARD_BYTES;
    if (c->stage == ENDING)
        length = 1;
    ssize_t n = recv(c->fd, NULL, length, MSG_TRUNC);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || c->stage == ENDING) {
        end(l, c, n == 0 && c->stage == ENDING);
        return;
    }
    c->left -= (uint64_t)n;
    if (c->left > 0)
        return;
    if (c->stage == FLIGHT)
        answer(l, c);
    else
        end(l, c, true);
}

static void connected(struct load *l, struct connection *c)
{
    if (say_hello(l, c))
        ends_watch(l->epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    else
        end(l, c, false);
}

static void on_event(struct load *l, struct connection *c)
{
    switch (c->stage) {
    case CONNECTING: connected(l, c); break;
    case SENDING: send_more(l, c); break;
    case FLIGHT:
    case RECEIVING:
    case ENDING: receive(l, c); break;
    case HELD: /* nothing may come or end now */
        l->failed++;
        close(c->fd);
        c->stage = UNUSED;
        break;
    case UNUSED: break;
    }
}

static void turn(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(l->epoll, events, EVENTS_MAX, STUCK_MS);
    if (count == 0) {
        errno = 0;
        ends_fail(
            "stuck: of %zu connections %zu were started and %zu have ended, %zu of them badly",
            l->settings.count, l->started, l->done, l->failed);
    }
    for (int i = 0; i < count; i++)
        on_event(l, events[i].data.ptr);
}

void load_open(struct load *l)
{
    while (l->done < l->settings.count) {
        while (l->started < l->settings.count && l->under_way < l->settings.parallel)
            start(l, &l->connections[l->started++]);
        turn(l);
    }
}

void load_again(struct load *l)
{
    size_t next = 0;
    while (next < l->settings.count || l->under_way > 0) {
        for (; next < l->settings.count && l->under_way < l->settings.parallel; next++) {
            if (l->connections[next].stage != HELD)
                continue;
            l->under_way++;
            begin_sending(l, &l->connections[next]);
        }
        if (l->under_way > 0)
            turn(l);
    }
}

void load_free(struct load *l)
{
    for (size_t i = 0; i < l->started; i++) {
        if (l->connections[i].stage != UNUSED)
            close(l->connections[i].fd);
    }
    close(l->epoll);
    free(l->connections);
    free(l);
}

size_t load_failed(const struct load *l)
{
    return l->failed;
}

double load_seconds(const struct load *l)
{
    return l->ended > l->began ? (double)(l->ended - l->began) / 1e9 : 0.;
}
