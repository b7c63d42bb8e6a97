/*
 * The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt, of 2020/03/05): what
 * a connection begins with so that a server knows the client behind a proxy. Bytes in, bytes out.
 */
#ifndef PROXY_PRELUDE_PROXY_HEADER_H
#define PROXY_PRELUDE_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "tunnel/net/address.h"

enum {
    PROXY_HEADER_IN_MAX = 4096,  /* one that is longer is refused */
    PROXY_HEADER_V1_MAX = 107,   /* bytes, with CR and LF */
    PROXY_HEADER_OUT_MAX = 1024, /* what proxy_header_write_… may need */
    PROXY_HEADER_ALPN_MAX = 255, /* RFC 7301 §3.1 */
    PROXY_HEADER_NAME_MAX = 255,
    PROXY_HEADER_UNIQUE_ID_MAX = 128, /* proxy-protocol.txt §2.2.5 */
};

enum proxy_header_result {
    PROXY_HEADER_MORE, /* so far it may become one */
    PROXY_HEADER_DONE,
    PROXY_HEADER_NONE, /* it begins with something else */
    PROXY_HEADER_BAD,  /* it begins as one, but is none: malformed, too long, wrong checksum */
};

/* What a header tells. */
struct proxy_header {
    size_t length; /* bytes of it */
    /* Both empty: LOCAL, UNKNOWN, or not by TCP over IP: the connection speaks for itself. */
    struct address client;
    struct address server; /* the address that the client connected to */
};

/*
 * Looks at the first bytes of a connection; the same ones again with more behind them is fine. What
 * is no header, or a broken one, is told before the whole of it is there: by version 1 at the end
 * of each word, by version 2 at each field that says so. `out` is set when DONE.
 *
 * Version 2's TLVs must fill the header exactly; a checksum among them must be right. Nothing else
 * of them is read.
 */
enum proxy_header_result proxy_header_read(const uint8_t *data, size_t length,
                                           struct proxy_header *out);

/* What there is to tell. Client and server are of one family and not empty, or the header says that
 * it does not know them (UNKNOWN, AF_UNSPEC). */
struct proxy_facts {
    const struct address *client, *server;
    /* Of version 2 only; NULL, empty or longer than the limits above: not told. */
    const char *server_name; /* PP2_TYPE_AUTHORITY */
    const uint8_t *alpn;     /* PP2_TYPE_ALPN: the ClientHello's first */
    size_t alpn_length;
    const uint8_t *unique_id; /* PP2_TYPE_UNIQUE_ID: the session id */
    size_t unique_id_length;
};

/* Version 1. Returns how many bytes it wrote. */
size_t proxy_header_write_v1(const struct proxy_facts *facts,
                             uint8_t out[static PROXY_HEADER_OUT_MAX]);
/* Version 2, with CRC32C. */
size_t proxy_header_write_v2(const struct proxy_facts *facts,
                             uint8_t out[static PROXY_HEADER_OUT_MAX]);

#endif
