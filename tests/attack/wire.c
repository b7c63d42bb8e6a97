#include "wire.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IP_BYTES = 20,
    UDP_BYTES = 8,
    TCP_BYTES = 20,
    SNIFFER_BUFFER = 64 * 1024 * 1024,
    SEND_BUFFER = 4 * 1024 * 1024,
};

static int complain(int fd, const char *what)
{
    perror(what);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- sending ---- */

int wire_open_raw(void)
{
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0)
        return complain(fd, "a raw socket");
    int size = SEND_BUFFER;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    return fd;
}

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/* The kernel fills in the checksum of IPv4; UDP's may be absent. */
static void write_headers(struct packet *p)
{
    memset(p->bytes, 0, WIRE_HEADERS);
    p->bytes[0] = 0x45;
    put16(p->bytes + 2, WIRE_HEADERS + p->payload_length);
    p->bytes[8] = WIRE_HOPS;
    p->bytes[9] = IPPROTO_UDP;
    put32(p->bytes + 12, p->from.ip);
    put32(p->bytes + 16, p->to.ip);
    put16(p->bytes + IP_BYTES, p->from.port);
    put16(p->bytes + IP_BYTES + 2, p->to.port);
    put16(p->bytes + IP_BYTES + 4, UDP_BYTES + p->payload_length);
}

size_t wire_send(int fd, struct packet *packets, size_t count)
{
    struct mmsghdr messages[WIRE_BATCH];
    struct iovec vectors[WIRE_BATCH];
    struct sockaddr_in to[WIRE_BATCH];
    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < count; i++) {
        write_headers(&packets[i]);
        to[i] = place_sockaddr(packets[i].to);
        vectors[i] = (struct iovec){packets[i].bytes, WIRE_HEADERS + packets[i].payload_length};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &to[i],
                                              .msg_namelen = sizeof(to[i]),
                                              .msg_iov = &vectors[i],
                                              .msg_iovlen = 1};
    }
    int sent = sendmmsg(fd, messages, (unsigned)count, 0);
    return sent < 0 ? 0 : (size_t)sent;
}

/* ---- watching ---- */

static bool filter(int fd, bool tcp, uint32_t snap)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* the protocol */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, tcp ? IPPROTO_TCP : IPPROTO_UDP, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, snap),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0;
}

int wire_open_sniffer(const char *interface, bool tcp, uint32_t snap)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return complain(fd, "a packet socket");
    int size = SNIFFER_BUFFER;
    struct sockaddr_ll wire = {.sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_ALL),
                               .sll_ifindex = (int)if_nametoindex(interface)};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0 ||
        !filter(fd, tcp, snap) || bind(fd, (struct sockaddr *)&wire, sizeof(wire)) != 0)
        return complain(fd, interface);
    return fd;
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* False: no UDP, no TCP, or a piece of one. */
static bool parse(struct sight *s, const uint8_t *packet, size_t length)
{
    size_t ip = length < IP_BYTES ? 0 : (size_t)(packet[0] & 0x0f) * 4;
    if (ip < IP_BYTES || packet[0] >> 4 != 4)
        return false;
    const uint8_t *at = packet + ip;
    s->protocol = packet[9];
    if (length < ip + (s->protocol == IPPROTO_TCP ? TCP_BYTES : UDP_BYTES))
        return false;
    s->hops = packet[8];
    s->from = (struct place){get32(packet + 12), get16(at)};
    s->to = (struct place){get32(packet + 16), get16(at + 2)};
    size_t header = s->protocol == IPPROTO_TCP ? (size_t)(at[12] >> 4) * 4 : UDP_BYTES;
    size_t total = get16(packet + 2);
    if (total < ip + header || length < ip + header)
        return false;
    s->payload = at + header;
    s->claimed = total - ip - header;
    s->length = length - ip - header < s->claimed ? length - ip - header : s->claimed;
    return true;
}

void wire_sniff(int fd, int milliseconds, void (*see)(void *, const struct sight *), void *owner)
{
    static uint8_t packets[WIRE_BATCH][WIRE_SNAP];
    struct mmsghdr messages[WIRE_BATCH];
    struct iovec vectors[WIRE_BATCH];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (milliseconds > 0 && poll(&ready, 1, milliseconds) <= 0)
        return;
    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < WIRE_BATCH; i++) {
        vectors[i] = (struct iovec){packets[i], WIRE_SNAP};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count;
    do {
        count = recvmmsg(fd, messages, WIRE_BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            struct sight sight;
            if (parse(&sight, packets[i], messages[i].msg_len))
                see(owner, &sight);
        }
    } while (count == WIRE_BATCH);
}

uint64_t wire_missed(int fd)
{
    struct tpacket_stats stats = {0};
    socklen_t length = sizeof(stats);
    (void)getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length);
    return stats.tp_drops;
}
