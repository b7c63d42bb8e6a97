/*
 * Connecting TCP to a name, without blocking: resolving (c-ares), then racing the addresses (RFC
 * 8305: IPv6 and IPv4 in turn, 250 ms apart, or at once when one fails). Driven by its user: no
 * loop, no thread.
 */
#ifndef TUNNEL_IO_DIAL_H
#define TUNNEL_IO_DIAL_H

#include <stdint.h>

#include "tunnel/io.h"
#include "tunnel/net/address.h"
#include "turbo/turbo.h"

struct tunnel_dialer;

enum tunnel_dial_state {
    TUNNEL_DIAL_RESOLVING,
    TUNNEL_DIAL_CONNECTING, /* SYNs are out: see tunnel_dialer_attempt */
    TUNNEL_DIAL_UP,         /* tunnel_dialer_take gives the socket */
    TUNNEL_DIAL_FAILED,     /* tunnel_dialer_error says why */
};

/*
 * `race` false: one address at a time, the next only when the connect
 * fails: TurboTLS asks one address by UDP and TCP (protocol §6.1). NULL: no memory, or no resolver.
 */
struct tunnel_dialer *tunnel_dialer_start(const char *host, uint16_t port, int timeout_ms,
                                          bool race);
/* Does what can be done now. */
enum tunnel_dial_state tunnel_dialer_step(struct tunnel_dialer *dialer, turbo_time now);
void tunnel_dialer_watch(const struct tunnel_dialer *dialer, struct tunnel_watch *watch);
/* Without race: how many attempts have been begun, and the socket and address of the last one. */
unsigned tunnel_dialer_attempt(const struct tunnel_dialer *dialer, int *fd, struct address *peer);
/* A second SYN to the address being tried, since the first seems lost (protocol §6.8). */
void tunnel_dialer_again(struct tunnel_dialer *dialer);
/* The connected socket, the caller's from now on, and its peer. */
int tunnel_dialer_take(struct tunnel_dialer *dialer, struct address *peer);
const char *tunnel_dialer_error(const struct tunnel_dialer *dialer);
turbo_time tunnel_dialer_resolved_at(const struct tunnel_dialer *dialer); /* 0: not yet */
void tunnel_dialer_free(struct tunnel_dialer *dialer);                    /* NULL is allowed */

#endif
