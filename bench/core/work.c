#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stand_in.h"
#include "turbo/client.h"
#include "turbo/server.h"

enum {
    ONE_WAY = 20 * TURBO_MILLISECOND,
    LOST_CHUNK = 2,
    FLIGHT_CHUNKS = 3,
    DATAGRAMS_MAX = 64,
};

struct datagram {
    size_t length;
    uint8_t data[TURBO_DATAGRAM_MAX];
};

struct ends {
    struct turbo_endpoint *endpoint;
    void *client_memory, *session_memory;
    struct turbo_client *client;
    struct turbo_server *session;
    struct turbo_path path;
    turbo_time now;
    uint32_t lost; /* this response does not arrive; 0: all do */
    uint32_t datagrams;
    uint8_t hello[HELLO_BYTES], flight[FLIGHT_BYTES], answer[ANSWER_BYTES];
};

_Noreturn void core_fail(const char *what)
{
    (void)fprintf(stderr, "core: %s\n", what);
    exit(1);
}

static void must(bool good, const char *what)
{
    if (!good)
        core_fail(what);
}

/* Pages that count as touched once they were. */
static void *pages(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED, "no memory");
    return memory;
}

static size_t touched(const void *memory, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;
    unsigned char is_there[64];
    size_t of = (bytes + page - 1) / page;
    must(of <= sizeof(is_there) && mincore((void *)(uintptr_t)memory, bytes, is_there) == 0,
         "mincore");
    for (size_t i = 0; i < of; i++)
        count += is_there[i] & 1;
    return count * page;
}

/* ---- the two ends ---- */

static void *acquire(void *owner, size_t bytes)
{
    struct ends *e = owner;
    (void)bytes;
    return e->session_memory;
}

static void release(void *owner, void *memory)
{
    (void)owner;
    (void)memory;
}

static void ends_open(struct ends *e)
{
    struct turbo_endpoint_config config;
    memset(e, 0, sizeof(*e));
    turbo_endpoint_config_init(&config);
    for (size_t i = 0; i < sizeof(config.seed); i++)
        config.seed[i] = (uint8_t)(i * 37 + 11);
    config.sha256 = stand_in_sha256;
    config.acquire = acquire;
    config.release = release;
    config.owner = e;
    e->client_memory = pages(turbo_client_bytes());
    e->session_memory = pages(turbo_sandwich_server_bytes());
    e->endpoint = turbo_endpoint_init(malloc(turbo_endpoint_bytes(&config)), &config);
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(e->path.peer.ip, mapped, sizeof(mapped));
    memcpy(e->path.local.ip, mapped, sizeof(mapped));
    e->path.peer.ip[12] = 10;
    e->path.peer.port = 40000;
    e->path.local.port = 443;
    e->now = TURBO_SECOND;
    stand_in_flight(e->flight);
    memset(e->answer, 23, sizeof(e->answer));
}

static void ends_close(struct ends *e)
{
    turbo_endpoint_fini(e->endpoint);
    free(e->endpoint);
    munmap(e->client_memory, turbo_client_bytes());
    munmap(e->session_memory, turbo_sandwich_server_bytes());
}

/* The app speaks, and the requests leave. */
static void ask(struct ends *e, uint64_t number)
{
    struct turbo_client_config config;
    struct datagram d;
    turbo_client_config_init(&config, stand_in_sha256);
    config.speaks = true;
    config.rtt_us = 2ull * ONE_WAY;
    config.expected_chunks = FLIGHT_CHUNKS;
    config.expected_bytes = FLIGHT_BYTES;
    config.requests_max = TURBO_REQUESTS_MAX;
    stand_in_hello(e->hello, number);
    e->client = turbo_client_init(e->client_memory, &config, e->now);
    turbo_client_push(e->client, e->now, e->hello, HELLO_BYTES);
    e->now += ONE_WAY;
    while ((d.length = turbo_client_poll_datagram(e->client, d.data)) > 0) {
        turbo_endpoint_datagram(e->endpoint, e->now, &e->path, d.data, d.length);
        e->datagrams++;
    }
    must(turbo_endpoint_poll_event(e->endpoint, &e->session) == TURBO_EVENT_NEW, "no session");
}

static bool is_lost(const struct ends *e, const uint8_t *data)
{
    const uint8_t *header = data + TURBO_ID_BYTES;
    return e->lost > 0 && header[0] == TURBO_FLAG_PROFILE1 && header[3] == e->lost;
}

static void responses(struct ends *e, struct datagram *out, size_t *count)
{
    struct turbo_path path;
    while (*count < DATAGRAMS_MAX && (out[*count].length = turbo_endpoint_poll_datagram(
                                          e->endpoint, e->now, out[*count].data, &path)) > 0)
        (*count)++;
}

/* The TLS server speaks, and the responses leave: the flight, and then what permits are left for.
 */
static void serve(struct ends *e)
{
    static struct datagram sent[DATAGRAMS_MAX];
    const uint8_t *hello;
    size_t count = 0, length = turbo_server_peek(e->session, &hello);
    must(length == HELLO_BYTES, "no ClientHello");
    turbo_server_consume(e->session, length);
    must(turbo_server_push(e->session, e->now, e->flight, FLIGHT_BYTES) == FLIGHT_BYTES, "no room");
    responses(e, sent, &count);
    e->now += TURBO_QUIET_TIME;
    turbo_endpoint_tick(e->endpoint, e->now);
    responses(e, sent, &count);
    e->now += ONE_WAY;
    for (size_t i = 0; i < count; i++)
        if (!is_lost(e, sent[i].data))
            turbo_client_datagram(e->client, e->now, sent[i].data, sent[i].length);
    e->datagrams += (uint32_t)count;
}

/* The app reads the flight and answers; TCP is up, and the opening leaves. */
static void answer(struct ends *e)
{
    const uint8_t *data;
    size_t length, got = 0;
    turbo_client_tcp_up(e->client, e->now);
    while ((length = turbo_client_peek(e->client, &data)) > 0) {
        must(memcmp(data, e->flight + got, length) == 0, "another flight");
        turbo_client_consume(e->client, length);
        got += length;
    }
    must(got == FLIGHT_BYTES, "not all of the flight");
    turbo_client_push(e->client, e->now, e->answer, ANSWER_BYTES);
    e->now += ONE_WAY;
}

/* The opening, as an edge reads it. */
static void join(struct ends *e)
{
    struct turbo_opening opening;
    const uint8_t *tcp;
    size_t length = turbo_client_tcp_peek(e->client, &tcp);
    turbo_opening_init(&opening);
    size_t used =
        turbo_opening_push(&opening, tcp, length, turbo_endpoint_prefix_known, e->endpoint);
    must(opening.kind == TURBO_OPENING_TOMBSTONE, "no tombstone");
    must(turbo_endpoint_join(e->endpoint, e->now, &opening.tombstone, &e->path.peer, &e->session) ==
             TURBO_JOIN_SESSION,
         "no join");
    must(turbo_server_replay_left(e->session) == HELLO_BYTES &&
             turbo_server_replay(e->session, tcp + used, HELLO_BYTES),
         "another ClientHello");
    must(length == used + HELLO_BYTES + ANSWER_BYTES, "not all of it");
    turbo_client_tcp_consume(e->client, length);
    const uint8_t *rest;
    must(turbo_server_tcp_peek(e->session, &rest) == 0, "UDP brought less");
    turbo_server_release(e->session, e->now);
    turbo_client_tcp_read(e->client, e->now, 1);
    must(turbo_client_settled(e->client), "not settled");
}

static void handshake(struct ends *e, uint64_t number)
{
    ask(e, number);
    serve(e);
    answer(e);
    join(e);
    e->now += TURBO_SECOND;
}

static void handshakes(uint32_t times, uint32_t lost)
{
    struct ends e;
    ends_open(&e);
    e.lost = lost;
    for (uint32_t i = 0; i < times; i++)
        handshake(&e, i);
    ends_close(&e);
}

void core_handshake(uint32_t times)
{
    handshakes(times, 0);
}

void core_handshake_lost(uint32_t times)
{
    handshakes(times, LOST_CHUNK);
}

uint32_t core_handshake_datagrams(void)
{
    struct ends e;
    ends_open(&e);
    handshake(&e, 0);
    ends_close(&e);
    return e.datagrams;
}

size_t core_server_touched(void)
{
    struct ends e;
    ends_open(&e);
    handshake(&e, 0);
    size_t bytes = touched(e.session_memory, turbo_sandwich_server_bytes());
    ends_close(&e);
    return bytes;
}

size_t core_client_touched(void)
{
    struct ends e;
    ends_open(&e);
    handshake(&e, 0);
    size_t bytes = touched(e.client_memory, turbo_client_bytes());
    ends_close(&e);
    return bytes;
}

/* ---- what is dropped ---- */

enum { JUNK_BYTES = 600, JUNK_KINDS = 64 };

static void drop(struct ends *e, uint32_t times, const struct datagram *junk)
{
    struct turbo_path path;
    uint8_t refused[TURBO_DATAGRAM_MAX];
    for (uint32_t i = 0; i < times; i++) {
        turbo_endpoint_datagram(e->endpoint, e->now, &e->path, junk[i % JUNK_KINDS].data,
                                junk[i % JUNK_KINDS].length);
        turbo_endpoint_poll_datagram(e->endpoint, e->now, refused, &path);
    }
}

/* Random bytes; with `sequence` behind a good header, and random is the id. */
static void make_junk(struct datagram *d, uint64_t *state, uint8_t sequence)
{
    d->length = JUNK_BYTES;
    for (size_t i = 0; i < d->length; i++)
        d->data[i] = (uint8_t)stand_in_random(state);
    if (sequence == 0)
        return;
    d->data[0] = (d->data[0] & 0x3f) | 0x80;
    d->data[2] |= 0x80;
    memset(d->data + TURBO_ID_BYTES, 0, TURBO_HEADER_BYTES - TURBO_ID_BYTES - 1);
    d->data[TURBO_HEADER_BYTES - 1] = sequence;
    d->data[TURBO_HEADER_BYTES] = 0xff; /* no record begins so */
}

static void drop_junk(uint32_t times, uint8_t sequence)
{
    struct ends e;
    static struct datagram junk[JUNK_KINDS];
    uint64_t state = 7;
    ends_open(&e);
    for (size_t i = 0; i < JUNK_KINDS; i++)
        make_junk(&junk[i], &state, sequence);
    drop(&e, times, junk);
    ends_close(&e);
}

void core_junk_random(uint32_t times)
{
    drop_junk(times, 0);
}

void core_junk_orphan(uint32_t times)
{
    drop_junk(times, 2);
}

void core_junk_payload(uint32_t times)
{
    drop_junk(times, 1);
}

/* What a source may begin has begun. */
void core_junk_hello(uint32_t times)
{
    struct ends e;
    static struct datagram junk[JUNK_KINDS];
    uint64_t state = 7;
    ends_open(&e);
    turbo_endpoint_set_rates(e.endpoint, 1, 1, 1);
    ask(&e, JUNK_KINDS);
    for (size_t i = 0; i < JUNK_KINDS; i++) {
        make_junk(&junk[i], &state, 1);
        stand_in_hello(junk[i].data + TURBO_HEADER_BYTES, i);
        junk[i].length = TURBO_HEADER_BYTES + HELLO_BYTES;
    }
    drop(&e, times, junk);
    turbo_server_release(e.session, e.now);
    ends_close(&e);
}
