/*
 * Measures amplification on the wire: what the edge's UDP port sent to each address and port, by
 * what it had got from there (protocol §4.1). Payload bytes and datagrams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

enum { ACCOUNTS = 1 << 21, ACCOUNTS_USED = ACCOUNTS / 4 * 3, SNAP = 64 };

struct account {
    struct place place; /* ip 0: free */
    uint32_t datagrams_in, datagrams_out;
    uint64_t in, out;
};

struct meter {
    const struct order *order;
    struct account *accounts;
    size_t used;
    uint64_t in, out;
};

static struct account *account_of(struct meter *m, const struct place *place)
{
    uint64_t key = ((uint64_t)place->ip << 16 | place->port) * 0x9e3779b97f4a7c15ull;
    for (size_t i = key >> 43;; i = (i + 1) % ACCOUNTS) {
        struct account *a = &m->accounts[i];
        if (a->place.ip == place->ip && a->place.port == place->port)
            return a;
        if (a->place.ip != 0)
            continue;
        if (m->used >= ACCOUNTS_USED)
            return NULL;
        m->used++;
        a->place = *place;
        return a;
    }
}

static bool is_edge(const struct meter *m, const struct place *place)
{
    return place->ip == m->order->edge.ip && place->port == m->order->edge.port;
}

static void see(void *owner, const struct sight *s)
{
    struct meter *m = owner;
    bool in = is_edge(m, &s->to), out = !in && is_edge(m, &s->from);
    if (s->protocol != IPPROTO_UDP || (out && s->hops == WIRE_HOPS) || (!in && !out))
        return;
    struct account *a = account_of(m, in ? &s->from : &s->to);
    if (a == NULL)
        return;
    if (in) {
        a->in += s->claimed;
        a->datagrams_in++;
        m->in += s->claimed;
    } else {
        a->out += s->claimed;
        a->datagrams_out++;
        m->out += s->claimed;
    }
}

static double factor(const struct account *a)
{
    return (double)a->out / (a->in > 0 ? (double)a->in : .001);
}

static void report(const struct meter *m, uint64_t missed)
{
    struct account worst = {.place = {.ip = 0}};
    size_t beyond = 0; /* more datagrams out than in */
    for (size_t i = 0; i < ACCOUNTS; i++) {
        const struct account *a = &m->accounts[i];
        if (factor(a) > factor(&worst))
            worst = *a;
        beyond += a->datagrams_out > a->datagrams_in;
    }
    (void)printf("{\"in\": %llu, \"out\": %llu, \"addresses\": %zu, \"worst\": %.3f, "
                 "\"worst_in\": %llu, \"worst_out\": %llu, \"beyond_permits\": %zu, "
                 "\"missed\": %llu}\n",
                 (unsigned long long)m->in, (unsigned long long)m->out, m->used, factor(&worst),
                 (unsigned long long)worst.in, (unsigned long long)worst.out, beyond,
                 (unsigned long long)missed);
}

int measure(const struct order *order)
{
    struct meter m = {.order = order, .accounts = calloc(ACCOUNTS, sizeof(struct account))};
    int fd = wire_open_sniffer(order->interface, false, SNAP);
    if (fd < 0 || m.accounts == NULL) {
        free(m.accounts);
        return 1;
    }
    (void)printf("measuring\n");
    (void)fflush(stdout);
    while (!attack_stopped())
        wire_sniff(fd, 20, see, &m);
    wire_sniff(fd, 0, see, &m);
    report(&m, wire_missed(fd));
    free(m.accounts);
    close(fd);
    return 0;
}
