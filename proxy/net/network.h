/*
 * Networks: an address and how many of its bits count ("198.51.100.0/24"), and lists of them.
 */
#ifndef PROXY_NET_NETWORK_H
#define PROXY_NET_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/net/address.h"

struct network {
    uint8_t prefix[16]; /* IPv4 mapped into IPv6 (::ffff:0:0/96); the bits behind `bits` are 0 */
    uint8_t bits;       /* of the 16 bytes: an IPv4 /24 is 120 */
};

struct networks {
    const struct network *list;
    size_t count;
};

/*
 * Reads "192.0.2.1", "198.51.100.0/24", "2001:db8::/32". An IPv4 prefix never holds IPv6 addresses.
 * NULL: understood; else what is wrong with it and what would be right, as static text.
 */
const char *network_parse(const char *text, struct network *out);

bool network_holds(const struct network *network, const struct address *address);
/* Does any of them? An empty list holds none; an empty address is in none. */
bool networks_hold(const struct networks *networks, const struct address *address);

/* "198.51.100.0/24"; a whole address without its length. Returns `text`. */
enum { NETWORK_TEXT_BYTES = 64 };
const char *network_text(const struct network *network, char text[static NETWORK_TEXT_BYTES]);

#endif
