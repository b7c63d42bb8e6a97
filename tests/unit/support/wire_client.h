/*
 * A client end in the test's hands: asks a turbo listener by UDP, and knows how to open TCP.
 */
#ifndef TEST_WIRE_CLIENT_H
#define TEST_WIRE_CLIENT_H

#include "tests/unit/support/hello.h"
#include "tests/unit/support/worker_fixture.h"

#include "turbo/wire.h"

enum { WIRE_CLIENT_REQUESTS = 6, WIRE_CLIENT_HELLO_BYTES = 1000 };

struct wire_client {
    struct datagrams *udp;
    struct hello hello; /* of one chunk */
    struct turbo_id id;
};

/* Another `random`, another ClientHello. Asks nobody yet. */
void wire_client_init(struct wire_client *c, unsigned random);
/* Requests to the listener's UDP port: the ClientHello three times, and empty ones. */
void wire_client_ask(struct wire_client *c, struct fixture *f, const char *host, uint16_t port);
/* The same from another address of this host's, to 127.0.0.1. */
void wire_client_ask_from(struct wire_client *c, struct fixture *f, const char *from,
                          uint16_t port);
void wire_client_request(struct wire_client *c, uint8_t flags, uint32_t sequence,
                         const void *payload, size_t length);

/* The answer is one chunk that holds exactly these bytes. */
bool wire_client_heard(const struct wire_client *c, const char *words);
bool wire_client_was_refused(const struct wire_client *c);

/* A session with the first listener that is passed on, and answered by "flight". Returns the
 * server's end of it. */
struct peer *wire_client_begin(struct wire_client *c, struct fixture *f);
/* It goes on over TCP, to this port, with "answer". Returns the client's end of that. */
struct peer *wire_client_join(const struct wire_client *c, struct fixture *f, uint16_t port);

/* What TCP may begin with. */
void wire_client_tombstone(const struct wire_client *c, struct peer *tcp, uint32_t consumed);
void wire_client_hello(const struct wire_client *c, struct peer *tcp);
/* Exactly the ClientHello and then `words` have come. */
bool wire_client_passed(const struct wire_client *c, const struct peer *server, const char *words);

/* The other way about, the server end in the test's hands: a response to who sent `edge` its first
 * datagram, and what TCP was opened with: tombstone(n, REPLAY), the ClientHello and `words`. */
void wire_client_respond(const struct wire_client *c, struct datagrams *edge, uint8_t flags,
                         uint32_t sequence, const char *words);
bool wire_client_opened(const struct wire_client *c, const struct peer *server, uint32_t n,
                        const char *words);

#endif
