/*
 * Where the client's handshake ends in its stream: in the Sandwich dialect UDP carries what is
 * before, and TCP what is behind (protocol §11). No key is needed, mostly:
 *
 * TLS 1.3 (RFC 9846 §5.2): with the first encrypted record as long as a Finished, which the cipher
 * suite in ServerHello tells. A client whose TLS stack pads it, or puts it into one record with
 * its certificate, is found out late: by the server's answer to it.
 * TLS 1.2 (RFC 5246 §7.1): with the handshake record behind ChangeCipherSpec; or before the first
 * record of application data.
 *
 * Feed both streams in the order in which they became known: a server's flight before the client's
 * answer to it.
 */
#ifndef TURBO_CLIENT_FLIGHT_H
#define TURBO_CLIENT_FLIGHT_H

#include "turbo/turbo.h"

enum { CLIENT_FLIGHT_RECORD_HEADER_BYTES = 5 };

/* One stream's place among its records. */
struct client_flight_records {
    uint8_t header[CLIENT_FLIGHT_RECORD_HEADER_BYTES];
    uint8_t header_bytes;
    uint16_t payload_left;
};

/* All zero: nothing has come. */
struct client_flight {
    bool complete; /* the client's handshake ends where it was fed up to */

    /* Private. */
    struct client_flight_records client, server;
    bool changed_cipher;   /* the client has: TLS 1.2's Finished is next, or TLS 1.3 pretends */
    bool encrypted;        /* a whole encrypted record of the client has come */
    uint16_t hello_bytes;  /* of the ServerHello, or HelloRetryRequest, up to its cipher suite */
    uint16_t suite_at;     /* where that begins in it; 0: not known yet */
    uint16_t cipher_suite; /* 0: not known yet */
};

/* The next bytes of S→C. */
void client_flight_server(struct client_flight *flight, const uint8_t *data, size_t length);

/* Not known to be complete, but an encrypted record has come, and none has come in part. */
bool client_flight_may_be_complete(const struct client_flight *flight);

/*
 * The next bytes of C→S. Returns how many belong to the client's handshake: fewer than `length`
 * when it is complete before their end, and none once it is.
 */
size_t client_flight_client(struct client_flight *flight, const uint8_t *data, size_t length);

#endif
