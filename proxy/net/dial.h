/*
 * Connecting to a host: its name is resolved, then its addresses are tried in order.
 */
#ifndef PROXY_NET_DIAL_H
#define PROXY_NET_DIAL_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/net/resolver.h"
#include "tunnel/net/address.h"

struct dial;

/* All are called from the loop, never from within dial_start. */
struct dial_events {
    /* A SYN to `peer` has left on `fd`, which still belongs to the dial. May come several times.
     * May be NULL. */
    void (*started)(void *owner, int fd, const struct address *peer);
    /* Connected: `fd` is the owner's now, and the dial is gone. */
    void (*up)(void *owner, int fd, const struct address *peer);
    /*
     * Every address failed; the dial is gone. `error` is text, valid during the call; `code` the
     * errno of the last address: socket_exhausted(code) says nothing about the host. 0: its name
     * was not found.
     */
    void (*failed)(void *owner, const char *error, int code);
};

/* How many second SYNs there are, of all dials together: each takes a descriptor more. */
struct dial_spares {
    size_t used, max;
};

struct dial_target {
    const char *host;                /* not needed afterwards */
    const struct address *addresses; /* copied; if there are any the host is not looked up */
    size_t address_count;            /* at most RESOLVER_ADDRESSES_MAX */
    uint16_t port;
    uint32_t mark;              /* SO_MARK; 0: none */
    struct dial_spares *spares; /* outlives the dial; NULL: no limit */
    bool at_once; /* what is connected by the time that connect returns, as on one host, is up then:
                     else not before the loop has turned */
};

/*
 * Starts connecting. All addresses together have `seconds` (> 0), once the name is known; while
 * they last there is a fresh SYN now and then. NULL: out of memory.
 */
struct dial *dial_start(struct ev_loop *loop, struct resolver *resolver,
                        const struct dial_target *target, double seconds,
                        const struct dial_events *events, void *owner);
/*
 * A second SYN to the address that is being tried, beside the first: the kernel repeats a lost one
 * after a second only. Whichever comes up first is the connection. No effect when none is being
 * tried, there are two already, or there is no descriptor for it.
 */
void dial_again(struct dial *dial);
/* Gives up; also from within `started`. NULL is allowed. */
void dial_cancel(struct dial *dial);

#endif
