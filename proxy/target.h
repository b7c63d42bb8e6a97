/*
 * Where a client has asked to go, beside the upstream's own servers.
 */
#ifndef PROXY_TARGET_H
#define PROXY_TARGET_H

#include "proxy/net/resolver.h"
#include "proxy/prelude/prelude.h"
#include "tunnel/net/address.h"

struct target {
    char host[PRELUDE_HOST_MAX + 1]; /* a name in lower case without a dot at its end, or an address
                                        without brackets */
    uint16_t port;
    bool is_name;
    /* Those it may be connected to at; none: not known yet. */
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    size_t address_count;
};

/* Room for HOST:PORT, with brackets around an IPv6 address. */
enum { TARGET_TEXT_BYTES = PRELUDE_HOST_MAX + 16 };

/* As a client has asked for it: a name or an address without brackets. NULL: out of memory. Freed
 * with free. */
struct target *target_create(const char *host, uint16_t port);
/* An address with its port. NULL: out of memory. */
struct target *target_at(const struct address *address);
/* Returns `text`. */
const char *target_text(const struct target *target, char text[static TARGET_TEXT_BYTES]);

#endif
