/*
 * Responses that the edge never sent, to the very port a client has just asked from, before the
 * edge can answer. The forger either has the edge's address and must guess the id, or has the id
 * and must use another address: protocol §3.11 wants both to be right.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hello.h"
#include "pace.h"
#include "wire.h"

enum { PROFILE1 = 0x10, REFUSED = 0x20, PARITY = 0x40, PAYLOAD = 1182, CLIENTS = 64 };

struct asked {
    struct place client;
    uint8_t id[ID_BYTES];
};

struct forge {
    const struct order *order;
    struct random random;
    int fd;
    struct pace pace;
    uint64_t at_once; /* as soon as a request was seen */
    struct asked last[CLIENTS];
    size_t count;
};

/* One of: chunks, a refusal, parity; all with a payload that is no TLS. */
static void write_response(struct forge *f, struct packet *p, const uint8_t *id, uint32_t kind)
{
    static const uint8_t record[] = {0x16, 0x03, 0x03, 0x04, 0x00};
    uint8_t *at = packet_payload(p);
    uint8_t flags = kind == 6 ? PROFILE1 | REFUSED : kind == 7 ? PROFILE1 | PARITY : PROFILE1;
    uint32_t sequence = kind == 6 ? 0 : kind == 7 ? 4 : 1 + kind % 4;
    header_write(at, id, flags, sequence);
    p->payload_length = HEADER_BYTES;
    if (kind == 6)
        return;
    random_fill(&f->random, at + HEADER_BYTES, PAYLOAD);
    memcpy(at + HEADER_BYTES, record, sizeof(record));
    p->payload_length += PAYLOAD;
}

static void compose(struct forge *f, struct packet *p, const struct asked *asked, uint32_t kind)
{
    uint8_t id[ID_BYTES];
    p->to = asked->client;
    p->from = f->order->edge;
    if (kind % 2 == 0) {
        id_guess(id, &f->random);
    } else {
        memcpy(id, asked->id, ID_BYTES);
        if (kind % 4 == 1)
            p->from.ip ^= 8;
        else
            p->from.port ^= 1;
    }
    write_response(f, p, id, kind / 2 % 8);
}

static void forge(struct forge *f, const struct asked *asked)
{
    static struct packet packets[16];
    for (uint32_t i = 0; i < 16; i++)
        compose(f, &packets[i], asked, i);
    pace_did(&f->pace, (uint32_t)wire_send(f->fd, packets, 16));
}

static void see(void *owner, const struct sight *s)
{
    struct forge *f = owner;
    if (s->protocol != IPPROTO_UDP || s->to.ip != f->order->edge.ip ||
        s->to.port != f->order->edge.port || s->length < HEADER_BYTES)
        return;
    struct asked *asked = &f->last[f->count % CLIENTS];
    asked->client = s->from;
    memcpy(asked->id, s->payload, ID_BYTES);
    if (s->payload[HEADER_BYTES - 1] == 1) { /* the first request of a session */
        forge(f, asked);
        f->at_once += 16;
    }
    f->count++;
}

/* The rest of the rate: to clients that asked lately. */
static void forge_due(struct forge *f, uint32_t due)
{
    size_t known = f->count < CLIENTS ? f->count : CLIENTS;
    for (; known > 0 && due >= 16; due -= 16)
        forge(f, &f->last[random_below(&f->random, (uint32_t)known)]);
}

int forge_responses(const struct order *order)
{
    static struct forge f;
    f.order = order;
    random_init(&f.random);
    int sniffer = wire_open_sniffer(order->interface, false, WIRE_SNAP);
    f.fd = wire_open_raw();
    if (f.fd < 0 || sniffer < 0)
        return 1;
    pace_start(&f.pace, order);
    while (!pace_over(&f.pace)) {
        wire_sniff(sniffer, 1, see, &f);
        forge_due(&f, pace_wait(&f.pace));
    }
    (void)printf("{\"sent\": %llu, \"seconds\": %.3f, \"at_once\": %llu}\n",
                 (unsigned long long)f.pace.done, pace_seconds(&f.pace),
                 (unsigned long long)f.at_once);
    close(f.fd);
    close(sniffer);
    return 0;
}
