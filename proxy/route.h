/*
 * Which route of a listener a connection takes, and whether it may connect at all: by what its
 * ClientHello asks for, and where it comes from.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include "proxy/config/config.h"
#include "proxy/target.h"
#include "turbo/client_hello.h"

/* What there is to go by. */
struct route_facts {
    const struct address *client;
    const struct turbo_client_hello *hello; /* NULL: none; then only routes that ask for neither
                                               name nor protocol match */
    const struct target *target;            /* that the client has asked for; NULL: it has not */
};

/* The first that matches; NULL: none. Names are compared without regard to case and a dot at their
 * end. */
const struct config_route *route_find(const struct config_listener *listener,
                                      const struct route_facts *facts);
/* Must the ClientHello be read to tell? */
bool route_needs_hello(const struct config_listener *listener);
/* May the client that asked for `target` by `route` be connected to this address of it? */
bool route_may_reach(const struct config_route *route, const struct target *target,
                     const struct address *address);
/* Did `route` depend on the client's address, or do the listener's access rules? Then the address
 * is vouched for (protocol §7.4). */
bool route_vouches(const struct config_listener *listener, const struct config_route *route);

/* The first rule that matches decides; none: allowed. */
bool route_allows(const struct config_listener *listener, const struct address *client);

#endif
