/* The TLS server: says its flight when the ClientHello has come, and a reply behind the answer. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { FDS_MAX = 65536, EVENTS = 64 };

struct server {
    int listener, epoll;
    uint8_t flight[FLIGHT_BYTES], reply[REPLY_BYTES];
    uint32_t got[FDS_MAX]; /* bytes, by descriptor */
};

static void watch(struct server *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(struct server *s)
{
    int fd;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= FDS_MAX) {
            close(fd);
            continue;
        }
        s->got[fd] = 0;
        watch(s, fd);
    }
}

static void hear(struct server *s, int fd)
{
    uint8_t bytes[4096];
    ssize_t n = read(fd, bytes, sizeof(bytes));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        close(fd);
        return;
    }
    uint32_t before = s->got[fd], now = before + (uint32_t)n;
    s->got[fd] = now;
    ssize_t sent = 0;
    if (before < HELLO_BYTES && now >= HELLO_BYTES)
        sent = send(fd, s->flight, sizeof(s->flight), 0);
    if (before < HELLO_BYTES + ANSWER_BYTES && now >= HELLO_BYTES + ANSWER_BYTES)
        sent = send(fd, s->reply, sizeof(s->reply), 0);
    if (sent < 0)
        close(fd);
}

int load_serve(const struct order *order)
{
    struct server *s = calloc(1, sizeof(*s));
    struct sockaddr_in address = load_address(order->port);
    int one = 1;
    if (s == NULL)
        load_fail("memory");
    stand_in_flight(s->flight);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(s->listener, SOMAXCONN) < 0)
        load_fail("the TLS server's socket");
    watch(s, s->listener);
    struct epoll_event events[EVENTS];
    while (!load_is_over(0)) {
        int count = epoll_wait(s->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == s->listener)
                accept_all(s);
            else
                hear(s, events[i].data.fd);
    }
    free(s);
    return 0;
}
