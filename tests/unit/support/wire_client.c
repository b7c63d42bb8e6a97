#include "tests/unit/support/wire_client.h"

void wire_client_init(struct wire_client *c, unsigned random)
{
    const struct hello_spec spec = {
        .server_name = "www.example.org", .size = WIRE_CLIENT_HELLO_BYTES, .random = random};
    c->udp = NULL;
    hello_make(&c->hello, &spec);
    turbo_id_from_hello(&c->id, check_sha256, c->hello.bytes, c->hello.length);
}

void wire_client_request(struct wire_client *c, uint8_t flags, uint32_t sequence,
                         const void *payload, size_t length)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram request = {.id = c->id, .flags = flags, .sequence = sequence};
    request.payload = payload;
    request.length = length;
    datagrams_send(c->udp, bytes, turbo_datagram_encode(&request, bytes));
}

static void ask(struct wire_client *c)
{
    for (uint32_t i = 0; i < WIRE_CLIENT_REQUESTS / 2; i++) {
        wire_client_request(c, 0, 1, c->hello.bytes, c->hello.length);
        wire_client_request(c, 0, 2 + i, NULL, 0);
    }
}

void wire_client_ask(struct wire_client *c, struct fixture *f, const char *host, uint16_t port)
{
    c->udp = fixture_udp(f, host, port);
    ask(c);
}

void wire_client_ask_from(struct wire_client *c, struct fixture *f, const char *from, uint16_t port)
{
    c->udp = fixture_udp_from(f, from, port);
    ask(c);
}

bool wire_client_heard(const struct wire_client *c, const char *words)
{
    struct turbo_datagram response;
    if (c->udp->count == 0)
        return false;
    const struct datagram *d = &c->udp->received[0];
    return turbo_response_decode(&response, d->bytes, d->length) &&
           turbo_id_equal(&response.id, &c->id) && response.flags == TURBO_FLAG_PROFILE1 &&
           response.sequence == 1 && response.length == strlen(words) &&
           memcmp(response.payload, words, response.length) == 0;
}

bool wire_client_was_refused(const struct wire_client *c)
{
    struct turbo_datagram response;
    if (c->udp->count == 0)
        return false;
    const struct datagram *d = &c->udp->received[0];
    return turbo_response_decode(&response, d->bytes, d->length) &&
           turbo_id_equal(&response.id, &c->id) &&
           response.flags == (TURBO_FLAG_PROFILE1 | TURBO_FLAG_REFUSED);
}

void wire_client_tombstone(const struct wire_client *c, struct peer *tcp, uint32_t consumed)
{
    uint8_t bytes[TURBO_TOMBSTONE_BYTES];
    struct turbo_tombstone tombstone = {.id = c->id, .replay = true, .consumed = consumed};
    turbo_tombstone_encode(&tombstone, bytes);
    peer_send(tcp, bytes, sizeof(bytes));
}

void wire_client_hello(const struct wire_client *c, struct peer *tcp)
{
    peer_send(tcp, c->hello.bytes, c->hello.length);
}

bool wire_client_passed(const struct wire_client *c, const struct peer *server, const char *words)
{
    size_t length = strlen(words);
    return server->length == c->hello.length + length &&
           memcmp(server->received, c->hello.bytes, c->hello.length) == 0 &&
           memcmp(server->received + c->hello.length, words, length) == 0;
}

struct peer *wire_client_begin(struct wire_client *c, struct fixture *f)
{
    size_t before = f->served_count;
    wire_client_ask(c, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_server(f, before);
    peer_say(server, "flight");
    UNTIL(f, wire_client_heard(c, "flight"));
    return server;
}

struct peer *wire_client_join(const struct wire_client *c, struct fixture *f, uint16_t port)
{
    struct peer *client = fixture_connect(f, "127.0.0.1", port);
    wire_client_tombstone(c, client, 1);
    wire_client_hello(c, client);
    peer_say(client, "answer");
    return client;
}

void wire_client_respond(const struct wire_client *c, struct datagrams *edge, uint8_t flags,
                         uint32_t sequence, const char *words)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram response = {.id = c->id, .flags = flags, .sequence = sequence};
    response.payload = (const uint8_t *)words;
    response.length = strlen(words);
    datagrams_answer(edge, 0, bytes, turbo_datagram_encode(&response, bytes));
}

bool wire_client_opened(const struct wire_client *c, const struct peer *server, uint32_t n,
                        const char *words)
{
    uint8_t tombstone[TURBO_TOMBSTONE_BYTES];
    size_t length = strlen(words);
    turbo_tombstone_encode(&(struct turbo_tombstone){.id = c->id, .replay = true, .consumed = n},
                           tombstone);
    return server->length == sizeof(tombstone) + c->hello.length + length &&
           memcmp(server->received, tombstone, sizeof(tombstone)) == 0 &&
           memcmp(server->received + sizeof(tombstone), c->hello.bytes, c->hello.length) == 0 &&
           memcmp(server->received + sizeof(tombstone) + c->hello.length, words, length) == 0;
}
