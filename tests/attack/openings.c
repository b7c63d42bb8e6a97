#include "openings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pace.h"

enum {
    SOURCES = 0x0a630000, /* 10.99.0.0/16 */
    EVENTS = 256,
    ANSWER_SECONDS = 2,
    NS_A_SECOND = 1000000000,
    TLS_HANDSHAKE_RECORD = 0x16,
};

struct opening {
    int fd; /* -1: free */
    uint64_t since;
    size_t said;
    struct speech *speech; /* NULL once it has been said */
    enum then then;
};

struct tally {
    uint64_t opened, failed, reset, closed, answered, unanswered;
    uint32_t open, most_open;
};

struct engine {
    struct openings openings;
    struct opening *slots;
    uint32_t *free, free_count;
    int epoll, sniffer;
    struct tally tally;
    speak *what;
};

/* ---- one opening ---- */

static void watch(const struct engine *e, const struct opening *o, uint32_t events, int how)
{
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(o - e->slots)};
    (void)epoll_ctl(e->epoll, how, o->fd, &event);
}

static void finish(struct engine *e, struct opening *o, bool reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        (void)setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(o->fd);
    o->fd = -1;
    free(o->speech);
    o->speech = NULL;
    e->free[e->free_count++] = (uint32_t)(o - e->slots);
    e->tally.open--;
}

static int connect_from(uint32_t source, const struct place *edge)
{
    int on = 1;
    struct sockaddr_in from = place_sockaddr((struct place){source, 0});
    struct sockaddr_in to = place_sockaddr(*edge);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
        (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS))
        return fd;
    close(fd);
    return -1;
}

static void begin(struct engine *e)
{
    uint32_t source = SOURCES + random_below(&e->openings.random, 1 << 16);
    int fd = connect_from(source, &e->openings.order->edge);
    struct speech *speech = fd < 0 ? NULL : malloc(sizeof(*speech));
    if (speech == NULL) {
        e->tally.failed++;
        if (fd >= 0)
            close(fd);
        return;
    }
    struct opening *o = &e->slots[e->free[--e->free_count]];
    *o = (struct opening){.fd = fd, .since = pace_clock(), .speech = speech};
    e->what(&e->openings, speech);
    e->openings.number++;
    o->then = speech->then;
    e->tally.open++;
    watch(e, o, EPOLLOUT | EPOLLIN, EPOLL_CTL_ADD);
}

static void said_all(struct engine *e, struct opening *o)
{
    free(o->speech);
    o->speech = NULL;
    e->tally.opened++;
    if (o->then == THEN_RESET || o->then == THEN_CLOSE)
        finish(e, o, o->then == THEN_RESET);
    else
        watch(e, o, EPOLLIN, EPOLL_CTL_MOD);
    if (e->tally.open > e->tally.most_open)
        e->tally.most_open = e->tally.open;
}

static void say(struct engine *e, struct opening *o)
{
    size_t left = o->speech->length - o->said;
    ssize_t n = left == 0 ? 0 : send(o->fd, o->speech->bytes + o->said, left, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        e->tally.failed++;
        finish(e, o, true);
        return;
    }
    o->said += (size_t)n;
    if (o->said == o->speech->length)
        said_all(e, o);
}

static void hear(struct engine *e, struct opening *o)
{
    uint8_t bytes[4096];
    ssize_t n = recv(o->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && bytes[0] == TLS_HANDSHAKE_RECORD)
        e->tally.answered++;
    else if (n < 0)
        e->tally.reset++;
    else
        e->tally.closed++;
    finish(e, o, true);
}

/* ---- all of them ---- */

static void handle_events(struct engine *e)
{
    struct epoll_event events[EVENTS];
    int count;
    do {
        count = epoll_wait(e->epoll, events, EVENTS, 0);
        for (int i = 0; i < count; i++) {
            struct opening *o = &e->slots[events[i].data.u32];
            if (o->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
                hear(e, o);
            else if (o->fd >= 0 && o->speech != NULL)
                say(e, o);
        }
    } while (count == EVENTS);
}

/* Who waits for an answer does not do so for ever. */
static void give_up_old(struct engine *e)
{
    uint64_t now = pace_clock();
    for (uint32_t i = 0; i < e->openings.order->at_once; i++) {
        struct opening *o = &e->slots[i];
        if (o->fd < 0 || o->then == THEN_HOLD ||
            now - o->since < (uint64_t)ANSWER_SECONDS * NS_A_SECOND)
            continue;
        e->tally.unanswered++;
        finish(e, o, true);
    }
}

static void record(void *owner, const struct sight *s)
{
    struct openings *o = owner;
    if (s->protocol != IPPROTO_TCP || s->from.ip != o->order->client ||
        s->to.port != o->order->edge.port || s->length <= HEADER_BYTES ||
        (s->payload[0] & 0xc0) != 0x80 || s->payload[ID_BYTES] != FLAG_REPLAY)
        return;
    struct recorded *r = &o->recorded[o->recorded_count++ % RECORDED_MAX];
    memcpy(r->bytes, s->payload, s->length);
    r->length = s->length;
    r->at = pace_clock();
}

static bool set_up(struct engine *e, const struct order *order, bool sniff)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    e->slots = calloc(order->at_once, sizeof(*e->slots));
    e->free = calloc(order->at_once, sizeof(*e->free));
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->sniffer = sniff ? wire_open_sniffer(order->interface, true, WIRE_SNAP) : -1;
    if (e->slots == NULL || e->free == NULL || e->epoll < 0 || (sniff && e->sniffer < 0))
        return false;
    for (uint32_t i = 0; i < order->at_once; i++) {
        e->slots[i].fd = -1;
        e->free[e->free_count++] = i;
    }
    return true;
}

static void run(struct engine *e, struct pace *pace)
{
    uint64_t looked = pace_clock();
    while (!pace_over(pace)) {
        uint32_t due = pace_wait(pace), begun = 0;
        for (; begun < due && e->free_count > 0; begun++)
            begin(e);
        pace_did(pace, begun);
        handle_events(e);
        if (e->sniffer >= 0)
            wire_sniff(e->sniffer, 0, record, &e->openings);
        if (pace_clock() - looked > NS_A_SECOND / 10) {
            looked = pace_clock();
            give_up_old(e);
        }
    }
}

static void report(const struct tally *t, const struct pace *pace)
{
    (void)printf("{\"sent\": %llu, \"seconds\": %.3f, \"failed\": %llu, \"most_open\": %u, "
                 "\"reset\": %llu, \"closed\": %llu, \"answered\": %llu, \"unanswered\": %llu}\n",
                 (unsigned long long)t->opened, pace_seconds(pace), (unsigned long long)t->failed,
                 t->most_open, (unsigned long long)t->reset, (unsigned long long)t->closed,
                 (unsigned long long)t->answered, (unsigned long long)t->unanswered);
}

int openings_run(const struct order *order, speak *what, size_t hello, bool sniff)
{
    static struct engine e;
    e.openings.order = order;
    e.what = what;
    random_init(&e.openings.random);
    hello_make(&e.openings.hello, &e.openings.random, hello);
    if (!set_up(&e, order, sniff)) {
        perror("openings");
        return 1;
    }
    struct pace pace;
    pace_start(&pace, order);
    run(&e, &pace);
    report(&e.tally, &pace);
    for (uint32_t i = 0; i < order->at_once; i++)
        if (e.slots[i].fd >= 0)
            finish(&e, &e.slots[i], true);
    free(e.slots);
    free(e.free);
    close(e.epoll);
    return 0;
}
