/*
 * HTTPS records (RFC 9460) in an answer of the DNS (RFC 1035 §4), and what they say of TurboTLS
 * (docs/protocol.md §10.2). Bytes in, a verdict out; nothing is asked or kept here.
 */
#ifndef PROXY_NET_SVCB_H
#define PROXY_NET_SVCB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SVCB_TYPE_HTTPS = 65,       /* of the record, RFC 9460 §14.1 */
    SVCB_KEY_TURBO = 65480,     /* of a private SvcParam: the UDP port */
    SVCB_UNPREFIXED_PORT = 443, /* the record is the host's own; others: _PORT._https.HOST */
    SVCB_NAME_BYTES = 256,      /* room for a name as text */
    SVCB_RECORDS_MAX = 128,     /* of one answer; with more of them it is not read */
    SVCB_UDP_PORT_MIN = 1024,   /* unless it is the TCP port */
};

struct svcb {
    bool turbo;        /* the server speaks TurboTLS ... */
    uint16_t udp_port; /* ... at this port */
    uint32_t ttl_s;    /* how long that may be believed; 0 as well when the answer does not say */
};

/*
 * The name to ask for. False: none is, because `host` is an address, a name of one label (the hosts
 * file or a search list may have it stand for another one), one below .onion (RFC 7686 §2), or
 * longer than a name can be.
 */
bool svcb_query_name(const char *host, uint16_t tcp_port, char name[static SVCB_NAME_BYTES]);

/*
 * Reads the whole answer to the question for the HTTPS record of a server at `tcp_port`. False: it
 * is not one, or is broken (in its authority section too, where it has no such record); `out` says
 * "no turbo" then.
 *
 * The record counts when it is at the name asked for, or where its CNAMEs within the answer end,
 * in ServiceMode, and its TargetName is that name or the host: to these the connection goes. When
 * any record there is broken or in AliasMode, none counts (RFC 9460 §2.2, §2.4.1). One whose `port`
 * is another than `tcp_port`, or with a mandatory key that we do not know, does not. Of those that
 * are left and speak of TurboTLS the first one of the lowest priority is taken.
 *
 * Its TTL is the smallest of the records and CNAMEs; where there is no record, what the SOA says
 * (RFC 2308 §5).
 */
bool svcb_read(const uint8_t *message, size_t length, uint16_t tcp_port, struct svcb *out);

#endif
