/*
 * A ClientHello as it arrives: any number of records, segments or single bytes.
 *
 * Reads what a proxy must know to pass a connection on: where the ClientHello ends, and which
 * server, protocol and features it asks for (RFC 9846 §4.2.1, RFC 6066 §3, RFC 7301 §3.1). It looks
 * at every byte once and keeps none but the few fields below, so its cost is linear however the
 * bytes are cut. It judges no more than it must: what a TLS server would reject is the TLS server's
 * business.
 */
#ifndef TURBO_CLIENT_HELLO_H
#define TURBO_CLIENT_HELLO_H

#include "turbo/turbo.h"

enum turbo_hello_state {
    TURBO_HELLO_MORE,      /* so far so good */
    TURBO_HELLO_COMPLETE,  /* the fields are final */
    TURBO_HELLO_TOO_LARGE, /* more than TURBO_HELLO_MAX bytes: pass it on as it is */
    TURBO_HELLO_NOT_TLS,   /* not a TLS handshake record with a ClientHello: pass it on */
};

enum {
    TURBO_SERVER_NAME_MAX = 255,
    TURBO_HELLO_CAPTURE_MAX =
        512, /* of one extension: longer server names or ALPN lists are not told */
};

struct turbo_client_hello {
    enum turbo_hello_state state;
    size_t length; /* C→S bytes seen; when complete, those up to the end of the ClientHello */
    char server_name[TURBO_SERVER_NAME_MAX + 1]; /* empty: none, or not a DNS name */
    uint8_t alpn[TURBO_HELLO_CAPTURE_MAX];       /* (length, name)*, as on the wire */
    uint16_t alpn_length;                        /* 0: none */
    bool early_data;                             /* asks to send data in its first flight */
    bool encrypted;                              /* ECH: server_name is the outer, public name */

    /* Private: where in the grammar we are. */
    uint8_t record_header_bytes;
    uint16_t record_left;
    uint8_t step;
    uint8_t number_left;
    uint32_t number;
    uint32_t left;      /* of the field being skipped or captured */
    uint32_t body_left; /* of the handshake message */
    uint16_t extension;
    uint16_t captured;
    uint8_t capture[TURBO_HELLO_CAPTURE_MAX];
};

void turbo_client_hello_init(struct turbo_client_hello *hello);

/*
 * Feeds the next bytes. Returns how many of them were taken: all of them while more is needed,
 * fewer when the ClientHello ended before (or a verdict was reached); `hello->state` tells.
 */
size_t turbo_client_hello_push(struct turbo_client_hello *hello, const uint8_t *data,
                               size_t length);

/* Steps through the ALPN list: NULL at its end. Start with `*at` 0. The name has no zero byte. */
const uint8_t *turbo_client_hello_alpn(const struct turbo_client_hello *hello, size_t *at,
                                       size_t *length);

#endif
