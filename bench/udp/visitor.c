/*
 * Clients of an edge: turbo ones, which speak the protocol as a client end does as far as its
 * timing matters (without parity and learning), and classic ones.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum {
    CHUNK = 1182,
    CHUNKS = (FLIGHT_BYTES + CHUNK - 1) / CHUNK,
    REQUESTS = CHUNKS + 3,
    GIVE_UP_US = 10000000,
    PROFILE1 = 0x10,
    REFUSED = 0x30,
    REPLAY = 1,
    EVENTS = 64,
    AT_ONCE_MAX = 1024,
    TIMES_MAX = 1 << 20,
    UDP_EVENT = AT_ONCE_MAX,
};

enum step { IDLE, ASKING, READING };
enum way { TURBO, RESUMED, CLASSIC, WAYS };

struct visit {
    enum step step;
    bool turbo; /* as it began */
    enum way way;
    int fd;
    uint64_t began, heard; /* heard: of UDP */
    uint8_t request[REQUEST_BYTES];
    uint32_t chunks;         /* bit k-1: chunk k came */
    uint32_t expected, sent; /* bytes on TCP: from the server; of the answer: 0, or all */
};

struct tally {
    uint64_t ways[WAYS], failed, count;
    uint32_t *times;
};

struct visitor {
    const struct order *order;
    int epoll, udp;
    uint32_t at_once, began;
    struct visit visits[AT_ONCE_MAX];
    struct tally turbo, classic;
    uint64_t since;
};

static void over(struct visitor *v, struct visit *visit, bool failed)
{
    struct tally *tally = visit->turbo ? &v->turbo : &v->classic;
    close(visit->fd);
    visit->step = IDLE;
    if (failed) {
        tally->failed++;
        return;
    }
    tally->ways[visit->way]++;
    if (tally->count < TIMES_MAX)
        tally->times[tally->count++] = (uint32_t)(load_clock() - visit->began);
}

/* What is not taken at once fails: it is little, and the socket's buffer is empty. */
static bool say(const struct visit *visit, const uint8_t *bytes, size_t length)
{
    return send(visit->fd, bytes, length, 0) == (ssize_t)length;
}

static size_t put_answer(uint8_t *out)
{
    static const uint8_t header[] = {0x17, 3, 3, (ANSWER_BYTES - 5) >> 8,
                                     (ANSWER_BYTES - 5) & 0xff};
    memset(out, 0, ANSWER_BYTES);
    memcpy(out, header, sizeof(header));
    return ANSWER_BYTES;
}

static uint32_t chunks_in_order(const struct visit *visit)
{
    uint32_t n = 0;
    while (n < CHUNKS && (visit->chunks >> n & 1) != 0)
        n++;
    return n;
}

/* The opening: behind a whole flight the answer goes with it. */
static void open_tcp(struct visitor *v, struct visit *visit)
{
    uint8_t out[REQUEST_BYTES + ANSWER_BYTES];
    uint32_t n = chunks_in_order(visit);
    size_t length = REQUEST_BYTES;
    visit->step = READING;
    visit->expected = n == CHUNKS ? REPLY_BYTES : FLIGHT_BYTES - n * CHUNK + REPLY_BYTES;
    visit->way = n == CHUNKS ? TURBO : RESUMED;
    memcpy(out, visit->request, REQUEST_BYTES);
    out[ID_BYTES] = REPLAY;
    out[HEADER_BYTES - 1] = (uint8_t)n;
    if (n == CHUNKS)
        length += visit->sent = (uint32_t)put_answer(out + REQUEST_BYTES);
    bool classic = visit->chunks == 0;
    if (classic)
        visit->way = CLASSIC;
    if (!(classic ? say(visit, out + HEADER_BYTES, HELLO_BYTES) : say(visit, out, length)))
        over(v, visit, true);
}

static void hear_tcp(struct visitor *v, struct visit *visit)
{
    uint8_t bytes[8192];
    ssize_t n = read(visit->fd, bytes, sizeof(bytes));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || (size_t)n > visit->expected) {
        over(v, visit, true);
        return;
    }
    visit->expected -= (uint32_t)n;
    if (visit->expected == 0) {
        over(v, visit, false);
    } else if (visit->expected == REPLY_BYTES && visit->sent == 0) {
        visit->sent = (uint32_t)put_answer(bytes);
        if (!say(visit, bytes, ANSWER_BYTES))
            over(v, visit, true);
    }
}

static struct visit *visit_of(struct visitor *v, const uint8_t *id)
{
    for (uint32_t i = 0; i < v->at_once; i++)
        if (v->visits[i].step == ASKING && memcmp(v->visits[i].request, id, ID_BYTES) == 0)
            return &v->visits[i];
    return NULL;
}

static void hear_chunk(struct visitor *v, struct visit *visit, uint32_t number)
{
    visit->chunks |= 1u << (number - 1);
    if (chunks_in_order(visit) == CHUNKS)
        open_tcp(v, visit);
}

static void hear_udp(struct visitor *v)
{
    uint8_t bytes[2048];
    while (recv(v->udp, bytes, sizeof(bytes), 0) >= HEADER_BYTES) {
        uint32_t number = bytes[HEADER_BYTES - 1];
        struct visit *visit = visit_of(v, bytes);
        if (visit != NULL && bytes[ID_BYTES] == REFUSED && visit->chunks == 0)
            open_tcp(v, visit);
        else if (visit != NULL && bytes[ID_BYTES] == PROFILE1 && number >= 1 && number <= CHUNKS)
            hear_chunk(v, visit, number);
    }
}

/* The requests, in one call: equal ones, which the kernel cuts (udp(7), UDP_SEGMENT). */
static bool ask(struct visitor *v, struct visit *visit)
{
    uint8_t out[REQUESTS * REQUEST_BYTES];
    for (size_t i = 0; i < REQUESTS; i++) {
        memcpy(out + i * REQUEST_BYTES, visit->request, REQUEST_BYTES);
        out[i * REQUEST_BYTES + HEADER_BYTES - 1] = (uint8_t)(1 + i);
    }
    return send(v->udp, out, sizeof(out), 0) == (ssize_t)sizeof(out);
}

static void begin(struct visitor *v, uint32_t index)
{
    struct visit *visit = &v->visits[index];
    struct sockaddr_in edge = load_address(v->order->port);
    int one = 1;
    bool turbo = v->order->turbo && (!v->order->classic || v->began % 2 == 0);
    v->began++;
    *visit = (struct visit){.step = READING, .turbo = turbo, .way = CLASSIC};
    visit->began = load_clock();
    visit->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(visit->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    load_request(visit->request, load_number());
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = index};
    if (connect(visit->fd, (struct sockaddr *)&edge, sizeof(edge)) < 0 && errno != EINPROGRESS)
        load_fail("connect");
    epoll_ctl(v->epoll, EPOLL_CTL_ADD, visit->fd, &event);
    visit->expected = FLIGHT_BYTES + REPLY_BYTES;
    if (!turbo) {
        if (!say(visit, visit->request + HEADER_BYTES, HELLO_BYTES))
            over(v, visit, true);
        return;
    }
    visit->step = ASKING;
    if (!ask(v, visit))
        open_tcp(v, visit);
}

static void look_after(struct visitor *v, struct visit *visit, uint64_t now)
{
    if (visit->step == ASKING && now >= visit->began + v->order->wait_us)
        open_tcp(v, visit);
    if (visit->step != IDLE && now >= visit->began + GIVE_UP_US)
        over(v, visit, true);
}

/* Those whose time has come. */
static void begin_due(struct visitor *v, uint64_t now)
{
    for (uint32_t i = 0; i < v->at_once; i++) {
        if (v->visits[i].step != IDLE)
            continue;
        if (v->order->rate > 0 && v->began > v->order->rate * (double)(now - v->since) / 1e6)
            return;
        begin(v, i);
    }
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void tell(const char *name, struct tally *t, double seconds)
{
    qsort(t->times, t->count, sizeof(t->times[0]), ascending);
    double median = t->count > 0 ? t->times[t->count / 2] : 0;
    double late = t->count > 0 ? t->times[t->count * 99 / 100] : 0;
    printf("%s,%.0f,%lu,%lu,%lu,%lu,%.0f,%.0f\n", name, (double)t->count / seconds, t->ways[TURBO],
           t->ways[RESUMED], t->ways[CLASSIC], t->failed, median, late);
}

int load_visit(const struct order *order)
{
    static struct visitor v;
    struct epoll_event events[EVENTS];
    int segment = REQUEST_BYTES;
    v.order = order;
    v.at_once = order->at_once < AT_ONCE_MAX ? order->at_once : AT_ONCE_MAX;
    v.turbo.times = calloc(TIMES_MAX, sizeof(uint32_t));
    v.classic.times = calloc(TIMES_MAX, sizeof(uint32_t));
    v.epoll = epoll_create1(EPOLL_CLOEXEC);
    v.udp = load_udp_socket(order, 0);
    if (setsockopt(v.udp, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0)
        load_fail("UDP_SEGMENT");
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UDP_EVENT};
    epoll_ctl(v.epoll, EPOLL_CTL_ADD, v.udp, &event);
    v.since = load_clock();
    uint64_t until = v.since + (uint64_t)(order->seconds * 1e6), now;
    while (!load_is_over(until)) {
        now = load_clock();
        begin_due(&v, now);
        for (uint32_t i = 0; i < v.at_once; i++)
            look_after(&v, &v.visits[i], now);
        int count = epoll_wait(v.epoll, events, EVENTS, 1);
        for (int i = 0; i < count; i++)
            if (events[i].data.u32 == UDP_EVENT)
                hear_udp(&v);
            else if (v.visits[events[i].data.u32].step == READING)
                hear_tcp(&v, &v.visits[events[i].data.u32]);
    }
    double seconds = (double)(load_clock() - v.since) / 1e6;
    tell("turbo", &v.turbo, seconds);
    tell("classic", &v.classic, seconds);
    free(v.turbo.times);
    free(v.classic.times);
    return 0;
}
