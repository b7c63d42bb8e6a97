/*
 * Requests of the well-behaved clients, recorded on the wire and sent again: from where they came
 * and from elsewhere, while their sessions are joined and after these have ended. A recording is
 * at least OLD_ENOUGH: who is on the path and faster than a client can do worse to any TCP.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pace.h"
#include "random.h"
#include "wire.h"

enum { RECORDINGS = 4096, PORT_MIN = 1024 };
static const uint64_t OLD_ENOUGH = 100000000; /* ns */

struct recording {
    struct place from;
    uint8_t bytes[WIRE_PAYLOAD_MAX];
    size_t length;
    uint64_t at;
};

struct replay {
    const struct order *order;
    struct random random;
    struct recording recordings[RECORDINGS];
    size_t count, oldest_fresh; /* recorded so far; the first that is not old enough */
};

static void record(void *owner, const struct sight *s)
{
    struct replay *r = owner;
    if (s->protocol != IPPROTO_UDP || s->hops == WIRE_HOPS || s->to.ip != r->order->edge.ip ||
        s->to.port != r->order->edge.port || s->length > WIRE_PAYLOAD_MAX)
        return;
    struct recording *next = &r->recordings[r->count++ % RECORDINGS];
    next->from = s->from;
    next->length = s->length;
    next->at = pace_clock();
    memcpy(next->bytes, s->payload, s->length);
}

static size_t old_enough(struct replay *r)
{
    uint64_t now = pace_clock();
    while (r->oldest_fresh < r->count &&
           r->recordings[r->oldest_fresh % RECORDINGS].at + OLD_ENOUGH < now)
        r->oldest_fresh++;
    return r->oldest_fresh < RECORDINGS ? r->oldest_fresh : RECORDINGS / 2;
}

static void compose(struct replay *r, struct packet *p, size_t known)
{
    size_t newest = r->oldest_fresh - 1;
    const struct recording *one =
        &r->recordings[(newest - random_below(&r->random, (uint32_t)known)) % RECORDINGS];
    p->to = r->order->edge;
    p->from = one->from;
    if (random_below(&r->random, 2) == 0)
        p->from = (struct place){0x64400000u + random_below(&r->random, 1u << 21),
                                 (uint16_t)(PORT_MIN + random_below(&r->random, 60000))};
    memcpy(packet_payload(p), one->bytes, one->length);
    p->payload_length = one->length;
}

static void send_due(struct replay *r, int fd, struct pace *pace, uint32_t due, size_t known)
{
    static struct packet packets[WIRE_BATCH];
    while (due > 0) {
        uint32_t batch = due < WIRE_BATCH ? due : WIRE_BATCH;
        for (uint32_t i = 0; i < batch; i++)
            compose(r, &packets[i], known);
        pace_did(pace, (uint32_t)wire_send(fd, packets, batch));
        due -= batch;
    }
}

int replay_captures(const struct order *order)
{
    static struct replay r;
    r.order = order;
    random_init(&r.random);
    int sniffer = wire_open_sniffer(order->interface, false, WIRE_SNAP);
    int fd = wire_open_raw();
    if (fd < 0 || sniffer < 0)
        return 1;
    struct pace pace;
    pace_start(&pace, order);
    while (!pace_over(&pace)) {
        uint32_t due = pace_wait(&pace);
        wire_sniff(sniffer, 0, record, &r);
        size_t known = old_enough(&r);
        if (known > 0)
            send_due(&r, fd, &pace, due, known);
    }
    (void)printf("{\"sent\": %llu, \"seconds\": %.3f, \"recorded\": %zu}\n",
                 (unsigned long long)pace.done, pace_seconds(&pace), r.count);
    close(fd);
    close(sniffer);
    return 0;
}
