/*
 * Datagrams that nobody wants, from many addresses (127.0.0.0/8 is all the host's own), as fast as
 * the loopback takes them; and sessions that are begun and go no further.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum {
    SOURCES = 1024,
    SOURCE_BASE = 0x7f100001, /* 127.16.0.1 */
    BATCH = 64,
    RING = 64 * BATCH, /* made beforehand */
    DATAGRAM_MAX = 1472,
    LEGAL_MAX = 1200,
    PARTIAL = 300, /* of a ClientHello */
};

struct datagram {
    uint16_t length;
    uint8_t bytes[DATAGRAM_MAX];
};

typedef void make(struct datagram *d);

static size_t below(uint64_t limit)
{
    return (size_t)(load_number() % limit);
}

static void noise(struct datagram *d, size_t length)
{
    d->length = (uint16_t)length;
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word = load_number();
        memcpy(d->bytes + i, &word, length - i < sizeof(word) ? length - i : sizeof(word));
    }
}

/* A good header with an id that nobody has, and then noise that is no record. */
static void header(struct datagram *d, uint8_t sequence)
{
    noise(d, HEADER_BYTES + 1 + below(LEGAL_MAX - HEADER_BYTES));
    d->bytes[0] = (d->bytes[0] & 0x3f) | 0x80;
    d->bytes[2] |= 0x80;
    memset(d->bytes + ID_BYTES, 0, HEADER_BYTES - ID_BYTES - 1);
    d->bytes[HEADER_BYTES - 1] = sequence;
    d->bytes[HEADER_BYTES] = 0xff;
}

static void make_random(struct datagram *d)
{
    noise(d, HEADER_BYTES + below(LEGAL_MAX - HEADER_BYTES + 1));
}

static void make_orphan(struct datagram *d)
{
    header(d, (uint8_t)(2 + below(62)));
}

static void make_payload(struct datagram *d)
{
    header(d, 1);
}

static void make_short(struct datagram *d)
{
    noise(d, below(HEADER_BYTES));
}

static void make_long(struct datagram *d)
{
    noise(d, LEGAL_MAX + 1 + below(DATAGRAM_MAX - LEGAL_MAX));
}

static void make_hello(struct datagram *d)
{
    d->length = REQUEST_BYTES;
    load_request(d->bytes, load_number());
}

static void make_wrong_id(struct datagram *d)
{
    make_hello(d);
    d->bytes[5]++;
}

static const struct kind {
    const char *name;
    make *make;
    bool fresh; /* each must be another one */
} kinds[] = {
    {"random", make_random, false},   {"orphan", make_orphan, false},
    {"payload", make_payload, false}, {"wrong-id", make_wrong_id, true},
    {"hello", make_hello, true},      {"short", make_short, false},
    {"long", make_long, false},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const struct kind *kind_named(const char *name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    (void)fprintf(stderr, "udp_load: flood has no kind \"%s\"; it has", name);
    for (size_t i = 0; i < KINDS; i++)
        (void)fprintf(stderr, " %s", kinds[i].name);
    (void)fprintf(stderr, "\n");
    return NULL;
}

struct flood {
    const struct kind *kind;
    int fds[SOURCES];
    struct datagram *ring;
    uint64_t sent;
};

static void send_batch(struct flood *f, uint64_t number)
{
    struct mmsghdr messages[BATCH];
    struct iovec bytes[BATCH];
    memset(messages, 0, sizeof(messages));
    struct datagram *batch = f->ring + number % (RING / BATCH) * BATCH;
    for (size_t i = 0; i < BATCH; i++) {
        if (f->kind->fresh)
            f->kind->make(&batch[i]);
        bytes[i] = (struct iovec){.iov_base = batch[i].bytes, .iov_len = batch[i].length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &bytes[i], .msg_iovlen = 1};
    }
    int fd = f->fds[number % SOURCES];
    int sent = sendmmsg(fd, messages, BATCH, MSG_DONTWAIT);
    f->sent += sent > 0 ? (uint64_t)sent : 0;
}

/* So many are due by now; returns whether to go on at once. */
static bool is_due(const struct flood *f, const struct order *order, uint64_t since)
{
    if (order->rate == 0)
        return true;
    return (double)f->sent <= order->rate * (double)(load_clock() - since) / 1e6;
}

static void open_sources(struct flood *f, const struct order *order)
{
    for (uint32_t i = 0; i < SOURCES; i++)
        f->fds[i] = load_udp_socket(order, SOURCE_BASE + i);
    f->ring = calloc(RING, sizeof(*f->ring));
    if (f->ring == NULL)
        load_fail("memory");
}

int load_flood(const struct order *order, const char *kind)
{
    static struct flood f;
    f.kind = kind_named(kind);
    if (f.kind == NULL)
        return 2;
    open_sources(&f, order);
    for (size_t i = 0; i < RING; i++)
        f.kind->make(&f.ring[i]);
    uint64_t since = load_clock(), until = since + (uint64_t)(order->seconds * 1e6);
    for (uint64_t number = 0; !load_is_over(until);)
        if (is_due(&f, order, since))
            send_batch(&f, number++);
        else
            usleep(100);
    double seconds = (double)(load_clock() - since) / 1e6;
    printf("%s,%lu,%.3f\n", kind, f.sent, seconds);
    free(f.ring);
    return 0;
}

/* Pending ones end after 10 s (protocol §8): as many are begun anew as end. */
int load_hold(const struct order *order)
{
    enum { LIFE_US = 10000000 };
    static struct flood f;
    struct datagram d;
    open_sources(&f, order);
    uint64_t since = load_clock(), until = since + (uint64_t)(order->seconds * 1e6);
    while (!load_is_over(until)) {
        uint64_t age = load_clock() - since;
        uint64_t due = order->at_once + (uint64_t)order->at_once * age / LIFE_US;
        for (; f.sent < due; f.sent++) {
            make_wrong_id(&d);
            if (send(f.fds[f.sent % SOURCES], d.bytes, PARTIAL, 0) < 0 && errno == EAGAIN)
                break;
        }
        usleep(10000);
    }
    free(f.ring);
    return 0;
}
