/*
 * The wire itself: UDP packets with any source address, and what passes by on an interface.
 */
#ifndef ATTACK_WIRE_H
#define ATTACK_WIRE_H

#include <stddef.h>

#include "attack.h"

enum {
    WIRE_HEADERS = 28,       /* IPv4 and UDP */
    WIRE_PAYLOAD_MAX = 1472, /* on Ethernet */
    WIRE_BATCH = 64,
    WIRE_HOPS = 63, /* the TTL of what the attacks send; Linux sends 64 */
    WIRE_SNAP = 2048,
};

struct packet {
    struct place from, to;
    uint8_t bytes[WIRE_HEADERS + WIRE_PAYLOAD_MAX];
    size_t payload_length;
};

static inline uint8_t *packet_payload(struct packet *p)
{
    return p->bytes + WIRE_HEADERS;
}

/* A socket for packets with any source, or -1 and a message. */
int wire_open_raw(void);
/* How many of the packets left; the kernel refuses none but for want of memory. */
size_t wire_send(int fd, struct packet *packets, size_t count);

/* What was seen passing by: the payload of a UDP packet, or of a TCP segment. */
struct sight {
    struct place from, to;
    uint8_t protocol, hops;
    const uint8_t *payload;
    size_t length;  /* of the payload that is at hand */
    size_t claimed; /* of the payload on the wire */
};

/* Packets of IPPROTO_UDP, or of UDP and TCP, at most `snap` bytes of each; -1 and a message. */
int wire_open_sniffer(const char *interface, bool tcp, uint32_t snap);
/* Waits at most `milliseconds`, then tells of each packet that has come. */
void wire_sniff(int fd, int milliseconds, void (*see)(void *, const struct sight *), void *owner);
/* How many packets the sniffer has missed so far. */
uint64_t wire_missed(int fd);

#endif
