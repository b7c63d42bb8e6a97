/*
 * Attacks that only send datagrams, from addresses that are not theirs.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hello.h"
#include "pace.h"
#include "wire.h"

enum {
    SPOOFED = 0x64400000u,    /* 100.64.0.0/10: nobody is there */
    SPOOFED_COUNT = 1u << 21, /* its first half */
    VICTIMS = 0x64600000u,    /* and the second */
    PORT_MIN = 1024,
    REUSED_IDS = 64,
    TWO_CHUNKS = 1400, /* of a ClientHello */
    PAYLOAD_MAX = 1184,
    LARGE_CHUNKS = 16,
    BEGUN = 64,
};

struct flood {
    const struct order *order;
    struct random random;
    struct hello hello;
    uint8_t ids[REUSED_IDS][ID_BYTES];
    uint64_t number; /* of the packet that is being made */
    /* The attack on the budget: the sessions begun lately, to be given up again. */
    uint8_t begun[BEGUN][ID_BYTES];
    struct place attacker, victim;
};

typedef void compose(struct flood *flood, struct packet *packet);

/* ---- parts ---- */

static struct place somewhere(struct flood *f, uint32_t net)
{
    return (struct place){net + random_below(&f->random, SPOOFED_COUNT),
                          (uint16_t)(PORT_MIN + random_below(&f->random, 65536 - PORT_MIN))};
}

static void write_request(struct packet *p, const uint8_t *id, uint8_t flags, uint32_t sequence,
                          const uint8_t *payload, size_t length)
{
    header_write(packet_payload(p), id, flags, sequence);
    if (length > 0)
        memcpy(packet_payload(p) + HEADER_BYTES, payload, length);
    p->payload_length = HEADER_BYTES + length;
}

static void write_noise(struct flood *f, struct packet *p, const uint8_t *id, uint8_t flags,
                        uint32_t sequence)
{
    uint8_t noise[PAYLOAD_MAX];
    size_t length = random_below(&f->random, PAYLOAD_MAX + 1);
    random_fill(&f->random, noise, length);
    write_request(p, id, flags, sequence, noise, length);
}

/* ---- ClientHellos ---- */

/* These fill the TLS server. */
static void compose_hello(struct flood *f, struct packet *p)
{
    p->from = somewhere(f, SPOOFED);
    if (f->order->sources > 0)
        p->from.ip = SPOOFED + random_below(&f->random, f->order->sources);
    hello_freshen(&f->hello, &f->random);
    write_request(p, f->hello.id, 0, 1, f->hello.bytes, f->hello.length);
}

/* These fill our memory: the second chunk never comes. */
static void compose_partial(struct flood *f, struct packet *p)
{
    p->from = somewhere(f, SPOOFED);
    hello_freshen(&f->hello, &f->random);
    write_request(p, f->hello.id, 0, 1, f->hello.bytes, PAYLOAD_MAX);
}

/* 64 KiB by UDP: the first chunk says how long it is going to be. */
static void compose_large(struct flood *f, struct packet *p)
{
    p->from = somewhere(f, SPOOFED);
    uint32_t chunk = (uint32_t)(f->number % LARGE_CHUNKS);
    if (chunk == 0)
        hello_freshen(&f->hello, &f->random);
    write_request(p, f->hello.id, 0, 1 + chunk, f->hello.bytes + (size_t)chunk * PAYLOAD_MAX,
                  PAYLOAD_MAX);
}

/* ---- random datagrams ---- */

static void compose_junk(struct flood *f, struct packet *p)
{
    static const uint8_t record_id[ID_BYTES] = {0x16, 0x03, 0x81};
    uint8_t id[ID_BYTES];
    id_guess(id, &f->random);
    p->from = somewhere(f, SPOOFED);
    uint32_t any = random_below(&f->random, 256);
    switch (f->number % 6) {
    case 0: /* nothing at all, up to what Ethernet carries */
        p->payload_length = random_below(&f->random, WIRE_PAYLOAD_MAX + 1);
        random_fill(&f->random, packet_payload(p), p->payload_length);
        break;
    case 1: write_noise(f, p, id, 0, 1); break;
    case 2: write_noise(f, p, id, (uint8_t)any, random_below(&f->random, 70)); break;
    case 3: write_noise(f, p, id, 0, 2 + random_below(&f->random, 14)); break;
    case 4: write_request(p, id, 0, any, NULL, 0); break;
    case 5: /* an id, or now and then a payload, that begins like a record */
        write_noise(f, p, record_id, 0, 1);
        if (any == 0)
            write_request(p, id, 0, 1, (const uint8_t *)"\x16\x03\x01\x02\x00noise", 10);
        break;
    }
}

/* ---- ids, guessed and reused ---- */

/* In the name of the well-behaved clients; ids of our own are used again and again. */
static void compose_guess(struct flood *f, struct packet *p)
{
    uint8_t id[ID_BYTES];
    id_guess(id, &f->random);
    p->from = (struct place){f->order->client,
                             (uint16_t)(32768 + random_below(&f->random, 65536 - 32768))};
    const uint8_t *mine = f->ids[random_below(&f->random, REUSED_IDS)];
    uint32_t sequence = 1 + random_below(&f->random, 16);
    switch (f->number % 5) {
    case 0: write_request(p, id, FLAG_ABORT, sequence, NULL, 0); break;
    case 1: write_noise(f, p, id, 0, sequence); break;
    case 2: write_request(p, id, 0, sequence + 1, NULL, 0); break;
    case 3: /* another ClientHello under an id that had one */
        p->from = somewhere(f, SPOOFED);
        hello_freshen(&f->hello, &f->random);
        write_request(p, mine, 0, 1, f->hello.bytes, f->hello.length);
        break;
    case 4: write_request(p, mine, FLAG_ABORT, 17, NULL, 0); break;
    }
}

/* ---- budget ---- */

enum { BUDGET_STEPS = 8, GIVE_UP_AFTER = 16 };

/*
 * A session at a time: large requests from one address, the last request from another's, so that
 * the flight might go there; later an ABORT, so that there is room for the next.
 */
static void compose_budget(struct flood *f, struct packet *p)
{
    static const uint8_t filling[PAYLOAD_MAX];
    uint64_t session = f->number / BUDGET_STEPS;
    uint32_t step = (uint32_t)(f->number % BUDGET_STEPS);
    uint8_t *id = f->begun[session % BEGUN];
    const uint8_t *earlier = f->begun[(session + BEGUN - GIVE_UP_AFTER) % BEGUN];
    if (step == 0) {
        f->attacker = somewhere(f, SPOOFED);
        f->victim = somewhere(f, VICTIMS);
        hello_freshen(&f->hello, &f->random);
        memcpy(id, f->hello.id, ID_BYTES);
    }
    p->from = step == BUDGET_STEPS - 2 ? f->victim : f->attacker;
    if (step == BUDGET_STEPS - 1)
        write_request(p, earlier, FLAG_ABORT, 20, NULL, 0);
    else if (step == BUDGET_STEPS - 2 && session % 2 == 0)
        write_request(p, id, 0, 16, NULL, 0);
    else if (step == BUDGET_STEPS - 2 || step == 0)
        write_request(p, id, 0, 1, f->hello.bytes, f->hello.length);
    else
        write_request(p, id, 0, 1 + step, filling, PAYLOAD_MAX);
}

/* ---- the flood ---- */

static void send_due(struct flood *f, int fd, struct pace *pace, uint32_t due, compose *make)
{
    static struct packet packets[WIRE_BATCH];
    while (due > 0) {
        uint32_t batch = due < WIRE_BATCH ? due : WIRE_BATCH;
        for (uint32_t i = 0; i < batch; i++) {
            packets[i].to = f->order->edge;
            make(f, &packets[i]);
            f->number++;
        }
        pace_did(pace, (uint32_t)wire_send(fd, packets, batch));
        due -= batch;
    }
}

static int flood(const struct order *order, compose *make, size_t hello)
{
    static struct flood f;
    f.order = order;
    random_init(&f.random);
    hello_make(&f.hello, &f.random, hello);
    for (size_t i = 0; i < REUSED_IDS; i++)
        id_guess(f.ids[i], &f.random);
    int fd = wire_open_raw();
    if (fd < 0)
        return 1;
    struct pace pace;
    pace_start(&pace, order);
    while (!pace_over(&pace))
        send_due(&f, fd, &pace, pace_wait(&pace), make);
    (void)printf("{\"sent\": %llu, \"seconds\": %.3f}\n", (unsigned long long)pace.done,
                 pace_seconds(&pace));
    close(fd);
    return 0;
}

int flood_hellos(const struct order *order)
{
    return flood(order, compose_hello, HELLO_USUAL);
}

int flood_partial(const struct order *order)
{
    return flood(order, compose_partial, TWO_CHUNKS);
}

int flood_junk(const struct order *order)
{
    return flood(order, compose_junk, HELLO_USUAL);
}

int flood_guesses(const struct order *order)
{
    return flood(order, compose_guess, HELLO_USUAL);
}

int flood_budget(const struct order *order)
{
    return flood(order, compose_budget, HELLO_USUAL);
}

int flood_large(const struct order *order)
{
    return flood(order, compose_large, HELLO_LARGE);
}
